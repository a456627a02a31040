"""Finding personal data for those who only ask where it is: recorded like every other processing, and sent to nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

from appliance.auth import Principal
from appliance.declaration import Declaration
from appliance.errors import (
    GatewayError,
    InspectionError,
    NotAllowedError,
    PolicyRefusedError,
    PurposeError,
    UninspectableError,
    told,
)
from appliance.events import Analyzed, Interface, RefusalReason
from appliance.inspector import Inspector
from appliance.recorder import Recorder
from policies import Category, Entity, Finding, Identity, Policy, Text, Value, admit


class Inquiry(msgspec.Struct, frozen=True):
    """A request to look at texts, freed of its protocol. `given`: what the caller itself says is in them, instead of looking."""

    request_id: str
    interface: Interface
    texts: Sequence[Text]
    raw: bytes
    declared: Declaration = Declaration()
    given: Mapping[Entity, int] | None = None


class Analysis(msgspec.Struct, frozen=True):
    """What was found in each text, who or what each value denotes in all of them, and the log's number of the record."""

    findings: tuple[tuple[Finding, ...], ...]
    identities: Mapping[Value, Identity]
    found: Mapping[Entity, int]
    record: int


class Analyst:
    """Looks at texts, and answers only once the log has it that it did."""

    def __init__(self, inspector: Inspector, recorder: Recorder) -> None:
        self._inspector = inspector
        self._recorder = recorder

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._inspector.policy

    @property
    def detector_version(self) -> str:
        """As it is recorded."""
        return self._inspector.detector_version

    def category(self, entity: Entity) -> Category:
        """The legal category that the policy gives a kind."""
        return self._inspector.policy.category_of(entity)

    async def analyze(self, principal: Principal, inquiry: Inquiry) -> Analysis:
        """Raises PurposeError, NotAllowedError, UninspectableError, InspectionError, RecordingError: then nothing was said."""
        try:
            purpose = self._inspector.purpose(principal, inquiry.declared.purpose)
        except (PurposeError, NotAllowedError) as error:
            await self._refuse(error, principal, inquiry, RefusalReason.PURPOSE)
        try:
            findings = (
                await self._inspector.look(inquiry.texts) if inquiry.given is None else tuple(() for _ in inquiry.texts)
            )
        except UninspectableError as error:
            await self._refuse(error, principal, inquiry, RefusalReason.UNINSPECTABLE)
        except InspectionError as error:
            await self._refuse(error, principal, inquiry, RefusalReason.DETECTOR)
        found = inquiry.given
        if found is None:
            found = dict(Counter(finding.entity for each in findings for finding in each))
        policy = self.policy
        context = self._inspector.context(principal, inquiry.declared, purpose)
        if rules := admit(policy, found, context):
            record = await self._recorder.refused(RefusalReason.POLICY, principal, inquiry.request_id, purpose, rules)
            raise PolicyRefusedError(f"Тексты не проверены: {told(rules)}", rules, record)
        identities = await self._inspector.identities(inquiry.texts, findings)
        event = Analyzed(
            request_id=inquiry.request_id,
            app=principal.app,
            key_id=principal.key_id,
            purpose=purpose,
            ground=policy.purposes[purpose].article,
            policy_digest=bytes.fromhex(policy.digest),
            detector=self.detector_version,
            interface=inquiry.interface,
            texts=len(inquiry.texts),
            found=dict(found),
            user=self._inspector.pseudonym(inquiry.declared.user),
        )
        subject = self._inspector.pseudonym(inquiry.declared.subject)
        subjects = (subject,) if subject else ()
        receipt = await self._recorder.append(event, subjects, inquiry.raw)
        return Analysis(findings, identities, found, receipt.seq)

    async def _refuse(
        self, error: GatewayError, principal: Principal, inquiry: Inquiry, reason: RefusalReason
    ) -> NoReturn:
        error.record = await self._recorder.refused(reason, principal, inquiry.request_id, inquiry.declared.purpose)
        raise error
