"""Kinds of witnesses of a running service: a time-stamping authority, an append-only file, the SIEM's record; and k of n of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.events import Checkpointed, ClockDisputed, Unwitnessed, Witnessed
from appliance.settings import load_settings, problems
from appliance.witnessing import last_note
from audit import Trust, Verifier, parse_checkpoint, text_of, verify_file
from audit.store import open_reader
from audit.subtrees import range_root
from tests.e2e.running import Installed, Running, running
from tests.e2e.test_command_line import appliance
from tests.e2e.test_governance import STAFF
from tests.e2e.test_witness_over_http import eventually
from tests.tsa import LONG_AGO, Authority, Server, serving

AUDIT = "[audit]\nwitness_seconds = 0.05\n{more}\n"
FILE = '[[audit.witnesses]]\nkind = "file"\npath = "{path}"\nseconds = 0.05\n'
TSA = '[[audit.witnesses]]\nkind = "tsa"\nurl = "{url}"\ntsa_ca_file = "{ca}"\nname = "tsa"\nseconds = 0.2\n'
SIEM = '[[audit.witnesses]]\nkind = "siem"\n'
AWAY = '[[audit.witnesses]]\nkind = "tsa"\nurl = "http://127.0.0.1:9/tsr"\ntsa_ca_file = "{ca}"\nname = "away"\nseconds = 0.2\n'
SOON = "witness_alarm_hours = 0.0001"  # a third of a second


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


class Made:
    """An installation whose witnesses may change from start to start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "appliance"
        self.folder.mkdir()
        self.file = folder / "elsewhere" / "checkpoints.txt"
        self.file.parent.mkdir()

    def installed(self, *witnesses: str, more: str = "") -> Installed:
        shutil.rmtree(self.folder / "policy", ignore_errors=True)
        return Installed(self.folder, extra=AUDIT.format(more=more) + "".join(witnesses) + STAFF)

    def with_file(self, *, more: str = "", name: str = "file") -> Installed:
        return self.installed(FILE.format(path=self.file) + f'name = "{name}"\n', more=more)

    @property
    def tokens(self) -> list[str]:
        folder = self.folder / "state/timestamps"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def parts(service: Running) -> dict[str, str]:
    return service.http.get("/readyz").json()["parts"]


def stamping(served: Server, authority: Authority | None = None) -> str:
    return TSA.format(url=served.url, ca=(authority or served.authority).ca)


def asked(service: Running, times: int = 1) -> None:
    for _ in range(times):
        assert service.chat(model="local").status_code == 200


# --- A time-stamping authority ---


def test_an_authority_stamps_a_log_that_grows_and_an_export_carries_what_an_auditor_verifies(
    made: Made, authority: Authority, tmp_path: Path
) -> None:
    with serving(authority) as served:
        installed = made.installed(stamping(served))
        with running(installed) as service:
            asked(service)
            eventually(lambda: parts(service).get("witness:tsa") == "ok")
            asked(service)
            eventually(lambda: len(made.tokens) >= 4)
    done = appliance("audit", "export", tmp_path / "out", "--settings", installed.path)
    assert done.exit_code == 0, done.output
    public = installed.settings.log.signing_key_file.with_suffix(".pub").read_text()
    report = verify_file(tmp_path / "out", Trust(public, tsa_ca=authority.ca.read_text()))

    assert report.ok, report.damage
    assert {f"{each.size}.tsr" for each in report.timestamps} == {name for name in made.tokens if name.endswith("tsr")}
    assert {each.tsa for each in report.timestamps} == {"Test TSA"}
    assert [event.witness for event in installed.events(Witnessed)] == ["tsa"]
    assert installed.events(ClockDisputed) == []


def otherwise(query: bytes, **changed: bytes) -> bytes:
    """The query with another nonce or imprint, of the same length."""
    imprint = query.index(b"\x04\x20") + 2
    nonce = imprint + 32 + 2
    end = nonce + query[nonce - 1]
    assert query[nonce - 2] == 2
    if "nonce" in changed:
        return query[:nonce] + bytes((query[nonce],)) + bytes(reversed(query[nonce + 1 : end])) + query[end:]
    return query[:imprint] + bytes(32) + query[imprint + 32 :]


BAD: dict[str, tuple[Callable[[Authority, bytes], tuple[int, bytes]], str]] = {
    "nonce": (lambda tsa, query: (200, tsa.stamp(otherwise(query, nonce=b""))), "на другой запрос"),
    "imprint": (lambda tsa, query: (200, tsa.stamp(otherwise(query))), "не об этой контрольной точке"),
    "purpose": (lambda tsa, query: (200, tsa.stamp_otherwise(query, signer="other")), "не для меток"),
    "500": (lambda tsa, query: (500, tsa.stamp(query)), "ответила 500"),
    "garbage": (lambda tsa, query: (200, b"<html>no service</html>"), "не метка времени"),
    "truncated": (lambda tsa, query: (200, tsa.stamp(query)[:-1]), "не метка времени"),
    "long": (lambda tsa, query: (200, tsa.stamp(query) + bytes(1 << 17)), "слишком велика"),
    "refused": (lambda tsa, query: (200, tsa.stamp(query[:-1])), "служба меток времени отказала"),
}


@pytest.mark.parametrize("what", [*BAD, "ca", "expired", "away"])
def test_what_does_not_hold_is_not_kept_and_the_alarm_says_why(
    made: Made, authority: Authority, tmp_path: Path, what: str
) -> None:
    trusted, serves, words = authority, authority, "не отвечает"
    if what == "ca":
        trusted, words = Authority(tmp_path / "other"), "не подтверждается"
    if what == "expired":
        trusted = serves = Authority(tmp_path / "expired", valid=LONG_AGO)
        words = "не действовал"
    with serving(serves) as served:
        if what in BAD:
            answer, words = BAD[what]
            served.answer = lambda query: answer(authority, query)
        witness = (
            AWAY.format(ca=authority.ca).replace('"away"', '"tsa"') if what == "away" else stamping(served, trusted)
        )
        installed = made.installed(witness, more=SOON)
        with running(installed) as service:
            asked(service)
            eventually(lambda: words in parts(service).get("witnesses", ""))
            assert "никто не подтверждал журнал с" in parts(service)["witnesses"]
            eventually(lambda: installed.events(Unwitnessed) != [])
            asked(service)  # its absence stops nothing
    assert made.tokens == []
    assert installed.events(Witnessed) == []
    assert [(event.confirming, event.quorum) for event in installed.events(Unwitnessed)] == [(0, 1)]


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_is_far_from_ours_is_told_once_and_its_token_kept(
    made: Made, authority: Authority, ahead: timedelta
) -> None:
    with serving(authority) as served:
        served.answer = lambda query: (200, authority.stamp_otherwise(query, ahead=ahead))
        installed = made.installed(stamping(served))
        with running(installed) as service:
            eventually(lambda: len(made.tokens) >= 2)
            asked(service)
            eventually(lambda: len(made.tokens) >= 4)
            assert parts(service)["witness:tsa"] == "ok"
    (disputed,) = installed.events(ClockDisputed)
    assert disputed.witness == "tsa"
    assert abs(disputed.ahead / 1000 - ahead.total_seconds()) < 120


def test_a_log_put_back_while_what_was_stamped_stayed_writes_nothing_more(
    made: Made, authority: Authority, tmp_path: Path
) -> None:
    with serving(authority) as served:
        installed = made.installed(stamping(served))
        with running(installed) as service:
            eventually(lambda: parts(service).get("witness:tsa") == "ok")
        before = snapshot(installed, tmp_path)
        with running(installed) as service:
            asked(service, 3)
            eventually(lambda: newest(made) >= len(installed.records()))
        put_back(installed, before, but="timestamps")
        with running(installed) as service:
            assert service.chat(model="local").status_code == 503
            assert "откатили" in parts(service)["witness:tsa"]


def newest(made: Made) -> int:
    return max((int(name.split(".")[0]) for name in made.tokens), default=0)


def snapshot(installed: Installed, folder: Path) -> Path:
    """The whole machine but the witness."""
    shutil.copytree(installed.settings.state, folder / "snapshot")
    return folder / "snapshot"


def put_back(installed: Installed, before: Path, but: str = "") -> None:
    state = installed.settings.state
    for path in state.iterdir():
        if path.name != but:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(before, state, dirs_exist_ok=True, ignore=shutil.ignore_patterns(but) if but else None)


# --- A file ---


def entries(content: bytes) -> list[str]:
    *notes, rest = content.decode().split("---\n")
    assert rest == ""
    return notes


def test_a_file_is_only_appended_to_and_every_entry_is_a_checkpoint_of_the_log(made: Made) -> None:
    installed = made.with_file()
    with running(installed) as service:
        eventually(lambda: made.file.exists() and made.file.stat().st_size > 0)
        first = made.file.read_bytes()
        asked(service, 2)
        eventually(lambda: len(made.file.read_bytes()) > len(first))
    second = made.file.read_bytes()
    with running(installed) as service:
        eventually(lambda: len(made.file.read_bytes()) > len(second))
        eventually(lambda: parts(service).get("witness:file") == "ok")
    third = made.file.read_bytes()

    assert third.startswith(second)
    assert second.startswith(first)
    public = installed.settings.log.signing_key_file.with_suffix(".pub").read_text()
    sizes = [Verifier.parse(public).open_checkpoint(note).size for note in entries(third)]
    assert sizes == sorted(set(sizes))
    known = last_note(made.file)
    assert known == entries(third)[-1]
    report = verify_file(installed.settings.log.path, Trust(public, known))
    assert (report.ok, report.known) == (True, sizes[-1])


def test_a_log_put_back_is_found_by_the_file_before_the_first_request(made: Made, tmp_path: Path) -> None:
    installed = made.with_file()
    with running(installed) as service:
        asked(service)
        eventually(lambda: parts(service).get("witness:file") == "ok")
    before = snapshot(installed, tmp_path)
    with running(installed) as service:
        asked(service, 5)
    with running(installed) as service:
        eventually(lambda: parts(service).get("witness:file") == "ok")
    kept = made.file.read_bytes()
    put_back(installed, before)
    with running(installed) as service:
        assert service.chat(model="local").status_code == 503
        assert "откатили" in parts(service)["witness:file"]
    assert made.file.read_bytes() == kept
    assert any("rolled-back" in problem for problem in problems(installed.settings))


def spoil(path: Path, what: str) -> None:
    content = path.read_bytes()
    notes = entries(content)
    match what:
        case "root":
            encoded = notes[-1].split("\n")[2]
            path.write_bytes(
                content.replace(encoded.encode(), ("A" if encoded[0] != "A" else "B").encode() + encoded[1:].encode())
            )
        case "signature":
            at = content.rindex(b"\n\n") + 60  # in the line of the log's own key, which comes first
            path.write_bytes(content[:at] + (b"A" if content[at : at + 1] != b"A" else b"B") + content[at + 1 :])
        case "another":
            path.write_text("other.test/audit\n1\n" + "A" * 43 + "=\n\n— other.test/audit AAAAAAAA\n---\n")
        case "words":
            path.write_text("anything\n---\n")
        case "bytes":
            path.write_bytes(b"\xff\xfe\n---\n")
        case "emptied":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case "cut":
            path.write_text("---\n".join(notes[:1]) + "---\n")
        case "folder":
            path.unlink()
            path.mkdir()


@pytest.mark.parametrize("what", ["root", "signature", "another", "words", "bytes", "emptied", "gone", "cut", "folder"])
def test_a_file_that_was_tampered_with_confirms_nothing_more_and_stays_as_it_is(made: Made, what: str) -> None:
    installed = made.with_file()
    for _ in range(2):
        with running(installed) as service:
            asked(service)
            eventually(lambda: parts(service).get("witness:file") == "ok")
    assert len(entries(made.file.read_bytes())) >= 2
    spoil(made.file, what)
    spoilt = made.file.read_bytes() if made.file.is_file() else None
    installed = made.with_file(more=SOON)
    with running(installed) as service:
        eventually(lambda: "checkpoints.txt" in parts(service).get("witnesses", ""))
        asked(service)
        eventually(lambda: installed.events(Unwitnessed) != [])
    assert (made.file.read_bytes() if made.file.is_file() else None) == spoilt
    assert problems(installed.settings) == []  # it is the file that is not believed, not the log

    if spoilt is not None:  # who answers for the loss begins a new one under a new name
        made.file.unlink()
    if what in {"emptied", "gone"}:
        with running(made.with_file(name="second")) as service:
            eventually(lambda: parts(service).get("witness:second") == "ok")


def test_an_entry_that_a_crash_cut_off_is_closed_and_the_last_whole_one_counts(made: Made) -> None:
    installed = made.with_file()
    with running(installed) as service:
        eventually(lambda: parts(service).get("witness:file") == "ok")
    written = made.file.read_bytes()
    entry = entries(written)[-1]
    whole = entry.encode() + b"---\n"
    ends = 1, len(whole) // 2, whole.index(b"\n\n") + 2, len(whole) - 4, len(whole) - 3, len(whole) - 1
    for cut in ends:
        torn = written + whole[:cut]
        made.file.write_bytes(torn)
        assert last_note(made.file) == entry
        with running(installed) as service:
            asked(service)
            eventually(lambda: parts(service).get("witness:file") == "ok")
        after = made.file.read_bytes()
        assert after.startswith(torn + b"\n--- torn\n")
        assert size_of(last_note(made.file)) > size_of(entry)
        # The next round begins after what this one left: the file forgets nothing that it has confirmed.
        written, entry = after, last_note(made.file) or ""


def size_of(note: str | None) -> int:
    return parse_checkpoint(text_of(note or "")).size


def test_a_full_disk_is_told_and_stops_nothing(made: Made) -> None:
    made.file = Path("/dev/full")
    with running(made.with_file()) as service:
        eventually(lambda: "не записывается" in parts(service).get("witness:file", ""))
        asked(service)


# --- The SIEM's record ---


def test_the_checkpoint_goes_into_the_stream_whenever_the_log_has_grown_and_never_because_of_itself(made: Made) -> None:
    installed = made.installed(SIEM)
    with running(installed) as service:
        for number in range(3):
            asked(service)
            eventually(lambda number=number: len(installed.events(Checkpointed)) > number)
        assert parts(service)["witness:siem"] == "ok"
    events = installed.events()
    found = [(place, event) for place, event in enumerate(events) if isinstance(event, Checkpointed)]
    with open_reader(installed.settings.log.path) as database:
        for place, event in found:
            assert event.size == place
            assert event.root == range_root(database, 0, place)
            assert not isinstance(events[place - 1], Checkpointed)
    assert installed.events(Witnessed) == []  # nobody confirmed anything
    assert installed.events(Unwitnessed) == []


# --- k of n ---


def test_two_of_three_are_enough_when_one_is_away_and_three_are_not(made: Made, authority: Authority) -> None:
    with serving(authority) as served:
        three = FILE.format(path=made.file), stamping(served), AWAY.format(ca=authority.ca)
        enough = made.installed(*three, more="witness_quorum = 2\nwitness_alarm_hours = 0.01")
        with running(enough) as service:
            asked(service)
            eventually(lambda: parts(service).get("witness:file") == parts(service).get("witness:tsa") == "ok")
            eventually(lambda: "не отвечает" in parts(service).get("witness:away", ""))
            assert "witnesses" not in parts(service)
            shown = status(enough, service, "status")
            assert shown["witnessed"] == min(each["size"] for each in shown["witnesses"][:2]) > 0
            assert (shown["quorum"], shown["counted"], shown["lacking"]) == (2, 3, "")
        assert enough.events(Unwitnessed) == []

        few = made.installed(*three, more="witness_quorum = 3\nwitness_alarm_hours = 0.001")
        with running(few) as service:
            eventually(lambda: few.events(Unwitnessed) != [])
            words = parts(service)["witnesses"]
            shown = status(few, service, "status", code=1)
    assert "подтверждают 2 из нужных 3" in words
    assert "away — не отвечает" in words
    assert shown["witnessed"] == 0
    (event,) = few.events(Unwitnessed)
    assert (event.confirming, event.quorum) == (2, 3)


def status(installed: Installed, service: Running, command: str, code: int = 0) -> dict:
    key = installed.settings.state / "keys/sidorov"
    done = appliance("audit", "witness", command, "--url", service.url, "--officer-key", key, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_the_command_line_shows_each_witness_and_asks_them_at_once(made: Made, authority: Authority) -> None:
    with serving(authority) as served:
        installed = made.installed(
            FILE.format(path=made.file).replace("0.05", "3600"),
            stamping(served).replace("0.2", "3600"),
            AWAY.format(ca=authority.ca),
            SIEM,
        )
        with running(installed) as service:
            eventually(lambda: parts(service).get("witness:file") == parts(service).get("witness:tsa") == "ok")
            asked(service)
            old = status(installed, service, "status")
            new = status(installed, service, "now")
            key = installed.settings.state / "keys/sidorov"
            table = appliance("audit", "witness", "now", "--url", service.url, "--officer-key", key)
            nobody = appliance(
                "audit",
                "witness",
                "now",
                "--url",
                service.url,
                "--officer-key",
                installed.settings.state / "keys/tests",
            )

    by_name = [{each["name"]: each for each in shown["witnesses"]} for shown in (old, new)]
    assert [each["kind"] for each in new["witnesses"]] == ["file", "tsa", "tsa", "siem"]
    for name in ("file", "tsa"):
        assert by_name[0][name]["size"] < by_name[1][name]["size"] <= new["size"]
        assert by_name[1][name]["trouble"] == ""
    assert by_name[1]["away"] == {**by_name[1]["away"], "size": 0, "seen": "", "trouble": "unreachable", "counts": True}
    assert by_name[1]["siem"]["counts"] is False
    assert table.exit_code == 0
    for words in ("Свидетели журнала", "метки времени", "недоступен", "никогда", "не считается", "нужно 1 из 3"):
        assert words in " ".join(table.stdout.split()), table.stdout
    assert nobody.exit_code == 2


def test_settings_of_every_kind_are_checked(made: Made, authority: Authority) -> None:
    installed = made.installed(FILE.format(path=made.file), AWAY.format(ca=authority.ca), SIEM)
    assert problems(installed.settings) == []
    whole = installed.path.read_text()
    for old, new, words in (
        ('name = "away"', 'name = "file"', "описан дважды"),
        (str(authority.ca), str(authority.folder / "tsa.key"), "это не сертификат"),
        (str(authority.ca), str(made.folder / "none"), "не читается"),
        (str(made.file), str(made.folder / "none/file"), "каталога"),
        ("[audit]", "[audit]\nwitness_quorum = 3", "свидетелей, которые считаются, 2"),
        ("[audit]", "[audit]\nwitness_alarm_hours = 0.00001", "тревога была бы всегда"),
    ):
        installed.path.write_text(whole.replace(old, new))
        assert any(words in problem for problem in problems(load_settings(installed.path))), words


# --- A log that was stopped, and put right ---


def test_a_restore_takes_the_mark_away(made: Made, tmp_path: Path) -> None:
    import pyrage

    key = pyrage.x25519.Identity.generate()
    identity = tmp_path / "identity"
    identity.write_text(f"{key}\n")
    identity.chmod(0o600)
    installed = made.with_file()
    with running(installed) as service:
        asked(service)
        eventually(lambda: parts(service).get("witness:file") == "ok")
    before = snapshot(installed, tmp_path)
    with running(installed) as service:
        asked(service, 5)
        eventually(lambda: parts(service).get("witness:file") == "ok")
    with running(installed) as service:
        eventually(lambda: parts(service).get("witness:file") == "ok")
    newer = appliance("backup", tmp_path / "newer.age", "--to", str(key.to_public()), "--settings", installed.path)
    assert newer.exit_code == 0, newer.output
    put_back(installed, before)
    older = appliance("backup", tmp_path / "older.age", "--to", str(key.to_public()), "--settings", installed.path)
    assert older.exit_code == 0, older.output
    with running(installed) as service:
        assert service.chat(model="local").status_code == 503
    mark = installed.settings.state / "rolled-back"
    assert mark.exists()

    restore = ("--identity", identity, "--settings", installed.path)
    refused = appliance("restore", tmp_path / "older.age", *restore)
    assert refused.exit_code == 2
    assert "файл свидетеля" in refused.output
    assert mark.exists()
    done = appliance("restore", tmp_path / "newer.age", *restore)
    assert done.exit_code == 0, done.output
    assert not mark.exists()
    with running(installed) as service:
        asked(service)
        eventually(lambda: parts(service).get("witness:file") == "ok")
