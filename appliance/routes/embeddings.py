"""`/v1/embeddings` as OpenAI's clients speak it."""

from __future__ import annotations

from litestar import MediaType, Request, Response, post
from litestar.datastructures import State
from litestar.di import NamedDependency

from appliance.errors import UninspectableError
from appliance.events import RefusalReason
from appliance.inspector import Call
from appliance.routes.headers import about, declared
from appliance.service import Service
from appliance.status import REQUEST_ID
from appliance.wire import openai_embeddings as wire
from appliance.wire.openai_answer import encode


@post("/v1/embeddings", status_code=200)
async def embeddings(request: Request[None, None, State], service: NamedDependency[Service]) -> Response[bytes]:
    """The vectors of one text or of many."""
    principal = await service.authenticate(request.headers.get("authorization"))
    request_id = request.scope["state"][REQUEST_ID]
    body = await request.body()
    asked = wire.decode_embeddings(body)
    try:
        call = Call(
            request_id=request_id,
            model=asked.model,
            request=wire.to_embedding_request(asked),
            raw=body,
            declared=declared(request.headers, {}, asked.user),
        )
    except UninspectableError as error:
        await service.gateway.refuse(error, principal, request_id, RefusalReason.UNINSPECTABLE)
    with service.in_flight():
        vectors = await service.gateway.embed(principal, call)
    cost = None if vectors.microrubles is None else vectors.microrubles / 1_000_000
    shown = wire.answer(vectors.embeddings, vectors.route.id, asked.encoding_format, cost)
    headers = about(vectors.route, vectors.reason, vectors.verdict, vectors.record)
    return Response(encode(shown), media_type=MediaType.JSON, headers=headers)
