"""The taxonomy of personal data: what can be found in a text, and the legal category that a policy gives each kind."""

from __future__ import annotations

from enum import StrEnum


class Entity(StrEnum):
    """A kind of personal data or secret. The names are stored in logs: they are never renamed or reused."""

    PERSON = "PERSON"
    PHONE = "PHONE"
    BIRTH_DATE = "BIRTH_DATE"
    ADDRESS = "ADDRESS"
    PASSPORT = "PASSPORT"
    USERNAME = "USERNAME"
    EMAIL = "EMAIL"
    SNILS = "SNILS"
    PASSWORD = "PASSWORD"  # noqa: S105 - the name of a kind, not a password
    IP = "IP"
    INN = "INN"
    SECRET = "SECRET"  # noqa: S105 - the name of a kind, not a secret
    OMS = "OMS"
    BANK_CARD = "BANK_CARD"
    BANK_ACCOUNT = "BANK_ACCOUNT"
    INTL_PASSPORT = "INTL_PASSPORT"
    EMPLOYEE_ID = "EMPLOYEE_ID"
    PLATE = "PLATE"
    MAC = "MAC"
    CADASTRE = "CADASTRE"
    DEPT_CODE = "DEPT_CODE"
    VEHICLE_DOC = "VEHICLE_DOC"
    IMEI = "IMEI"
    GEO = "GEO"
    DRIVER_LICENSE = "DRIVER_LICENSE"
    MILITARY_ID = "MILITARY_ID"
    VIN = "VIN"
    BIRTH_CERT = "BIRTH_CERT"
    OGRNIP = "OGRNIP"
    # What a text tells about a person, 152-ФЗ ст. 10 and 11. The finding is the evidence, not the whole statement.
    HEALTH = "HEALTH"
    CRIMINAL_RECORD = "CRIMINAL_RECORD"
    RELIGION = "RELIGION"
    NATIONALITY = "NATIONALITY"
    POLITICS = "POLITICS"
    INTIMATE_LIFE = "INTIMATE_LIFE"
    BIOMETRIC = "BIOMETRIC"


class Category(StrEnum):
    """What the law, and a policy, tell apart."""

    GENERAL = "general"
    SPECIAL = "special"  # 152-ФЗ ст. 10
    BIOMETRIC = "biometric"  # 152-ФЗ ст. 11
    SECRET = "secret"  # noqa: S105 - not personal data by itself, but a key to it (ст. 19)
