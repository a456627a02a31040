"""Who holds the database and every key of today: what they try, and what each check says. What stays "ok" here is what no such check can see."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import Struct

from audit import (
    AuditLog,
    AuditReader,
    Break,
    Entry,
    KeyFileError,
    LogSettings,
    Reason,
    Trust,
    Witness,
    Witnesser,
    WitnessVerifier,
    create_kek,
    export_bundle,
    load_signing_key,
    verify_file,
)
from audit.bundle import Given, Kept, Piece, read_bundle, write_bundle
from tests.audit.conftest import Fill, installed, numbered
from tests.audit.test_signing_epochs import forged

WITNESS = Witnesser("witness.test/w", b"w" * 32)
NOW = 1_790_000_000
DAY_US = 86_400_000_000


class Crime(Struct):
    """A log of three epochs (5, 5 and 6 records), what an auditor kept of it, and the place where the criminal leaves a bundle."""

    settings: LogSettings
    known: str  # a checkpoint of the second epoch, over 8 records
    witnessed: str  # one that a witness cosigned, over 13
    out: Path

    def pieces(self) -> list[Piece]:
        whole = self.out.with_name("whole")
        if not whole.exists():
            export_bundle(self.settings.path, whole)
        with whole.open("rb") as file:
            return list(read_bundle(file).pieces)

    def leave(self, head: str, pieces: list[Piece]) -> Path:
        with self.out.open("wb") as file:
            write_bundle(file, head, pieces, {})
        return self.out


@pytest.fixture(scope="module")
def crime(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> Crime:
    folder = tmp_path_factory.mktemp("crime")
    settings = installed(folder)
    fill(settings, numbered(5))
    notes: dict[int, str] = {}

    async def run(count: int) -> None:
        async with AuditLog.open(settings) as log:
            for entry in numbered(count):
                await log.append(entry)
                notes[log.size] = log.checkpoint()
                if log.size == 13:
                    verifier = load_signing_key(settings.signing_key_file).verifier
                    witness = Witness(WITNESS, [verifier], folder / "witness", lambda: NOW)
                    asked = await log.submission(0)
                    lines = witness.add_checkpoint(asked.body())
                    await log.keep_cosigned(WitnessVerifier(WITNESS.key), asked.note, lines)

    asyncio.run(run(5))
    asyncio.run(run(6))
    return Crime(settings, notes[8], notes[13], folder / "left")


def rewritten(seq: int) -> Callable[[Crime], Path]:
    return lambda crime: crime.leave(*forged(crime.settings, crime.pieces(), seq))


def cut(size: int) -> Callable[[Crime], Path]:
    def act(crime: Crime) -> Path:
        left = [piece for piece in crime.pieces() if not isinstance(piece, Given) or piece.record.seq < size]
        return crime.leave(*forged(crime.settings, [each for each in left if not isinstance(each, Kept)], -1))

    return act


def hidden(crime: Crime) -> Path:
    """The rows that lead to a person are deleted."""
    copy = crime.out.with_name("hidden.db")
    with closing(sqlite3.connect(crime.settings.path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("DELETE FROM subject_index")
        target.execute("DELETE FROM subject_slots")
        target.commit()
    with AuditReader.open(copy, crime.settings.kek_file, crime.settings.subject_keys) as reader:
        assert reader.of_subject(bytes(16)) == []
        assert set(reader.entry(0).subjects) == {None}  # the record still says that it has one
    return copy


def swapped(crime: Crime) -> Path:
    """The wrapped keys are exchanged for ones of another key-encryption key."""
    copy = crime.out.with_name("swapped.db")
    other = crime.out.with_name("other.kek")
    create_kek(other)
    with closing(sqlite3.connect(crime.settings.path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("UPDATE keys SET wrapped = zeroblob(60)")
        target.commit()
    with (
        AuditReader.open(copy, crime.settings.kek_file, crime.settings.subject_keys) as reader,
        pytest.raises(KeyFileError),
    ):
        reader.entry(0)
    return copy


OK = "ok"


@pytest.mark.parametrize(
    ("act", "alone", "with_known", "with_witnessed", "witnessed"),
    [
        # what is done                    verdict alone, with an old checkpoint, with the witnessed one, entries witnessed
        pytest.param(lambda crime: crime.settings.path, OK, OK, OK, 13, id="nothing"),
        pytest.param(rewritten(3), "epoch", "epoch", "epoch", 0, id="a record of the first epoch rewritten"),
        pytest.param(rewritten(8), "epoch", "epoch", "epoch", 0, id="a record of the second epoch rewritten"),
        pytest.param(rewritten(11), OK, OK, "known", 0, id="a record of today rewritten, before the witness looked"),
        pytest.param(rewritten(14), OK, OK, OK, 0, id="a record of today rewritten, after the witness looked"),
        pytest.param(cut(7), "epoch", "epoch", "epoch", 0, id="cut back into an epoch that is over"),
        pytest.param(cut(12), OK, OK, "known", 0, id="cut back to before the witness looked"),
        pytest.param(cut(14), OK, OK, OK, 0, id="cut back to after the witness looked"),
        pytest.param(hidden, OK, OK, OK, 13, id="a person hidden from the index"),
        pytest.param(swapped, OK, OK, OK, 13, id="wrapped keys exchanged"),
    ],
)
def test_what_each_check_says_of_each_crime(
    crime: Crime,
    act: Callable[[Crime], Path],
    alone: str,
    with_known: str,
    with_witnessed: str,
    witnessed: int,
) -> None:
    left = act(crime)
    root = crime.settings.signing_key_file.with_suffix(".pub").read_text()
    verdicts = []
    for known in (None, crime.known, crime.witnessed):
        report = verify_file(left, Trust(root, known, (WITNESS.key.vkey,)))
        verdicts.append(OK if report.ok else str(report.damage[0].finding))
        if report.ok:
            # INVARIANT: what cannot be seen is said to be unproven.
            assert report.witnessed == witnessed
            assert {"epoch-tail", "clock"} <= set(report.not_proven)
            assert ("witness" in report.not_proven) == (witnessed == 0)
    assert verdicts == [alone, with_known, with_witnessed]


def test_a_past_signed_again_by_a_break_is_seen_by_everybody(fill: Fill, tmp_path: Path) -> None:
    """The log key alone begins a new epoch in an early copy: that verifies only for who accepts the break by its number."""
    settings = installed(tmp_path)
    fill(settings, numbered(5))
    early = tmp_path / "early.db"
    with closing(sqlite3.connect(settings.path)) as source, closing(sqlite3.connect(early)) as target:
        source.backup(target)
    fill(settings, numbered(5))
    early.chmod(0o600)
    early.replace(settings.path)

    async def resign() -> None:
        async with AuditLog.open(settings, breaking=Break(Reason.LOST_KEY)) as log:
            await log.append(Entry(1, 1, b"another past"))

    asyncio.run(resign())
    root = settings.signing_key_file.with_suffix(".pub").read_text()
    assert [each.finding for each in verify_file(settings.path, root).damage] == ["break"]
    assert "break" in verify_file(settings.path, Trust(root, breaks=(1,))).not_proven


async def test_a_clock_set_back_changes_no_order(settings: LogSettings) -> None:
    now = [10 * DAY_US]
    async with AuditLog.open(settings, clock=lambda: now[0]) as log:
        await log.append(Entry(1, 1, b"today"))
        now[0] = DAY_US
        await log.append(Entry(1, 1, b"yesterday, it says"))
        assert [(await log.read(seq)).body for seq in (0, 1)] == [b"today", b"yesterday, it says"]
    report = verify_file(settings.path, settings.signing_key_file.with_suffix(".pub").read_text())
    assert (report.ok, "clock" in report.not_proven, report.first_us) == (True, True, DAY_US)
