"""The places a provider has for requests at once, and the queue before them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from providers.errors import RateLimitedError

_RETRY_AFTER: Final = 1.0  # seconds: a place is freed by whichever answer ends first


class Gate:
    """At most `places` at once, 0 for as many as come; one more waits `patience` seconds at most, in order of arrival."""

    __slots__ = ("_patience", "_places")

    def __init__(self, places: int, patience: float) -> None:
        self._places = asyncio.Semaphore(places) if places else None
        self._patience = patience

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the places, given back at the end. Raises RateLimitedError when none came free in time."""
        if self._places is None:
            yield
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise RateLimitedError(
                "every place of this provider stayed taken, see `max_concurrent`", retry_after=_RETRY_AFTER
            ) from None
        try:
            yield
        finally:
            self._places.release()
