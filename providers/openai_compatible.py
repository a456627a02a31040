"""Any upstream that speaks OpenAI's chat completions: vLLM, llama.cpp, LM Studio, Cloud.ru, MWS, OpenAI."""

import asyncio
import re
import ssl
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

import aiohttp
from msgspec import Meta, Struct
from yarl import URL

from providers.addresses import is_private_host
from providers.chat import ChatRequest, Chunk
from providers.errors import (
    CLIENT_ERRORS,
    MalformedReplyError,
    UnusableSettingsError,
    from_client,
)
from providers.exchange import Timeouts, open_session, post, read_key, tls_context
from providers.openai_wire import DONE, ReplyReader, encode_request, error_code
from providers.protocol import Readiness
from providers.router import ModelSettings, ProviderName, Residency
from providers.sse import EventParser


class OpenAICompatibleSettings(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="openai_compatible", kw_only=True
):
    """`base_url` ends where `/chat/completions` begins, usually in `/v1`.

    `ca_file`, when given, is the only authority trusted for this upstream. `headers` are sent as they are and hold
    no secret: the key has its file. `keepalive` (seconds) stays below the upstream's own idle limit; 0 makes a new
    connection for every request.
    """

    name: ProviderName
    models: tuple[ModelSettings, ...]
    base_url: str
    api_key_file: str = ""
    ca_file: str = ""
    headers: dict[str, str] = {}
    timeouts: Timeouts = Timeouts()
    keepalive: Annotated[float, Meta(ge=0)] = 15.0


@asynccontextmanager
async def open_openai_compatible(settings: OpenAICompatibleSettings) -> AsyncIterator["OpenAICompatible"]:
    """Reads the key and the CA file once, now. Raises UnusableSettingsError naming the first thing that is wrong."""
    problems = _refusals(settings)
    if problems:
        raise UnusableSettingsError(problems[0])
    url = URL(settings.base_url)
    headers = dict(settings.headers)
    if settings.api_key_file:
        headers["Authorization"] = f"Bearer {await asyncio.to_thread(read_key, settings.api_key_file)}"
    tls = await asyncio.to_thread(tls_context, settings.ca_file) if url.scheme == "https" else None
    inside = url.scheme == "http" or any(model.residency is Residency.LOCAL for model in settings.models)
    async with open_session(
        tls=tls, inside=inside, keepalive=settings.keepalive, timeouts=settings.timeouts
    ) as session:
        yield OpenAICompatible(settings.name, session, url, headers, settings.timeouts)


def problems_of_openai_compatible(settings: OpenAICompatibleSettings) -> list[str]:
    """What makes opening fail, and what an operator should not leave as it is. Reads files, asks no network."""
    problems = _refusals(settings)
    with suppress(OSError):
        if settings.api_key_file and Path(settings.api_key_file).stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
            problems.append(
                f"поставщик `{settings.name}`: файл `api_key_file` открыт другим пользователям; выполните `chmod 400`"
            )
    return problems


class OpenAICompatible:
    """One upstream, one keep-alive session. Made by open_openai_compatible, or over a session of open_session."""

    def __init__(
        self, name: str, session: aiohttp.ClientSession, base_url: URL, headers: dict[str, str], timeouts: Timeouts
    ) -> None:
        self.name: Final = name
        self._session = session
        self._url = base_url / "chat" / "completions"
        self._headers = _OUR_HEADERS | headers
        self._timeouts = timeouts

    def readiness(self) -> Readiness:
        return Readiness(ready=True)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        body = encode_request(request)
        async with post(self._session, self._url, body, self._headers, self._timeouts) as exchange:
            if exchange.status != 200:
                raise await exchange.failure(error_code)
            # (1) a whole completion, or events
            reply = ReplyReader(exchange.request_id)
            if exchange.content_type == "text/html":
                raise MalformedReplyError("the upstream answered with a web page", request_id=exchange.request_id)
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
                    await exchange.drain()
            reply.end()


_OUR_HEADERS: Final = {
    "Accept": "text/event-stream, application/json",
    "Accept-Encoding": "identity",  # nothing to inflate, nothing to blow up
    "Content-Type": "application/json",
    "User-Agent": "llm-client/1.0",
}
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_HEADER: Final = re.compile(r"authorization|cookie|key|token|secret|password", re.IGNORECASE)


def _read(reply: ReplyReader, json: bytes) -> Chunk | None:
    try:
        return reply.read(json)
    except CLIENT_ERRORS as error:
        raise from_client(error, began=True, request_id=reply.request_id) from None


def _refusals(settings: OpenAICompatibleSettings) -> list[str]:
    return [
        *_address_problems(settings),
        *_file_problems(settings),
        *_header_problems(settings),
    ]


def _address_problems(settings: OpenAICompatibleSettings) -> list[str]:
    name = settings.name
    try:
        url = URL(settings.base_url)
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
    return problems


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
