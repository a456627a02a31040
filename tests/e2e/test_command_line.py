"""The command line as an administrator uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.__main__ import main
from appliance.settings import default_settings, problems
from providers.weights import SPECS
from tests.e2e.running import Installed, running
from tests.e2e.upstream import Upstream

PERSONAL = "Клиент Иванов Пётр Сергеевич, телефон +7 916 123-45-67"


def appliance(*arguments: object, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


class TestCheck:
    def test_good_settings_are_said_to_be_good(self, installed: Installed) -> None:
        result = appliance("check", "--settings", installed.path)

        assert result.exit_code == 0
        assert "в порядке" in result.output

    def test_every_problem_is_named_not_only_the_first(self, installed: Installed, tmp_path: Path) -> None:
        installed.settings.log.kek_file.chmod(0o644)
        installed.settings.pseudonym_key.unlink()
        (tmp_path / "policy/bundle.toml").write_text("verzion = 1", encoding="utf-8")
        text = installed.path.read_text().replace('default_purpose = "general"', 'default_purpose = "nothing"')
        installed.path.write_text(text, encoding="utf-8")

        result = appliance("check", "--settings", installed.path)

        assert result.exit_code == 2
        for named in ("audit.kek", "pseudonyms.key", "verzion", "nothing"):
            assert named in result.output
        assert "Traceback" not in result.output

    @pytest.mark.parametrize(
        ("line", "named"),
        [
            ("colour = 'red'", "colour"),
            ("[server]\nport = 'high'", "port"),
            ("[[providers]]\nkind = 'telepathy'", "telepathy"),
            ("[[keys]]\nid = 'Заглавная'", "keys"),
            ("this is not toml", "TOML"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_refused_with_the_key(self, tmp_path: Path, line: str, named: str) -> None:
        path = tmp_path / "settings.toml"
        path.write_text(line, encoding="utf-8")

        result = appliance("check", "--settings", path)

        assert result.exit_code == 2
        assert named in result.output

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        result = appliance("check", "--settings", tmp_path / "nowhere.toml")

        assert (result.exit_code, "nowhere.toml" in result.output) == (2, True)

    def test_reach_says_which_provider_does_not_answer(self, installed: Installed, tmp_path: Path) -> None:
        assert appliance("check", "--settings", installed.path, "--reach").exit_code == 0
        address = installed.path.read_text().split('base_url = "')[1].split('"')[0]
        installed.path.write_text(installed.path.read_text().replace(address, "http://127.0.0.1:9/v1"))

        result = appliance("check", "--settings", installed.path, "--reach")

        assert result.exit_code == 2
        assert "cloud" in result.output

    def test_keys_with_neither_file_nor_digest_or_twice_the_same_id_are_problems(self, installed: Installed) -> None:
        text = installed.path.read_text()
        installed.path.write_text(
            text
            + '\n[[keys]]\nid = "tests"\napp = "a"\npurposes = ["general"]\n[[keys]]\nid = "x"\napp = "a"\npurposes = ["fly"]\nsha256 = "AB"\n'
        )

        output = appliance("check", "--settings", installed.path).output

        assert "описан дважды" in output
        assert "укажите либо" in output
        assert "шестнадцатеричные" in output
        assert "`fly`" in output


class TestInit:
    def test_keys_are_made_once_and_for_their_owner_alone(self, tmp_path: Path) -> None:
        first = appliance("init", "--state", tmp_path / "state")
        keys = {path: path.read_bytes() for path in (tmp_path / "state/keys").iterdir()}
        second = appliance("init", "--state", tmp_path / "state")

        assert (first.exit_code, second.exit_code) == (0, 0)
        assert {path: path.read_bytes() for path in keys} == keys
        assert {path.stat().st_mode & 0o777 for path in keys if path.suffix != ".pub"} == {0o600}
        assert problems(default_settings(tmp_path / "state")) == []

    def test_a_lost_key_of_a_log_that_exists_is_not_replaced(self, installed: Installed) -> None:
        with running(installed):
            pass
        installed.settings.log.kek_file.unlink()

        result = appliance("init", "--settings", installed.path)

        assert result.exit_code == 2
        assert "резервной копии" in result.output
        assert not installed.settings.log.kek_file.exists()


class TestAudit:
    @pytest.fixture
    def used(self, installed: Installed, upstream: Upstream) -> Installed:
        with running(installed) as service:
            service.chat(PERSONAL, model="cloud", headers={"X-Subject": "client-42"})
            service.chat(PERSONAL, model="abroad")
            service.chat("Привет", headers={"Authorization": "Bearer wrong"})
        return installed

    def test_list_and_show_tell_what_was_decided_and_no_value(self, used: Installed) -> None:
        listed = appliance("audit", "list", "--settings", used.path)
        as_json = appliance("audit", "list", "--settings", used.path, "--json")
        records = [json.loads(line) for line in as_json.output.splitlines()]
        intent = next(record for record in records if record["kind"] == "Intent")
        shown = json.loads(appliance("audit", "show", intent["seq"], "--settings", used.path).output)

        assert listed.exit_code == 0
        assert [record["kind"] for record in records] == [
            "Booted",
            "Intent",
            "Outcome",
            "Refused",
            "AuthFailed",
            "ShutDown",
        ]
        assert shown == intent
        assert (shown["verdict"], shown["masked"], len(shown["subjects"])) == ("mask", {"PERSON": 1, "PHONE": 1}, 1)
        for output in (listed.output, as_json.output):
            for value in ("Иванов", "916 123", "client-42"):
                assert value not in output

    def test_a_record_that_is_not_there_is_said_so(self, used: Installed) -> None:
        result = appliance("audit", "show", 999, "--settings", used.path)

        assert (result.exit_code, "999" in result.output) == (2, True)

    def test_the_log_verifies_and_a_changed_byte_is_found_by_a_stranger(self, used: Installed, tmp_path: Path) -> None:
        assert appliance("audit", "verify", "--settings", used.path).exit_code == 0
        out = tmp_path / "log.bundle"
        command = ("audit", "export", out, "--bundle-only", "--settings", used.path)
        assert appliance(*command).exit_code == 0
        assert appliance(*command).exit_code == 2  # never overwritten
        damaged = bytearray(out.read_bytes())
        damaged[len(damaged) * 2 // 3] ^= 1
        (tmp_path / "damaged").write_bytes(damaged)
        public = used.settings.log.signing_key_file.with_suffix(".pub")

        whole, broken = (
            subprocess.run(
                [sys.executable, "-m", "audit", "verify", tmp_path / name, "--key", public],
                capture_output=True,
                text=True,
            )
            for name in ("log.bundle", "damaged")
        )

        assert whole.returncode == 0, whole.stderr
        assert broken.returncode == 1
        assert "запис" in broken.stdout

    def test_one_record_is_proven_to_a_stranger(self, used: Installed, tmp_path: Path) -> None:
        public = used.settings.log.signing_key_file.with_suffix(".pub")
        out = tmp_path / "closed.json"
        made = appliance("audit", "prove", 1, "--out", out, "--settings", used.path)
        assert made.exit_code == 0, made.output
        command = [sys.executable, "-m", "audit", "verify", out, "--key", public]
        assert "Содержимое не раскрыто" in subprocess.run(command, capture_output=True, text=True).stdout
        assert appliance("audit", "prove", 1, "--out", out, "--settings", used.path).exit_code == 2
        assert appliance("audit", "prove", 999, "--out", tmp_path / "x", "--settings", used.path).exit_code == 2
        assert not (tmp_path / "x").exists()

        kept = appliance("audit", "checkpoint", "--settings", used.path)
        (tmp_path / "kept").write_text(kept.output, encoding="utf-8")
        command = [sys.executable, "-m", "audit", "verify", used.settings.log.path, "--key", public, "--known"]
        assert subprocess.run([*command, tmp_path / "kept"], capture_output=True).returncode == 0

    def test_a_log_that_is_not_there_is_a_clear_error(self, installed: Installed) -> None:
        for command in (("list",), ("show", 0), ("verify",), ("export", "x"), ("checkpoint",)):
            result = appliance("audit", *command, "--settings", installed.path)
            assert result.exit_code == 2
            assert "ошибка" in result.output


class TestPii:
    def test_jsonl_in_jsonl_out_with_code_point_offsets(self) -> None:
        text = "😀 " + PERSONAL
        result = appliance(
            "pii", "scan", "--jsonl", stdin=json.dumps({"text": text, "id": 1}) + "\n\n" + '{"text": "Привет"}\n'
        )

        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.exit_code == 0
        assert lines[1] == {"findings": []}
        found = {finding["entity"]: text[finding["start"] : finding["end"]] for finding in lines[0]["findings"]}
        assert found == {"PERSON": "Иванов Пётр Сергеевич", "PHONE": "+7 916 123-45-67"}
        assert all(0 < finding["score"] <= 1 for finding in lines[0]["findings"])

    def test_plain_text_is_shown_for_people(self) -> None:
        result = appliance("pii", "scan", stdin=PERSONAL)

        assert "PHONE" in result.output

    @pytest.mark.parametrize("line", [b"not json\n", b'{"no": "text"}\n', b'{"text": "\xff"}\n'])
    def test_a_line_that_is_not_what_was_agreed_is_named_and_not_repeated(self, line: bytes) -> None:
        result = appliance("pii", "scan", "--jsonl", stdin=b'{"text": "a"}\n' + line)

        assert result.exit_code == 2
        assert "строка 2" in result.output
        assert "not json" not in result.output


class TestModel:
    def test_weights_that_are_there_are_not_fetched_again(self, tmp_path: Path) -> None:
        spec = SPECS["test"]
        path = tmp_path / spec.file_name
        with path.open("wb") as file:
            file.truncate(spec.size)
        path.with_name(path.name + ".sha256").write_text(spec.sha256)

        result = appliance("model", "fetch", "test", "--into", tmp_path)

        assert (result.exit_code, "уже на месте" in result.output) == (0, True)

    def test_without_an_index_it_is_said_what_happens_instead(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "appliance", "model", "fetch", "test", "--into", tmp_path / "models"]
        environment = {
            **os.environ,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(tmp_path),
            "PIP_CONFIG_FILE": os.devnull,
        }

        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

        assert done.returncode == 3
        assert "индекс пакетов недоступен" in done.stderr
        assert "имитатор" in done.stderr
        assert "Traceback" not in done.stderr


def test_serve_refuses_to_start_and_says_all_that_is_wrong(installed: Installed) -> None:
    installed.settings.log.kek_file.write_bytes(b"short")
    installed.settings.log.kek_file.chmod(0o600)
    installed.settings.pseudonym_key.unlink()

    done = subprocess.run(
        [sys.executable, "-m", "appliance", "serve", "--settings", installed.path],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert "audit.kek" in done.stderr
    assert "pseudonyms.key" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_first_run_prints_a_line_that_works_when_pasted(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "appliance",
        "serve",
        "--state",
        tmp_path / "var",
        "--local-model",
        "none",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("curl "))
        answer = subprocess.run(
            ["sh", "-c", f"{line.strip()} --silent --noproxy '*'"], capture_output=True, text=True, timeout=60
        )
        process.terminate()
        process.stdout.read()

    assert process.returncode == 0
    assert json.loads(answer.stdout)["choices"][0]["message"]["role"] == "assistant"


def test_the_tour_shows_the_four_requests_and_the_damaged_record() -> None:
    done = subprocess.run([sys.executable, "-m", "appliance", "demo"], capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    seen = [line for line in done.stdout.splitlines() if "Облако увидело" in line]
    assert len(seen) == 4
    assert "[PERSON_1_M]" in done.stdout
    assert "ЖУРНАЛ ЦЕЛ" in done.stdout.upper()
    assert "запис" in done.stdout
