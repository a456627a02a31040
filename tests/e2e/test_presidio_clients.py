"""What Presidio's clients send, copied from LiteLLM's guardrail, and what must hold of the answers that they rely on."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.events import Analyzed, RefusalReason, Refused
from policies import Entity
from tests.e2e.running import Installed, Running, running

TEXT = "Клиент Иванов Пётр Сергеевич, тел. +7 916 555-01-02, petrov@example.ru"


def client_of(service: Running, key: str | None = None) -> httpx.Client:
    """A client that knows nothing but an address: the key is the password in it."""
    base = service.url.replace("http://", f"http://litellm:{key or service.installed.key}@")
    return httpx.Client(base_url=base, headers={"Accept": "application/json"}, timeout=60, trust_env=False)


def anonymize(
    service: Running, text: str, results: list[tuple[str, int, int, float]], anonymizers: dict[str, Any] | None = None
) -> str:
    found = [{"entity_type": kind, "start": start, "end": end, "score": score} for kind, start, end, score in results]
    with client_of(service) as client:
        response = client.post(
            "/anonymize", json={"text": text, "analyzer_results": found, "anonymizers": anonymizers or {}}
        )
    assert response.status_code == 200, response.text
    answer = response.json()
    for item in answer["items"]:
        assert answer["text"][item["start"] : item["end"]] == item["text"]
    return str(answer["text"])


def test_litellm_analyzes_filters_and_anonymizes(service: Running) -> None:
    with client_of(service) as client:
        found = client.post(
            "/analyze", json={"text": TEXT, "language": "en", "entities": ["PERSON", "PHONE_NUMBER", "US_SSN"]}
        )
        answer = client.post("/anonymize", json={"text": TEXT, "analyzer_results": found.json()})

    assert found.headers["content-type"] == answer.headers["content-type"] == "application/json"
    assert answer.json()["text"] == "Клиент <PERSON>, тел. <PHONE_NUMBER>, petrov@example.ru"
    assert [item["entity_type"] for item in answer.json()["items"]] == ["PHONE_NUMBER", "PERSON"]
    assert [event.found for event in service.installed.events(Analyzed)[-2:]] == [
        {Entity.PERSON: 1, Entity.PHONE: 1, Entity.EMAIL: 1},
        {Entity.PERSON: 1, Entity.PHONE: 1},
    ]


def test_litellm_counts_the_tokens_of_its_own_in_code_points(service: Running) -> None:
    text = "😀 Клиент Иванов Пётр Сергеевич 😀, petrov@example.ru"
    with client_of(service) as client:
        found = client.post("/analyze", json={"text": text, "language": "en"}).json()

    for number, each in reversed(list(enumerate(found, 1))):
        text = f"{text[: each['start']]}<{each['entity_type']}_{number}>{text[each['end'] :]}"
    assert text == "😀 Клиент <PERSON_1> 😀, <EMAIL_ADDRESS_2>"


def test_a_wrong_key_is_an_error_and_never_an_empty_list(service: Running) -> None:
    with client_of(service, "apl_wrong") as client:
        response = client.post("/analyze", json={"text": TEXT, "language": "en"})

    assert response.status_code == 401
    assert "Bearer" in response.headers["www-authenticate"]
    assert 'Basic realm="appliance"' in response.headers["www-authenticate"]
    assert "Иванов" not in response.text


def test_a_client_that_sends_its_password_only_when_asked_is_asked(service: Running) -> None:
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, service.url, "any", service.installed.key)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(passwords)
    )

    with opener.open(f"{service.url}/analyze", json.dumps({"text": TEXT}).encode(), timeout=60) as response:
        assert [each["entity_type"] for each in json.load(response)] == ["PERSON", "PHONE_NUMBER", "EMAIL_ADDRESS"]


@pytest.mark.parametrize("path", ["/v1/pii/analyze", "/analyze"])
def test_a_detector_that_does_not_answer_says_nothing_is_clean(tmp_path: Path, path: str) -> None:
    installed = Installed(tmp_path, top="[detector]\ntimeout_ms = 1\n")
    with running(installed) as service:
        response = service.http.post(path, content=json.dumps({"text": TEXT * 2000}).encode())

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "inspection_failed"
    assert installed.events(Analyzed) == []
    assert [event.reason for event in installed.events(Refused)] == [RefusalReason.DETECTOR]


def test_what_can_only_be_looked_for_elsewhere_is_not_said_to_be_absent(service: Running) -> None:
    with client_of(service) as client:
        response = client.post("/analyze", json={"text": TEXT, "language": "en", "entities": ["US_SSN", "UK_NHS"]})

    assert response.status_code == 400
    assert response.json()["error"]["param"] == "entities"


MASK_TWO = {"type": "mask", "masking_char": "*", "chars_to_mask": 2, "from_end": True}
KEEP = {"type": "keep"}


@pytest.mark.parametrize(
    ("results", "anonymizers", "expected"),
    [
        # A value to be hidden, with a surer one inside it, beside it or at the same place that may be kept.
        ([("PERSON", 0, 8, 0.5), ("LOCATION", 3, 6, 0.9)], {"LOCATION": KEEP}, "<PERSON>89AB"),
        ([("PERSON", 0, 8, 0.5), ("LOCATION", 6, 10, 0.9)], {"LOCATION": KEEP}, "<PERSON>AB"),
        ([("PERSON", 0, 8, 0.5), ("LOCATION", 0, 8, 0.9)], {"LOCATION": KEEP}, "<PERSON>89AB"),
        ([("PERSON", 0, 8, 0.5), ("LOCATION", 6, 10, 0.9)], {"DEFAULT": KEEP}, "0123456789AB"),
        # A mask of two characters is for its own value.
        ([("PERSON", 0, 8, 0.5), ("PHONE_NUMBER", 6, 10, 0.9)], {"PHONE_NUMBER": MASK_TWO}, "**********AB"),
        ([("PERSON", 0, 8, 0.5), ("PHONE_NUMBER", 6, 10, 0.9)], {"DEFAULT": MASK_TWO}, "**********AB"),
        ([("PHONE_NUMBER", 0, 8, 0.5), ("PHONE_NUMBER", 0, 8, 0.9)], {"DEFAULT": MASK_TWO}, "012345**89AB"),
        # A chain: the last overlaps the first only through the one between.
        ([("A", 0, 4, 0.5), ("B", 3, 7, 0.9), ("C", 6, 9, 0.6)], {}, "<B>9AB"),
        ([("A", 0, 4, 0.5), ("B", 4, 7, 0.9)], {}, "<A><B>789AB"),
        # Either name of a kind is its name.
        ([("PHONE_NUMBER", 0, 8, 0.5)], {"PHONE": {"type": "redact"}, "DEFAULT": KEEP}, "89AB"),
        ([("PHONE", 0, 8, 0.5)], {"PHONE_NUMBER": {"type": "redact"}, "DEFAULT": KEEP}, "89AB"),
        ([("PERSON", 0, 8, 0.5)], {"DEFAULT": {"type": "replace", "new_value": ""}}, "<PERSON>89AB"),
    ],
)
def test_what_one_result_hides_no_other_shows(
    service: Running, results: list[tuple[str, int, int, float]], anonymizers: dict[str, Any], expected: str
) -> None:
    assert anonymize(service, "0123456789AB", results, anonymizers) == expected
    assert anonymize(service, "0123456789AB", results[::-1], anonymizers) == expected


def test_a_hash_is_the_one_that_presidio_gives_for_the_same_salt(service: Running) -> None:
    # presidio_anonymizer 2.2.366, the same request.
    expected = "072c9870353fd3ee79b882c5eeec2c2ac4a0923ef932b2769d71e8be88b591ed"
    salted = {"DEFAULT": {"type": "hash", "salt": "0123456789abcdef"}}

    assert anonymize(service, "89165550102", [("PHONE_NUMBER", 0, 11, 0.9)], salted) == expected


def test_a_small_request_does_not_become_a_huge_answer(service: Running) -> None:
    results = [{"entity_type": "PERSON", "start": at, "end": at + 1, "score": 1} for at in range(2000)]
    asked = {"text": "a" * 2000, "analyzer_results": results}

    def answer(length: int) -> httpx.Response:
        with client_of(service) as client:
            body = asked | {"anonymizers": {"DEFAULT": {"type": "replace", "new_value": "b" * length}}}
            return client.post("/anonymize", json=body)

    assert answer(100).status_code == 200
    assert answer(20_000).status_code == 400


def test_what_presidio_can_undo_is_refused_with_the_reason(service: Running) -> None:
    with client_of(service) as client:
        answer = client.post("/deanonymize", json={"text": TEXT, "deanonymizers": {}, "anonymizer_results": []})
        listed = [client.get(path).json() for path in ("/deanonymizers", "/recognizers")]

    assert answer.status_code == 400
    assert "undo" in answer.json()["error"]["message"]
    assert "Иванов" not in answer.text
    assert listed[0] == []
    assert len(listed[1]) == 1


def test_only_health_is_told_without_a_key(service: Running) -> None:
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
        assert client.get("/health").status_code == 200
        for path in ("/supportedentities", "/recognizers", "/anonymizers", "/deanonymizers"):
            assert client.get(path).status_code == 401
        assert client.post("/deanonymize", json={}).status_code == 401
