"""A loopback server that speaks OpenAI's chat completions: each scenario is one way an upstream may answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Scenario = Callable[[web.Request, dict], Awaitable[web.StreamResponse]]


class OpenAIServer:
    """Serves `scenario` at `base_url`; keeps what it was sent and whether a client hung up on it."""

    def __init__(self, scenario: Scenario, *, key: str | None = None):
        self.scenario = scenario
        self.key = key
        self.base_url = ""
        self.bodies: list[dict] = []
        self.headers: list = []
        self.hung_up = asyncio.Event()
        self.connections: set = set()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport.get_extra_info("peername"))
        self.headers.append(request.headers.copy())
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "no", "type": "authentication_error"}}, status=401)
        body = await request.json()
        self.bodies.append(body)
        try:
            return await self.scenario(request, body)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise

    @asynccontextmanager
    async def running(self, *, tls=None) -> AsyncIterator["OpenAIServer"]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
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
