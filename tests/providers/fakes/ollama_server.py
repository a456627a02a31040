"""A loopback server that speaks Ollama's API: models it lists and shows, vectors, and a scenario for each chat."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Scenario = Callable[[web.Request, dict], Awaitable[web.StreamResponse]]

DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "qwen3",
    "families": ["qwen3"],
    "parameter_size": "8.2B",
    "quantization_level": "Q4_K_M",
}
CLOUD = {"remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}


def full_name(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


class OllamaServer:
    """Serves `models` (a name → what it has beyond the ordinary) and `scenario` at `base_url`.

    It keeps what it was sent. `show`, `tags` and `ps`, when set, give those answers instead.
    """

    def __init__(self, scenario: Scenario, *, models: dict[str, dict] | None = None):
        self.scenario = scenario
        self.models = {"m": {}} if models is None else models
        self.show: Scenario | None = None
        self.tags: Scenario | None = None
        self.embed: Scenario = embeds
        self.ps: Scenario | None = None
        self.version = "0.33.0"
        self.base_url = ""
        self.bodies: list[dict] = []  # of /api/chat and /api/embed: the prompts
        self.looks: list[tuple[str, str, dict | None]] = []  # of everything else: method, path, body
        self.headers: list = []
        self.hung_up = asyncio.Event()
        self.connections: set = set()

    def _known(self, name: str) -> dict | None:
        return next((more for known, more in self.models.items() if full_name(known) == full_name(name)), None)

    async def _take(self, request: web.Request) -> dict | None:
        self.connections.add(request.transport.get_extra_info("peername"))
        self.headers.append(request.headers.copy())
        return await request.json() if request.can_read_body else None

    async def _root(self, request: web.Request) -> web.Response:
        return web.Response(text="Ollama is running")

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": self.version})

    async def _tags(self, request: web.Request) -> web.StreamResponse:
        self.looks.append((request.method, request.path, await self._take(request)))
        if self.tags:
            return await self._watched(self.tags, request, {})
        return web.json_response({"models": [listed(name, more) for name, more in self.models.items()]})

    async def _ps(self, request: web.Request) -> web.StreamResponse:
        self.looks.append((request.method, request.path, await self._take(request)))
        if self.ps:
            return await self._watched(self.ps, request, {})
        running = {"expires_at": "2026-11-22T10:05:00.1Z", "size_vram": 5_000_000_000, "context_length": 8192}
        return web.json_response({"models": [listed(name, more) | running for name, more in self.models.items()]})

    async def _show(self, request: web.Request) -> web.StreamResponse:
        body = await self._take(request)
        self.looks.append((request.method, request.path, body))
        if self.show:
            return await self._watched(self.show, request, body)
        more = self._known(body["model"])
        if more is None:
            return not_found(body["model"])
        shown = {
            "template": "{{ .Prompt }}",
            "details": DETAILS,
            "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
            "capabilities": ["completion", "tools", "thinking"],
            "modified_at": "2026-11-22T10:00:00.1Z",
        }
        return web.json_response(shown | more)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._take(request)
        self.bodies.append(body)
        if self._known(body["model"]) is None:
            return not_found(body["model"])
        while sum(len(each["content"].split()) for each in body["messages"]) > _context_of(body):
            if not body.get("truncate", True):
                return web.json_response({"error": TOO_LONG}, status=400)
            del body["messages"][0]  # the trap: the beginning is dropped without a word
        return await self._watched(self.scenario, request, body)

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = await self._take(request)
        self.bodies.append(body)
        if self._known(body["model"]) is None:
            return not_found(body["model"])
        return await self._watched(self.embed, request, body)

    async def _watched(self, scenario: Scenario, request: web.Request, body: dict) -> web.StreamResponse:
        try:
            return await scenario(request, body)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise

    @asynccontextmanager
    async def running(self, *, tls=None) -> AsyncIterator["OllamaServer"]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/", self._root)
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/tags", self._tags)
        app.router.add_get("/api/ps", self._ps)
        app.router.add_post("/api/show", self._show)
        app.router.add_post("/api/chat", self._chat)
        app.router.add_post("/api/embed", self._embed)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = runner.addresses[0][1]
            self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            yield self
        finally:
            await runner.cleanup()


def listed(name: str, more: dict) -> dict:
    """One model of /api/tags."""
    return {
        "name": full_name(name),
        "model": full_name(name),
        "modified_at": "2026-11-22T10:00:00.1Z",
        "size": 5_200_000_000,
        "digest": "sha256:" + "0" * 64,
        "details": DETAILS,
        "capabilities": ["completion"],
        **more,
    }


def not_found(name: str) -> web.Response:
    return web.json_response({"error": f"model '{name}' not found"}, status=404)


def line(message: dict | None = None, **more: object) -> dict:
    """One line of an answer that goes on."""
    said = {"role": "assistant", "content": ""} | (message or {})
    return {"model": "m:latest", "created_at": "2026-11-22T10:00:00.1Z", "message": said, "done": False, **more}


COUNTS = {
    "total_duration": 900_000_000,
    "load_duration": 50_000_000,
    "prompt_eval_count": 12,
    "prompt_eval_duration": 100_000_000,
    "eval_count": 7,
    "eval_duration": 600_000_000,
}


def done(reason: str | None = "stop", *, message: dict | None = None, counts: dict = COUNTS, **more: object) -> dict:
    """The last line of an answer."""
    why = {} if reason is None else {"done_reason": reason}
    return line(message, **more) | {"done": True, **why, **counts}


def says(*pieces: str, reason: str | None = "stop") -> list[dict]:
    return [*(line({"content": piece}) for piece in pieces), done(reason)]


def call(name: str, arguments: object, **more: object) -> dict:
    """A tool call as Ollama writes it: whole, its arguments an object."""
    return {"function": {"name": name, "arguments": arguments}, **more}


TOO_LONG = "the input length exceeds the context length"


def _context_of(body: dict) -> int:
    """In words, which are the tokens here."""
    return (body.get("options") or {}).get("num_ctx", 4096)


def embedding_reply(texts: list[str], *, length: int = 4) -> dict:
    """As Ollama writes it: the place is the only number that a vector has."""
    vectors = [[(sum(text.encode()) + place) % 256 / 256 for place in range(length)] for text in texts]
    durations = {"total_duration": 14_143_917, "load_duration": 1_019_500, "prompt_eval_count": 3 * len(texts)}
    return {"model": "m", "embeddings": vectors, **durations}


async def embeds(request: web.Request, body: dict) -> web.StreamResponse:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    if not body.get("truncate", True) and any(len(text.split()) > _context_of(body) for text in texts):
        return web.json_response({"error": TOO_LONG}, status=400)
    return web.json_response(embedding_reply(texts, length=body.get("dimensions", 4)))


def written(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def streams(documents: list[dict], *, pause: float = 0.0, headers: dict | None = None) -> Scenario:
    """Each document as one line; all in one when the client asked for no stream, as Ollama does."""

    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        if body.get("stream", True):
            return await sends(*map(written, documents), pause=pause, headers=headers)(request, body)
        whole = {**documents[-1]["message"]}
        whole["content"] = "".join(document["message"]["content"] for document in documents)
        calls = [made for document in documents for made in document["message"].get("tool_calls", ())]
        return web.json_response(documents[-1] | {"message": whole | ({"tool_calls": calls} if calls else {})})

    return scenario


def sends(
    *pieces: bytes, kind: str = "application/x-ndjson", pause: float = 0.0, headers: dict | None = None
) -> Scenario:
    """These bytes as the body of a 200."""

    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind, **(headers or {})})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(pause)
        await response.write_eof()
        return response

    return scenario


def breaks_off(*pieces: bytes) -> Scenario:
    """These bytes, then the connection is cut. Without bytes, not even a status."""

    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        if pieces:
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
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
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
