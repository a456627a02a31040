"""Verification by a stranger: whole logs pass, and everything that was done to one is found and named."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from audit import (
    MAX_BODY,
    AuditLog,
    Entry,
    ExportError,
    Finding,
    KeyFileError,
    LogDamagedError,
    LogFileError,
    LogSettings,
    Report,
    Signer,
    VerificationError,
    explain,
    export_bundle,
    verify_file,
)
from audit.__main__ import main
from audit.bundle import BUNDLE_MAGIC, Certified, Given, Kept, Piece, read_bundle, write_bundle
from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.keyfiles import load_signing_key, parse_signing_key
from audit.leaf import Record
from audit.merkle import Frontier, leaf_hash
from tests.audit.conftest import Fill, installed, numbered

ROOT = Path(__file__).parents[2]
Exported = tuple[LogSettings, Path, str]


def pieces_of(bundle: Path) -> tuple[str, list[Piece]]:
    with bundle.open("rb") as file:
        found = read_bundle(file)
        return found.head, list(found.pieces)


def rewritten(path: Path, head: str, pieces: list[Piece]) -> Path:
    with path.open("wb") as file:
        write_bundle(file, head, pieces, {})
    return path


def is_record(piece: Piece, *seqs: int) -> bool:
    return isinstance(piece, Given) and (not seqs or piece.record.seq in seqs)


def known_of(settings: LogSettings, pieces: list[Piece], size: int) -> str:
    """The checkpoint that who holds the keys of today can sign over the first records."""
    leaves = [piece.record.leaf_hash for piece in pieces if isinstance(piece, Given)]
    log = load_signing_key(settings.signing_key_file)
    (epoch,) = [Signer(*parse_signing_key(line, Path())) for line in settings.epoch_keys.read_bytes().splitlines()]
    text = Checkpoint(log.name, size, Frontier().extended(leaves[:size]).root()).text()
    return log.sign(text) + epoch.line(text)


@pytest.fixture(scope="session")
def one_run(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> Exported:
    """Twenty records of one run: the key of their epoch is still on the machine. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("one-run")
    settings = installed(folder)
    fill(settings, numbered(20))
    export_bundle(settings.path, folder / "bundle")
    return settings, folder / "bundle", settings.signing_key_file.with_suffix(".pub").read_text()


def test_a_whole_log_passes_as_bundle_and_as_database_alike(exported: Exported) -> None:
    settings, bundle, vkey = exported
    reports = [verify_file(path, vkey) for path in (bundle, settings.path)]
    assert [report.source for report in reports] == ["bundle", "database"]
    for report in reports:
        assert (report.ok, report.damage) == (True, ())
        assert (report.origin, report.size, report.records, report.epochs) == ("log.test/audit", 20, 20, 2)
        assert report.checkpoints >= 2
        assert 0 < report.first_us <= report.last_us
    assert reports[0].root == reports[1].root
    again = rewritten(bundle.with_name("again"), *pieces_of(bundle))
    assert again.read_bytes() == bundle.read_bytes()


async def test_an_empty_log_passes_and_a_running_one_too(settings: LogSettings, vkey: str, tmp_path: Path) -> None:
    async with AuditLog.open(settings) as log:
        assert verify_file(settings.path, vkey).ok
        assert export_bundle(settings.path, tmp_path / "empty") == 0
        for _ in range(3):
            await log.append(Entry(1, 1, b""))
        assert verify_file(settings.path, vkey).size == 3
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in tmp_path.glob("audit.db*"):
            shutil.copy(path, copy)
        assert verify_file(copy / "audit.db", vkey).size == 3
    report = verify_file(tmp_path / "empty", vkey)
    assert (report.ok, report.size, report.first_us) == (True, 0, None)
    assert "Журнал цел" in explain(report)


@pytest.mark.no_cover  # many thousand times the same lines
def test_every_flipped_bit_of_a_bundle_is_found(exported: Exported, tmp_path: Path) -> None:
    _, bundle, vkey = exported
    content = bytearray(bundle.read_bytes())
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    undetected = []
    with damaged.open("r+b", buffering=0) as file:
        for at, byte in enumerate(content):
            for bit in range(8):
                file.seek(at)
                file.write(bytes((byte ^ 1 << bit,)))
                if found_whole(damaged, vkey):
                    undetected.append((at, bit))
            file.seek(at)
            file.write(bytes((byte,)))
    assert undetected == []
    assert found_whole(damaged, vkey)


def found_whole(path: Path, vkey: str) -> bool:
    try:
        return verify_file(path, vkey).ok
    except LogFileError:  # the magic was hit
        return False


@pytest.mark.no_cover  # many thousand times the same lines
def test_every_truncation_and_any_addition_is_found(exported: Exported, tmp_path: Path) -> None:
    _, bundle, vkey = exported
    content = bundle.read_bytes()
    damaged = tmp_path / "damaged"
    for length in range(len(content)):
        damaged.write_bytes(content[:length])
        assert not found_whole(damaged, vkey), length
    damaged.write_bytes(content + b"\0")
    assert verify_file(damaged, vkey).damage[0].finding is Finding.FORMAT


def dropped(pieces: list[Piece], seq: int) -> list[Piece]:
    return [piece for piece in pieces if not is_record(piece, seq)]


def swapped(pieces: list[Piece], one: int, other: int) -> list[Piece]:
    at = {piece.record.seq: index for index, piece in enumerate(pieces) if isinstance(piece, Given)}
    changed = list(pieces)
    changed[at[one]], changed[at[other]] = pieces[at[other]], pieces[at[one]]
    return changed


def test_every_deletion_swap_and_duplicate_is_found_and_its_place_named(exported: Exported, tmp_path: Path) -> None:
    _, bundle, vkey = exported
    head, pieces = pieces_of(bundle)
    records = [piece for piece in pieces if isinstance(piece, Given)]
    for seq in range(20):
        (damage,) = verify_file(rewritten(tmp_path / "damaged", head, dropped(pieces, seq)), vkey).damage
        # Where a checkpoint or the end follows at once, the count is what is noticed first.
        assert (damage.finding, damage.seq) in {
            (Finding.ORDER, seq),
            (Finding.ORDER, None),
            (Finding.SIZE, None),
            (Finding.EPOCH, None),
        }
        assert damage.since <= seq
        for other in range(seq + 1, 20):
            report = verify_file(rewritten(tmp_path / "damaged", head, swapped(pieces, seq, other)), vkey)
            assert (report.damage[0].finding, report.damage[0].seq) == (Finding.ORDER, seq)
        at = pieces.index(records[seq])
        report = verify_file(rewritten(tmp_path / "damaged", head, [*pieces[:at], records[seq], *pieces[at:]]), vkey)
        assert not report.ok


def forged(record: Record, body: bytes) -> Record:
    """A record with another body, all its own hashes put right."""
    from hashlib import sha256

    header = record.header[:78] + sha256(body).digest() + record.header[110:]
    return Record(record.seq, header, leaf_hash(header), body, record.subjects)


def test_a_record_rewritten_with_its_hashes_is_bracketed_by_the_kept_checkpoints(
    exported: Exported, tmp_path: Path
) -> None:
    _, bundle, vkey = exported
    head, pieces = pieces_of(bundle)
    kept = [parse_checkpoint(piece.note.split("\n\n")[0] + "\n").size for piece in pieces if isinstance(piece, Kept)]
    for seq in range(20):
        changed = [Given(forged(piece.record, b"x" * 20)) if is_record(piece, seq) else piece for piece in pieces]
        (damage,) = verify_file(rewritten(tmp_path / "damaged", head, changed), vkey).damage
        assert damage.finding in {Finding.ROOT, Finding.EPOCH}  # a certificate says what the tree was, too
        assert damage.since == max((size for size in [*kept, 13] if size <= seq), default=0)


def test_several_damaged_records_are_all_named_but_not_without_end(exported: Exported, tmp_path: Path) -> None:
    _, bundle, vkey = exported
    head, pieces = pieces_of(bundle)

    def damaged(*seqs: int) -> Report:
        changed = [
            Given(msgspec.structs.replace(piece.record, body=b"?")) if is_record(piece, *seqs) else piece
            for piece in pieces
        ]
        return verify_file(rewritten(tmp_path / "damaged", head, changed), vkey)

    assert [damage.seq for damage in damaged(3, 4, 17).damage] == [3, 4, 17]
    assert "запись 17" in explain(damaged(3, 4, 17))
    everything = damaged(*range(20)).damage
    assert ([damage.seq for damage in everything[:20]], everything[20].seq) == (list(range(20)), None)


def test_a_ciphertext_that_is_no_longer_kept_is_told_and_no_damage(exported: Exported, tmp_path: Path) -> None:
    _, bundle, vkey = exported
    head, pieces = pieces_of(bundle)
    changed = [
        Given(msgspec.structs.replace(piece.record, body=None, subjects=None)) if is_record(piece, 5, 6) else piece
        for piece in pieces
    ]
    report = verify_file(rewritten(tmp_path / "damaged", head, changed), vkey)
    assert (report.ok, report.dropped, "dropped" in report.not_proven) == (True, 2, True)
    assert "содержимое не хранится: 2" in explain(report)


def test_a_log_cut_back_passes_alone_and_fails_against_a_known_checkpoint(one_run: Exported, tmp_path: Path) -> None:
    settings, bundle, vkey = one_run
    head, pieces = pieces_of(bundle)
    for size in range(20):
        left = [
            piece for piece in pieces if isinstance(piece, Certified) or is_record(piece, *range(size))
        ] if size else [pieces[0]]  # fmt: skip
        short = rewritten(tmp_path / "short", known_of(settings, pieces, size), left)
        assert "truncation" in verify_file(short, vkey).not_proven
        for known in range(21):
            report = verify_file(short, vkey, known_of(settings, pieces, known))
            assert report.ok == (known <= size), (size, known)
            assert "truncation" not in report.not_proven
    assert verify_file(bundle, vkey, head).known == 20


def test_a_history_rewritten_and_signed_again_fails_against_a_known_checkpoint(
    one_run: Exported, tmp_path: Path
) -> None:
    settings, bundle, vkey = one_run
    head, pieces = pieces_of(bundle)
    other = [
        Given(forged(piece.record, b"y" * 20)) if is_record(piece, 6) else piece
        for piece in pieces
        if not isinstance(piece, Kept)
    ]
    fork = rewritten(tmp_path / "fork", known_of(settings, other, 20), other)
    assert verify_file(fork, vkey).ok  # the owner of the key can do that: hence witnesses
    for known in range(1, 21):
        report = verify_file(fork, vkey, known_of(settings, pieces, known))
        assert report.ok == (known <= 6)
        assert report.ok or report.damage[0].finding is Finding.KNOWN
    assert not verify_file(fork, vkey, head.replace("20", "21", 1)).ok


def test_another_key_and_another_origin_prove_nothing(exported: Exported, tmp_path: Path) -> None:
    _, bundle, _ = exported
    head, pieces = pieces_of(bundle)
    for name in ("log.test/audit", "log.test/other"):
        stranger = Signer(name, bytes(32))
        report = verify_file(bundle, stranger.verifier.vkey)
        assert (report.ok, report.damage[0].finding, report.size) == (False, Finding.SIGNATURE, 0)
        own = stranger.sign(head.split("\n\n")[0] + "\n")
        resigned = rewritten(tmp_path / "resigned", own, [piece for piece in pieces if is_record(piece)])
        assert verify_file(resigned, stranger.verifier.vkey).ok == (name == "log.test/audit")


SECTION = struct.Struct(">4sQ")


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        SECTION.pack(b"RECS", 1 << 40),
        SECTION.pack(b"RECS", 0),
        SECTION.pack(b"RECS", 3) + b"abc",
        SECTION.pack(b"RECS", 178) + bytes(174) + b"\0\0\0\x09",
        SECTION.pack(b"NEWS", 0),
        SECTION.pack(b"DONE", 1) + b"x",
        SECTION.pack(b"NOTE", 2) + b"\xff\xfe",
        SECTION.pack(b"NOTE", 1 << 19) + bytes(1 << 19),
    ],
)
def test_a_bundle_out_of_form_is_damage(exported: Exported, tmp_path: Path, tail: bytes) -> None:
    _, bundle, vkey = exported
    head, _ = pieces_of(bundle)
    damaged = tmp_path / "damaged"
    opening = BUNDLE_MAGIC + SECTION.pack(b"HEAD", len(head.encode())) + head.encode()
    for content in (opening + tail, BUNDLE_MAGIC + tail):
        damaged.write_bytes(content)
        assert not verify_file(damaged, vkey).ok


def test_a_bundle_is_read_by_its_magic_only(exported: Exported, tmp_path: Path) -> None:
    with exported[0].path.open("rb") as file, pytest.raises(VerificationError):
        read_bundle(file)


def test_what_is_no_log_is_unreadable(exported: Exported, tmp_path: Path) -> None:
    _, bundle, vkey = exported
    for name, content in (("empty", b""), ("zip", b"PK\x03\x04"), ("text", b"SQLite format 4\0")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LogFileError):
            verify_file(tmp_path / name, vkey)
    with pytest.raises(LogFileError):
        verify_file(tmp_path / "absent", vkey)
    assert verify_file(tmp_path, vkey).damage[0].finding is Finding.FORMAT  # a folder, but of no export
    with pytest.raises(KeyFileError):
        verify_file(bundle, "nonsense")


# Databases


def copied(exported: Exported, folder: Path) -> Path:
    return Path(shutil.copy(exported[0].path, folder / "copy.db"))


@pytest.mark.parametrize(
    ("statement", "finding", "seq"),
    [
        ("DELETE FROM records WHERE seq = 5", Finding.ORDER, 5),
        ("DELETE FROM records WHERE seq = 19", Finding.SIZE, None),
        ("DELETE FROM records", Finding.ORDER, None),
        ("UPDATE records SET body = x'00' WHERE seq = 5", Finding.RECORD, 5),
        ("DELETE FROM signing_epochs", Finding.EPOCH, None),
        ("UPDATE signing_epochs SET since = 4 WHERE number = 1", Finding.EPOCH, None),
        ("UPDATE records SET leaf_hash = x'' WHERE seq = 5", Finding.RECORD, 5),
        ("UPDATE records SET header = (SELECT header FROM records WHERE seq = 6) WHERE seq = 5", Finding.RECORD, 5),
        (
            (
                "UPDATE records SET (header, leaf_hash, body, subjects) = "
                "(SELECT header, leaf_hash, body, subjects FROM records WHERE seq = 6) WHERE seq = 5"
            ),
            Finding.ORDER,
            5,
        ),
        (
            "INSERT INTO records SELECT 20, header, leaf_hash, body, subjects FROM records WHERE seq = 4",
            Finding.ORDER,
            20,
        ),
        (
            "INSERT INTO records SELECT -7, header, leaf_hash, body, subjects FROM records WHERE seq = 4",
            Finding.ORDER,
            0,
        ),
        ("UPDATE tree SET frontier = zeroblob(64)", Finding.STATE, None),
        ("UPDATE tree SET note = 'x'", Finding.SIGNATURE, None),
        ("DELETE FROM tree", Finding.STATE, None),
        ("UPDATE tree SET note = (SELECT min(note) FROM checkpoints WHERE size < 20)", Finding.SIZE, None),
        ("UPDATE checkpoints SET note = 'x'", Finding.SIGNATURE, None),
        ("UPDATE checkpoints SET size = size + 40", Finding.ORDER, None),
    ],
)
def test_a_changed_database_is_found_and_named(
    exported: Exported, tmp_path: Path, statement: str, finding: Finding, seq: int | None
) -> None:
    path = copied(exported, tmp_path)
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name DESC"
    ).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()
    report = verify_file(path, exported[2])
    assert (report.ok, report.damage[0].finding, report.damage[0].seq) == (False, finding, seq)


def test_a_database_of_another_make_is_unreadable(exported: Exported, tmp_path: Path) -> None:
    path = copied(exported, tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE VIEW more AS SELECT 1")
    connection.close()
    with pytest.raises(LogFileError):
        verify_file(path, exported[2])


DAMAGE: Callable[..., st.SearchStrategy[list[tuple[float, bytes]]]] = lambda: st.lists(  # noqa: E731  (a strategy with a name)
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4
)


def overwritten(content: bytes, changes: list[tuple[float, bytes]]) -> bytes:
    damaged = bytearray(content)
    for place, patch in changes:
        at = int(place * len(content))
        damaged[at : at + len(patch)] = patch[: len(content) - at]
    return bytes(damaged)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DAMAGE())
def test_a_bundle_with_any_bytes_changed_never_passes(
    exported: Exported, tmp_path: Path, changes: list[tuple[float, bytes]]
) -> None:
    content = exported[1].read_bytes()
    damaged = overwritten(content, changes)
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    assert found_whole(path, exported[2]) == (damaged == content)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DAMAGE())
def test_a_database_with_any_bytes_changed_gets_a_verdict_and_never_another_root(
    exported: Exported, tmp_path: Path, changes: list[tuple[float, bytes]]
) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(overwritten(exported[0].path.read_bytes(), changes))
    try:
        report = verify_file(path, exported[2])
    except LogFileError:
        return
    # Unused bytes of a page may change freely; whatever passes is the log that was signed.
    assert not report.ok or (report.size, report.root) == (20, verify_file(exported[1], exported[2]).root)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([b"", BUNDLE_MAGIC, b"SQLite format 3\0"]), st.binary(max_size=400))
@example(BUNDLE_MAGIC, b"")
def test_no_bytes_at_all_pass_for_a_log(exported: Exported, tmp_path: Path, magic: bytes, rest: bytes) -> None:
    path = tmp_path / "nonsense"
    path.write_bytes(magic + rest)
    assert not found_whole(path, exported[2])


# Export


def test_a_bundle_never_replaces_a_file_and_leaves_nothing_behind(exported: Exported, tmp_path: Path) -> None:
    settings, _, _ = exported
    out = tmp_path / "out"
    assert export_bundle(settings.path, out) == 20
    content = out.read_bytes()
    for target in (out, tmp_path / "absent" / "out"):
        with pytest.raises(ExportError):
            export_bundle(settings.path, target)
    with pytest.raises(LogFileError):
        export_bundle(tmp_path / "no-log", tmp_path / "other")
    assert out.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert out.stat().st_mode & 0o777 == 0o600


def test_damage_is_exported_for_the_verifier_to_name(exported: Exported, tmp_path: Path) -> None:
    path = copied(exported, tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE records SET body = x'00' WHERE seq = 9")
    connection.close()
    export_bundle(path, tmp_path / "bundle")
    assert verify_file(tmp_path / "bundle", exported[2]).damage[0].seq == 9


def test_a_log_without_its_tree_is_not_exported(exported: Exported, tmp_path: Path) -> None:
    path = copied(exported, tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM tree")
    connection.close()
    with pytest.raises(LogDamagedError):
        export_bundle(path, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_large_records_are_exported_in_several_sections(settings: LogSettings, vkey: str, fill, tmp_path: Path) -> None:
    fill(
        settings,
        [Entry(1, 1, bytes(MAX_BODY)), Entry(1, 1, bytes(600_000)), Entry(1, 1, bytes(600_000)), Entry(1, 1, b"")],
    )
    assert export_bundle(settings.path, tmp_path / "bundle") == 4
    assert (tmp_path / "bundle").read_bytes().count(b"RECS\0\0\0\0") >= 3
    assert verify_file(tmp_path / "bundle", vkey).ok


# The command line


def test_the_command_line_runs_alone_and_tells_a_person_what_it_found(exported: Exported, tmp_path: Path) -> None:
    settings, bundle, _ = exported
    public = settings.signing_key_file.with_suffix(".pub")
    watched = (
        "import sys; sys.argv[0] = 'audit'; import audit.__main__ as command; code = command.main(sys.argv[1:]);"
        "foreign = {name.split('.')[0] for name in sys.modules} & {'appliance', 'policies', 'providers', 'litestar', 'aiohttp'};"
        "sys.exit(99 if foreign else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", watched, "verify", bundle, "--key", public],
        capture_output=True,
        cwd=ROOT,
        env={"LC_ALL": "C"},
    )
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    for part in ("Журнал цел", "log.test/audit", "Записей:             20", "не доказывает", "внешнего свидетеля нет"):
        assert part in text


def run(capfdbinary: pytest.CaptureFixture[bytes], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    sys.stdout.flush()
    captured = capfdbinary.readouterr()
    return code, captured.out.decode(), captured.err.decode()


def test_exit_codes_tell_verified_damaged_and_unreadable_apart(exported: Exported, tmp_path: Path, capfdbinary) -> None:
    settings, bundle, _ = exported
    public = settings.signing_key_file.with_suffix(".pub")
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "damaged").write_bytes(content)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    head, _ = pieces_of(bundle)
    (tmp_path / "known").write_text(head)

    assert run(capfdbinary, "verify", bundle, "--key", public, "--known", tmp_path / "known")[0] == 0
    code, out, _ = run(capfdbinary, "verify", tmp_path / "damaged", "--key", public)
    assert (code, "НЕ ПРОШЁЛ" in out, "запис" in out) == (1, True, True)
    for arguments in (
        (tmp_path / "absent", "--key", public),
        (bundle, "--key", tmp_path / "absent"),
        (bundle, "--key", tmp_path / "binary"),
        (bundle, "--key", settings.signing_key_file),
        (bundle, "--key", public, "--known", tmp_path / "absent"),
    ):
        code, out, err = run(capfdbinary, "verify", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("проверить нельзя: ")


def test_json_tells_programs_the_same(exported: Exported, tmp_path: Path, capfdbinary) -> None:
    settings, bundle, vkey = exported
    public = settings.signing_key_file.with_suffix(".pub")
    code, out, _ = run(capfdbinary, "verify", bundle, "--key", public, "--json")
    assert code == 0
    assert msgspec.json.decode(out, type=Report) == verify_file(bundle, vkey)
    code, out, _ = run(capfdbinary, "verify", tmp_path / "absent", "--key", public, "--json")
    assert (code, msgspec.json.decode(out)["error"]) == (2, "LogFileError")


def test_times_no_calendar_has_are_still_told(exported: Exported) -> None:
    report = msgspec.structs.replace(verify_file(exported[1], exported[2]), first_us=0, last_us=(1 << 64) - 1)
    assert f"01.01.1970 00:00:00 — {(1 << 64) - 1} мкс" in explain(report)
