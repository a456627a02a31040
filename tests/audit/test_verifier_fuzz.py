"""Both verifiers against files that were damaged at random: a verdict always, "ok" never for what is not the log, and the same from both.

What is damaged are bytes, whatever the format says they mean. `python -m audit` and the verifier without libraries are called as a person
calls them, in this process; their exit codes and documents are what is judged.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from audit import (
    AuditReader,
    LogSettings,
    Selection,
    TrustRoot,
    VerificationError,
    Verifier,
    Witnesser,
    WitnessVerifier,
    export_bundle,
    export_folder,
    stdlib_verifier,
)
from audit.__main__ import main as audit_main
from audit.checkpoint import split_note
from tests.audit.conftest import Fill, installed, numbered

Main = Callable[[Sequence[str]], int]
FUZZ = hypothesis_settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
VERIFIED, DAMAGED, UNREADABLE = 0, 1, 2
OWN_ERRORS = {"KeyFileError", "LogFileError", "LogDamagedError", "UnusableError"}


class Made(msgspec.Struct):
    """A log of three epochs, and everything that is made of it for strangers. Not to be changed by a test."""

    settings: LogSettings
    public: Path
    whole: Path
    some: Path  # every third record, opened
    record: Path
    folder: Path
    stranger: Path  # the whole of another log


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> Made:
    base = tmp_path_factory.mktemp("fuzz")
    settings = installed(base)
    for count in (9, 8, 7):
        fill(settings, numbered(count))
    public = settings.signing_key_file.with_suffix(".pub")
    root = TrustRoot.parse(public.read_text())
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        disclosed = reader.disclose(11, Verifier.parse(public.read_text()), key=True, labels=("name",))
        opening = Selection(tuple(range(0, 24, 3)), reader.keys(), {1: ("name",)})
        export_bundle(settings.path, base / "some", opening)
    (base / "record.json").write_bytes(disclosed.encoded())
    export_bundle(settings.path, base / "whole")
    export_folder(settings.path, base / "folder", root)
    other = installed(tmp_path_factory.mktemp("other"))
    fill(other, numbered(24))
    export_bundle(other.path, base / "stranger")
    return Made(
        settings, public, base / "whole", base / "some", base / "record.json", base / "folder", base / "stranger"
    )


def called(main: Main, *arguments: object) -> tuple[int, dict[str, object]]:
    """Exit code and document of a verifier. Whatever is printed must be one JSON document, the code one of three."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*map(str, arguments), "--json"])
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    document = msgspec.json.decode(out.buffer.getvalue(), type=dict[str, object])
    assert code in {VERIFIED, DAMAGED, UNREADABLE}
    assert document["ok"] is (code == VERIFIED)
    assert code != UNREADABLE or document["error"] in OWN_ERRORS, document  # no fault of the program called unreadable
    return code, document


def ours(*arguments: object) -> tuple[int, dict[str, object]]:
    return called(audit_main, "verify", *arguments)


def alone(*arguments: object) -> tuple[int, dict[str, object]]:
    return called(stdlib_verifier.main, *arguments)


BOUNDS = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
    1 << 62,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
]


@st.composite
def damages(draw: st.DrawFn, content: bytes, other: bytes = b"") -> bytes:
    """The content with one to four things done to its bytes."""
    out = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(out) - 1)))
        stop = min(len(out), at + draw(st.one_of(st.integers(0, 40), st.integers(0, len(out)))))
        match draw(
            st.sampled_from(["flip", "write", "cut", "repeat", "move", "end", "zero", "number", "splice", "insert"])
        ):
            case "flip" if out:
                out[at] ^= 1 << draw(st.integers(0, 7))
            case "write":
                patch = draw(st.binary(min_size=1, max_size=24))
                out[at : at + len(patch)] = patch
            case "cut":
                del out[at:stop]
            case "repeat":
                out[stop:stop] = out[at:stop]
            case "move":
                part = bytes(out[at:stop])
                del out[at:stop]
                place = draw(st.integers(0, len(out)))
                out[place:place] = part
            case "end":
                del out[at:]
            case "zero":
                out[at:stop] = bytes(stop - at)
            case "number":
                width = draw(st.sampled_from([1, 4, 8]))
                number = draw(st.sampled_from(BOUNDS)) % (1 << 8 * width)
                out[at : at + width] = number.to_bytes(width)
            case "splice":
                out[at:stop] = other[at:stop]
            case "insert":
                out[at:at] = draw(st.binary(min_size=1, max_size=60))
            case _:
                pass
    return bytes(out)


def test_undamaged_both_say_ok(made: Made) -> None:
    for path in (made.whole, made.some, made.record, made.folder):
        for verifier in (ours, alone):
            code, document = verifier(path, "--key", made.public)
            assert (code, document["ok"]) == (VERIFIED, True), (path.name, document)


@FUZZ
@given(st.data())
def test_a_damaged_bundle_never_passes(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    content = made.whole.read_bytes()
    damaged = data.draw(damages(content, made.stranger.read_bytes()))
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    codes = [verifier(path, "--key", made.public)[0] for verifier in (ours, alone)]
    assert [code == VERIFIED for code in codes] == [damaged == content] * 2


@FUZZ
@given(st.data())
def test_a_damaged_selection_passes_only_for_the_same_log(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    """Names of fields and keys that open are not proved by anything: what they say may change, never what the log is."""
    content = made.some.read_bytes()
    path = tmp_path / "damaged"
    path.write_bytes(data.draw(damages(content, made.whole.read_bytes())))
    _, whole = ours(made.whole, "--key", made.public)
    answers = [verifier(path, "--key", made.public) for verifier in (ours, alone)]
    assert (answers[0][0] == VERIFIED) == (answers[1][0] == VERIFIED), answers
    for code, document in answers:
        assert code != VERIFIED or (document["size"], document["root"]) == (whole["size"], whole["root"])


@FUZZ
@given(st.data())
def test_a_damaged_record_passes_only_as_itself(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    content = made.record.read_bytes()
    path = tmp_path / "damaged"
    path.write_bytes(data.draw(damages(content)))
    _, true = ours(made.record, "--key", made.public)
    for verifier in (ours, alone):
        code, document = verifier(path, "--key", made.public)
        assert code != VERIFIED or (document["seq"], document["size"], document["root"]) == (
            true["seq"],
            true["size"],
            true["root"],
        )


@FUZZ
@given(st.data())
@pytest.mark.no_cover  # many thousand times the same lines
def test_a_damaged_file_of_an_export_folder_is_found(made: Made, data: st.DataObject) -> None:
    files = sorted(
        path
        for path in made.folder.rglob("*")
        if path.is_file() and path.name not in {"verify.py", "ЧИТАЙТЕ.txt", "keys.pub"}
    )
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    damaged = data.draw(damages(content))
    path.write_bytes(damaged)
    try:
        for verifier in (ours, alone):
            code, _ = verifier(made.folder, "--key", made.public)
            assert (code == VERIFIED) == (damaged == content), path.name
    finally:
        path.write_bytes(content)


@FUZZ
@given(st.data())
def test_a_damaged_key_file_verifies_nothing_else(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    content = made.public.read_bytes()
    path = tmp_path / "key.pub"
    path.write_bytes(data.draw(damages(content, made.stranger.read_bytes())))
    for verifier in (ours, alone):
        code, _ = verifier(made.whole, "--key", path)
        if code == VERIFIED:  # white space, or the line of the first epoch taken away
            lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
            assert lines == content.decode().splitlines()[: len(lines)] != []


@FUZZ
@given(st.data())
def test_a_damaged_known_note_is_no_reason_to_pass(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    with AuditReader.open(made.settings.path, made.settings.kek_file) as reader:
        note = reader.checkpoint()
    path = tmp_path / "known"
    path.write_bytes(data.draw(damages(note.encode())))
    for verifier in (ours, alone):
        code, document = verifier(made.whole, "--key", made.public, "--known", path)
        if code == VERIFIED:  # a line of another key may have changed, never what the log key signed
            assert path.read_text().split("\n\n")[0] == note.split("\n\n")[0]
            assert document["known"] == 24


WITNESS = Witnesser("witness.test/w", b"w" * 32)


@FUZZ
@given(st.data())
def test_a_damaged_cosigned_note_says_only_what_the_witness_saw(made: Made, data: st.DataObject) -> None:
    with AuditReader.open(made.settings.path, made.settings.kek_file) as reader:
        note = reader.checkpoint()
    text = split_note(note)[0]
    damaged = data.draw(damages((note + WITNESS.cosign(text, 1_790_000_000)).encode())).decode(errors="replace")
    try:
        seen = WitnessVerifier(WITNESS.key).seen(damaged)
    except VerificationError:
        return
    assert seen is None or (seen, split_note(damaged)[0]) == (1_790_000_000, text)


# Every bit


def flipped_bits_that_pass(path: Path, public: str, places: Sequence[int]) -> list[tuple[int, int]]:
    """Bits that can be flipped without notice, among those of the bytes at these places."""
    from audit import LogFileError, verify_file

    content = path.read_bytes()
    damaged = path.with_name(f"bits-{os.getpid()}")
    passed = []
    damaged.write_bytes(content)
    with damaged.open("r+b", buffering=0) as file:
        for at in places:
            for bit in range(8):
                file.seek(at)
                file.write(bytes((content[at] ^ 1 << bit,)))
                try:
                    if verify_file(damaged, public).ok:
                        passed.append((at, bit))
                except LogFileError:  # the magic was hit
                    pass
            file.seek(at)
            file.write(content[at : at + 1])
    damaged.unlink()
    return passed


@pytest.mark.parametrize("share", [0.001, pytest.param(1.0, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])])
def test_every_flipped_bit_of_two_hundred_records_is_found(tmp_path: Path, fill: Fill, share: float) -> None:
    settings = installed(tmp_path)
    fill(settings, numbered(120))
    fill(settings, numbered(80))
    export_bundle(settings.path, tmp_path / "bundle")
    public = settings.signing_key_file.with_suffix(".pub").read_text()
    size = (tmp_path / "bundle").stat().st_size
    places = random.Random(3).sample(range(size), int(size * share))
    if share < 1:
        assert flipped_bits_that_pass(tmp_path / "bundle", public, places) == []
        return
    shares = [places[at::64] for at in range(64)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(flipped_bits_that_pass, tmp_path / "bundle", public, each) for each in shares]
        assert [found for job in jobs for found in job.result()] == []
