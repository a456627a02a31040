"""Hiding and putting back for applications that call a model themselves; and what would happen, for those who ask before.

The decision is the one a request through the gateway would get, for the destination that the application names. Nothing is kept: the
mapping goes back to the application, sealed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
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
from appliance.events import Explained as ExplainedEvent
from appliance.events import Masked, RefusalReason, Unmasked
from appliance.explanation import Explained, explained
from appliance.inspector import Call, Inspected, Inspector, outgoing
from appliance.recorder import Recorder, named
from appliance.sealing import Mapping, Seal
from policies import REVIEW_HERE, Residency, Vault, Verdict, restore, unrestored
from providers import ChatRequest, Message, Role, Route
from providers import Residency as RouteResidency


class MaskCall(msgspec.Struct, frozen=True):
    """Texts that an application will send to `residency` itself. `lifetime`: seconds that the mapping may be used."""

    request_id: str
    texts: tuple[str, ...]
    raw: bytes
    declared: Declaration
    residency: Residency
    country: str
    recipient: str
    lifetime: int


class MaskedTexts(msgspec.Struct, frozen=True):
    """The texts as they may leave. `mapping` is "" when nothing was hidden that can be put back; `expires` is Unix seconds."""

    texts: tuple[str, ...]
    mapping: str
    expires: int
    verdict: Verdict
    hidden: dict[str, int]
    methods: dict[str, str]
    record: int


class Privacy:
    """Joins the inspector, the recorder and the seal. `routes` are the chat routes that an explanation speaks of."""

    def __init__(
        self,
        inspector: Inspector,
        recorder: Recorder,
        seal: Seal,
        routes: tuple[Route, ...],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inspector = inspector
        self._recorder = recorder
        self._seal = seal
        self._routes = routes
        self._clock = clock

    async def mask(self, principal: Principal, call: MaskCall) -> MaskedTexts:
        """The texts with what the policy hides for that destination hidden, once the log has it.

        Raises PurposeError, NotAllowedError, UninspectableError, InspectionError, PolicyRefusedError, RecordingError: then nothing is said.
        """
        route = Route(
            "application", "own", "own", RouteResidency(call.residency), call.country, recipient=call.recipient
        )
        request = ChatRequest(model="", messages=tuple(Message(Role.USER, text) for text in call.texts))
        inspected = await self._inspect(
            principal, Call(call.request_id, "own", request, call.raw, call.declared), (route,)
        )
        ruling = inspected.decision.rulings[route.id]
        refusing = ruling.rules if ruling.verdict is Verdict.REFUSE else ()
        if inspected.decision.review:
            refusing += (REVIEW_HERE,)
        if refusing:
            record = await self._recorder.refused_by_policy(inspected, refusing, (route,))
            raise PolicyRefusedError(f"Тексты не подготовлены к отправке: {told(refusing)}", refusing, record)
        leaves, vault = outgoing(inspected, ruling, "own")
        found = inspected.decision.found
        hidden = {entity: number for entity, number in found.items() if entity in ruling.masks}
        event = Masked(
            request_id=call.request_id,
            app=principal.app,
            key_id=principal.key_id,
            purpose=inspected.decision.purpose.id,
            ground=inspected.decision.purpose.article,
            policy_digest=bytes.fromhex(inspected.decision.policy_digest),
            detector=self._inspector.detector_version,
            residency=call.residency,
            country=call.country,
            recipient=call.recipient,
            card=inspected.policy.card_digest(call.recipient),
            verdict=ruling.verdict,
            rules=named(ruling.rules),
            texts=len(call.texts),
            found=dict(found),
            methods={entity: ruling.masks[entity] for entity in hidden},
            user=inspected.user,
        )
        record = (await self._recorder.append(event, inspected.subjects, call.raw)).seq
        expires = int(self._clock()) + call.lifetime
        mapping = self._seal.seal(principal.app, Mapping(expires, record, vault.contents())) if len(vault) else ""
        return MaskedTexts(
            texts=tuple(str(message.content) for message in leaves.messages),
            mapping=mapping,
            expires=expires,
            verdict=ruling.verdict,
            hidden={entity.value: number for entity, number in hidden.items()},
            methods={entity.value: ruling.masks[entity].value for entity in hidden},
            record=record,
        )

    async def unmask(
        self, principal: Principal, request_id: str, texts: tuple[str, ...], token: str, *, json_strings: bool
    ) -> tuple[tuple[str, ...], int, int]:
        """The texts with the originals put back, how many placeholders could not be, and the log's number: written before anything is said.

        Raises BadRequestError for a mapping that is not this application's, and RecordingError.
        """
        mapping = self._seal.open(principal.app, token, self._clock())
        vault = Vault.of(mapping.contents)
        back = tuple(restore(text, vault, json_strings=json_strings) for text in texts)
        left = sum(unrestored(text, vault) for text in texts)
        event = Unmasked(request_id, principal.app, principal.key_id, mapping.record, len(texts), len(vault), left)
        return back, left, (await self._recorder.append(event)).seq

    async def explain(self, principal: Principal, call: Call[ChatRequest]) -> tuple[Explained, int]:
        """What would happen to a request on every route; recorded as a look at texts.

        Raises as `mask` does, but for a refusal: that is an answer.
        """
        inspected = await self._inspect(principal, call, self._routes)
        event = ExplainedEvent(
            request_id=call.request_id,
            app=principal.app,
            key_id=principal.key_id,
            purpose=inspected.decision.purpose.id,
            policy_digest=bytes.fromhex(inspected.decision.policy_digest),
            detector=self._inspector.detector_version,
            found=dict(Counter(inspected.decision.found)),
            user=inspected.user,
        )
        record = (await self._recorder.append(event, inspected.subjects, call.raw)).seq
        return explained(inspected, self._routes), record

    async def _inspect(
        self, principal: Principal, call: Call[ChatRequest], routes: tuple[Route, ...]
    ) -> Inspected[ChatRequest]:
        try:
            return await self._inspector.inspect(principal, call, routes)
        except (PurposeError, NotAllowedError) as error:
            await self._refuse(error, principal, call, RefusalReason.PURPOSE)
        except UninspectableError as error:
            await self._refuse(error, principal, call, RefusalReason.UNINSPECTABLE)
        except InspectionError as error:
            await self._refuse(error, principal, call, RefusalReason.DETECTOR)

    async def _refuse(
        self, error: GatewayError, principal: Principal, call: Call[ChatRequest], reason: RefusalReason
    ) -> NoReturn:
        error.record = await self._recorder.refused(reason, principal, call.request_id, call.declared.purpose)
        raise error
