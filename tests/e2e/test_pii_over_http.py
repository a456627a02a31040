"""`/v1/pii/analyze` and Presidio's API: what is found, in whose words, what is recorded, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.events import Analyzed, Interface, RefusalReason, Refused
from policies import Entity
from tests.e2e.running import Installed, Running, running
from tests.e2e.upstream import Upstream

TEXT = "Клиент Иванов Пётр Сергеевич, тел. +7 916 555-01-02. Письмо Иванову П. С. на petrov@example.ru"


def post(service: Running, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    authorization = {"Authorization": f"Bearer {service.installed.key}", "Content-Type": "application/json"}
    return httpx.post(f"{service.url}{path}", content=content, headers=authorization | headers, timeout=60)


def test_every_finding_says_where_it_stands_what_it_is_and_whom_it_denotes(
    service: Running, upstream: Upstream
) -> None:
    response = post(service, "/v1/pii/analyze", {"text": TEXT})

    assert response.status_code == 200
    answer = response.json()
    assert answer["object"] == "pii.analysis"
    assert answer["found"] == {"PERSON": 2, "PHONE": 1, "EMAIL": 1}
    (text,) = answer["texts"]
    assert [(TEXT[each["start"] : each["end"]], each["kind"], each["id"]) for each in text["findings"]] == [
        ("Иванов Пётр Сергеевич", "PERSON", "PERSON_1"),
        ("+7 916 555-01-02", "PHONE", "PHONE_1"),
        ("Иванову П. С.", "PERSON", "PERSON_1"),
        ("petrov@example.ru", "EMAIL", "EMAIL_1"),
    ]
    assert text["findings"][0] | {"score": 0} == {
        "start": 7,
        "end": 28,
        "kind": "PERSON",
        "category": "general",
        "score": 0,
        "id": "PERSON_1",
        "gender": "male",
        "case": "nominative",
    }
    assert "Иванов" not in response.text
    assert upstream.received == []


def test_texts_share_their_people_and_a_label_is_context(service: Running) -> None:
    asked = {
        "texts": ["Позвоните Анне Смирновой", {"content": "4510123456", "label": "passport"}, "Смирнова Анна, ждём"]
    }

    answer = post(service, "/v1/pii/analyze", asked).json()

    assert [[(each["kind"], each["id"]) for each in text["findings"]] for text in answer["texts"]] == [
        [("PERSON", "PERSON_1")],
        [("PASSPORT", "PASSPORT_1")],
        [("PERSON", "PERSON_1")],
    ]


def test_kinds_and_scores_choose_what_is_shown_and_not_what_is_recorded(service: Running) -> None:
    answer = post(service, "/v1/pii/analyze", {"text": TEXT, "kinds": ["PHONE"], "min_score": 0.5}).json()

    assert [each["kind"] for each in answer["texts"][0]["findings"]] == ["PHONE"]
    assert service.installed.events(Analyzed)[-1].found == {Entity.PERSON: 2, Entity.PHONE: 1, Entity.EMAIL: 1}


def test_it_is_recorded_before_it_is_answered(service: Running) -> None:
    response = post(service, "/v1/pii/analyze", {"text": TEXT, "user": "u-7"}, **{"X-Subject": "client-42"})

    record = service.installed.records()[int(response.headers["X-Audit-Record"])]
    event = service.installed.events()[record.seq]
    assert isinstance(event, Analyzed)
    assert (event.app, event.purpose, event.interface, event.texts) == ("tests-app", "general", Interface.ANALYZE, 1)
    assert event.ground
    assert len(event.user) == 16
    assert [len(subject) for subject in record.subjects if subject] == [16]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        ({}, "text"),
        ({"text": "а", "texts": ["б"]}, "text"),
        ({"text": 5}, "text"),
        ({"text": "а", "kind": "PERSON"}, "kind"),
        ({"text": "а", "kinds": ["FOO"]}, "kinds[0]"),
        ({"text": "а", "min_score": 2}, "min_score"),
        ({"texts": ["а"] * 2049}, "texts"),
        ({"texts": [{"content": "а", "label": "б" * 257}]}, "texts[0].label"),
    ],
)
def test_bad_input_is_told_where_it_is(service: Running, body: Any, param: str | None) -> None:
    response = post(service, "/v1/pii/analyze", body)

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("content", ["а\u0000б", "а\ud800б"])
def test_what_cannot_be_inspected_is_refused_and_recorded(service: Running, content: str) -> None:
    response = post(service, "/v1/pii/analyze", {"text": content})

    assert response.status_code == 400
    if "\u0000" in content:
        assert service.installed.events(Refused)[-1].reason is RefusalReason.UNINSPECTABLE


@pytest.mark.parametrize("path", ["/v1/pii/analyze", "/analyze", "/anonymize"])
def test_a_purpose_that_the_key_was_not_given_is_refused_and_recorded(service: Running, path: str) -> None:
    before = len(service.installed.events(Analyzed))
    body = {"text": "а"} | ({"analyzer_results": []} if path == "/anonymize" else {})

    response = post(service, path, body, **{"X-Purpose": "marketing"})

    assert response.status_code == 403
    assert service.installed.events(Refused)[-1].reason is RefusalReason.PURPOSE
    assert len(service.installed.events(Analyzed)) == before


@pytest.mark.parametrize("path", ["/v1/pii/analyze", "/analyze", "/anonymize"])
def test_without_a_key_there_is_no_answer(service: Running, path: str) -> None:
    assert post(service, path, {"text": "а"}, Authorization="Bearer apl_wrong").status_code == 401


def test_a_key_is_taken_as_the_password_of_basic_authentication(service: Running) -> None:
    for credentials, status in (
        (f"litellm:{service.installed.key}", 200),
        (f":{service.installed.key}", 200),
        (f"{service.installed.key}:", 401),
        ("litellm:apl_wrong", 401),
    ):
        basic = base64.b64encode(credentials.encode()).decode()
        assert post(service, "/analyze", {"text": "а"}, Authorization=f"Basic {basic}").status_code == status
    assert post(service, "/analyze", {"text": "а"}, Authorization="Basic ???").status_code == 401


def test_nothing_is_said_when_the_log_cannot_be_written(tmp_path: Path) -> None:
    installed = Installed(tmp_path, top="[audit]\nmax_bytes = 200_000\n")
    with running(installed) as service:
        assert post(service, "/v1/pii/analyze", {"text": TEXT}).status_code == 200
        while (response := post(service, "/v1/pii/analyze", {"text": TEXT})).status_code == 200:
            pass

        assert response.json()["error"]["code"] == "audit_unavailable"
        assert "PERSON" not in response.text
        assert post(service, "/analyze", {"text": TEXT}).status_code == 503


# --- Presidio ---


def test_presidio_s_analyzer_answers_in_its_own_words(service: Running) -> None:
    # What LiteLLM's guardrail sends: language `en` unless it is told otherwise.
    found = post(service, "/analyze", {"text": TEXT, "language": "en"}).json()

    assert [(TEXT[each["start"] : each["end"]], each["entity_type"]) for each in found] == [
        ("Иванов Пётр Сергеевич", "PERSON"),
        ("+7 916 555-01-02", "PHONE_NUMBER"),
        ("Иванову П. С.", "PERSON"),
        ("petrov@example.ru", "EMAIL_ADDRESS"),
    ]
    assert all(0.5 <= each["score"] <= 1 for each in found)
    assert service.installed.events(Analyzed)[-1].interface is Interface.PRESIDIO_ANALYZE


def test_presidio_s_choices_are_kept(service: Running) -> None:
    def kinds(**fields: Any) -> list[str]:
        return [
            each["entity_type"] for each in post(service, "/analyze", {"text": TEXT, "language": "ru"} | fields).json()
        ]

    assert kinds(entities=["PHONE_NUMBER", "US_SSN"]) == ["PHONE_NUMBER"]
    assert kinds(entities=["PHONE"]) == ["PHONE_NUMBER"]
    assert len(kinds(entities=[])) == 4
    assert kinds(allow_list=["petrov@example.ru", "+7 916 555-01-02"]) == ["PERSON", "PERSON"]
    assert kinds(score_threshold=1.0) == []
    assert len(post(service, "/analyze", {"text": [TEXT, "погода"], "language": "ru"}).json()) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"ad_hoc_recognizers": [{"name": "x", "patterns": [{"regex": "(a+)+$"}]}]},
        {"allow_list": ["."], "allow_list_match": "regex"},
        {"entities": ["person; drop"]},
        {"entities": ["US_SSN"]},
        {"text": 5},
        {"surprise": 1},
    ],
)
def test_what_would_weaken_or_stall_the_analyzer_is_refused(service: Running, fields: dict[str, Any]) -> None:
    assert post(service, "/analyze", {"text": TEXT} | fields).status_code == 400


def test_presidio_s_anonymizer_replaces_what_it_is_told(service: Running) -> None:
    found = post(service, "/analyze", {"text": TEXT}).json()
    asked = {
        "text": TEXT,
        "analyzer_results": found,
        "anonymizers": {
            "PHONE_NUMBER": {"type": "mask", "masking_char": "*", "chars_to_mask": 7, "from_end": True},
            "EMAIL_ADDRESS": {"type": "redact"},
        },
    }

    answer = post(service, "/anonymize", asked).json()

    assert answer["text"] == "Клиент <PERSON>, тел. +7 916 55*******. Письмо <PERSON> на "
    assert [answer["text"][item["start"] : item["end"]] for item in answer["items"]] == [
        "",
        "<PERSON>",
        "+7 916 55*******",
        "<PERSON>",
    ]
    assert [item["operator"] for item in answer["items"]] == ["redact", "replace", "mask", "replace"]
    event = service.installed.events(Analyzed)[-1]
    assert event.interface is Interface.PRESIDIO_ANONYMIZE
    assert event.found == {Entity.PERSON: 2, Entity.PHONE: 1, Entity.EMAIL: 1}


def test_results_that_overlap_leave_nothing_over_and_eat_nothing(service: Running) -> None:
    results = [
        {"entity_type": "PERSON", "start": 2, "end": 6, "score": 0.6},
        {"entity_type": "PHONE_NUMBER", "start": 4, "end": 9, "score": 0.9},
        {"entity_type": "PERSON", "start": 4, "end": 5, "score": 0.7},
    ]

    answer = post(service, "/anonymize", {"text": "0123456789AB", "analyzer_results": results}).json()

    assert answer["text"] == "01<PHONE_NUMBER>9AB"


def test_a_hash_without_a_salt_of_the_caller_s_says_nothing_and_with_one_is_the_same(service: Running) -> None:
    result = {"entity_type": "PHONE_NUMBER", "start": 0, "end": 11, "score": 0.9}

    def hashed(**operator: str) -> str:
        asked = {
            "text": "89165550102",
            "analyzer_results": [result],
            "anonymizers": {"DEFAULT": {"type": "hash"} | operator},
        }
        return str(post(service, "/anonymize", asked).json()["text"])

    assert hashed() != hashed()
    assert hashlib.sha256(b"89165550102").hexdigest() not in {hashed(), hashed(hash_type="sha512")}
    salt = "0123456789abcdef"
    assert hashed(salt=salt) == hashed(salt=salt) == hashlib.sha256(b"89165550102" + salt.encode()).hexdigest()


@pytest.mark.parametrize(
    "fields",
    [
        {"anonymizers": {"DEFAULT": {"type": "encrypt", "key": "0" * 16}}},
        {"anonymizers": {"DEFAULT": {"type": "custom"}}},
        {"anonymizers": {"DEFAULT": {"type": "hash", "hash_type": "md5"}}},
        {"anonymizers": {"DEFAULT": {"type": "hash", "salt": "guessed"}}},
        {"anonymizers": {"DEFAULT": {"type": "hash", "salt": ""}}},
        {"anonymizers": {"DEFAULT": {"type": "mask", "masking_char": "**"}}},
        {"analyzer_results": [{"entity_type": "PERSON", "start": 0, "end": 99, "score": 1}]},
        {"analyzer_results": [{"entity_type": "PERSON", "start": -1, "end": 1, "score": 1}]},
    ],
)
def test_what_the_anonymizer_cannot_do_is_an_error(service: Running, fields: dict[str, Any]) -> None:
    response = post(service, "/anonymize", {"text": "Иван", "analyzer_results": []} | fields)

    assert response.status_code == 400
    assert "Иван" not in response.text


def test_what_presidio_s_clients_ask_first(service: Running) -> None:
    assert httpx.get(f"{service.url}/health").status_code == 200
    headers = {"Authorization": f"Bearer {service.installed.key}"}
    names = httpx.get(f"{service.url}/supportedentities?language=ru", headers=headers).json()
    assert {"PERSON", "PHONE_NUMBER", "SNILS"} <= set(names)
    assert "mask" in httpx.get(f"{service.url}/anonymizers", headers=headers).json()
