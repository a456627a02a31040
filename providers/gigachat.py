"""GigaChat, Sber's models: version 1 of its API, with a token fetched by key, or with a client certificate."""

import asyncio
import hashlib
import re
import ssl
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Final, TypeVar
from uuid import uuid4

import aiohttp
import msgspec
from msgspec import Meta, Struct
from yarl import URL

from providers.addresses import is_private_host
from providers.chat import ChatRequest, Chunk, FinishReason
from providers.egress import Place, place_of
from providers.embedding import EmbeddingRequest, Embeddings
from providers.errors import (
    CLIENT_ERRORS,
    AuthenticationFailedError,
    CredentialExpiredError,
    MalformedReplyError,
    ProviderError,
    UnusableSettingsError,
    UpstreamTimeoutError,
    from_client,
)
from providers.examination import for_a_look, residency_check, retention_check
from providers.exchange import Exchange, Seconds, Timeouts, get, open_session, post, tls_context
from providers.gate import Gate
from providers.gigachat_checks import NO_SWITCH, balance_check, listing_checks, token_check, trust_check
from providers.gigachat_token import OTHER_CONTRACT, Key, Scope, TokenSource, read_credentials
from providers.gigachat_wire import (
    DONE,
    ListedModel,
    Remainder,
    ReplyReader,
    StopCutter,
    decode_balance,
    decode_counts,
    decode_embeddings,
    decode_models,
    encode_count,
    encode_embedding,
    encode_request,
    tool_names,
)
from providers.protocol import Check, Readiness
from providers.router import ModelSettings, ProviderName, Residency
from providers.sse import EventParser

T = TypeVar("T")


class GigaChatSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="gigachat", kw_only=True):
    """One contract with GigaChat. `base_url` ends where `/chat/completions` begins.

    `credentials_file` holds the authorization key of the vendor's cabinet, already in base64. Instead of it,
    `client_cert_file` and `client_key_file` (PEM, the key not encrypted) identify us to an API that wants a certificate.
    `ca_file`, when given, is the only authority trusted for this upstream; then `ca_sha256`, the fingerprint of the one
    certificate in it, may be given too. `max_concurrent` 0 is what the vendor allows by default: one request at a time
    to a person, ten to a company; the rest wait for `queue_seconds` at most. `session_id` asks the vendor to cache common
    beginnings under that name.
    """

    name: ProviderName
    models: tuple[ModelSettings, ...]
    credentials_file: str = ""
    scope: Scope = Scope.CORP
    client_cert_file: str = ""
    client_key_file: str = ""
    ca_file: str = ""
    ca_sha256: str = ""
    base_url: str = "https://api.giga.chat/v1"
    auth_url: str = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
    session_id: str = ""
    max_concurrent: Annotated[int, Meta(ge=0, le=10_000)] = 0
    queue_seconds: Seconds = 30.0
    timeouts: Timeouts = Timeouts()
    keepalive: Annotated[float, Meta(ge=0)] = 15.0


@asynccontextmanager
async def open_gigachat(settings: GigaChatSettings, broker: str = "") -> AsyncIterator["GigaChat"]:
    """Reads every file once, now, and asks for no token yet. Raises UnusableSettingsError naming the first thing wrong."""
    problems = await asyncio.to_thread(_refusals, settings)
    if problems:
        raise UnusableSettingsError(problems[0])
    try:
        tls = await asyncio.to_thread(_tls, settings)
        key = await asyncio.to_thread(_key, settings)
    except (OSError, ValueError):
        raise UnusableSettingsError(f"поставщик `{settings.name}`: его файлы изменились, пока он открывался") from None
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            _session(settings, settings.base_url, tls, settings.keepalive, broker)
        )
        tokens = None
        if key:
            auth = await stack.enter_async_context(_session(settings, settings.auth_url, tls, 0, broker))
            tokens = TokenSource(auth, URL(settings.auth_url), key, timeouts=settings.timeouts)
        yield GigaChat(settings, session, tokens)


def problems_of_gigachat(settings: GigaChatSettings) -> list[str]:
    """What makes opening fail, and what an operator should not leave as it is. Reads files, asks no network."""
    problems = _refusals(settings)
    for field in ("credentials_file", "client_key_file"):
        path = getattr(settings, field)
        with suppress(OSError):
            if path and Path(path).stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
                problems.append(
                    f"поставщик `{settings.name}`: файл `{field}` открыт другим пользователям; выполните `chmod 400`"
                )
    return problems


def places_of_gigachat(settings: GigaChatSettings) -> list[Place]:
    """Where connections of this provider go."""
    addresses = [settings.base_url, *([settings.auth_url] if settings.credentials_file else ())]
    return [place_of(each, inside=_is_inside(settings, each)) for each in addresses]


class GigaChat:
    """One contract: its session, its token, its gate. Made by open_gigachat."""

    def __init__(self, settings: GigaChatSettings, session: aiohttp.ClientSession, tokens: TokenSource | None) -> None:
        self.name: Final = settings.name
        self._settings = settings
        self._session = session
        self._tokens = tokens
        self._url = URL(settings.base_url)
        self._inside = _is_inside(settings, settings.base_url)
        self._headers = _OUR_HEADERS | ({"X-Session-ID": settings.session_id} if settings.session_id else {})
        self._timeouts = settings.timeouts
        by_default = 1 if settings.credentials_file and settings.scope is Scope.PERS else 10
        self._gate = Gate(settings.max_concurrent or by_default, settings.queue_seconds)

    def readiness(self) -> Readiness:
        return Readiness(ready=True)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        body = encode_request(request)
        async with (
            self._gate.place(),
            self._exchange("chat/completions", body, accept="text/event-stream") as exchange,
            aclosing(_answer(exchange, request)) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    @property
    def largest_batch(self) -> int:
        return _LARGEST_BATCH

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        body = encode_embedding(request)
        async with self._gate.place(), self._exchange("embeddings", body) as exchange:
            return await _decoded(
                exchange, lambda json: decode_embeddings(json, request, request_id=exchange.request_id)
            )

    async def count(self, model: str, texts: tuple[str, ...]) -> tuple[int, ...]:
        """The tokens of each text. It costs nothing, but the texts leave as a prompt does. Raises ProviderError."""
        body = encode_count(model, texts)
        async with self._gate.place(), self._exchange("tokens/count", body) as exchange:
            return await _decoded(exchange, lambda json: decode_counts(json, texts))

    async def models(self) -> tuple[ListedModel, ...]:
        """The models that this contract may ask. Raises ProviderError."""
        async with self._exchange("models") as exchange:
            return await _decoded(exchange, decode_models)

    async def balance(self) -> tuple[Remainder, ...] | None:
        """What is left of prepaid packages; None for a contract that is paid afterwards. Raises ProviderError."""
        async with self._exchange("balance") as exchange:
            return None if exchange.status == 403 else await _decoded(exchange, decode_balance)

    async def examine(self) -> tuple[Check, ...]:
        settings = self._settings
        plain = self._url.scheme == "http"
        trust = trust_check(settings.ca_file, settings.ca_sha256, plain=plain)
        scope = settings.scope if self._tokens else None
        try:
            await self._token()
        except ProviderError as error:
            fitting = await self._fitting_scope() if error.code == OTHER_CONTRACT else None
            return (trust, token_check(scope, error, fitting), *self._declared())
        return (
            trust,
            token_check(scope),
            *listing_checks(settings.models, await _tried(self.models())),
            balance_check(settings.models, await _tried(self.balance())),
            *self._declared(),
        )

    async def _fitting_scope(self) -> Scope | ProviderError | None:
        return await _tried(self._tokens.fitting_scope()) if self._tokens else None

    def _declared(self) -> tuple[Check, ...]:
        return (residency_check(self._settings.models, inside=self._inside), retention_check(NO_SWITCH))

    @asynccontextmanager
    async def _exchange(
        self, path: str, body: bytes | None = None, *, accept: str = "application/json"
    ) -> AsyncIterator[Exchange]:
        """One request in our name, its answer whatever its status; one without a body is a question about the upstream."""
        token = await self._token()
        headers = self._headers | {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
        url = self._url / path
        # INVARIANT: the prompt is sent once. A token that is not taken is dropped; asking again is a new attempt.
        try:
            async with (
                get(self._session, url, headers, for_a_look(self._timeouts))
                if body is None
                else post(self._session, url, body, headers, self._timeouts)
            ) as exchange:
                yield exchange
        except AuthenticationFailedError as error:
            if not self._tokens:
                raise
            self._tokens.drop(token)
            raise CredentialExpiredError(str(error), request_id=error.request_id) from None

    async def _token(self) -> str:
        if not self._tokens:
            return ""
        try:
            async with asyncio.timeout(self._timeouts.first_byte):
                return await self._tokens.token()
        except TimeoutError:
            raise UpstreamTimeoutError("no token: the token service was silent for too long") from None


async def _answer(exchange: Exchange, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
    """The chunks of one answer, cut at a stop string; the caller closes what was not read."""
    await _expect_answer(exchange)
    names = {theirs: ours for ours, theirs in tool_names(request).items()}
    reply = ReplyReader(names, request_id=exchange.request_id, spare_id=f"call_{uuid4().hex}")
    cutter = StopCutter(request.stop)
    async with aclosing(_events(exchange)) as events:
        async for event in events:
            chunk = _read(reply, event)
            if chunk and request.stop:
                chunk = _cut(cutter, chunk)
            if chunk:
                yield chunk
            if cutter.hit:
                return
    reply.end()


async def _decoded(exchange: Exchange, decode: Callable[[bytes], T]) -> T:
    """An answer that is one JSON document."""
    await _expect_answer(exchange)
    json = await exchange.whole()
    try:
        return decode(json)
    except CLIENT_ERRORS as error:
        raise from_client(error, began=True, request_id=exchange.request_id) from None


async def _tried(question: Awaitable[T]) -> T | ProviderError:
    """An examination goes on after an error: it is one more thing that was seen."""
    try:
        return await question
    except ProviderError as error:
        return error


async def _expect_answer(exchange: Exchange) -> None:
    if exchange.status != 200:
        raise await exchange.failure(_no_code)
    if exchange.content_type == "text/html":
        raise MalformedReplyError("the upstream answered with a web page", request_id=exchange.request_id)


async def _events(exchange: Exchange) -> AsyncGenerator[bytes, None]:
    """A whole completion as one event, or the events of a stream until [DONE] or the end of the bytes."""
    if exchange.content_type == "application/json":
        yield await exchange.whole()
        return
    parser = EventParser()
    while received := await exchange.more():
        for event in parser.feed(received):
            if event == DONE:
                await exchange.drain()
                return
            yield event


def _read(reply: ReplyReader, json: bytes) -> Chunk | None:
    try:
        return reply.read(json)
    except CLIENT_ERRORS as error:
        raise from_client(error, began=True, request_id=reply.request_id) from None
    except RecursionError:
        raise MalformedReplyError("the upstream's reply is nested too deeply", request_id=reply.request_id) from None


def _cut(cutter: StopCutter, chunk: Chunk) -> Chunk | None:
    content = cutter.feed(chunk.content)
    if cutter.hit:
        return msgspec.structs.replace(chunk, content=content, tool_calls=(), finish_reason=FinishReason.STOP)
    if chunk.finish_reason:
        content += cutter.rest()
    chunk = msgspec.structs.replace(chunk, content=content)
    return None if chunk == _EMPTY else chunk


def _no_code(_body: bytes) -> str:
    """GigaChat's error bodies hold a status and a sentence: nothing that we may repeat."""
    return ""


_EMPTY: Final = Chunk()
_LARGEST_BATCH: Final = 100  # texts
_OUR_HEADERS: Final = {
    "Accept-Encoding": "identity",  # nothing to inflate, nothing to blow up
    "Cache-Control": "no-store",
    "Content-Type": "application/json",
    "User-Agent": "llm-client/1.0",  # without one the API answers 403
}
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def _session(
    settings: GigaChatSettings, address: str, tls: ssl.SSLContext, keepalive: float, broker: str
) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    plain = URL(address).scheme == "http"
    inside = _is_inside(settings, address)
    return open_session(
        tls=None if plain else tls, inside=inside, keepalive=keepalive, timeouts=settings.timeouts, broker=broker
    )


def _is_inside(settings: GigaChatSettings, address: str) -> bool:
    """Whether the session holds every connection inside the company's network."""
    return URL(address).scheme == "http" or any(model.residency is Residency.LOCAL for model in settings.models)


def _key(settings: GigaChatSettings) -> Key | None:
    return read_credentials(settings.credentials_file, settings.scope) if settings.credentials_file else None


def _tls(settings: GigaChatSettings) -> ssl.SSLContext:
    """Raises OSError, ssl.SSLError, or ValueError when the fingerprint is another."""
    # The very bytes whose fingerprint was compared are trusted, and nothing else that the file may hold.
    pinned = _pinned(settings) if settings.ca_sha256 else None
    context = ssl.create_default_context(cadata=pinned) if pinned else tls_context(settings.ca_file)
    if settings.client_cert_file:
        # An empty password: without one, an encrypted key would be asked for on the terminal.
        context.load_cert_chain(settings.client_cert_file, settings.client_key_file, password="")
    return context


def _pinned(settings: GigaChatSettings) -> bytes:
    found = _CERTIFICATE.findall(Path(settings.ca_file).read_text(encoding="utf-8", errors="replace"))
    if len(found) != 1:
        raise ValueError("not one certificate")
    certificate = ssl.PEM_cert_to_DER_cert(found[0])
    if hashlib.sha256(certificate).hexdigest() != settings.ca_sha256.replace(":", "").lower():
        raise ValueError("another certificate")
    return certificate


def _refusals(settings: GigaChatSettings) -> list[str]:
    problems = [
        *_address_problems(settings, "base_url", settings.base_url),
        *(_address_problems(settings, "auth_url", settings.auth_url) if settings.credentials_file else ()),
        *_identity_problems(settings),
        *_certificate_problems(settings),
    ]
    if settings.session_id and not _SESSION_ID.fullmatch(settings.session_id):
        problems.append("`session_id` — до 128 латинских букв, цифр и знаков `.`, `_`, `-`")
    return [f"поставщик `{settings.name}`: {problem}" for problem in problems]


def _address_problems(settings: GigaChatSettings, field: str, address: str) -> list[str]:
    try:
        url = URL(address)
    except ValueError:
        return [f"`{field}` — не адрес URL"]
    if url.scheme not in ("http", "https") or not url.host:
        return [f"`{field}` — не адрес http или https"]
    problems = []
    if url.user or url.password or url.query_string or url.fragment:
        problems.append(f"в `{field}` не место имени, паролю, запросу и фрагменту; ключ хранится в своём файле")
    inside = is_private_host(url.host)
    if url.scheme == "http" and not inside:
        problems.append(f"`{field}` ведёт за пределы сети компании по открытому http; нужен https")
    if url.scheme == "http" and settings.client_cert_file:
        problems.append(f"клиентский сертификат требует https, а `{field}` — http")
    problems += [
        f"модель `{model.name}` названа локальной, но `{url.host}` — не узел внутри сети компании"
        for model in settings.models
        if model.residency is Residency.LOCAL and not inside
    ]
    return problems


def _identity_problems(settings: GigaChatSettings) -> list[str]:
    certificate = (settings.client_cert_file, settings.client_key_file)
    if any(certificate) and not all(certificate):
        return ["`client_cert_file` и `client_key_file` задаются вместе"]
    if bool(settings.credentials_file) == any(certificate):
        return ["нужно одно из двух: `credentials_file` или `client_cert_file` с `client_key_file`"]
    if not settings.credentials_file:
        return []
    try:
        _key(settings)
    except OSError:
        return ["файл `credentials_file` не читается"]
    except ValueError:
        return ["в `credentials_file` должна быть одна строка — ключ авторизации из личного кабинета, в base64"]
    return []


def _certificate_problems(settings: GigaChatSettings) -> list[str]:
    if settings.ca_sha256 and not settings.ca_file:
        return ["`ca_sha256` задан без `ca_file`"]
    problems = []
    try:
        if settings.ca_sha256:
            _pinned(settings)
        elif settings.ca_file:
            tls_context(settings.ca_file)
    except (OSError, ssl.SSLError):
        problems.append("`ca_file` не читается как сертификаты PEM")
    except ValueError:
        problems.append("в `ca_file` должен быть ровно один сертификат, с отпечатком SHA-256 из `ca_sha256`")
    try:
        if settings.client_cert_file and settings.client_key_file:
            ssl.create_default_context().load_cert_chain(
                settings.client_cert_file, settings.client_key_file, password=""
            )
    except (OSError, ssl.SSLError):
        problems.append("`client_cert_file` и `client_key_file` — не пара из сертификата и незашифрованного ключа PEM")
    return problems
