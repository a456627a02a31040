"""One record as a SIEM takes it: CEF:0, JSON or OCSF, within RFC 5424 where it travels by syslog.

Only what a record says of itself goes out. Keyed pseudonyms of people stay: a collector that keeps them would undo an erasure.
"""

from __future__ import annotations

import hashlib
import re
import socket
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from appliance import __version__
from appliance.events import (
    AuditBlocked,
    AuthFailed,
    ClockJumped,
    ContentDropped,
    DisclosureAsked,
    DisclosureDecided,
    ErasureAsked,
    Event,
    HandedOver,
    KeysRenewed,
    LogRead,
    PolicyChanged,
    Refused,
    Restored,
    Resumed,
    ScrubDamaged,
    SideBroughtIn,
    StopChanged,
    SubjectErased,
    SubjectHold,
    Unwitnessed,
    decode,
)
from appliance.wording import told
from audit import OpenedEntry

VENDOR, PRODUCT = "LLM Privacy Appliance", "appliance"
_FACILITY = 13  # log audit, RFC 5424 section 6.2.1
_ENTERPRISE = 32473  # reserved for documentation (RFC 5612): we have no number of our own
# keyed pseudonyms of people; what whoever guesses a text could prove the guess with
_KEPT_HERE = frozenset({"user", "consent", "commitment", "commit_key"})
_BOM = "\ufeff"
_BREAKING = re.compile(
    "[\x7f\u0085\u2028\u2029]"
)  # what JSON leaves as it is, and some readers take for the end of a line

_SEVERITY: dict[type[Event], int] = {
    # event → 0…10 as CEF counts; what is not here is 2
    Refused: 5,
    AuthFailed: 6,
    StopChanged: 6,
    PolicyChanged: 6,
    LogRead: 4,
    ErasureAsked: 5,
    SubjectErased: 5,
    SubjectHold: 5,
    KeysRenewed: 5,
    HandedOver: 4,
    DisclosureAsked: 6,
    DisclosureDecided: 7,
    ContentDropped: 4,
    ClockJumped: 7,
    Resumed: 7,
    Unwitnessed: 8,
    Restored: 9,
    AuditBlocked: 9,
    SideBroughtIn: 7,
    ScrubDamaged: 10,
}


class Format(StrEnum):
    """What is inside the syslog message, or on a line of a file."""

    CEF = "cef"
    JSON = "json"
    OCSF = "ocsf"


class Told(Struct, frozen=True):
    """A record, ready to be said. `subjects` counts people; who they are stays here."""

    seq: int
    time_us: int
    kind: int
    name: str
    severity: int
    title: str  # Russian
    message: str  # Russian
    fields: dict[str, object]
    subjects: int
    leaf_hash: str
    origin: str

    @classmethod
    def of(cls, entry: OpenedEntry, leaf_hash: bytes, origin: str) -> Told:
        """The record, by its own fields; one of a kind that this version does not know is told as such."""
        event = decode(entry.kind, entry.schema, entry.body)
        title, message = told(entry, event)
        fields = (
            {}
            if event is None
            else {name: _plain(getattr(event, name)) for name in event.__struct_fields__ if name not in _KEPT_HERE}
        )
        name = f"Unknown{entry.kind}" if event is None else type(event).__name__
        severity = 2 if event is None else _SEVERITY.get(type(event), 2)
        subjects = len(entry.subjects)
        return cls(
            entry.seq,
            entry.time_us,
            entry.kind,
            name,
            severity,
            title,
            message,
            fields,
            subjects,
            leaf_hash.hex(),
            origin,
        )


def line(record: Told, chosen: Format, *, syslog: bool) -> bytes:
    """The record on one line, without an end. INVARIANT: no value in it can begin another line or another field."""
    payload = _PAYLOAD[chosen](record)
    return _syslog(record, payload) if syslog else payload.encode()


def _syslog(record: Told, payload: str) -> bytes:
    """RFC 5424, section 6; the payload is the MSG, in UTF-8 with its mark."""
    priority = _FACILITY * 8 + _syslog_severity(record.severity)
    moment = datetime.fromtimestamp(record.time_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    data = "".join(
        f' {name}="{_param(value)}"'
        for name, value in (("seq", str(record.seq)), ("leaf", record.leaf_hash), ("origin", record.origin))
    )
    return f"<{priority}>1 {moment} {_host()} {PRODUCT} - {record.name} [record@{_ENTERPRISE}{data}] {_BOM}{payload}".encode()


def _cef(record: Told) -> str:
    header = "|".join(map(_header, (VENDOR, PRODUCT, __version__, str(record.kind), record.name, str(record.severity))))
    fields = record.fields
    extension: dict[str, object] = {
        "rt": record.time_us // 1000,
        "externalId": record.seq,
        "deviceExternalId": record.origin,
        "cat": record.title,
        "msg": record.message,
        "suser": fields.get("officer"),
        "sourceServiceName": fields.get("app"),
        "destinationServiceName": fields.get("route") or fields.get("recipient"),
        "outcome": fields.get("status") or fields.get("verdict"),
        "reason": fields.get("error") or fields.get("reason"),
        "cnt": fields.get("count"),
        "cn1": record.subjects,
        "cn1Label": "subjects",
        "cs1": record.leaf_hash,
        "cs1Label": "leafHash",
        "cs2": _json_text({name: value for name, value in fields.items() if value not in ("", None, [], {})}),
        "cs2Label": "fields",
    }
    told = " ".join(f"{key}={_extension(str(value))}" for key, value in extension.items() if value not in (None, ""))
    return f"CEF:0|{header}|{told}"


def _json(record: Told) -> str:
    document = msgspec.structs.asdict(record)
    moment = datetime.fromtimestamp(record.time_us / 1e6, UTC).isoformat()
    return _json_text({"time": moment, **document})


def _ocsf(record: Told) -> str:
    """API Activity (6003) of OCSF 1.9 with the profile Record Integrity: a fingerprint over the event, keys sorted, without itself."""
    officer, app = record.fields.get("officer"), record.fields.get("app")
    activity = _ACTIVITY.get(record.name, 99)
    severity = 1 if record.severity < 4 else 2 if record.severity < 6 else 3 if record.severity < 7 else 4
    event: dict[str, object] = {
        "activity_id": activity,
        "category_uid": 6,
        "class_uid": 6003,
        "type_uid": 600300 + activity,
        "severity_id": severity,
        "time": record.time_us // 1000,
        "message": record.message,
        "metadata": {
            "version": "1.9.0",
            "profiles": ["record_integrity"],
            "product": {"name": PRODUCT, "vendor_name": VENDOR, "version": __version__},
            "log_name": record.origin,
            "event_code": record.name,
            "original_event_uid": str(record.seq),
            "sequence": record.seq,
        },
        "actor": {"user": {"name": officer}} if officer else {"application": {"name": app or PRODUCT}},
        "api": {"operation": record.name, "service": {"name": PRODUCT}},
        "src_endpoint": {"hostname": _host()},
        "unmapped": {"fields": record.fields, "subjects": record.subjects, "leaf_hash": record.leaf_hash},
        "attestation": {"uid": str(record.seq), "chain_uid": record.origin, "authority_uid": record.origin},
    }
    fingerprint = hashlib.sha256(_json_text(event, ordered=True).encode()).hexdigest()
    attestation = {**event["attestation"], "fingerprint": {"algorithm_id": 3, "value": fingerprint}}  # type: ignore[dict-item]  # made above
    return _json_text({**event, "attestation": attestation}, ordered=True)


_PAYLOAD = {Format.CEF: _cef, Format.JSON: _json, Format.OCSF: _ocsf}
_ACTIVITY = {"LogRead": 2, "PolicyChanged": 3, "StopChanged": 3, "SubjectErased": 4, "ContentDropped": 4}


def _plain(value: object) -> object:
    """What JSON can say; digests as hexadecimal."""
    match value:
        case bytes():
            return value.hex()
        case tuple() | list():
            return [_plain(each) for each in value]
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
    return msgspec.to_builtins(value)


def _json_text(value: object, *, ordered: bool = False) -> str:
    """JSON on one line: every control character is escaped by the encoder."""
    text = msgspec.json.encode(value, order="sorted" if ordered else None).decode()
    return _BREAKING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _header(text: str) -> str:
    """A field of CEF's header: a backslash before itself and the bar, no control characters."""
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _extension(text: str) -> str:
    """A value of CEF's extension: a backslash before itself and the equals sign; line breaks become a backslash and a letter."""
    escaped = text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
    return _one_line(escaped)


def _param(text: str) -> str:
    """A value of structured data, RFC 5424 section 6.3.3."""
    return _one_line(text).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _one_line(text: str) -> str:
    return "".join(" " if character < " " or character in "\x7f\u0085\u2028\u2029" else character for character in text)


def _syslog_severity(severity: int) -> int:
    """RFC 5424's: 6 informational, 5 notice, 4 warning, 3 error."""
    return 6 if severity < 4 else 5 if severity < 6 else 4 if severity < 8 else 3


def _host() -> str:
    """Our machine's name as RFC 5424 allows it: visible ASCII, at most 255 characters."""
    return "".join(each for each in socket.gethostname() if "!" <= each <= "~")[:255] or "-"
