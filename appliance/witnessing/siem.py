"""The checkpoint as a record, which every SIEM sink then carries off the machine: evidence for who reads it there, and not counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from appliance.events import Checkpointed
from appliance.witnessing.confirming import Seen
from appliance.witnessing.settings import SiemSettings
from audit import AuditLog, Receipt, parse_checkpoint, text_of


class SiemStream:
    """Appends a Checkpointed record when the log has grown by more than the last of them. `clock` is POSIX."""

    kind = "siem"
    counts = False

    def __init__(
        self,
        settings: SiemSettings,
        every: float,
        append: Callable[[Checkpointed], Awaitable[Receipt]],
        clock: Callable[[], float],
    ) -> None:
        self._append = append
        self._clock = clock
        self._after = 0  # size of the log after our last record
        self.name = settings.name
        self.every = every

    async def confirm(self, log: AuditLog, seen: Seen) -> Seen:
        """See Confirming."""
        if log.size <= self._after:
            return seen
        checkpoint = parse_checkpoint(text_of(log.checkpoint()))
        receipt = await self._append(Checkpointed(checkpoint.size, checkpoint.root))
        self._after = receipt.seq + 1
        return Seen(checkpoint.size, self._clock())
