"""Witnesses: what one cosigns and what it never does, what the log keeps of it, and what an auditor can then rely on."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from audit import (
    AuditLog,
    AuditReader,
    Checkpoint,
    Entry,
    KeyFileError,
    LogFileError,
    LogSettings,
    Signer,
    Submission,
    VerificationError,
    Verifier,
    Witness,
    Witnesser,
    WitnessRefusal,
    WitnessVerifier,
    create_witness_key,
    export_bundle,
    load_signing_key,
    load_witness_key,
    verify_file,
)
from audit.merkle import consistency_proof, leaf_hash, tree_root

NOW = 1_790_000_000
LEAVES = [leaf_hash(b"%d" % number) for number in range(40)]
LOG = Signer("log.test/audit", b"l" * 32)
KEY = Witnesser("witness.test/w1", b"w" * 32)
TRUSTED = WitnessVerifier(KEY.key)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(KEY, [LOG.verifier], tmp_path / "witness", lambda: NOW)


def asking(old: int, new: int, *, leaves: list[bytes] = LEAVES, signer: Signer = LOG) -> str:
    proof = consistency_proof(leaves[:new], old) if 0 < old < new else ()
    return Submission(old, proof, signer.sign_checkpoint(new, tree_root(leaves[:new]))).body()


def refusal(witness: Witness, body: str) -> tuple[int, int | None]:
    with pytest.raises(WitnessRefusal) as caught:
        witness.add_checkpoint(body)
    return caught.value.status, caught.value.size


def test_a_log_that_grows_is_cosigned_and_the_cosignature_holds(witness: Witness) -> None:
    for old, new in ((0, 3), (3, 3), (3, 17), (17, 40)):
        body = asking(old, new)
        note = body.partition("\n\n")[2]
        lines = witness.add_checkpoint(body)
        assert TRUSTED.seen(note + lines) == NOW
        assert LOG.verifier.open_checkpoint(note + lines).size == new
        assert (witness.seen(LOG.name) or (0, ""))[0] == new


def test_the_signature_is_over_what_c2sp_says() -> None:
    text = Checkpoint("log.test/audit", 1, bytes(32)).text()
    blob = base64.b64decode(KEY.cosign(text, NOW).split(" ")[2])
    assert blob[:4] == KEY.key.key_id
    assert int.from_bytes(blob[4:12]) == NOW
    assert KEY.key.vkey.split("+", 2)[:2] == ["witness.test/w1", KEY.key.key_id.hex()]
    assert base64.b64decode(KEY.key.vkey.split("+", 2)[2])[:1] == b"\x04"
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    Ed25519PublicKey.from_public_bytes(KEY.key.public).verify(blob[12:], f"cosignature/v1\ntime {NOW}\n{text}".encode())


def test_the_published_cosignature_is_read() -> None:
    """The example of c2sp.org/tlog-cosignature: its form; the key behind it is not published there."""
    line = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    blob = base64.b64decode(line.split(" ")[2])
    assert (len(blob), int.from_bytes(blob[4:12])) == (76, 1_679_315_147)


@pytest.mark.parametrize(
    ("body", "status", "size"),
    [
        (asking(0, 20), 409, 10),
        (asking(9, 20), 409, 10),
        (asking(20, 30), 409, 10),
        (asking(10, 9), 400, None),
        (asking(10, 20, leaves=LEAVES[::-1]), 422, None),
        (asking(10, 20).replace("\n", "\n" + base64.b64encode(bytes(32)).decode() + "\n", 1), 422, None),
        (asking(10, 10, leaves=LEAVES[::-1]), 409, 10),
        (asking(10, 10).replace("\n", "\n" + base64.b64encode(bytes(32)).decode() + "\n", 1), 422, None),
        (asking(0, 20, signer=Signer("other.test/audit", b"l" * 32)), 404, None),
        (asking(0, 20, signer=Signer("log.test/audit", b"x" * 32)), 403, None),
        ("", 400, None),
        ("old 10\n", 400, None),
        (asking(10, 20).replace("old 10", "old 010"), 400, None),
        (asking(10, 20).replace("old 10", "old -1"), 400, None),
        (asking(10, 20).replace("old 10", "old"), 400, None),
        (asking(10, 20).replace("old 10\n", "old 10\nAAAA\n"), 400, None),
        (
            asking(10, 20).replace("old 10\n", "old 10\n" + (base64.b64encode(bytes(32)).decode() + "\n") * 64),
            400,
            None,
        ),
        (asking(10, 20).replace("log.test/audit\n20\n", "log.test/audit\n020\n"), 400, None),
        (asking(10, 20) + "x" * 200_000, 400, None),
    ],
)
def test_what_does_not_continue_what_was_seen_is_refused_and_changes_nothing(
    witness: Witness, body: str, status: int, size: int | None
) -> None:
    witness.add_checkpoint(asking(0, 10))
    before = witness.seen(LOG.name)
    assert refusal(witness, body) == (status, size)
    assert witness.seen(LOG.name) == before
    witness.add_checkpoint(asking(10, 20))


def test_of_many_at_once_exactly_one_history_is_cosigned(witness: Witness) -> None:
    forks = [[*LEAVES[:5], *(leaf_hash(b"%d.%d" % (fork, number)) for number in range(10))] for fork in range(8)]
    witness.add_checkpoint(asking(0, 5))
    cosigned: list[int] = []

    def submit(fork: int) -> None:
        try:
            witness.add_checkpoint(asking(5, 15, leaves=forks[fork]))
        except WitnessRefusal:
            return
        cosigned.append(fork)

    threads = [threading.Thread(target=submit, args=(fork,)) for fork in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cosigned) == 1


def test_what_was_seen_outlives_a_restart_and_a_spoiled_memory_is_not_begun_anew(
    witness: Witness, tmp_path: Path
) -> None:
    witness.add_checkpoint(asking(0, 10))
    again = Witness(KEY, [LOG.verifier], tmp_path / "witness", lambda: NOW)
    assert refusal(again, asking(0, 3)) == (409, 10)
    (path,) = (tmp_path / "witness").glob("*.json")
    for content in (b"", b"{}", path.read_bytes().replace(b"log.test", b"log.best")):
        path.write_bytes(content)
        with pytest.raises(LogFileError, match="верните"):
            again.add_checkpoint(asking(10, 20))


def test_keys_of_logs_and_of_witnesses_are_not_exchanged(tmp_path: Path) -> None:
    path = tmp_path / "witness.key"
    create_witness_key(path, "witness.test/w1")
    loaded = load_witness_key(path)
    assert WitnessVerifier.parse((tmp_path / "witness.pub").read_text()).key == loaded.key
    with pytest.raises(KeyFileError):
        load_signing_key(path)
    with pytest.raises(KeyFileError):
        Verifier.parse((tmp_path / "witness.pub").read_text())
    with pytest.raises(KeyFileError):
        WitnessVerifier.parse(LOG.verifier.vkey)
    with pytest.raises(KeyFileError):
        create_witness_key(path, "witness.test/w1")


def test_a_cosignature_that_does_not_hold_is_damage(witness: Witness) -> None:
    body = asking(0, 10)
    note, lines = body.partition("\n\n")[2], witness.add_checkpoint(body)
    other = LOG.sign_checkpoint(10, bytes(32))
    for forged in (other + lines, note + KEY.cosign(other.partition("\n\n")[0] + "\n", NOW)):
        with pytest.raises(VerificationError):
            TRUSTED.seen(forged)
    assert TRUSTED.seen(note) is None
    stranger = Witnesser("witness.test/w1", b"s" * 32)
    assert TRUSTED.seen(note + stranger.cosign("x\n", NOW)) is None  # another key of the same name is somebody else


async def test_a_log_keeps_cosignatures_and_its_bundle_carries_them(
    settings: LogSettings, vkey: str, tmp_path: Path
) -> None:
    second = Witnesser("witness.test/w2", b"2" * 32)
    log_key = Verifier.parse(vkey)
    witnesses = [Witness(key, [log_key], tmp_path / key.key.name[-2:], lambda: NOW) for key in (KEY, second)]
    trusted = [WitnessVerifier(KEY.key), WitnessVerifier(second.key)]
    async with AuditLog.open(settings) as log:
        for number in range(30):
            await log.append(Entry(1, 1, b"%d" % number))
            if number not in {9, 19}:
                continue
            for place in (0, 1) if number == 9 else (0,):
                seen = witnesses[place].seen(log_key.name)
                asked = await log.submission(0 if seen is None else seen[0])
                lines = witnesses[place].add_checkpoint(asked.body())
                assert await log.keep_cosigned(trusted[place], asked.note, lines) == NOW
        assert await log.witnessed() == {"witness.test/w1": (20, NOW), "witness.test/w2": (10, NOW)}
        asked = await log.submission(20)
        with pytest.raises(VerificationError):
            await log.keep_cosigned(trusted[0], asked.note, KEY.cosign("other\n", NOW))
        with pytest.raises(VerificationError):
            await log.keep_cosigned(trusted[0], asked.note, "— somebody AAAAAAAA\n")
        with pytest.raises(IndexError):
            await log.submission(31)
        assert (await log.append(Entry(1, 1, b"x"))).seq == 30
    export_bundle(settings.path, tmp_path / "bundle")
    keys = [key.key.vkey for key in (KEY, second)]
    for path in (settings.path, tmp_path / "bundle"):
        one, two, none = (
            verify_file(path, vkey, None, keys, 1),
            verify_file(path, vkey, None, keys, 2),
            verify_file(path, vkey),
        )
        assert (one.ok, one.witnessed, two.witnessed, none.witnessed) == (True, 20, 10, 0)
        assert [(each.witness, each.size) for each in one.witnesses] == [
            ("witness.test/w1", 20),
            ("witness.test/w2", 10),
        ]
        assert ("witness" in one.not_proven, "unwitnessed-tail" in one.not_proven) == (False, True)
        assert ("witness" in none.not_proven, "unwitnessed-tail" in none.not_proven) == (True, False)


async def test_a_history_rewritten_by_its_owner_cannot_be_cosigned(
    settings: LogSettings, vkey: str, tmp_path: Path
) -> None:
    """Who holds database and keys puts back an earlier copy and goes on from there: every record verifies, the witness does not follow."""
    witness = Witness(KEY, [Verifier.parse(vkey)], tmp_path / "witness", lambda: NOW)
    async with AuditLog.open(settings) as log:
        for number in range(5):
            await log.append(Entry(1, 1, b"%d" % number))
    shutil.copy(settings.path, tmp_path / "earlier")
    shutil.copy(settings.epoch_keys, tmp_path / "earlier.key")  # a snapshot of the whole machine holds that key too
    async with AuditLog.open(settings) as log:
        for number in range(5):
            await log.append(Entry(1, 1, b"%d" % number))
        witness.add_checkpoint((await log.submission(0)).body())
    shutil.copy(tmp_path / "earlier", settings.path)
    shutil.copy(tmp_path / "earlier.key", settings.epoch_keys)
    async with AuditLog.open(settings) as log:
        for number in range(20):
            await log.append(Entry(1, 1, b"other %d" % number))
        with pytest.raises(WitnessRefusal) as caught:
            witness.add_checkpoint((await log.submission(10)).body())
    assert caught.value.status == 422
    assert verify_file(settings.path, vkey).ok
    kept = (witness.seen("log.test/audit") or (0, ""))[1]
    assert not verify_file(settings.path, vkey, kept).ok


def test_the_command_line_names_witnesses_and_what_they_leave_open(exported, tmp_path: Path) -> None:
    settings, _, vkey = exported
    copy = tmp_path / "copy.db"
    shutil.copy(settings.path, copy)
    with AuditReader.open(copy, settings.kek_file) as reader:
        note = reader.checkpoint()
    import sqlite3

    with sqlite3.connect(copy) as connection:
        text = note.partition("\n\n")[0] + "\n"
        connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (20, ?)", (note + KEY.cosign(text, NOW),))
    connection.close()
    for name, content in (("log.pub", vkey), ("w.pub", KEY.key.vkey)):
        (tmp_path / name).write_text(content)
    command = [
        sys.executable,
        "-m",
        "audit",
        "verify",
        copy,
        "--key",
        tmp_path / "log.pub",
        "--witness",
        tmp_path / "w.pub",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0
    assert "Свидетель witness.test/w1: видел 20 записей" in shown.stdout
    assert "Засвидетельствовано записей: 20 из 20" in shown.stdout
    assert "внешнего свидетеля нет" not in shown.stdout
    document = json.loads(subprocess.run([*command, "--json"], capture_output=True, timeout=60).stdout)
    assert (document["witnessed"], document["witnesses"][0]["time"]) == (20, NOW)
