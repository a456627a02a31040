"""What a provider is: something that streams the answer to a chat request and knows whether it can."""

from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable

from msgspec import Struct

from providers.chat import ChatRequest, Chunk
from providers.embedding import EmbeddingRequest, Embeddings


class Readiness(Struct, frozen=True):
    """`reason` says why not, in words for an operator; `retry_after` (seconds) when waiting helps."""

    ready: bool
    reason: str = ""
    retry_after: float | None = None


class Provider(Protocol):
    @property
    def name(self) -> str: ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Stream the answer.

        Nothing is sent before the first `__anext__`. The caller closes the generator (`aclose`), also when it has
        stopped listening: that closes the upstream connection at once. Raises only ProviderError; a stream that
        ends without raising has had exactly one finish reason.
        """
        ...

    def readiness(self) -> Readiness:
        """What is known now, without asking the upstream. Costs nothing."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """A provider that can turn texts into vectors."""

    @property
    def largest_batch(self) -> int:
        """How many texts one `embed` may carry: more are the caller's to split, since each call is an attempt of its own."""
        ...

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One call to the upstream. Returns exactly one vector a text. Raises only ProviderError."""
        ...


class Check(Struct, frozen=True):
    """One thing looked at on an upstream, in words for a Russian operator.

    `passed` is None where it cannot be told from here. `description` is what was seen, `action` what to do about it.
    """

    title: str
    passed: bool | None
    description: str = ""
    action: str = ""


@runtime_checkable
class Examinable(Protocol):
    """A provider whose upstream can be asked how it is."""

    async def examine(self) -> tuple[Check, ...]:
        """Ask the upstream about credentials, models and where they run. Sends no prompt, costs nothing, raises nothing of ours."""
        ...
