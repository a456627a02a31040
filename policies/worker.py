"""The process that looks for personal data: texts come in through a pipe, findings go out. Started by `workers.py`, never by hand.

A process of its own leaves the service's event loop its core, and can be killed when a text takes too long. A frame is the byte 1, a
length (4 bytes, big-endian) and MessagePack; the byte 0 alone, sent while texts are being read, says that nobody wants the answer any more.
"""

from __future__ import annotations

import os
import select
import signal
import struct
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from policies.errors import DetectorError, RecognizersFileError
from policies.finding import Text

HEAD = struct.Struct(">BI")
CANCEL = b"\x00"


class Job(msgspec.Struct, array_like=True):
    """Texts to look at: content and label, in UTF-8 with lone surrogates let through."""

    texts: list[tuple[bytes, bytes]]


class Reply(msgspec.Struct, array_like=True):
    """The findings of each text (start, end, kind, score), or why there are none. `problem` never quotes a text.

    `faults` are problems of the customer's recognisers, instead of being ready.
    """

    found: list[list[tuple[int, int, str, float]]] = []
    problem: str = ""
    faults: tuple[str, ...] = ()


def texts_of(job: Job) -> list[Text]:
    """The texts of a job."""
    return [
        Text(content.decode("utf-8", "surrogatepass"), label.decode("utf-8", "surrogatepass"))
        for content, label in job.texts
    ]


def job_of(texts: Sequence[Text]) -> Job:
    """The job of looking at texts."""
    return Job(
        [(text.content.encode("utf-8", "surrogatepass"), text.label.encode("utf-8", "surrogatepass")) for text in texts]
    )


def main() -> None:
    """Read the customer's recognisers, load, say so, then answer job after job until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which then closes the pipe
    jobs, replies = _pipes()
    first = _frame(jobs)
    if first is None:
        return
    from policies.custom import CustomFile
    from policies.detector import UnwantedError, find_all, prepare  # heavy

    custom = msgspec.msgpack.decode(first, type=CustomFile | None)
    try:
        prepare(custom)
    except RecognizersFileError as error:
        _send(replies, Reply(faults=error.problems))
        return
    except DetectorError as error:
        _send(replies, Reply(problem=str(error)))
        return
    _send(replies, Reply())

    def checkpoint() -> None:
        if select.select([jobs], [], [], 0)[0]:
            raise UnwantedError

    decoder = msgspec.msgpack.Decoder(Job)
    while frame := _frame(jobs):
        try:
            found = find_all(texts_of(decoder.decode(frame)), checkpoint, custom)
        except UnwantedError:
            _send(replies, Reply(problem="unwanted"))
        except DetectorError as error:
            _send(replies, Reply(problem=str(error)))
        else:
            _send(replies, Reply([[(each.start, each.end, each.entity, each.score) for each in one] for one in found]))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipe of jobs, unbuffered, and that of replies; whatever a recogniser prints goes nowhere."""
    jobs, replies = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return jobs, replies


def _frame(jobs: BinaryIO) -> bytes | None:
    """The next frame; None at the end of the pipe. A cancellation that came too late is passed over."""
    while (kind := jobs.read(1)) == CANCEL:
        pass
    if not kind:
        return None
    head = _exactly(jobs, HEAD.size - 1)
    return None if head is None else _exactly(jobs, HEAD.unpack(kind + head)[1])


def _exactly(jobs: BinaryIO, count: int) -> bytes | None:
    pieces = bytearray()
    while len(pieces) < count:
        piece = jobs.read(count - len(pieces))
        if not piece:
            return None
        pieces += piece
    return bytes(pieces)


def _send(replies: BinaryIO, reply: Reply) -> None:
    content = msgspec.msgpack.encode(reply)
    replies.write(HEAD.pack(1, len(content)) + content)
    replies.flush()


if __name__ == "__main__":
    main()
