"""The taxonomy of personal data: what can be found in a text, and the legal category that a policy gives each kind."""

from __future__ import annotations

from collections.abc import Mapping
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
    OTHER = "OTHER"  # what a customer's own recogniser looks for and none of these names
    # What a text tells about a person, 152-ФЗ ст. 10 and 11. The finding is the evidence, not the whole statement.
    HEALTH = "HEALTH"
    CRIMINAL_RECORD = "CRIMINAL_RECORD"
    RELIGION = "RELIGION"
    NATIONALITY = "NATIONALITY"
    POLITICS = "POLITICS"
    INTIMATE_LIFE = "INTIMATE_LIFE"
    BIOMETRIC = "BIOMETRIC"


TITLES: Mapping[Entity, str] = {
    Entity.PERSON: "ФИО",
    Entity.PHONE: "телефон",
    Entity.BIRTH_DATE: "дата рождения",
    Entity.ADDRESS: "адрес",
    Entity.PASSPORT: "паспорт",
    Entity.USERNAME: "имя пользователя",
    Entity.EMAIL: "электронная почта",
    Entity.SNILS: "СНИЛС",
    Entity.PASSWORD: "пароль",
    Entity.IP: "IP-адрес",
    Entity.INN: "ИНН",
    Entity.SECRET: "ключ или токен",
    Entity.OMS: "полис ОМС",
    Entity.BANK_CARD: "банковская карта",
    Entity.BANK_ACCOUNT: "банковский счёт",
    Entity.INTL_PASSPORT: "загранпаспорт",
    Entity.EMPLOYEE_ID: "табельный номер",
    Entity.PLATE: "номер автомобиля",
    Entity.MAC: "MAC-адрес",
    Entity.CADASTRE: "кадастровый номер",
    Entity.DEPT_CODE: "код подразделения",
    Entity.VEHICLE_DOC: "СТС или ПТС",
    Entity.IMEI: "IMEI",
    Entity.GEO: "координаты",
    Entity.DRIVER_LICENSE: "водительское удостоверение",
    Entity.MILITARY_ID: "военный билет",
    Entity.VIN: "VIN",
    Entity.BIRTH_CERT: "свидетельство о рождении",
    Entity.OGRNIP: "ОГРНИП",
    Entity.OTHER: "данные по правилу заказчика",
    Entity.HEALTH: "здоровье",
    Entity.CRIMINAL_RECORD: "судимость",
    Entity.RELIGION: "вера",
    Entity.NATIONALITY: "национальность",
    Entity.POLITICS: "политические взгляды",
    Entity.INTIMATE_LIFE: "личная жизнь",
    Entity.BIOMETRIC: "биометрия",
}
"""Each kind as a person who speaks Russian calls it."""


class Category(StrEnum):
    """What the law, and a policy, tell apart."""

    GENERAL = "general"
    SPECIAL = "special"  # 152-ФЗ ст. 10
    BIOMETRIC = "biometric"  # 152-ФЗ ст. 11
    SECRET = "secret"  # noqa: S105 - not personal data by itself, but a key to it (ст. 19)
