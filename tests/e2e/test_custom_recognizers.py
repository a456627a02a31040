"""A customer's recognisers in a running service and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.__main__ import main
from appliance.events import Booted, Intent, RefusalReason, Refused
from policies import Entity
from tests.e2e.running import Installed, running
from tests.e2e.upstream import Upstream

RULES = """
[[recognizer]]
name = "contract-number"
kind = "OTHER"
patterns = ['\\bД-\\d{4}/\\d{2}\\b']
context = ["договор"]
score = 0.6

[[recognizer]]
name = "clinics"
kind = "HEALTH"
words_file = "clinics.txt"
forms = true
"""
LAMP = """
from presidio_analyzer import EntityRecognizer, RecognizerResult


class Lamp(EntityRecognizer):
    def __init__(self, word):
        self.word = word
        super().__init__(supported_entities=["LAMP"])

    def load(self):
        pass

    def analyze(self, text, entities, nlp_artifacts):
        if "авария" in text:
            raise RuntimeError(text)
        place = text.find(self.word)
        return [] if place < 0 else [RecognizerResult("LAMP", place, place + len(self.word), 0.9)]
"""
CLASS = """
[[recognizer]]
name = "lamps"
class = "customers_lamp:Lamp"
kinds = { "LAMP" = "OTHER" }
arguments = { word = "накаливания" }
"""


@pytest.fixture
def customers(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """An installation with a customer's file of recognisers and his package."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/recognizers.toml").write_text(RULES + CLASS, encoding="utf-8")
    (tmp_path / "own/clinics.txt").write_text("Клиника Ромашка\n", encoding="utf-8")
    (tmp_path / "customers_lamp.py").write_text(LAMP, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Installed(tmp_path, upstream.base_url, extra='[detector]\nrecognizers = "own/recognizers.toml"')


def appliance(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


class TestService:
    def test_what_the_customer_looks_for_is_hidden_from_the_cloud_and_comes_back(
        self, customers: Installed, upstream: Upstream
    ) -> None:
        text = "По договору Д-1234/22 заменили лампу накаливания. Договор Д-1234/22 закрыт."
        with running(customers) as service:
            response = service.chat(text, model="cloud")

        assert response.json()["choices"][0]["message"]["content"] == text
        assert response.headers["x-verdict"] == "mask"
        assert upstream.received[0].body["messages"][0]["content"] == (
            "По договору [OTHER_1] заменили лампу [OTHER_2]. Договор [OTHER_1] закрыт."
        )
        (intent,) = customers.events(Intent)
        (booted,) = customers.events(Booted)
        assert intent.found == {Entity.OTHER: 3}
        assert intent.detector == booted.detector
        assert intent.detector.count("@") == 1

    def test_a_customers_kind_decides_like_one_of_ours(self, customers: Installed, upstream: Upstream) -> None:
        with running(customers) as service:
            response = service.chat("Записали в клинику Ромашку на вторник", model="cloud")

        assert response.status_code == 403
        assert upstream.received == []

    def test_a_class_that_raises_stops_the_request_and_is_not_quoted(
        self, customers: Installed, upstream: Upstream
    ) -> None:
        with running(customers) as service:
            failed = service.chat("авария на складе", model="cloud")
            well = service.chat("погода хорошая", model="cloud")

        assert (failed.status_code, well.status_code) == (503, 200)
        assert "склад" not in failed.text
        assert len(upstream.received) == 1
        assert [event.reason for event in customers.events(Refused)] == [RefusalReason.DETECTOR]

    def test_a_file_with_a_fault_keeps_the_service_from_starting(self, customers: Installed) -> None:
        rules = customers.path.parent / "own/recognizers.toml"
        rules.write_text(rules.read_text(encoding="utf-8").replace("Д-", "(").replace("HEALTH", "HEALING"))

        for command in ("check", "serve"):
            result = appliance(command, "--settings", customers.path)

            assert result.exit_code == 2
            assert "`contract-number`" in result.output
            assert "HEALING" in result.output
            assert "Traceback" not in result.output


class TestCommand:
    def test_everything_that_is_looked_for_is_listed(self, customers: Installed) -> None:
        result = appliance("pii", "recognizers", "--settings", customers.path)

        assert result.exit_code == 0, result.output
        for named in (
            "ФИО", "recognizers.passport", "примеров", "встроенный",
            "contract-number", "данные по правилу заказчика (OTHER)", "файл", "0.60", "шаблонов 1",
            "clinics", "слов 5", "lamps", "класс: customers_lamp:Lamp",
        ):  # fmt: skip
            assert named in result.output, named

    def test_the_list_is_read_by_programs_too(self, customers: Installed) -> None:
        lines = appliance("pii", "recognizers", "--settings", customers.path, "--json").output.splitlines()
        listed = {each["name"]: each for each in map(json.loads, lines)}

        assert listed["contract-number"] == {
            "name": "contract-number",
            "origin": "file",
            "source": str(customers.path.parent / "own/recognizers.toml"),
            "kinds": ["OTHER"],
            "score": 0.6,
            "patterns": 1,
            "words": 0,
        }
        assert listed["lamps"]["kinds"] == ["OTHER"]
        assert listed["passport"]["examples"] > 10

    def test_without_a_file_the_built_in_ones_are_listed_and_the_setting_is_named(self, tmp_path: Path) -> None:
        result = appliance("pii", "recognizers", "--state", tmp_path)

        assert result.exit_code == 0
        assert "OGRNIP" in result.output
        assert "detector" in result.output

    def test_every_problem_of_the_file_is_told(self, customers: Installed) -> None:
        folder = customers.path.parent / "own"
        (folder / "clinics.txt").unlink()
        rules = folder / "recognizers.toml"
        text = rules.read_text(encoding="utf-8").replace("word = ", "words = ")
        rules.write_text(text + '[[recognizer]]\nname = "Own"\nkind = "OTHER"\n', encoding="utf-8")

        result = appliance("pii", "recognizers", "--settings", customers.path)

        assert result.exit_code == 2
        for named in ("clinics.txt", "`lamps`", "TypeError", "4-й по счёту"):
            assert named in result.output, result.output
        assert len(result.output.strip().splitlines()) == 4
