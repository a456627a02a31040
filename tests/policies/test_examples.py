"""Every recogniser finds in its own examples what stands beside them, and nothing else of its kind."""

import pytest

from policies import Entity, scan
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
    encoded,
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

SPECIAL = {
    Entity.HEALTH,
    Entity.CRIMINAL_RECORD,
    Entity.RELIGION,
    Entity.NATIONALITY,
    Entity.POLITICS,
    Entity.INTIMATE_LIFE,
    Entity.BIOMETRIC,
}
TABLES = (
    (snils, {Entity.SNILS}),
    (inn, {Entity.INN}),
    (passport, {Entity.PASSPORT}),
    (phone, {Entity.PHONE}),
    (bank_card, {Entity.BANK_CARD}),
    (oms, {Entity.OMS}),
    (bank_account, {Entity.BANK_ACCOUNT}),
    (intl_passport, {Entity.INTL_PASSPORT}),
    (employee_id, {Entity.EMPLOYEE_ID}),
    (dept_code, {Entity.DEPT_CODE}),
    (vehicle_doc, {Entity.VEHICLE_DOC}),
    (driver_license, {Entity.DRIVER_LICENSE}),
    (military_id, {Entity.MILITARY_ID}),
    (birth_cert, {Entity.BIRTH_CERT}),
    (imei, {Entity.IMEI}),
    (ogrnip, {Entity.OGRNIP}),
    (ip, {Entity.IP}),
    (mac, {Entity.MAC}),
    (cadastre, {Entity.CADASTRE}),
    (plate, {Entity.PLATE}),
    (vin, {Entity.VIN}),
    (geo, {Entity.GEO}),
    (address, {Entity.ADDRESS}),
    (username, {Entity.USERNAME}),
    (birth_date, {Entity.BIRTH_DATE}),
    (email, {Entity.EMAIL}),
    (encoded, {Entity.PHONE, Entity.EMAIL}),
    (credentials, {Entity.SECRET, Entity.PASSWORD}),
    (special, SPECIAL),
    (tagger, {Entity.PERSON}),
)
CASES = [
    pytest.param(example, entities, id=f"{module.__name__.rsplit('.', 1)[-1]}-{number}")
    for module, entities in TABLES
    for number, example in enumerate(module.EXAMPLES, 1)
]


@pytest.mark.parametrize(("example", "entities"), CASES)
def test_a_recogniser_finds_in_its_example_exactly_what_the_table_says(example, entities):
    found = tuple(
        example.text[finding.start : finding.end] for finding in scan(example.text) if finding.entity in entities
    )
    assert found == example.found


@pytest.mark.parametrize(("module", "entities"), TABLES, ids=lambda value: getattr(value, "__name__", "")[-12:])
def test_each_table_shows_both_what_is_found_and_what_only_looks_like_it(module, entities):
    assert any(example.found for example in module.EXAMPLES)
    assert any(not example.found for example in module.EXAMPLES)
