"""`appliance policy …` as a DPO and an administrator use it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.__main__ import main
from appliance.events import PolicyChanged
from appliance.settings import load_settings
from policies import load_policy, shipped_policy_path
from tests.bundles import OVERSEAS, PARTNER, with_partners
from tests.e2e.running import Installed, running
from tests.e2e.test_governance import STAFF, closing_rule, staff
from tests.e2e.upstream import Upstream

PERSONAL = "Позвоните: Иванов Пётр Сергеевич, +7 916 123-45-67."


def appliance(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return with_partners(tmp_path / "bundle")


def test_the_shipped_bundle_is_good_and_its_cases_are_decided_as_they_expect():
    checked = appliance("policy", "check", shipped_policy_path())
    tested = appliance("policy", "test", shipped_policy_path(), "--all")
    assert (checked.exit_code, tested.exit_code) == (0, 0)
    assert "Ошибок нет." in checked.output
    assert "карточка `sber`: draft" in checked.output
    assert tested.output.count("верно: ") >= 60


def test_every_problem_of_a_bundle_is_named(bundle):
    (bundle / "rules.toml").write_text((bundle / "rules.toml").read_text().replace('"mask"', '"perhaps"'))
    result = appliance("policy", "check", bundle)
    assert result.exit_code == 2
    assert result.output.count("invalid enum value 'perhaps'") == 2
    assert "Traceback" not in result.output


def test_a_case_that_is_decided_otherwise_fails_and_says_how(bundle):
    cases = bundle / "cases/mine.toml"
    cases.write_text(
        "day = 2026-11-23\n"
        f"cases = [{{ name = 'имя', text = '{PERSONAL}', purpose = 'general', residency = 'ru', recipient = 'partner', expect = 'send' }},\n"
        f"{{ name = 'правило', text = '{PERSONAL}', purpose = 'general', residency = 'foreign', expect = 'refuse', rule = 'nobody' }},\n"
        f"{{ name = 'скрыто', text = '{PERSONAL}', purpose = 'general', residency = 'ru', recipient = 'partner', expect = 'mask', masks = ['PHONE'] }},\n"
        f"{{ name = 'цель', text = '{PERSONAL}', purpose = 'leisure', residency = 'ru', expect = 'send' }}]\n",
        encoding="utf-8",
    )
    result = appliance("policy", "test", bundle)
    assert result.exit_code == 1
    assert "mine.toml: имя: ожидалось send, получено mask [general-ru-masked]; найдено: PERSON, PHONE" in result.output
    assert "правила `nobody` среди решивших нет" in result.output
    assert "скрыто PERSON, PHONE, а ожидалось PHONE" in result.output
    assert "цели `leisure` в политике нет" in result.output
    cases.write_text("day = 1", encoding="utf-8")
    assert appliance("policy", "test", bundle).exit_code == 2


def test_explain_says_of_every_route_what_would_happen_and_why(tmp_path, upstream):
    installed = Installed(tmp_path, upstream.base_url)
    result = appliance("policy", "explain", PERSONAL, "--settings", installed.path, "--json")
    routes = {route["route"]: route for route in json.loads(result.output)["routes"]}
    assert {name: route["verdict"] for name, route in routes.items()} == {
        "cloud/big": "mask", "abroad/huge": "refuse", "local/mock-normal": "send",
    }  # fmt: skip
    assert routes["cloud/big"]["masks"] == {"PERSON": "identifier", "PHONE": "identifier"}
    assert "152-ФЗ, ст. 12" in routes["abroad/huge"]["words"]
    assert json.loads(result.output)["found"] == {"PERSON": 1, "PHONE": 1}
    assert "Иванов" not in result.output
    assert upstream.received == []


def test_explain_takes_a_request_file_and_shows_what_would_leave(tmp_path, upstream):
    installed = Installed(tmp_path, upstream.base_url)
    body = {"model": "auto", "messages": [{"role": "user", "content": PERSONAL}]}
    (tmp_path / "request.json").write_text(json.dumps(body), encoding="utf-8")
    shown = appliance(
        "policy", "explain", "--request", tmp_path / "request.json", "--settings", installed.path, "--outgoing"
    )
    assert shown.exit_code == 0
    cloud, local = shown.output.split("На cloud/big ушло бы:")[1].split("На local/mock-normal ушло бы:")
    assert "[PERSON_1" in cloud
    assert "123-45-67" not in cloud
    assert "123-45-67" in local
    broken = appliance("policy", "explain", "--request", installed.path, "--settings", installed.path)
    assert (broken.exit_code, "не" in broken.output or "JSON" in broken.output) == (2, True)
    assert appliance("policy", "explain", "--settings", installed.path, stdin=" ").exit_code == 2


def test_diff_names_what_came_went_and_changed_and_which_verdicts(bundle, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    text = (other / "rules.toml").read_text()
    rule = text.index('id = "general-ru-masked"')
    (other / "rules.toml").write_text(text[:rule] + text[rule:].replace('verdict = "mask"', 'verdict = "refuse"', 1))
    (other / "partners.toml").write_text(PARTNER.replace("2099-12-31", "2030-12-31"), encoding="utf-8")
    (other / "bundle.toml").write_text((other / "bundle.toml").read_text().replace('"base"', '"kii"'))
    closing_rule(other)
    result = appliance("policy", "diff", bundle, other)
    for line in (
        "надстройка: base → kii",
        "получатель `overseas`: больше нет",
        "получатель `partner`: `valid_until`: 2099-12-31 → 2030-12-31",
        "правило `general-ru-masked`: `verdict`: mask → refuse",
        "правило `closed`: новое",
        "решение, в России, цель `general`: закрыто для любого текста",
    ):
        assert line in result.output
    assert "решение, в России, цель `general`: mask → refuse: PERSON" in result.output
    assert appliance("policy", "diff", bundle, bundle).output == "Различий нет.\n"


def test_replay_decides_the_log_again_without_any_text(tmp_path, upstream: Upstream, bundle):
    installed = Installed(tmp_path, upstream.base_url)
    with running(installed) as service:
        for _ in range(3):
            assert service.chat(PERSONAL, model="cloud").status_code == 200
        assert service.chat("Привет", model="cloud").status_code == 200
        assert service.chat(PERSONAL, model="abroad").status_code == 403
        assert service.chat(PERSONAL, model="local").status_code == 200
    same = appliance("policy", "replay", installed.settings.policy_path, "--settings", installed.path)
    assert "Решений в журнале 6: стало бы отказом 0, скрыто больше 0, разрешено больше 0." in same.output

    (bundle / "partners.toml").write_text(OVERSEAS, encoding="utf-8")  # no card for the recipient in Russia
    stricter = appliance("policy", "replay", bundle, "--settings", installed.path)
    assert "стало бы отказом 3, скрыто больше 0, разрешено больше 0." in stricter.output
    assert "3 × отказ: tests-app, цель general → cloud/big [recipient-missing]" in stricter.output

    text = (bundle / "rules.toml").read_text()
    (bundle / "rules.toml").write_text(
        text.replace('verdict = "refuse"\narticle = "152-ФЗ, ст. 12"', 'verdict = "mask"\narticle = "152-ФЗ, ст. 12"')
    )
    (bundle / "partners.toml").write_text(PARTNER + OVERSEAS, encoding="utf-8")
    milder = appliance("policy", "replay", bundle, "--settings", installed.path)
    assert "1 × разрешено больше: tests-app, цель general → abroad/huge" in milder.output

    purposes = (bundle / "purposes.toml").read_text()
    (bundle / "purposes.toml").write_text(
        purposes.replace('allows = ["general", "special", "biometric", "secret"]', 'allows = ["secret"]', 1)
    )
    excess = appliance("policy", "replay", bundle, "--settings", installed.path)
    assert "1 × скрыто больше: tests-app, цель general → local/mock-normal [purpose-excess]" in excess.output


def test_a_policy_is_signed_by_two_applied_and_taken_by_the_running_service(tmp_path, upstream, bundle):
    people = "".join(f'[[policy.signers]]\nid = "{name}"\nkey_file = "{name}.pub"\n' for name in ("anna", "boris"))
    for name in ("anna", "boris"):
        assert appliance("policy", "keygen", name, tmp_path / f"{name}.key").exit_code == 0
    start = with_partners(tmp_path / "start")
    installed = Installed(tmp_path, upstream.base_url, extra=f"{STAFF}\n[policy]\nfour_eyes = true\n{people}")

    def sign(folder: Path) -> None:
        for name, role in (("anna", "author"), ("boris", "approver")):
            done = appliance("policy", "sign", folder, "--key", tmp_path / f"{name}.key", "--role", role)
            assert done.exit_code == 0, done.output

    unsigned = appliance("policy", "apply", start, "--settings", installed.path)
    assert (unsigned.exit_code, "не подписана автором" in unsigned.output) == (2, True)
    sign(start)
    first = appliance("policy", "apply", start, "--settings", installed.path)
    assert first.exit_code == 0, first.output
    assert "получатель `partner`: новое" in first.output
    settings = load_settings(installed.path)
    assert settings.policy_path == settings.applied_policy
    assert load_policy(settings.policy_path).digest == load_policy(start).digest

    with running(installed) as service, staff(service) as officer:
        assert service.chat(PERSONAL, model="cloud").status_code == 200
        (bundle / "partners.toml").write_text(
            PARTNER.replace('["use", "storage"]', '["use"]') + OVERSEAS, encoding="utf-8"
        )
        wrong = bundle / "cases/wrong.toml"
        wrong.write_text(
            f"day = 2026-11-23\ncases = [{{ name = 'н', text = '{PERSONAL}', purpose = 'general', residency = 'local', expect = 'refuse' }}]",
            encoding="utf-8",
        )
        sign(bundle)
        refused = appliance("policy", "apply", bundle, "--settings", installed.path)
        assert (refused.exit_code, "случаи политики решены иначе" in refused.output) == (2, True)
        wrong.unlink()
        applied = appliance("policy", "apply", bundle, "--settings", installed.path)
        assert applied.exit_code == 0, applied.output
        assert "стало бы отказом 1" in applied.output
        assert service.chat(PERSONAL, model="cloud").status_code == 200
        assert officer.post("/v1/admin/policy/reload").status_code == 200
        assert service.chat(PERSONAL, model="cloud").status_code == 403

    (changed,) = installed.events(PolicyChanged)
    assert (changed.author, changed.approver, changed.officer) == ("anna", "boris", "petrova")
    assert (changed.replayed, changed.refused, changed.masked, changed.allowed) == (1, 1, 0, 0)
    assert len(changed.difference) == 32


def test_apply_leaves_a_folder_of_the_administrators_own_alone(tmp_path, upstream, bundle):
    installed = Installed(tmp_path, upstream.base_url)
    result = appliance("policy", "apply", bundle, "--settings", installed.path)
    assert (result.exit_code, "политикой управляет каталог" in result.output) == (2, True)
