"""One record for a stranger: the proof holds, any change to the file is found, and the key that comes with it opens that record only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import (
    AuditError,
    AuditReader,
    Entry,
    Finding,
    LogDamagedError,
    LogFileError,
    LogSettings,
    Proof,
    UnknownEntryError,
    VerificationError,
    Verifier,
    verify_record,
)
from audit.checkpoint import parse_checkpoint
from audit.proof import Disclosure

BODY = msgspec.msgpack.encode(["crm", 3, {"PERSON": 1}, b"\x01\x02", None, "\x1b[2J"])


@pytest.fixture
def vkey(settings: LogSettings) -> str:
    return settings.signing_key_file.with_suffix(".pub").read_text()


@pytest.fixture
def filled(settings: LogSettings, fill) -> LogSettings:
    fill(settings, [Entry(7, 1, BODY if number == 300 else b"%d" % number) for number in range(600)])
    return settings


def disclosed(
    settings: LogSettings, seq: int = 300, *, key: bool = True, labels: tuple[str, ...] = ("app", "attempt")
) -> Disclosure:
    verifier = Verifier.parse(settings.signing_key_file.with_suffix(".pub").read_text())
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        return reader.disclose(seq, verifier, key=key, labels=labels)


@pytest.mark.parametrize("seq", [0, 255, 256, 300, 599])
@pytest.mark.parametrize("key", [False, True])
def test_a_disclosed_record_verifies_and_opens_only_with_its_key(
    filled: LogSettings, vkey: str, tmp_path: Path, seq: int, *, key: bool
) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(disclosed(filled, seq, key=key).encoded())
    report = verify_record(path, vkey)
    assert (report.seq, report.size, report.kind) == (seq, 600, 7)
    assert (report.entry is not None) is key
    if report.entry is not None:
        assert report.entry.body == (BODY if seq == 300 else b"%d" % seq)


def test_the_proof_is_the_text_that_c2sp_describes(filled: LogSettings, vkey: str) -> None:
    text = disclosed(filled, 300).proof
    first, index, *rest = text.split("\n")
    hashes, note = rest[: rest.index("")], "\n".join(rest[rest.index("") + 1 :])
    assert (first, index, len(hashes)) == ("c2sp.org/tlog-proof@v1", "index 300", 10)
    assert parse_checkpoint(note.split("\n\n")[0] + "\n").size == 600
    proof = Proof.parse(text)
    assert proof.text() == text
    assert Proof.parse(text.replace("index", "extra QUFB\nindex", 1)) == proof


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("@v1", "@v2"),
        lambda text: text.replace("index 300", "index 0300"),
        lambda text: text.replace("index 300", "index"),
        lambda text: text.replace("index 300", "index -1"),
        lambda text: text.replace("index 300", "index ³"),
        lambda text: text.replace("=\n", "\n", 1),
        lambda text: text.replace("\n\n", "\n", 1),
        lambda text: "",
        lambda text: "c2sp.org/tlog-proof@v1\n\n",
        lambda text: text.replace("index 300\n", "index 300\n" + "A" * 43 + "=\n" * 80),
        lambda text: text.replace("index 300\n", "index 300\n" + ("A" * 43 + "=\n") * 80),
    ],
)
def test_a_text_out_of_form_is_no_proof(filled: LogSettings, change) -> None:
    with pytest.raises(VerificationError):
        Proof.parse(change(disclosed(filled).proof))


def test_every_change_to_what_is_disclosed_is_found(filled: LogSettings, vkey: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    given, other = disclosed(filled), disclosed(filled, 301)
    replace = msgspec.structs.replace
    changed = [
        replace(given, proof=other.proof),
        replace(given, header=other.header),
        replace(given, body=other.body),
        replace(given, body=given.body[:-1]),
        replace(given, body=b""),
        replace(given, subjects=b"x"),
        replace(given, record_key=other.record_key),
        replace(given, record_key=b"short"),
        replace(given, proof=given.proof.replace("index 300", "index 301")),
        replace(given, header=given.header[:-1]),
        *(
            replace(given, header=given.header[:at] + bytes((given.header[at] ^ 1,)) + given.header[at + 1 :])
            for at in range(len(given.header))
        ),
    ]
    for each in changed:
        path.write_bytes(each.encoded())
        with pytest.raises((VerificationError, LogDamagedError)):
            verify_record(path, vkey)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_file_holds_there_is_a_verdict_and_never_another_content(
    exported, tmp_path: Path, data: st.DataObject
) -> None:
    log, _, public = exported
    content = bytearray(disclosed(log, 3).encoded())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "record.json"
    path.write_bytes(bytes(content))
    try:
        report = verify_record(path, public)
    except AuditError:
        return
    assert (report.seq, report.entry and report.entry.body) in {(3, b"03"), (3, None)}


def test_another_log_key_proves_nothing(filled: LogSettings, exported, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(disclosed(filled).encoded())
    with pytest.raises(VerificationError):
        verify_record(path, exported[2])


def test_what_is_no_record_is_unreadable(settings: LogSettings, fill, vkey: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for content in (b"{}", b'{"format": "LLM AUDIT RECORD 2"}', b"[]"):
        path.write_bytes(content)
        with pytest.raises(LogFileError):
            verify_record(path, vkey)
    form = b'{"format": "LLM AUDIT RECORD 1"'
    for content in (b"{" * 100_000, b"", b"\xff", b" " * (9 << 20), form + b"}", form + b', "proof": ""' * 2 + b"}"):
        path.write_bytes(content)
        with pytest.raises(VerificationError) as error:
            verify_record(path, vkey)
        assert error.value.finding is Finding.FORMAT
    with pytest.raises(LogFileError):
        verify_record(tmp_path / "nothing", vkey)
    fill(settings, [])
    with pytest.raises(UnknownEntryError):
        disclosed(settings, 0)


def test_the_command_line_says_what_is_shown_and_what_is_not(filled: LogSettings, vkey: str, tmp_path: Path) -> None:
    path, key = tmp_path / "record.json", tmp_path / "log.pub"
    key.write_text(vkey)

    def verified(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "audit", "verify", str(path), "--key", str(key), *arguments]
        return subprocess.run(command, capture_output=True, timeout=60)

    path.write_bytes(disclosed(filled).encoded())
    shown = verified()
    words = shown.stdout.decode()
    assert shown.returncode == 0
    for said in (
        "Запись есть в журнале",
        "300 (всего подписано: 600)",
        'app: "crm"',
        "attempt: 3",
        '"0102"',
        "ничто не доказывает",
    ):
        assert said in words
    assert "\x1b" not in words
    document = json.loads(verified("--json").stdout)
    assert (document["ok"], document["seq"], document["size"]) == (True, 300, 600)
    path.write_bytes(disclosed(filled, key=False).encoded())
    assert "Содержимое не раскрыто" in verified().stdout.decode()
    path.write_bytes(disclosed(filled).encoded().replace(b"index 300", b"index 299"))
    bad = verified()
    assert (bad.returncode, "НЕ ПРОШЛА" in bad.stdout.decode()) == (1, True)
    assert json.loads(verified("--json").stdout)["ok"] is False
    path.write_bytes(b"{}")
    assert verified().returncode == 2
