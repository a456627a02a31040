"""Records for an inspector: closed without asking anybody, opened when two officers agreed, checked by programs that know nothing of us."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pyrage
import pytest

from appliance import disclosures
from appliance.events import KINDS, DisclosureAsked, DisclosureDecided, Intent, LogRead, Outcome
from appliance.parcels import open_files
from appliance.readings import noted
from tests.e2e.running import Installed, Running, running
from tests.e2e.test_command_line import appliance
from tests.e2e.test_governance import STAFF, staff
from tests.e2e.upstream import Upstream

SECOND = """
[[staff]]
id = "orlova"
duties = ["security"]
file = "state/keys/orlova"
"""
CLIENT, OTHER = "клиент-17", "клиент-18"


@pytest.fixture
def installed(tmp_path: Path, upstream: Upstream) -> Installed:
    return Installed(tmp_path, upstream.base_url, extra=STAFF + SECOND)


def ask(service: Running, subject: str) -> int:
    answer = service.chat(model="local", headers={"X-Subject": subject.encode()})
    assert answer.status_code == 200
    return int(answer.headers["X-Audit-Record"])


def audit(installed: Installed, *arguments: object) -> str:
    done = appliance("audit", *arguments, "--settings", installed.path)
    assert done.exit_code == 0, done.output
    return done.output


def refused(installed: Installed, *arguments: object) -> str:
    done = appliance("audit", *arguments, "--settings", installed.path)
    assert done.exit_code == 2, done.output
    return done.output


def verified(folder: Path, installed: Installed, *more: str) -> tuple[dict[str, object], list[dict[str, object]]]:
    """The report and the opened records, the same from both verifiers."""
    public = installed.settings.log.signing_key_file.with_suffix(".pub")
    command = [folder, "--key", public, "--json", *more]
    ours = subprocess.run([sys.executable, "-m", "audit", "verify", *command], capture_output=True, text=True)
    alone = subprocess.run(
        [sys.executable, "-I", "-S", folder / "verify.py", *command], capture_output=True, text=True, cwd="/"
    )
    assert (ours.returncode, alone.returncode) == (0, 0), ours.stdout + ours.stderr + alone.stdout + alone.stderr
    *opened, report = (json.loads(line) for line in ours.stdout.splitlines())
    *opened_alone, report_alone = (json.loads(line) for line in alone.stdout.splitlines())
    assert [each["fields"] for each in opened] == [each["fields"] for each in opened_alone]
    assert {name: report[name] for name in report_alone} == report_alone
    return report, opened


def agreed(service: Running, **wish: object) -> str:
    with staff(service) as petrova, staff(service, "orlova") as orlova:
        asked = petrova.post("/v1/admin/disclosures", json={"ground": "case-7", **wish})
        assert asked.status_code == 200, asked.text
        given = orlova.post("/v1/admin/disclosures/decide", json={"asked": asked.json()["asked"], "approve": True})
        assert given.status_code == 200, given.text
    return given.headers["X-Audit-Record"]


def test_the_whole_log_goes_out_closed_with_its_verifier(installed: Installed, tmp_path: Path) -> None:
    with running(installed) as service:
        ask(service, CLIENT)
    out = tmp_path / "export"
    assert "Выгружено записей" in audit(installed, "export", out)
    report, opened = verified(out, installed)
    size = len(installed.records())
    assert (report["records"], report["skipped"], report["opened"], report["tiles"]) == (size, 0, 0, 2)
    assert opened == []
    assert "такая папка уже есть" in refused(installed, "export", out)
    assert sorted(path.name for path in out.iterdir()) == [
        "keys.pub",
        "log.bundle",
        "tiles",
        "verify.py",
        "ЧИТАЙТЕ.txt",
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [out, *out.rglob("*")])


def test_a_person_s_records_are_opened_by_two_and_nothing_else_is(installed: Installed, tmp_path: Path) -> None:
    with running(installed) as service:
        mine = ask(service, CLIENT)
        ask(service, OTHER)
        approval = agreed(service, subject=CLIENT)
    out = tmp_path / "export"
    audit(installed, "export", out, "--approved", approval)
    report, opened = verified(out, installed, "--entries")
    names = {number: kind.__name__ for number, kind in KINDS.items()}
    # The request itself speaks of the person, so it is among what it opens.
    assert [(names[each["kind"]], each["seq"]) for each in opened] == [
        ("Intent", mine),
        ("Outcome", mine + 1),
        ("DisclosureAsked", mine + 4),
    ]
    assert opened[0]["fields"]["app"] == "tests-app"
    size = len(installed.records())
    assert (report["records"], report["skipped"], report["opened"]) == (3, size - 3, 3)
    assert {"skipped", "labels"} <= set(report["not_proven"])
    with running(installed) as service:
        pass
    read = installed.events(LogRead)[-1]
    assert (read.what, read.records, read.ground) == ("export-open", 3, f"approval:{approval}")
    (asked,), (decided,) = installed.events(DisclosureAsked), installed.events(DisclosureDecided)
    assert (asked.officer, asked.about, decided.officer, decided.approved) == ("petrova", True, "orlova", True)
    assert CLIENT not in repr(installed.events())


@pytest.mark.parametrize(
    "wish",
    [
        {"records": [1]},
        {"app": "tests-app"},
        {"since": "2020-01-01T00:00:00+03:00", "app": "tests-app"},
        {"case": "case-7"},
    ],
)
def test_what_is_opened_is_what_was_agreed(installed: Installed, tmp_path: Path, wish: dict[str, object]) -> None:
    with running(installed) as service:
        ask(service, CLIENT)
        approval = agreed(service, **wish)
    audit(installed, "export", tmp_path / "export", "--approved", approval)
    _, opened = verified(tmp_path / "export", installed, "--entries")
    kinds = [each["kind"] for each in opened]
    assert kinds == ([DisclosureAsked.KIND] if "case" in wish else [Intent.KIND, Outcome.KIND])


def test_one_person_alone_opens_nothing(installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(installed) as service, staff(service) as petrova, staff(service, "orlova") as orlova:
        ask(service, CLIENT)
        nothing = petrova.post("/v1/admin/disclosures", json={"ground": "case-7"})
        naive = petrova.post("/v1/admin/disclosures", json={"since": "2026-01-01T00:00:00"})
        wrong = petrova.post("/v1/admin/disclosures", json={"records": ["one"]})
        number = petrova.post("/v1/admin/disclosures", json={"records": [1]}).json()["asked"]
        decide = "/v1/admin/disclosures/decide"
        alone = petrova.post(decide, json={"asked": number, "approve": True})
        absent = orlova.post(decide, json={"asked": 999, "approve": True})
        other = orlova.post(decide, json={"asked": 1, "approve": True})
        with staff(service, "sidorov") as sidorov:
            duty = sidorov.post("/v1/admin/disclosures", json={"records": [1]})
        denied = orlova.post(decide, json={"asked": number, "approve": False}).headers["X-Audit-Record"]
        given = orlova.post(decide, json={"asked": number, "approve": True}).headers["X-Audit-Record"]
    assert [each.status_code for each in (nothing, naive, wrong, alone, absent, other, duty)] == [
        400, 400, 400, 403, 404, 404, 403,
    ]  # fmt: skip
    out = tmp_path / "export"
    for approval, words in ((number, "не решение"), (denied, "отказано"), (999, "нет записи"), (1, "не решение")):
        assert words in refused(installed, "export", out, "--approved", approval)
        assert words in refused(installed, "prove", 1, "--out", out, "--approved", approval)
    assert "не об этой" in refused(installed, "prove", 3, "--out", out, "--approved", given)
    assert "ровно то" in refused(installed, "export", out, "--approved", given, "--app", "x")
    monkeypatch.setattr(disclosures, "VALID_US", -1)
    assert "72" in refused(installed, "export", out, "--approved", given)
    assert not out.exists()
    assert noted(installed.settings.readings) == []


def test_the_command_line_asks_and_agrees(installed: Installed, tmp_path: Path) -> None:
    keys = installed.path.parent / "state/keys"
    with running(installed) as service:
        number = ask(service, CLIENT)
        asked = appliance(
            "audit", "request", "--record", number, "--since", "2020-01-01", "--ground", "case-9",
            "--officer-key", keys / "petrova", "--url", service.url,
        )  # fmt: skip
        assert asked.exit_code == 0, asked.output
        at = asked.output.rsplit(maxsplit=1)[-1]
        command = ("audit", "approve", at, "--url", service.url, "--officer-key")
        assert appliance(*command, keys / "petrova").exit_code == 2
        denied = appliance(*command, keys / "orlova", "--deny")
        given = appliance(*command, keys / "orlova")
    assert "Отказ" in denied.output
    approval = given.output.rsplit(maxsplit=1)[-1]
    audit(installed, "prove", number, "--out", tmp_path / "record", "--approved", approval)
    public = installed.settings.log.signing_key_file.with_suffix(".pub")
    command = [sys.executable, "-m", "audit", "verify", tmp_path / "record", "--key", public]
    assert 'app: "tests-app"' in subprocess.run(command, capture_output=True, text=True).stdout
    assert [reading.what for _, reading in noted(installed.settings.readings) if reading] == ["open"]


def test_a_part_of_the_log_goes_out_closed(installed: Installed, tmp_path: Path) -> None:
    with running(installed) as service:
        mine = ask(service, CLIENT)
        ask(service, OTHER)
        service.http.post(
            "/v1/chat/completions",
            json={"model": "local", "messages": [{"role": "user", "content": "x"}]},
            headers={"X-Purpose": "support"},
        )
    for name, options, expected in (
        ("subject", ("--subject", CLIENT), 2),
        ("numbers", ("--record", mine, "--record", 0), 3),
        ("app", ("--app", "tests-app"), 6),
        ("early", ("--until", "2020-01-01"), None),
        ("late", ("--since", "2020-01-01", "--app", "tests-app"), 6),
        ("stranger", ("--subject", "кто-то"), None),
    ):
        if expected is None:
            assert "ни одна запись" in refused(installed, "export", tmp_path / name, *options)
            continue
        audit(installed, "export", tmp_path / name, *options)
        assert verified(tmp_path / name, installed)[0]["records"] == expected
    listed = [json.loads(line)["seq"] for line in audit(installed, "list", "--json", "--subject", CLIENT).splitlines()]
    assert listed == [mine, mine + 1]


def test_an_export_for_one_pair_of_eyes_is_sealed_on_the_way(installed: Installed, tmp_path: Path) -> None:
    inspector, stranger = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    with running(installed) as service:
        ask(service, CLIENT)
    out = tmp_path / "export.age"
    audit(installed, "export", out, "--to", inspector.to_public())
    assert out.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert out.stat().st_mode & 0o777 == 0o600
    opened = tmp_path / "opened"
    opened.mkdir()
    open_files(out, inspector, opened)
    assert verified(opened / "export", installed)[0]["ok"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Exception, match="не раскрывается"):
        open_files(out, stranger, empty)
    whole = out.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:300] + b"\0" + whole[301:], b"", b"x"):
        out.write_bytes(damaged)
        with pytest.raises(Exception, match=r"export\.age"):
            open_files(out, inspector, empty)
    assert "age1" in refused(installed, "export", tmp_path / "x", "--to", "nonsense")
    assert not [path for path in installed.settings.log.path.parent.iterdir() if path.name.startswith(".export")]


def test_following_shows_what_comes(installed: Installed) -> None:
    with running(installed) as service:
        command = [
            sys.executable,
            "-m",
            "appliance",
            "audit",
            "list",
            "--json",
            "--follow",
            "--settings",
            installed.path,
        ]
        following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert following.stdout is not None
        try:
            assert json.loads(following.stdout.readline())["kind"] == "Booted"
            number = ask(service, CLIENT)
            seen = [json.loads(following.stdout.readline())]
            while seen[-1]["kind"] != "Outcome":
                seen.append(json.loads(following.stdout.readline()))
        finally:
            following.kill()
            following.wait()
            following.stdout.close()
    assert [each["seq"] for each in seen if each["kind"] == "Intent"] == [number]


def test_the_signing_key_is_replaced_on_demand(installed: Installed) -> None:
    with running(installed) as service:
        ask(service, CLIENT)
        key = installed.path.parent / "state/keys/sidorov"
        done = appliance("audit", "rotate", "--officer-key", key, "--url", service.url, "--ground", "plan-1")
        assert "Эпоха подписи 1" in done.output
        with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {installed.key}"}) as client:
            assert client.post("/v1/admin/keys/hand-over").status_code == 401
    report = installed.verify()
    assert (report.ok, report.epochs) == (True, 2)
