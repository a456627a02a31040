"""What officers may change while requests run: the policy in force, and what is stopped.

A request takes the policy once, when it is inspected, and keeps it to its end. A stop that is laid meanwhile ends it: `halting`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from appliance.errors import SettingsError
from appliance.placing import place
from policies import Policy, Stop, StopKind


class StopOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stop in force: on what, who laid it when (UTC), and on what ground, as a short reference."""

    kind: StopKind
    target: str
    by: str
    since: datetime
    ground: str = ""


class Governance:
    """The policy and the stops in force. Stops survive a restart; a file of them that cannot be read keeps the service from starting."""

    def __init__(self, policy: Policy, stops: Path | None = None, today: Callable[[], date] = date.today) -> None:
        self.policy = policy
        self.today = today
        self._path = stops
        self._orders: dict[Stop, StopOrder] = _load(stops) if stops is not None else {}
        self.stops = frozenset(self._orders)
        self.listeners: list[Callable[[], None]] = []  # told after a stop was laid, in the event loop

    @property
    def orders(self) -> tuple[StopOrder, ...]:
        """Every stop in force, the oldest first."""
        return tuple(sorted(self._orders.values(), key=lambda order: order.since))

    def is_stopped(self, stop: Stop) -> bool:
        """Whether such a stop is in force."""
        return stop in self.stops

    def lay(self, order: StopOrder) -> None:
        """Put a stop in force, durably; from here on every request obeys it, those under way too.

        Raises OSError: then it is in force, but a restart would lift it.
        """
        self._set(self._orders | {(order.kind, order.target): order})

    def lift(self, stop: Stop) -> None:
        """Lift a stop, durably. Raises OSError: then it is still in force."""
        left = {key: order for key, order in self._orders.items() if key != stop}
        self._write(left)
        self._orders, self.stops = left, frozenset(left)

    def _set(self, orders: dict[Stop, StopOrder]) -> None:
        self._orders, self.stops = orders, frozenset(orders)
        for listener in self.listeners:
            listener()
        self._write(orders)

    def _write(self, orders: dict[Stop, StopOrder]) -> None:
        if self._path is None:
            return
        place(self._path, msgspec.json.format(msgspec.json.encode(list(orders.values())), indent=1))


def now() -> datetime:
    """The time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def _load(path: Path) -> dict[Stop, StopOrder]:
    try:
        orders = msgspec.json.decode(path.read_bytes(), type=list[StopOrder])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(
            (f"`{path}`: список остановок не читается ({type(error).__name__}): восстановите файл из резервной копии",)
        ) from None
    return {(order.kind, order.target): order for order in orders}
