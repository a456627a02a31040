"""A loopback GigaChat: its token service, chat, vectors and lists, version 1, as strict as the vendor's papers say it is."""

import asyncio
import base64
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.providers.fakes.openai_server import Scenario, event, sends

CLIENT = "synthetic-client:synthetic-secret"
CREDENTIALS = base64.b64encode(CLIENT.encode()).decode()
STATE_ID = "77d3fb14-457a-46ba-937e-8d856156d003"
MODEL = "GigaChat-2-Pro:2.0.28.2"
USAGE = {"prompt_tokens": 62, "completion_tokens": 18, "total_tokens": 80, "precached_prompt_tokens": 6}

Grant = Callable[[int], web.Response]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FIELDS = {
    "model", "messages", "stream", "temperature", "top_p", "n", "max_tokens", "repetition_penalty", "update_interval",
    "profanity_check", "functions", "function_call", "function_ranker", "response_format", "reasoning_effort", "flags",
}  # fmt: skip


class GigaChatServer:
    """Serves `chat` at `base_url` to holders of a token from `auth_url`; keeps what it was sent.

    `grant(number of the token request)` replaces the usual answer of the token service. `tokens=False` asks for none:
    that is the API for client certificates.
    """

    def __init__(self, chat: Scenario, *, grant: Grant | None = None, tokens: bool = True, scope="GIGACHAT_API_CORP"):
        self.chat = chat
        self.grant = grant
        self.tokens = tokens
        self.scope = scope
        self.base_url = self.auth_url = ""
        self.embed: Scenario = embeds
        self.models = {"GigaChat-2": "chat", "GigaChat-2-Pro": "chat", "Embeddings": "embedder"}
        self.listing: Scenario | None = None
        self.counts: Callable[[list[str]], list[str]] = list  # which of the texts are counted
        self.balance: list[dict] | None = [
            {"usage": "GigaChat-2-Pro", "value": 99500}
        ]  # None: the contract is postpaid
        self.bodies: list[dict] = []
        self.looks: list[str] = []  # the paths of what carried no body
        self.headers: list = []
        self.token_forms: list[str] = []
        self.token_headers: list = []
        self.issued: list[str] = []
        self.valid: set[str] = set()
        self.hung_up = asyncio.Event()
        self.running_now = self.most_at_once = 0

    async def _oauth(self, request: web.Request) -> web.Response:
        self.token_headers.append(request.headers.copy())
        self.token_forms.append((await request.read()).decode())
        if self.grant:
            return self.grant(len(self.token_forms))
        return self._refused(request) or self._granted()

    def _refused(self, request: web.Request) -> web.Response | None:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        scope = dict(part.split("=") for part in self.token_forms[-1].split("&") if part).get("scope", "")
        try:
            uuid.UUID(request.headers.get("RqUID", ""))
            known = base64.b64decode(key, validate=True).decode() == CLIENT
        except ValueError:
            kind, known = "", False
        rows = (
            (kind != "Basic", 400, 4, "Can't decode 'Authorization' header"),
            (not known, 401, 6, "credentials doesn't match db data"),
            (not scope, 400, 5, "scope is empty"),
            (not scope.startswith("GIGACHAT_API_"), 400, 1, "scope data format invalid"),
            (scope != self.scope, 400, 7, "scope from db not fully includes consumed scope"),
        )
        return next((refusal(status, code, message) for wrong, status, code, message in rows if wrong), None)

    def _granted(self) -> web.Response:
        return web.json_response({"access_token": self.issue(), "expires_at": int((time.time() + 1800) * 1000)})

    def issue(self) -> str:
        """A token that the chat will take until it leaves `valid`."""
        self.issued.append(f"synthetic-token-{len(self.issued) + 1}")
        self.valid.add(self.issued[-1])
        return self.issued[-1]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if stranger := self._stranger(request):
            return stranger
        body = await request.json()
        self.bodies.append(body)
        if fault := fault_of(body):
            return problem(422, f"Invalid params: {fault}")
        return await self._watched(self.chat, request, body)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        if stranger := self._stranger(request):
            return stranger
        body = await request.json()
        self.bodies.append(body)
        if set(body) != {"model", "input"}:
            return problem(422, "Invalid params: unknown fields")
        if self.models.get(body["model"]) != "embedder":
            return problem(404, "No such model")
        return await self._watched(self.embed, request, body)

    async def _count(self, request: web.Request) -> web.StreamResponse:
        if stranger := self._stranger(request):
            return stranger
        body = await request.json()
        self.bodies.append(body)
        texts = self.counts(body["input"])
        counts = [{"object": "tokens", "tokens": len(text.split()), "characters": len(text)} for text in texts]
        return web.json_response(counts)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self.looks.append(request.path)
        if stranger := self._stranger(request):
            return stranger
        if self.listing:
            return await self.listing(request, {})
        return web.json_response({"object": "list", "data": [listed(name, kind) for name, kind in self.models.items()]})

    async def _balance(self, request: web.Request) -> web.StreamResponse:
        self.looks.append(request.path)
        if stranger := self._stranger(request):
            return stranger
        if self.balance is None:
            return problem(403, "Permission denied")
        return web.json_response({"balance": self.balance})

    def _stranger(self, request: web.Request) -> web.Response | None:
        self.headers.append(request.headers.copy())
        if "User-Agent" not in request.headers:
            return web.json_response({"message": "Unauthorized"}, status=403)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if self.tokens and (kind != "Bearer" or token not in self.valid):
            return problem(401, "Token has expired")
        return None

    async def _watched(self, scenario: Scenario, request: web.Request, body: dict) -> web.StreamResponse:
        self.running_now += 1
        self.most_at_once = max(self.most_at_once, self.running_now)
        try:
            return await scenario(request, body)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise
        finally:
            self.running_now -= 1

    @asynccontextmanager
    async def running(self, *, tls=None) -> AsyncIterator["GigaChatServer"]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/api/v2/oauth", self._oauth)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_post("/v1/tokens/count", self._count)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/balance", self._balance)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            origin = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
            self.base_url, self.auth_url = f"{origin}/v1", f"{origin}/api/v2/oauth"
            yield self
        finally:
            await runner.cleanup()


def listed(name: str, kind: str) -> dict:
    """One model of /models."""
    return {"id": name, "object": "model", "owned_by": "salutedevices", "type": kind}


def embedding_reply(texts: list[str], *, length: int = 4) -> dict:
    """As GigaChat writes it: what each text cost stands beside its vector."""
    entries = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [(sum(text.encode()) + place) % 256 / 256 for place in range(length)],
            "usage": {"prompt_tokens": 3 + index},
        }
        for index, text in enumerate(texts)
    ]
    return {"object": "list", "data": entries, "model": "Embeddings"}


async def embeds(request: web.Request, body: dict) -> web.StreamResponse:
    return web.json_response(embedding_reply(body["input"]), headers={"X-Request-ID": "req-1"})


def fault_of(body: dict) -> str:
    """What the vendor would not take, or would ignore in silence, which is worse."""
    if extra := set(body) - _FIELDS:
        return f"unknown fields {sorted(extra)}"
    if body.get("temperature", 1) <= 0:
        return "temperature must be greater than zero"
    names = [function["name"] for function in body.get("functions", [])]
    if not all(_NAME.fullmatch(name) for name in names) or len(set(names)) != len(names):
        return "function names"
    call = body.get("function_call", "auto")
    if call not in ("auto", "none") and call["name"] not in names:
        return "function_call names no function"
    return next((fault for place, each in enumerate(body["messages"]) if (fault := _message_fault(place, each))), "")


def _message_fault(place: int, message: dict) -> str:
    if message["role"] not in ("system", "user", "assistant", "function"):
        return "role"
    if message["role"] == "system" and place:
        return "system message must be the first message"
    if not isinstance(message["content"], str):
        return "content must be a string"
    if message["role"] == "function" and not (message.get("name") and _is_object(message["content"])):
        return "a function's content must be a JSON object"
    call = message.get("function_call")
    if call and not (isinstance(call["arguments"], dict) and _NAME.fullmatch(call["name"])):
        return "arguments must be an object"
    return ""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def refusal(status: int, code: int, message: str) -> web.Response:
    """An error of the token service."""
    return web.json_response({"code": code, "message": message}, status=status)


def problem(status: int, message: str, headers: dict | None = None) -> web.Response:
    """An error of the API."""
    return web.json_response({"status": status, "message": message}, status=status, headers=headers)


def fails_with(status: int, message: str, headers: dict | None = None) -> Scenario:
    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        return problem(status, message, {"X-Request-ID": "req-5", **(headers or {})})

    return scenario


def chunk(delta: dict, *, finish: str | None = None, usage: dict | None = None) -> dict:
    """One chunk as GigaChat writes it: no `id`, no `finish_reason` before the last, the object's name without "chunk"."""
    choice = {"delta": delta, "index": 0} | ({"finish_reason": finish} if finish else {})
    whole = {"choices": [choice], "created": 1795386019, "model": MODEL, "object": "chat.completion"}
    return whole | ({"usage": usage} if usage else {})


def says(*pieces: str, finish: str = "stop") -> list[dict]:
    first, *rest = pieces
    return [
        chunk({"content": first, "role": "assistant"}),
        *(chunk({"content": piece}) for piece in rest),
        chunk({"content": ""}, finish=finish, usage=USAGE),
    ]


def calls(name: str, arguments: object, *, apart: bool, state_id: str | None = STATE_ID) -> list[dict]:
    """A streamed function call. `apart`: the finish reason comes in a chunk of its own."""
    delta = {"content": "", "role": "assistant", "function_call": {"name": name, "arguments": arguments}}
    if state_id:
        delta["functions_state_id"] = state_id
    if apart:
        return [chunk(delta), chunk({"content": ""}, finish="function_call", usage=USAGE)]
    return [chunk(delta, finish="function_call", usage=USAGE)]


def completion(message: dict, finish: str) -> dict:
    choice = {"message": {"role": "assistant", "content": ""} | message, "index": 0, "finish_reason": finish}
    return {"choices": [choice], "created": 1, "model": MODEL, "object": "chat.completion", "usage": USAGE}


def stream_bytes(documents: list[dict | str]) -> bytes:
    return b"".join(event(document) for document in [*documents, "[DONE]"])


def streams(documents: list[dict | str], *, done: bool = True, pause: float = 0.0) -> Scenario:
    """Each document as one event, then [DONE]; with `"stream": false` in the request, the first as a whole."""
    parts = [event(document) for document in [*documents, *(["[DONE]"] if done else [])]]
    return sends(*parts, pause=pause, headers={"x-request-id": "req-1", "X-Session-ID": "session-1"})
