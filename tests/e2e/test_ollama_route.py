"""An Ollama behind the whole service: answers come through, and a model it would forward to a cloud is never given a prompt."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.events import Intent, Outcome, Status
from tests.e2e.running import Installed, Running, running

REMOTE = {"remote_host": "https://ollama.com:443", "remote_model": "big"}


class OllamaUpstream:
    """Two models: `here`, and `there`, which is run elsewhere although its name does not say so."""

    def __init__(self) -> None:
        self.prompts: list[dict] = []
        prompts = self.prompts

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(
                    {
                        "models": [
                            {"name": "here:latest", "model": "here:latest"},
                            {"name": "there:latest", "model": "there:latest", **REMOTE},
                        ]
                    }
                )

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/api/show":
                    self.reply(
                        {
                            "details": {},
                            "capabilities": ["completion"],
                            **(REMOTE if body["model"].startswith("there") else {}),
                        }
                    )
                    return
                prompts.append(body)
                said = body["messages"][-1]["content"]
                words = {"model": body["model"], "message": {"role": "assistant", "content": said}, "done": False}
                end = {
                    "model": body["model"],
                    "message": {"role": "assistant", "content": ""},
                    "done": True,
                    "done_reason": "stop",
                    "prompt_eval_count": 3,
                    "eval_count": 4,
                }
                self.reply(words, end)

            def reply(self, *documents: dict) -> None:
                content = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-ndjson")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def ollama() -> Iterator[OllamaUpstream]:
    upstream = OllamaUpstream()
    threading.Thread(target=upstream.server.serve_forever, daemon=True).start()
    yield upstream
    upstream.server.shutdown()
    upstream.server.server_close()


@pytest.fixture
def service(tmp_path: Path, ollama: OllamaUpstream) -> Iterator[Running]:
    extra = (
        f'[[providers]]\nkind = "ollama"\nname = "ollama"\nbase_url = "{ollama.base_url}"\n'
        'models = [{ name = "here", residency = "local", auto = false }, { name = "there", residency = "local", auto = false }]\n'
    )
    with running(Installed(tmp_path, extra=extra)) as service:
        yield service


@pytest.mark.parametrize("stream", [False, True])
def test_a_local_model_answers_and_is_recorded(service: Running, ollama: OllamaUpstream, *, stream: bool) -> None:
    text = "Пациент Иванов Пётр Сергеевич, диагноз — астма."

    response = service.chat(text, model="ollama/here", stream=stream)

    assert (response.status_code, response.headers["x-residency"]) == (200, "local")
    assert "астма" in response.text
    assert ollama.prompts[0]["options"]["num_ctx"] == 8192
    outcome = service.installed.events(Outcome)[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.total_tokens) == (Status.COMPLETED, 7)


def test_a_model_that_runs_elsewhere_is_given_no_prompt(service: Running, ollama: OllamaUpstream) -> None:
    response = service.chat("Пациент Иванов Пётр Сергеевич, диагноз — астма.", model="ollama/there")

    assert response.status_code >= 400
    assert ollama.prompts == []
    outcome = service.installed.events(Outcome)[-1]
    intent = service.installed.events(Intent)[-1]
    assert isinstance(outcome, Outcome)
    assert isinstance(intent, Intent)
    assert (outcome.status, intent.route) == (Status.FAILED, "ollama/there")
