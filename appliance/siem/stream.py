"""One sink's stream: from a cursor on disk, in order, again and again until it is handed over; the log itself is the buffer."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from pathlib import Path
from typing import Literal

import msgspec

from appliance.placing import place
from appliance.siem.formats import Told, line
from appliance.siem.settings import SinkSettings
from appliance.siem.transport import Transport, opened
from audit import AuditError, AuditLog

_BATCH = 64  # records read, sent and noted at a time
_AGAIN = 64  # records sent again after a connection was lost: syslog has no receipts, some may have been in a buffer
_EVERY = 0.5  # seconds between two looks at an idle log
_LONGEST_PAUSE = 60.0
_LOG = logging.getLogger("appliance")


class _Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a stream stands: the next record, and the leaf hash of the one before it."""

    format: Literal["LLM APPLIANCE SIEM CURSOR 1"]
    next: int
    leaf: str


class CursorError(Exception):
    """The cursor's file cannot be read or kept: the stream stands rather than skip."""


class Stream:
    """Sends the log to one sink. `state` is "" while all is well."""

    def __init__(self, sink: SinkSettings, log: AuditLog, origin: str, folder: Path, broker: str = "") -> None:
        self._sink = sink
        self._broker = broker
        self._log = log
        self._origin = origin
        self._path = folder / f"{sink.name}.cursor"
        self._next = 0
        self._sent_any = False
        self.state = "ещё не соединялись"

    @property
    def name(self) -> str:
        """The sink."""
        return self._sink.name

    @property
    def lag(self) -> int:
        """How many records were not handed over yet."""
        return max(self._log.size - self._next, 0)

    async def run(self) -> None:
        """Send, for ever. What fails is told once and tried again after a growing pause."""
        failures = 0
        while True:
            try:
                await self._load()
                async with opened(self._sink, self._broker) as transport:
                    self._told("")
                    failures = 0
                    await self._pump(transport)
            except CursorError as error:
                self._told(str(error))
            except AuditError as error:
                self._told(f"журнал не читается: {error}")
            except ssl.SSLCertVerificationError as error:
                self._told(f"сертификату нет доверия ({error.verify_message}); укажите `ca_file`")
            except OSError as error:  # a timeout is one
                self._told(f"недоступен ({error.strerror or type(error).__name__})")
            except Exception as error:  # noqa: BLE001  (whatever it is, the next try comes, and the state says so)
                self._told(f"сбой ({type(error).__name__})")
            failures += 1
            await asyncio.sleep(min(_EVERY * 2**failures, _LONGEST_PAUSE) * random.uniform(0.5, 1.0))  # noqa: S311  (a pause)

    async def _pump(self, transport: Transport) -> None:
        at = max(self._next - _AGAIN, 0) if self._sent_any and transport.syslog else self._next
        while True:
            stop = min(at + _BATCH, self._log.size)
            if at >= stop:
                await transport.send(())  # an idle connection that was closed is noticed, and made anew
                await asyncio.sleep(_EVERY)
                continue
            entries = await self._log.entries(at, stop)
            records = [Told.of(entry, leaf, self._origin) for entry, leaf in entries]
            await transport.send([line(record, self._sink.format, syslog=transport.syslog) for record in records])
            at = stop
            self._sent_any = True
            if stop > self._next:
                await asyncio.to_thread(self._keep, stop, records[-1].leaf_hash)
                self._next = stop

    async def _load(self) -> None:
        cursor = await asyncio.to_thread(self._read)
        if cursor is None:
            self._next = 0
            return
        self._sent_any = True
        if cursor.next <= self._log.size:
            before = await self._log.entries(cursor.next - 1, cursor.next)
            if [leaf.hex() for _, leaf in before] == [cursor.leaf]:
                self._next = cursor.next
                return
        _LOG.warning("siem %s: the log is another one or was restored; it is sent from its beginning", self.name)
        self._next = 0

    def _read(self) -> _Cursor | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Cursor)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError):
            raise CursorError(
                f"`{self._path}`: место в журнале не читается; удалите файл, и журнал уйдёт с начала"
            ) from None

    def _keep(self, following: int, leaf: str) -> None:
        try:
            place(self._path, msgspec.json.encode(_Cursor("LLM APPLIANCE SIEM CURSOR 1", following, leaf)))
        except OSError as error:
            raise CursorError(f"`{self._path}`: место в журнале не записано ({error.strerror})") from None

    def _told(self, state: str) -> None:
        """Note how it stands, and tell the administrator when that has changed."""
        if state == self.state:
            return
        self.state = state
        if state:
            _LOG.warning("siem %s: %s", self.name, state)
        else:
            _LOG.warning("siem %s: connected", self.name)
