"""What a DPO does with the log: find a person's records, cut the person off, hold them; and what is left afterwards."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys

import httpx
import pytest

from appliance.auth import Pseudonyms
from appliance.events import ErasureAsked, Intent, KeysRenewed, LogRead, StopChanged, SubjectErased, SubjectHold, entry
from audit import AuditLog, AuditReader
from tests.e2e.running import Installed, Running, running
from tests.e2e.test_governance import STAFF, staff
from tests.e2e.upstream import Upstream

CLIENT, OTHER = "клиент-17", "клиент-18"


@pytest.fixture
def installed(tmp_path, upstream: Upstream) -> Installed:
    return Installed(tmp_path, upstream.base_url, extra=STAFF)


def ask(service: Running, subject: str) -> int:
    answer = service.chat(model="local", headers={"X-Subject": subject.encode()})
    assert answer.status_code == 200
    return int(answer.headers["X-Audit-Record"])


def search(officer: httpx.Client, subject: str) -> list[int]:
    answer = officer.post("/v1/admin/subjects/search", json={"subject": subject, "ground": "case-1"})
    assert answer.status_code == 200, answer.text
    return answer.json()["records"]


def test_a_person_is_found_cut_off_and_found_no_more(installed: Installed) -> None:
    with running(installed) as service, staff(service) as officer:
        mine = [ask(service, CLIENT), ask(service, CLIENT)]
        theirs = ask(service, OTHER)
        found = search(officer, CLIENT)
        before = installed.settings.state.with_name("before")
        shutil.copytree(installed.settings.state / "audit", before)
        erased = officer.post("/v1/admin/subjects/erase", json={"subjects": [CLIENT], "ground": "case-2"})
        after = search(officer, CLIENT), search(officer, OTHER)

    assert found == mine
    assert erased.status_code == 200
    (act,) = erased.json()["erasures"]
    assert (act["records"], act["generation"]) == (3, 2)  # two requests and one search
    assert "криптографическое стирание" in act["act"]
    assert "не является уничтожением" in act["act"]
    assert after == ([], [theirs])
    (asked,), (done,) = installed.events(ErasureAsked), installed.events(SubjectErased)
    assert (asked.officer, asked.ground) == ("petrova", "case-2")
    assert (done.asked, done.records, done.generation, done.held) == (act["asked"], 3, 2, False)
    assert [(read.officer, read.records) for read in installed.events(LogRead)] == [
        ("petrova", 2),
        ("petrova", 0),
        ("petrova", 1),
    ]
    pseudonyms = Pseudonyms.load(installed.settings.pseudonym_key)
    for path in (installed.settings.log.path, before / "audit.db"):
        with AuditReader.open(path, installed.settings.log.kek_file) as reader:
            records = list(reader.entries(0, min(reader.size, done.asked)))
            assert pseudonyms.of(CLIENT) not in {subject for record in records for subject in record.subjects}
            assert not [record for record in records if pseudonyms.of(CLIENT) in record.body]
    assert len(installed.events(Intent)) == 3
    assert CLIENT not in repr(installed.events())
    assert installed.verify().ok


def test_a_hold_wins_and_is_recorded(installed: Installed) -> None:
    with running(installed) as service, staff(service) as officer:
        number = ask(service, CLIENT)
        held = officer.post("/v1/admin/subjects/hold", json={"subject": CLIENT, "ground": "court-3"})
        refused = officer.post("/v1/admin/subjects/erase", json={"subjects": [OTHER, CLIENT]})
        still = search(officer, CLIENT)
        lifted = officer.post("/v1/admin/subjects/unhold", json={"subject": CLIENT})
        again = officer.post("/v1/admin/subjects/unhold", json={"subject": CLIENT})
        erased = officer.post("/v1/admin/subjects/erase", json={"subjects": [CLIENT]})
        gone = search(officer, CLIENT)

    assert (held.json(), lifted.json(), again.json()) == (
        {"held": True, "changed": True},
        {"held": False, "changed": True},
        {"held": False, "changed": False},
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "subject_held")
    assert number in still
    assert (erased.status_code, gone) == (200, [])
    assert [event.held for event in installed.events(SubjectErased)] == [True, False, False]
    assert [(event.held, event.ground) for event in installed.events(SubjectHold)] == [
        (True, "court-3"),
        (False, ""),
        (False, ""),
    ]


def test_an_erasure_that_a_crash_interrupted_is_finished_at_the_next_start(installed: Installed) -> None:
    with running(installed) as service:
        ask(service, CLIENT)
    pseudonym = Pseudonyms.load(installed.settings.pseudonym_key).of(CLIENT)

    async def demand(*, erase: bool) -> None:
        async with AuditLog.open(installed.settings.log) as log:
            await log.append(entry(ErasureAsked("0" * 32, "petrova"), subjects=(pseudonym,)))
            if erase:
                await log.erase_subject(pseudonym)

    for erase in (False, True):
        asyncio.run(demand(erase=erase))
        with running(installed) as service, staff(service) as officer:
            assert search(officer, CLIENT) == []
    assert [(event.held, event.generation) for event in installed.events(SubjectErased)] == [(False, 2), (False, 3)]
    with AuditReader.open(installed.settings.log.path, installed.settings.log.kek_file) as reader:
        assert not [
            record.subjects for record in reader.entries(0, 5) if pseudonym in record.subjects and record.kind == 1
        ]


def test_who_may_do_what_and_bad_requests(installed: Installed) -> None:
    with running(installed) as service, staff(service) as dpo, staff(service, "sidorov") as operator:
        for path, body in (
            ("subjects/search", {"subject": CLIENT}),
            ("subjects/erase", {"subjects": [CLIENT]}),
            ("subjects/hold", {"subject": CLIENT}),
            ("subjects/unhold", {"subject": CLIENT}),
        ):
            assert operator.post(f"/v1/admin/{path}", json=body).status_code == 403
            assert service.http.post(f"/v1/admin/{path}", json=body).status_code == 401
            wrong = dpo.post(f"/v1/admin/{path}", json={"person": CLIENT})
            assert (wrong.status_code, CLIENT in wrong.text) == (400, False)
        assert dpo.post("/v1/admin/subjects/erase", json={"subjects": []}).status_code == 400
        renewed = operator.post("/v1/admin/keys/renew")
        assert (renewed.status_code, renewed.json()) == (200, {"generation": 2})
        stop = dpo.post("/v1/admin/stops", json={"kind": "subject", "name": CLIENT})
        assert search(dpo, CLIENT) == [int(stop.headers["X-Audit-Record"])]
    assert [event.officer for event in installed.events(KeysRenewed)] == ["sidorov"]
    assert [event.target for event in installed.events(StopChanged)] == [""]
    assert installed.events(ErasureAsked) == []


def command(
    service: Running, *arguments: str, said: str = "", who: str = "petrova"
) -> subprocess.CompletedProcess[str]:
    key = service.installed.path.parent / "state/keys" / who
    words = [sys.executable, "-m", "appliance", "audit", *arguments, "--url", service.url, "--officer-key", str(key)]
    return subprocess.run(words, capture_output=True, text=True, input=said, timeout=60)


def test_the_commands_do_the_same_and_say_so_in_russian(installed: Installed) -> None:
    with running(installed) as service:
        number = ask(service, CLIENT)
        found = command(service, "search", "--subject", CLIENT)
        held = command(service, "hold", "--subject", CLIENT, "--ground", "court-3")
        refused = command(service, "erase", "--subject", CLIENT, "--yes")
        lifted = command(service, "unhold", "--subject", CLIENT)
        again = command(service, "unhold", "--subject", CLIENT)
        doubted = command(service, "erase", "--subject", CLIENT, said="n\n")
        erased = command(service, "erase", "--subject", CLIENT, said="y\n")
        gone = command(service, "search", "--subject", CLIENT, "--json")
        renewed = command(service, "renew-keys", who="sidorov")
        forbidden = command(service, "search", "--subject", CLIENT, who="sidorov")
        wordy = command(service, "search", "--subject", CLIENT, "--ground", "потому что")
        url = service.url
    assert f"Записи: {number}." in found.stdout
    assert "удерживается" in held.stdout
    assert (refused.returncode, "409" in refused.stderr, "удерживаются" in refused.stderr) == (2, True, True)
    assert "удержание снято" in lifted.stdout
    assert "удержания не было" in again.stdout
    assert (doubted.returncode, installed.events(ErasureAsked)[1:] != []) == (1, True)
    assert (erased.returncode, "криптографическое стирание" in erased.stdout) == (0, True)
    assert "резервную копию" in erased.stdout
    assert gone.stdout == '{"records": []}\n'
    assert "Поколение 3" in renewed.stdout
    assert (forbidden.returncode, "403" in forbidden.stderr) == (2, True)
    assert (wordy.returncode, "потому" in wordy.stderr) == (2, False)
    key = str(installed.path.parent / "state/keys/petrova")
    words = [sys.executable, "-m", "appliance", "audit", "renew-keys", "--url", url, "--officer-key", key]
    silent = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (silent.returncode, "он запущен" in silent.stderr) == (2, True)
