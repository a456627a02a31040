"""RFC 3161 tokens over checkpoints: which are believed, what an export carries, and what a verifier says of them."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from audit import (
    AuditLog,
    Entry,
    Finding,
    KeyFileError,
    LogSettings,
    Query,
    Selection,
    TimestampAuthority,
    Trust,
    TrustRoot,
    VerificationError,
    export_folder,
    keep_timestamp,
    newest_note,
    text_of,
    verify_file,
)
from tests.tsa import LONG_AGO, Authority

TEXT = "log.test/audit\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


def trusted(authority: Authority) -> TimestampAuthority:
    return TimestampAuthority.parse(authority.ca.read_text())


def refused(authority: TimestampAuthority, response: bytes, text: str = TEXT, nonce: int | None = None) -> str:
    with pytest.raises(VerificationError) as raised:
        authority.verify(response, text, nonce)
    assert raised.value.finding is Finding.TIMESTAMP
    return str(raised.value)


def test_a_token_of_openssl_holds_for_its_text_and_its_query_alone(authority: Authority) -> None:
    query, other = Query.over(TEXT), Query.over(TEXT)
    response = authority.stamp(query.body)

    assert trusted(authority).verify(response, TEXT, query.nonce)[1] == "Test TSA"
    assert "на другой запрос" in refused(trusted(authority), response, nonce=other.nonce)
    assert "не об этой" in refused(trusted(authority), response, TEXT.replace("\n7\n", "\n8\n"))


def test_whose_certificate_does_not_lead_to_ours_was_over_or_is_for_something_else(tmp_path: Path, authority) -> None:
    query = Query.over(TEXT)
    stranger = Authority(tmp_path / "stranger")
    expired = Authority(tmp_path / "expired", valid=LONG_AGO)

    assert "не подтверждается" in refused(trusted(stranger), authority.stamp(query.body))
    assert "не действовал" in refused(trusted(expired), expired.stamp(query.body))
    assert "не для меток" in refused(trusted(authority), authority.stamp_otherwise(query.body, signer="other"))


def test_a_refusal_garbage_and_every_truncation_are_no_tokens(authority: Authority) -> None:
    query = Query.over(TEXT)
    response = authority.stamp(query.body)
    verifier = trusted(authority)

    refusal = authority.stamp(
        query.body.replace(bytes.fromhex("0609608648016503040201"), bytes.fromhex("0609608648016503040202"))
    )
    assert refused(verifier, refusal)
    for garbage in (b"", b"\x30", b"<html>502</html>", response + b"\x00", response * 100):
        assert refused(verifier, garbage)
    for length in range(len(response)):
        assert refused(verifier, response[:length])


def test_a_flipped_bit_is_found_or_changes_nothing_of_what_is_shown(authority: Authority) -> None:
    query = Query.over(TEXT)
    response = authority.stamp(query.body)
    whole = trusted(authority).verify(response, TEXT, query.nonce)
    imprint = response.index(sha256(TEXT.encode()).digest())
    signed = range(imprint, imprint + 32)
    for at in range(len(response)):
        changed = bytearray(response)
        changed[at] ^= 1 << at % 8
        try:
            shown = trusted(authority).verify(bytes(changed), TEXT, query.nonce)
        except VerificationError:
            continue
        assert shown == whole  # nothing signs the chain that comes along, and ours is used
        assert at not in signed


def test_what_is_no_certificate_is_no_trust(authority: Authority) -> None:
    for pem in ("", "no", (authority.folder / "ca.key").read_text()):
        with pytest.raises(KeyFileError):
            TimestampAuthority.parse(pem)


class Stamped:
    """A log of three runs, stamped after each, and the folder of its tokens."""

    def __init__(self, settings: LogSettings, authority: Authority, folder: Path) -> None:
        self.settings, self.tokens, self.ca = settings, folder / "tokens", authority.ca.read_text()
        self.sizes: list[int] = []

        async def run() -> None:
            async with AuditLog.open(settings) as log:
                for count in (5, 3, 4):
                    for number in range(count):
                        await log.append(Entry(1, 1, b"%d" % number))
                    note = log.checkpoint()
                    await log.keep_seen("tsa", note, 1)
                    keep_timestamp(self.tokens, note, authority.stamp(Query.over(text_of(note)).body))
                    self.sizes.append(log.size)
                await log.append(Entry(1, 1, b"last"))

        asyncio.run(run())
        self.public = settings.signing_key_file.with_suffix(".pub").read_text()

    def export(self, out: Path, selection: Selection | None = None) -> Path:
        export_folder(self.settings.path, out, TrustRoot.parse(self.public), selection or Selection(), self.tokens)
        return out

    def verified(self, folder: Path, *, ca: bool = True):
        return verify_file(folder, Trust(self.public, tsa_ca=self.ca if ca else None))


@pytest.fixture
def stamped(settings: LogSettings, authority: Authority, tmp_path: Path) -> Stamped:
    return Stamped(settings, authority, tmp_path)


def test_an_export_carries_the_tokens_and_a_verifier_with_the_certificate_names_them(
    stamped: Stamped, tmp_path: Path
) -> None:
    folder = stamped.export(tmp_path / "out")
    report, without = stamped.verified(folder), stamped.verified(folder, ca=False)

    assert report.ok, report.damage
    assert [(each.size, each.tsa) for each in report.timestamps] == [(size, "Test TSA") for size in stamped.sizes]
    assert "timestamps" not in report.not_proven
    assert (without.ok, without.timestamps) == (True, ())
    assert "timestamps" in without.not_proven


def test_a_part_of_the_log_carries_the_first_token_over_each_record(stamped: Stamped, tmp_path: Path) -> None:
    folder = stamped.export(tmp_path / "out", Selection((0, 1, 6)))
    report = stamped.verified(folder)

    assert report.ok, report.damage
    assert [each.size for each in report.timestamps] == stamped.sizes[:2]
    assert (report.records, report.size) == (3, 13)


def test_openssl_believes_the_same_tokens(stamped: Stamped, authority: Authority, tmp_path: Path) -> None:
    folder = stamped.export(tmp_path / "out") / "timestamps"
    for size in stamped.sizes:
        text = subprocess.run(["sed", "/^$/,$d", f"{size}.note"], cwd=folder, capture_output=True).stdout
        (tmp_path / "text").write_bytes(text)
        command = [
            "openssl",
            "ts",
            "-verify",
            "-in",
            f"{size}.tsr",
            "-data",
            tmp_path / "text",
            "-CAfile",
            authority.ca,
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def spoil(folder: Path, what: str) -> None:
    first, second = folder / "5.tsr", folder / "8.tsr"
    match what:
        case "swapped":
            content = first.read_bytes()
            first.write_bytes(second.read_bytes())
            second.write_bytes(content)
        case "note":
            note = folder / "5.note"
            note.write_text(note.read_text().replace("\n5\n", "\n6\n"))
        case "moved":
            (folder / "5.note").rename(folder / "6.note")
            first.rename(folder / "6.tsr")
        case "cut":
            first.write_bytes(first.read_bytes()[:-1])
        case "alone":
            first.unlink()
        case "no note":
            (folder / "5.note").unlink()
        case "not text":
            (folder / "5.note").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize("what", ["swapped", "note", "moved", "cut", "alone", "no note", "not text"])
def test_a_token_that_is_not_of_this_log_is_damage_and_the_others_are_still_shown(
    stamped: Stamped, tmp_path: Path, what: str
) -> None:
    folder = stamped.export(tmp_path / "out")
    spoil(folder / "timestamps", what)
    report = stamped.verified(folder)

    assert not report.ok
    assert {damage.finding for damage in report.damage} == {Finding.TIMESTAMP}
    assert [each.size for each in report.timestamps] == [12] if what == "swapped" else [8, 12]


@pytest.mark.parametrize("name", ["notes.txt", "05.tsr", "5.1.tsr", "5.tsr.tmp", "five.note", "x/5.tsr"])
def test_what_does_not_belong_among_tokens_is_damage_without_any_certificate(
    stamped: Stamped, tmp_path: Path, name: str
) -> None:
    folder = stamped.export(tmp_path / "out")
    path = folder / "timestamps" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    report = stamped.verified(folder, ca=False)

    assert [damage.finding for damage in report.damage] == [Finding.FORMAT]


def test_two_authorities_may_stamp_one_checkpoint(stamped: Stamped, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "Second TSA")
    note = newest_note(stamped.tokens)
    assert note is not None
    keep_timestamp(stamped.tokens, note, other.stamp(Query.over(text_of(note)).body), slot=2)
    stamped.ca += other.ca.read_text()
    report = stamped.verified(stamped.export(tmp_path / "out"))

    assert report.ok, report.damage
    assert [(each.size, each.tsa) for each in report.timestamps][-2:] == [(12, "Second TSA"), (12, "Test TSA")]


def test_tokens_over_another_history_are_put_aside_and_not_exported(
    stamped: Stamped, authority: Authority, tmp_path: Path
) -> None:
    other = tmp_path / "before"
    shutil.copytree(stamped.tokens, other)
    foreign = (stamped.tokens / "8.note").read_text().replace("\n8\n", "\n5\n")
    keep_timestamp(stamped.tokens, foreign, authority.stamp(Query.over(text_of(foreign)).body))

    assert sorted(path.name.split(".")[-1] for path in stamped.tokens.glob("5.*.abandoned")) == ["abandoned"] * 2
    report = stamped.verified(stamped.export(tmp_path / "out"))
    assert report.ok, report.damage
    assert [each.size for each in report.timestamps] == [8, 12]


def test_the_command_line_takes_the_certificate(stamped: Stamped, authority: Authority, tmp_path: Path) -> None:
    folder = stamped.export(tmp_path / "out")
    public = stamped.settings.signing_key_file.with_suffix(".pub")

    def run(ca: Path, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "audit", "verify", folder, "--key", public, "--tsa-ca", ca, *more]
        return subprocess.run(command, capture_output=True, text=True)

    told, report, no_key = run(authority.ca), run(authority.ca, "--json"), run(public)
    assert (told.returncode, report.returncode, no_key.returncode) == (0, 0, 2)
    assert "Меток времени проверено: 3; последняя: 12 записей" in told.stdout
    assert [each["size"] for each in json.loads(report.stdout)["timestamps"]] == [5, 8, 12]


def test_the_verifier_that_comes_along_says_that_it_does_not_verify_tokens(stamped: Stamped, tmp_path: Path) -> None:
    folder = stamped.export(tmp_path / "out")
    public = stamped.settings.signing_key_file.with_suffix(".pub")
    command = [sys.executable, "-I", folder / "verify.py", folder, "--key", public, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    report = json.loads(done.stdout)

    assert done.returncode == 0, done.stdout
    assert report["timestamps"] == []
    assert "timestamps" in report["not_proven"]
