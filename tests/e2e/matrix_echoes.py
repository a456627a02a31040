"""A fake of every provider that sends over a network, saying back what it was given: in a text or in the arguments of a tool call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from appliance.events import Intent
from tests.e2e.in_thread import served
from tests.e2e.running import Installed
from tests.e2e.test_the_log_holds import newest_intent
from tests.providers.fakes import gigachat_server, ollama_server, openai_server, yandex_server
from tests.providers.fakes.openai_server import Scenario

TOOL = "note"
MODEL = 'models = [{{ name = "m", upstream = "{upstream}", residency = "ru", country = "RU", recipient = "partner", auto = false }}]'
LOCAL = 'models = [{ name = "m", residency = "local", auto = false }]'
PURPOSE = """
[[purposes]]
id = "narrow"
title = "Пересказ"
basis = "6.1.7"
ground = "Законный интерес"
allows = ["special"]
"""
"""A purpose that needs nothing of what the matrix holds: it is hidden from a model in the company too."""
KEYS = {"gigachat.key": gigachat_server.CREDENTIALS, "yandex.key": yandex_server.API_KEY}


class Form(NamedTuple):
    """How a fake answers: in a text or in a tool call, escaped beyond need or not, and in pieces of which lengths, in turn."""

    in_arguments: bool = False
    ascii_only: bool = False
    lengths: tuple[int, ...] = (1000,)

    def cut(self, text: str) -> list[str]:
        pieces, lengths = [], cycle(self.lengths)
        while text or not pieces:
            length = next(lengths)
            pieces.append(text[:length])
            text = text[length:]
        return pieces


@dataclass(repr=False)  # what it holds must not be in the output of a test
class Echo:
    """The ear and the mouth of one fake: `pick` finds in the strings of a body the texts that are said back."""

    wire: Wire
    form: Form = field(default_factory=Form)
    pick: Callable[[Sequence[str]], list[str]] = list
    raw: list[bytes] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    server: Any = None
    installed: Installed | None = None

    @property
    def heard(self) -> int:
        """How many bodies the fake was sent, under whatever address."""
        return len(self.server.bodies)

    def forget(self) -> None:
        for heard in (self.raw, self.intents, self.server.bodies):
            heard.clear()

    async def answer(self, request: web.Request, body: dict) -> web.StreamResponse:
        self.raw.append(await request.read())
        if self.installed is not None:
            self.intents.append(newest_intent(self.installed))
        texts = self.pick(list(strings_in(json.loads(self.raw[-1]))))
        if not self.form.in_arguments:
            return await self.wire.says(self.form.cut("\n".join(texts)))(request, body)
        arguments = {"notes": texts}
        written = self.form.cut(json.dumps(arguments, ensure_ascii=self.form.ascii_only))
        return await self.wire.calls(arguments, written)(request, body)


class Wire(NamedTuple):
    """A provider's protocol: its fake, what the settings say of it, a text in pieces, a tool call whole or in pieces."""

    kind: str
    server: Callable[[Scenario], Any]
    table: Callable[[Any], str]
    says: Callable[[list[str]], Scenario]
    calls: Callable[[Mapping[str, Any], list[str]], Scenario]
    purpose: str = "general"


def strings_in(value: object) -> Iterator[str]:
    """Every string, key and number of a JSON document, and of the documents that stand in its strings."""
    match value:
        case str():
            yield value
            inner = _document(value)
            if isinstance(inner, dict | list):
                yield from strings_in(inner)
        case dict():
            for key, each in value.items():
                yield from strings_in(key)
                yield from strings_in(each)
        case list():
            for each in value:
                yield from strings_in(each)
        case int() | float():
            yield repr(value)
        case _:
            return


def _document(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


@contextmanager
def echoes() -> Iterator[tuple[dict[str, Echo], str]]:
    """A fake a route, up while this lasts, and the settings of all of them."""
    with ExitStack() as stack:
        heard = {name: Echo(wire) for name, wire in WIRES.items()}
        tables = []
        for name, echo in heard.items():
            server = echo.server = stack.enter_context(served(echo.wire.server(echo.answer)))
            tables.append(f'[[providers]]\nkind = "{echo.wire.kind}"\nname = "{name}"\n{echo.wire.table(server)}')
        yield heard, "\n".join(tables)


def write_keys(folder: Path) -> None:
    for name, secret in KEYS.items():
        (folder / name).write_text(secret)
        (folder / name).chmod(0o600)


def _yandex(api: str, address: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda server: (
        f'folder_id = "{yandex_server.FOLDER}"\napi_key_file = "yandex.key"\napi = "{api}"\n'
        f'base_url = "{address(server)}"\n' + MODEL.format(upstream="yandexgpt/latest")
    )


def _compatible_says(pieces: list[str]) -> Scenario:
    chunks = [yandex_server.vendor_chunk({"role": "assistant", "content": piece}) for piece in pieces]
    return openai_server.streams([*chunks, yandex_server.vendor_chunk({}, finish="stop")])


def _compatible_calls(_: Mapping[str, Any], written: list[str]) -> Scenario:
    """The vendor writes a call whole today; in pieces it is what the models of others at the same address do."""
    calls = [
        {"index": 0, "function": {"arguments": piece}} | ({} if at else {"id": TOOL, "type": "function"})
        for at, piece in enumerate(written)
    ]
    calls[0]["function"]["name"] = TOOL
    chunks = [yandex_server.vendor_chunk({"role": "assistant", "tool_calls": [call]}) for call in calls]
    return openai_server.streams([*chunks, yandex_server.vendor_chunk({}, finish="tool_calls")])


WIRES = {
    "openai": Wire(
        kind="openai_compatible",
        server=openai_server.OpenAIServer,
        table=lambda server: f'base_url = "{server.base_url}"\n' + MODEL.format(upstream="m"),
        says=lambda pieces: openai_server.streams(openai_server.says(*pieces)),
        calls=lambda _, written: openai_server.streams(openai_server.calls(TOOL, *written)),
    ),
    "gigachat": Wire(
        kind="gigachat",
        server=gigachat_server.GigaChatServer,
        table=lambda server: (
            f'credentials_file = "gigachat.key"\nscope = "{server.scope}"\nbase_url = "{server.base_url}"\n'
            f'auth_url = "{server.auth_url}"\n' + MODEL.format(upstream="GigaChat-2")
        ),
        says=lambda pieces: gigachat_server.streams(gigachat_server.says(*pieces)),
        calls=lambda arguments, _: gigachat_server.streams(gigachat_server.calls(TOOL, arguments, apart=True)),
    ),
    "yandex-native": Wire(
        kind="yandexgpt",
        server=yandex_server.YandexServer,
        table=_yandex("native", lambda server: server.native_url),
        says=lambda pieces: yandex_server.streams(yandex_server.says(*pieces)),
        calls=lambda arguments, _: yandex_server.streams([yandex_server.calls((TOOL, dict(arguments)))]),
    ),
    "yandex-openai": Wire(
        kind="yandexgpt",
        server=yandex_server.YandexServer,
        table=_yandex("openai", lambda server: server.compatible_url),
        says=_compatible_says,
        calls=_compatible_calls,
    ),
    "ollama": Wire(
        kind="ollama",
        server=ollama_server.OllamaServer,
        table=lambda server: f'base_url = "{server.base_url}"\n{LOCAL}',  # it is refused any other residency here
        purpose="narrow",
        says=lambda pieces: ollama_server.streams(ollama_server.says(*pieces)),
        calls=lambda arguments, _: ollama_server.streams(
            [ollama_server.line({"tool_calls": [ollama_server.call(TOOL, arguments)]}), ollama_server.done()]
        ),
    ),
}
"""A route's name → what stands behind it."""
