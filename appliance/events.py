"""What we write to the log: one Struct a kind, encoded as MessagePack arrays.

The kind's number and the schema version stand in the record's header; the numbers are never reused.
By type no record can hold a prompt, an answer, a detected value or a secret: a field is an enum, a number, a keyed digest,
or an `Id` — a short name that an administrator chose in the settings or the policy, or that we made ourselves.
Later schema versions only append fields with defaults, so that an old record is always readable.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import ClassVar

import msgspec

from appliance.event_fields import Id, ProviderId, Reference
from appliance.log_events import (
    AuditBlocked,
    AuthFailed,
    Booted,
    Checkpointed,
    ClockDisputed,
    ClockJumped,
    ContentDropped,
    DisclosureAsked,
    DisclosureDecided,
    ErasureAsked,
    HandedOver,
    KeysRenewed,
    LogRead,
    ReadWhat,
    Restored,
    Resumed,
    ScrubDamaged,
    SelfChecked,
    ShutDown,
    SideBroughtIn,
    SubjectErased,
    SubjectHold,
    Unwitnessed,
    Witnessed,
)
from audit import Entry
from policies import Entity, Residency, StopKind, Suspicion, Verdict
from providers import Task

__all__ = [
    "DECISIONS",
    "KEPT",
    "KINDS",
    "SCHEMA",
    "Analyzed",
    "AuditBlocked",
    "AuthFailed",
    "Booted",
    "Checkpointed",
    "ClockDisputed",
    "ClockJumped",
    "ContentDropped",
    "DisclosureAsked",
    "DisclosureDecided",
    "ErasureAsked",
    "Event",
    "Explained",
    "HandedOver",
    "HoldAct",
    "HoldDecided",
    "Id",
    "Intent",
    "Interface",
    "KeysRenewed",
    "LogRead",
    "Masked",
    "Outcome",
    "PolicyChanged",
    "ProviderId",
    "ReadWhat",
    "Reference",
    "RefusalReason",
    "Refused",
    "Restored",
    "Resumed",
    "ScrubDamaged",
    "SelfChecked",
    "ShutDown",
    "SideBroughtIn",
    "Status",
    "StopChanged",
    "SubjectErased",
    "SubjectHold",
    "Unmasked",
    "Unwitnessed",
    "Witnessed",
    "decode",
    "entry",
    "provider_id",
]

SCHEMA = 4

_PROVIDER_ID = re.compile(r"[A-Za-z0-9._:-]{0,64}")


class Status(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"  # the provider answered with an error, or not at all, before the first chunk
    INTERRUPTED = "interrupted"  # the provider broke off after the first chunk
    WITHHELD = "withheld"  # the answer came, and the policy or a person did not let it out
    STOPPED = "stopped"  # an officer's stop ended it
    ABORTED = "aborted"  # our client went away, or we were told to stop
    UNKNOWN = "unknown"  # the process died before it could say


class RefusalReason(StrEnum):
    """Why a request reached nobody."""

    POLICY = "policy"
    PURPOSE = "purpose"
    NOT_READY = "not-ready"
    UNINSPECTABLE = "uninspectable"
    DETECTOR = "detector"


class Intent(msgspec.Struct, frozen=True, array_like=True):
    """One attempt is about to be made: durable before the provider is called."""

    KIND: ClassVar[int] = 1

    request_id: Id
    attempt: int
    app: Id
    key_id: Id
    purpose: Id
    ground: str  # the article of the legal ground, as the policy states it for the purpose
    policy_version: str
    policy_digest: bytes  # SHA-256 of the policy in force
    detector: Id
    route: Id  # provider/model
    residency: Residency
    country: str
    verdict: Verdict
    method: str  # how values were hidden: "placeholder", or "" when nothing was
    rules: tuple[Id, ...]
    found: dict[Entity, int]
    masked: dict[Entity, int]
    residual: dict[Entity, int]  # left as they were, as the verdict for this residency allows
    streamed: bool
    user: bytes = b""  # keyed pseudonym of the end user, 16 bytes; empty when the application named none
    # Since schema 2.
    task: Task = Task.CHAT
    texts: int = 0  # how many texts become vectors by this attempt; 0 for a chat
    choice: str = ""  # why this route: a token of the router, such as `least-cost:known`
    estimate: int | None = None  # millionths of a ruble that the attempt may cost; None when there is no tariff
    # Since schema 3.
    recipient: str = ""  # the policy's card of who runs the model; empty within the organisation
    card: bytes = b""  # SHA-256 of that card as it was
    methods: dict[Entity, str] = {}  # how each kind was hidden
    unmaskable: tuple[Entity, ...] = ()  # kinds found where a text must keep its exact form
    consent: bytes = b""  # keyed pseudonym of the consent the application referred to, 16 bytes
    primary_record: bool = False  # the application says that what it collects is recorded in Russia
    legal_effect: bool = False
    collects: bool = False
    template: str = ""  # the template or topic that the request fits
    suspicions: tuple[Suspicion, ...] = ()  # what the request looks like
    # Since schema 4: recorded aside, while the log could not write, and brought in later.
    side: bytes = b""  # SHA-256 of the line in the side file; empty for what went straight into the log
    side_time: int = 0  # when that was, UTC, microseconds
    commitment: bytes = (
        b""  # HMAC-SHA256 over the request, under `commit_key`: the log's own could not be made any more
    )
    commit_key: bytes = b""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """How the attempt of `intent` ended."""

    KIND: ClassVar[int] = 2

    intent: int  # the log's number of the Intent
    status: Status
    error: str = ""  # type name of our own error
    finish_reason: str = ""
    provider_request_id: ProviderId = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    chunks: int = 0
    milliseconds: int = 0
    placeholders: int = 0  # distinct hidden values whose originals the answer could be given back
    # Since schema 2.
    first_milliseconds: int | None = None  # until the first chunk that says something
    cached_tokens: int = 0  # of the prompt's
    cost: int | None = None  # millionths of a ruble; None when it is not known
    cost_exact: bool = False  # whether it rests on the provider's own count of tokens
    tariff: str = ""
    # Since schema 3.
    inspected: bool = False  # whether all of the answer was looked at for new personal data
    found: dict[Entity, int] = {}  # new personal data in the answer: neither asked about nor put back by us
    suspicions: tuple[Suspicion, ...] = ()
    unrestored: int = 0  # what looked like a placeholder of ours and could not be put back
    reviewer: str = ""  # who looked at an answer with legal effect
    # Since schema 4: as in Intent.
    side: bytes = b""
    side_time: int = 0


class Refused(msgspec.Struct, frozen=True, array_like=True):
    """A request that reached nobody, and why."""

    KIND: ClassVar[int] = 3

    request_id: Id
    app: Id
    key_id: Id
    reason: RefusalReason
    purpose: str = ""  # empty when none was named or it is not one of the policy's
    policy_digest: bytes = b""
    rules: tuple[Id, ...] = ()
    found: dict[Entity, int] = {}
    residencies: tuple[Residency, ...] = ()  # of the routes that were asked for
    user: bytes = b""
    # Since schema 3.
    destinations: tuple[tuple[Id, Residency, str, str], ...] = ()  # asked for: route, residency, country, recipient
    unmaskable: tuple[Entity, ...] = ()
    consent: bytes = b""
    primary_record: bool = False
    template: str = ""


class Interface(StrEnum):
    """By which door a request to look at texts came."""

    ANALYZE = "analyze"
    PRESIDIO_ANALYZE = "presidio-analyze"
    PRESIDIO_ANONYMIZE = "presidio-anonymize"


class Analyzed(msgspec.Struct, frozen=True, array_like=True):
    """Texts were looked at, or masked by findings that the caller brought, and went nowhere."""

    KIND: ClassVar[int] = 6

    request_id: Id
    app: Id
    key_id: Id
    purpose: Id
    ground: str
    policy_digest: bytes
    detector: Id
    interface: Interface
    texts: int
    found: dict[Entity, int]
    user: bytes = b""


class Masked(msgspec.Struct, frozen=True, array_like=True):
    """Texts went back to an application with values hidden, for it to send to `residency` itself; where it does is not seen from here."""

    KIND: ClassVar[int] = 7

    request_id: Id
    app: Id
    key_id: Id
    purpose: Id
    ground: str
    policy_digest: bytes
    detector: Id
    residency: Residency
    country: str
    recipient: str
    card: bytes
    verdict: Verdict
    rules: tuple[Id, ...]
    texts: int
    found: dict[Entity, int]
    methods: dict[Entity, str]  # how each kind was hidden; a kind that is not here was left as it was
    user: bytes = b""


class Unmasked(msgspec.Struct, frozen=True, array_like=True):
    """An application had originals put back into texts of its own."""

    KIND: ClassVar[int] = 8

    request_id: Id
    app: Id
    key_id: Id
    masked: int  # the log's number of the Masked
    texts: int
    placeholders: int  # distinct values that the mapping holds
    unrestored: int


class Explained(msgspec.Struct, frozen=True, array_like=True):
    """An application asked what would happen to a request; nothing was sent."""

    KIND: ClassVar[int] = 9

    request_id: Id
    app: Id
    key_id: Id
    purpose: Id
    policy_digest: bytes
    detector: Id
    found: dict[Entity, int]
    user: bytes = b""


class HoldAct(StrEnum):
    """What a reviewer did with a held answer."""

    VIEWED = "viewed"
    APPROVED = "approved"
    DENIED = "denied"


class StopChanged(msgspec.Struct, frozen=True, array_like=True):
    """A stop was laid or lifted. Of a consent the pseudonym is kept; a person is in the compartment, and `target` empty."""

    KIND: ClassVar[int] = 40

    request_id: Id
    officer: Id
    kind: StopKind
    target: str
    laid: bool
    ground: Reference = ""


class PolicyChanged(msgspec.Struct, frozen=True, array_like=True):
    """Another policy came into force, or was kept from it; who stands behind it, and what it would have done to the past."""

    KIND: ClassVar[int] = 41

    request_id: str  # empty when a signal asked for it
    officer: str  # empty when a signal asked for it
    accepted: bool
    old_digest: bytes
    new_digest: bytes  # empty when the new one could not even be read
    version: str = ""
    profile: str = ""
    author: str = ""
    approver: str = ""
    problems: int = 0  # how many kept it out
    difference: bytes = b""  # SHA-256 of the list of differences, as `appliance policy diff` prints it
    replayed: int = 0  # recorded decisions that were made again under it
    refused: int = 0  # of them: newly refused
    masked: int = 0  # newly masked, or more kinds of data masked
    allowed: int = 0  # newly let through, or with less masked


class HoldDecided(msgspec.Struct, frozen=True, array_like=True):
    """A person looked at an answer with legal effect, or let it out, or did not (152-ФЗ ст. 16)."""

    KIND: ClassVar[int] = 42

    request_id: Id  # of the request that was held
    intent: int
    officer: Id
    act: HoldAct


Event = (
    Intent
    | Outcome
    | Refused
    | Analyzed
    | Masked
    | Unmasked
    | Explained
    | StopChanged
    | PolicyChanged
    | HoldDecided
    | LogRead
    | ErasureAsked
    | SubjectErased
    | SubjectHold
    | KeysRenewed
    | DisclosureAsked
    | DisclosureDecided
    | HandedOver
    | ContentDropped
    | Restored
    | Witnessed
    | Unwitnessed
    | Checkpointed
    | ClockDisputed
    | AuthFailed
    | Booted
    | ShutDown
    | Resumed
    | ClockJumped
    | AuditBlocked
    | SideBroughtIn
    | ScrubDamaged
    | SelfChecked
)

KINDS: dict[int, type[Event]] = {
    kind.KIND: kind
    for kind in (
        Intent,
        Outcome,
        Refused,
        Analyzed,
        Masked,
        Unmasked,
        Explained,
        StopChanged,
        PolicyChanged,
        HoldDecided,
        LogRead,
        ErasureAsked,
        SubjectErased,
        SubjectHold,
        KeysRenewed,
        DisclosureAsked,
        DisclosureDecided,
        HandedOver,
        ContentDropped,
        Restored,
        Witnessed,
        Unwitnessed,
        Checkpointed,
        ClockDisputed,
        AuthFailed,
        Booted,
        ShutDown,
        Resumed,
        ClockJumped,
        AuditBlocked,
        SideBroughtIn,
        ScrubDamaged,
        SelfChecked,
    )
}
"""The catalogue: number in the record's header → Struct."""

KEPT, DECISIONS = 0, 1
"""Retention classes: what is kept as long as the log, and what is decided about requests."""

_DECISIONS = Intent | Outcome | Refused | Analyzed | Masked | Unmasked | Explained | HoldDecided | AuthFailed
_ENCODER = msgspec.msgpack.Encoder()
_DECODERS = {number: msgspec.msgpack.Decoder(kind) for number, kind in KINDS.items()}


def entry(event: Event, *, subjects: tuple[bytes, ...] = (), commit_to: bytes = b"") -> Entry:
    """The log's entry for an event. An Intent opens, its Outcome closes; so does a demand of erasure, and its act."""
    match event:
        case Outcome():
            closes: int | None = event.intent
        case SubjectErased():
            closes = event.asked
        case _:
            closes = None
    return Entry(
        kind=event.KIND,
        schema=SCHEMA,
        body=_ENCODER.encode(event),
        subjects=subjects,
        opens=isinstance(event, Intent | ErasureAsked),
        retention=DECISIONS if isinstance(event, _DECISIONS) else KEPT,
        closes=closes,
        commit_to=commit_to,
    )


def decode(kind: int, schema: int, body: bytes) -> Event | None:
    """The event in a record's body; None for a kind or a schema that this version does not know, and for a body that is no longer kept."""
    if schema > SCHEMA or kind not in _DECODERS or not body:
        return None
    return _DECODERS[kind].decode(body)


def provider_id(text: str) -> str:
    """A provider's request id if it is one by its shape, else nothing: a peer's words do not enter the log."""
    return text if _PROVIDER_ID.fullmatch(text) else ""
