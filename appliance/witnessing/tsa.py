"""A time-stamping authority (RFC 3161) as witness: it stamps the checkpoint, and the token is kept beside the log for every export.

It keeps nothing of the log itself. That the log was put back shows by the newest note that was stamped, as long as that is still here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from appliance.witnessing.confirming import NotConfirmedError, Seen, Trouble, continued
from appliance.witnessing.posting import poster
from appliance.witnessing.settings import TsaSettings, name_of
from audit import (
    AuditLog,
    Query,
    TimestampAuthority,
    VerificationError,
    keep_timestamp,
    newest_note,
    parse_checkpoint,
    text_of,
)


class TsaWitness:
    """`folder` is where tokens are kept, `slot` tells this authority's from others'; `clock` is POSIX."""

    kind = "tsa"
    counts = True

    def __init__(
        self, settings: TsaSettings, folder: Path, slot: int, clock: Callable[[], float], broker: str = ""
    ) -> None:
        self._authority = TimestampAuthority.parse(settings.tsa_ca_file.read_text(encoding="utf-8"))
        self._post = poster(settings.url, "application/timestamp-query", settings.ca_file, broker=broker)
        self._tolerance = settings.tolerance_seconds
        self._folder = folder
        self._slot = slot
        self._clock = clock
        self.name = name_of(settings)
        self.every = settings.seconds

    async def confirm(self, log: AuditLog, seen: Seen) -> Seen:  # noqa: ARG002  (every kind has it)
        """See Confirming. A token over a time that is not ours is kept, for it holds, and told."""
        try:
            newest = await asyncio.to_thread(newest_note, self._folder)
            if newest is not None:
                await continued(log, newest, str(self._folder))
            note = log.checkpoint()
            asked = self._clock()
            response, time = await asyncio.to_thread(self._stamped, text_of(note))
            answered = self._clock()
            ahead = _apart(time, asked, answered)
            await asyncio.to_thread(keep_timestamp, self._folder, note, response, self._slot)
        except VerificationError as error:
            raise NotConfirmedError(Trouble.ANSWER, str(error)) from None
        except OSError as error:
            raise NotConfirmedError(
                Trouble.STORED, f"метку нельзя сохранить в `{self._folder}` ({error.strerror})"
            ) from None
        await log.keep_seen(self.name, note, int(answered))
        size = parse_checkpoint(text_of(note)).size
        return Seen(size, answered, round(ahead * 1000) if abs(ahead) > self._tolerance else 0)

    def _stamped(self, text: str) -> tuple[bytes, int]:
        query = Query.over(text)
        try:
            status, response = self._post(query.body)
        except (OSError, HTTPException) as error:
            raise NotConfirmedError(Trouble.UNREACHABLE, f"не отвечает ({type(error).__name__})") from None
        if status != 200:
            raise NotConfirmedError(Trouble.REFUSED, f"ответила {status}")
        return response, self._authority.verify(response, text, query.nonce)[0]


def _apart(time: float, before: float, after: float) -> float:
    """By how much a time read between two others is past them, or before them; nothing when it lies between."""
    if time > after:
        return time - after
    return min(time + 1 - before, 0.0)  # a token's time may be cut to the second
