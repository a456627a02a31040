"""What the documents say is so: commands exist, settings are all described, examples run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from appliance.__main__ import main
from appliance.first_run import create_keys
from appliance.kek import PassphraseKek, Pkcs11Kek, SystemdKek, VaultKek
from appliance.settings import Settings, load_settings, problems
from appliance.witnessing import C2spSettings, FileSettings, SiemSettings, TsaSettings
from providers import (
    EmbeddedSettings,
    GigaChatSettings,
    OllamaSettings,
    OpenAICompatibleSettings,
    TestingSettings,
    YandexGPTSettings,
)
from tests.e2e.running import Installed, running
from tests.e2e.upstream import Upstream

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.ru.md")
EXAMPLE = ROOT / "appliance/examples/settings.toml"


@pytest.mark.parametrize("readme", READMES)
def test_every_make_target_that_is_named_exists(readme: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)", (ROOT / readme).read_text(encoding="utf-8")))

    assert named >= {"run", "test", "check", "demo", "setup"}
    assert named <= targets


@pytest.mark.parametrize("readme", READMES)
def test_every_command_that_is_named_exists_and_explains_itself(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    commands = {
        match.split(" --")[0].split(" <")[0].strip() for match in re.findall(r"\.venv/bin/appliance ([^#\n]*)", text)
    }

    assert commands
    for command in commands:
        words = [word for word in command.split() if word.isascii() and word.islower()]
        result = CliRunner().invoke(main, [*words, "--help"])
        assert result.exit_code == 0, f"{command}: {result.output}"


@pytest.mark.parametrize("readme", READMES)
def test_the_links_of_the_readme_lead_somewhere(readme: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / readme).read_text(encoding="utf-8")):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_every_room_has_a_readme_that_names_each_of_its_files() -> None:
    for room in ("appliance", "policies", "providers", "audit"):
        text = (ROOT / room / "README.md").read_text(encoding="utf-8")
        for path in (ROOT / room).glob("*.py"):
            assert path.name in text or path.name == "__init__.py", f"{room}/README.md does not speak of {path.name}"


def fields_of(kind: type, text: str) -> list[str]:
    """Fields of a Struct, nested ones included, that the example does not mention."""
    missing = []
    for field in msgspec.structs.fields(kind):
        if not re.search(
            rf"(^|[\s{{,#\[]){field.name}\s*=|\[\[?{field.name}\]\]?|\.{field.name}\]", text, re.MULTILINE
        ):
            missing.append(f"{kind.__name__}.{field.name}")
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            missing += fields_of(field.type, text)
    return missing


def test_every_setting_is_in_the_example() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")

    missing = [
        name
        for kind in (
            Settings,
            PassphraseKek,
            SystemdKek,
            VaultKek,
            Pkcs11Kek,
            C2spSettings,
            TsaSettings,
            FileSettings,
            SiemSettings,
            GigaChatSettings,
            YandexGPTSettings,
            OpenAICompatibleSettings,
            OllamaSettings,
            EmbeddedSettings,
            TestingSettings,
        )
        for name in fields_of(kind, text)
    ]
    assert missing == []


def test_the_example_is_accepted_once_its_keys_are_made(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    settings = load_settings(path)
    create_keys(settings)

    assert problems(settings) == []


def test_the_defaults_the_example_shows_are_the_defaults() -> None:
    example, defaults = tomllib.loads(EXAMPLE.read_text(encoding="utf-8")), Settings()

    for table in ("server", "detector"):
        section = getattr(defaults, table)
        assert example[table] == {name: getattr(section, name) for name in section.__struct_fields__}
    assert example["audit"]["origin"] == defaults.audit.origin


def test_the_sdk_example_runs_against_a_service(tmp_path: Path) -> None:
    with Upstream() as upstream, running(Installed(tmp_path, upstream.base_url)) as service:
        script = ROOT / "appliance/examples/chat.py"
        command = [sys.executable, script, f"{service.url}/v1", tmp_path / "state/keys/tests"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "Иванов Пётр Сергеевич, телефон +7 916 123-45-67" in done.stdout


def test_the_documents_make_no_claim_that_the_law_does_not_carry() -> None:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "policies/data").glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        for claim in ("соответствует 152-ФЗ", "гарантированное уничтожение", "анонимизац", "анонимный"):
            assert claim not in text, f"{path.name}: {claim}"
