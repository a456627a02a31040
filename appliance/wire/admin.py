"""What staff send and get: stops, the policy in force, held answers."""

from __future__ import annotations

from typing import Annotated

import msgspec

from appliance.custody import Erasure
from appliance.events import Reference
from appliance.governance import StopOrder
from appliance.holds import Held
from appliance.wire.decoding import Strict, decode
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


class RenewalRequest(Strict, frozen=True):
    """Why keys are renewed."""

    ground: Reference = ""


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
