"""`/v1/privacy/…`: texts hidden for an application that calls a model itself, and brought back to nobody else."""

from __future__ import annotations

import json

import httpx
import pytest

from appliance.events import Explained, Masked, RefusalReason, Refused, Unmasked
from policies import Entity, Residency, Verdict
from tests.e2e.running import Installed, Running, running
from tests.e2e.upstream import Upstream

DECISIONS = """
[[purposes]]
id = "decision"
title = "т"
basis = "6.1.7"
ground = "о"
allows = ["general"]
legal_effect = true
"""
KEY = """
[[keys]]
id = "decider"
app = "decider-app"
purposes = ["decision"]
default_purpose = "decision"
file = "state/keys/decider"
"""
TEXT = "Клиент Иванов Пётр Сергеевич, тел. +7 916 123-45-67, просит ответить Иванову П. С."
PARTNER = {"residency": "ru", "recipient": "partner"}


@pytest.fixture(scope="module")
def service(tmp_path_factory, module_upstream) -> Running:
    installed = Installed(tmp_path_factory.mktemp("privacy"), module_upstream.base_url, extra=KEY, policy=True)
    (installed.settings.policy_path / "decisions.toml").write_text(DECISIONS, encoding="utf-8")
    with running(installed) as service:
        yield service


def post(service: Running, what: str, body: object, **headers: str) -> httpx.Response:
    return service.http.post(f"/v1/privacy/{what}", json=body, headers=headers)


def of(service: Running, name: str) -> str:
    return "Bearer " + (service.installed.path.parent / f"state/keys/{name}").read_text().strip()


def test_texts_go_out_hidden_and_a_models_answer_comes_back_whole(service):
    masked = post(service, "mask", {"texts": [TEXT, "Ничего личного."], **PARTNER})
    assert masked.status_code == 200
    body = masked.json()
    assert body["texts"] == [
        "Клиент [PERSON_1_M], тел. [PHONE_1], просит ответить [PERSON_1_M:2]",
        "Ничего личного.",
    ]
    assert (body["verdict"], body["hidden"]) == ("mask", {"PERSON": 2, "PHONE": 1})
    assert body["methods"] == {"PERSON": "identifier", "PHONE": "identifier"}
    event = service.installed.events(Masked)[-1]
    assert (event.residency, event.recipient, event.texts) == (Residency.RU, "partner", 2)
    assert event.found == {Entity.PERSON: 2, Entity.PHONE: 1}
    assert int(masked.headers["X-Audit-Record"]) == body["record"]

    answer = "Уважаемый [person_1_m]! Мы позвоним на [PHONE_1]; [PERSON_1_M:2] ждёт и [PERSON_9]."
    unmasked = post(service, "unmask", {"texts": [answer], "mapping": body["mapping"]})
    back = "Уважаемый Иванов Пётр Сергеевич! Мы позвоним на +7 916 123-45-67; Иванову П. С. ждёт и [PERSON_9]."
    assert unmasked.json()["texts"] == [back]
    assert unmasked.json()["unrestored"] == 1
    seen = service.installed.events(Unmasked)[-1]
    assert (seen.masked, seen.texts, seen.unrestored) == (body["record"], 1, 1)


def test_inside_json_the_originals_are_escaped(service):
    quoted = 'ООО "Ромашка", Иванов Пётр Сергеевич'
    masked = post(service, "mask", {"texts": [quoted], **PARTNER}).json()
    arguments = json.dumps({"who": masked["texts"][0]}, ensure_ascii=False)
    asked = {"texts": [arguments], "mapping": masked["mapping"], "json_strings": True}
    assert json.loads(post(service, "unmask", asked).json()["texts"][0]) == {"who": quoted}


def test_within_the_organisation_names_stay_and_there_is_nothing_to_bring_back(service):
    masked = post(service, "mask", {"texts": [TEXT], "residency": "local"}).json()
    assert masked["texts"] == [TEXT]
    assert (masked["mapping"], masked["expires"], masked["verdict"]) == (None, None, "send")
    assert service.installed.events(Masked)[-1].verdict is Verdict.SEND


def test_a_mapping_is_of_its_application_alone(service):
    masked = post(service, "mask", {"texts": [TEXT], **PARTNER}).json()
    asked = {"texts": ["[PERSON_1_M]"], "mapping": masked["mapping"]}
    before = len(service.installed.events(Unmasked))
    other = post(service, "unmask", asked, Authorization=of(service, "purposeless"))
    assert (other.status_code, other.json()["error"]["param"]) == (400, "mapping")
    changed = post(service, "unmask", asked | {"mapping": masked["mapping"][:-9] + "AAAAAAAAA"})
    assert changed.status_code == 400
    assert "Иванов" not in other.text + changed.text
    assert len(service.installed.events(Unmasked)) == before
    assert post(service, "unmask", asked).json()["texts"] == ["Иванов Пётр Сергеевич"]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"residency": "ru"}, "получател"),
        ({"residency": "ru", "recipient": "nobody"}, "получател"),
        ({"residency": "foreign", "country": "US", "recipient": "partner"}, "получател"),
        ({"residency": "foreign", "country": "US", "recipient": ""}, "получател"),
    ],
)
def test_a_destination_that_may_not_be_sent_to_gets_no_texts(service, where, words):
    refused = post(service, "mask", {"texts": [TEXT], **where})
    assert refused.status_code == 403, refused.text
    assert words in refused.text
    assert "texts" not in refused.json()
    event = service.installed.events(Refused)[-1]
    assert event.reason is RefusalReason.POLICY
    assert event.found == {Entity.PERSON: 2, Entity.PHONE: 1}


def test_what_a_person_must_look_at_first_is_not_prepared_here(service):
    refused = post(service, "mask", {"texts": [TEXT], "residency": "local"}, Authorization=of(service, "decider"))
    assert refused.status_code == 403
    assert "сначала проверяет человек" in refused.text
    assert service.installed.events(Refused)[-1].rules == ("review-here",)


def test_an_explanation_tells_of_every_route_and_sends_nothing(service, upstream: Upstream):
    asked = {"model": "auto", "messages": [{"role": "user", "content": TEXT}]}
    response = post(service, "explain", asked)
    assert response.status_code == 200
    routes = {each["route"]: each for each in response.json()["routes"]}
    assert routes["cloud/big"]["masks"]["PHONE"] == "identifier"
    assert routes["local/mock-normal"]["verdict"] == "send"
    special = post(
        service, "explain", {"model": "auto", "messages": [{"role": "user", "content": TEXT + " У него диабет."}]}
    )
    abroad = next(each for each in special.json()["routes"] if each["route"] == "abroad/huge")
    assert abroad["verdict"] == "refuse"
    assert "152-ФЗ" in " ".join(abroad["articles"])
    assert upstream.received == []
    assert "Иванов" not in response.text
    assert service.installed.events(Explained)[-1].found[Entity.PERSON] == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"texts": [], "residency": "ru"}, "texts"),
        ({"texts": ["а"], "residency": "moon"}, "residency"),
        ({"texts": ["а"], "residency": "foreign"}, "country"),
        ({"texts": ["а"], "residency": "ru", "country": "Russia"}, "country"),
        ({"texts": ["а"], "residency": "foreign", "country": "RU"}, "country"),
        ({"texts": ["а"], "residency": "ru", "country": "US", "recipient": "overseas"}, "residency"),
        ({"texts": ["а"], "residency": "local", "country": "US"}, "residency"),
        ({"texts": ["а"], "residency": "local", "recipient": "partner"}, "recipient"),
        ({"texts": ["а"], "residency": "ru", "lifetime": 0}, "lifetime"),
        ({"texts": ["а"], "residency": "ru", "unknown": 1}, None),
    ],
)
def test_what_is_wrong_in_a_request_is_named(service, body, param):
    response = post(service, "mask", body)
    assert response.status_code == 400
    if param is not None:
        assert response.json()["error"]["param"] == param
    assert post(service, "mask", {"texts": ["а"], **PARTNER}, Authorization="Bearer no").status_code == 401


def test_no_value_and_no_mapping_is_in_the_log(service):
    masked = post(service, "mask", {"texts": [TEXT], **PARTNER}).json()
    raw = b"".join(entry.body for entry in service.installed.records())
    for secret in ("Иванов", "916 123-45-67", masked["mapping"]):
        assert secret.encode() not in raw


def test_it_outlives_a_restart_for_nothing_was_kept(tmp_path, upstream):
    installed = Installed(tmp_path, upstream.base_url)
    with running(installed) as first:
        masked = post(first, "mask", {"texts": [TEXT], **PARTNER}).json()
    with running(installed) as second:
        back = post(second, "unmask", {"texts": masked["texts"], "mapping": masked["mapping"]})
    assert back.json()["texts"] == [TEXT]
