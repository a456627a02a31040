"""A loopback server that speaks OpenAI's chat completions, embeddings and models: each scenario is one way an upstream may answer."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Scenario = Callable[[web.Request, dict], Awaitable[web.StreamResponse]]


class OpenAIServer:
    """Serves `scenario` at `base_url`; keeps what it was sent and whether a client hung up on it.

    `embed` and `listing`, when set, give those answers instead of the usual ones.
    """

    def __init__(self, scenario: Scenario, *, key: str | None = None):
        self.scenario = scenario
        self.key = key
        self.base_url = ""
        self.bodies: list[dict] = []
        self.models = ["m"]
        self.embed: Scenario = embeds
        self.listing: Scenario | None = None
        self.looks = 0  # at the list of models
        self.headers: list = []
        self.hung_up = asyncio.Event()
        self.connections: set = set()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(self.scenario, request)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(self.embed, request)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self.looks += 1
        if refusal := self._refusal(request):
            return refusal
        if self.listing:
            return await self.listing(request, {})
        return web.json_response({"object": "list", "data": [listed(name) for name in self.models]})

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "no", "type": "authentication_error"}}, status=401)
        return None

    async def _answer(self, scenario: Scenario, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport.get_extra_info("peername"))
        self.headers.append(request.headers.copy())
        if refusal := self._refusal(request):
            return refusal
        body = await request.json()
        self.bodies.append(body)
        try:
            return await scenario(request, body)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise

    @asynccontextmanager
    async def running(self, *, tls=None) -> AsyncIterator["OpenAIServer"]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = runner.addresses[0][1]
            self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
            yield self
        finally:
            await runner.cleanup()


def chunk(delta: dict | None = None, *, finish: str | None = None, usage: dict | None = None, model: str = "m") -> dict:
    """One chunk as OpenAI writes it; with `usage`, the last one, whose choices are empty."""
    choices = [] if usage else [{"index": 0, "delta": delta or {}, "finish_reason": finish, "logprobs": None}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": choices,
        "usage": usage,
    }


USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def listed(name: str) -> dict:
    """One model of /models."""
    return {"id": name, "object": "model", "created": 1, "owned_by": "organization"}


def vector_of(text: str, length: int = 4) -> list[float]:
    """Numbers that a float of four bytes holds exactly, different for different texts."""
    return [(sum(text.encode()) + place) % 256 / 256 for place in range(length)]


def embedding_reply(texts: list[str], *, length: int = 4, plain: bool = True) -> dict:
    """As OpenAI writes it; not `plain` is base64."""
    vectors = [vector_of(text, length) for text in texts]
    written = vectors if plain else [base64.b64encode(struct.pack(f"<{length}f", *each)).decode() for each in vectors]
    entries = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(written)]
    usage = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
    return {"object": "list", "data": entries, "model": "m-2026", "usage": usage}


async def embeds(request: web.Request, body: dict) -> web.StreamResponse:
    """Vectors as the request wants them written."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    plain = body.get("encoding_format", "float") == "float"
    reply = embedding_reply(texts, length=body.get("dimensions", 4), plain=plain)
    return web.json_response(reply, headers={"x-request-id": "req-1"})


def event(document: dict | str) -> bytes:
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def says(*pieces: str, finish: str = "stop", model: str = "m") -> list[dict]:
    return [
        chunk({"role": "assistant", "content": ""}, model=model),
        *(chunk({"content": piece}, model=model) for piece in pieces),
        chunk(finish=finish, model=model),
        chunk(usage=USAGE, model=model),
    ]


def calls(name: str, *arguments: str) -> list[dict]:
    """A streamed tool call; the pieces after the first repeat its fields empty, as some servers do."""
    first, *rest = arguments
    function = {"name": name, "arguments": first}
    return [
        chunk(
            {"role": "assistant", "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
        ),
        *(
            chunk({"tool_calls": [{"index": 0, "id": "", "type": "", "function": {"name": "", "arguments": piece}}]})
            for piece in rest
        ),
        chunk(finish="tool_calls"),
        chunk(usage=USAGE),
    ]


def streams(
    documents: list[dict | str], *, done: bool = True, pause: float = 0.0, headers: dict | None = None
) -> Scenario:
    """Each document as one event, then [DONE]."""
    return sends(
        *(event(document) for document in [*documents, *(["[DONE]"] if done else [])]), pause=pause, headers=headers
    )


def sends(*pieces: bytes, kind: str = "text/event-stream", pause: float = 0.0, headers: dict | None = None) -> Scenario:
    """These bytes as the body of a 200."""

    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind, "x-request-id": "req-1", **(headers or {})})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(pause)
        await response.write_eof()
        return response

    return scenario


def breaks_off(*pieces: bytes) -> Scenario:
    """These bytes, then the connection is cut."""

    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "x-request-id": "req-1"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.01)
        request.transport.abort()
        return response

    return scenario


def hangs(*pieces: bytes) -> Scenario:
    """These bytes, then nothing: until the client goes away. Without bytes, not even a status."""

    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if pieces:
            await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        await asyncio.Event().wait()
        return response

    return scenario


def answers(status: int, document: object = None, *, text: str | None = None, headers: dict | None = None) -> Scenario:
    """One whole body."""

    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        if text is not None:
            return web.Response(status=status, text=text, content_type="text/html", headers=headers)
        return web.json_response(document, status=status, headers=headers)

    return scenario
