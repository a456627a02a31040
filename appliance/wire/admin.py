"""What staff send and get: stops, the policy in force, held answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from appliance.custody import Erasure
from appliance.events import Reference
from appliance.governance import StopOrder
from appliance.holds import Held
from appliance.wire.decoding import Strict, decode
from appliance.witnesses import Witnesses
from audit import Scrubbed
from policies import Policy, StopKind

_Named = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class StopRequest(Strict, frozen=True):
    """What to stop. `name`: of people and consents the customer's own identifier; it is not kept."""

    kind: StopKind
    name: _Named
    ground: Reference = ""


class StopShown(msgspec.Struct, frozen=True):
    """A stop in force; `since` is UTC, RFC 3339."""

    kind: StopKind
    target: str
    by: str
    since: str
    ground: str


class StopList(msgspec.Struct, frozen=True):
    """All stops in force, the oldest first."""

    stops: list[StopShown]


class SubjectRequest(Strict, frozen=True):
    """A person, by the customer's own identifier; it is not kept."""

    subject: _Named
    ground: Reference = ""


class ErasureRequest(Strict, frozen=True):
    """People to cut off from their records."""

    subjects: Annotated[list[_Named], msgspec.Meta(min_length=1, max_length=1000)]
    ground: Reference = ""


class WitnessShown(msgspec.Struct, frozen=True):
    """A witness: how many records it has confirmed, when (UTC, RFC 3339; empty for never), and "ok" or what is wrong, in Russian.

    `trouble` is a value of Trouble, or empty; `state` is empty before the first word.
    """

    name: str
    kind: str
    counts: bool
    size: int
    seen: str
    state: str
    trouble: str


class WitnessList(msgspec.Struct, frozen=True):
    """All of them; `witnessed`: how many of the log's `size` records `quorum` of the `counted` have confirmed."""

    size: int
    witnessed: int
    quorum: int
    counted: int
    lacking: str
    witnesses: list[WitnessShown]


class RenewalRequest(Strict, frozen=True):
    """Why keys are renewed."""

    ground: Reference = ""


class DisclosureRequest(Strict, frozen=True):
    """Which records to open for somebody. Times are UTC, RFC 3339; `subject` is the customer's own identifier and is not kept."""

    since: datetime | None = None
    until: datetime | None = None
    app: Annotated[str, msgspec.Meta(max_length=128)] = ""
    case: Reference = ""
    records: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(max_length=1000)] = ()
    subject: Annotated[str, msgspec.Meta(max_length=256)] = ""
    ground: Reference = ""


class DisclosureDecision(Strict, frozen=True):
    """Whether to agree to the request recorded under this number."""

    asked: Annotated[int, msgspec.Meta(ge=0)]
    approve: bool


class ErasureShown(msgspec.Struct, frozen=True):
    """What was done for one person; `act` says it in Russian, with what it is not."""

    asked: int
    record: int
    records: int
    generation: int
    act: str


class HoldShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer that waits; with its texts only where one is asked for by its id."""

    id: str
    record: int
    app: str
    purpose: str
    route: str
    since: str
    question: str = ""
    answer: str = ""


class HoldList(msgspec.Struct, frozen=True):
    """All answers that wait, the oldest first."""

    holds: list[HoldShown]


class PolicyShown(msgspec.Struct, frozen=True):
    """The policy in force."""

    version: str
    digest: str
    profile: str
    purposes: list[str]
    recipients: list[str]
    rules: int


_SUBJECT = msgspec.json.Decoder(SubjectRequest)
_ERASURE = msgspec.json.Decoder(ErasureRequest)
_DISCLOSURE = msgspec.json.Decoder(DisclosureRequest)
_DECISION = msgspec.json.Decoder(DisclosureDecision)
_RENEWAL = msgspec.json.Decoder(RenewalRequest)
_STOP = msgspec.json.Decoder(StopRequest)


def decode_stop(body: bytes) -> StopRequest:
    """Raises BadRequestError."""
    return decode(_STOP, body, {"kind": f"`kind` is one of {', '.join(StopKind)}"})


def decode_subject(body: bytes) -> SubjectRequest:
    """Raises BadRequestError."""
    return decode(
        _SUBJECT, body, {"subject": "`subject` is the person's identifier in your systems, 1 to 256 characters"}
    )


def decode_erasure(body: bytes) -> ErasureRequest:
    """Raises BadRequestError."""
    return decode(_ERASURE, body, {"subjects": "`subjects` is a list of 1 to 1000 identifiers of your systems"})


def decode_renewal(body: bytes) -> RenewalRequest:
    """Raises BadRequestError."""
    return decode(_RENEWAL, body, {"ground": "`ground` is a short reference"})


def decode_disclosure(body: bytes) -> DisclosureRequest:
    """Raises BadRequestError."""
    words = (
        "name what to open by `since`, `until` (RFC 3339), `app`, `case`, `records` (at most 1000 numbers), `subject`"
    )
    return decode(_DISCLOSURE, body, dict.fromkeys(("since", "until", "app", "case", "records", "subject"), words))


def decode_decision(body: bytes) -> DisclosureDecision:
    """Raises BadRequestError."""
    return decode(_DECISION, body, {"asked": "`asked` is the number of the request's record"})


def witnesses_shown(witnesses: Witnesses) -> WitnessList:
    """The witnesses as staff see them."""
    shown = [
        WitnessShown(
            each.name,
            each.kind,
            each.counts,
            each.size,
            datetime.fromtimestamp(each.time, UTC).isoformat(timespec="seconds") if each.time else "",
            each.state,
            each.trouble or "",
        )
        for each in witnesses.standings
    ]
    return WitnessList(
        witnesses.size, witnesses.witnessed, witnesses.quorum, witnesses.counted, witnesses.lacking, shown
    )


def erasure_shown(erasure: Erasure) -> ErasureShown:
    """An erasure as staff see it."""
    journal = "" if erasure.wal_emptied else " Файл упреждающей записи занят читателем и будет очищен позже."
    act = (
        f"По требованию (запись {erasure.asked}) стёрты ключ субъекта и ключи, которыми он был зашифрован раньше; удалены строки"
        f" указателя и ссылки. Записей, которые вели к субъекту: {erasure.records}. Сами записи и доказательства целостности сохранены, но"
        " через журнал и его прежние копии связь их с субъектом больше не устанавливается."
        f"{journal} Это криптографическое стирание. Оно не является уничтожением средствами, прошедшими оценку соответствия"
        " (152-ФЗ, ст. 19 ч. 2 п. 3.1): если такое средство требуется, примените его к носителям."
    )
    return ErasureShown(erasure.asked, erasure.record, erasure.records, erasure.generation, act)


class ScrubShown(msgspec.Struct, frozen=True):
    """What reading the whole log again gave: how many records, the root over them, ranges that are damaged."""

    size: int
    root: str
    damaged: list[Scrubbed]


def stop_shown(order: StopOrder) -> StopShown:
    """A stop as staff see it."""
    return StopShown(order.kind, order.target, order.by, order.since.isoformat(), order.ground)


def hold_shown(held: Held, *, texts: bool) -> HoldShown:
    """A held answer as staff see it."""
    return HoldShown(
        held.id,
        held.intent,
        held.app,
        held.purpose,
        held.route,
        held.since.isoformat(),
        held.question if texts else "",
        held.answer if texts else "",
    )


def policy_shown(policy: Policy) -> PolicyShown:
    """The policy as staff see it."""
    return PolicyShown(
        policy.version,
        policy.digest,
        policy.profile,
        sorted(policy.purposes),
        sorted(policy.recipients),
        len(policy.rules),
    )
