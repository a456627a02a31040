"""Logs for the tests: real files, real keys, synthetic entries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from audit import AuditLog, Entry, LogSettings, Receipt, create_kek, create_signing_key, export_bundle

hypothesis_settings.register_profile("storm", max_examples=5000, deadline=None)  # `make test-audit-storm`
ORIGIN = "log.test/audit"
Fill = Callable[[LogSettings, Iterable[Entry]], list[Receipt]]


def installed(folder: Path, **changes: object) -> LogSettings:
    """Settings of a log in this folder, its keys created."""
    settings = LogSettings(
        path=folder / "audit.db",
        kek_file=folder / "kek",
        signing_key_file=folder / "sign.key",
        origin=ORIGIN,
        **changes,
    )
    create_kek(settings.kek_file)
    create_signing_key(settings.signing_key_file, settings.origin)
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> LogSettings:
    return installed(tmp_path)


@pytest.fixture
def vkey(settings: LogSettings) -> str:
    return settings.signing_key_file.with_suffix(".pub").read_text()


@pytest.fixture(scope="session")
def fill() -> Fill:
    """Append entries one after another in a run of the log of their own."""

    async def run(settings: LogSettings, entries: Iterable[Entry]) -> list[Receipt]:
        async with AuditLog.open(settings) as log:
            return [await log.append(entry) for entry in entries]

    return lambda settings, entries: asyncio.run(run(settings, entries))


def numbered(count: int, *, subject: bool = True) -> list[Entry]:
    """Entries that differ; every fourth has a subject."""
    return [
        Entry(
            1 + number % 3,
            1,
            b"%02d" % number,
            subjects=(bytes((number,)) * 16,) if subject and number % 4 == 0 else (),
        )
        for number in range(count)
    ]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> tuple[LogSettings, Path, str]:
    """Twenty records of two runs, their bundle, and the public key. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("exported")
    settings = installed(folder)
    fill(settings, numbered(13))
    fill(settings, numbered(7))
    export_bundle(settings.path, folder / "bundle")
    return settings, folder / "bundle", settings.signing_key_file.with_suffix(".pub").read_text()
