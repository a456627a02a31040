"""Placeholders → originals in a stream of chunks: text, refusals, reasoning and the arguments of tool calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from policies import StreamRestorer, Vault
from providers import Chunk, ToolCallDelta


async def restored(
    chunks: AsyncGenerator[Chunk, None], vault: Vault, left: Callable[[int], None] = lambda _: None
) -> AsyncGenerator[Chunk, None]:
    """The same chunks with every hidden value put back, whatever the split; passes them through when nothing was hidden.

    `left` is told, before the last chunk, how many placeholders could not be put back: those stay as the model wrote them.

    Only what may be the beginning of a placeholder is held back, and never past the chunk with the finish reason; a provider
    ends every stream with one or raises.
    """
    async with aclosing(chunks):
        if not len(vault):
            async for chunk in chunks:
                yield chunk
            return
        voices = _Voices(vault)
        async for chunk in chunks:
            seen = voices.feed(chunk)
            if chunk.finish_reason is not None:
                left(voices.unrestored)
            yield seen


class _Voices:
    """A restorer for each text of one answer: they come interleaved."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._content = StreamRestorer(vault)
        self._refusal = StreamRestorer(vault)
        self._reasoning = StreamRestorer(vault)
        self._arguments: dict[int, StreamRestorer] = {}

    @property
    def unrestored(self) -> int:
        """How many placeholders of the answer so far could not be put back."""
        voices = (self._content, self._refusal, self._reasoning, *self._arguments.values())
        return sum(voice.unrestored for voice in voices)

    def feed(self, chunk: Chunk) -> Chunk:
        if chunk.finish_reason is None and not (chunk.refusal or chunk.reasoning or chunk.tool_calls):
            content = self._content.feed(chunk.content)  # by far the most common chunk
            return chunk if content == chunk.content else msgspec.structs.replace(chunk, content=content)
        seen = msgspec.structs.replace(
            chunk,
            content=self._content.feed(chunk.content),
            refusal=self._refusal.feed(chunk.refusal),
            reasoning=self._reasoning.feed(chunk.reasoning),
            tool_calls=tuple(self._call(call) for call in chunk.tool_calls),
        )
        return seen if chunk.finish_reason is None else self.finish(seen)

    def _call(self, call: ToolCallDelta) -> ToolCallDelta:
        # Inside arguments an original stands in a JSON string, so it is escaped for one.
        restorer = self._arguments.setdefault(call.index, StreamRestorer(self._vault, json_strings=True))
        return msgspec.structs.replace(call, arguments=restorer.feed(call.arguments))

    def finish(self, last: Chunk) -> Chunk:
        """The last chunk with all that was held back before it."""
        held = [(index, restorer.finish()) for index, restorer in self._arguments.items()]
        return msgspec.structs.replace(
            last,
            content=last.content + self._content.finish(),
            refusal=last.refusal + self._refusal.finish(),
            reasoning=last.reasoning + self._reasoning.finish(),
            tool_calls=last.tool_calls + tuple(ToolCallDelta(index, arguments=rest) for index, rest in held if rest),
        )
