"""What officers do while requests run: stops that act at once, a policy that changes without a restart, signatures it needs."""

from __future__ import annotations

import base64
import shutil
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from appliance.endorsement import Role, endorse
from appliance.events import Booted, Intent, Outcome, PolicyChanged, Refused, StopChanged
from appliance.settings import load_governed, load_settings
from audit import Signer, create_signing_key, load_signing_key
from policies import PolicyFileError, load_policy
from tests.e2e.running import Installed, Process, Running, running
from tests.e2e.upstream import Reply, Upstream

STAFF = """
[[staff]]
id = "petrova"
duties = ["dpo"]
file = "state/keys/petrova"

[[staff]]
id = "sidorov"
duties = ["operator"]
file = "state/keys/sidorov"
"""
VECTORS = """
[[providers]]
kind = "openai_compatible"
name = "vectors"
base_url = "{upstream}"
models = [{{ name = "v", residency = "ru", country = "RU", recipient = "partner", task = "embedding" }}]
"""
PERSONAL = "Позвоните: Иванов Пётр Сергеевич, +7 916 123-45-67."


@pytest.fixture
def governed(tmp_path: Path, upstream: Upstream) -> Installed:
    return Installed(tmp_path, upstream.base_url, extra=STAFF)


def staff(service: Running, who: str = "petrova") -> httpx.Client:
    key = (service.installed.path.parent / "state/keys" / who).read_text().strip()
    return httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30)


@pytest.mark.parametrize(
    ("kind", "name", "headers", "model"),
    [
        ("app", "tests-app", {}, "local"),
        ("key", "tests", {}, "local"),
        ("purpose", "general", {}, "local"),
        ("route", "local/mock-normal", {}, "local"),
        ("recipient", "partner", {}, "cloud"),
        ("subject", "клиент-17", {"X-Subject": "клиент-17".encode()}, "local"),
        ("consent", "согласие 5", {"X-Consent": "согласие 5".encode()}, "local"),
    ],
)
def test_a_stop_closes_what_it_names_with_the_next_request_and_until_it_is_lifted(governed, kind, name, headers, model):
    with running(governed) as service, staff(service) as officer:
        assert service.chat(model=model, headers=headers).status_code == 200
        laid = officer.post("/v1/admin/stops", json={"kind": kind, "name": name, "ground": "case-12"})
        refused = service.chat(model=model, headers=headers)
        listed = officer.get("/v1/admin/stops").json()["stops"]
        lifted = officer.post("/v1/admin/stops/lift", json={"kind": kind, "name": name})
        again = service.chat(model=model, headers=headers)

    rule = "consent-withdrawn" if kind == "consent" else f"stopped-{kind}"
    assert (laid.status_code, refused.status_code, lifted.status_code, again.status_code) == (200, 403, 200, 200)
    assert rule in refused.json()["error"]["message"]
    assert [(stop["kind"], stop["by"], stop["ground"]) for stop in listed] == [(kind, "petrova", "case-12")]
    one, two = governed.events(StopChanged)
    assert (one.laid, two.laid, one.officer, one.kind, one.target) == (True, False, "petrova", kind, two.target)
    assert governed.events(Refused)[-1].rules == (rule,)
    assert int(laid.headers["X-Audit-Record"]) < int(refused.headers["X-Audit-Record"])
    if kind in {"subject", "consent"}:
        assert name not in (governed.settings.stops_path.read_text() + repr(governed.events()) + str(listed))
    assert governed.verify().ok


def test_a_stop_breaks_off_an_answer_that_streams(governed, upstream):
    go_on = threading.Event()
    upstream.replies = [Reply("слово за словом " * 20_000, hold=go_on)]
    body = {"model": "cloud", "stream": True, "messages": [{"role": "user", "content": "Расскажи сказку."}]}
    with running(governed) as service, staff(service) as officer:
        with service.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            begun = next(line for line in lines if '"content":"слово' in line)
            stopped = officer.post("/v1/admin/stops", json={"kind": "recipient", "name": "partner"})
            rest = [line for line in lines if line]
            still = service.chat(model="local")
        go_on.set()
        assert upstream.hung_up.wait(30)

    assert begun
    assert '"code":"stopped"' in rest[-1]
    assert "stopped-recipient" in rest[-1]
    assert not any('"content"' in line for line in rest)
    assert (stopped.status_code, still.status_code) == (200, 200)
    assert [outcome.status for outcome in governed.events(Outcome)] == ["stopped", "completed"]
    assert governed.verify().ok


@pytest.mark.parametrize("address", ["/v1/chat/completions", "/v1/embeddings"])
def test_a_stop_ends_a_call_that_waits_for_its_provider(tmp_path, upstream, address):
    governed = Installed(tmp_path, upstream.base_url, extra=STAFF + VECTORS.format(upstream=upstream.base_url))
    with running(governed) as service, staff(service) as officer:
        upstream.on_call = lambda _: officer.post("/v1/admin/stops", json={"kind": "app", "name": "tests-app"})
        told = {"messages": [{"role": "user", "content": "Привет"}]} if "chat" in address else {"input": "Привет"}
        refused = service.http.post(address, json={"model": "cloud" if "chat" in address else "vectors", **told})

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "stopped")
    assert refused.headers["X-Audit-Record"] == str(governed.events(Outcome)[0].intent)
    assert [outcome.status for outcome in governed.events(Outcome)] == ["stopped"]
    assert len(upstream.received) == 1


def test_nothing_is_tried_again_after_a_stop(tmp_path, upstream):
    installed = Installed(tmp_path, upstream.base_url, extra=STAFF, router="retries = 5\n")
    failed = threading.Event()
    upstream.replies = [Reply(status=503, raw=b"{}", headers={"Retry-After": "2"})]
    upstream.on_call = lambda _: failed.set()
    answers = []
    with running(installed) as service, staff(service) as officer:
        asking = threading.Thread(target=lambda: answers.append(service.chat(model="cloud")))
        asking.start()
        assert failed.wait(30)
        officer.post("/v1/admin/stops", json={"kind": "purpose", "name": "general"})
        asking.join()

    assert answers[0].status_code == 403
    assert "stopped-purpose" in answers[0].json()["error"]["message"]
    assert len(upstream.received) == len(installed.events(Intent)) == 1


def test_a_stop_of_a_person_leaves_other_people_alone(governed):
    with running(governed) as service, staff(service) as officer:
        officer.post("/v1/admin/stops", json={"kind": "subject", "name": "a"})
        assert service.chat(model="local", headers={"X-Subject": "b"}).status_code == 200
        assert service.chat(model="local").status_code == 200
        assert (
            service.http.post("/v1/pii/analyze", json={"text": PERSONAL}, headers={"X-Subject": "a"}).status_code == 403
        )


def test_stops_outlive_a_restart_and_a_spoiled_list_of_them_keeps_the_service_down(governed):
    with running(governed) as service, staff(service) as officer:
        officer.post("/v1/admin/stops", json={"kind": "app", "name": "tests-app"})
    with running(governed) as service:
        assert service.chat(model="local").status_code == 403
    governed.settings.stops_path.write_text("[{", encoding="utf-8")
    with pytest.raises(BaseExceptionGroup) as caught, running(governed):
        pass
    assert "список остановок не читается" in repr(caught.value)


def test_staff_and_applications_have_keys_of_their_own_and_duties_are_kept_apart(governed):
    with running(governed) as service, staff(service, "sidorov") as operator, staff(service) as officer:
        assert service.http.get("/v1/admin/stops").status_code == 401
        assert officer.get("/v1/models").status_code == 401
        assert operator.post("/v1/admin/stops", json={"kind": "app", "name": "x"}).status_code == 200
        refused = operator.post("/v1/admin/stops/lift", json={"kind": "app", "name": "x"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "duty_required")
        missing = officer.post("/v1/admin/stops/lift", json={"kind": "app", "name": "y"})
        assert (missing.status_code, "остановки `app` с таким именем нет" in missing.text) == (404, True)
        bad = officer.post("/v1/admin/stops", json={"kind": "planet", "name": "x"})
        assert (bad.status_code, bad.json()["error"]["param"]) == (400, "kind")
        wordy = officer.post("/v1/admin/stops", json={"kind": "app", "name": "x", "ground": "потому что Иванов просил"})
        assert wordy.status_code == 400


def closing_rule(folder: Path, name: str = "closed") -> None:
    """A rule that refuses everything everywhere, in a file of its own."""
    (folder / "a-closing.toml").write_text(
        f'[[rules]]\nid = "{name}"\ncategories = ["general"]\nresidencies = ["local", "ru", "foreign"]\nalways = true\n'
        'verdict = "refuse"\narticle = "Приказ"\nreason = "Закрыто."\nadvice = "Подождите."\n',
        encoding="utf-8",
    )


def test_a_changed_policy_comes_into_force_without_a_restart_and_a_broken_one_does_not(governed):
    folder = governed.settings.policy_path
    with running(governed) as service, staff(service, "sidorov") as operator:
        before = operator.get("/v1/admin/policy").json()
        closing_rule(folder)
        assert service.chat(model="local").status_code == 200  # not before somebody says so
        reloaded = operator.post("/v1/admin/policy/reload")
        assert (reloaded.status_code, reloaded.json()["digest"]) == (200, load_policy(folder).digest)
        assert service.chat(model="local").status_code == 403
        (folder / "a-closing.toml").write_text("[[rules]]", encoding="utf-8")
        broken = operator.post("/v1/admin/policy/reload")
        assert (broken.status_code, broken.json()["error"]["code"]) == (409, "policy_rejected")
        assert "missing required field `id`" in broken.text
        assert "действует прежняя" in broken.text
        assert service.chat(model="local").status_code == 403  # still the one before

    accepted, rejected = governed.events(PolicyChanged)
    assert (accepted.accepted, accepted.officer, accepted.old_digest.hex()) == (True, "sidorov", before["digest"])
    assert (rejected.accepted, rejected.problems, rejected.old_digest) == (False, 1, accepted.new_digest)
    assert governed.events(Refused)[-1].policy_digest == accepted.new_digest


def test_a_policy_that_a_key_or_a_route_does_not_fit_is_refused(governed):
    folder = governed.settings.policy_path
    with running(governed) as service, staff(service) as officer:
        (folder / "partners.toml").unlink()
        refused = officer.post("/v1/admin/policy/reload")
    assert refused.status_code == 409
    assert "карточки `partner` нет" in refused.text


def test_a_request_under_way_ends_under_the_policy_it_began_with(governed, upstream):
    folder = governed.settings.policy_path
    old = load_policy(folder)
    with running(governed) as service, staff(service) as officer:

        def reload(_: object) -> None:
            closing_rule(folder)
            assert officer.post("/v1/admin/policy/reload").status_code == 200

        upstream.on_call = reload
        answered = service.chat(PERSONAL, model="cloud")
        upstream.on_call = None
        refused = service.chat(PERSONAL, model="cloud")
    assert (answered.status_code, refused.status_code) == (200, 403)
    (intent,) = governed.events(Intent)
    assert intent.policy_digest.hex() == old.digest


def test_sighup_reads_the_policy_again(governed):
    with Process(governed) as process:
        service = process.running
        closing_rule(governed.settings.policy_path)
        process.signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while service.chat(model="local").status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert service.chat(model="local").status_code == 403
    (changed,) = governed.events(PolicyChanged)
    assert (changed.accepted, changed.officer, changed.request_id) == (True, "", "")


# --- Signatures ---


class Signed:
    """An installation whose policy needs signatures of two people."""

    def __init__(self, folder: Path, upstream: str, *, four_eyes: bool = True) -> None:
        for name in ("anna", "boris", "vera"):
            create_signing_key(folder / f"{name}.key", name)
        people = "".join(
            f'[[policy.signers]]\nid = "{name}"\nkey_file = "{name}.pub"\nrevoked = {str(name == "vera").lower()}\n'
            for name in ("anna", "boris", "vera")
        )
        self.folder = folder
        shutil.copytree(Installed(folder / "plain").settings.policy_path, folder / "policy")
        extra = f'{STAFF}\n[policy]\nfolder = "policy"\nfour_eyes = {str(four_eyes).lower()}\n{people}'
        self.installed = Installed(folder, upstream, extra=extra)

    def sign(self, name: str, role: Role, *, digest: str | None = None) -> None:
        policy = self.folder / "policy"
        signer = load_signing_key(self.folder / f"{name}.key")
        endorse(policy, digest or load_policy(policy).digest, signer, role, datetime(2026, 11, 23, tzinfo=UTC))

    def problems(self) -> str:
        with pytest.raises(PolicyFileError) as caught:
            load_governed(load_settings(self.installed.path))
        return str(caught.value)


@pytest.fixture
def signed(tmp_path: Path, upstream: Upstream) -> Signed:
    (tmp_path / "plain").mkdir()
    return Signed(tmp_path, upstream.base_url)


def test_four_eyes_are_two_people_and_both_are_in_the_record(signed):
    assert "не подписана автором" in signed.problems()
    signed.sign("anna", Role.AUTHOR)
    assert "нужна подпись второго человека" in signed.problems()
    signed.sign("anna", Role.APPROVER)
    assert "нужна подпись второго человека" in signed.problems()
    signed.sign("boris", Role.APPROVER)
    with running(signed.installed) as service, staff(service) as officer:
        closing_rule(signed.folder / "policy")
        unsigned = officer.post("/v1/admin/policy/reload")
        assert unsigned.status_code == 409
        assert "от другой редакции политики" in unsigned.text
        assert service.chat(model="local").status_code == 200
        signed.sign("boris", Role.AUTHOR)
        signed.sign("anna", Role.APPROVER)
        assert officer.post("/v1/admin/policy/reload").status_code == 200
        assert service.chat(model="local").status_code == 403
    changed = signed.installed.events(PolicyChanged)[-1]
    assert (changed.author, changed.approver) == ("boris", "anna")
    assert len(signed.installed.events(Booted)) == 1


def test_a_signature_by_a_revoked_key_another_key_or_for_another_role_does_not_count(signed):
    signed.sign("vera", Role.AUTHOR)
    assert "подпись `vera` отозвана" in signed.problems()
    notes = signed.folder / "policy/signatures"
    shutil.rmtree(notes)
    signed.sign("anna", Role.APPROVER)
    (notes / "anna.approver.note").rename(notes / "anna.author.note")
    assert "подпись `anna` сделана для другого" in signed.problems()
    (notes / "anna.author.note").write_text(
        (notes / "anna.author.note").read_text().replace("approver", "author"), encoding="utf-8"
    )
    assert "подпись не принадлежит ключу" in signed.problems()
    signed.sign("boris", Role.AUTHOR)
    (notes / "boris.author.note").rename(notes / "anna.author.note")
    assert "подпись не принадлежит ключу" in signed.problems()


def test_two_names_with_one_key_are_one_person(tmp_path, upstream):
    (tmp_path / "plain").mkdir()
    signed = Signed(tmp_path, upstream.base_url)
    signed.sign("anna", Role.AUTHOR)
    seed = base64.b64decode((tmp_path / "anna.key").read_text().split("+", 4)[4])[1:]
    twin = Signer("boris", seed)
    (tmp_path / "boris.pub").write_text(twin.verifier.vkey + "\n", encoding="utf-8")
    policy = tmp_path / "policy"
    endorse(policy, load_policy(policy).digest, twin, Role.APPROVER, datetime(2026, 11, 23, tzinfo=UTC))
    assert "нужна подпись второго человека" in signed.problems()
