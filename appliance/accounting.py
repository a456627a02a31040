"""What an attempt costs in rubles: estimated before the call, exact afterwards, and unknown where no tariff is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

from providers import Cost, PriceList, Route, TokenEstimator, Usage

_MOSCOW = timezone(timedelta(hours=3))  # vendors' tariffs begin at midnight there


def today() -> date:
    """The date by which tariffs are chosen."""
    return datetime.now(UTC).astimezone(_MOSCOW).date()


class Accounting:
    """Tariffs and what has been learnt of token counts. `vendors`: provider's name → who sells its tokens."""

    def __init__(self, prices: PriceList, vendors: Mapping[str, str], on: Callable[[], date] = today) -> None:
        self._prices = prices
        self._vendors = vendors
        self._on = on
        self._tokens = TokenEstimator()

    def estimate(self, route: Route, characters: int, max_tokens: int | None) -> Decimal | None:
        """Rubles that a request of so many characters may cost; None when there is no tariff."""
        usage = self._tokens.estimate(route.id, characters, max_tokens)
        cost = self.cost(route, usage, seconds=0.0)
        return None if cost is None else Decimal(cost.microrubles) / 1_000_000

    def cost(self, route: Route, usage: Usage | None, *, seconds: float) -> Cost | None:
        """What an attempt cost that used `usage` and took `seconds`; None, never 0, when it cannot be told."""
        tariff = self._prices.tariff(self._vendors[route.provider], route.upstream, self._on())
        return None if tariff is None or usage is None else self._prices.cost(tariff, usage, seconds=seconds)

    def learn(self, route: Route, characters: int, usage: Usage | None) -> None:
        """Count what came of an attempt."""
        if usage is not None:
            self._tokens.learn(route.id, characters, usage)
