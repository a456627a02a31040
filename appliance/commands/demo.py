"""`appliance demo`: a tour of four requests through a real service, and of the log they leave."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from appliance.commands.options import fail
from appliance.commands.rows import records_table
from appliance.first_run import create_keys
from appliance.settings import load_settings
from audit import AuditReader, explain, export_bundle, verify_file
from policies import shipped_policy_path

_SETTINGS = """\
state = "state"

[server]
port = 0

[policy]
folder = "policy"

[[keys]]
id = "demo"
app = "demo-app"
purposes = ["general"]
default_purpose = "general"
file = "state/keys/demo"

[[providers]]
kind = "openai_compatible"
name = "cloud"
base_url = "http://127.0.0.1:{port}/v1"

[[providers.models]]
name = "big"
residency = "ru"
country = "RU"
recipient = "cloud"

[[providers]]
kind = "testing"
name = "local"

[[providers.models]]
name = "mock-normal"
residency = "local"

[[providers]]
kind = "testing"
name = "abroad"

[[providers.models]]
name = "mock-normal"
residency = "foreign"
country = "US"
auto = false
"""


_CARD = """\
[[recipients]]
id = "cloud"
name = "Учебное облако"
inn = "7700000000"
country = "RU"
status = "active"
contract = "Учебный договор"
valid_from = 2026-01-01
valid_until = 2099-12-31
clauses = ["data", "operations", "purposes", "confidentiality", "localisation", "duties", "proof", "protection", "incidents"]
categories = ["general"]
operations = ["use", "storage"]
purposes = ["general"]
"""


class _Scene(msgspec.Struct, frozen=True):
    title: str
    model: str
    prompt: str


_SCENES = (
    _Scene("1. Обычный запрос", "auto", "Сформулируй вежливый отказ поставщику на две строки."),
    _Scene(
        "2. ФИО, телефон и СНИЛС: в облако — только скрытыми",
        "auto",
        "Составь письмо: клиент Иванов Пётр Сергеевич, телефон +7 916 123-45-67, СНИЛС 112-233-445 95, просит перезвонить.",
    ),
    _Scene(
        "3. Сведения о здоровье: остаются на локальной модели",
        "auto",
        "Пациентка Смирнова Анна Павловна, диагноз — сахарный диабет. Подготовь выписку.",
    ),
    _Scene(
        "4. Персональные данные на зарубежную модель: отказ",
        "abroad/mock-normal",
        "Переведи на английский: Кузнецов Олег Игоревич, паспорт 4510 123456.",
    ),
)


@click.command(name="demo")
def demo_command() -> None:
    """Показать на четырёх запросах, что уходит в облако, что возвращается и что остаётся в журнале."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="appliance-demo-") as folder, _Cloud() as cloud:
        path = Path(folder) / "settings.toml"
        path.write_text(_SETTINGS.format(port=cloud.port), encoding="utf-8")
        shutil.copytree(shipped_policy_path(), Path(folder) / "policy")
        (Path(folder) / "policy" / "cloud.toml").write_text(_CARD, encoding="utf-8")
        settings = load_settings(path)
        create_keys(settings)
        key = (Path(folder) / "state/keys/demo").read_text().strip()
        console.print(
            "Запускается настоящий сервис с временным журналом; «облако» — маленький сервер в этом же процессе.\n"
        )
        with _service(path) as port:
            for scene in _SCENES:
                _play(console, scene, port, key, cloud)
        _show_log(
            console,
            settings.log.path,
            settings.log.kek_file,
            settings.log.signing_key_file.with_suffix(".pub"),
            Path(folder),
        )


def _play(console: Console, scene: _Scene, port: int, key: str, cloud: _Cloud) -> None:
    cloud.seen.clear()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = {"model": scene.model, "messages": [{"role": "user", "content": scene.prompt}]}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    record = f"запись журнала № {response.headers['X-Audit-Record']}"
    if response.status == 200:
        route, residency, verdict = (response.headers[name] for name in ("X-Route", "X-Residency", "X-Verdict"))
        decided = f"{verdict} → {route} ({residency}), {record}"
        got = answer["choices"][0]["message"]["content"]
    else:
        decided, got = f"отказ {response.status}, {record}", answer["error"]["message"]
    said = {
        f"Приложение послало (модель {scene.model})": scene.prompt,
        "Решение": decided,
        "Облако увидело": cloud.seen[-1] if cloud.seen else "ничего",
        "Приложение получило": got,
    }
    text = "\n".join(f"[bold]{escape(name)}:[/bold] {escape(words)}" for name, words in said.items())
    console.print(Panel(text, title=scene.title, title_align="left"))


def _show_log(console: Console, database: Path, kek: Path, public: Path, folder: Path) -> None:
    with AuditReader.open(database, kek) as reader:
        console.print(records_table(list(reader.entries(0, reader.size))))
    bundle, damaged = folder / "log.bundle", folder / "damaged.bundle"
    export_bundle(database, bundle)
    key = public.read_text()
    console.print(
        Panel(explain(verify_file(bundle, key)), title="Проверка выгрузки без ключей шифрования", title_align="left")
    )
    content = bytearray(bundle.read_bytes())
    position = len(content) * 2 // 3
    content[position] ^= 1
    damaged.write_bytes(content)
    title = f"Та же выгрузка, в копии изменён один бит (байт {position} из {len(content)})"
    console.print(Panel(explain(verify_file(damaged, key)), title=title, title_align="left"))


@contextmanager
def _service(path: Path) -> Iterator[int]:
    """A service in a process of its own; yields its port."""
    command = [sys.executable, "-m", "appliance", "serve", "--settings", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  (our own command)
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "http://" not in line:
                fail("сервис не запустился, причина — выше")
            yield int(line.split("http://127.0.0.1:")[1].split()[0])
        finally:
            process.terminate()
            process.wait(timeout=60)


class _Cloud:
    """A stand-in for a cloud model: an OpenAI-compatible server that keeps what it was sent and says it back."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                said = request["messages"][-1]["content"]
                seen.append(said)
                words = f"Вот ваш текст: {said}"
                chunks = [{"content": words[at : at + 7]} for at in range(0, len(words), 7)]
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for delta in chunks:
                    self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                self.wfile.write(b"data: [DONE]\n\n")

            def _event(self, chunk: dict[str, object]) -> None:
                self.wfile.write(
                    b"data: "
                    + json.dumps({"id": "demo", "object": "chat.completion.chunk", **chunk}).encode()
                    + b"\n\n"
                )

            def log_message(self, *args: object) -> None:
                """Say nothing: requests are shown by the tour itself."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()
