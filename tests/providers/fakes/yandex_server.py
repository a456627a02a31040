"""A loopback Yandex Cloud: models native and compatible, IAM and metadata, as strict as the vendor's papers and protobuf say."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.protobuf.json_format import ParseDict, ParseError
from yandex.cloud.ai.foundation_models.v1.embedding import embedding_service_pb2 as embedding
from yandex.cloud.ai.foundation_models.v1.text_generation import text_generation_service_pb2 as generation

from tests.providers.fakes.openai_server import Scenario, sends

FOLDER = "b1gsynthetic"
API_KEY = "AQVN-synthetic-key"
KEY_ID, ACCOUNT = "ajesyntheticid", "ajesyntheticacct"
AUDIENCE = "https://iam.api.cloud.yandex.net/iam/v1/tokens"
VERSION = "23.10.2026"
MODELS = ("yandexgpt/latest", "yandexgpt-lite", "aliceai-llm", "yandexgpt-lite/latest@synthetic")
VECTORS = ("text-search-doc/latest", "text-search-query/latest")
PREAMBLE = "PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <ajesyntheticid>\n"

Grant = Callable[[int], web.Response]
_NATIVE = "/foundationModels/v1"
_COMPATIBLE_FIELDS = {
    "model", "messages", "stream", "stream_options", "temperature", "max_tokens", "response_format", "tools",
    "tool_choice", "reasoning_effort",
}  # fmt: skip
_REASONS = {3: "Bad Request", 5: "Not Found", 7: "Forbidden", 8: "Too Many Requests", 13: "Internal Server Error"}


class RefusedError(Exception):
    """`status` and `grpc` of an error of the vendor's."""

    def __init__(self, status: int, grpc: int, message: str):
        super().__init__(message)
        self.status, self.grpc = status, grpc


class YandexServer:
    """Serves `chat` at `native_url` and `compatible_url` to holders of the API key or of a valid token; keeps what it was sent.

    `grant(number of the token request)` replaces the usual answer of both token services. `violations` names every
    request about a text that did not forbid to keep it.
    """

    def __init__(self, chat: Scenario, *, grant: Grant | None = None):
        self.chat = chat
        self.grant = grant
        self.origin = ""
        self.bodies: list[dict] = []
        self.headers: list = []
        self.paths: list[str] = []
        self.violations: list[str] = []
        self.token_bodies: list[dict] = []
        self.token_headers: list = []
        self.issued: list[str] = []
        self.valid: set[str] = set()
        self.refusal: RefusedError | None = None  # for everything but a chat
        self.hung_up = asyncio.Event()
        self.running_now = self.most_at_once = 0

    @property
    def native_url(self) -> str:
        return f"{self.origin}{_NATIVE}"

    @property
    def compatible_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def iam_url(self) -> str:
        return f"{self.origin}/iam/v1/tokens"

    @property
    def metadata_url(self) -> str:
        return f"{self.origin}/computeMetadata/v1/instance/service-accounts/default/token"

    def issue(self) -> str:
        """A token that the models will take until it leaves `valid`."""
        self.issued.append(f"t1.synthetic-token-{len(self.issued) + 1}")
        self.valid.add(self.issued[-1])
        return self.issued[-1]

    async def _iam(self, request: web.Request) -> web.Response:
        self.token_headers.append(request.headers.copy())
        self.token_bodies.append(await request.json())
        if self.grant:
            return self.grant(len(self.token_headers))
        if fault := fault_of_jwt(self.token_bodies[-1].get("jwt", "")):
            return web.json_response({"code": 16, "message": fault, "details": []}, status=401)
        return granted(self.issue())

    async def _metadata(self, request: web.Request) -> web.Response:
        self.token_headers.append(request.headers.copy())
        if self.grant:
            return self.grant(len(self.token_headers))
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403, text="Missing header Metadata-Flavor: Google")
        return web.json_response({"access_token": self.issue(), "expires_in": 42000, "token_type": "Bearer"})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.copy())
        self.paths.append(request.path)
        native = request.path.startswith(_NATIVE)
        try:
            self._let_in(request, native)
            body = await request.json() if request.method == "POST" else {}
            self.bodies.append(body)
            if request.path.endswith(("/completion", "/chat/completions")):
                (check_native if native else check_compatible)(body)
                return await self._answer(request, body)
            if self.refusal:
                raise self.refusal
            return web.json_response(_REPLIES[request.path](body))
        except RefusedError as error:
            return problem(error.status, error.grpc, str(error))

    def _let_in(self, request: web.Request, native: bool) -> None:
        if request.headers.get("x-data-logging-enabled") != "false":
            self.violations.append(request.path)
            raise RefusedError(400, 3, "the text would be kept")
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if (scheme, secret) != ("Api-Key", API_KEY) and not (scheme == "Bearer" and secret in self.valid):
            raise RefusedError(401, 16, "Unauthenticated")
        folder = request.headers.get("x-folder-id" if native else "OpenAI-Project")
        if folder != FOLDER:
            raise RefusedError(
                400, 3, f"Specified folder ID '{folder}' does not match with service account folder ID '{FOLDER}'"
            )

    async def _answer(self, request: web.Request, body: dict) -> web.StreamResponse:
        self.running_now += 1
        self.most_at_once = max(self.most_at_once, self.running_now)
        try:
            return await self.chat(request, body)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise
        finally:
            self.running_now -= 1

    @asynccontextmanager
    async def running(self, *, tls=None) -> AsyncIterator["YandexServer"]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        for path in (f"{_NATIVE}/completion", "/v1/chat/completions", *_REPLIES):
            app.router.add_route("GET" if path == "/v1/models" else "POST", path, self._serve)
        app.router.add_post("/iam/v1/tokens", self._iam)
        app.router.add_get("/computeMetadata/v1/instance/service-accounts/default/token", self._metadata)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


# What the vendor checks


def check_native(body: dict) -> None:
    """Raises RefusedError for what is no CompletionRequest, or one that the vendor would not take."""
    _parse(body, generation.CompletionRequest())
    _check_uri(body["modelUri"], "gpt", MODELS)
    if not 0 <= body["completionOptions"].get("temperature", 0) <= 1:
        raise RefusedError(400, 3, "temperature must be between 0 and 1")
    called: list[str] = []
    for place, message in enumerate(body["messages"]):
        role, kinds = message["role"], set(message) - {"role"}
        if role not in ("system", "user", "assistant") or (role == "system" and place):
            raise RefusedError(400, 3, "wrong role")
        if len(kinds) != 1:
            raise RefusedError(400, 3, "a message has exactly one content")
        if "text" in message and not message["text"]:
            raise RefusedError(400, 3, "text length is 0, which is outside the range (0, 100000]")
        if "toolCallList" in message:
            called = [call["functionCall"]["name"] for call in message["toolCallList"]["toolCalls"]]
        if "toolResultList" in message:
            results = [result["functionResult"]["name"] for result in message["toolResultList"]["toolResults"]]
            if results != called[: len(results)]:
                raise RefusedError(400, 3, "tool results do not follow their calls")
    names = [tool["function"]["name"] for tool in body.get("tools", [])]
    if body.get("toolChoice", {}).get("functionName", names[:1]) not in (names[:1], *names):
        raise RefusedError(400, 3, "toolChoice names no tool")


def check_compatible(body: dict) -> None:
    """Raises RefusedError for what the compatible API does not take, or would ignore in silence, which is worse."""
    if extra := set(body) - _COMPATIBLE_FIELDS:
        raise RefusedError(400, 3, f"unknown fields {sorted(extra)}")
    _check_uri(body["model"], "gpt", MODELS)
    if body.get("tool_choice", "auto") not in ("auto", "none") or body.get("temperature", 0) > 1:
        raise RefusedError(400, 3, "tool_choice or temperature")
    wanted = body.get("response_format", {})
    if wanted.get("type") == "json_schema" and not wanted["json_schema"].get("name"):
        raise RefusedError(400, 3, "response_format needs a name")
    called: set[str] = set()
    for message in body["messages"]:
        if message["role"] not in ("system", "user", "assistant", "tool"):
            raise RefusedError(400, 3, "wrong role")
        for call in message.get("tool_calls", []):
            if call["id"] != call["function"]["name"]:
                raise RefusedError(400, 3, "not an id of ours")
            called.add(call["id"])
        if message["role"] == "tool" and message["tool_call_id"] not in called:
            raise RefusedError(400, 3, "a result without its call")


def _check_uri(uri: str, scheme: str, models: tuple[str, ...]) -> None:
    kind, found, rest = uri.partition("://")
    folder, _, model = rest.partition("/")
    if not found or kind != scheme or not model:
        raise RefusedError(400, 3, f"Failed to parse model URI {uri}")
    if folder != FOLDER:
        raise RefusedError(403, 7, "Permission denied")
    if model not in models:
        raise RefusedError(404, 5, "Failed to get model")


def _parse(body: dict, message) -> None:
    try:
        ParseDict(body, message)
    except ParseError as error:
        raise RefusedError(400, 3, str(error)) from None


def fault_of_jwt(jwt: str) -> str:
    """What the token service would not take: a form, a claim, a moment or a signature."""
    try:
        header, claims, signature = (_unpacked(part) for part in jwt.split("."))
        signed = jwt.rpartition(".")[0].encode()
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        private_key().public_key().verify(signature, signed, pss, hashes.SHA256())
        header, claims = json.loads(header), json.loads(claims)
    except (ValueError, InvalidSignature):
        return "Invalid JWT signature"
    if header != {"typ": "JWT", "alg": "PS256", "kid": KEY_ID}:
        return "Invalid JWT header"
    if (claims["iss"], claims["aud"]) != (ACCOUNT, AUDIENCE) or claims["exp"] - claims["iat"] > 3600:
        return "Invalid JWT claims"
    return "" if claims["iat"] - 60 <= time.time() < claims["exp"] else "The JWT has expired"


def _unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def key_file(private=None, **fields: object) -> str:
    """An authorized key as the console writes it."""
    private = private or private_key()
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    key = {
        "id": KEY_ID,
        "service_account_id": ACCOUNT,
        "created_at": "2026-11-23T09:00:00.123456789Z",
        "key_algorithm": "RSA_2048",
        "public_key": private.public_key().public_bytes(*public).decode(),
        "private_key": PREAMBLE + private.private_bytes(*pkcs8).decode(),
    }
    return json.dumps(key | fields)


# What the vendor answers


def granted(token: str, expires_at: str | None = None) -> web.Response:
    """A token of IAM, as usual for twelve hours."""
    moment = datetime.fromtimestamp(time.time() + 43200, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    return web.json_response({"iamToken": token, "expiresAt": expires_at or moment})


def error_of(status: int, grpc: int, message: str) -> dict:
    details = [{"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req-5"}]
    error = {"grpcCode": grpc, "httpCode": status, "message": message, "httpStatus": _REASONS.get(grpc, "Error")}
    return {"error": error | {"details": details}}


def problem(status: int, grpc: int, message: str, headers: dict | None = None) -> web.Response:
    return web.json_response(error_of(status, grpc, message), status=status, headers=headers)


def fails_with(status: int, grpc: int, message: str, headers: dict | None = None) -> Scenario:
    async def scenario(request: web.Request, body: dict) -> web.StreamResponse:
        return problem(status, grpc, message, {"x-request-id": "req-5", **(headers or {})})

    return scenario


def reply(message: dict, status: str, completion_tokens: int = 11) -> dict:
    """One line, or a whole completion: 64-bit numbers are strings."""
    usage = {
        "inputTextTokens": "26",
        "completionTokens": str(completion_tokens),
        "totalTokens": str(26 + completion_tokens),
        "completionTokensDetails": {"reasoningTokens": "3"},
    }
    alternative = {"message": {"role": "assistant"} | message, "status": f"ALTERNATIVE_STATUS_{status}"}
    return {"result": {"alternatives": [alternative], "usage": usage, "modelVersion": VERSION}}


def says(*pieces: str, status: str = "FINAL") -> list[dict]:
    """Each line holds the whole text so far."""
    texts = ["".join(pieces[: place + 1]) for place in range(len(pieces))]
    partial = [reply({"text": text}, "PARTIAL", place + 1) for place, text in enumerate(texts[:-1])]
    return [*partial, reply({"text": texts[-1]}, status)]


def calls(*named: tuple[str, dict], status: str = "TOOL_CALLS") -> dict:
    listed = [{"functionCall": {"name": name, "arguments": arguments}} for name, arguments in named]
    return reply({"toolCallList": {"toolCalls": listed}}, status)


def line_of(document: dict) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def stream_bytes(documents: list[dict]) -> bytes:
    return b"".join(map(line_of, documents))


def streams(documents: list[dict], *, pause: float = 0.0) -> Scenario:
    """Each document on a line of its own."""
    return sends(*map(line_of, documents), kind="application/json", pause=pause)


def tokenized(body: dict) -> dict:
    _parse(body, generation.TokenizeRequest())
    _check_uri(body["modelUri"], "gpt", MODELS)
    words = [{"id": str(place), "text": word, "special": False} for place, word in enumerate(body["text"].split())]
    return {"tokens": [{"id": "1", "text": "<s>", "special": True}, *words], "modelVersion": VERSION}


def embedded(body: dict) -> dict:
    _parse(body, embedding.TextEmbeddingRequest())
    _check_uri(body["modelUri"], "emb", VECTORS)
    return {"embedding": [0.25, -0.5] * 128, "numTokens": str(len(body["text"].split())), "modelVersion": VERSION}


def compatibly_embedded(body: dict) -> dict:
    _check_uri(body["model"], "emb", VECTORS)
    if not isinstance(body["input"], str) or body.get("encoding_format") != "float" or len(body) > 3:
        raise RefusedError(400, 3, "one string and encoding_format float")
    count = len(body["input"].split())
    vector = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5] * 128}
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": [vector], "model": body["model"], "usage": usage}


def listed(body: dict) -> dict:
    names = [f"gpt://{FOLDER}/{model}" for model in MODELS] + [f"emb://{FOLDER}/{model}" for model in VECTORS]
    return {"object": "list", "data": [{"id": n, "object": "model", "created": 1, "owned_by": FOLDER} for n in names]}


def vendor_chunk(delta: dict, *, finish: str | None = None) -> dict:
    """A chunk of the compatible API for yandexgpt: `finish_reason` only in the last, never a usage."""
    choice = {"index": 0, "delta": delta} | ({"finish_reason": finish} if finish else {})
    return {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "yandexgpt/latest",
        "choices": [choice],
    }


def vendor_calls(*named: tuple[str, str]) -> list[dict]:
    """Tool calls of the compatible API for yandexgpt: the id is the name, and everything comes in one chunk."""
    listed = [
        {"index": place, "id": name, "type": "function", "function": {"name": name, "arguments": arguments}}
        for place, (name, arguments) in enumerate(named)
    ]
    return [vendor_chunk({"role": "assistant", "tool_calls": listed}, finish="tool_calls")]


_REPLIES = {
    f"{_NATIVE}/tokenize": tokenized,
    f"{_NATIVE}/textEmbedding": embedded,
    "/v1/embeddings": compatibly_embedded,
    "/v1/models": listed,
}
