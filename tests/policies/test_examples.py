"""Every recogniser finds in its own examples what stands beside them, and nothing else of its kind."""

import pytest

from policies import Entity, scan
from policies.names import tagger
from policies.recognizers import (
    bank_account,
    bank_card,
    birth_date,
    credentials,
    email,
    inn,
    oms,
    passport,
    phone,
    snils,
    special,
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
    (birth_date, {Entity.BIRTH_DATE}),
    (email, {Entity.EMAIL}),
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
