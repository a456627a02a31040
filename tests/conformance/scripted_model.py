"""What a sensible model would answer in a conformance suite, and nothing by chance: OpenAI's words in, OpenAI's words out. Pure.

It greets; it calls the tool it is told to, or that the text names, with arguments taken from the text; it fills JSON schemas; after a
tool's result it answers in words.
"""

from __future__ import annotations

import json
import re
from typing import Any

Json = dict[str, Any]  # a request's body is whatever JSON the peer wrote


def answer(request: Json) -> Json:
    """The assistant's message for a request: its `content`, or one call in `tool_calls`."""
    messages = request["messages"]
    said = words(next((message for message in reversed(messages) if message["role"] == "user"), {"content": ""}))
    tools = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in request.get("tools", [])}
    name = wanted(request, tools, said)
    if name is not None:
        call = {
            "id": f"call_{len(messages)}",
            "type": "function",
            "function": {"name": name, "arguments": written(filled(tools[name], said))},
        }
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    form = request.get("response_format", {"type": "text"})
    if form["type"] == "json_schema":
        return {"role": "assistant", "content": written(filled(form["json_schema"].get("schema") or {}, said))}
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
    return next((name for name in tools if is_asked_for(name, said.casefold())), None)


def is_asked_for(name: str, said: str) -> bool:
    """Whether a model that is free to choose would call this tool: `said` speaks of it, or of "the tool"."""
    return any(word in said for word in (name.casefold(), name.casefold().split("_")[-1], "using the tool"))


def written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


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
