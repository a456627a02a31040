"""`appliance chat`: talk to a running service as an application does, and see where each request went."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from appliance.commands.options import fail
from appliance.errors import SettingsError
from appliance.keyfiles import read_secret

_SECONDS = 900.0
_COMMANDS = "/new — новый разговор, /model ИМЯ — другая модель, /exit — выход"
_VERDICTS = {"send": "как есть", "mask": "со скрытыми данными", "refuse": "отказ"}
_RESIDENCIES = {"local": "внутри компании", "ru": "в России", "foreign": "за пределами России"}


@click.command(name="chat")
@click.argument("question", required=False)
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Адрес сервиса.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("var/keys/first-api-key"),
    show_default=True,
    help="Файл ключа API.",
)
@click.option("--model", default="auto", show_default=True, help="Модель: auto, auto:cheap, псевдоним или маршрут.")
@click.option("--purpose", default=None, help="Цель обработки, если у ключа нет цели по умолчанию.")
@click.option(
    "--ca-file", type=click.Path(path_type=Path, exists=True), default=None, help="Центр сертификации для https."
)
def chat_command(
    question: str | None, url: str, key_file: Path, model: str, purpose: str | None, ca_file: Path | None
) -> None:
    """Задать вопрос или вести разговор; после ответа видно, куда ушёл запрос, в какой форме и сколько стоил."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        fail(f"`{url}` — не адрес http или https")
    headers = {"Authorization": f"Bearer {_key(key_file)}", "Content-Type": "application/json"}
    if purpose:
        headers["X-Purpose"] = purpose
    talk = _Talk(Console(), address, headers, ca_file, model)
    if question is not None:
        raise SystemExit(0 if talk.ask(question) else 1)
    talk.go_on()


class _Talk:
    """One conversation: what was said is sent along, as chat applications do."""

    def __init__(
        self, console: Console, address: SplitResult, headers: dict[str, str], ca_file: Path | None, model: str
    ) -> None:
        self._console = console
        self._address = address
        self._headers = headers
        self._ca_file = ca_file
        self._model = model
        self._said: list[dict[str, str]] = []

    def go_on(self) -> None:
        """Questions from the terminal until there are no more."""
        self._console.print(f"[dim]{_COMMANDS}[/dim]")
        while True:
            try:
                words = self._console.input("[bold]вы>[/bold] ").strip()
            except (EOFError, KeyboardInterrupt):
                self._console.print()
                return
            command, _, argument = words.partition(" ")
            match command:
                case "":
                    continue
                case "/exit":
                    return
                case "/new":
                    self._said.clear()
                    self._console.print("[dim]Разговор начат заново.[/dim]")
                case "/model" if argument:
                    self._model = argument.strip()
                    self._console.print(f"[dim]Модель: {escape(self._model)}.[/dim]")
                case _ if command.startswith("/"):
                    self._console.print(f"[dim]{_COMMANDS}[/dim]")
                case _:
                    self.ask(words)

    def ask(self, question: str) -> bool:
        """Show the answer as it comes; False when there was none. A question without an answer is not kept."""
        body = {
            "model": self._model,
            "messages": [*self._said, {"role": "user", "content": question}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            with self._sent(json.dumps(body).encode()) as response:
                if response.status != 200:
                    self._refused(response)
                    return False
                answer = self._shown(response)
        except (OSError, HTTPException, msgspec.MsgspecError) as error:
            self._console.print(f"[red]Сервис не ответил: {type(error).__name__}. Он запущен? См. --url.[/red]")
            return False
        if answer is None:
            return False
        self._said += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return True

    @contextmanager
    def _sent(self, body: bytes) -> Iterator[HTTPResponse]:
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme == "https":
            tls = ssl.create_default_context(cafile=self._ca_file)
            connection: HTTPConnection = HTTPSConnection(host, port, timeout=_SECONDS, context=tls)
        else:
            connection = HTTPConnection(host, port, timeout=_SECONDS)
        try:
            connection.request("POST", f"{self._address.path.rstrip('/')}/v1/chat/completions", body, self._headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def _shown(self, response: HTTPResponse) -> str | None:
        """The text of the answer, printed as it comes; None when it broke off."""
        words: list[str] = []
        usage: dict[str, Any] = {}
        for event in _events(response):
            if "error" in event:
                self._console.print(f"\n[red]{escape(_plain(event['error']['message']))}[/red]")
                return None
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                piece = _plain(choice["delta"].get("content") or "")
                words.append(piece)
                self._console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
        self._console.print()
        self._console.print(f"[dim]{escape(_footer(response, usage))}[/dim]")
        return "".join(words)

    def _refused(self, response: HTTPResponse) -> None:
        try:
            said = json.loads(response.read())["error"]["message"]
        except (ValueError, KeyError, TypeError):
            said = "ответ сервиса не удалось прочитать"
        record = response.headers["X-Audit-Record"]
        where = f" Запись журнала № {record}." if record else ""
        self._console.print(f"[red]{response.status}: {escape(_plain(said))}[/red]{where}")


def _events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in response:
        data = line.strip().removeprefix(b"data: ")
        if data == b"[DONE]":
            return
        if data:
            yield msgspec.json.decode(data, type=dict[str, Any])


def _footer(response: HTTPResponse, usage: dict[str, Any]) -> str:
    route, why, residency, verdict, record = (
        response.headers[f"X-{name}"] for name in ("Route", "Route-Reason", "Residency", "Verdict", "Audit-Record")
    )
    cost = usage.get("cost_rub")
    price = "цена неизвестна" if cost is None else f"{cost:.6f} ₽".replace(".", ",")
    tokens = f"токенов {usage['total_tokens']}" if usage else "число токенов неизвестно"
    where = f"{route} ({_RESIDENCIES.get(residency, residency)}; {why})"
    return f"{where} · {_VERDICTS.get(verdict, verdict)} · {tokens} · {price} · запись журнала № {record}"


def _plain(text: str) -> str:
    """Text that cannot command the terminal: an answer is somebody else's words."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def _key(path: Path) -> str:
    try:
        return read_secret(path).decode("ascii").strip()
    except SettingsError as error:
        fail(*error.problems)
    except UnicodeDecodeError:
        fail(f"`{path}`: это не ключ API")
