"""The official SDK of OpenAI, whichever generation runs this, against the address in `CONFORMANCE_URL`; prints its version.

Only the SDK is needed, no pytest: the environment of each generation holds nothing else.
"""

from __future__ import annotations

import json
import os
import sys

import openai
from pydantic import BaseModel

ADDRESS, KEY, MODEL = (os.environ[f"CONFORMANCE_{name}"] for name in ("URL", "KEY", "MODEL"))
CUSTOMER = "Иванов Пётр Сергеевич"
TOOL = {
    "type": "function",
    "function": {
        "name": "create_customer",
        "description": "Заводит клиента",
        "parameters": {
            "type": "object",
            "properties": {"customer_name": {"type": "string"}},
            "required": ["customer_name"],
        },
    },
}


class Joke(BaseModel):
    setup: str
    punchline: str


def main() -> None:
    sys.addaudithook(only_loopback)
    with openai.OpenAI(base_url=ADDRESS, api_key=KEY, max_retries=0) as client:
        for check in (chats, streams, calls_a_tool, streams_a_tool_call, parses_a_schema, lists_models):
            check(client)
    print(f"openai {openai.__version__}")


def chats(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=user("What is new?"))
    assert completion.choices[0].message.content == "Hello! You said: What is new?"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens > 0


def streams(client: openai.OpenAI) -> None:
    asked = {"messages": user("What is new?"), "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model=MODEL, stream=True, **asked))
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(words) == "Hello! You said: What is new?"
    assert chunks[-1].usage.total_tokens > 0


def calls_a_tool(client: openai.OpenAI) -> None:
    """The upstream fills in what it was given in place of the name; the name itself must come back."""
    completion = client.chat.completions.create(model=MODEL, tools=[TOOL], tool_choice="required", messages=customer())
    call = completion.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("create_customer", {"customer_name": CUSTOMER})
    assert completion.choices[0].finish_reason == "tool_calls"


def streams_a_tool_call(client: openai.OpenAI) -> None:
    asked = {"tools": [TOOL], "tool_choice": "required", "messages": customer()}
    with client.chat.completions.stream(model=MODEL, **asked) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"customer_name": CUSTOMER}


def parses_a_schema(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model=MODEL, response_format=Joke, messages=user("Tell me a joke"))
    assert isinstance(parsed.choices[0].message.parsed, Joke)


def lists_models(client: openai.OpenAI) -> None:
    assert MODEL in {model.id for model in client.models.list()}


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def customer() -> list[dict]:
    return user(f"Заведи клиента «{CUSTOMER}»")


def only_loopback(event: str, arguments: tuple) -> None:
    """Refuses every connection that would leave the machine."""
    if event == "socket.connect" and arguments[1][0] != "127.0.0.1":
        raise PermissionError("only the loopback is allowed")


if __name__ == "__main__":
    main()
