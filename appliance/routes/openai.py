"""`/v1/chat/completions` and `/v1/models` as OpenAI's clients speak them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing

from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from appliance.errors import UninspectableError
from appliance.events import RefusalReason
from appliance.gateway import Answer
from appliance.inspector import Call
from appliance.routes.answers import EventStream
from appliance.routes.headers import about, declared
from appliance.service import Service
from appliance.status import REQUEST_ID, event_of
from appliance.wire import openai_answer as wire
from appliance.wire.openai_request import ChatCompletionRequest, decode_chat, to_chat_request
from providers import ChatRequest, Cost, collect


@post("/v1/chat/completions", status_code=200)
async def chat_completions(request: Request[None, None, State], service: NamedDependency[Service]) -> ASGIApp:
    """Answer a chat request, streamed or whole."""
    principal = await service.authenticate(request.headers.get("authorization"))
    request_id = request.scope["state"][REQUEST_ID]
    body = await request.body()
    asked = decode_chat(body)
    try:
        call = _call(asked, request.headers, body, request_id)
    except UninspectableError as error:
        await service.gateway.refuse(error, principal, request_id, RefusalReason.UNINSPECTABLE)
    async with AsyncExitStack() as stack:
        stack.enter_context(service.in_flight())
        answer = await service.gateway.chat(principal, call)
        stack.push_async_callback(answer.chunks.aclose)
        stamp = wire.Stamp(
            id=f"chatcmpl-{request_id}",
            created=int(time.time()),
            model=answer.route.id,
            include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        )
        if not asked.stream:
            response = await collect(answer.chunks)
            whole = wire.encode(wire.completion(response, stamp, _rubles(answer.cost)))
            return ASGIResponse(body=whole, media_type=MediaType.JSON, headers=_about(answer))
        headers = {**_about(answer), "X-Request-Id": request_id}
        resources = stack.pop_all()
        return EventStream(_events(answer, stamp, resources), headers, event_of, resources)
    raise AssertionError("the stack above never swallows an error")


@get("/v1/models")
async def models(request: Request[None, None, State], service: NamedDependency[Service]) -> Response[bytes]:
    """The names a request may ask for: `auto`, each alias, each provider, each `provider/model`."""
    await service.authenticate(request.headers.get("authorization"))
    listed = [
        wire.Model(id=name, created=0, owned_by=name.partition("/")[0]) for name in service.gateway.directory.names()
    ]
    return Response(wire.encode(wire.ModelList(listed)), media_type=MediaType.JSON)


def _call(asked: ChatCompletionRequest, headers: Mapping[str, str], body: bytes, request_id: str) -> Call[ChatRequest]:
    metadata = dict(asked.metadata or {})
    return Call(
        request_id=request_id,
        model=asked.model,
        declared=declared(headers, metadata, asked.user or asked.safety_identifier),
        request=to_chat_request(asked, metadata),
        raw=body,
        stream=bool(asked.stream),
    )


def _about(answer: Answer) -> dict[str, str]:
    return {**about(answer.route, answer.reason, answer.verdict, answer.record), **answer.flags}


def _rubles(cost: Cost | None) -> float | None:
    """A cost as clients get it; None when it is not known."""
    return None if cost is None else cost.microrubles / 1_000_000


async def _events(answer: Answer, stamp: wire.Stamp, resources: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    usage = None
    async with aclosing(answer.chunks) as chunks:
        yield wire.event(wire.first_chunk(stamp))
        async for part in chunks:
            usage = part.usage or usage
            shown = wire.chunk(part, stamp)
            if shown is not None:
                yield wire.event(shown)
    if stamp.include_usage and usage is not None:
        yield wire.event(wire.usage_chunk(usage, stamp, _rubles(answer.cost)))
    await resources.aclose()  # before the client sees the end and asks again
    yield wire.DONE
