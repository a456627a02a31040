"""A provider without an upstream: every answer, delay and failure a real one may give, chosen by the model's name."""

import asyncio
import hashlib
import math
import re
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Struct

from providers.chat import ChatRequest, Chunk, FinishReason, Message, Role, ToolCallDelta, Usage
from providers.embedding import EmbeddingRequest, Embeddings
from providers.errors import (
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    ProviderError,
    UpstreamTimeoutError,
    from_status,
)
from providers.protocol import Check, Readiness
from providers.router import ModelSettings, ProviderName

Seconds = Annotated[float, Meta(ge=0)]


class TestingSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="testing", kw_only=True):
    """`delay` passes before each chunk, `slow_delay` takes its place in the `slow` mode; both in seconds."""

    __test__: ClassVar[bool] = False  # pytest collects classes called Test…; this one is not a test

    name: ProviderName
    models: tuple[ModelSettings, ...]
    delay: Seconds = 0.001
    slow_delay: Seconds = 0.25


@asynccontextmanager
async def open_testing(settings: TestingSettings) -> AsyncIterator["TestingProvider"]:
    yield TestingProvider(settings)


class TestingProvider:
    """Modes are the names in MODES, with or without `mock-`, in any case; an unknown one answers as `normal`."""

    __test__: ClassVar[bool] = False  # as above

    def __init__(self, settings: TestingSettings) -> None:
        self.name: Final = settings.name
        self._settings = settings

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        mode = _mode_of(request.model)
        delay = self._settings.slow_delay if mode == "slow" else self._settings.delay
        script = MODES.get(mode, _normal)(request)
        for sent, step in enumerate(script):
            await asyncio.sleep(delay)
            if isinstance(step, ProviderError):
                raise step
            yield step if sent else msgspec.structs.replace(step, model=request.model, request_id=_REQUEST_ID)

    @property
    def largest_batch(self) -> int:
        return 256

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """A vector of length 1 a text, always the same for the same text; a mode that fails in chat fails here too."""
        mode = _mode_of(request.model)
        await asyncio.sleep(self._settings.slow_delay if mode == "slow" else self._settings.delay)
        script = MODES.get(mode, _normal)(ChatRequest(model=request.model, messages=(Message(Role.USER),)))
        for step in script:
            if isinstance(step, ProviderError):
                raise step
        length = _LENGTH if request.dimensions is None else request.dimensions
        if not 0 < length <= _LONGEST:
            raise InvalidRequestError(f"`dimensions` must be between 1 and {_LONGEST} here")
        words = sum(len(text.split()) for text in request.texts)
        return Embeddings(
            vectors=tuple(_vector(text, length) for text in request.texts),
            usage=Usage(prompt_tokens=words, completion_tokens=0, total_tokens=words),
            model=request.model,
            request_id=_REQUEST_ID,
        )

    async def examine(self) -> tuple[Check, ...]:
        seen = "отвечает сам шлюз по имени модели: никуда ничего не отправляется"
        return (Check("встроенная заглушка", passed=True, description=seen),)

    def readiness(self) -> Readiness:
        """Not ready when any of its models is `unhealthy`; chat works all the same."""
        if any(_mode_of(model.upstream or model.name) == "unhealthy" for model in self._settings.models):
            return Readiness(ready=False, reason="unhealthy by configuration")
        return Readiness(ready=True)


Script = list[Chunk | ProviderError]
_REQUEST_ID: Final = "testing-0001"
_LENGTH: Final = 64  # of a vector, when none is asked for
_LONGEST: Final = 4096


def _mode_of(model: str) -> str:
    return model.lower().removeprefix("mock-")


def _vector(text: str, length: int) -> tuple[float, ...]:
    """Odd numbers out of a hash, so that none is nought, scaled to length 1."""
    noise = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * length)
    numbers = [2 * number + 1 for (number,) in struct.iter_unpack("<h", noise)]
    scale = math.hypot(*numbers)
    return tuple(number / scale for number in numbers)


def _said(text: str, request: ChatRequest) -> Script:
    """`text` word by word (one word is one token here), cut at `max_tokens`, then the finish reason, then the usage."""
    words = re.findall(r"\s*\S+|\s+", text)
    limit = request.max_tokens
    finish = FinishReason.STOP
    if limit is not None and len(words) > limit:
        words, finish = words[:limit], FinishReason.LENGTH
    return [*(Chunk(content=word) for word in words), Chunk(finish_reason=finish), _used(request, len(words))]


def _used(request: ChatRequest, completion: int) -> Chunk:
    prompt = sum(len(_text_of(message).split()) for message in request.messages)
    return Chunk(usage=Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion))


def _text_of(message: Message) -> str:
    content = message.content
    return content if isinstance(content, str) else "".join(content or ())


def _asked(request: ChatRequest) -> str:
    """The text of the last user message."""
    return next((_text_of(message) for message in reversed(request.messages) if message.role is Role.USER), "")


def _normal(request: ChatRequest) -> Script:
    return _said(f"Mock response to: {_asked(request)}", request)


def _echo(request: ChatRequest) -> Script:
    """Exactly what the upstream saw: shows what left the building, and lets the restorer show its work."""
    return _said(_asked(request), request)


def _drop(_: ChatRequest) -> Script:
    broken = InterruptedStreamError("the upstream broke off its answer", request_id=_REQUEST_ID)
    return [Chunk(content="Mock response"), Chunk(content=" to:"), broken]


def _content_filter(request: ChatRequest) -> Script:
    return [Chunk(content="Mock"), Chunk(finish_reason=FinishReason.CONTENT_FILTER), _used(request, 1)]


def _tool_call(request: ChatRequest) -> Script:
    """Calls the first tool with the last user text, in two pieces; after a tool's result, says that result."""
    last = request.messages[-1]
    if last.role is Role.TOOL:
        return _said(f"Mock tool result: {_text_of(last)}", request)
    name = request.tools[0].name if request.tools else "lookup"
    arguments = msgspec.json.encode({"text": _asked(request)}).decode()
    half = len(arguments) // 2
    return [
        Chunk(tool_calls=(ToolCallDelta(index=0, id="call-0001", name=name, arguments=arguments[:half]),)),
        Chunk(tool_calls=(ToolCallDelta(index=0, arguments=arguments[half:]),)),
        Chunk(finish_reason=FinishReason.TOOL_CALLS),
        _used(request, 1),
    ]


def _fails(status: int, *, code: str = "", retry_after: float | None = None) -> Callable[[ChatRequest], Script]:
    return lambda _: [from_status(status, code=code, retry_after=retry_after, request_id=_REQUEST_ID)]


MODES: Final[MappingProxyType[str, Callable[[ChatRequest], Script]]] = MappingProxyType(
    {
        "normal": _normal,
        "echo": _echo,
        "slow": _normal,
        "unhealthy": _normal,
        "tool-call": _tool_call,
        "content-filter": _content_filter,
        "drop": _drop,
        "timeout": lambda _: [UpstreamTimeoutError("the upstream was silent too long before its answer began")],
        "malformed": lambda _: [MalformedReplyError("the upstream's reply is not the JSON it should be")],
        "invalid-request": _fails(400, code="invalid_request_error"),
        "auth-error": _fails(401, code="invalid_api_key"),
        "payment-required": _fails(402, code="insufficient_quota"),
        "forbidden": _fails(403, code="permission_denied"),
        "not-found": _fails(404, code="model_not_found"),
        "too-large": _fails(413, code="request_too_large"),
        "ratelimit": _fails(429, code="rate_limit_exceeded"),
        "retry-after": _fails(429, code="rate_limit_exceeded", retry_after=7.0),
        "server-error": _fails(500, code="server_error"),
        "unavailable": _fails(503, code="service_unavailable"),
    }
)
