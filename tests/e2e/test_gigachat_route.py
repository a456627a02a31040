"""A GigaChat behind the whole service: hidden values come back, and a token that expired costs a recorded attempt of its own."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.events import Intent
from tests.e2e.running import Installed, Running, running

PERSONAL = "Позвоните клиенту: Иванов Пётр Сергеевич, телефон +7 916 123-45-67."


class GigaChatUpstream:
    """Token service and chat in one; refuses the first `expired` chats with 401."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.expired = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.endswith("/oauth"):
                    token = {"access_token": f"t{time.monotonic_ns()}", "expires_at": int((time.time() + 1800) * 1000)}
                    self.reply(200, "application/json", json.dumps(token).encode())
                    return
                outer.prompts.append(json.dumps(json.loads(body), ensure_ascii=False))
                if outer.expired:
                    outer.expired -= 1
                    self.reply(401, "application/json", b'{"status":401,"message":"Token has expired"}')
                    return
                said = json.loads(body)["messages"][-1]["content"]
                common = {"created": 1, "model": "GigaChat-2:2.0", "object": "chat.completion"}
                chunks = [
                    {"choices": [{"delta": {"content": said, "role": "assistant"}, "index": 0}], **common},
                    {"choices": [{"delta": {"content": ""}, "index": 0, "finish_reason": "stop"}], **common},
                ]
                events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
                self.reply(200, "text/event-stream", events.encode())

            def reply(self, status: int, kind: str, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def gigachat() -> Iterator[GigaChatUpstream]:
    upstream = GigaChatUpstream()
    threading.Thread(target=upstream.server.serve_forever, daemon=True).start()
    yield upstream
    upstream.server.shutdown()
    upstream.server.server_close()


@pytest.fixture
def service(tmp_path: Path, gigachat: GigaChatUpstream) -> Iterator[Running]:
    key = tmp_path / "gigachat.key"
    key.write_bytes(base64.b64encode(b"client:secret"))
    key.chmod(0o600)
    extra = (
        f'[[providers]]\nkind = "gigachat"\nname = "giga"\ncredentials_file = "gigachat.key"\nbase_url = "{gigachat.url}/v1"\n'
        f'auth_url = "{gigachat.url}/oauth"\nmodels = [{{ name = "GigaChat-2", residency = "ru", country = "RU", recipient = "partner", auto = false }}]\n'
    )
    with running(Installed(tmp_path, extra=extra)) as service:
        yield service


def test_hidden_values_come_back_from_gigachat(service: Running, gigachat: GigaChatUpstream) -> None:
    response = service.chat(PERSONAL, model="giga")

    assert (response.status_code, response.headers["x-verdict"]) == (200, "mask")
    assert response.json()["choices"][0]["message"]["content"] == PERSONAL
    assert "916 123" not in gigachat.prompts[0]
    assert "Иванов" not in gigachat.prompts[0]


def test_a_token_that_expired_is_a_second_attempt_with_its_own_intent(
    service: Running, gigachat: GigaChatUpstream
) -> None:
    gigachat.expired = 1

    response = service.chat(PERSONAL, model="giga")

    attempts = [(event.route, event.attempt) for event in service.installed.events(Intent) if isinstance(event, Intent)]
    assert response.status_code == 200
    assert attempts == [("giga/GigaChat-2", 1), ("giga/GigaChat-2", 2)]
    assert len(gigachat.prompts) == 2
    assert all("916 123" not in prompt for prompt in gigachat.prompts)


def test_a_token_that_is_never_taken_ends_after_the_second_attempt(
    service: Running, gigachat: GigaChatUpstream
) -> None:
    gigachat.expired = 9

    assert service.chat(PERSONAL, model="giga").status_code == 502
    assert len(gigachat.prompts) == len(service.installed.events(Intent)) == 2
