"""The service as systemd runs it: a socket that stays when the process goes, and words on how it is."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.running import Installed
from tests.e2e.upstream import Upstream

STARTER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3, inheritable=True); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
    "os.execv(sys.executable, [sys.executable, '-m', 'appliance', 'serve', '--settings', sys.argv[2]])"
)
"""What systemd does between fork and exec."""


class Listening:
    """The socket unit: holds the port, starts one process after the other."""

    def __init__(self, installed: Installed, folder: Path) -> None:
        self.installed = installed
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.socket.getsockname()[1]
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(str(folder / "notify"))
        self.told.settimeout(60)
        self._environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "200000"}

    def words(self, wanted: str) -> str:
        while wanted not in (message := self.told.recv(4096).decode()):
            pass
        return message

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-c", STARTER, str(self.socket.fileno()), str(self.installed.path)]
        with subprocess.Popen(
            command,
            env=self._environment,
            pass_fds=[self.socket.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                self.words("READY=1")
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                _, error = process.communicate(timeout=60)
        assert (process.returncode, "Traceback" in error) == (0, False), error


@pytest.fixture
def listening(tmp_path: Path, upstream: Upstream) -> Iterator[Listening]:
    held = Listening(Installed(tmp_path, upstream.base_url), tmp_path)
    with held.socket, held.told:
        yield held


class Client(threading.Thread):
    """Asks without pause, on one connection as long as the service keeps it, or on a fresh one each time."""

    def __init__(self, listening: Listening, stop: threading.Event, *, keep: bool) -> None:
        super().__init__()
        self.answered = 0
        self.failed: list[str] = []
        self._listening = listening
        self._stop_asking = stop
        self._keep = keep

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        body = json.dumps({"model": "local", "messages": [{"role": "user", "content": "Привет"}]})
        headers = {"Authorization": f"Bearer {self._listening.installed.key}", "Content-Type": "application/json"}
        while not self._stop_asking.is_set():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self._listening.port, timeout=60)
            try:
                connection.request("POST", "/v1/chat/completions", body, headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(type(error).__name__)
                connection.close()
                connection = None
                continue
            if answer.status == 200:
                self.answered += 1
            else:
                self.failed.append(str(answer.status))
            if not self._keep or answer.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def test_restarts_under_load_fail_no_request(listening: Listening) -> None:
    stop = threading.Event()
    clients = [Client(listening, stop, keep=bool(number % 2)) for number in range(8)]
    with listening.process():
        for client in clients:
            client.start()
    for _ in range(2):
        with listening.process():
            before = sum(client.answered for client in clients)
            while sum(client.answered for client in clients) < before + 40:
                assert not stop.wait(0.05)
    with listening.process():
        stop.set()
        for client in clients:
            client.join()
    assert [client.failed for client in clients] == [[]] * 8
    assert all(client.answered for client in clients)
    assert listening.installed.verify().ok


def test_systemd_is_told_how_it_is(listening: Listening) -> None:
    with listening.process() as process:
        listening.words("WATCHDOG=1")
        process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in listening.words("RELOADING=1")
        assert "STATUS=принимает запросы" in listening.words("READY=1")
        process.send_signal(signal.SIGTERM)
        assert "STATUS=" in listening.words("STOPPING=1")


def test_a_descriptor_that_does_not_listen_is_told_in_words(tmp_path: Path, upstream: Upstream) -> None:
    installed = Installed(tmp_path, upstream.base_url)
    with socket.socket() as idle:
        command = [sys.executable, "-c", STARTER, str(idle.fileno()), str(installed.path)]
        done = subprocess.run(command, pass_fds=[idle.fileno()], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "appliance.socket" in done.stderr) == (2, True), done.stderr
