"""An installation with a log of a few records, a Vault, and tokens of SoftHSM, for the tests of keys."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from appliance.events import AuthFailed, ClockJumped, entry
from appliance.settings import load_settings
from audit import AuditLog
from tests.appliance.kek.fake_vault import ROLE_ID, SECRET_ID, TOKEN, FakeVault
from tests.e2e.running import Installed
from tests.providers.conftest import authority

__all__ = ["authority"]

PIN, OTHER_PIN = "2468", "9753"
_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
)


def private(path: Path, content: str | bytes) -> Path:
    """A file for its owner alone."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def begun(installed: Installed) -> None:
    """Three records, one about a person."""

    async def run() -> None:
        async with AuditLog.open(installed.settings.log) as log:
            await log.append(entry(AuthFailed(count=1)))
            await log.append(msgspec.structs.replace(entry(ClockJumped(gained=5)), subjects=(b"s" * 16,)))
            await log.append(entry(AuthFailed(count=2)))

    asyncio.run(run())


def configured(installed: Installed, section: str) -> None:
    """Put `[audit.kek]` into the settings, as the command said to."""
    text = installed.path.read_text(encoding="utf-8").split("\n[audit.kek]")[0]
    installed.path.write_text(f"{text}\n{section}", encoding="utf-8")
    installed.settings = load_settings(installed.path)


def section_of(output: str) -> str:
    """The section that `keys seal` printed."""
    return output[output.index("[audit.kek]") : output.index("Затем:")]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file, but SQLite's own that come and go with a reader."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """Keys in plain files, and a log of three records."""
    installed = Installed(tmp_path)
    begun(installed)
    return installed


@pytest.fixture
def phrase(tmp_path: Path) -> Path:
    return private(tmp_path / "phrase", "шесть случайных слов йод ёлка\n")


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with FakeVault() as vault:
        yield vault


@pytest.fixture
def vault_options(vault: FakeVault, tmp_path: Path) -> tuple[str, ...]:
    token = private(tmp_path / "vault-token", TOKEN + "\n")
    return ("-o", f"address={vault.address}", "-o", f"token_file={token}")


@pytest.fixture
def role_options(vault: FakeVault, tmp_path: Path) -> tuple[str, ...]:
    role, secret = private(tmp_path / "role-id", ROLE_ID), private(tmp_path / "secret-id", SECRET_ID + "\n")
    return ("-o", f"address={vault.address}", "-o", f"role_id_file={role}", "-o", f"secret_id_file={secret}")


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The module of SoftHSM2, and what makes a token of this label with the PIN above."""
    module = next((path for path in _MODULES if Path(path).exists()), None)
    if module is None:
        missing = "SoftHSM2 is not installed: apt-get install softhsm2"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    patched = pytest.MonkeyPatch()
    patched.setenv("SOFTHSM2_CONF", str(config))

    def make(label: str) -> None:
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "86420864"],
            check=True,
            capture_output=True,
        )

    yield module, make
    patched.undo()


@pytest.fixture
def token(softhsm: tuple[str, Callable[[str], None]], tmp_path: Path) -> tuple[str, ...]:
    """A token of the test's own with a key on it, as options."""
    from tests.e2e.test_command_line import appliance

    module, make = softhsm
    label = f"t{abs(hash(tmp_path)) % 10**9}"
    make(label)
    pin = private(tmp_path / "pin", PIN + "\n")
    options = ("-o", f"module={module}", "-o", f"token={label}", "-o", f"pin_file={pin}")
    made = appliance("keys", "token-key", *options, "--state", tmp_path / "none")
    assert made.exit_code == 0, made.output
    return options
