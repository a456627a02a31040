"""Ollama on a machine of the company: /api/chat, and never a model that Ollama forwards to its maker's cloud."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final, TypeVar

import aiohttp
import msgspec
from msgspec import Meta, Struct
from yarl import URL

from providers.addresses import is_private_host
from providers.chat import ChatRequest, Chunk
from providers.egress import Place, place_of
from providers.embedding import EmbeddingRequest, Embeddings
from providers.errors import (
    CLIENT_ERRORS,
    MalformedReplyError,
    PermissionDeniedError,
    ProviderError,
    UnusableSettingsError,
    from_client,
)
from providers.examination import failed, for_a_look, residency_check, retention_check
from providers.exchange import Exchange, Seconds, Timeouts, get, open_session, post, read_key, tls_context
from providers.gate import Gate
from providers.ollama_checks import RETENTION, SERVER, cloud_check, context_checks, model_check, server_check
from providers.ollama_wire import (
    LineParser,
    Refusal,
    ReplyReader,
    Think,
    cloud_models,
    decode_embeddings,
    decode_version,
    encode_embedding,
    encode_request,
    encode_show,
    error_code,
    full_name,
    loaded_contexts,
    names_cloud,
    refusal_of,
)
from providers.openai_compatible import OpenAICompatibleSettings, problems_of_openai_compatible
from providers.protocol import Check, Readiness
from providers.router import ModelSettings, ProviderName, Residency

# Seconds, or a duration as Go writes it; a negative one keeps the model loaded for ever, 0 unloads it at once.
KeepAlive = int | Annotated[str, Meta(pattern=r"^-?([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$")]


T = TypeVar("T")


class OllamaSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ollama", kw_only=True):
    """`base_url` ends where `/api` begins.

    `num_ctx` is the context in tokens, prompt and answer together: it goes with every request. `keep_alive` and `think`
    are left to the upstream when not given; a request's own reasoning effort comes before `think`. `max_concurrent` is
    OLLAMA_NUM_PARALLEL there; the rest wait for `queue_seconds` at most. `recheck_seconds`: how long a model is believed to
    run where it did when it was last looked at; 0 looks before every prompt. `api_key_file` is for a proxy in front: Ollama
    itself asks for no key.
    """

    name: ProviderName
    models: tuple[ModelSettings, ...]
    base_url: str = "http://127.0.0.1:11434"
    api_key_file: str = ""
    ca_file: str = ""
    num_ctx: Annotated[int, Meta(ge=1, le=16_777_216)] = 8192
    keep_alive: KeepAlive | None = None
    think: Think | None = None
    max_concurrent: Annotated[int, Meta(ge=1)] = 1
    queue_seconds: Seconds = 30.0
    recheck_seconds: Annotated[float, Meta(ge=0)] = 60.0
    timeouts: Timeouts = Timeouts()
    keepalive: Annotated[float, Meta(ge=0)] = 15.0


@asynccontextmanager
async def open_ollama(settings: OllamaSettings, broker: str = "") -> AsyncIterator["Ollama"]:
    """Reads the key and the CA file once, now. Raises UnusableSettingsError naming the first thing that is wrong."""
    # What is amiss with the key's file beyond being unreadable is for the check to say, not a reason to stay closed.
    if problems := problems_of_ollama(msgspec.structs.replace(settings, api_key_file="")):
        raise UnusableSettingsError(problems[0])
    headers = {}
    if settings.api_key_file:
        try:
            headers["Authorization"] = f"Bearer {await asyncio.to_thread(read_key, settings.api_key_file)}"
        except (OSError, ValueError):
            raise UnusableSettingsError(problems_of_ollama(settings)[0]) from None
    url = URL(settings.base_url)
    tls = await asyncio.to_thread(tls_context, settings.ca_file) if url.scheme == "https" else None
    async with open_session(
        tls=tls, inside=_is_inside(url), keepalive=settings.keepalive, timeouts=settings.timeouts, broker=broker
    ) as session:
        yield Ollama(settings, session, headers)


def problems_of_ollama(settings: OllamaSettings) -> list[str]:
    """What makes opening fail, and what an operator should not leave as it is. Reads files, asks no network."""
    # Address, residency, key and CA file obey the rules of every upstream that has a `base_url`.
    alike = OpenAICompatibleSettings(
        name=settings.name,
        models=settings.models,
        base_url=settings.base_url,
        api_key_file=settings.api_key_file,
        ca_file=settings.ca_file,
    )
    return [*problems_of_openai_compatible(alike), *_path_problems(settings), *_model_problems(settings)]


def places_of_ollama(settings: OllamaSettings) -> list[Place]:
    """Where connections of this provider go."""
    return [place_of(settings.base_url, inside=_is_inside(URL(settings.base_url)))]


class Ollama:
    """One Ollama, one keep-alive session. Made by open_ollama, or over a session of open_session.

    `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        settings: OllamaSettings,
        session: aiohttp.ClientSession,
        headers: dict[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name: Final = settings.name
        self._settings = settings
        self._session = session
        self._url = URL(settings.base_url) / "api"
        self._headers = _OUR_HEADERS | headers
        self._gate = Gate(settings.max_concurrent, settings.queue_seconds)
        self._guard = _CloudGuard(self._look_up, settings.recheck_seconds, clock)

    def readiness(self) -> Readiness:
        """Not ready while every model is known to be refused; what has not been looked at lately counts as usable."""
        models = [_upstream_name(model) for model in self._settings.models]
        known = [(model, refusal) for model in models if (refusal := self._guard.known_refusal(model))]
        if not models or len(known) < len(models):
            return Readiness(ready=True)
        model, refusal = known[0]
        return Readiness(ready=False, reason=_REASONS[refusal].format(model), retry_after=self._guard.next_look(models))

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        settings = self._settings
        body = encode_request(request, num_ctx=settings.num_ctx, keep_alive=settings.keep_alive, think=settings.think)
        async with self._gate.place():
            # INVARIANT: no prompt goes to a model unless it was seen, lately enough, to run where Ollama runs.
            await self._guard.clear(request.model)
            async with post(self._session, self._url / "chat", body, self._headers, settings.timeouts) as exchange:
                await _expect_lines(exchange)
                reply, lines = ReplyReader(turn=len(request.messages), request_id=exchange.request_id), LineParser()
                finished = False
                # (1) hand on each line as it comes, until the one that says `done` or the end of the bytes
                while not finished and (received := await exchange.more()):
                    for line in lines.feed(received):
                        if chunk := self._read(reply, line, request.model):
                            yield chunk
                        if finished := reply.finished:
                            break
                # (2) the last line may have no end
                if not finished and (chunk := self._read_rest(reply, lines.rest(), request.model)):
                    yield chunk
                reply.end()
                await exchange.drain()

    @property
    def largest_batch(self) -> int:
        return _LARGEST_BATCH

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        settings = self._settings
        body = encode_embedding(request, num_ctx=settings.num_ctx, keep_alive=settings.keep_alive)
        async with self._gate.place():
            # INVARIANT: as in chat, no text goes to a model unless it was seen, lately enough, to run where Ollama runs.
            await self._guard.clear(request.model)
            async with post(self._session, self._url / "embed", body, self._headers, settings.timeouts) as exchange:
                await _expect_lines(exchange)
                json = await exchange.whole()
        try:
            return decode_embeddings(json, request, request_id=exchange.request_id)
        except PermissionDeniedError:
            self._guard.condemn(request.model)
            raise
        except CLIENT_ERRORS as error:
            raise from_client(error, began=True, request_id=exchange.request_id) from None

    async def examine(self) -> tuple[Check, ...]:
        """Every listing of models is a look: each model of the settings is looked at anew, and what is seen counts."""
        settings = self._settings
        version = await self._tried("version", decode_version)
        if isinstance(version, ProviderError):
            return (failed(SERVER, version), residency_check(settings.models, inside=_is_inside(self._url)))
        looks = [(model, await self._looked(_upstream_name(model))) for model in settings.models]
        return (
            server_check(version),
            *(model_check(model, look) for model, look in looks),
            cloud_check(await self._tried("tags", cloud_models)),
            *context_checks(settings.models, settings.num_ctx, await self._tried("ps", loaded_contexts)),
            residency_check(settings.models, inside=_is_inside(self._url)),
            retention_check(RETENTION if _is_inside(self._url) else ""),
        )

    async def _looked(self, model: str) -> Refusal | ProviderError | None:
        try:
            return await self._guard.look(model)
        except ProviderError as error:
            return error

    async def _tried(self, path: str, decode: Callable[[bytes], T]) -> T | ProviderError:
        """One question about the server; an examination goes on after an error."""
        limits = for_a_look(self._settings.timeouts)
        try:
            async with get(self._session, self._url / path, self._headers, limits) as exchange:
                json = await _json_of(exchange)
            return decode(json)
        except ProviderError as error:
            return error
        except CLIENT_ERRORS as error:
            return from_client(error, began=True)

    def _read(self, reply: ReplyReader, line: bytes, model: str) -> Chunk | None:
        try:
            return reply.read(line)
        except RecursionError:
            raise MalformedReplyError(_TOO_DEEP, request_id=reply.request_id) from None
        except CLIENT_ERRORS as error:
            raise from_client(error, began=True, request_id=reply.request_id) from None
        finally:
            if reply.forwarded:
                self._guard.condemn(model)

    def _read_rest(self, reply: ReplyReader, line: bytes, model: str) -> Chunk | None:
        """What does not parse after the last line's end is no malformed line but an answer that broke off."""
        try:
            return self._read(reply, line, model) if line else None
        except MalformedReplyError:
            return None

    async def _look_up(self, model: str) -> Refusal | None:
        """Ask the upstream where a model runs. Carries no prompt. Raises ProviderError when it cannot be told."""
        limits = for_a_look(self._settings.timeouts)
        async with post(self._session, self._url / "show", encode_show(model), self._headers, limits) as exchange:
            if exchange.status == 404:
                return Refusal.ABSENT
            shown = await _json_of(exchange)
        async with get(self._session, self._url / "tags", self._headers, limits) as exchange:
            listed = await _json_of(exchange)
        try:
            return refusal_of(model, shown, listed)
        except RecursionError:
            raise MalformedReplyError(_TOO_DEEP) from None
        except CLIENT_ERRORS as error:
            raise from_client(error, began=True) from None


class _Verdict(Struct, frozen=True):
    """`at`: when the look began, on the guard's clock."""

    at: float
    refusal: Refusal | None


class _CloudGuard:
    """Which models may be given a prompt. "Local" is checked, not assumed: Ollama can forward a model to a cloud."""

    def __init__(
        self, look_up: Callable[[str], Awaitable[Refusal | None]], recheck_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._look_up = look_up
        self._recheck = recheck_seconds
        self._clock = clock
        self._verdicts: dict[str, _Verdict] = {}
        self._condemned: set[str] = set()

    async def clear(self, model: str) -> None:
        """Returns when a prompt may be sent now. Raises PermissionDeniedError, and what the look raises."""
        if not self._is_condemned(model) and not self._is_fresh(model):
            await self._look(model)
        # A verdict in hand may be older than `recheck_seconds` by now only by as long as the look itself took.
        refusal = Refusal.FORWARDED if self._is_condemned(model) else self._verdicts[model].refusal
        if refusal:
            raise _denied(refusal)

    def condemn(self, model: str) -> None:
        """The model answered from another host: it is never asked again, under any spelling of its name."""
        self._condemned.add(full_name(model))

    def known_refusal(self, model: str) -> Refusal | None:
        """The refusal in force, without a look."""
        if self._is_condemned(model):
            return Refusal.FORWARDED
        return self._verdicts[model].refusal if self._is_fresh(model) else None

    def next_look(self, models: list[str]) -> float | None:
        """Seconds until the first of these refused models is looked at again; None when none of them ever is."""
        looks = [self._verdicts[model].at + self._recheck for model in models if not self._is_condemned(model)]
        return max(min(looks) - self._clock(), 0.0) if looks else None

    async def look(self, model: str) -> Refusal | None:
        """Look now, however fresh the last look is; nobody is asked about what is known for good. Raises ProviderError."""
        if not self._is_condemned(model):
            await self._look(model)
        return Refusal.FORWARDED if self._is_condemned(model) else self._verdicts[model].refusal

    async def _look(self, model: str) -> None:
        began = self._clock()
        verdict = _Verdict(began, await self._look_up(model))
        known = self._verdicts.get(model)
        # Two requests may look at once: what was seen later counts.
        if known is None or known.at <= began:
            self._verdicts[model] = verdict

    def _is_condemned(self, model: str) -> bool:
        return full_name(model) in self._condemned or names_cloud(model)

    def _is_fresh(self, model: str) -> bool:
        verdict = self._verdicts.get(model)
        return verdict is not None and self._clock() - verdict.at < self._recheck


_OUR_HEADERS: Final = {
    "Accept": "application/x-ndjson, application/json",
    "Accept-Encoding": "identity",  # nothing to inflate, nothing to blow up
    "Content-Type": "application/json",
    "User-Agent": "llm-client/1.0",
}
_LARGEST_BATCH: Final = 256  # texts: the server sets no limit of its own
_TOO_DEEP: Final = "the upstream's reply is nested too deeply"
_DENIALS: Final = {
    Refusal.FORWARDED: ("the upstream forwards this model to another host: no prompt is sent", "permission_denied"),
    Refusal.ABSENT: ("the upstream does not list this model: no prompt is sent", "model_not_found"),
}
_REASONS: Final = {
    Refusal.FORWARDED: "Ollama пересылает модель `{}` за пределы компании, запросы к ней не отправляются; "
    "запустите Ollama с OLLAMA_NO_CLOUD=1",
    Refusal.ABSENT: "модели `{}` нет на сервере Ollama, запросы к ней не отправляются; загрузите её: `ollama pull`",
}


def _denied(refusal: Refusal) -> PermissionDeniedError:
    message, code = _DENIALS[refusal]
    return PermissionDeniedError(message, code=code)


async def _expect_lines(exchange: Exchange) -> None:
    if exchange.status != 200:
        raise await exchange.failure(error_code)
    if exchange.content_type == "text/html":
        raise MalformedReplyError("the upstream answered with a web page", request_id=exchange.request_id)


async def _json_of(exchange: Exchange) -> bytes:
    if exchange.status != 200:
        raise await exchange.failure(error_code)
    return await exchange.whole()


def _upstream_name(model: ModelSettings) -> str:
    return model.upstream or model.name


def _is_inside(url: URL) -> bool:
    return url.host is not None and is_private_host(url.host)


def _path_problems(settings: OllamaSettings) -> list[str]:
    with suppress(ValueError):  # what is no URL at all has been named already
        if URL(settings.base_url).path.rstrip("/").endswith(("/api", "/v1", "/chat")):
            return [f"поставщик `{settings.name}`: `base_url` должен кончаться там, где начинается `/api`"]
    return []


def _model_problems(settings: OllamaSettings) -> list[str]:
    problems = [
        f"поставщик `{settings.name}`: модель `{model.name}` облачная, Ollama перешлёт запросы за пределы компании; уберите её"
        for model in settings.models
        if names_cloud(_upstream_name(model))
    ]
    with suppress(ValueError):
        if _is_inside(URL(settings.base_url)):
            problems += [
                f"поставщик `{settings.name}`: Ollama стоит внутри сети компании, а модель `{model.name}` не названа"
                ' локальной; укажите residency = "local"'
                for model in settings.models
                if model.residency is not Residency.LOCAL
            ]
    return problems
