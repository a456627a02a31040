"""Any upstream that speaks OpenAI's chat completions: vLLM, llama.cpp, LM Studio, Cloud.ru, MWS, OpenAI."""

import asyncio
import re
import ssl
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

import aiohttp
from msgspec import Meta, Struct
from yarl import URL

from providers.addresses import is_private_host
from providers.chat import ChatRequest, Chunk
from providers.egress import Place, place_of
from providers.embedding import EmbeddingRequest, Embeddings
from providers.errors import (
    CLIENT_ERRORS,
    AuthenticationFailedError,
    MalformedReplyError,
    PermissionDeniedError,
    ProviderError,
    UnusableSettingsError,
    from_client,
)
from providers.examination import (
    CREDENTIALS,
    MODELS,
    failed,
    for_a_look,
    listed_checks,
    residency_check,
    retention_check,
)
from providers.exchange import Exchange, Seconds, Timeouts, get, open_session, post, read_key, tls_context
from providers.gate import Gate
from providers.openai_wire import (
    DONE,
    ReplyReader,
    decode_embeddings,
    decode_models,
    encode_embedding,
    encode_request,
    error_code,
)
from providers.presets import Preset, preset_of_host, presets, too_close
from providers.protocol import Check, Readiness
from providers.router import ModelSettings, ProviderName, Residency
from providers.sse import EventParser


class OpenAICompatibleSettings(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="openai_compatible", kw_only=True
):
    """`base_url` ends where `/chat/completions` begins, usually in `/v1`; `preset` names an upstream that is known, and may
    know that address.

    `ca_file`, when given, is the only authority trusted for this upstream. `headers` are sent as they are and hold
    no secret: the key has its file. `keepalive` (seconds) stays below the upstream's own idle limit; 0 makes a new
    connection for every request. `embedding_batch` is how many texts the upstream takes at once; its answer must fit into
    16 MiB, which some 190 vectors of 4096 numbers do. `max_concurrent` 0 sends as many requests at once as come; otherwise
    the rest wait for `queue_seconds` at most.
    """

    name: ProviderName
    models: tuple[ModelSettings, ...]
    base_url: str = ""
    preset: str = ""
    api_key_file: str = ""
    ca_file: str = ""
    headers: dict[str, str] = {}
    embedding_batch: Annotated[int, Meta(ge=1, le=10_000)] = 256
    max_concurrent: Annotated[int, Meta(ge=0, le=10_000)] = 0
    queue_seconds: Seconds = 30.0
    timeouts: Timeouts = Timeouts()
    keepalive: Annotated[float, Meta(ge=0)] = 15.0


@asynccontextmanager
async def open_openai_compatible(
    settings: OpenAICompatibleSettings, broker: str = ""
) -> AsyncIterator["OpenAICompatible"]:
    """Reads the key and the CA file once, now. Raises UnusableSettingsError naming the first thing that is wrong."""
    problems = _refusals(settings)
    if problems:
        raise UnusableSettingsError(problems[0])
    url = URL(_address(settings))
    headers = dict(settings.headers)
    if settings.api_key_file:
        headers["Authorization"] = f"Bearer {await asyncio.to_thread(read_key, settings.api_key_file)}"
    tls = await asyncio.to_thread(tls_context, settings.ca_file) if url.scheme == "https" else None
    async with open_session(
        tls=tls,
        inside=_is_inside(url, settings),
        keepalive=settings.keepalive,
        timeouts=settings.timeouts,
        broker=broker,
    ) as session:
        yield OpenAICompatible(settings.name, session, url, headers, settings.timeouts, settings)


def problems_of_openai_compatible(settings: OpenAICompatibleSettings) -> list[str]:
    """What makes opening fail, and what an operator should not leave as it is. Reads files, asks no network."""
    problems = _refusals(settings)
    preset = presets().get(settings.preset)
    if preset and preset.needs_key and not settings.base_url and not settings.api_key_file:
        problems.append(f"поставщик `{settings.name}`: {preset.title} требует ключа; задайте `api_key_file`")
    with suppress(OSError):
        if settings.api_key_file and Path(settings.api_key_file).stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
            problems.append(
                f"поставщик `{settings.name}`: файл `api_key_file` открыт другим пользователям; выполните `chmod 400`"
            )
    return problems


def places_of_openai_compatible(settings: OpenAICompatibleSettings) -> list[Place]:
    """Where connections of this provider go."""
    address = _address(settings)
    return [place_of(address, inside=_is_inside(URL(address), settings))]


class OpenAICompatible:
    """One upstream, one keep-alive session. Made by open_openai_compatible, or over a session of open_session.

    Without `settings` there is no limit on how many requests run at once, and no model to examine.
    """

    def __init__(
        self,
        name: str,
        session: aiohttp.ClientSession,
        base_url: URL,
        headers: dict[str, str],
        timeouts: Timeouts,
        settings: OpenAICompatibleSettings | None = None,
    ) -> None:
        self.name: Final = name
        self._settings = settings or OpenAICompatibleSettings(name=name, models=())
        self._session = session
        self._url = base_url
        self._headers = _OUR_HEADERS | headers
        self._timeouts = timeouts
        self._gate = Gate(self._settings.max_concurrent, self._settings.queue_seconds)

    def readiness(self) -> Readiness:
        return Readiness(ready=True)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        body = encode_request(request)
        url = self._url / "chat" / "completions"
        async with (
            self._gate.place(),
            post(self._session, url, body, self._headers, self._timeouts) as exchange,
            aclosing(read_answer(exchange)) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    @property
    def largest_batch(self) -> int:
        return self._settings.embedding_batch

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        body = encode_embedding(request)
        url = self._url / "embeddings"
        async with self._gate.place(), post(self._session, url, body, self._headers, self._timeouts) as exchange:
            await _expect_answer(exchange)
            json = await exchange.whole()
            try:
                return decode_embeddings(json, request, request_id=exchange.request_id)
            except CLIENT_ERRORS as error:
                raise from_client(error, began=True, request_id=exchange.request_id) from None

    async def examine(self) -> tuple[Check, ...]:
        """One look at the list of models, which also tells whether the key is taken."""
        settings = self._settings
        inside = _is_inside(self._url, settings)
        facts = _preset_of(settings, self._url)
        local = inside and all(model.residency is Residency.LOCAL for model in settings.models)
        kept = "запросы остаются на узле внутри сети компании" if local else ""
        looked, listed = await self._looked()
        return (
            *looked,
            *listed_checks(settings.models, listed),
            residency_check(settings.models, inside=inside, where=facts.note if facts else ""),
            retention_check((facts.retention if facts else "") or kept),
        )

    async def _looked(self) -> tuple[list[Check], frozenset[str] | None]:
        """What the list of models says of our key, and the list, if there is one."""
        try:
            listed = await self._listed()
        except (AuthenticationFailedError, PermissionDeniedError) as error:
            return [failed(CREDENTIALS, error)], None
        except ProviderError as error:
            return [failed(MODELS, error)], None
        if listed is None:
            nothing = "поставщик не показывает список моделей, поэтому и ключ без запроса к модели не проверить"
            return [Check(CREDENTIALS, passed=None, description=nothing)], None
        taken = "ключ принят" if "Authorization" in self._headers else "ключ не нужен"
        return [Check(CREDENTIALS, passed=True, description=taken)], listed

    async def _listed(self) -> frozenset[str] | None:
        """The names of the upstream's models; None when it has no such list. Raises ProviderError."""
        async with get(self._session, self._url / "models", self._headers, for_a_look(self._timeouts)) as exchange:
            if exchange.status in _NO_LIST:
                return None
            await _expect_answer(exchange)
            json = await exchange.whole()
        try:
            return decode_models(json)
        except CLIENT_ERRORS as error:
            raise from_client(error, began=True, request_id=exchange.request_id) from None


async def read_answer(exchange: Exchange) -> AsyncGenerator[Chunk, None]:
    """The chunks of one answer, whole or streamed. The exchange stays its owner's to leave. Raises ProviderError."""
    await _expect_answer(exchange)
    # (1) a whole completion, or events
    reply = ReplyReader(exchange.request_id)
    if exchange.content_type == "application/json":
        chunk = _read(reply, await exchange.whole())
        if chunk:
            yield chunk
    else:
        # (2) hand on each chunk as it comes, until [DONE] or the end of the bytes
        parser, done = EventParser(), False
        while not done and (received := await exchange.more()):
            for event in parser.feed(received):
                if done := event == DONE:
                    break
                if chunk := _read(reply, event):
                    yield chunk
        if done:
            if chunk := reply.closed():
                yield chunk
            await exchange.drain()
    reply.end()


_OUR_HEADERS: Final = {
    "Accept": "text/event-stream, application/json",
    "Accept-Encoding": "identity",  # nothing to inflate, nothing to blow up
    "Content-Type": "application/json",
    "User-Agent": "llm-client/1.0",
}
_NO_LIST: Final = (404, 405, 501)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_HEADER: Final = re.compile(r"authorization|cookie|key|token|secret|password", re.IGNORECASE)


async def _expect_answer(exchange: Exchange) -> None:
    if exchange.status != 200:
        raise await exchange.failure(error_code)
    if exchange.content_type == "text/html":
        raise MalformedReplyError("the upstream answered with a web page", request_id=exchange.request_id)


def _read(reply: ReplyReader, json: bytes) -> Chunk | None:
    try:
        return reply.read(json)
    except CLIENT_ERRORS as error:
        raise from_client(error, began=True, request_id=reply.request_id) from None


def _refusals(settings: OpenAICompatibleSettings) -> list[str]:
    return [
        *(_preset_problems(settings) or _address_problems(settings)),
        *_file_problems(settings),
        *_header_problems(settings),
    ]


def _address(settings: OpenAICompatibleSettings) -> str:
    preset = presets().get(settings.preset)
    return settings.base_url or (preset.base_url if preset else "")


def _preset_of(settings: OpenAICompatibleSettings, url: URL) -> Preset | None:
    """What is known of the upstream: by the host that is asked, for a name in the settings proves nothing."""
    return preset_of_host(url.host or "") or presets().get(settings.preset)


def _is_inside(url: URL, settings: OpenAICompatibleSettings) -> bool:
    """Whether the session holds every connection inside the company's network."""
    return url.scheme == "http" or any(model.residency is Residency.LOCAL for model in settings.models)


def _preset_problems(settings: OpenAICompatibleSettings) -> list[str]:
    """What leaves us without an address to look at."""
    if settings.preset and settings.preset not in presets():
        known = ", ".join(f"`{name}`" for name in presets())
        return [f"поставщик `{settings.name}`: предустановки `{settings.preset}` нет; есть {known}"]
    if not _address(settings):
        note = (
            presets()[settings.preset].note
            if settings.preset
            else "он кончается там, где начинается `/chat/completions`"
        )
        return [f"поставщик `{settings.name}`: не задан `base_url`. {note}"]
    return []


def _residency_problems(settings: OpenAICompatibleSettings, host: str) -> list[str]:
    """Neither the preset nor the host may be known to work farther away than a model is said to."""
    known = {preset.name: preset for preset in (presets().get(settings.preset), preset_of_host(host)) if preset}
    found = dict.fromkeys(problem for preset in known.values() for problem in too_close(preset, settings.models))
    return [f"поставщик `{settings.name}`: {problem}" for problem in found]


def _address_problems(settings: OpenAICompatibleSettings) -> list[str]:
    name = settings.name
    try:
        url = URL(_address(settings))
    except ValueError:
        return [f"поставщик `{name}`: `base_url` — не адрес URL"]
    if url.scheme not in ("http", "https") or not url.host:
        return [f"поставщик `{name}`: `base_url` — не адрес http или https"]
    problems = []
    if url.user or url.password or url.query_string or url.fragment:
        problems.append(
            f"поставщик `{name}`: в `base_url` не место имени, паролю, запросу и фрагменту; ключ хранится в своём файле"
        )
    inside = is_private_host(url.host)
    if url.scheme == "http" and not inside:
        problems.append(f"поставщик `{name}`: `base_url` ведёт за пределы сети компании по открытому http; нужен https")
    problems += [
        f"поставщик `{name}`: модель `{model.name}` названа локальной, но `{url.host}` — не узел внутри сети компании"
        for model in settings.models
        if model.residency is Residency.LOCAL and not inside
    ]
    return [*problems, *_residency_problems(settings, url.host)]


def _file_problems(settings: OpenAICompatibleSettings) -> list[str]:
    problems = []
    try:
        if settings.api_key_file:
            read_key(settings.api_key_file)
    except OSError:
        problems.append(f"поставщик `{settings.name}`: файл `api_key_file` не читается")
    except ValueError:
        problems.append(f"поставщик `{settings.name}`: в `api_key_file` должна быть одна строка без пробелов — ключ")
    try:
        if settings.ca_file:
            tls_context(settings.ca_file)
    except (OSError, ssl.SSLError):
        problems.append(f"поставщик `{settings.name}`: `ca_file` не читается как сертификаты PEM")
    return problems


def _header_problems(settings: OpenAICompatibleSettings) -> list[str]:
    problems = []
    for header, value in settings.headers.items():
        if not _TOKEN.fullmatch(header) or not value.isascii() or not value.isprintable():
            problems.append(f"поставщик `{settings.name}`: среди `headers` есть недопустимый в HTTP")
        elif _SECRET_HEADER.search(header):
            problems.append(
                f"поставщик `{settings.name}`: заголовок `{header}` похож на секрет; для ключа есть `api_key_file`"
            )
        elif header.lower() in _RESERVED_HEADERS:
            problems.append(f"поставщик `{settings.name}`: заголовок `{header}` клиент ставит сам; уберите его")
    return problems


_RESERVED_HEADERS: Final = frozenset(
    {name.lower() for name in _OUR_HEADERS}
    | {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "expect"}
)
