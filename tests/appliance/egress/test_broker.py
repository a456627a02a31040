"""The broker as a process of its own, between Python's TLS and real servers: what is not on its list is not reached."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.egress import broker
from tests.tls import Authority

PROGRAM = Path(broker.__file__)
BIG, PIECE = 3_000_000, 100_000
SYSTEM = Path("/usr/bin/python3")  # one that every user may run


class Upstream:
    """Echoes what it gets until the client has said all; counts who came."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.came = 0
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            self.came += 1
            threading.Thread(target=self._echo, args=(plain,), daemon=True).start()

    def _echo(self, plain: socket.socket) -> None:
        try:
            with plain if self._context is None else self._context.wrap_socket(plain, server_side=True) as connection:
                while part := connection.recv(65536):
                    connection.sendall(part)
        except OSError:
            plain.close()


class Way:
    """A broker that runs, and what there is behind it."""

    def __init__(self, folder: Path, authority: Authority, **changes: object) -> None:
        self.tls, self.plain = Upstream(authority.server_context()), Upstream(None)
        self.trust = ssl.create_default_context(cafile=authority.ca_file)
        self.path = folder / "egress.sock"
        allow = [
            {"host": "127.0.0.1", "port": self.tls.port},
            {"host": "api.example", "port": self.tls.port, "local": True},
            {"host": "rebound.example", "port": self.tls.port},
            {"host": "moved.example", "port": self.tls.port, "local": True},
            {"host": "log.example", "port": self.plain.port, "tls": False, "local": True},
            {"host": "127.0.0.1", "port": 9, "tls": False},
        ]
        names = dict.fromkeys(("api.example", "rebound.example", "log.example"), "127.0.0.1")
        names["moved.example"] = "1.1.1.1"  # never connected to
        said = {"socket": str(self.path), "clients": [os.geteuid()], "allow": allow, "resolve": names, **changes}
        (folder / "broker.json").write_text(json.dumps(said))
        command = [sys.executable, "-I", "-S", str(PROGRAM), "--config", str(folder / "broker.json")]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 30
        while not self._listens():
            assert self.process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.path)) == 0

    def close(self) -> str:
        """Its words."""
        self.process.terminate()
        _, words = self.process.communicate(timeout=30)
        self.tls.close()
        self.plain.close()
        return words

    @contextmanager
    def tunnel(self, target: str) -> Iterator[tuple[socket.socket, bytes]]:
        """A connection, and what it was answered."""
        with socket.socket(socket.AF_UNIX) as to:
            to.settimeout(30)
            to.connect(str(self.path))
            to.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer and (part := to.recv(4096)):
                answer += part
            yield to, answer


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    found = Way(tmp_path, Authority(tmp_path / "pki"), seconds=1, idle_seconds=60)
    yield found
    assert "Traceback" not in found.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def test_what_is_allowed_goes_through_whole_and_tls_is_the_clients(way: Way) -> None:
    with way.tunnel(f"127.0.0.1:{way.tls.port}") as (to, answer):
        assert status(answer) == 200
        with way.trust.wrap_socket(to, server_hostname="127.0.0.1") as connection:
            content = os.urandom(BIG)
            back = b""
            for start in range(0, BIG, PIECE):  # one thread: two in one TLS object is a race of its own
                connection.sendall(content[start : start + PIECE])
                while len(back) < min(start + PIECE, BIG) and (part := connection.recv(65536)):
                    back += part
            assert back == content
    with way.tunnel(f"log.example:{way.plain.port}") as (to, answer):
        assert status(answer) == 200
        to.sendall(b"one")
        to.shutdown(socket.SHUT_WR)  # the other half stays open until the answer is there
        back = b""
        while part := to.recv(100):
            back += part
        assert back == b"one"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("elsewhere.example:443", 403),
        ("api.example:1", 403),
        ("api.example.:{tls}", 400),
        ("[::1]:{tls}", 403),
        ("2130706433:{tls}", 400),
        ("127.1:{tls}", 400),
        ("апи.example:{tls}", 400),
        ("rebound.example:{tls}", 502),
        ("moved.example:{tls}", 502),
        ("127.0.0.1:9", 502),
    ],
)
def test_what_is_not_on_the_list_is_refused_in_words(way: Way, target: str, code: int) -> None:
    with way.tunnel(target.format(tls=way.tls.port)) as (_, answer):
        assert status(answer) == code
    assert way.tls.came == 0


def test_names_are_compared_without_regard_to_case(way: Way) -> None:
    with way.tunnel(f"API.Example:{way.tls.port}") as (_, answer):
        assert status(answer) == 200


@pytest.mark.parametrize("name", ["other.example", None])
def test_another_name_inside_than_outside_reaches_nobody(way: Way, name: str | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with way.tunnel(f"api.example:{way.tls.port}") as (to, answer):
        assert status(answer) == 200
        with pytest.raises(OSError):  # noqa: PT011  (closed in our face, however the system words it)
            context.wrap_socket(to, server_hostname=name)
    assert "имя в TLS" in way.close()


@pytest.mark.parametrize("content", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x16\x03\x01\xff\xff" + bytes(20_000)])  # fmt: skip
def test_what_is_no_client_hello_goes_nowhere(way: Way, content: bytes) -> None:
    with way.tunnel(f"api.example:{way.tls.port}") as (to, answer):
        assert status(answer) == 200
        to.sendall(content)
        assert to.recv(100) == b""


def test_who_says_nothing_is_let_go(way: Way) -> None:
    with way.tunnel(f"api.example:{way.tls.port}") as (to, answer):
        assert status(answer) == 200
        to.sendall(b"\x16\x03\x01")
        assert to.recv(100) == b""
    with socket.socket(socket.AF_UNIX) as to:
        to.connect(str(way.path))
        assert status(to.recv(1000)) == 408


@pytest.mark.parametrize(
    "asked",
    [b"GET http://api.example/ HTTP/1.1\r\n\r\n", b"CONNECT api.example HTTP/1.1\r\n\r\n", b"x" * 9000 + b"\r\n\r\n"],
)
def test_other_requests_are_none_of_its_business(way: Way, asked: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as to:
        to.connect(str(way.path))
        to.sendall(asked)
        assert status(to.recv(1000)) == 400


@pytest.mark.skipif(
    os.geteuid() != 0 or not SYSTEM.exists(), reason="only root can be somebody else, and who needs a Python"
)
def test_another_user_is_refused_even_where_the_file_is_open(way: Way, tmp_path: Path) -> None:
    way.path.chmod(0o666)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(100)[:12])"
    done = subprocess.run([SYSTEM, "-I", "-c", script, way.path], capture_output=True, text=True, user=65534)
    assert "403" in done.stdout, done.stderr


def test_settings_that_are_none_end_it_with_words(tmp_path: Path) -> None:
    for content in (
        "{",
        "[]",
        '{"surprise": 1}',
        '{"clients": ["nobody-here"]}',
        '{"clients": [0], "allow": [{"host": "a b", "port": 1}]}',
    ):
        (tmp_path / "c.json").write_text(content)
        command = [sys.executable, "-I", "-S", PROGRAM, "--config", tmp_path / "c.json"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr, "настройки" in done.stderr) == (2, False, True)


def hello(name: str | None) -> bytes:
    """What Python's TLS says first."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    wrapped = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        wrapped.do_handshake()
    return outgoing.read()


@given(cuts=st.lists(st.integers(1, 600), max_size=6))
def test_a_hello_in_any_number_of_records_has_the_same_name(cuts: list[int]) -> None:
    whole = hello("api.example")
    message, records, at = whole[5:], b"", 0
    for cut in [*sorted(set(cuts)), len(message)]:
        part = message[at : min(cut, len(message))]
        if part:
            records += b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
            at += len(part)
    for length in range(len(records)):
        assert broker.server_name(records[:length]) is None
    assert broker.server_name(records) == "api.example"
    assert broker.server_name(hello(None)) == ""


@given(st.binary(max_size=400), st.integers(0, 500), st.integers(0, 255))
def test_nothing_that_is_sent_makes_it_fall(noise: bytes, at: int, byte: int) -> None:
    damaged = bytearray(hello("api.example"))
    damaged[at % len(damaged)] = byte
    for content in (noise, b"\x16\x03\x01" + noise, bytes(damaged)):
        try:
            assert broker.server_name(content) is None or isinstance(broker.server_name(content), str)
        except broker.RefusedError:
            continue
