"""Server-sent events as OpenAI-style servers write them: the `data` of each event, from any split of the bytes."""

from typing import Final

from providers.errors import MalformedReplyError

MAX_EVENT: Final = 1_048_576  # bytes: a longer event is an attack or a broken peer, not an answer


class EventParser:
    """WHATWG HTML, section 9.2.6, for the one field we need.

    LF, CRLF and CR end a line; comments and other fields are skipped; several `data` lines are joined by LF.
    An event whose closing empty line never came is never given out.
    """

    __slots__ = ("_after_cr", "_data", "_line", "_max", "_size", "_started")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max = max_event
        self._line = bytearray()  # the line that has not ended yet
        self._data: list[bytes] = []  # the data lines of the event that has not ended yet
        self._size = 0
        self._after_cr = False
        self._started = False

    def feed(self, received: bytes) -> list[bytes]:
        """The events that `received` completed. Raises MalformedReplyError when one grows past the limit."""
        if self._after_cr and received:
            # A CR ended the last line already; an LF right after it belongs to it.
            received = received[1:] if received[0] == 0x0A else received
            self._after_cr = False
        events: list[bytes] = []
        cut = max(received.rfind(b"\n"), received.rfind(b"\r")) + 1
        if cut:
            self._after_cr = received[cut - 1] == 0x0D
            for line in (self._line + received[:cut]).splitlines():
                self._end_line(bytes(line), events)
            self._line.clear()
        self._line += received[cut:]
        self._check(len(self._line))
        return events

    def _end_line(self, line: bytes, events: list[bytes]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
                self._size = 0
        elif line.startswith(b"data:") or line == b"data":
            self._check(len(line))
            self._size += len(line)
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])

    def _check(self, more: int) -> None:
        if self._size + more > self._max:
            raise MalformedReplyError(f"the upstream sent an event longer than {self._max} bytes")
