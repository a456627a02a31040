"""What is written of a request, and the one way it gets into the log: durable, or an error that stops the request."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.aside import Aside
from appliance.auth import Principal
from appliance.dispatch import Try
from appliance.errors import RecordingError
from appliance.events import ContentDropped, Event, Intent, Outcome, RefusalReason, Refused, entry
from appliance.governance import Governance
from appliance.inspector import Inspected, R
from audit import AuditError, AuditLog, Receipt
from policies import Entity, Residency, Rule
from providers import Route, Task


class Recorder:
    """Joins the log with what every record says of the policy and the detector; `aside` stands in for a log that cannot write."""

    def __init__(
        self, log: AuditLog, governance: Governance, detector_version: str, aside: Aside | None = None
    ) -> None:
        self._log = log
        self._aside = aside
        self._governance = governance
        self._detector_version = detector_version

    async def append(self, event: Event, subjects: tuple[bytes, ...] = (), commit_to: bytes = b"") -> Receipt:
        """Returns when the record is durable. Raises RecordingError."""
        vital = isinstance(event, ContentDropped)  # it makes room
        try:
            if self._aside is not None and not vital:
                await self._aside.make_way()
            return await self._log.append(entry(event, subjects=subjects, commit_to=commit_to), vital=vital)
        except AuditError:
            raise _unrecorded() from None

    async def outcome(self, outcome: Outcome) -> None:
        """Returns when the end of an attempt is durable, beside its Intent. Raises RecordingError."""
        try:
            if self._aside is not None and outcome.intent < 0:
                await self._aside.outcome(outcome)
            else:
                await self._log.append(entry(outcome))
        except AuditError:
            raise _unrecorded() from None

    async def intent(
        self, inspected: Inspected[R], made: Try, texts: int, found: Mapping[Entity, int], estimate: int | None
    ) -> int:
        """Record that a request which holds what was `found` is about to be sent. Returns the log's number.

        `texts`: how many are to become vectors; 0 for a chat. A request in which nothing was found may be recorded aside, when the log
        cannot write and the settings say so: what is returned then is below 0. Either is durable. Raises RecordingError.
        """
        decision, call = inspected.decision, inspected.call
        ruling, context, purpose = decision.rulings[made.route.id], inspected.context, decision.purpose
        masked = {entity: number for entity, number in found.items() if entity in ruling.masks}
        intent = Intent(
            request_id=call.request_id,
            attempt=made.number,
            app=inspected.principal.app,
            key_id=inspected.principal.key_id,
            purpose=purpose.id,
            ground=purpose.article,
            policy_version=inspected.policy.version,
            policy_digest=bytes.fromhex(decision.policy_digest),
            detector=self._detector_version,
            route=made.route.id,
            residency=Residency(made.route.residency),
            country=made.route.country,
            verdict=ruling.verdict,
            method=",".join(sorted({ruling.masks[entity] for entity in masked})),
            rules=named(ruling.rules),
            found=dict(found),
            masked=masked,
            residual={entity: number for entity, number in found.items() if entity not in ruling.masks},
            streamed=call.stream,
            user=inspected.user,
            task=Task.EMBEDDING if texts else Task.CHAT,
            texts=texts,
            choice=made.reason,
            estimate=estimate,
            recipient=made.route.recipient,
            card=inspected.policy.card_digest(made.route.recipient),
            methods={entity: ruling.masks[entity] for entity in masked},
            unmaskable=tuple(sorted(context.unmaskable)),
            consent=bytes.fromhex(context.consent),
            primary_record=context.primary_record,
            legal_effect=purpose.legal_effect,
            collects=purpose.collects,
            template=context.template,
            suspicions=tuple(sorted(inspected.suspicions)),
        )
        if self._goes_aside(inspected):
            return await self._intent_aside(intent, call.raw)
        try:
            return (await self.append(intent, inspected.subjects, call.raw)).seq
        except RecordingError:
            if not self._goes_aside(inspected):
                raise
        return await self._intent_aside(intent, call.raw)

    def _goes_aside(self, inspected: Inspected[R]) -> bool:
        """Whether a request may be recorded aside now: nobody's data were found or named, nothing looks wrong, nobody has to review."""
        noticed = inspected.decision.found or inspected.subjects or inspected.suspicions or inspected.decision.review
        return self._aside is not None and self._aside.takes and not noticed

    async def _intent_aside(self, intent: Intent, raw: bytes) -> int:
        try:
            return await self._aside.intent(intent, raw) if self._aside is not None else -1
        except AuditError:
            raise _unrecorded() from None

    async def refused(
        self,
        reason: RefusalReason,
        principal: Principal,
        request_id: str,
        purpose: str | None,
        rules: tuple[Rule, ...] = (),
    ) -> int:
        """Record a request that reached nobody. Of `purpose` only one that the policy knows is kept."""
        policy = self._governance.policy
        known = purpose if purpose in policy.purposes else principal.default_purpose
        refused = Refused(
            request_id=request_id,
            app=principal.app,
            key_id=principal.key_id,
            reason=reason,
            purpose=known or "",
            policy_digest=bytes.fromhex(policy.digest),
            rules=named(rules),
        )
        return (await self.append(refused)).seq

    async def refused_by_policy(
        self, inspected: Inspected[R], rules: tuple[Rule, ...], candidates: tuple[Route, ...]
    ) -> int:
        """Record a request that the policy lets go nowhere it asked to go."""
        refused = Refused(
            request_id=inspected.call.request_id,
            app=inspected.principal.app,
            key_id=inspected.principal.key_id,
            reason=RefusalReason.POLICY,
            purpose=inspected.decision.purpose.id,
            policy_digest=bytes.fromhex(inspected.policy.digest),
            rules=named(rules),
            found=dict(inspected.decision.found),
            residencies=tuple(sorted({Residency(route.residency) for route in candidates})),
            user=inspected.user,
            destinations=tuple(
                (route.id, Residency(route.residency), route.country, route.recipient) for route in candidates
            ),
            unmaskable=tuple(sorted(inspected.context.unmaskable)),
            consent=bytes.fromhex(inspected.context.consent),
            primary_record=inspected.context.primary_record,
            template=inspected.context.template,
        )
        return (await self.append(refused, inspected.subjects)).seq


def _unrecorded() -> RecordingError:
    return RecordingError("the audit log cannot be written, so nothing is sent: tell the administrator")


def named(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """The rules' ids, each once, in their order."""
    return tuple(dict.fromkeys(rule.id for rule in rules))
