"""One upstream for each provider: the strict fake of its protocol, with the scripted model behind it.

Each shell puts what the fake was sent into OpenAI's words, and the model's answer into the fake's own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.conformance.scripted_model import Json, answer
from tests.providers.fakes import gigachat_server, ollama_server, openai_server, yandex_server
from tests.providers.fakes.gigachat_server import GigaChatServer
from tests.providers.fakes.ollama_server import OllamaServer
from tests.providers.fakes.openai_server import OpenAIServer
from tests.providers.fakes.yandex_server import YandexServer

MODEL = "scripted/big"  # the route to every upstream here

PROVIDER = """\
[[providers]]
name = "scripted"
kind = "{kind}"
models = [{{ name = "big", residency = "{residency}", country = "RU", auto = false, upstream = "{upstream}" }}]
{fields}
"""


class Upstream:
    """A running upstream: the table of settings that leads to it, and its address."""

    def __init__(self, kind: str, address: str, *, residency: str = "ru", model: str = "big", **fields: str) -> None:
        written = "\n".join(f"{name} = {json.dumps(value)}" for name, value in fields.items())
        self.address = address
        self.settings = PROVIDER.format(kind=kind, residency=residency, upstream=model, fields=written)


@asynccontextmanager
async def openai_compatible(folder: Path) -> AsyncIterator[Upstream]:
    async with OpenAIServer(openai_chat).running() as server:
        yield Upstream("openai_compatible", server.base_url, base_url=server.base_url)


@asynccontextmanager
async def gigachat(folder: Path) -> AsyncIterator[Upstream]:
    key = secret(folder / "gigachat.key", gigachat_server.CREDENTIALS)
    async with GigaChatServer(gigachat_chat).running() as server:
        addresses = {"base_url": server.base_url, "auth_url": server.auth_url}
        yield Upstream("gigachat", server.base_url, model="GigaChat-2-Pro", credentials_file=key, **addresses)


@asynccontextmanager
async def ollama(folder: Path) -> AsyncIterator[Upstream]:
    async with OllamaServer(ollama_chat, models={"big": {}}).running() as server:
        yield Upstream("ollama", server.base_url, residency="local", base_url=server.base_url)


@asynccontextmanager
async def yandexgpt(folder: Path) -> AsyncIterator[Upstream]:
    key = secret(folder / "yandex.key", yandex_server.API_KEY)
    async with YandexServer(yandex_chat).running() as server:
        fields = {"folder_id": yandex_server.FOLDER, "api_key_file": key, "base_url": server.native_url}
        yield Upstream("yandexgpt", server.native_url, model="yandexgpt/latest", **fields)


UPSTREAMS: dict[str, Callable[[Path], AbstractAsyncContextManager[Upstream]]] = {
    "openai_compatible": openai_compatible,
    "gigachat": gigachat,
    "ollama": ollama,
    "yandexgpt": yandexgpt,
}


def secret(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o400)
    return str(path)


# The shells


async def openai_chat(request: web.Request, body: Json) -> web.StreamResponse:
    message = answer(body)
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": finish}
        whole = {"id": "chatcmpl-1", "created": 1, "model": body["model"], "object": "chat.completion"}
        return web.json_response(whole | {"choices": [choice], "usage": openai_server.USAGE})
    chunks = [openai_server.chunk(delta, model=body["model"]) for delta in openai_deltas(message)]
    chunks.append(openai_server.chunk(finish=finish, model=body["model"]))
    if body.get("stream_options", {}).get("include_usage"):
        chunks.append(openai_server.chunk(usage=openai_server.USAGE, model=body["model"]))
    return await openai_server.streams(chunks)(request, body)


async def gigachat_chat(request: web.Request, body: Json) -> web.StreamResponse:
    message = answer(from_gigachat(body))
    if call := called(message):
        # The vendor's papers leave open whether the finish reason comes with the call or after it: take turns.
        documents = gigachat_server.calls(*call, apart=len(body["messages"]) % 2 == 0)
    else:
        documents = gigachat_server.says(*pieces(message["content"]))
    return await gigachat_server.streams(documents)(request, body)


async def ollama_chat(request: web.Request, body: Json) -> web.StreamResponse:
    message = answer(from_ollama(body))
    if call := called(message):
        documents = [ollama_server.line({"tool_calls": [ollama_server.call(*call)]}), ollama_server.done()]
    else:
        documents = ollama_server.says(*pieces(message["content"]))
    return await ollama_server.streams(documents)(request, body)


async def yandex_chat(request: web.Request, body: Json) -> web.StreamResponse:
    message = answer(from_yandex(body))
    if call := called(message, parse_int=float):  # every number of protobuf's Struct is a double
        documents = [yandex_server.calls(call)]
    else:
        documents = yandex_server.says(*pieces(message["content"]))
    return await yandex_server.streams(documents)(request, body)


def called(message: Json, *, parse_int: Callable[[str], object] = int) -> tuple[str, Json] | None:
    """Name and arguments of the call in a message."""
    if not message.get("tool_calls"):
        return None
    function = message["tool_calls"][0]["function"]
    return function["name"], json.loads(function["arguments"], parse_int=parse_int)


def pieces(text: str, size: int = 4) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def openai_deltas(message: Json) -> Iterator[Json]:
    """The message as a stream gives it; the arguments of a call in pieces too."""
    yield {"role": "assistant", "content": ""}
    for index, call in enumerate(message.get("tool_calls", [])):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        begun = {"id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        yield {"tool_calls": [{"index": index, **begun}]}
        for piece in pieces(arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    for piece in pieces(message["content"] or ""):
        yield {"content": piece}


def from_gigachat(body: Json) -> Json:
    choice = body["function_call"]
    roles = {"function": "tool"}
    request = {
        "messages": [{**each, "role": roles.get(each["role"], each["role"])} for each in body["messages"]],
        "tools": [{"type": "function", "function": function} for function in body.get("functions", [])],
        "tool_choice": choice if isinstance(choice, str) else chosen(choice["name"]),
    }
    return request | with_schema(body["response_format"]["schema"] if "response_format" in body else None)


def from_ollama(body: Json) -> Json:
    request = {"messages": body["messages"], "tools": body.get("tools", [])}
    if body.get("format") == "json":
        return request | {"response_format": {"type": "json_object"}}
    return request | with_schema(body.get("format"))


def from_yandex(body: Json) -> Json:
    choice = body.get("toolChoice", {"mode": "AUTO"})
    request = {
        "messages": [
            {"role": "tool" if "toolResultList" in each else each["role"], "content": each.get("text", "")}
            for each in body["messages"]
        ],
        "tools": [{"type": "function", **tool} for tool in body.get("tools", [])],
        "tool_choice": chosen(choice["functionName"]) if "functionName" in choice else choice["mode"].lower(),
    }
    if body.get("jsonObject"):
        return request | {"response_format": {"type": "json_object"}}
    return request | with_schema(body["jsonSchema"]["schema"] if "jsonSchema" in body else None)


def chosen(name: str) -> Json:
    return {"type": "function", "function": {"name": name}}


def with_schema(schema: Json | None) -> Json:
    if schema is None:
        return {}
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
