"""The shim, compiled once; the process that forks writers; and a log to begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit import create_kek, create_signing_key
from tests.audit.conftest import ORIGIN
from tests.audit.faults.rig import Rig, build_shim, copied, running_rig, settings_in


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(build_shim(tmp_path_factory.mktemp("shim"))) as running:
        yield running


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys and no log yet. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("keys") / "log"
    folder.mkdir()
    settings = settings_in(folder)
    create_kek(settings.kek_file)
    create_signing_key(settings.signing_key_file, ORIGIN)
    return folder


@pytest.fixture(scope="session")
def log(keys: Path, rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log of two runs. Not to be changed by a test."""
    folder = copied(keys, tmp_path_factory.mktemp("log") / "log")
    for subject in (0, 3):
        rig.run(folder, [["append", 6, 300, subject], ["append", 6, 900, subject]])
    return folder
