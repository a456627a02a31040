"""What becomes of a model's answer before anything is put back into it: new personal data, manipulation, the form it must have.

Where the policy only counts and flags, chunks pass at once and the whole is looked at before its end is given. Where it masks or refuses,
content is held back by a window, and what comes in other voices (tool calls, refusals, reasoning) until the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from appliance.errors import AnswerWithheldError
from appliance.inspection import Field, rewrite
from appliance.inspector import Inspected
from policies import (
    PLACEHOLDER,
    AnswerCheck,
    Entity,
    Finding,
    Method,
    Suspicion,
    Text,
    identify,
    masked,
    suspicions_of_answer,
)
from providers import ChatRequest, Chunk, Message, Role, ToolCall, ToolCallDelta

Look = Callable[[Sequence[Text]], Awaitable[tuple[tuple[Finding, ...], ...]]]
"""What stands in texts. Raises InspectionError."""

_WINDOW = 600  # characters that are looked at together
_MARGIN = 200  # characters at a window's end that wait for what follows: a finding may go on there


class Seen(msgspec.Struct):
    """What was found in an answer. `inspected` is False while nobody has looked at all of it."""

    found: Counter[Entity] = msgspec.field(default_factory=Counter)
    suspicions: set[Suspicion] = msgspec.field(default_factory=set)
    inspected: bool = False


class Reply:
    """One answer to one request. `look` finds personal data, off the event loop."""

    def __init__(self, inspected: Inspected[ChatRequest], look: Look) -> None:
        self.seen = Seen()
        self._inspected = inspected
        self._look = look
        self._purpose = inspected.decision.purpose
        self._known = list(inspected.identities)
        self._content: list[str] = []
        self._others: list[Chunk] = []
        self._waiting = ""
        self._before = ""  # the end of what was given, for context

    async def checked(self, chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
        """The same answer, as far as the policy lets it pass. Raises AnswerWithheldError and InspectionError."""
        answered = self._form()
        async with aclosing(chunks):
            if answered is not None or self._purpose.manipulation is AnswerCheck.REFUSE:
                async for chunk in self._whole(chunks):
                    yield chunk
            elif self._purpose.answers in {AnswerCheck.MASK, AnswerCheck.REFUSE}:
                async for chunk in self._windows(chunks):
                    yield chunk
            else:
                async for chunk in self._passing(chunks):
                    yield chunk

    async def _passing(self, chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
        kept: list[Chunk] = []
        async for chunk in chunks:
            kept.append(chunk)
            if chunk.finish_reason is not None and not self.seen.inspected:
                await self._count(_texts(kept))
            yield chunk

    async def _windows(self, chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
        async for chunk in chunks:
            self._content.append(chunk.content)
            self._waiting += chunk.content
            if chunk.refusal or chunk.reasoning or chunk.tool_calls:
                self._others.append(msgspec.structs.replace(chunk, content="", finish_reason=None, usage=None))
            if chunk.finish_reason is None:
                given = await self._given(last=False) if len(self._waiting) >= _WINDOW else ""
                yield Chunk(content=given, usage=chunk.usage, model=chunk.model, request_id=chunk.request_id)
                continue
            rest = await self._given(last=True)
            for other in await self._other_voices():
                yield other
            self.seen.suspicions |= suspicions_of_answer("".join(self._content))
            self.seen.inspected = True
            yield msgspec.structs.replace(chunk, content=rest, refusal="", reasoning="", tool_calls=())

    async def _whole(self, chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
        kept = [chunk async for chunk in chunks]
        content = "".join(chunk.content for chunk in kept)
        if kept and kept[-1].finish_reason is None and not any(chunk.finish_reason for chunk in kept):
            return  # broken off: what reads it will say so
        await self._count(_texts(kept))
        form = self._form()
        if form is not None and not form(content):
            raise AnswerWithheldError("Ответ модели не в той форме, которую требует шаблон или тема: он не выдан.")
        if self._purpose.manipulation is AnswerCheck.REFUSE and self.seen.suspicions:
            raise AnswerWithheldError("Ответ модели похож на попытку вывести скрытые данные: он не выдан.")
        if self._purpose.answers not in {AnswerCheck.MASK, AnswerCheck.REFUSE}:
            for chunk in kept:
                yield chunk
            return
        self.seen = Seen(suspicions=self.seen.suspicions)
        async with aclosing(self._windows(_again(kept))) as windows:
            async for chunk in windows:
                yield chunk

    def _form(self) -> Callable[[str], bool] | None:
        answered = self._inspected.policy.answered(self._inspected.context.template)
        return None if answered is None else answered.accepts

    async def _count(self, texts: list[Text]) -> None:
        """Count what is new in the whole answer, and look for manipulation."""
        for text, findings in zip(texts, await self._look(texts), strict=True):
            for finding in self._new(text.content, findings):
                self.seen.found[finding.entity] += 1
            self.seen.suspicions |= suspicions_of_answer(text.content)
        self.seen.inspected = True
        if self._purpose.answers is AnswerCheck.REFUSE and self.seen.found:
            raise _withheld(self.seen.found)

    async def _given(self, *, last: bool) -> str:
        """What of the waiting content may be given now, masked where it must be."""
        text = self._before + self._waiting
        (findings,) = await self._look([Text(text)])
        cut = len(text) if last else self._cut(text, findings)
        start = len(self._before)
        hidden = [each for each in self._new(text, findings) if start <= each.start and each.end <= cut]
        for finding in hidden:
            self.seen.found[finding.entity] += 1
        if hidden and self._purpose.answers is AnswerCheck.REFUSE:
            raise _withheld(self.seen.found)
        given = _starred(text, hidden, start, cut)
        self._before, self._waiting = text[max(0, cut - _MARGIN) : cut], text[cut:]
        return given

    def _cut(self, text: str, findings: Sequence[Finding]) -> int:
        """Where to cut so that nothing is cut through: before the margin, and before whatever crosses that place."""
        cut = max(len(self._before), len(text) - _MARGIN)
        spans = [*((each.start, each.end) for each in findings), *_labels(text)]
        for start, end in sorted(spans, reverse=True):
            if start < cut < end:
                cut = max(len(self._before), start)
        return cut

    async def _other_voices(self) -> list[Chunk]:
        """Refusals, reasoning and tool calls, looked at whole and masked."""
        if not self._others:
            return []
        calls: dict[int, ToolCallDelta] = {}
        for chunk in self._others:
            for call in chunk.tool_calls:
                known = calls.get(call.index, ToolCallDelta(call.index))
                calls[call.index] = ToolCallDelta(
                    call.index, known.id or call.id, known.name or call.name, known.arguments + call.arguments
                )
        indexes = sorted(calls)
        said = Message(
            Role.ASSISTANT,
            "".join(chunk.reasoning for chunk in self._others),
            refusal="".join(chunk.refusal for chunk in self._others),
            tool_calls=tuple(ToolCall(calls[index].id, calls[index].name, calls[index].arguments) for index in indexes),
        )
        seen = (await self._masked(ChatRequest(model="", messages=(said,)))).messages[0]
        return [
            Chunk(
                reasoning=str(seen.content or ""),
                refusal=seen.refusal or "",
                tool_calls=tuple(
                    ToolCallDelta(index, call.id, call.name, call.arguments)
                    for index, call in zip(indexes, seen.tool_calls, strict=True)
                ),
            )
        ]

    async def _masked(self, request: ChatRequest) -> ChatRequest:
        fields: dict[Field, None] = {}

        def collect(field: Field) -> str:
            fields[field] = None
            return field.content

        rewrite(request, collect)
        found = await self._look([Text(field.content, field.label) for field in fields])
        new = {field: self._new(field.content, each) for field, each in zip(fields, found, strict=True)}
        for findings in new.values():
            for finding in findings:
                self.seen.found[finding.entity] += 1
        if self.seen.found and self._purpose.answers is AnswerCheck.REFUSE:
            raise _withheld(self.seen.found)
        return rewrite(
            request,
            lambda field: (
                _starred(field.content, new[field], 0, len(field.content)) if field.maskable else field.content
            ),
        )

    def _new(self, text: str, findings: Sequence[Finding]) -> list[Finding]:
        """The findings that neither stand in the request nor are placeholders of ours."""
        labels = _labels(text) if findings else []
        candidates = [
            each for each in findings if not any(each.start < end and start < each.end for start, end in labels)
        ]
        if not candidates:
            return []
        values = [(each.entity, text[each.start : each.end]) for each in candidates]
        numbers = identify([*self._known, *values])
        known = {(value[0], numbers[value].number) for value in self._known}
        return [
            each
            for each, value in zip(candidates, values, strict=True)
            if (value[0], numbers[value].number) not in known
        ]


def _labels(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in PLACEHOLDER.finditer(text)]


def _texts(chunks: Sequence[Chunk]) -> list[Text]:
    """All that an answer says, voice by voice."""
    calls: dict[int, str] = {}
    for chunk in chunks:
        for call in chunk.tool_calls:
            calls[call.index] = calls.get(call.index, "") + call.arguments
    voices = (
        "".join(chunk.content for chunk in chunks),
        "".join(chunk.refusal for chunk in chunks),
        "".join(chunk.reasoning for chunk in chunks),
        *calls.values(),
    )
    return [Text(voice) for voice in voices if voice]


def _starred(text: str, findings: Sequence[Finding], start: int, end: int) -> str:
    pieces, place = [], start
    for finding in sorted(findings):
        pieces += [text[place : finding.start], masked(Method.STARS, finding.entity, text[finding.start : finding.end])]
        place = finding.end
    return "".join([*pieces, text[place:end]])


async def _again(chunks: Sequence[Chunk]) -> AsyncGenerator[Chunk, None]:
    for chunk in chunks:
        yield chunk


def _withheld(found: Mapping[Entity, int]) -> AnswerWithheldError:
    kinds = ", ".join(sorted(found))
    return AnswerWithheldError(
        f"В ответе модели есть новые персональные данные ({kinds}): политика не велит их выдавать."
    )
