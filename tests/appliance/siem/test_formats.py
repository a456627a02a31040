"""A record said to a SIEM is one line with its own fields, whatever stands in its values."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.events import LogRead, ReadWhat, entry
from appliance.siem import Format, Told, line
from audit import OpenedEntry

NASTY = [
    "a|b",
    "a\\|b\\",
    "x=1 y=2",
    "one\ntwo",
    "one\r\ntwo",
    "\\n is no line break",
    ']" evil="1',
    "<134>1 2026-01-01T00:00:00Z host app - - - forged",
    "tab\tand nul\0 and escape \x1b[31m",
    "line\u2028separator and next\u0085line",
    "Русский текст, 中文, 😀",
    "",
]


def told(text: str, **fields: object) -> Told:
    return Told(
        7, 1_790_000_000_123_456, 1, "Intent", 5, text, text, {"app": text, **fields}, 2, "ab" * 32, "log.test/a"
    )


def parsed_syslog(message: bytes) -> tuple[dict[str, str], str]:
    """Structured data and MSG, by a parser of its own that follows RFC 5424 and nothing of ours."""
    match = re.fullmatch(
        rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) "
        rb'\[(\S+?)((?: [!-~]+?="(?:\\["\\\]]|[^"\\\]])*")*)\] \xef\xbb\xbf(.*)',
        message,
        re.DOTALL,
    )
    assert match, message
    assert 0 <= int(match[1]) <= 191
    found = re.findall(rb' ([!-~]+?)="((?:\\["\\\]]|[^"\\\]])*)"', match[8])
    return {name.decode(): re.sub(r'\\(["\\\]])', r"\1", value.decode()) for name, value in found}, match[9].decode()


def parsed_cef(text: str) -> tuple[list[str], dict[str, str]]:
    """Header fields and extension of a CEF line, by its own rules of escaping."""
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", text, maxsplit=7)
    header, rest = [], text
    for _ in range(7):
        match = re.match(r"((?:\\.|[^|\\])*)\|", rest)
        assert match, text
        header.append(re.sub(r"\\(.)", r"\1", match[1]))
        rest = rest[match.end() :]
    assert len(parts) == 8 or "\\" in text
    keys = [(found.start(1), found.end(), found[1]) for found in re.finditer(r"(?:^| )([A-Za-z0-9]+)(?<!\\)=", rest)]
    values = {}
    for place, (_, start, key) in enumerate(keys):
        end = keys[place + 1][0] - 1 if place + 1 < len(keys) else len(rest)
        raw = rest[start:end]
        values[key] = re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), raw)
    return header, values


def cleaned(text: str) -> str:
    return "".join(" " if each < " " or each in "\x7f\u0085\u2028\u2029" else each for each in text)


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("chosen", Format)
def test_no_value_makes_a_second_line_or_a_second_field(text: str, chosen: Format) -> None:
    for syslog in (True, False):
        said = line(told(text), chosen, syslog=syslog)
        assert said.decode().splitlines() == [said.decode()]
        assert b"\n" not in said
        payload = said.decode()
        if syslog:
            data, payload = parsed_syslog(said)
            assert data == {"seq": "7", "leaf": "ab" * 32, "origin": "log.test/a"}
        match chosen:
            case Format.CEF:
                header, values = parsed_cef(payload)
                assert header[0] == "CEF:0"
                assert header[4:] == ["1", "Intent", "5"]
                assert values["externalId"] == "7"
                assert values["cs1"] == "ab" * 32
                assert "evil" not in values
                assert json.loads(values["cs2"]).get("app", "") == text
            case Format.JSON:
                assert json.loads(payload)["message"] == text
            case Format.OCSF:
                assert json.loads(payload)["unmapped"]["fields"]["app"] == text


@given(st.text(max_size=60))
def test_any_text_at_all_stays_within_its_field(text: str) -> None:
    for chosen in Format:
        said = line(told(text), chosen, syslog=True)
        data, payload = parsed_syslog(said)
        assert data["seq"] == "7"
        assert len(payload.splitlines()) == 1
    _, values = parsed_cef(parsed_syslog(line(told(text), Format.CEF, syslog=True))[1])
    assert json.loads(values["cs2"]).get("app", "") == text


def test_an_ocsf_event_has_what_its_class_requires_and_a_fingerprint_over_itself() -> None:
    event = json.loads(line(told("crm"), Format.OCSF, syslog=False))
    for name in (
        "activity_id",
        "category_uid",
        "class_uid",
        "type_uid",
        "severity_id",
        "time",
        "metadata",
        "actor",
        "api",
        "src_endpoint",
    ):
        assert name in event
    assert (event["class_uid"], event["type_uid"], event["time"]) == (6003, 600399, 1_790_000_000_123)
    assert event["metadata"]["version"] == "1.9.0"
    assert "record_integrity" in event["metadata"]["profiles"]
    fingerprint = event["attestation"].pop("fingerprint")
    canonical = json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert fingerprint == {"algorithm_id": 3, "value": hashlib.sha256(canonical).hexdigest()}


def opened(event: object, *, subjects: tuple[bytes, ...] = ()) -> OpenedEntry:
    made = entry(event)
    return OpenedEntry(3, made.kind, made.schema, 1_790_000_000_000_000, made.body, subjects=subjects)


def test_pseudonyms_of_people_stay_here() -> None:
    from tests.appliance.test_events import INTENT

    secret, subject = b"\xabPSEUDONYM\xcd......"[:16], b"SUBJECT-PSEUDONY"
    import msgspec

    intent = msgspec.structs.replace(INTENT, user=secret, consent=secret[::-1])
    for chosen in Format:
        said = line(Told.of(opened(intent, subjects=(subject,)), bytes(32), "log.test/a"), chosen, syslog=True)
        for value in (secret, secret[::-1], subject):
            assert value.hex().encode() not in said
            assert value not in said
        assert b"user" not in said or b'"user":{"name"' in said


def test_officers_and_applications_stand_where_a_siem_looks_for_them() -> None:
    read = Told.of(opened(LogRead("r", "petrova", ReadWhat.EXPORT, 5, "case-1")), bytes(32), "log.test/a")
    _, values = parsed_cef(line(read, Format.CEF, syslog=False).decode())
    assert (values["suser"], values["rt"]) == ("petrova", "1790000000000")
    assert json.loads(line(read, Format.OCSF, syslog=False))["actor"] == {"user": {"name": "petrova"}}
    assert (read.severity, "выгрузка" in read.message) == (4, True)


def test_a_kind_of_a_later_version_is_told_as_unknown() -> None:
    later = OpenedEntry(3, 999, 1, 1, b"\x90")
    record = Told.of(later, bytes(32), "log.test/a")
    assert (record.name, record.fields) == ("Unknown999", {})
