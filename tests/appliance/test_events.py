"""The catalogue of records: every kind round-trips, and none can hold a user's words."""

from __future__ import annotations

import typing

import msgspec
import pytest

from appliance.events import KINDS, SCHEMA, Booted, Event, Intent, Outcome, Status, decode, entry, provider_id
from policies import Entity, Residency, Verdict

INTENT = Intent(
    request_id="0" * 32,
    attempt=1,
    app="crm",
    key_id="crm-1",
    purpose="support",
    ground="договор",
    policy_version="2026-11-22",
    policy_digest=bytes(32),
    detector="rules-1",
    route="cloud/big",
    residency=Residency.RU,
    country="RU",
    verdict=Verdict.MASK,
    method="placeholder",
    rules=("general-ru-masked",),
    found={Entity.PERSON: 2},
    masked={Entity.PERSON: 2},
    residual={},
    streamed=True,
)


def test_an_intent_opens_and_its_outcome_closes_it() -> None:
    opened, closed = entry(INTENT), entry(Outcome(intent=7, status=Status.COMPLETED))

    assert (opened.opens, opened.closes) == (True, None)
    assert (closed.opens, closed.closes) == (False, 7)
    assert decode(opened.kind, opened.schema, opened.body) == INTENT


def test_the_numbers_of_the_kinds_are_those_of_the_catalogue() -> None:
    assert set(KINDS.values()) == set(typing.get_args(Event))
    assert all(number == kind.KIND for number, kind in KINDS.items())


def test_a_kind_or_a_schema_of_a_later_version_is_told_apart_not_misread() -> None:
    body = entry(INTENT).body

    assert decode(999, SCHEMA, body) is None
    assert decode(Intent.KIND, SCHEMA + 1, body) is None


def test_an_old_record_without_the_latest_fields_is_read() -> None:
    fields = msgspec.msgpack.decode(entry(INTENT).body)

    assert decode(Intent.KIND, SCHEMA, msgspec.msgpack.encode(fields[:-1])) == INTENT


@pytest.mark.parametrize("text", ["two words", "ключ", "x" * 65, "a\nb", "<script>"])
def test_what_is_no_request_id_by_its_shape_does_not_enter_the_log(text: str) -> None:
    assert provider_id(text) == ""
    assert provider_id("req-1.2_3:4") == "req-1.2_3:4"


def test_an_id_that_an_administrator_could_not_have_chosen_is_refused_when_read() -> None:
    fields = msgspec.msgpack.decode(entry(INTENT).body)
    fields[2] = "Иванов Пётр"

    with pytest.raises(msgspec.ValidationError):
        decode(Intent.KIND, SCHEMA, msgspec.msgpack.encode(fields))


def test_every_kind_has_a_number_of_its_own_and_says_what_it_is() -> None:
    assert len({kind.KIND for kind in KINDS.values()}) == len(KINDS)
    assert all(kind.__doc__ for kind in KINDS.values())
    assert Booted.KIND == 20
