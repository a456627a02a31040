"""Run by the other environment's Python: the official SDK 2.x against a service; prints what it got as JSON."""

from __future__ import annotations

import json
import sys

import openai


def main(url: str, key: str, text: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    messages = [{"role": "user", "content": text}]
    whole = client.chat.completions.create(model="cloud", messages=messages).choices[0].message.content
    stream = client.chat.completions.create(model="cloud", messages=messages, stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    try:
        client.chat.completions.create(model="abroad", messages=messages)
        refused = None
    except openai.PermissionDeniedError as error:
        refused = error.code
    sys.stdout.write(
        json.dumps(
            {"version": openai.__version__.split(".")[0], "whole": whole, "streamed": streamed, "refused": refused}
        )
    )


main(*sys.argv[1:])
