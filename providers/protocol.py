"""What a provider is: something that streams the answer to a chat request and knows whether it can."""

from collections.abc import AsyncGenerator
from typing import Protocol

from msgspec import Struct

from providers.chat import ChatRequest, Chunk


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
