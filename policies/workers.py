"""The detector's processes as the service sees them: started, asked, told to give up, killed and replaced."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from policies.entities import Entity
from policies.errors import DetectorFailedError, RecognizersFileError
from policies.finding import Finding, Text
from policies.worker import CANCEL, HEAD, Reply, job_of


class Workers:
    """A number of processes, each of which looks at one call's texts at a time."""

    def __init__(self, first: bytes) -> None:
        """Use `open`. `first` is what each process gets first: the customer's recognisers."""
        self._first = first
        self._idle: asyncio.Queue[_Process] = asyncio.Queue()
        self._all: set[_Process] = set()
        self._mending: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(cls, count: int, first: bytes) -> AsyncIterator[Workers]:
        """`count` processes that are ready; ends them with the context.

        Raises DetectorFailedError when they cannot be started, RecognizersFileError when the customer's recognisers are no good.
        """
        workers = cls(first)
        try:
            await asyncio.gather(*(workers._add() for _ in range(count)))
            yield workers
        finally:
            await workers._close()

    async def find(self, texts: Sequence[Text]) -> list[tuple[Finding, ...]]:
        """The findings of each text, from the next process that is free. Raises DetectorFailedError.

        When the caller gives up, the process is told to; one that does not within a second or two is killed and replaced.
        """
        process = await self._idle.get()
        try:
            reply = await process.ask(texts)
        except DetectorFailedError:
            self._mend(process, hopeless=True)
            raise
        except asyncio.CancelledError:
            self._mend(process, hopeless=False)
            raise
        self._idle.put_nowait(process)
        if reply.problem:
            raise DetectorFailedError(reply.problem)
        return [
            tuple(Finding(start, end, Entity(kind), score) for start, end, kind, score in one) for one in reply.found
        ]

    async def _add(self) -> None:
        process = await _Process.start(self._first)
        self._all.add(process)
        self._idle.put_nowait(process)

    def _mend(self, process: _Process, *, hopeless: bool) -> None:
        if self._closed:
            return
        task = asyncio.create_task(self._mended(process, hopeless=hopeless))
        self._mending.add(task)
        task.add_done_callback(self._mending.discard)

    async def _mended(self, process: _Process, *, hopeless: bool) -> None:
        """Make the process, or another in its place, free again."""
        if not hopeless and await process.gives_up():
            self._idle.put_nowait(process)
            return
        self._all.discard(process)
        await process.kill()
        delay = _FIRST_DELAY
        while True:
            try:
                await self._add()
            except (DetectorFailedError, RecognizersFileError):
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
            else:
                return

    async def _close(self) -> None:
        self._closed = True
        for task in self._mending:
            task.cancel()
        await asyncio.gather(*self._mending, return_exceptions=True)
        await asyncio.gather(*(process.kill() for process in self._all))


_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0  # seconds between two attempts to start a process
_PATIENCE = 2.0  # seconds for a process to notice that nobody waits: it looks after every window of a text


class _Process:
    """One process. `ask` is called only when no answer is awaited."""

    def __init__(
        self, process: asyncio.subprocess.Process, jobs: asyncio.StreamWriter, replies: asyncio.StreamReader
    ) -> None:
        self._process = process
        self._jobs = jobs
        self._replies = replies

    @classmethod
    async def start(cls, first: bytes) -> _Process:
        """A process that is ready. Raises DetectorFailedError and RecognizersFileError."""
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            started = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "policies.worker", stdin=pipe, stdout=pipe, stderr=nowhere
            )
        except OSError as error:
            raise DetectorFailedError(f"the detector's process cannot be started ({type(error).__name__})") from None
        if started.stdin is None or started.stdout is None:
            raise TypeError("pipes were asked for")
        process = cls(started, started.stdin, started.stdout)
        try:
            ready = await process._exchange(first)
        except BaseException:
            await process.kill()
            raise
        if ready.problem or ready.faults:
            await process.kill()
            raise RecognizersFileError(ready.faults) if ready.faults else DetectorFailedError(ready.problem)
        return process

    async def ask(self, texts: Sequence[Text]) -> Reply:
        """The reply about texts. Raises DetectorFailedError when the process is gone."""
        return await self._exchange(msgspec.msgpack.encode(job_of(texts)))

    async def gives_up(self) -> bool:
        """Tell it that nobody waits any more; whether it then answered in time, so that it can be asked again."""
        try:
            async with asyncio.timeout(_PATIENCE):
                self._jobs.write(CANCEL)
                await self._jobs.drain()
                await self._reply()
        except (TimeoutError, DetectorFailedError, ConnectionError):
            return False
        return True

    async def kill(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._jobs.close()
        await self._process.wait()

    async def _exchange(self, content: bytes) -> Reply:
        try:
            self._jobs.write(HEAD.pack(1, len(content)) + content)
            await self._jobs.drain()
        except ConnectionError:
            raise DetectorFailedError("the detector's process has ended") from None
        return await self._reply()

    async def _reply(self) -> Reply:
        try:
            _, length = HEAD.unpack(await self._replies.readexactly(HEAD.size))
            return _DECODER.decode(await self._replies.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise DetectorFailedError("the detector's process has ended") from None


def tried(first: bytes) -> tuple[str, ...]:
    """The problems that a process has with the customer's recognisers. Blocks until it is ready, or has failed, and ends it."""
    command = [sys.executable, "-m", "policies.worker"]
    frame = HEAD.pack(1, len(first)) + first
    try:
        done = subprocess.run(command, input=frame, capture_output=True, timeout=_LONGEST_TRIAL, check=False)  # noqa: S603 - our own module
        reply = _DECODER.decode(done.stdout[HEAD.size :])
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as error:
        return (f"распознаватели заказчика не загрузились: процесс не ответил (`{type(error).__name__}`)",)
    return reply.faults or ((reply.problem,) if reply.problem else ())


_LONGEST_TRIAL = 120.0  # seconds; a class may load a model
_DECODER = msgspec.msgpack.Decoder(Reply)
