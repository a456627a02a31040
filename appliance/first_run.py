"""The key files of a new installation: created once, never replaced."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from appliance.auth import new_key
from appliance.kek import FileKek
from appliance.keyfiles import KEY_SIZE, write_secret
from appliance.settings import Settings
from audit import create_kek, create_signing_key, create_witness_key


def create_keys(settings: Settings) -> list[Path]:
    """Create every key file that is missing; returns what was created.

    Keys that are there are never touched. The log's own keys are not made anew for a log that exists: no fresh key opens it, and
    one in the place of the lost would hide that it must come from a backup.
    """
    created = []
    for path, make in _makers(settings).items():
        if path in missing_keys(settings) and not (settings.log.path.exists() and path in _keys_of_the_log(settings)):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            make(path)
            created.append(path)
    return created


def missing_keys(settings: Settings) -> list[Path]:
    """Key files that the settings name and that are not there."""
    return [path for path in _makers(settings) if not path.exists()]


def _makers(settings: Settings) -> dict[Path, Callable[[Path], None]]:
    log = settings.log
    witness = settings.witness
    cosigning: dict[Path, Callable[[Path], None]] = (
        {settings.witness_key: lambda path: create_witness_key(path, witness.name)} if witness.logs else {}
    )
    return {
        **cosigning,
        **(
            {log.kek_file: create_kek} if isinstance(settings.audit.kek, FileKek) else {}
        ),  # others are sealed by a command
        log.signing_key_file: lambda path: create_signing_key(path, log.origin),
        settings.pseudonym_key: lambda path: write_secret(path, secrets.token_bytes(KEY_SIZE)),
        **{key.file: new_key for key in settings.keys if key.file is not None},
        **{person.file: new_key for person in settings.staff if person.file is not None},
    }


def _keys_of_the_log(settings: Settings) -> tuple[Path, Path]:
    return settings.log.kek_file, settings.log.signing_key_file
