"""The path of one request: inspect, decide, record, send, restore. No HTTP, no SQL.

INVARIANT: a provider is called in `_attempt` and `_embed_batch` only, and there only after the Intent of that very attempt is durable.
INVARIANT: what a provider is given was rewritten by the verdict for the residency of its own route.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from itertools import count
from typing import NoReturn

import msgspec

from appliance.accounting import Accounting
from appliance.attempt import Attempt
from appliance.auth import Principal
from appliance.dispatch import Dispatcher, Try
from appliance.errors import (
    AnswerWithheldError,
    AttemptsFailedError,
    BadRequestError,
    GatewayError,
    InspectionError,
    NotAllowedError,
    NotReadyError,
    PolicyRefusedError,
    PurposeError,
    RecordingError,
    StoppedError,
    UninspectableError,
    told,
)
from appliance.events import Outcome, RefusalReason, Status
from appliance.halting import Halt, Halts
from appliance.holds import Holds, held
from appliance.inspector import Call, Inspected, Inspector, R, destination, outgoing
from appliance.recorder import Recorder
from appliance.reply import Reply
from appliance.restoring import restored
from policies import AnswerCheck, Entity, Residency, Rule, Vault, Verdict
from providers import (
    ChatRequest,
    Choice,
    Chunk,
    Cost,
    Directory,
    Embedder,
    EmbeddingRequest,
    Embeddings,
    Meaning,
    Provider,
    ProviderError,
    Route,
    Task,
    Usage,
)

_AT_ONCE = 8  # batches of one request for vectors


class Answer:
    """An answer that has begun. Whoever takes it closes `chunks`; the last of them is given only after the Outcome is durable."""

    def __init__(
        self,
        made: Try,
        inspected: Inspected[ChatRequest],
        attempt: Attempt,
        chunks: AsyncGenerator[Chunk, None],
    ) -> None:
        self.route = made.route
        self.reason = made.reason
        self.verdict = inspected.decision.rulings[made.route.id].verdict
        self.record = attempt.intent  # the log's number of the Intent
        self.chunks = chunks
        self._attempt = attempt
        self._inspected = inspected

    @property
    def flags(self) -> dict[str, str]:
        """What the policy lets the application know of the request and, once the last chunk was given, of the answer."""
        purpose, seen = self._inspected.decision.purpose, self._attempt.seen
        told = {}
        suspicions = self._inspected.suspicions | seen.suspicions
        if suspicions and purpose.manipulation is not AnswerCheck.COUNT:
            told["X-Suspicions"] = ", ".join(sorted(suspicions))
        if self._attempt.unrestored:
            told["X-Unrestored"] = str(self._attempt.unrestored)
        if seen.found and purpose.answers is not AnswerCheck.COUNT:
            told["X-Answer-Personal-Data"] = ", ".join(f"{kind}={count}" for kind, count in sorted(seen.found.items()))
        return told

    @property
    def cost(self) -> Cost | None:
        """Known when the last chunk was given, if ever."""
        return self._attempt.cost


class Vectors(msgspec.Struct, frozen=True):
    """The vectors of a request, in its order; `record` is the Intent of the first attempt that gave some."""

    embeddings: Embeddings
    route: Route
    reason: str
    verdict: Verdict
    record: int
    microrubles: int | None


class Gateway:
    """Joins the inspector, the recorder, the dispatcher and the providers."""

    def __init__(  # noqa: PLR0913  (the parts it joins, each by name)
        self,
        *,
        inspector: Inspector,
        recorder: Recorder,
        dispatcher: Dispatcher,
        accounting: Accounting,
        directory: Directory,
        providers: Mapping[str, Provider],
        holds: Holds,
        halts: Halts,
    ) -> None:
        self.directory = directory
        self.requests = 0
        self._inspector = inspector
        self._recorder = recorder
        self._dispatcher = dispatcher
        self._accounting = accounting
        self._providers = providers
        self._holds = holds
        self._halts = halts
        self._closing: set[asyncio.Task[None]] = set()

    async def chat(self, principal: Principal, call: Call[ChatRequest]) -> Answer:
        """Answer one chat request; returns when the first chunk is there.

        Raises UnknownModelError, or GatewayError: nobody was called, except where it is AttemptsFailedError, or RecordingError
        after an attempt. The caller closes `Answer.chunks`.
        """
        self.requests += 1
        meaning = self._meaning(principal, call.model, Task.CHAT)
        inspected = await self._inspect(principal, call, meaning.routes)  # (1) purpose, texts, findings, decision
        permitted = await self._permitted(inspected, meaning.routes)  # (2) what the policy leaves
        choices = await self._choices(inspected, permitted, meaning)  # (3) in which order
        return await self._dispatcher.run(  # (4) one Intent an attempt
            choices,
            lambda made: self._attempt(inspected, made),
            None if call.stream else _close,
        )

    async def embed(self, principal: Principal, call: Call[EmbeddingRequest]) -> Vectors:
        """The vectors of a request's texts, all of one model. Raises as `chat` does, and BadRequestError for a name of several."""
        self.requests += 1
        meaning = self._meaning(principal, call.model, Task.EMBEDDING)
        if len({route.upstream for route in meaning.routes}) > 1:
            raise BadRequestError("vectors of different models cannot be compared: name one model", "model")
        inspected = await self._inspect(principal, call, meaning.routes)
        permitted = await self._permitted(inspected, meaning.routes)
        choices = await self._choices(inspected, permitted, meaning)
        numbers = count(1)
        return await self._dispatcher.run(choices, lambda made: self._embed(inspected, made, numbers))

    async def refuse(
        self,
        error: GatewayError,
        principal: Principal,
        request_id: str,
        reason: RefusalReason,
        purpose: str | None = None,
    ) -> NoReturn:
        """Record that the request reached nobody, then raise `error`."""
        error.record = await self._recorder.refused(reason, principal, request_id, purpose)
        raise error

    async def settle(self) -> None:
        """Wait until every answer that was broken off has its Outcome."""
        while self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def _meaning(self, principal: Principal, model: str, task: Task) -> Meaning:
        return self.directory.resolve(principal.route or model, task)

    async def _inspect(self, principal: Principal, call: Call[R], routes: tuple[Route, ...]) -> Inspected[R]:
        purpose = call.declared.purpose
        try:
            return await self._inspector.inspect(principal, call, routes)
        except (PurposeError, NotAllowedError) as error:
            await self.refuse(error, principal, call.request_id, RefusalReason.PURPOSE, purpose)
        except UninspectableError as error:
            await self.refuse(error, principal, call.request_id, RefusalReason.UNINSPECTABLE, purpose)
        except InspectionError as error:
            await self.refuse(error, principal, call.request_id, RefusalReason.DETECTOR, purpose)

    async def _permitted(self, inspected: Inspected[R], candidates: tuple[Route, ...]) -> tuple[Route, ...]:
        rulings = inspected.decision.rulings
        permitted = tuple(route for route in candidates if rulings[route.id].verdict is not Verdict.REFUSE)
        if permitted:
            return permitted
        rules = tuple(dict.fromkeys(rule for route in candidates for rule in rulings[route.id].rules))
        record = await self._recorder.refused_by_policy(inspected, rules, candidates)
        raise PolicyRefusedError(_explained(rules, candidates), rules, record)

    async def _choices(
        self, inspected: Inspected[R], permitted: tuple[Route, ...], meaning: Meaning
    ) -> tuple[Choice, ...]:
        """The permitted routes that can take the request now, in the order to try them."""
        states = {route.id: self._providers[route.provider].readiness() for route in permitted}
        ready = tuple(route for route in permitted if states[route.id].ready)
        prices = {route.id: self._estimate(inspected, route) for route in ready} if len(ready) > 1 else {}
        if ready and (choices := self._dispatcher.order(ready, meaning.strategy, prices)):
            return choices
        if ready:
            reasons = "; ".join(f"`{route.id}`: недавние обращения к нему не удались" for route in ready)
            wait = self._dispatcher.opens_in(ready)
        else:
            reasons = "; ".join(f"`{route.id}`: {states[route.id].reason}" for route in permitted)
            wait = min((state.retry_after for state in states.values() if state.retry_after is not None), default=30.0)
        error = NotReadyError(f"Разрешённый маршрут пока не готов: {reasons}. Повторите позже.", wait)
        call = inspected.call
        return await self.refuse(
            error, inspected.principal, call.request_id, RefusalReason.NOT_READY, call.declared.purpose
        )

    async def _attempt(self, inspected: Inspected[ChatRequest], made: Try) -> Answer:
        """Record an Intent, then call the route's provider with what the verdict for this route allows."""
        route = made.route
        await self._unless_stopped(inspected, route)
        ruling = inspected.decision.rulings[route.id]
        request, vault = outgoing(inspected, ruling, route.upstream)  # (1) the form in which it may leave
        attempt = self._begin(route, inspected.characters)
        found = inspected.decision.found
        attempt.intent = await self._intend(attempt, inspected, made, found)  # (2) durable, or nobody is called
        attempt.placeholders = len(vault)
        halt = self._halts.begin(inspected.context, destination(route))
        upstream = halt.guarded(
            self._providers[route.provider].chat(request)
        )  # (3) nothing is sent before the first `anext`
        try:
            first = await _first(upstream, attempt)
        except BaseException as error:
            self._halts.end(halt)
            await self._broken_off(attempt, upstream, error)
            if isinstance(error, ProviderError):
                raise AttemptsFailedError(error, attempt.intent) from None
            raise
        chunks = self._answer(inspected, attempt, first, upstream, vault, halt)
        await anext(chunks)  # begun, so that closing it records an Outcome even if nobody ever reads it
        return Answer(made, inspected, attempt, chunks)

    async def _unless_stopped(self, inspected: Inspected[R], route: Route) -> None:
        """Raises PolicyRefusedError, recorded, when a stop was laid since the request was inspected."""
        rules = self._halts.rules(inspected.context, destination(route))
        if rules:
            record = await self._recorder.refused_by_policy(inspected, rules, (route,))
            raise PolicyRefusedError(_explained(rules, (route,)), rules, record)

    async def _answer(
        self,
        inspected: Inspected[ChatRequest],
        attempt: Attempt,
        first: list[Chunk],
        upstream: AsyncGenerator[Chunk, None],
        vault: Vault,
        halt: Halt,
    ) -> AsyncGenerator[Chunk, None]:
        """An empty chunk, then the restored ones; the Outcome is durable before the last of them is given."""
        attempt.begun = True
        try:
            yield Chunk()
            reply = Reply(inspected, self._inspector.look)
            attempt.seen = reply.seen
            looked = reply.checked(_joined(first, upstream, attempt))
            whole = restored(looked, vault, attempt.left)
            if inspected.decision.review:
                whole = self._reviewed(inspected, attempt, whole)
            async with aclosing(whole) as chunks:
                async for chunk in chunks:
                    halt.check()
                    if chunk.finish_reason is None and not attempt.held:
                        yield chunk
                    else:
                        attempt.held.append(chunk)
            attempt.recorded = True  # from here on: an append that we no longer wait for is written all the same
            await self._recorder.outcome(attempt.completed())
            for chunk in attempt.held:
                yield chunk
        except BaseException as error:
            await self._broken_off(attempt, upstream, error)
            raise
        finally:
            self._halts.end(halt)

    async def _reviewed(
        self, inspected: Inspected[ChatRequest], attempt: Attempt, chunks: AsyncGenerator[Chunk, None]
    ) -> AsyncGenerator[Chunk, None]:
        """The same chunks once a person has let the whole answer out (152-ФЗ ст. 16)."""
        async with aclosing(chunks):
            kept = [chunk async for chunk in chunks]
        attempt.reviewer = await self._holds.wait(held(inspected, attempt.intent, attempt.route.id, kept))
        for chunk in kept:
            yield chunk

    async def _embed(self, inspected: Inspected[EmbeddingRequest], made: Try, numbers: Iterator[int]) -> Vectors:
        """The vectors of all texts from one route: a batch is an attempt of its own, with its own Intent."""
        provider = self._providers[made.route.provider]
        if not isinstance(provider, Embedder):
            raise TypeError("settings let a provider without embeddings have such a model")
        ruling = inspected.decision.rulings[made.route.id]
        request, _ = outgoing(inspected, ruling, made.route.upstream)
        size = provider.largest_batch
        turns = asyncio.Semaphore(_AT_ONCE)

        async def batch(start: int) -> tuple[Attempt, Embeddings]:
            part = slice(start, start + size)
            original = msgspec.structs.replace(inspected.call.request, texts=inspected.call.request.texts[part])
            hidden = msgspec.structs.replace(request, texts=request.texts[part])
            async with turns:
                this = Try(made.route, next(numbers), made.reason)
                return await self._embed_batch(provider, inspected, this, original, hidden)

        results = await _all([batch(start) for start in range(0, len(request.texts), size)])
        return Vectors(
            embeddings=_together([embeddings for _, embeddings in results]),
            route=made.route,
            reason=made.reason,
            verdict=ruling.verdict,
            record=results[0][0].intent,
            microrubles=_sum([attempt.cost for attempt, _ in results]),
        )

    async def _embed_batch(
        self,
        provider: Embedder,
        inspected: Inspected[EmbeddingRequest],
        made: Try,
        original: EmbeddingRequest,
        hidden: EmbeddingRequest,
    ) -> tuple[Attempt, Embeddings]:
        """Record an Intent for a batch, then call the provider with the batch as it may leave."""
        await self._unless_stopped(inspected, made.route)
        attempt = self._begin(made.route, sum(map(len, hidden.texts)))
        found = inspected.found(original)
        attempt.intent = await self._intend(attempt, inspected, made, found, len(hidden.texts))
        try:
            with self._halts.call(inspected.context, destination(made.route)) as halt:
                embeddings = await halt.within(lambda: provider.embed(hidden))
            attempt.answered(embeddings.usage, embeddings.request_id)
            attempt.recorded = True
            await self._recorder.outcome(attempt.completed())
        except BaseException as error:
            await self._broken_off(attempt, None, error)
            if isinstance(error, ProviderError):
                raise AttemptsFailedError(error, attempt.intent) from None
            raise
        return attempt, embeddings

    def _begin(self, route: Route, characters: int) -> Attempt:
        return Attempt(route, characters, self._dispatcher.board[route.id], self._accounting, self._dispatcher.clock)

    async def _intend(
        self, attempt: Attempt, inspected: Inspected[R], made: Try, found: Mapping[Entity, int], texts: int = 0
    ) -> int:
        """The number of the attempt's Intent, durable."""
        estimate = self._estimate(inspected, made.route)
        try:
            return await self._recorder.intent(
                inspected, made, texts, found, None if estimate is None else round(estimate * 1_000_000)
            )
        except BaseException:
            attempt.dropped()
            raise

    def _estimate(self, inspected: Inspected[R], route: Route) -> Decimal | None:
        return self._accounting.estimate(route, inspected.characters, _longest(inspected.call.request))

    async def _broken_off(
        self, attempt: Attempt, upstream: AsyncGenerator[Chunk, None] | None, error: BaseException
    ) -> None:
        """Close the upstream and record the Outcome, even when our own task is being cancelled."""
        if attempt.recorded:
            return
        attempt.recorded = True
        if isinstance(error, AnswerWithheldError):
            attempt.reviewer = error.reviewer
            outcome = attempt.withheld()
            error.record = attempt.intent
        elif isinstance(error, StoppedError):
            outcome = attempt.dropped(Status.STOPPED)
            error.record = attempt.intent
        else:
            outcome = attempt.failed(error) if isinstance(error, ProviderError) else attempt.dropped()
        if isinstance(error, RecordingError):
            return  # the log itself failed: there is nothing to write an Outcome to; the sweep at the next start does it
        await asyncio.shield(self._spawn(self._finish(upstream, outcome)))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        task.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # an error is the waiter's, not the loop's
        return task

    async def _finish(self, upstream: AsyncGenerator[Chunk, None] | None, outcome: Outcome) -> None:
        if upstream is not None:
            await upstream.aclose()
        await self._recorder.outcome(outcome)


async def _first(upstream: AsyncIterator[Chunk], attempt: Attempt) -> list[Chunk]:
    """Chunks up to the first that says something: until then another route may still be tried."""
    chunks = []
    async for chunk in upstream:
        chunks.append(chunk)
        if attempt.see(chunk):
            break
    return chunks


async def _joined(
    first: list[Chunk], upstream: AsyncGenerator[Chunk, None], attempt: Attempt
) -> AsyncGenerator[Chunk, None]:
    async with aclosing(upstream):
        for chunk in first:
            yield chunk
        async for chunk in upstream:
            attempt.see(chunk)
            yield chunk


async def _close(answer: Answer) -> None:
    await answer.chunks.aclose()


async def _all(work: Sequence[Coroutine[None, None, tuple[Attempt, Embeddings]]]) -> list[tuple[Attempt, Embeddings]]:
    """Every result, in order; the first error stops the rest, each of which has its Outcome when this raises."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _longest(request: ChatRequest | EmbeddingRequest) -> int | None:
    """Tokens that the answer may have; None for as many as the model likes."""
    return request.max_tokens if isinstance(request, ChatRequest) else 0


def _together(parts: Sequence[Embeddings]) -> Embeddings:
    used = [part.usage for part in parts if part.usage is not None]
    usage = Usage(
        prompt_tokens=sum(each.prompt_tokens for each in used),
        completion_tokens=sum(each.completion_tokens for each in used),
        total_tokens=sum(each.total_tokens for each in used),
    )
    return Embeddings(
        vectors=tuple(vector for part in parts for vector in part.vectors),
        usage=usage if len(used) == len(parts) else None,
        model=parts[0].model,
        request_id=parts[0].request_id,
    )


def _sum(costs: Sequence[Cost | None]) -> int | None:
    known = [cost.microrubles for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


_WHERE = {
    Residency.LOCAL: "локальная модель",
    Residency.RU: "модель у получателя в России",
    Residency.FOREIGN: "модель за пределами России",
}


def _explained(rules: tuple[Rule, ...], candidates: tuple[Route, ...]) -> str:
    residencies = {Residency(route.residency) for route in candidates}
    where = ", ".join(words for residency, words in _WHERE.items() if residency in residencies)
    return f"Запрос не отправлен: политика не допускает его на запрошенный маршрут ({where}). {told(rules)}"
