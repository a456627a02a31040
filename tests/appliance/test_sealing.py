"""A mapping that nobody but its application can bring back, nor change, nor use for ever."""

from __future__ import annotations

import base64

import pytest

from appliance.auth import Pseudonyms
from appliance.errors import BadRequestError
from appliance.sealing import Mapping, Seal
from policies import Entity, Vault, redact, restore
from policies.finding import Finding

TEXT = "Позвоните +7 916 123-45-67."
NOW = 1_800_000_000.0


def mapping(expires: float = NOW + 60) -> tuple[str, Mapping]:
    vault = Vault(avoid=[TEXT])
    hidden = redact(TEXT, [Finding(10, 26, Entity.PHONE, 1.0)], {Entity.PHONE}, vault)
    return hidden, Mapping(int(expires), 7, vault.contents())


@pytest.fixture
def seal() -> Seal:
    return Seal(Pseudonyms(b"k" * 32))


def test_what_was_sealed_opens_for_its_application_and_brings_the_originals_back(seal):
    hidden, sealed = mapping()
    token = seal.seal("crm", sealed)
    opened = seal.open("crm", token, NOW)
    assert opened == sealed
    assert restore(hidden, Vault.of(opened.contents)) == TEXT
    assert "916" not in base64.urlsafe_b64decode(token + "==").decode("latin-1")
    assert token != seal.seal("crm", sealed)


def test_another_application_or_another_key_opens_nothing(seal):
    token = seal.seal("crm", mapping()[1])
    with pytest.raises(BadRequestError, match="not one that was sealed for this application"):
        seal.open("other", token, NOW)
    with pytest.raises(BadRequestError, match="not one that was sealed"):
        Seal(Pseudonyms(b"o" * 32)).open("crm", token, NOW)


def test_every_changed_character_voids_it(seal):
    token = seal.seal("crm", mapping()[1])
    for position in range(len(token) - 1):  # the last character may hold bits that mean nothing
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(BadRequestError):
            seal.open("crm", changed, NOW)


@pytest.mark.parametrize("token", ["", "A", "AQ", "ключ", "====", "AQ" * 40, "!" * 100, "A" * 5_000_000])
def test_what_is_no_token_is_refused_with_words(seal, token):
    with pytest.raises(BadRequestError, match="mask the texts again"):
        seal.open("crm", token, NOW)


def test_it_ends_when_it_said(seal):
    token = seal.seal("crm", mapping(expires=NOW)[1])
    seal.open("crm", token, NOW)
    with pytest.raises(BadRequestError, match="has expired"):
        seal.open("crm", token, NOW + 1)
