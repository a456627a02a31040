"""`appliance chat` and the examples, against a real service."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import Installed, running
from tests.e2e.upstream import Reply, Upstream

ROOT = Path(__file__).parents[2]
PERSONAL = "Позвоните: Иванов Пётр Сергеевич, +7 916 123-45-67."


def chat(service, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    key = service.installed.path.parent / "state/keys/tests"
    command = [sys.executable, "-m", "appliance", "chat", "--url", service.url, "--key-file", str(key), *arguments]
    return subprocess.run(command, capture_output=True, text=True, input=said, timeout=60)


def test_one_question_shows_the_answer_the_route_the_verdict_and_the_price(tmp_path: Path, upstream: Upstream) -> None:
    with running(Installed(tmp_path, upstream.base_url)) as service:
        done = chat(service, PERSONAL)

    assert done.returncode == 0, done.stderr
    words = re.sub(r"\s+", " ", done.stdout)
    assert PERSONAL in words
    for shown in ("cloud/big", "в России", "first-available", "со скрытыми данными", "токенов 18", "цена неизвестна"):
        assert shown in words
    assert "Иванов" not in upstream.received[0].text


def test_a_conversation_is_sent_whole_until_it_is_begun_anew(tmp_path: Path, upstream: Upstream) -> None:
    with running(Installed(tmp_path, upstream.base_url)) as service:
        done = chat(service, "--model", "cloud", said="первый\nвторой\n/new\nтретий\n/model local\nчетвёртый\n/exit\n")

    assert done.returncode == 0, done.stderr
    assert [len(received.body["messages"]) for received in upstream.received] == [1, 3, 1]
    assert "local/mock-normal" in done.stdout


def test_a_refusal_is_shown_with_its_reason_and_its_record(tmp_path: Path, upstream: Upstream) -> None:
    with running(Installed(tmp_path, upstream.base_url)) as service:
        done = chat(service, "--model", "abroad", PERSONAL)

    assert done.returncode == 1
    assert "403" in done.stdout and "152-ФЗ" in done.stdout and "Запись журнала" in done.stdout


def test_an_answer_cannot_command_the_terminal(tmp_path: Path, upstream: Upstream) -> None:
    upstream.replies = [Reply(text="до\x1b]0;чужой заголовок\x07после\x1b[2J")]
    with running(Installed(tmp_path, upstream.base_url)) as service:
        done = chat(service, "--model", "cloud", "Привет")

    assert "\x1b]0" not in done.stdout and "\x1b[2J" not in done.stdout and "\x07" not in done.stdout
    assert "после" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--url", "ftp://x"), "не адрес"),
        (("--key-file", "/nonexistent/key"), "не читается"),
        (("--url", "http://127.0.0.1:9"), "Сервис не ответил"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, upstream: Upstream, arguments: tuple, said: str) -> None:
    with running(Installed(tmp_path, upstream.base_url)) as service:
        done = chat(service, *arguments, "Привет")

    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_routing_example_runs_against_a_service(tmp_path: Path, upstream: Upstream) -> None:
    upstream.replies = [Reply(text="Москва")]
    with running(Installed(tmp_path, upstream.base_url)) as service:
        script = ROOT / "appliance/examples/routing.py"
        key = tmp_path / "state/keys/tests"
        command = [sys.executable, script, f"{service.url}/v1", key, "auto", "auto:round-robin", "local", "nothing"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("auto → cloud/big (first-available, send)")
    assert "round-robin" in lines[2]
    assert lines[3].startswith("local → local/mock-normal")
    assert lines[4].startswith("nothing: 404")
