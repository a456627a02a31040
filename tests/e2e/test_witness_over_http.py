"""Two appliances, one the witness of the other's log: over HTTP, with keys as an administrator exchanges them."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import httpx
import pytest

from appliance.errors import SettingsError
from appliance.events import Outcome, Unwitnessed, Witnessed
from appliance.service import open_service
from appliance.settings import load_settings, problems
from audit import AuditLog, AuditReader, Entry, Submission, WitnessVerifier, verify_file
from tests.e2e.running import Installed, Process, Running, running

LOG = """
[audit]
origin = "{name}.test/audit"
witness_seconds = 0.05
{more}
[[audit.witnesses]]
url = "{url}/witness"
key_file = "{key}"
"""


class Pair:
    """The folders of a log and of its witness. The witness's address is known when it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "one").mkdir()
        (folder / "two").mkdir()
        self.log: Installed | None = None
        first = Installed(folder / "one", extra='[audit]\norigin = "one.test/audit"\n')
        public = first.settings.log.signing_key_file.with_suffix(".pub")
        extra = f'[audit]\norigin = "two.test/audit"\n[witness]\nname = "two.test/witness"\nlogs = ["{public}"]\n'
        self.witness = Installed(folder / "two", extra=extra)
        self.key = self.witness.settings.witness_key.with_suffix(".pub")

    def installed(self, url: str, more: str = "") -> Installed:
        shutil.rmtree(self.folder / "one/policy")
        return Installed(self.folder / "one", extra=LOG.format(name="one", url=url, key=self.key, more=more))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def state(service: Running, name: str = "witness:two.test/witness") -> str:
    return service.http.get("/readyz").json()["parts"].get(name, "")


def eventually(condition) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


def test_a_log_that_grows_is_cosigned_and_an_auditor_can_rely_on_it(pair: Pair, tmp_path: Path) -> None:
    with running(pair.witness) as witness:
        installed = pair.installed(witness.url)
        with running(installed) as service:
            for _ in range(3):
                assert service.chat(model="local").status_code == 200
            eventually(lambda: state(service) == "ok")
            size = len(installed.records())
            eventually(lambda: pair_seen(witness, pair) >= size)
    report = verify_file(
        installed.settings.log.path,
        installed.settings.log.signing_key_file.with_suffix(".pub").read_text(),
        None,
        [pair.key.read_text()],
    )
    assert report.ok
    assert report.witnessed >= size
    assert "witness" not in report.not_proven
    assert [event.witness for event in installed.events(Witnessed)] == ["two.test/witness"]


def pair_seen(witness: Running, pair: Pair) -> int:
    """Where the witness says that it stands, asked as any log would."""

    state = pair.folder / "one/state"
    with AuditReader.open(state / "audit/audit.db", state / "keys/audit.kek") as reader:
        body = Submission(0, (), reader.checkpoint()).body()
    answer = httpx.post(f"{witness.url}/witness/add-checkpoint", content=body.encode())
    assert (answer.status_code, answer.headers["content-type"]) == (409, "text/x.tlog.size")
    return int(answer.text)


def test_a_witness_that_is_away_stops_nothing_and_is_told_of_and_asked_again(pair: Pair) -> None:
    installed = pair.installed("http://127.0.0.1:9", "witness_alarm_hours = 0.00001")
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
        eventually(lambda: "не отвечает" in state(service))
        eventually(lambda: installed.events(Unwitnessed) != [])
    assert len(installed.events(Unwitnessed)) == 1
    with running(pair.witness) as witness, running(pair.installed(witness.url)) as service:
        eventually(lambda: state(service) == "ok")


def test_a_log_put_back_to_an_earlier_state_writes_nothing_more(pair: Pair, tmp_path: Path) -> None:
    with running(pair.witness) as witness:
        installed = pair.installed(witness.url)
        with running(installed) as service:
            assert service.chat(model="local").status_code == 200
        shutil.copytree(installed.settings.state, tmp_path / "earlier")
        with running(installed) as service:
            for _ in range(3):
                assert service.chat(model="local").status_code == 200
            eventually(lambda: state(service) == "ok")
            size = len(installed.records())
            eventually(lambda: pair_seen(witness, pair) >= size)
        shutil.rmtree(installed.settings.state)  # the whole machine, as from a snapshot
        shutil.copytree(tmp_path / "earlier", installed.settings.state)
        with running(installed) as service:  # known before the first request
            refused = service.chat(model="local")
            assert "откатили" in state(service)
            ready = service.http.get("/readyz")
        answered = len(installed.events(Outcome))

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "audit_unavailable")
    assert (ready.status_code, ready.json()["parts"]["audit"]) == (503, "rolled-back")
    assert answered == 1

    # The witness is out of reach from here on: the mark alone keeps the service from starting.
    mark = installed.settings.state / "rolled-back"
    with pytest.raises(RuntimeError, match="журнал остановлен, потому что его откатили"):
        Process(installed)
    (problem,) = problems(installed.settings)
    assert all(words in problem for words in (str(mark), "two.test/witness", "Верните журнал"))
    with pytest.raises(SettingsError, match="откатили"):
        asyncio.run(opened(installed))
    mark.unlink()
    with running(installed) as service:
        assert "не отвечает" in state(service)


async def opened(installed: Installed) -> None:
    """The service, opened by who asks for no problems first."""
    async with open_service(installed.settings):
        pass


def test_a_history_of_the_same_length_that_is_another_one_is_found(pair: Pair, tmp_path: Path) -> None:
    with running(pair.witness) as witness:
        installed = pair.installed(witness.url)
        shutil.copytree(installed.path.parent / "state", tmp_path / "before")
        with running(installed) as service:
            eventually(lambda: state(service) == "ok")
            eventually(lambda: pair_seen(witness, pair) >= len(installed.records()))
        shutil.rmtree(installed.path.parent / "state")
        shutil.copytree(tmp_path / "before", installed.path.parent / "state")

        async def forge() -> None:
            async with AuditLog.open(installed.settings.log) as log:
                for number in range(30):
                    await log.append(Entry(20, 1, b"%d" % number))

        asyncio.run(forge())
        with running(installed) as service:
            eventually(lambda: "подменили" in state(service))
            assert service.chat(model="local").status_code == 503


def test_who_is_no_witness_and_whose_log_is_unknown(pair: Pair, tmp_path: Path) -> None:
    with running(pair.witness) as witness:
        assert httpx.post(f"{witness.url}/witness/add-checkpoint", content=b"old 0\n").status_code == 400
        (tmp_path / "three").mkdir()
        extra = LOG.format(name="three", url=witness.url, key=pair.key, more="")
        with running(Installed(tmp_path / "three", extra=extra)) as service:
            eventually(lambda: "не знает" in state(service))
            answer = httpx.post(f"{service.url}/witness/add-checkpoint", content=b"old 0\n\nx\n")
            assert answer.status_code == 404


def test_settings_of_witnesses_are_checked(tmp_path: Path, pair: Pair) -> None:
    for old, new, words in (
        ("http://127.0.0.1:9", "http://witness.example", "только внутри сети"),
        (str(pair.key), str(tmp_path / "nothing"), "не читается"),
        (str(pair.key), str(pair.witness.settings.log.signing_key_file.with_suffix(".pub")), "ключ свидетеля"),
        ("[[audit.witnesses]]", '[[audit.witnesses]]\nca_file = "no-such"', "нет"),
        ("[[audit.witnesses]]", '[[audit.witnesses]]\ncertificate_file = "no-such"', "вместе"),
    ):
        installed = pair.installed("http://127.0.0.1:9")
        path = installed.path
        path.write_text(path.read_text().replace(old, new))
        assert any(words in problem for problem in problems(load_settings(path))), words
    assert WitnessVerifier.parse(pair.key.read_text()).name == "two.test/witness"
