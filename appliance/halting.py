"""Ending calls under way: a stop ends those that fall under it at once, and not only the next request.

A call waits for its provider within `Halt`; a stop laid meanwhile ends the wait, and with it the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TypeVar

from appliance.errors import StoppedError, told
from appliance.governance import Governance
from policies import Context, Destination, Rule, stopped

_T = TypeVar("_T")


class Halt:
    """One call under way."""

    def __init__(self, context: Context, destination: Destination) -> None:
        self._context = context
        self._destination = destination
        self._rules: tuple[Rule, ...] = ()
        self._waiting: asyncio.Timeout | None = None

    def obey(self, governance: Governance) -> None:
        """End the call if a stop in force falls on it."""
        self._rules = self._rules or stopped(self._context, self._destination, governance.stops)
        if self._rules and self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def check(self) -> None:
        """Raises StoppedError once the call was ended."""
        if self._rules:
            raise StoppedError(f"Запрос остановлен. {told(self._rules)}", self._rules)

    async def within(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """The result of `work()`. Raises StoppedError: then it was cancelled, or never begun."""
        try:
            async with asyncio.timeout(None) as self._waiting:
                self.check()
                return await work()
        except TimeoutError:
            self.check()
            raise
        finally:
            self._waiting = None

    async def guarded(self, chunks: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None]:
        """The same chunks, until a stop ends them. Raises StoppedError."""
        async with aclosing(chunks):
            while True:
                try:
                    async with asyncio.timeout(None) as self._waiting:
                        self.check()
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    self.check()
                    raise
                finally:
                    self._waiting = None
                yield chunk


class Halts:
    """All calls under way; listens to what officers do."""

    def __init__(self, governance: Governance) -> None:
        self._governance = governance
        self._under_way: set[Halt] = set()
        governance.listeners.append(self._obey)

    def rules(self, context: Context, destination: Destination) -> tuple[Rule, ...]:
        """The stops that a call falls under that is about to begin."""
        return stopped(context, destination, self._governance.stops)

    def begin(self, context: Context, destination: Destination) -> Halt:
        """A call that begins; `end` it."""
        halt = Halt(context, destination)
        halt.obey(self._governance)
        self._under_way.add(halt)
        return halt

    def end(self, halt: Halt) -> None:
        """The call is over, however."""
        self._under_way.discard(halt)

    @contextmanager
    def call(self, context: Context, destination: Destination) -> Iterator[Halt]:
        """A call that begins and ends here."""
        halt = self.begin(context, destination)
        try:
            yield halt
        finally:
            self.end(halt)

    def _obey(self) -> None:
        for halt in tuple(self._under_way):
            halt.obey(self._governance)
