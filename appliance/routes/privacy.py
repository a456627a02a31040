"""`/v1/privacy/…`: hide, put back, explain, for applications that call a model themselves."""

from __future__ import annotations

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.datastructures import State
from litestar.di import NamedDependency

from appliance.errors import UninspectableError
from appliance.events import RefusalReason
from appliance.inspector import Call
from appliance.routes.headers import declared
from appliance.service import Service
from appliance.status import REQUEST_ID
from appliance.wire import privacy as wire
from appliance.wire.openai_request import decode_chat, to_chat_request

_Request = Request[None, None, State]


@post("/v1/privacy/mask", status_code=200)
async def mask(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Texts as they may leave for where the application will send them, and the sealed way back."""
    principal = await service.authenticate(request.headers.get("authorization"))
    body = await request.body()
    asked = wire.decode_mask(body)
    call = wire.mask_call(asked, _id(request), body, declared(request.headers, {}, asked.user))
    with service.in_flight():
        masked = await service.privacy.mask(principal, call)
    return _answer(wire.mask_answer(masked), masked.record)


@post("/v1/privacy/unmask", status_code=200)
async def unmask(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Texts with the originals put back, for the application that had them hidden."""
    principal = await service.authenticate(request.headers.get("authorization"))
    asked = wire.decode_unmask(await request.body())
    with service.in_flight():
        texts, left, record = await service.privacy.unmask(
            principal, _id(request), tuple(asked.texts), asked.mapping, json_strings=asked.json_strings
        )
    return _answer(wire.UnmaskAnswer(texts, left, record), record)


@post("/v1/privacy/explain", status_code=200)
async def explain(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """What would happen to a chat request on every route, and why. Takes the body of `/v1/chat/completions`; nothing is sent."""
    principal = await service.authenticate(request.headers.get("authorization"))
    body = await request.body()
    asked = decode_chat(body)
    metadata = dict(asked.metadata or {})
    said = declared(request.headers, metadata, asked.user or asked.safety_identifier)
    try:
        call = Call(_id(request), asked.model, to_chat_request(asked, metadata), body, said)
    except UninspectableError as error:
        await service.gateway.refuse(error, principal, _id(request), RefusalReason.UNINSPECTABLE)
    with service.in_flight():
        explained, record = await service.privacy.explain(principal, call)
    return _answer(explained, record)


HANDLERS = [mask, unmask, explain]


def _id(request: _Request) -> str:
    request_id: str = request.scope["state"][REQUEST_ID]
    return request_id


def _answer(shown: object, record: int) -> Response[bytes]:
    return Response(msgspec.json.encode(shown), media_type=MediaType.JSON, headers={"X-Audit-Record": str(record)})
