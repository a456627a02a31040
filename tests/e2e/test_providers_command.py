"""`appliance providers list` and `check` as an administrator runs them, against upstreams that are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.__main__ import main
from tests.e2e.in_thread import served
from tests.e2e.running import Installed
from tests.providers.fakes.gigachat_server import CREDENTIALS, GigaChatServer
from tests.providers.fakes.ollama_server import OllamaServer
from tests.providers.fakes.openai_server import OpenAIServer

KEY = "sk-synthetic-key"


async def no_chat(request: object, body: object) -> None:
    raise AssertionError("a prompt was sent")


def written(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    (folder / name).chmod(0o600)


def openai(folder: Path, server: OpenAIServer, key: str = KEY) -> str:
    written(folder, "openai.key", key)
    return (
        f'[[providers]]\nkind = "openai_compatible"\nname = "up"\nbase_url = "{server.base_url}"\napi_key_file = "openai.key"\n'
        'models = [{ name = "m", residency = "local" }]\n'
    )


def gigachat(folder: Path, server: GigaChatServer) -> str:
    written(folder, "giga.key", CREDENTIALS)
    return (
        f'[[providers]]\nkind = "gigachat"\nname = "giga"\ncredentials_file = "giga.key"\nbase_url = "{server.base_url}"\n'
        f'auth_url = "{server.auth_url}"\nmodels = [{{ name = "GigaChat-2-Pro", residency = "ru", country = "RU", recipient = "partner" }}]\n'
    )


def ollama(server: OllamaServer) -> str:
    return (
        f'[[providers]]\nkind = "ollama"\nname = "gpu"\nbase_url = "{server.base_url}"\n'
        'models = [{ name = "m", residency = "local" }]\n'
    )


def run(folder: Path, command: str, *arguments: str, extra: str) -> Result:
    installed = Installed(folder, extra=extra)
    return CliRunner(env={"COLUMNS": "200"}).invoke(
        main, ["providers", command, *arguments, "--settings", str(installed.path)]
    )


def test_a_provider_that_works_is_told_so_and_nothing_is_asked_of_its_model(tmp_path: Path) -> None:
    with served(OpenAIServer(no_chat, key=KEY)) as server:
        done = run(tmp_path, "check", "up", extra=openai(tmp_path, server))

    assert done.exit_code == 0, done.output
    assert "Поставщик up" in done.output
    assert "нет" not in [cell.strip() for cell in done.output.split("│")]
    assert server.bodies == []


def test_a_key_that_is_not_taken_is_named_without_being_shown(tmp_path: Path) -> None:
    with served(OpenAIServer(no_chat, key="another")) as server:
        done = run(tmp_path, "check", "up", extra=openai(tmp_path, server))

    assert done.exit_code == 1
    assert "Ключ не принят" in done.output or "ключ" in done.output.lower()
    assert KEY not in done.output


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with served(OpenAIServer(no_chat, key=KEY)) as server:
        server.models = ["other"]
        done = run(tmp_path, "check", "up", "--json", extra=openai(tmp_path, server))

    checks = [json.loads(line) for line in done.output.splitlines()]
    assert done.exit_code == 1
    assert [check["title"] for check in checks if check["passed"] is False] == ["модель `m`"]
    assert all(check["provider"] == "up" for check in checks)


def test_a_gigachat_key_of_another_contract_is_told_which_scope_fits(tmp_path: Path) -> None:
    with served(GigaChatServer(no_chat, scope="GIGACHAT_API_PERS")) as server:
        done = run(tmp_path, "check", "giga", extra=gigachat(tmp_path, server))

    assert done.exit_code == 1
    assert 'укажите scope = "GIGACHAT_API_PERS"' in done.output
    assert server.bodies == []


def test_a_gigachat_that_works_shows_its_balance(tmp_path: Path) -> None:
    with served(GigaChatServer(no_chat)) as server:
        done = run(tmp_path, "check", "giga", extra=gigachat(tmp_path, server))

    assert done.exit_code == 0, done.output
    assert "99" in done.output
    assert server.bodies == []


def test_an_ollama_that_forwards_a_model_is_told_how_to_forbid_it(tmp_path: Path) -> None:
    cloud = {"remote_host": "https://ollama.com:443", "remote_model": "big"}
    with served(OllamaServer(no_chat, models={"m": {}, "big:cloud": cloud})) as server:
        done = run(tmp_path, "check", "gpu", extra=ollama(server))

    assert "OLLAMA_NO_CLOUD=1" in done.output
    assert server.bodies == []


def test_an_upstream_that_is_not_there_is_explained_in_words(tmp_path: Path) -> None:
    extra = (
        '[[providers]]\nkind = "openai_compatible"\nname = "up"\nbase_url = "http://127.0.0.1:9/v1"\n'
        'models = [{ name = "m", residency = "local" }]\n'
    )
    done = run(tmp_path, "check", "up", extra=extra)

    assert done.exit_code == 1
    assert "Нет связи с поставщиком" in done.output
    assert "Traceback" not in done.output


def test_all_providers_are_checked_when_none_is_named(tmp_path: Path) -> None:
    with served(OpenAIServer(no_chat, key=KEY)) as server:
        done = run(tmp_path, "check", extra=openai(tmp_path, server))

    for name in ("cloud", "abroad", "local", "up"):
        assert f"Поставщик {name}" in done.output


def test_a_name_that_is_not_in_the_settings_is_refused_with_those_that_are(tmp_path: Path) -> None:
    done = run(tmp_path, "check", "nobody", extra="")

    assert done.exit_code == 2
    assert "`cloud`, `abroad`, `local`" in done.output


@pytest.mark.parametrize("command", ["list", "check"])
def test_settings_with_a_fault_are_not_used(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, extra='[[aliases]]\nname = "x"\nroutes = ["no/such"]\n')

    assert done.exit_code == 2
    assert "маршрута `no/such` нет" in done.output


def test_the_list_shows_where_models_run_and_what_they_cost(tmp_path: Path) -> None:
    with served(GigaChatServer(no_chat)) as server:
        extra = gigachat(tmp_path, server) + '[[aliases]]\nname = "gpt-4o"\nroutes = ["giga/GigaChat-2-Pro"]\n'
        done = run(tmp_path, "list", extra=extra)

    assert done.exit_code == 0
    line = next(line for line in done.output.splitlines() if "giga/GigaChat-2-Pro" in line)
    for shown in ("в России, RU", "чат", "500", "НДС не указан", "01.02.2026", "gpt-4o"):
        assert shown in line
    assert "неизвестна" in next(line for line in done.output.splitlines() if "cloud/big" in line)


def test_the_list_can_be_read_by_programs(tmp_path: Path) -> None:
    with served(GigaChatServer(no_chat)) as server:
        done = run(tmp_path, "list", "--json", extra=gigachat(tmp_path, server))

    listed = {document["id"]: document for document in map(json.loads, done.output.splitlines())}
    assert listed["cloud/big"]["tariff"] is None
    assert listed["giga/GigaChat-2-Pro"]["tariff"]["input"] == "500"
    assert server.token_forms == [], "a list asks no network"
