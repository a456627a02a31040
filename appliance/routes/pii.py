"""`/v1/pii/analyze`, and Presidio's `/analyze` and `/anonymize`: where personal data stands, for those who ask nothing of a model."""

from __future__ import annotations

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency

from appliance.analysis import Inquiry
from appliance.errors import BadRequestError
from appliance.events import Interface
from appliance.routes.headers import declared
from appliance.service import Service
from appliance.status import REQUEST_ID
from appliance.wire import pii, presidio
from policies import Entity, Text

_Request = Request[None, None, State]


@post("/v1/pii/analyze", status_code=200)
async def analyze(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Where personal data stands in texts, and which values denote the same person."""
    principal = await service.authenticate(request.headers.get("authorization"))
    body = await request.body()
    asked = pii.decode_analyze(body)
    inquiry = _inquiry(request, Interface.ANALYZE, pii.texts_of(asked), body, asked.user)
    with service.in_flight():
        analysis = await service.analyst.analyze(principal, inquiry)
    shown = pii.answer(asked, analysis, service.analyst.policy, service.analyst.detector_version)
    return _answer(shown, analysis.record)


@post("/analyze", status_code=200)
async def presidio_analyze(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Presidio's analyzer."""
    principal = await service.authenticate(request.headers.get("authorization"))
    body = await request.body()
    asked = presidio.decode_analyze(body)
    inquiry = _inquiry(request, Interface.PRESIDIO_ANALYZE, presidio.texts_of(asked), body)
    with service.in_flight():
        analysis = await service.analyst.analyze(principal, inquiry)
    return _answer(presidio.results(asked, analysis.findings), analysis.record)


@post("/anonymize", status_code=200)
async def presidio_anonymize(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Presidio's anonymizer: replaces what the caller says was found."""
    principal = await service.authenticate(request.headers.get("authorization"))
    body = await request.body()
    asked = presidio.decode_anonymize(body)
    inquiry = _inquiry(request, Interface.PRESIDIO_ANONYMIZE, [Text(asked.text)], body, given=presidio.counted(asked))
    with service.in_flight():
        analysis = await service.analyst.analyze(principal, inquiry)
    return _answer(presidio.anonymized(asked), analysis.record)


@get("/supportedentities")
async def supported_entities(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """The kinds that `/analyze` knows, in Presidio's words."""
    await service.authenticate(request.headers.get("authorization"))
    return Response(msgspec.json.encode(presidio.entity_names()), media_type=MediaType.JSON)


@get("/recognizers")
async def recognizers(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """What looks for them: one detector, by its version."""
    await service.authenticate(request.headers.get("authorization"))
    return Response(msgspec.json.encode([service.analyst.detector_version]), media_type=MediaType.JSON)


@get("/anonymizers")
async def anonymizers(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """The operators that `/anonymize` knows."""
    await service.authenticate(request.headers.get("authorization"))
    return Response(msgspec.json.encode(presidio.OPERATORS), media_type=MediaType.JSON)


@post("/deanonymize", status_code=200)
async def presidio_deanonymize(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """Refused: nothing that `/anonymize` does can be undone."""
    await service.authenticate(request.headers.get("authorization"))
    raise BadRequestError("there is no `encrypt` here, so there is nothing to undo: keep the originals yourself")


@get("/deanonymizers")
async def deanonymizers(request: _Request, service: NamedDependency[Service]) -> Response[bytes]:
    """None."""
    await service.authenticate(request.headers.get("authorization"))
    return Response(b"[]", media_type=MediaType.JSON)


@get("/health", media_type=MediaType.TEXT)
async def health() -> str:
    """That the process answers, where Presidio's clients ask for it."""
    return "the service is up"


HANDLERS = [
    analyze,
    presidio_analyze,
    presidio_anonymize,
    presidio_deanonymize,
    supported_entities,
    recognizers,
    anonymizers,
    deanonymizers,
    health,
]


def _inquiry(
    request: _Request,
    interface: Interface,
    texts: list[Text],
    body: bytes,
    user: str | None = None,
    given: dict[Entity, int] | None = None,
) -> Inquiry:
    return Inquiry(
        request_id=request.scope["state"][REQUEST_ID],
        interface=interface,
        texts=texts,
        raw=body,
        declared=declared(request.headers, {}, user),
        given=given,
    )


def _answer(shown: object, record: int) -> Response[bytes]:
    return Response(msgspec.json.encode(shown), media_type=MediaType.JSON, headers={"X-Audit-Record": str(record)})
