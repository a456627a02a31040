"""Signing epochs: every start and every day the key changes, the old one is gone, and who holds today's keys cannot sign the past."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from audit import AuditLog, AuditWriteError, Entry, Finding, KeyFileError, LogSettings, Signer, Verifier, verify_file
from audit.bundle import Certified, Given, Kept, Piece, read_bundle, write_bundle
from audit.checkpoint import COSIGNATURE, SIGNATURE, Checkpoint, VerifierKey
from audit.epochs import Certificate, EpochKeys, Reason, TrustRoot, sign_certificate
from audit.export import export_bundle
from audit.keyfiles import load_signing_key, parse_signing_key
from audit.merkle import Frontier
from audit.signing import Break
from audit.verify import Trust
from tests.audit.conftest import Fill, installed, numbered

DAY_US = 86_400_000_000
NOON_US = 1_790_000_000_000_000


def public(settings: LogSettings) -> str:
    return settings.signing_key_file.with_suffix(".pub").read_text()


def epoch_lines(settings: LogSettings) -> list[bytes]:
    return settings.epoch_keys.read_bytes().splitlines()


def test_the_first_start_pins_its_epoch_in_the_file_that_auditors_get(settings: LogSettings, fill: Fill) -> None:
    before = public(settings)
    fill(settings, numbered(3))
    root = TrustRoot.parse(public(settings))
    assert root.text().splitlines()[0] == before.strip()
    assert root.first is not None
    assert "first-epoch" not in verify_file(settings.path, public(settings)).not_proven
    assert "first-epoch" in verify_file(settings.path, before).not_proven
    pinned = public(settings)
    fill(settings, numbered(3))
    assert public(settings) == pinned
    assert settings.epoch_keys.stat().st_mode & 0o777 == 0o600


def test_every_start_hands_over_and_no_earlier_key_remains(settings: LogSettings, fill: Fill, tmp_path: Path) -> None:
    seen: list[bytes] = []
    for run in range(4):
        fill(settings, numbered(5))
        (line,) = epoch_lines(settings)
        assert line not in seen
        seen.append(line)
        report = verify_file(settings.path, public(settings))
        assert (report.ok, report.epochs, report.size) == (True, run + 1, 5 * run + 5)
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for line in seen[:-1]:
        assert line.split(b"+", 3)[3] not in everything


async def test_the_day_ends_the_epoch_and_the_sealing_key(settings: LogSettings) -> None:
    now = [NOON_US]
    async with AuditLog.open(settings, clock=lambda: now[0]) as log:
        for _ in range(3):
            for _ in range(4):
                await log.append(Entry(1, 1, b"x"))
            now[0] += DAY_US
        await log.append(Entry(1, 1, b"x"))
        assert await log.hand_over() == 4
        await log.append(Entry(1, 1, b"x"))
        assert (await log.read(0)).body == b"x"
    report = verify_file(settings.path, public(settings))
    assert (report.ok, report.epochs, report.sealing_keys, report.size) == (True, 5, 4, 14)


def forged(settings: LogSettings, pieces: list[Piece], change: int) -> tuple[str, list[Piece]]:
    """What the holder of every key that is left can make of a log when one record is to say something else."""
    from tests.audit.test_verification import forged as with_body

    log = load_signing_key(settings.signing_key_file)
    (epoch,) = [Signer(*parse_signing_key(line, Path())) for line in epoch_lines(settings)]
    made: list[Piece] = []
    tree = Frontier()
    note = ""
    for piece in pieces:
        match piece:
            case Given(record):
                changed = with_body(record, b"z" * 20) if record.seq == change else record
                made.append(Given(changed))
                tree = tree.extended([changed.leaf_hash])
            case Kept():
                pass
            case Certified(old):
                certificate = Certificate.parse(old, log.name)
                if tree.root() != certificate.root:
                    redone = Certificate(
                        log.name, certificate.number, tree.size, tree.root(), certificate.key, 1, certificate.reason
                    )
                    made.append(Certified(sign_certificate(log if certificate.number == 0 else epoch, redone)))
                else:
                    made.append(piece)
        text = Checkpoint(log.name, tree.size, tree.root()).text()
        note = log.sign(text) + epoch.line(text)
    return note, made


def test_who_holds_the_keys_of_today_rewrites_today_and_nothing_before(fill: Fill, tmp_path: Path) -> None:
    settings = installed(tmp_path)
    for _ in range(3):
        fill(settings, numbered(5))
    export_bundle(settings.path, tmp_path / "bundle")
    with (tmp_path / "bundle").open("rb") as file:
        pieces = list(read_bundle(file).pieces)
    verdicts = []
    for seq in range(15):
        head, changed = forged(settings, pieces, seq)
        with (tmp_path / "forged").open("wb") as file:
            write_bundle(file, head, changed, {})
        report = verify_file(tmp_path / "forged", public(settings))
        verdicts.append(report.ok)
        assert report.ok or report.damage[0].finding is Finding.EPOCH
        assert "epoch-tail" in report.not_proven
    assert verdicts == [False] * 10 + [True] * 5


def moved(pieces: list[Piece], certificates: list[Piece]) -> list[Piece]:
    """The pieces with other certificates in the places of theirs."""
    left = iter(certificates)
    return [next(left) if isinstance(piece, Certified) else piece for piece in pieces]


def altered(note: str, by: Signer, **changes: object) -> Certified:
    old = Certificate.parse(note, by.name)
    fields = {name: changes.get(name, getattr(old, name)) for name in old.__struct_fields__}
    return Certified(sign_certificate(by, Certificate(**fields)))


STRANGER = Signer("log.test/audit", b"s" * 32)


@pytest.mark.parametrize(
    "change",
    [
        lambda notes, log: [Certified(notes[1]), Certified(notes[0]), Certified(notes[2])],  # swapped
        lambda notes, log: [Certified(notes[0]), Certified(notes[2]), Certified(notes[1])],
        lambda notes, log: [Certified(notes[0]), Certified(notes[1]), Certified(notes[1])],  # repeated
        lambda notes, log: [Certified(notes[0]), Certified(notes[1]), altered(notes[2], log)],  # by the log key
        lambda notes, log: [Certified(notes[0]), Certified(notes[1]), altered(notes[2], STRANGER)],
        lambda notes, log: [
            altered(notes[0], log, key=STRANGER.verifier.key),
            Certified(notes[1]),
            Certified(notes[2]),
        ],
        lambda notes, log: [altered(notes[0], log, root=bytes(32)), Certified(notes[1]), Certified(notes[2])],
        lambda notes, log: [altered(notes[0], log, since=1), Certified(notes[1]), Certified(notes[2])],
        lambda notes, log: [altered(notes[0], log, number=1), Certified(notes[1]), Certified(notes[2])],
        lambda notes, log: [altered(notes[0], log, reason=Reason.NEXT), Certified(notes[1]), Certified(notes[2])],
        lambda notes, log: [
            Certified(notes[0]),
            Certified(notes[1]),
            altered(notes[2], log, reason=Reason.LOST_KEY, key=STRANGER.verifier.key),
        ],
    ],
)
def test_a_chain_that_is_not_the_logs_own_is_refused(
    fill: Fill, tmp_path: Path, change: Callable[[list[str], Signer], list[Piece]]
) -> None:
    settings = installed(tmp_path)
    for _ in range(3):
        fill(settings, numbered(4))
    export_bundle(settings.path, tmp_path / "bundle")
    with (tmp_path / "bundle").open("rb") as file:
        bundle = read_bundle(file)
        head, pieces = bundle.head, list(bundle.pieces)
    notes = [piece.note for piece in pieces if isinstance(piece, Certified)]
    made = moved(pieces, change(notes, load_signing_key(settings.signing_key_file)))
    with (tmp_path / "changed").open("wb") as file:
        write_bundle(file, head, made, {})
    report = verify_file(tmp_path / "changed", public(settings))
    assert not report.ok
    assert report.damage[0].finding in {Finding.EPOCH, Finding.BREAK}
    for number in range(3):  # nor without any one of them, nor without all
        left = [piece for piece in pieces if not isinstance(piece, Certified) or piece.note != notes[number]]
        with (tmp_path / "changed").open("wb") as file:
            write_bundle(file, head, left, {})
        assert verify_file(tmp_path / "changed", public(settings)).damage[0].finding is Finding.EPOCH
    with (tmp_path / "changed").open("wb") as file:
        write_bundle(file, head, [piece for piece in pieces if not isinstance(piece, Certified)], {})
    assert verify_file(tmp_path / "changed", public(settings)).damage[0].finding is Finding.EPOCH


def test_a_lost_key_stops_the_start_and_a_ceremony_leaves_a_break_to_see(settings: LogSettings, fill: Fill) -> None:
    fill(settings, numbered(4))
    settings.epoch_keys.unlink()
    with pytest.raises(KeyFileError, match="--lost-epoch-key"):
        fill(settings, [])
    settings.epoch_keys.write_text("nonsense")
    settings.epoch_keys.chmod(0o600)
    with pytest.raises(KeyFileError):
        fill(settings, [])
    settings.epoch_keys.unlink()

    async def ceremony() -> None:
        async with AuditLog.open(settings, breaking=Break(Reason.LOST_KEY)) as log:
            await log.append(Entry(1, 1, b"after"))

    asyncio.run(ceremony())
    fill(settings, numbered(2))
    damage = verify_file(settings.path, public(settings)).damage
    assert [(each.finding, "--accept-break 1" in each.message) for each in damage] == [(Finding.BREAK, True)]
    report = verify_file(settings.path, Trust(public(settings), breaks=(1,)))
    assert (report.ok, report.breaks, "break" in report.not_proven) == (True, (1,), True)
    assert not verify_file(settings.path, Trust(public(settings), breaks=(2,))).ok


def test_a_hand_over_interrupted_anywhere_leaves_a_log_that_starts(
    settings: LogSettings, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(settings, numbered(4))

    def stop(*_: object) -> None:
        raise KeyFileError("stopped")

    for name in ("settle", "stage"):
        with monkeypatch.context() as patched:
            patched.setattr(EpochKeys, name, stop)
            with pytest.raises(KeyFileError):
                fill(settings, [])
        fill(settings, numbered(1))
        assert len(epoch_lines(settings)) == 1
        assert verify_file(settings.path, public(settings)).ok


async def test_a_hand_over_that_fails_in_the_night_does_not_stop_the_log(
    settings: LogSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [NOON_US]

    def full(*_: object) -> Signer:
        raise KeyFileError("no space")

    async with AuditLog.open(settings, clock=lambda: now[0]) as log:
        await log.append(Entry(1, 1, b"x"))
        now[0] += DAY_US
        with monkeypatch.context() as patched:
            patched.setattr(EpochKeys, "stage", full)
            await log.append(Entry(1, 1, b"x"))
            assert log.hand_over_failure == "no space"
        now[0] += DAY_US // 24
        await log.append(Entry(1, 1, b"x"))
        assert log.hand_over_failure is None
    report = verify_file(settings.path, public(settings))
    assert (report.ok, report.epochs) == (True, 2)


def test_a_log_begun_without_epochs_gets_its_first_at_the_next_start(settings: LogSettings, fill: Fill) -> None:
    fill(settings, numbered(6))
    log_key, _ = public(settings).splitlines()
    with closing(sqlite3.connect(settings.path)) as connection:
        connection.execute("DROP TABLE signing_epochs")
        connection.execute("DROP TABLE sealing_keys")
        connection.execute("PRAGMA user_version = 2")
    settings.epoch_keys.unlink()
    settings.signing_key_file.with_suffix(".pub").write_text(log_key + "\n")
    assert verify_file(settings.path, log_key).ok
    fill(settings, numbered(3))
    report = verify_file(settings.path, public(settings))
    assert (report.ok, report.epochs, report.size) == (True, 1, 9)
    assert "first-epoch" not in report.not_proven


def test_a_database_put_back_alone_does_not_start(settings: LogSettings, fill: Fill, tmp_path: Path) -> None:
    fill(settings, numbered(4))
    shutil.copy(settings.path, tmp_path / "earlier")
    fill(settings, numbered(4))
    shutil.copy(tmp_path / "earlier", settings.path)
    with pytest.raises(KeyFileError):
        fill(settings, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x\n",
        f"{STRANGER.verifier.vkey}\n{STRANGER.verifier.vkey}\n",
        f"{STRANGER.verifier.vkey}\n{Signer('other', b'o' * 32).verifier.vkey}\n",
        f"{STRANGER.verifier.vkey}\n" * 3,
        f"{STRANGER.verifier.vkey}\n{VerifierKey('log.test/audit', COSIGNATURE, bytes(32)).vkey}\n",
    ],
)
def test_a_trust_root_that_is_none_is_refused(exported: tuple[LogSettings, Path, str], text: str) -> None:
    with pytest.raises(KeyFileError):
        verify_file(exported[1], text)


def test_one_key_file_serves_where_one_line_is_asked_for(settings: LogSettings, fill: Fill) -> None:
    fill(settings, numbered(1))
    assert Verifier.parse(public(settings)).key == VerifierKey.parse(public(settings).splitlines()[0], SIGNATURE)


async def test_a_disk_that_fails_during_the_hand_over_blocks_the_log(settings: LogSettings) -> None:
    now = [NOON_US]
    async with AuditLog.open(settings, clock=lambda: now[0]) as log:
        await log.append(Entry(1, 1, b"x"))
        now[0] += DAY_US
        settings.path.rename(settings.path.with_suffix(".moved"))
        with pytest.raises(AuditWriteError):
            await log.append(Entry(1, 1, b"x"))
        assert log.blocked == "moved"
