"""Where the service may connect to is decided by the kernel, below Python: on a clean server with neighbours of its own; `make test-install`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.install.nspawn import Server, booted, lacking
from tests.install.test_lifecycle import KEY, PLAYBOOK, SETTINGS, Administrator, Publisher

ALLOWED, FORBIDDEN, PORT = "10.77.0.3", "10.77.0.4", 8443
UPSTREAM = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "from " + self.server.server_address[0]}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *a): open("/root/asked-" + self.server.server_address[0], "a").write("x")
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""
PROBE = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"
PROVIDERS = "".join(
    f"""
[[providers]]
kind = "openai_compatible"
name = "{name}"
base_url = "http://{address}:{PORT}/v1"
models = [{{ name = "m", residency = "local" }}]
"""
    for name, address in (("allowed", ALLOWED), ("forbidden", FORBIDDEN))
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(lacking()), reason=lacking() or "everything is there"),
    pytest.mark.skipif(not PLAYBOOK.exists(), reason="no .venv-ansible: make test-install makes it"),
]


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return Publisher(tmp_path_factory.mktemp("publisher"))


def neighbours(server: Server) -> None:
    """A network behind a cable, with two machines that answer as an upstream does."""
    run = server.run
    Path(server.root, "root/upstream.py").write_text(UPSTREAM)
    run("ip", "netns", "add", "outside")
    run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", "outside")
    run("ip", "addr", "add", "10.77.0.1/24", "dev", "here")
    run("ip", "link", "set", "here", "up")
    for command in (["addr", "add", f"{ALLOWED}/24", "dev", "there"], ["addr", "add", f"{FORBIDDEN}/24", "dev", "there"], ["link", "set", "there", "up"], ["link", "set", "lo", "up"]):  # fmt: skip
        run("ip", "-n", "outside", *command)
    for number, address in enumerate((ALLOWED, FORBIDDEN)):
        inside = ["ip", "netns", "exec", "outside", "/usr/bin/python3", "/root/upstream.py", address, str(PORT)]
        run("systemd-run", "--quiet", f"--unit=upstream-{number}", *inside)
    end = time.monotonic() + 30
    while not (reaches(server, "root", ALLOWED) and reaches(server, "root", FORBIDDEN)):
        assert time.monotonic() < end, "no neighbours"
        time.sleep(0.2)


def reaches(server: Server, user: str, address: str, port: int = PORT) -> bool:
    command = ["setpriv", f"--reuid={user}", "--clear-groups", "/usr/bin/python3", "-c", PROBE, address, str(port)]
    said = server.run("sh", "-c", '"$@" && echo reached', "sh", *command, check=False)
    return "reached" in said


def asked(server: Server, address: str) -> int:
    path = Path(server.root, f"root/asked-{address}")
    return len(path.read_text()) if path.exists() else 0


def chat(server: Server, model: str) -> str:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Привет"}]})
    headers = ["-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json"]
    command = ["curl", "-sS", "-m", "120", "http://127.0.0.1:8080/v1/chat/completions", *headers, "-d", body]
    answer = json.loads(server.run(*command))
    return str(answer["choices"][0]["message"]["content"] if "choices" in answer else answer["error"]["code"])


def test_a_forbidden_address_cannot_be_reached_even_by_our_own_code(publisher: Publisher, tmp_path: Path) -> None:
    with booted("bookworm", tmp_path) as server:
        neighbours(server)
        administrator = Administrator(server, tmp_path, publisher)
        administrator.variables["appliance_settings"] = SETTINGS + PROVIDERS + "\n[router]\nretries = 0\n"
        allowed = [{"address": ALLOWED, "port": PORT}]
        installed = administrator.play("install", appliance_egress_allow=allowed)
        assert installed.ok, installed.output
        before = asked(server, ALLOWED)

        assert chat(server, "allowed/m") == f"from {ALLOWED}"
        assert asked(server, ALLOWED) == before + 1
        assert not chat(server, "forbidden/m").startswith("from")
        assert asked(server, FORBIDDEN) == 0

        # The rules by user, alone: they hold for a program that is not under the unit.
        assert reaches(server, "appliance", ALLOWED)
        assert not reaches(server, "appliance", FORBIDDEN)
        assert reaches(server, "root", FORBIDDEN)  # of others, nothing is taken

        # The filter of the unit, alone.
        server.run("nft", "delete", "table", "inet", "appliance_egress")
        assert reaches(server, "appliance", FORBIDDEN)
        assert not chat(server, "forbidden/m").startswith("from")
        assert asked(server, FORBIDDEN) == 0
        assert chat(server, "allowed/m") == f"from {ALLOWED}"

        # Without its rules the service does not go on.
        server.run("systemctl", "stop", "appliance-egress-rules.service", check=False)
        assert server.run("systemctl", "is-active", "appliance.service", check=False).strip() != "active"
