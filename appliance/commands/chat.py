"""`appliance chat`: talk to a running service as an application does, and see where each request went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from appliance.commands.calling import Service, at_a_service, plain

_SECONDS = 900.0
_COMMANDS = "/new — новый разговор, /model ИМЯ — другая модель, /exit — выход"
_VERDICTS = {"send": "как есть", "mask": "со скрытыми данными", "refuse": "отказ"}
_RESIDENCIES = {"local": "внутри компании", "ru": "в России", "foreign": "за пределами России"}


@click.command(name="chat")
@click.argument("question", required=False)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("var/keys/first-api-key"),
    show_default=True,
    help="Файл ключа API.",
)
@click.option("--model", default="auto", show_default=True, help="Модель: auto, auto:cheap, псевдоним или маршрут.")
@click.option("--purpose", default=None, help="Цель обработки, если у ключа нет цели по умолчанию.")
@at_a_service
def chat_command(
    question: str | None, url: str, key_file: Path, model: str, purpose: str | None, ca_file: Path | None
) -> None:
    """Задать вопрос или вести разговор; после ответа видно, куда ушёл запрос, в какой форме и сколько стоил."""
    headers = {"X-Purpose": purpose} if purpose else {}
    talk = _Talk(Console(), Service(url, key_file, ca_file, headers, _SECONDS), model)
    if question is not None:
        raise SystemExit(0 if talk.ask(question) else 1)
    talk.go_on()


class _Talk:
    """One conversation: what was said is sent along, as chat applications do."""

    def __init__(self, console: Console, service: Service, model: str) -> None:
        self._console = console
        self._service = service
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
            with self._service.sent("/v1/chat/completions", body) as response:
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

    def _shown(self, response: HTTPResponse) -> str | None:
        """The text of the answer, printed as it comes; None when it broke off."""
        words: list[str] = []
        usage: dict[str, Any] = {}
        for event in _events(response):
            if "error" in event:
                self._console.print(f"\n[red]{escape(plain(event['error']['message']))}[/red]")
                return None
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                piece = plain(choice["delta"].get("content") or "")
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
        self._console.print(f"[red]{response.status}: {escape(plain(said))}[/red]{where}")


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
