"""What staff send and get: stops, the policy in force, held answers."""

from __future__ import annotations

from typing import Annotated

import msgspec

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


_STOP = msgspec.json.Decoder(StopRequest)


def decode_stop(body: bytes) -> StopRequest:
    """Raises BadRequestError."""
    return decode(_STOP, body, {"kind": f"`kind` is one of {', '.join(StopKind)}"})


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
