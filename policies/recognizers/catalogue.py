"""What the built-in recognisers look for: each kind, the module that finds it, and how many examples hold it to that."""

from __future__ import annotations

from types import ModuleType

import msgspec

from policies.entities import Entity
from policies.names import tagger
from policies.recognizers import (
    address,
    bank_account,
    bank_card,
    birth_cert,
    birth_date,
    cadastre,
    credentials,
    dept_code,
    driver_license,
    email,
    employee_id,
    geo,
    imei,
    inn,
    intl_passport,
    ip,
    mac,
    military_id,
    ogrnip,
    oms,
    passport,
    phone,
    plate,
    snils,
    special,
    username,
    vehicle_doc,
    vin,
)


class BuiltIn(msgspec.Struct, frozen=True):
    """A kind that is always looked for. `module` finds it; `examples` are that module's, for whatever kinds it finds."""

    kind: Entity
    module: str
    examples: int


def built_in() -> tuple[BuiltIn, ...]:
    """Every kind but those that only a customer's recognisers can find, in the order of the taxonomy."""
    return tuple(
        BuiltIn(kind, _MODULES[kind].__name__.removeprefix("policies."), len(_MODULES[kind].EXAMPLES))
        for kind in Entity
        if kind in _MODULES
    )


_MODULES: dict[Entity, ModuleType] = {
    Entity.PERSON: tagger,  # its examples are the network's too
    Entity.PHONE: phone,
    Entity.BIRTH_DATE: birth_date,
    Entity.ADDRESS: address,
    Entity.PASSPORT: passport,
    Entity.USERNAME: username,
    Entity.EMAIL: email,
    Entity.SNILS: snils,
    Entity.PASSWORD: credentials,
    Entity.IP: ip,
    Entity.INN: inn,
    Entity.SECRET: credentials,
    Entity.OMS: oms,
    Entity.BANK_CARD: bank_card,
    Entity.BANK_ACCOUNT: bank_account,
    Entity.INTL_PASSPORT: intl_passport,
    Entity.EMPLOYEE_ID: employee_id,
    Entity.PLATE: plate,
    Entity.MAC: mac,
    Entity.CADASTRE: cadastre,
    Entity.DEPT_CODE: dept_code,
    Entity.VEHICLE_DOC: vehicle_doc,
    Entity.IMEI: imei,
    Entity.GEO: geo,
    Entity.DRIVER_LICENSE: driver_license,
    Entity.MILITARY_ID: military_id,
    Entity.VIN: vin,
    Entity.BIRTH_CERT: birth_cert,
    Entity.OGRNIP: ogrnip,
    Entity.HEALTH: special,
    Entity.CRIMINAL_RECORD: special,
    Entity.RELIGION: special,
    Entity.NATIONALITY: special,
    Entity.POLITICS: special,
    Entity.INTIMATE_LIFE: special,
    Entity.BIOMETRIC: special,
}
