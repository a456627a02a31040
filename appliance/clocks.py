"""The machine's two clocks, watched: a wall clock that was set leaves a record, for times in the log are only as good as it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from appliance.errors import RecordingError
from appliance.events import ClockJumped
from appliance.recorder import Recorder

_EVERY = 1.0  # seconds
_LEAST = 1.0  # seconds that the wall clock may gain or lose between two looks; NTP slews by half a millisecond a second


class Clocks:
    """Compares the wall clock with the monotonic one. Both are in nanoseconds."""

    def __init__(
        self,
        recorder: Recorder,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._recorder = recorder
        self._wall = wall
        self._monotonic = monotonic
        self._difference = wall() - monotonic()

    async def look(self) -> None:
        """Record a jump since the last look. Raises RecordingError: then it is recorded at a later one."""
        difference = self._wall() - self._monotonic()
        gained = difference - self._difference
        if abs(gained) > _LEAST * 1e9:
            await self._recorder.append(ClockJumped(gained // 1_000_000))
        self._difference = difference

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            with suppress(RecordingError):
                await self.look()
            await asyncio.sleep(_EVERY)
