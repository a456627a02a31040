"""The path of one request: inspect, decide, record, send, restore. No HTTP, no SQL.

INVARIANT: a provider is called in `_attempt` only, and there only after the Intent of that very attempt is durable.
INVARIANT: what a provider is given was rewritten by the verdict for the residency of its own route.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing
from typing import NoReturn

import msgspec

from appliance.auth import Principal, Pseudonyms
from appliance.errors import (
    AttemptsFailedError,
    GatewayError,
    InspectionError,
    NotAllowedError,
    NotReadyError,
    PolicyRefusedError,
    PurposeError,
    RecordingError,
    UninspectableError,
)
from appliance.events import Event, Intent, Outcome, RefusalReason, Refused, Status, entry, provider_id
from appliance.inspection import Field, rewrite
from appliance.restoring import restored
from audit import AuditError, AuditLog, Receipt
from policies import (
    Context,
    Decision,
    Detector,
    DetectorError,
    Entity,
    Finding,
    Policy,
    Residency,
    Rule,
    Ruling,
    Text,
    Vault,
    Verdict,
    evaluate,
    redact,
    with_repeats,
)
from providers import ChatRequest, Chunk, Provider, ProviderError, Route, Usage, matching

_MOST_TEXTS = 20_000  # distinct texts of one request; a thousand messages with tools have far fewer
_QUICK = 500_000  # characters to search through that may be searched on the event loop: well under a millisecond


class Call(msgspec.Struct, frozen=True):
    """A chat request as the gateway takes it, freed of its protocol."""

    request_id: str
    model: str  # "auto", "provider/model" or "provider"
    request: ChatRequest
    raw: bytes  # the body as it came: what the record commits to
    purpose: str | None = None
    subject: str | None = None
    user: str | None = None
    stream: bool = False


class Answer(msgspec.Struct, frozen=True):
    """An answer that has begun. Whoever takes it closes `chunks`; the last of them is given only after the Outcome is durable."""

    route: Route
    verdict: Verdict
    record: int  # the log's number of the Intent
    chunks: AsyncGenerator[Chunk, None]


class _Inspected(msgspec.Struct, frozen=True):
    """A call with what was found in it."""

    call: Call
    principal: Principal
    decision: Decision
    findings: Mapping[Field, tuple[Finding, ...]]
    subjects: tuple[bytes, ...]
    user: bytes


class Gateway:
    """Joins the detector, the policy, the log and the providers."""

    def __init__(
        self,
        *,
        policy: Policy,
        detector: Detector,
        log: AuditLog,
        routes: tuple[Route, ...],
        providers: Mapping[str, Provider],
        pseudonyms: Pseudonyms,
    ) -> None:
        self.policy = policy
        self.routes = routes
        self.requests = 0
        self._detector = detector
        self._log = log
        self._providers = providers
        self._pseudonyms = pseudonyms
        self._closing: set[asyncio.Task[None]] = set()

    async def chat(self, principal: Principal, call: Call) -> Answer:
        """Answer one chat request; returns when the first chunk is there.

        Raises UnknownModelError, or GatewayError: nobody was called, except where it is AttemptsFailedError, or RecordingError
        after an attempt. The caller closes `Answer.chunks`.
        """
        self.requests += 1
        candidates = matching(self.routes, call.model)
        inspected = await self._inspect(principal, call)  # (1) purpose, texts, findings, decision
        permitted = await self._permitted(inspected, candidates)  # (2) what the policy leaves
        ready = await self._ready(inspected, permitted)
        waiting, repeated, number = deque(ready), set[str](), 0
        while True:  # (3) one Intent an attempt, in the order of the settings
            route, number = waiting.popleft(), number + 1
            try:
                return await self._attempt(inspected, route, number)
            except AttemptsFailedError as error:
                if error.cause.again and route.id not in repeated:
                    repeated.add(route.id)
                    waiting.appendleft(route)
                elif not (error.cause.failover and waiting):
                    raise

    async def refuse(
        self,
        error: GatewayError,
        principal: Principal,
        request_id: str,
        reason: RefusalReason,
        purpose: str | None = None,
    ) -> NoReturn:
        """Record that the request reached nobody, then raise `error`. Of `purpose` only one that the policy knows is kept."""
        refused = Refused(
            request_id=request_id,
            app=principal.app,
            key_id=principal.key_id,
            reason=reason,
            purpose=(purpose if purpose in self.policy.purposes else principal.default_purpose) or "",
            policy_digest=bytes.fromhex(self.policy.digest),
        )
        error.record = (await self._record(refused)).seq
        raise error

    async def settle(self) -> None:
        """Wait until every answer that was broken off has its Outcome."""
        while self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    async def _inspect(self, principal: Principal, call: Call) -> _Inspected:
        try:
            purpose = principal.purpose(call.purpose)
            if purpose not in self.policy.purposes:
                raise PurposeError("the purpose asked for is not declared in the policy", "metadata.purpose")
            fields = _collect(call.request)
        except (PurposeError, NotAllowedError) as error:
            await self.refuse(error, principal, call.request_id, RefusalReason.PURPOSE, call.purpose)
        except UninspectableError as error:
            await self.refuse(error, principal, call.request_id, RefusalReason.UNINSPECTABLE, call.purpose)
        try:
            found = await self._find([_text(field) for field in fields])
        except DetectorError:
            failure = InspectionError(
                "the request could not be inspected for personal data, so it was not sent: try again"
            )
            await self.refuse(failure, principal, call.request_id, RefusalReason.DETECTOR, call.purpose)
        findings = dict(zip(fields, found, strict=True))
        counts: Counter[Entity] = Counter(finding.entity for each in findings.values() for finding in each)
        fixed = frozenset(finding.entity for field, each in findings.items() if not field.maskable for finding in each)
        return _Inspected(
            call=call,
            principal=principal,
            decision=evaluate(self.policy, dict(counts), Context(purpose, fixed)),
            findings=findings,
            subjects=() if call.subject is None else (self._pseudonyms.of(call.subject),),
            user=b"" if call.user is None else self._pseudonyms.of(call.user),
        )

    async def _find(self, texts: list[Text]) -> tuple[tuple[Finding, ...], ...]:
        found = await self._detector.detect(texts)
        work = sum(map(len, found)) * sum(len(text.content) for text in texts)
        if work < _QUICK:
            return with_repeats(texts, found)
        return await asyncio.to_thread(with_repeats, texts, found)

    async def _permitted(self, inspected: _Inspected, candidates: tuple[Route, ...]) -> tuple[Route, ...]:
        rulings = inspected.decision.rulings
        permitted = tuple(
            route for route in candidates if rulings[Residency(route.residency)].verdict is not Verdict.REFUSE
        )
        if permitted:
            return permitted
        residencies = tuple(sorted({Residency(route.residency) for route in candidates}))
        rules = tuple({rule.id: rule for residency in residencies for rule in rulings[residency].rules}.values())
        receipt = await self._record(
            Refused(
                request_id=inspected.call.request_id,
                app=inspected.principal.app,
                key_id=inspected.principal.key_id,
                reason=RefusalReason.POLICY,
                purpose=inspected.decision.purpose,
                policy_digest=bytes.fromhex(self.policy.digest),
                rules=tuple(rule.id for rule in rules),
                found=dict(inspected.decision.found),
                residencies=residencies,
                user=inspected.user,
            ),
            inspected.subjects,
        )
        raise PolicyRefusedError(_explained(rules, residencies), rules, receipt.seq)

    async def _ready(self, inspected: _Inspected, permitted: tuple[Route, ...]) -> tuple[Route, ...]:
        states = {route.id: self._providers[route.provider].readiness() for route in permitted}
        ready = tuple(route for route in permitted if states[route.id].ready)
        if ready:
            return ready
        waits = [state.retry_after for state in states.values() if state.retry_after is not None]
        reasons = "; ".join(f"`{route.id}`: {states[route.id].reason}" for route in permitted)
        error = NotReadyError(
            f"Разрешённый маршрут пока не готов: {reasons}. Повторите позже.", min(waits, default=30.0)
        )
        call = inspected.call
        return await self.refuse(error, inspected.principal, call.request_id, RefusalReason.NOT_READY, call.purpose)

    async def _attempt(self, inspected: _Inspected, route: Route, number: int) -> Answer:
        """Record an Intent, then call the route's provider with what the verdict for this route allows."""
        ruling = inspected.decision.rulings[Residency(route.residency)]
        outgoing, vault = _outgoing(inspected, ruling, route)  # (1) the form in which it may leave
        intent = self._intent(inspected, ruling, route, number)
        receipt = await self._record(intent, inspected.subjects, inspected.call.raw)  # (2) durable, or nobody is called
        run = _Run(receipt.seq, len(vault))
        upstream = self._providers[route.provider].chat(outgoing)  # (3) nothing is sent before the first `anext`
        try:
            first = await _first(upstream, run)
        except BaseException as error:
            await self._broken_off(run, upstream, error)
            if isinstance(error, ProviderError):
                raise AttemptsFailedError(error, receipt.seq) from None
            raise
        chunks = self._answer(run, first, upstream, vault)
        await anext(chunks)  # begun, so that closing it records an Outcome even if nobody ever reads it
        return Answer(route, ruling.verdict, receipt.seq, chunks)

    async def _answer(
        self, run: _Run, first: list[Chunk], upstream: AsyncGenerator[Chunk, None], vault: Vault
    ) -> AsyncGenerator[Chunk, None]:
        """An empty chunk, then the restored ones; the Outcome is durable before the last of them is given."""
        run.begun = True
        try:
            yield Chunk()
            async with aclosing(restored(_joined(first, upstream, run), vault)) as chunks:
                async for chunk in chunks:
                    if chunk.finish_reason is None and not run.held:
                        yield chunk
                    else:
                        run.held.append(chunk)
            run.recorded = True  # from here on: an append that we no longer wait for is written all the same
            await self._record(run.outcome(Status.COMPLETED))
            for chunk in run.held:
                yield chunk
        except BaseException as error:
            await self._broken_off(run, upstream, error)
            raise

    async def _broken_off(self, run: _Run, upstream: AsyncGenerator[Chunk, None], error: BaseException) -> None:
        """Close the upstream and record the Outcome, even when our own task is being cancelled."""
        if run.recorded:
            return
        run.recorded = True
        if isinstance(error, ProviderError):
            status = Status.INTERRUPTED if run.begun else Status.FAILED
            outcome = run.outcome(status, type(error).__name__, error.request_id)
        elif isinstance(error, GatewayError):
            return  # the log itself failed: there is nothing to write an Outcome to; the sweep at the next start does it
        else:
            outcome = run.outcome(Status.ABORTED)
        await asyncio.shield(self._spawn(self._finish(upstream, outcome)))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        task.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # an error is the waiter's, not the loop's
        return task

    async def _finish(self, upstream: AsyncGenerator[Chunk, None], outcome: Outcome) -> None:
        await upstream.aclose()
        await self._record(outcome)

    def _intent(self, inspected: _Inspected, ruling: Ruling, route: Route, number: int) -> Intent:
        decision = inspected.decision
        masked = {entity: count for entity, count in decision.found.items() if entity in ruling.masks}
        return Intent(
            request_id=inspected.call.request_id,
            attempt=number,
            app=inspected.principal.app,
            key_id=inspected.principal.key_id,
            purpose=decision.purpose,
            ground=self.policy.purposes[decision.purpose].article,
            policy_version=self.policy.version,
            policy_digest=bytes.fromhex(decision.policy_digest),
            detector=self._detector.version,
            route=route.id,
            residency=Residency(route.residency),
            country=route.country,
            verdict=ruling.verdict,
            method="placeholder" if masked else "",
            rules=tuple(rule.id for rule in ruling.rules),
            found=dict(decision.found),
            masked=masked,
            residual={entity: count for entity, count in decision.found.items() if entity not in ruling.masks},
            streamed=inspected.call.stream,
            user=inspected.user,
        )

    async def _record(self, event: Event, subjects: tuple[bytes, ...] = (), commit_to: bytes = b"") -> Receipt:
        try:
            return await self._log.append(entry(event, subjects=subjects, commit_to=commit_to))
        except AuditError:
            raise RecordingError(
                "the audit log cannot be written, so nothing is sent: tell the administrator"
            ) from None


class _Run:
    """What is counted while one attempt goes on."""

    def __init__(self, intent: int, placeholders: int) -> None:
        self.intent = intent
        self.placeholders = placeholders
        self.began = time.monotonic()
        self.begun = False  # whether the first chunk came
        self.recorded = False
        self.chunks = 0
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.request_id = ""
        self.held: list[Chunk] = []  # the end of the answer, given only after the Outcome is durable

    def see(self, chunk: Chunk) -> None:
        self.chunks += 1
        self.usage = chunk.usage or self.usage
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.request_id = chunk.request_id or self.request_id

    def outcome(self, status: Status, error: str = "", request_id: str = "") -> Outcome:
        usage = self.usage or Usage(0, 0, 0)
        return Outcome(
            intent=self.intent,
            status=status,
            error=error,
            finish_reason=self.finish_reason,
            provider_request_id=provider_id(self.request_id or request_id),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            chunks=self.chunks,
            milliseconds=round((time.monotonic() - self.began) * 1000),
            placeholders=self.placeholders,
        )


def _collect(request: ChatRequest) -> list[Field]:
    """Every distinct text of a request, in order. Raises UninspectableError for too many, or for text that is not plain Unicode."""
    fields: dict[Field, None] = {}

    def visit(field: Field) -> str:
        fields[field] = None
        if len(fields) > _MOST_TEXTS:
            raise UninspectableError(
                f"the request holds more than {_MOST_TEXTS} texts, counting JSON values: split it", "messages"
            )
        return field.content

    rewrite(request, visit)
    for field in fields:
        if "\x00" in field.content:
            raise UninspectableError(
                "the request holds the character U+0000, which hides text from inspection: remove it", "messages"
            )
        if not field.content.isascii() and not _encodable(field.content):
            raise UninspectableError(
                "the request holds a lone surrogate, which is not Unicode text: remove it", "messages"
            )
    return list(fields)


def _text(field: Field) -> Text:
    # In a name that must keep its form, `_` stands for a space; where exactly something was found in it does not matter.
    return Text(field.content, field.label) if field.maskable else Text(field.content.replace("_", " "), field.label)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _outgoing(inspected: _Inspected, ruling: Ruling, route: Route) -> tuple[ChatRequest, Vault]:
    """The request as the ruling lets it leave, and the vault that undoes the hiding."""
    request = msgspec.structs.replace(inspected.call.request, model=route.upstream)
    vault = Vault(avoid=[field.content for field in inspected.findings] if ruling.masks else ())

    def visit(field: Field) -> str:
        if not field.maskable or not ruling.masks:
            return field.content  # what was found in a field that must keep its form has refused a masked route already
        return redact(field.content, inspected.findings[field], ruling.masks, vault)

    # Rewritten even when nothing is hidden: only what was inspected may leave.
    return rewrite(request, visit), vault


async def _first(upstream: AsyncIterator[Chunk], run: _Run) -> list[Chunk]:
    """Chunks up to the first that says something: until then another route may still be tried."""
    chunks = []
    async for chunk in upstream:
        run.see(chunk)
        chunks.append(chunk)
        if chunk.content or chunk.refusal or chunk.reasoning or chunk.tool_calls or chunk.finish_reason:
            break
    return chunks


async def _joined(first: list[Chunk], upstream: AsyncGenerator[Chunk, None], run: _Run) -> AsyncGenerator[Chunk, None]:
    async with aclosing(upstream):
        for chunk in first:
            yield chunk
        async for chunk in upstream:
            run.see(chunk)
            yield chunk


_WHERE = {
    Residency.LOCAL: "локальная модель",
    Residency.RU: "модель у получателя в России",
    Residency.FOREIGN: "модель за пределами России",
}


def _explained(rules: tuple[Rule, ...], residencies: tuple[Residency, ...]) -> str:
    where = ", ".join(_WHERE[residency] for residency in residencies)
    reasons = " ".join(f"[{rule.id}; {rule.article}] {rule.reason} {rule.advice}" for rule in rules)
    return f"Запрос не отправлен: политика не допускает его на запрошенный маршрут ({where}). {reasons}"
