"""Backups: the log as it is at one moment, with what is needed to go on from it, sealed to public keys; and putting one back.

Not in a backup: the key-encryption key (it has shares of its own), the file of subjects' keys (an earlier copy of it would undo erasures),
the key of the signing epoch, secrets of providers, and what we have seen as a witness of others, which must never go back in time.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from appliance import __version__
from appliance.errors import BackupError
from appliance.events import Restored, entry
from appliance.keyfiles import read_secret
from appliance.parcels import identity, open_files, seal_files
from appliance.settings import Settings
from appliance.witnessing import C2spSettings, FileSettings, last_note, size_seen
from audit import (
    AuditLog,
    Checkpoint,
    Copied,
    Place,
    Submission,
    Trust,
    TrustRoot,
    copy_log,
    inspect_copy,
    last_seen,
    newest_note,
    put_back,
    verify_file,
)
from policies import shipped_policy_path

_MANIFEST, _LOG, _PUBLIC = "manifest.json", "audit.db", "audit-signing.pub"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds: SHA-256 of each file, hexadecimal."""

    format: Literal["LLM APPLIANCE BACKUP 1"]
    version: str
    created: datetime
    origin: str
    size: int
    root: str
    kek_check: bytes
    files: dict[str, str]


class Loss(msgspec.Struct, frozen=True):
    """What a restore would lose: records beyond the backup that somebody has seen."""

    size: int
    seen: Checkpoint
    by: str

    @property
    def records(self) -> int:
        """How many."""
        return max(self.seen.size - self.size, 0)


def make_backup(settings: Settings, settings_file: Path | None, out: Path, recipients: Sequence[str]) -> Manifest:
    """Write a backup of a running or standing appliance to the new file `out`. Raises BackupError, ParcelError, AuditError."""
    root = _root(settings)
    with _beside(settings) as folder:
        copied = copy_log(settings.log.path, folder / _LOG, root)
        for name, path in _members(settings, settings_file).items():
            if path.is_dir():
                shutil.copytree(path, folder / name)
            elif path.exists():
                shutil.copyfile(path, folder / name)
        manifest = Manifest(
            "LLM APPLIANCE BACKUP 1",
            __version__,
            datetime.now(UTC).replace(microsecond=0),
            root.log.name,
            copied.checkpoint.size,
            copied.checkpoint.root.hex(),
            copied.kek_check,
            dict(_digests(folder)),
        )
        (folder / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        seal_files(out, [(path.name, path) for path in sorted(folder.iterdir())], recipients)
    return manifest


class Opened:
    """A backup, unpacked and found whole."""

    def __init__(self, folder: Path, manifest: Manifest, copied: Copied, root: TrustRoot) -> None:
        self.manifest = manifest
        self._folder = folder
        self._copied = copied
        self._root = root

    def loss(self, settings: Settings, known: Sequence[str], *, ask: bool = True) -> Loss:
        """The newest checkpoint that the log in its place, these notes, or the witnesses (`ask`) show.

        Of what a witness has seen only the size is known; its root is then given as zeros. Raises BackupError, VerificationError.
        """
        own = self._copied.checkpoint
        seen = [(own, "сама копия")]
        if settings.log.path.exists():
            there = last_seen(settings.log.path, self._root)
            seen += [] if there is None else [(there, "нынешний журнал")]
        seen += [(self._root.log.open_checkpoint(note), "контрольная точка, которую вы назвали") for note in known]
        outside = kept_notes(settings) if ask else ()
        seen += [(self._root.log.open_checkpoint(note), where) for note, where in outside]
        for witness in settings.audit.witnesses if ask else ():
            if isinstance(witness, C2spSettings):
                size = size_seen(witness, Submission(own.size, (), self._copied.note), settings.broker)
                if size > own.size:
                    seen.append((Checkpoint(own.origin, size, bytes(32)), f"свидетель {witness.url}"))
        newest, by = max(seen, key=lambda each: each[0].size)
        return Loss(own.size, newest, by)

    async def put(
        self, settings: Settings, loss: Loss, ground: str, *, without_subject_keys: bool
    ) -> tuple[int, list[str]]:
        """Put everything in place and record it; the record's number, and the files that stay as they were. Raises AuditError, OSError."""
        left = self._put_files(settings)
        log = settings.log
        place = Place(log.path, log.signing_key_file, log.epoch_keys, log.subject_keys, log.kek_source)
        copy = log.path.with_name(f".{log.path.name}.restoring")
        shutil.copyfile(self._folder / _LOG, copy)
        try:
            breaking = put_back(copy, place, loss.seen, without_subject_keys=without_subject_keys)
        finally:
            copy.unlink(missing_ok=True)
        async with AuditLog.open(log, breaking=breaking) as opened:
            event = Restored(loss.size, loss.records, breaking is not None, self.manifest.version, ground)
            record = (await opened.append(entry(event))).seq
        if loss.records and settings.timestamps.exists():  # they are over what was given up
            settings.timestamps.rename(settings.timestamps.with_name(f"timestamps.before-{record}"))
        settings.stop_mark.unlink(missing_ok=True)
        return record, left

    def _put_files(self, settings: Settings) -> list[str]:
        left = []
        for name, target in _members(settings, None).items():
            source = self._folder / name
            if not source.exists():
                continue
            if target.exists():
                left.append(str(target))
                continue
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
                target.chmod(0o644 if target.suffix == ".pub" else 0o600)
        return left


@contextmanager
def opened_backup(parcel: Path, identity_file: Path, settings: Settings) -> Iterator[Opened]:
    """A backup, unpacked beside the log, every digest and the whole log in it verified. Raises BackupError, ParcelError, AuditError."""
    key = identity(read_secret(identity_file).decode("utf-8", "replace"))
    with _beside(settings) as folder:
        open_files(parcel, key, folder)
        try:
            manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError):
            raise BackupError(f"`{parcel}`: это не резервная копия") from None
        if dict(_digests(folder, but=_MANIFEST)) != manifest.files:
            raise BackupError(f"`{parcel}`: файлы копии не те, что в её описи")
        if manifest.origin != settings.audit.origin:
            raise BackupError(
                f"`{parcel}`: копия журнала `{manifest.origin}`, а в настройках `{settings.audit.origin}`"
            )
        root = _root(settings) if _public(settings).exists() else TrustRoot.parse((folder / _PUBLIC).read_text())
        # A log that was restored before has breaks; whether they are as they should be an auditor asks, not a restore.
        report = verify_file(folder / _LOG, Trust(root.text(), breaks=range(1 << 20)))
        if not report.ok:
            raise BackupError(f"`{parcel}`: журнал в копии не прошёл проверку: {report.damage[0].message}")
        yield Opened(folder, manifest, inspect_copy(folder / _LOG, root), root)


def _members(settings: Settings, settings_file: Path | None) -> dict[str, Path]:
    """Name in a backup → where it lies here."""
    public = _public(settings)
    members = {
        "audit-signing.key": settings.log.signing_key_file,
        _PUBLIC: public,
        "pseudonyms.key": settings.pseudonym_key,
        "governance": settings.stops_path.parent,
        "readings": settings.readings,
    }
    if settings.witness.logs:
        members |= {"witness.key": settings.witness_key, "witness.pub": settings.witness_key.with_suffix(".pub")}
    if settings.policy_path != shipped_policy_path():
        members["policy"] = settings.policy_path
    if settings_file is not None:
        members["settings.toml"] = settings_file
    return members


def kept_notes(settings: Settings) -> Iterator[tuple[str, str]]:
    """The newest checkpoints that were kept outside the log, and where: in files of witnesses, and under time-stamp tokens."""
    for witness in settings.audit.witnesses:
        if isinstance(witness, FileSettings):
            try:
                note = last_note(witness.path)
            except (OSError, ValueError):
                raise BackupError(f"файл свидетеля `{witness.path}` не читается: верните его") from None
            if note is not None:
                yield note, f"файл свидетеля {witness.path}"
    stamped = newest_note(settings.timestamps)
    if stamped is not None:
        yield stamped, f"метка времени в {settings.timestamps}"


def _digests(folder: Path, but: str = "") -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != but:
            with path.open("rb") as file:
                yield name, hashlib.file_digest(file, "sha256").hexdigest()


def _public(settings: Settings) -> Path:
    return settings.log.signing_key_file.with_suffix(".pub")


def _root(settings: Settings) -> TrustRoot:
    try:
        return TrustRoot.parse(_public(settings).read_text(encoding="utf-8"))
    except OSError as error:
        raise BackupError(f"`{error.filename}`: не читается ({error.strerror})") from None


@contextmanager
def _beside(settings: Settings) -> Iterator[Path]:
    """A folder beside the log, for us alone and for the moment: private keys lie in it."""
    settings.log.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=".backup-", dir=settings.log.path.parent))
    try:
        yield folder
    except OSError as error:
        raise BackupError(f"`{error.filename}`: {error.strerror}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
