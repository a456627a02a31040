"""Every record reaches the collectors, in order, however often they go away; who people are does not."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.settings import problems
from tests.e2e.running import Installed, Running, running
from tests.e2e.test_command_line import appliance
from tests.e2e.upstream import Upstream
from tests.tls import Authority

CLIENT = "client-17"
PERSONAL = "Позвоните: Иванов Пётр Сергеевич, +7 916 123-45-67."


class Collector:
    """Takes syslog by octet counting on one port, as often as it is started; keeps every message it was sent whole."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self._context = context
        self._port = port
        self._stop = threading.Event()
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._open: list[socket.socket] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        self._stop.clear()
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listening.getsockname()[1]
        self._listening.settimeout(0.05)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        assert self._thread is not None
        assert self._listening is not None
        self._thread.join()
        self._listening.close()

    def sequence(self) -> list[int]:
        return [int(re.search(rb'seq="(\d+)"', message)[1]) for message in self.messages]

    def _serve(self) -> None:
        assert self._listening is not None
        workers = []
        while not self._stop.is_set():
            try:
                plain, _ = self._listening.accept()
            except TimeoutError:
                continue
            worker = threading.Thread(target=self._read, args=(plain,))
            worker.start()
            workers.append(worker)
        for worker in workers:
            worker.join()

    def _read(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(5)
            connection = plain if self._context is None else self._context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        self.connections += 1
        connection.settimeout(0.05)
        pending = b""
        with connection:
            while not self._stop.is_set():
                try:
                    got = connection.recv(1 << 16)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not got:
                    return
                pending += got
                while match := re.match(rb"(\d+) ", pending):
                    start, length = match.end(), int(match[1])
                    if len(pending) < start + length:
                        break
                    self.messages.append(pending[start : start + length])
                    pending = pending[start + length :]


@contextmanager
def started(collector: Collector) -> Iterator[Collector]:
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def until(reached: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def sink(**fields: object) -> str:
    return "[[siem]]\n" + "".join(f"{name} = {json.dumps(str(value))}\n" for name, value in fields.items())


def ask(service: Running) -> int:
    answer = service.chat(PERSONAL, model="local", headers={"X-Subject": CLIENT.encode()}, user="end-user-5")
    assert answer.status_code == 200
    return int(answer.headers["X-Audit-Record"])


def test_every_record_arrives_over_tls_and_nobody_is_named(tmp_path: Path, upstream: Upstream) -> None:
    authority = Authority(tmp_path / "pki")
    with started(Collector(authority.server_context())) as collector:
        extra = "".join(
            sink(kind="tls", name=f"soc-{each}", address=collector.address, ca_file=authority.ca_file, format=each)
            for each in ("cef", "json", "ocsf")
        )
        installed = Installed(tmp_path, upstream.base_url, extra=extra)
        with running(installed) as service:
            last = ask(service) + 1
            until(lambda: collector.sequence().count(last) == 3, "the records did not arrive")
            parts = service.http.get("/readyz").json()["parts"]
    assert {parts[f"siem:soc-{each}"] for each in ("cef", "json", "ocsf")} == {"ok"}
    everything = b"".join(collector.messages).decode()
    pseudonyms = {subject.hex() for record in installed.records() for subject in record.subjects if subject}
    assert pseudonyms
    for value in ("Иванов", "916 123", "9161234567", CLIENT, "end-user-5", *pseudonyms):
        assert value not in everything
    assert everything.count("CEF:0|LLM Privacy Appliance|appliance|") >= last + 1
    assert '"class_uid":6003' in everything
    assert all(message.startswith(b"<1") for message in collector.messages)


def test_a_collector_that_goes_away_loses_nothing_and_stops_nobody(tmp_path: Path, upstream: Upstream) -> None:
    collector = Collector()
    collector.start()
    installed = Installed(tmp_path, upstream.base_url, extra=sink(kind="tcp", name="agent", address=collector.address))
    with running(installed) as service:
        first = ask(service)
        until(lambda: first in collector.sequence(), "the first record did not arrive")
        collector.stop()
        numbers = [ask(service) for _ in range(30)]
        until(lambda: "недоступен" in service.http.get("/readyz").json()["parts"]["siem:agent"], "nobody noticed")
        assert service.http.get("/readyz").status_code == 200
        collector.start()
        until(lambda: numbers[-1] + 1 in collector.sequence(), "what was recorded meanwhile did not arrive")
        collector.stop()
        numbers += [ask(service) for _ in range(3)]
    collector.start()
    with running(installed) as service:  # a restart goes on where the stream stood
        until(lambda: numbers[-1] + 1 in collector.sequence(), "what was left at the stop did not arrive")
        ended = len(installed.records())
        until(lambda: ended - 1 in collector.sequence(), "the last record did not arrive")
    collector.stop()
    assert sorted(set(collector.sequence()))[:ended] == list(range(ended))
    firsts = list(dict.fromkeys(collector.sequence()))
    assert firsts == sorted(firsts)  # each for the first time in order
    by_number = {}
    for message, number in zip(collector.messages, collector.sequence(), strict=True):
        assert by_number.setdefault(number, message) == message  # what comes twice is the same, byte for byte


def test_a_certificate_nobody_vouches_for_gets_nothing(tmp_path: Path, upstream: Upstream) -> None:
    authority, stranger = Authority(tmp_path / "pki"), Authority(tmp_path / "other")
    with started(Collector(authority.server_context())) as collector:
        extra = sink(kind="tls", name="soc", address=collector.address, ca_file=stranger.ca_file)
        installed = Installed(tmp_path, upstream.base_url, extra=extra)
        with running(installed) as service:
            ask(service)
            until(lambda: "нет доверия" in service.http.get("/readyz").json()["parts"]["siem:soc"], "it was not told")
        tested = appliance("siem", "test", "soc", "--settings", installed.path)
        assert (tested.exit_code, "нет доверия" in tested.output) == (2, True)
    assert collector.messages == []


def test_a_file_gets_every_record_once_and_a_cursor_is_never_guessed(tmp_path: Path, upstream: Upstream) -> None:
    out = tmp_path / "records.jsonl"
    installed = Installed(tmp_path, upstream.base_url, extra=sink(kind="file", name="agent", path=out))
    cursor = installed.settings.state / "siem" / "agent.cursor"

    def numbers() -> list[int]:
        return [json.loads(line)["seq"] for line in out.read_text().splitlines()] if out.exists() else []

    for _ in range(2):
        with running(installed) as service:
            last = ask(service) + 1
            until(lambda last=last: last in numbers(), "the records did not arrive")
    assert numbers() == list(range(len(numbers())))
    assert out.stat().st_mode & 0o777 == 0o600

    kept = cursor.read_bytes()
    for content in (b"", b"{", kept[:-5]):
        cursor.write_bytes(content)
        before = len(numbers())
        with running(installed) as service:
            until(lambda: "не читается" in service.http.get("/readyz").json()["parts"]["siem:agent"], "it was not told")
        assert len(numbers()) == before
    cursor.write_bytes(kept.replace(b'"leaf":"', b'"leaf":"00'))  # of another log
    with running(installed):
        until(lambda: numbers()[before:][:3] == [0, 1, 2], "it was not begun anew")


def test_a_test_line_travels_the_same_way(tmp_path: Path, upstream: Upstream) -> None:
    with started(Collector()) as collector:
        installed = Installed(
            tmp_path, upstream.base_url, extra=sink(kind="tcp", name="agent", address=collector.address)
        )
        done = appliance("siem", "test", "agent", "--settings", installed.path)
        assert (done.exit_code, "подтверждений в syslog нет" in done.output) == (0, True)
        until(lambda: bool(collector.messages), "the line did not arrive")
        assert "Это не запись журнала" in collector.messages[0].decode()
        unknown = appliance("siem", "test", "soc", "--settings", installed.path)
        assert (unknown.exit_code, "agent" in unknown.output) == (2, True)
    refused = appliance("siem", "test", "agent", "--settings", installed.path)
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (sink(kind="tcp", name="a", address="10.0.0.1:514"), "без TLS"),
        (sink(kind="tls", name="a", address="siem.example:6514", ca_file="absent.pem"), "нет"),
        (sink(kind="tls", name="a", address="siem.example:6514", certificate_file="settings.toml"), "вместе"),
        (sink(kind="tcp", name="a", address="127.0.0.1:514") * 2, "дважды"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, upstream: Upstream, extra: str, words: str) -> None:
    installed = Installed(tmp_path, upstream.base_url, extra=extra)
    assert any(words in problem for problem in problems(installed.settings))
