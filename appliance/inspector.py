"""What is in a request and what may happen to it: purpose, texts, findings, decision; and the form in which it may leave."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from appliance.auth import Principal, Pseudonyms
from appliance.borders import borders, joined
from appliance.declaration import Declaration
from appliance.errors import InspectionError, PurposeError, UninspectableError
from appliance.governance import Governance
from appliance.inspection import Field, rewrite
from policies import (
    Context,
    Decision,
    Destination,
    Detector,
    DetectorError,
    Entity,
    Finding,
    Identity,
    Method,
    Policy,
    Residency,
    Ruling,
    Suspicion,
    Text,
    Value,
    Vault,
    evaluate,
    fitting,
    identify,
    masked,
    redact,
    surrogate,
    suspicions_of_request,
    with_repeats,
)
from providers import ChatRequest, EmbeddingRequest, Role, Route

_MOST_TEXTS = 20_000  # distinct texts of one request; a thousand messages with tools have far fewer
_QUICK = 500_000  # characters to search through that may be searched on the event loop: well under a millisecond
_QUICK_TO_SUSPECT = 20_000  # characters that may be looked at for manipulation on the event loop: under a millisecond
_FEW = 10  # values that may be told apart on the event loop: 0.2 ms for a name that was not read before

R = TypeVar("R", ChatRequest, EmbeddingRequest)


class Call(msgspec.Struct, Generic[R], frozen=True):
    """A request as the gateway takes it, freed of its protocol."""

    request_id: str
    model: str  # "auto", "provider/model", "provider", or an alias
    request: R
    raw: bytes  # the body as it came: what the record commits to
    declared: Declaration = Declaration()
    stream: bool = False


class Inspected(msgspec.Struct, Generic[R], frozen=True):
    """A call with what was found in it."""

    call: Call[R]
    principal: Principal
    policy: Policy  # the one in force when the request came: it stays the request's own
    context: Context
    decision: Decision
    findings: Mapping[Field, tuple[Finding, ...]]
    identities: Mapping[Value, Identity]
    suspicions: frozenset[Suspicion]
    subjects: tuple[bytes, ...]
    user: bytes
    conversation: bytes  # the secret that its placeholders are derived from; empty when the application named none
    secret: bytes  # what distortions and stand-ins are derived from: of the conversation, or of the application

    @property
    def characters(self) -> int:
        """How much text there is to send."""
        return sum(len(field.content) for field in self.findings)

    def found(self, request: R) -> dict[Entity, int]:
        """What stands in a part of the call's request."""
        fields: dict[Field, None] = {}

        def visit(field: Field) -> str:
            fields[field] = None
            return field.content

        rewrite(request, visit)
        return _counted({field: self.findings[field] for field in fields})


class Inspector:
    """Joins the policy and its detector."""

    def __init__(self, governance: Governance, detector: Detector, pseudonyms: Pseudonyms) -> None:
        self.governance = governance
        self.detector_version = detector.version
        self._detector = detector
        self._pseudonyms = pseudonyms

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.governance.policy

    async def inspect(self, principal: Principal, call: Call[R], routes: Iterable[Route]) -> Inspected[R]:
        """What is in the call and what may happen to it on each of `routes`.

        Raises PurposeError, NotAllowedError, UninspectableError, and InspectionError when the detector failed.
        """
        policy = self.policy
        purpose = self.purpose(principal, call.declared.purpose)
        fields = _collect(call.request)
        findings = await self._findings(call.request, fields)
        found = tuple(findings.values())
        fixed = frozenset(finding.entity for field, each in findings.items() if not field.maskable for finding in each)
        identities = await self.identities(fields, found)
        secret = self._pseudonyms.conversation_key(principal.app, call.declared.conversation or "")
        suspicions = await _suspicions(call.request)
        context = msgspec.structs.replace(
            self.context(principal, call.declared, purpose),
            unmaskable=fixed,
            template=_template(policy, purpose, call.request),
            suspicious=bool(suspicions),
        )
        return Inspected(
            call=call,
            principal=principal,
            policy=policy,
            context=context,
            decision=evaluate(policy, _counted(findings), context, map(destination, routes)),
            findings=findings,
            identities=identities,
            suspicions=suspicions,
            subjects=tuple(map(bytes.fromhex, context.subjects)),
            user=self.pseudonym(call.declared.user),
            conversation=secret if call.declared.conversation else b"",
            secret=secret,
        )

    def context(self, principal: Principal, declared: Declaration, purpose: str) -> Context:
        """What is known of a request before anything was looked for in it. The stops are those of this moment."""
        return Context(
            purpose=purpose,
            day=self.governance.today(),
            app=principal.app,
            key_id=principal.key_id,
            subjects=() if declared.subject is None else (self.pseudonym(declared.subject).hex(),),
            consent="" if declared.consent is None else self._pseudonyms.of_consent(declared.consent).hex(),
            primary_record=declared.primary_record is not None,
            stops=self.governance.stops,
        )

    def pseudonym(self, person: str | None) -> bytes:
        """The pseudonym of a person named by the application; empty for none."""
        return b"" if person is None else self._pseudonyms.of(person)

    def purpose(self, principal: Principal, asked: str | None) -> str:
        """The purpose of a request. Raises PurposeError, NotAllowedError."""
        purpose = principal.purpose(asked)
        if purpose not in self.policy.purposes:
            raise PurposeError("the purpose asked for is not declared in the policy", "metadata.purpose")
        return purpose

    async def look(self, texts: Sequence[Text]) -> tuple[tuple[Finding, ...], ...]:
        """What stands in each text, as in the texts of one conversation. Raises UninspectableError and InspectionError."""
        for text in texts:
            _check(text.content, "text")
        return await self._find(texts)

    async def identities(
        self, texts: Sequence[Text | Field], found: Sequence[Sequence[Finding]]
    ) -> dict[Value, Identity]:
        """Who or what each found value denotes, in all the texts together."""
        values = {
            (finding.entity, text.content[finding.start : finding.end]): None
            for text, each in zip(texts, found, strict=True)
            for finding in each
        }
        return identify(values) if len(values) <= _FEW else await asyncio.to_thread(identify, values)

    async def _findings(
        self, request: ChatRequest | EmbeddingRequest, fields: Sequence[Field]
    ) -> dict[Field, tuple[Finding, ...]]:
        """What stands in each field, and across the borders of parts."""
        at_borders = borders(request)
        found = await self._find([*map(_text, fields), *(border.text for border in at_borders)])
        findings = dict(zip(fields, found, strict=False))
        for border, each in zip(at_borders, found[len(fields) :], strict=True):
            for field, piece in border.pieces(each):
                findings[field] = joined(findings[field], [piece])
        return findings

    async def _find(self, texts: Sequence[Text]) -> tuple[tuple[Finding, ...], ...]:
        try:
            found = await self._detector.detect(texts)
        except DetectorError:
            raise InspectionError(
                "the request could not be inspected for personal data, so it was not sent: try again"
            ) from None
        work = sum(map(len, found)) * sum(len(text.content) for text in texts)
        if work < _QUICK:
            return with_repeats(texts, found)
        return await asyncio.to_thread(with_repeats, texts, found)


def destination(route: Route) -> Destination:
    """A route as the policy sees it."""
    return Destination(route.id, Residency(route.residency), route.country, route.recipient)


def outgoing(inspected: Inspected[R], ruling: Ruling, model: str) -> tuple[R, Vault]:
    """The request as the ruling lets it leave for `model`, and the vault that undoes the hiding."""
    request = msgspec.structs.replace(inspected.call.request, model=model)
    texts = [field.content for field in inspected.findings]
    vault = Vault(avoid=texts if ruling.masks else (), identities=inspected.identities, key=inspected.conversation)
    methods = set(ruling.masks.values())
    hide = None if methods <= {Method.IDENTIFIER} else _hider(inspected, ruling, vault)

    def visit(field: Field) -> str:
        if not field.maskable or not ruling.masks:
            return field.content  # what was found in a field that must keep its form has refused a masked route already
        return redact(field.content, inspected.findings[field], ruling.masks, vault, hide=hide)

    # Rewritten even when nothing is hidden: only what was inspected may leave.
    return rewrite(request, visit), vault


def _hider(inspected: Inspected[R], ruling: Ruling, vault: Vault) -> Callable[[Entity, str], str]:
    """What to write for a value, by the method that the policy chose for its kind; a placeholder where no stand-in can be made."""

    def hide(entity: Entity, value: str) -> str:
        method = ruling.masks[entity]
        if method is Method.SUBSTITUTION:
            other = surrogate(entity, value, inspected.secret, inspected.identities.get((entity, value)))
            if other is not None:
                return vault.stand_in(entity, value, other.text, other.forms)
        if method.reversible:
            return vault.placeholder(entity, value)
        return masked(method, entity, value, inspected.secret)

    return hide


def _counted(findings: Mapping[Field, tuple[Finding, ...]]) -> dict[Entity, int]:
    return dict(Counter(finding.entity for each in findings.values() for finding in each))


def _collect(request: R) -> list[Field]:
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
        _check(field.content, "messages")
    return list(fields)


def _check(content: str, place: str) -> None:
    if "\x00" in content:
        raise UninspectableError(
            "the request holds the character U+0000, which hides text from inspection: remove it", place
        )
    if not content.isascii() and not _encodable(content):
        raise UninspectableError("the request holds a lone surrogate, which is not Unicode text: remove it", place)


def _template(policy: Policy, purpose: str, request: ChatRequest | EmbeddingRequest) -> str:
    """The template or topic that all a user asks for fits, "" for none; what is asked are the messages of the role `user`."""
    if purpose not in policy.templated:
        return ""
    if isinstance(request, EmbeddingRequest):
        asked = list(request.texts)
    else:
        asked = [text for message in request.messages if message.role is Role.USER for text in _said(message.content)]
    fit = fitting(policy.templates, policy.topics, purpose, asked)
    return "" if fit is None else fit.id


async def _suspicions(request: ChatRequest | EmbeddingRequest) -> frozenset[Suspicion]:
    """What the words of users and tools look like; nothing can be talked into anything by texts that only become vectors."""
    if isinstance(request, EmbeddingRequest):
        return frozenset()
    texts = [
        text
        for message in request.messages
        if message.role in {Role.USER, Role.TOOL}
        for text in _said(message.content)
    ]
    if sum(map(len, texts)) < _QUICK_TO_SUSPECT:
        return frozenset().union(*map(suspicions_of_request, texts))
    return frozenset().union(*await asyncio.to_thread(lambda: list(map(suspicions_of_request, texts))))


def _said(content: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (content,) if isinstance(content, str) else content or ()


def _text(field: Field) -> Text:
    # In a name that must keep its form, `_` stands for a space; where exactly something was found in it does not matter.
    return Text(field.content, field.label) if field.maskable else Text(field.content.replace("_", " "), field.label)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
