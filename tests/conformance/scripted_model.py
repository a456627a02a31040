"""An OpenAI-compatible upstream that does what a sensible model would do in a conformance suite, and nothing by chance.

It greets; it calls the tool it is told to, or that the text names, with arguments taken from the text; it fills JSON schemas; after a
tool's result it answers in words. Standard library only: it runs in whatever environment a suite needs.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]  # an upstream's body is whatever JSON the peer wrote


def answer(request: Json) -> Json:
    """The assistant's message for a request."""
    messages = request["messages"]
    said = words(next((message for message in reversed(messages) if message["role"] == "user"), {"content": ""}))
    tools = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in request.get("tools", [])}
    name = wanted(request, tools, said)
    if name is not None:
        call = {
            "id": f"call_{len(messages)}",
            "type": "function",
            "function": {"name": name, "arguments": arguments(tools[name], said)},
        }
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    form = request.get("response_format", {"type": "text"})
    if form["type"] == "json_schema":
        return {
            "role": "assistant",
            "content": json.dumps(filled(form["json_schema"].get("schema") or {}, said), ensure_ascii=False),
        }
    if form["type"] == "json_object":
        return {"role": "assistant", "content": '{"setup": "Why did the cat sit?", "punchline": "It was tired."}'}
    return {"role": "assistant", "content": f"Hello! You said: {said[:40]}"}


def words(message: Json) -> str:
    content = message["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content or [])


def wanted(request: Json, tools: dict[str, Json], said: str) -> str | None:
    """The tool to call, if one is to be called."""
    choice = request.get("tool_choice", "auto")
    if isinstance(choice, dict):
        return str(choice["function"]["name"])
    if not tools or choice == "none":
        return None
    if choice == "required":
        return next((name for name in tools if name in said), next(iter(tools)))
    if request["messages"][-1]["role"] == "tool":
        return None
    return next((name for name in tools if name in said or name.split("_")[-1] in said), None)


def arguments(schema: Json, said: str) -> str:
    return json.dumps(filled(schema, said), ensure_ascii=False)


def filled(schema: Json, said: str, name: str = "") -> Any:
    """A value for a schema: numbers and quoted names are taken from the text."""
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((each for each in kinds if each != "null"), "null") if isinstance(kinds, list) else kinds
    if "anyOf" in schema:
        return filled(next(each for each in schema["anyOf"] if each.get("type") != "null"), said, name)
    if "enum" in schema:
        return schema["enum"][0]
    match kind:
        case "object":
            return {key: filled(inner, said, key) for key, inner in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            numbers = re.findall(r"\d+", said)
            return int(numbers[0]) if numbers else 1
        case "boolean":
            return True
    quoted = re.findall(r"['\"«]([^'\"»]+)['\"»]", said)
    return quoted[0] if quoted and name.endswith("name") else f"some {name or 'text'}"


def deltas(message: Json) -> Iterator[Json]:
    """The message as a stream gives it."""
    yield {"role": "assistant", "content": ""}
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        yield {
            "tool_calls": [
                {
                    "index": index,
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": function["name"], "arguments": ""},
                }
            ]
        }
        for at in range(0, len(function["arguments"]), 5):
            yield {"tool_calls": [{"index": index, "function": {"arguments": function["arguments"][at : at + 5]}}]}
    text = message["content"] or ""
    for at in range(0, len(text), 4):
        yield {"content": text[at : at + 4]}


class Handler(BaseHTTPRequestHandler):
    """One answer a connection."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = answer(request)
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        common = {"id": "chatcmpl-1", "created": 1, "model": request["model"]}
        if not request.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            self.reply(
                "application/json",
                json.dumps({**common, "object": "chat.completion", "choices": [choice], "usage": usage}).encode(),
            )
            return
        chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas(message)]
        chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}]
        if request.get("stream_options", {}).get("include_usage"):
            chunks += [{"choices": [], "usage": usage}]
        events = [json.dumps({**common, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
        self.reply("text/event-stream", "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode())

    def reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


def serve() -> None:
    """Serve on a free port of the loopback; the port is the first line of output."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    serve()
