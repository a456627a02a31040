"""The model inside the appliance: llama.cpp beside us on a UNIX socket, for demonstrations, tests and a last resort."""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from yarl import URL

from providers import engine
from providers.chat import ChatRequest, Chunk
from providers.engine import EngineOrder, EngineReport
from providers.errors import ModelLoadingError, UnusableSettingsError
from providers.exchange import Timeouts, open_local_session
from providers.openai_compatible import OpenAICompatible
from providers.protocol import Readiness
from providers.router import ModelSettings, ProviderName, Residency

# A prompt token costs some 18 ms on two cores: the first byte of a full context takes more than a minute.
TIMEOUTS: Final = Timeouts(connect=5.0, first_byte=300.0, idle=120.0, total=1800.0)
# llama.cpp promises keep-alive and closes after every stream; a new connection costs nothing beside a token.
KEEPALIVE: Final = 0.0


class EmbeddedSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="embedded", kw_only=True):
    """`model_file` is a GGUF. `n_ctx` tokens are shared by `n_parallel` requests. `n_threads` 0: all cores but one."""

    name: ProviderName
    models: tuple[ModelSettings, ...]
    model_file: str
    n_ctx: Annotated[int, Meta(ge=256, le=131_072)] = 4096
    n_parallel: Annotated[int, Meta(ge=1, le=2)] = 1
    n_threads: Annotated[int, Meta(ge=0, le=256)] = 0


@asynccontextmanager
async def open_embedded(settings: EmbeddedSettings) -> AsyncIterator["Embedded"]:
    """Starts loading and does not wait for it. A file that cannot be loaded fails this provider, not the service."""
    wrong = _residency_problems(settings)
    if wrong:
        raise UnusableSettingsError(wrong[0])
    provider = Embedded(settings)
    running = asyncio.create_task(provider.run(), name=f"embedded engine {settings.name}")
    try:
        yield provider
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        provider.stopped()


def problems_of_embedded(settings: EmbeddedSettings) -> list[str]:
    return [*_residency_problems(settings), *_engine_problems(settings)]


class Embedded:
    """Made by open_embedded, which also runs it."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        self.name: Final = settings.name
        self.process_id = 0  # the engine's, while one runs
        self._settings = settings
        self._client: OpenAICompatible | None = None
        self._state = Readiness(ready=False, reason="модель загружается", retry_after=5.0)

    def readiness(self) -> Readiness:
        return self._state

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        if self._client is None:
            raise ModelLoadingError(self._state.reason, retry_after=self._state.retry_after)
        stream = self._client.chat(request)
        try:
            async for chunk in stream:
                yield chunk
        finally:
            await stream.aclose()

    async def run(self) -> None:
        """Keep an engine running until cancelled. One that served and died is started again, more slowly each time."""
        pause = 1.0
        try:
            problems = await asyncio.to_thread(_engine_problems, self._settings)
            if problems:
                self._fail(problems[0])
                return
            while await self._serve():
                self._state = Readiness(
                    ready=False, reason="встроенный движок перезапускается", retry_after=pause + 5.0
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, 60.0)
            self._fail(f"файл модели `{self.name}` не загружается; скачайте его заново")
        finally:
            if self._state.ready or self._state.retry_after:
                self.stopped()

    def stopped(self) -> None:
        self._fail("встроенный движок остановлен")

    async def _serve(self) -> bool:
        """Start an engine and wait for its end. False when it never got as far as answering."""
        with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as folder:  # of mode 0700
            return await self._serve_at(f"{folder}/engine.sock", secrets.token_urlsafe(32))

    async def _serve_at(self, socket: str, key: str) -> bool:
        process = await asyncio.create_subprocess_exec(
            # -I: neither the environment nor the working directory decides what the engine imports.
            sys.executable,
            "-I",
            engine.__file__,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to answer, not the engine's
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.process_id = process.pid
        try:
            if not await _ordered(process, self._order(socket, key)):
                return False
            async with open_local_session(socket, keepalive=KEEPALIVE, timeouts=TIMEOUTS) as session:
                headers = {"Authorization": f"Bearer {key}"}
                self._client = OpenAICompatible(self.name, session, URL("http://engine/v1"), headers, TIMEOUTS)
                self._state = Readiness(ready=True)
                await process.wait()
            return True
        finally:
            self._client = None
            self.process_id = 0
            with suppress(ProcessLookupError):
                process.kill()  # it holds nothing that a gentler end would save
            await process.wait()

    def _order(self, socket: str, key: str) -> EngineOrder:
        settings = self._settings
        return EngineOrder(
            socket=socket,
            model_file=settings.model_file,
            alias=settings.name,
            api_key=key,
            n_ctx=settings.n_ctx,
            n_parallel=settings.n_parallel,
            n_threads=settings.n_threads or max(1, (os.cpu_count() or 1) - 1),
        )

    def _fail(self, reason: str) -> None:
        self._state = Readiness(ready=False, reason=reason)


def cpu_problem(cpuinfo: str) -> str:
    """Why this processor cannot run the engine, or "". It is built for AVX2: without it the process is killed."""
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    if "avx2" in flags.split():
        return ""
    return "встроенному движку нужен процессор с AVX2; на этой машине выберите другого поставщика"


async def _ordered(process: asyncio.subprocess.Process, order: EngineOrder) -> bool:
    """Hand the order over and wait for the engine to listen; false when the process ended or refused instead."""
    if process.stdin is None or process.stdout is None:  # pragma: no cover - for the type checker: it has both pipes
        raise AssertionError("the engine is started with pipes")
    with suppress(ConnectionError):
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        await process.stdin.drain()
    line = await process.stdout.readline()
    return bool(line) and msgspec.json.decode(line, type=EngineReport).listens


def _residency_problems(settings: EmbeddedSettings) -> list[str]:
    return [
        f"поставщик `{settings.name}`: модель `{model.name}` работает здесь, её `residency` — `local`"
        for model in settings.models
        if model.residency is not Residency.LOCAL
    ]


def _engine_problems(settings: EmbeddedSettings) -> list[str]:
    problems = []
    if find_spec("xllamacpp") is None:
        problems.append("встроенный движок не установлен; установите дополнение `embedded`")
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (wrong := cpu_problem(cpuinfo.read_text(encoding="utf-8"))):
        problems.append(wrong)
    try:
        with Path(settings.model_file).open("rb") as file:
            if file.read(4) != b"GGUF":
                problems.append(f"поставщик `{settings.name}`: `model_file` — не файл GGUF; скачайте его заново")
    except OSError:
        problems.append(
            f"поставщик `{settings.name}`: `model_file` не читается; скачайте модель: `appliance model fetch`"
        )
    return problems
