"""YandexGPT and its neighbours in Yandex AI Studio: the native API or the OpenAI-compatible one, and nothing kept there."""

import asyncio
import re
import ssl
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
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
    InvalidRequestError,
    MalformedReplyError,
    PermissionDeniedError,
    ProviderError,
    RequestRejectedError,
    UnusableSettingsError,
    UpstreamTimeoutError,
    from_client,
)
from providers.examination import CREDENTIALS, failed, for_a_look, residency_check
from providers.exchange import Exchange, Timeouts, get, open_session, post, read_key, tls_context
from providers.gate import Gate
from providers.gigachat_wire import StopCutter
from providers.ollama_wire import LineParser
from providers.openai_compatible import read_answer
from providers.openai_wire import decode_embeddings as decode_compatible_embeddings
from providers.openai_wire import decode_models
from providers.protocol import Check, Readiness
from providers.router import ModelSettings, ProviderName, Residency, Task
from providers.yandexgpt_token import IamService, MetadataService, TokenSource, read_authorized_key
from providers.yandexgpt_wire import (
    MAX_LINE,
    CallIds,
    ReplyReader,
    decode_count,
    decode_embeddings,
    encode_compatible,
    encode_compatible_text,
    encode_request,
    encode_text,
    error_code,
    model_uri,
)


class YandexGPTSettings(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="yandexgpt", kw_only=True
):
    """One folder of Yandex Cloud. `base_url`, the vendor's own when empty, ends where `/completion` begins, or
    `/chat/completions` when `api` is "openai".

    Exactly one of three says who asks: `api_key_file`, a service account's API key; `iam_key_file`, its authorized key
    in JSON; `metadata`, for the service account of the machine in Yandex Cloud that we run on. A model's `upstream` may
    leave the folder out: "yandexgpt/latest". `ca_file`, when given, is the only authority trusted. `max_concurrent` is
    the vendor's quota of generations at once, and as many embeddings; one more waits `queue_seconds` at most.
    """

    name: ProviderName
    models: tuple[ModelSettings, ...]
    folder_id: str
    api_key_file: str = ""
    iam_key_file: str = ""
    metadata: bool = False
    api: Literal["native", "openai"] = "native"
    base_url: str = ""
    iam_url: str = "https://iam.api.cloud.yandex.net/iam/v1/tokens"
    metadata_url: str = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
    ca_file: str = ""
    max_concurrent: Annotated[int, Meta(ge=0, le=10_000)] = 10
    queue_seconds: Annotated[float, Meta(gt=0)] = 30.0
    timeouts: Timeouts = Timeouts()
    keepalive: Annotated[float, Meta(ge=0)] = 15.0


@asynccontextmanager
async def open_yandexgpt(settings: YandexGPTSettings, broker: str = "") -> AsyncIterator["YandexGPT"]:
    """Reads every file once, now, and asks for no token yet. Raises UnusableSettingsError naming the first thing wrong."""
    problems = await asyncio.to_thread(_refusals, settings)
    if problems:
        raise UnusableSettingsError(problems[0])
    async with AsyncExitStack() as stack:
        try:
            tls = await asyncio.to_thread(tls_context, settings.ca_file)
            identity = await _identity(settings, tls, broker, stack)
        except (OSError, ValueError):
            raise UnusableSettingsError(
                f"поставщик `{settings.name}`: его файлы изменились, пока он открывался"
            ) from None
        address = base_url_of(settings)
        inside = _is_inside(settings, address)
        session = await stack.enter_async_context(
            _session(settings, address, tls, keepalive=settings.keepalive, inside=inside, broker=broker)
        )
        yield YandexGPT(settings, session, identity)


def problems_of_yandexgpt(settings: YandexGPTSettings) -> list[str]:
    """What makes opening fail, and what an operator should not leave as it is. Reads files, asks no network."""
    problems = _refusals(settings)
    for field in ("api_key_file", "iam_key_file"):
        path = getattr(settings, field)
        with suppress(OSError):
            if path and Path(path).stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
                problems.append(
                    f"поставщик `{settings.name}`: файл `{field}` открыт другим пользователям; выполните `chmod 400`"
                )
    return problems


def base_url_of(settings: YandexGPTSettings) -> str:
    """The address in the settings, or the vendor's for this API."""
    return settings.base_url or _VENDORS[settings.api]


class ApiKey(Struct, frozen=True):
    """A service account's API key: it has no successor."""

    text: str

    def __repr__(self) -> str:
        return "ApiKey(…)"


def places_of_yandexgpt(settings: YandexGPTSettings) -> list[Place]:
    """Where connections of this provider go."""
    address = base_url_of(settings)
    places = [place_of(address, inside=_is_inside(settings, address))]
    if not settings.api_key_file:
        places.append(place_of(_identity_url(settings), inside=_is_plain(_identity_url(settings))))
    return places


class YandexGPT:
    """One folder: its session, its identity, its gates. Made by open_yandexgpt."""

    def __init__(
        self, settings: YandexGPTSettings, session: aiohttp.ClientSession, identity: ApiKey | TokenSource
    ) -> None:
        self.name: Final = settings.name
        self._settings = settings
        self._session = session
        self._identity = identity
        self._url = URL(base_url_of(settings))
        self._generations = Gate(settings.max_concurrent, settings.queue_seconds)
        self._embeddings = Gate(settings.max_concurrent, settings.queue_seconds)

    @property
    def largest_batch(self) -> int:
        """The vendor takes one text a call."""
        return 1

    def readiness(self) -> Readiness:
        return Readiness(ready=True)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        native = self._settings.api == "native"
        uri = self._uri(request.model, Task.CHAT)
        body = encode_request(request, uri) if native else encode_compatible(request, uri)
        place, answer = ("completion", _native_answer) if native else ("chat/completions", _compatible_answer)
        cutter = StopCutter(request.stop)
        # INVARIANT: the prompt is sent once. A token that is not taken is dropped; asking again is a new attempt.
        async with (
            self._generations.place(),
            self._asked(place, body, self._settings.timeouts) as exchange,
            aclosing(answer(exchange)) as chunks,
        ):
            async for chunk in chunks:
                kept = _cut(cutter, chunk) if request.stop else chunk
                if kept:
                    yield kept
                if cutter.hit:
                    return

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        if len(request.texts) != 1:
            raise InvalidRequestError("this upstream takes one text a call, see `largest_batch`")
        if request.dimensions is not None:
            raise InvalidRequestError("the length of this upstream's vectors cannot be chosen: leave `dimensions` out")
        native = self._settings.api == "native"
        encode, decode = (
            (encode_text, decode_embeddings) if native else (encode_compatible_text, decode_compatible_embeddings)
        )
        place = "textEmbedding" if native else "embeddings"
        body = encode(self._uri(request.model, Task.EMBEDDING), request.texts[0])
        async with self._embeddings.place(), self._asked(place, body, self._settings.timeouts) as exchange:
            return await _decoded(exchange, lambda reply: decode(reply, request, request_id=exchange.request_id))

    async def count(self, model: str, text: str) -> int:
        """How many tokens a chat model makes of a text: free, but the text leaves as a prompt does. Raises ProviderError."""
        return await self._count(model, text, self._settings.timeouts)

    async def examine(self) -> tuple[Check, ...]:
        """Free: native, one constant word is made into tokens for each chat model; compatible, the models are listed."""
        settings = self._settings
        if settings.api == "native":
            chats = [model for model in settings.models if model.task is Task.CHAT]
            errors = await asyncio.gather(*(self._look_up(model) for model in chats))
            known = {model.name: _is_known(error) for model, error in zip(chats, errors, strict=True)}
            credential = _credential_check(errors, settings)
        else:
            listed = await self._listed()
            known = {model.name: self._is_listed(model, listed) for model in settings.models}
            credential = _credential_check([listed if isinstance(listed, ProviderError) else None], settings)
        checks = [_model_check(model, known.get(model.name)) for model in settings.models]
        host = self._url.host or ""
        where = f"`{host}` — Yandex Cloud, его серверы в России" if _is_vendors(host) else ""
        inside = _is_inside(settings, base_url_of(settings))
        return (credential, *checks, _LOGGING_CHECK, residency_check(settings.models, inside=inside, where=where))

    async def _look_up(self, model: ModelSettings) -> ProviderError | None:
        try:
            await self._count(model.upstream or model.name, _WORD, for_a_look(self._settings.timeouts))
        except ProviderError as error:
            return error
        return None

    async def _listed(self) -> frozenset[str] | ProviderError:
        try:
            async with self._asked("models", None, for_a_look(self._settings.timeouts)) as exchange:
                return await _decoded(exchange, decode_models)
        except ProviderError as error:
            return error

    def _is_listed(self, model: ModelSettings, listed: frozenset[str] | ProviderError) -> bool | None:
        """The vendor does not promise that the list is whole: what is not in it may be there all the same."""
        if isinstance(listed, ProviderError):
            return None
        return True if self._uri(model.upstream or model.name, model.task) in listed else None

    async def _count(self, model: str, text: str, timeouts: Timeouts) -> int:
        if self._settings.api != "native":
            raise InvalidRequestError('the compatible API counts no tokens: set `api` to "native"')
        body = encode_text(self._uri(model, Task.CHAT), text)
        async with self._asked("tokenize", body, timeouts) as exchange:
            return await _decoded(exchange, decode_count)

    def _uri(self, model: str, task: Task) -> str:
        return model_uri(model, self._settings.folder_id, _SCHEMES[task])

    @asynccontextmanager
    async def _asked(self, place: str, body: bytes | None, timeouts: Timeouts) -> AsyncIterator[Exchange]:
        """One request: a POST of `body`, or a GET without one. A token that was not taken is dropped. Raises ProviderError.

        INVARIANT: no other way leads to the vendor's models, and this one forbids every time to keep what is sent.
        """
        token = await self._token()
        scheme = "Api-Key" if isinstance(self._identity, ApiKey) else "Bearer"
        folder = "x-folder-id" if self._settings.api == "native" else "OpenAI-Project"
        headers = _OUR_HEADERS | {"Authorization": f"{scheme} {token}", folder: self._settings.folder_id} | _NOT_KEPT
        url = self._url.joinpath(place)
        try:
            async with (
                get(self._session, url, headers, timeouts)
                if body is None
                else post(self._session, url, body, headers, timeouts)
            ) as exchange:
                yield exchange
        except AuthenticationFailedError as error:
            if isinstance(self._identity, ApiKey):
                raise
            self._identity.drop(token)
            raise CredentialExpiredError(str(error), request_id=error.request_id, code=error.code) from None

    async def _token(self) -> str:
        if isinstance(self._identity, ApiKey):
            return self._identity.text
        try:
            async with asyncio.timeout(self._settings.timeouts.first_byte):
                return await self._identity.token()
        except TimeoutError:
            raise UpstreamTimeoutError("no token: the token service was silent for too long") from None


async def _native_answer(exchange: Exchange) -> AsyncGenerator[Chunk, None]:
    await _expect_json(exchange)
    reply, lines = ReplyReader(calls=f"call_{uuid4().hex}", request_id=exchange.request_id), LineParser(MAX_LINE)
    # (1) hand on each line as it comes, until the one with a final status or the end of the bytes
    finished = False
    while not finished and (received := await exchange.more()):
        for line in lines.feed(received):
            if chunk := _read(reply, line):
                yield chunk
            if finished := reply.finished:
                break
    # (2) the last line may have no end, as an answer that is no stream
    if not finished and (rest := lines.rest()) and (chunk := _read(reply, rest)):
        yield chunk
    reply.end()
    await exchange.drain()


async def _compatible_answer(exchange: Exchange) -> AsyncGenerator[Chunk, None]:
    ids = CallIds(uuid4().hex)
    async with aclosing(read_answer(exchange)) as chunks:
        async for chunk in chunks:
            yield ids.renamed(chunk)


def _read(reply: ReplyReader, line: bytes) -> Chunk | None:
    try:
        return reply.read(line)
    except CLIENT_ERRORS as error:
        raise from_client(error, began=True, request_id=reply.request_id) from None


def _cut(cutter: StopCutter, chunk: Chunk) -> Chunk | None:
    content = cutter.feed(chunk.content)
    if cutter.hit:
        return msgspec.structs.replace(chunk, content=content, tool_calls=(), finish_reason=FinishReason.STOP)
    if chunk.finish_reason:
        content += cutter.rest()
    chunk = msgspec.structs.replace(chunk, content=content)
    return None if chunk == _EMPTY else chunk


async def _expect_json(exchange: Exchange) -> None:
    if exchange.status != 200:
        raise await exchange.failure(error_code)
    if exchange.content_type == "text/html":
        raise MalformedReplyError("the upstream answered with a web page", request_id=exchange.request_id)


_Decoded = TypeVar("_Decoded")


async def _decoded(exchange: Exchange, decode: Callable[[bytes], _Decoded]) -> _Decoded:
    await _expect_json(exchange)
    body = await exchange.whole()
    try:
        return decode(body)
    except CLIENT_ERRORS as error:
        raise from_client(error, began=True, request_id=exchange.request_id) from None


_EMPTY: Final = Chunk()
_OUR_HEADERS: Final = {
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "identity",  # nothing to inflate, nothing to blow up
    "Content-Type": "application/json",
    "User-Agent": "llm-client/1.0",
}
_NOT_KEPT: Final = {"x-data-logging-enabled": "false"}  # otherwise the vendor stores requests and answers
_SCHEMES: Final[dict[Task, Literal["gpt", "emb"]]] = {Task.CHAT: "gpt", Task.EMBEDDING: "emb"}
_VENDORS: Final = {
    "native": "https://llm.api.cloud.yandex.net/foundationModels/v1",
    "openai": "https://llm.api.cloud.yandex.net/v1",
}
_VENDOR_DOMAINS: Final = (".yandex.net", ".yandex.cloud", ".yandexcloud.net", ".yandex.ru")
_WORD: Final = "проверка"
_FOLDER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


_LOGGING_CHECK: Final = Check(
    "хранение запросов у поставщика",
    passed=True,
    description="заголовок `x-data-logging-enabled: false` уходит с каждым запросом; настройкой его не снять",
)


def _credential_check(seen: Sequence[ProviderError | None], settings: YandexGPTSettings) -> Check:
    """What the answers to the looks say about our identity: whoever is told "no such model" was let in."""
    if any(isinstance(error, AuthenticationFailedError) for error in seen):
        field = "api_key_file" if settings.api_key_file else "iam_key_file" if settings.iam_key_file else "metadata"
        return Check(
            CREDENTIALS,
            passed=False,
            description="Yandex Cloud их не принимает",
            action=f"проверьте `{field}`, не отозван ли ключ, и часы этого сервера",
        )
    if any(isinstance(error, PermissionDeniedError) for error in seen):
        return Check(
            CREDENTIALS,
            passed=False,
            description=f"сервисному аккаунту не хватает прав в каталоге `{settings.folder_id}`",
            action="назначьте ему роль `ai.languageModels.user` и проверьте `folder_id`",
        )
    if any(error is None or isinstance(error, RequestRejectedError) for error in seen):
        return Check(CREDENTIALS, passed=True, description="Yandex Cloud их принимает")
    if error := next(iter(seen), None):
        return failed("связь с Yandex Cloud", error)
    return Check(CREDENTIALS, passed=None, description="проверить бесплатно можно только моделью для чата")


def _is_known(error: ProviderError | None) -> bool | None:
    """What a look at one model says of it: an identity that is not let in says nothing."""
    if error is None:
        return True
    let_in = not isinstance(error, AuthenticationFailedError | PermissionDeniedError)
    return False if let_in and isinstance(error, RequestRejectedError) else None


def _model_check(model: ModelSettings, known: bool | None) -> Check:
    title = f"модель `{model.name}`"
    if known:
        return Check(title, passed=True, description="есть в Yandex Cloud")
    if known is None:
        return Check(title, passed=None, description="без запроса к модели этого не узнать")
    return Check(
        title,
        passed=False,
        description="Yandex Cloud такой не знает",
        action="проверьте `upstream`: нужно имя вида `yandexgpt/latest`",
    )


def _is_inside(settings: YandexGPTSettings, address: str) -> bool:
    """Whether the session to the models holds every connection inside the company's network."""
    return URL(address).scheme == "http" or any(model.residency is Residency.LOCAL for model in settings.models)


def _identity_url(settings: YandexGPTSettings) -> str:
    return settings.iam_url if settings.iam_key_file else settings.metadata_url


def _is_plain(address: str) -> bool:
    """Whether a token service has to be inside. No prompt goes there, so with TLS it may stand outside even where the models are local."""
    return URL(address).scheme == "http"


def _is_vendors(host: str) -> bool:
    return host.lower().rstrip(".").endswith(_VENDOR_DOMAINS)


def _session(
    settings: YandexGPTSettings, address: str, tls: ssl.SSLContext, *, keepalive: float, inside: bool, broker: str
) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    plain = URL(address).scheme == "http"
    return open_session(
        tls=None if plain else tls, inside=inside, keepalive=keepalive, timeouts=settings.timeouts, broker=broker
    )


async def _identity(
    settings: YandexGPTSettings, tls: ssl.SSLContext, broker: str, stack: AsyncExitStack
) -> ApiKey | TokenSource:
    """Raises OSError, or ValueError."""
    if settings.api_key_file:
        return ApiKey(await asyncio.to_thread(read_key, settings.api_key_file))
    address = _identity_url(settings)
    session = await stack.enter_async_context(
        _session(settings, address, tls, keepalive=0, inside=_is_plain(address), broker=broker)
    )
    if settings.metadata:
        return TokenSource(MetadataService(session, URL(address), timeouts=settings.timeouts).grant)
    key = await asyncio.to_thread(read_authorized_key, settings.iam_key_file)
    return TokenSource(IamService(session, URL(address), key, timeouts=settings.timeouts).grant)


def _refusals(settings: YandexGPTSettings) -> list[str]:
    problems = [
        *_address_problems("base_url", base_url_of(settings)),
        *(_address_problems("iam_url", settings.iam_url) if settings.iam_key_file else ()),
        *(_address_problems("metadata_url", settings.metadata_url) if settings.metadata else ()),
        *_path_problems(settings),
        *_model_problems(settings),
        *_identity_problems(settings),
    ]
    if not _FOLDER.fullmatch(settings.folder_id):
        problems.append("`folder_id` — идентификатор каталога: латинские буквы, цифры, `-` и `_`")
    try:
        tls_context(settings.ca_file)
    except (OSError, ssl.SSLError):
        problems.append("`ca_file` не читается как сертификаты PEM")
    return [f"поставщик `{settings.name}`: {problem}" for problem in problems]


def _address_problems(field: str, address: str) -> list[str]:
    try:
        url = URL(address)
    except ValueError:
        return [f"`{field}` — не адрес URL"]
    if url.scheme not in ("http", "https") or not url.host:
        return [f"`{field}` — не адрес http или https"]
    problems = []
    if url.user or url.password or url.query_string or url.fragment:
        problems.append(f"в `{field}` не место имени, паролю, запросу и фрагменту; ключ хранится в своём файле")
    if url.scheme == "http" and not is_private_host(url.host):
        problems.append(f"`{field}` ведёт за пределы сети компании по открытому http; нужен https")
    return problems


def _path_problems(settings: YandexGPTSettings) -> list[str]:
    end = "/completion" if settings.api == "native" else "/chat/completions"
    with suppress(ValueError):  # what is no URL at all has been named already
        if URL(base_url_of(settings)).path.rstrip("/").endswith(end):
            return [f"`base_url` должен кончаться там, где начинается `{end}`"]
    return []


def _model_problems(settings: YandexGPTSettings) -> list[str]:
    problems = []
    try:
        host = URL(base_url_of(settings)).host or ""
    except ValueError:
        host = ""
    for model in settings.models:
        try:
            model_uri(model.upstream or model.name, settings.folder_id, _SCHEMES[model.task])
        except InvalidRequestError:
            problems.append(
                f"модель `{model.name}` из другого каталога или для другой задачи; нужно имя вида"
                f" `{_SCHEMES[model.task]}://{settings.folder_id}/…` или без каталога"
            )
        if _is_vendors(host) and model.residency is not Residency.RU:
            problems.append(
                f'модель `{model.name}`: `{host}` — Yandex Cloud, она работает в России; укажите residency = "ru"'
            )
        elif model.residency is Residency.LOCAL and not is_private_host(host):
            problems.append(f"модель `{model.name}` названа локальной, но `{host}` — не узел внутри сети компании")
    return problems


def _identity_problems(settings: YandexGPTSettings) -> list[str]:
    if [bool(settings.api_key_file), bool(settings.iam_key_file), settings.metadata].count(True) != 1:
        return ["нужно ровно одно из трёх: `api_key_file`, `iam_key_file` или `metadata`"]
    try:
        if settings.api_key_file:
            read_key(settings.api_key_file)
    except OSError:
        return ["файл `api_key_file` не читается"]
    except ValueError:
        return ["в `api_key_file` должна быть одна строка без пробелов — ключ API"]
    try:
        if settings.iam_key_file:
            read_authorized_key(settings.iam_key_file)
    except OSError:
        return ["файл `iam_key_file` не читается"]
    except ValueError as error:
        return [f"`iam_key_file`: {error}"]
    return []
