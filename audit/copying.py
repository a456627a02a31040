"""Copying the log while it runs, and putting a copy back in its place."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import Struct

from audit.checkpoint import Checkpoint
from audit.epochs import EpochKeys, Reason, TrustRoot
from audit.errors import AuditError, KeyFileError, LogDamagedError, LogFileError, VerificationError
from audit.export import head_of
from audit.generations import Generations
from audit.kek import KekSource, open_kek
from audit.keyfiles import load_signing_key, sync_folder
from audit.logfile import write_lock
from audit.reader import check_kek_of
from audit.signing import Break, stored_chain
from audit.store import copy_database, open_reader


class Copied(Struct, frozen=True):
    """A copy: its newest checkpoint, as a signed note too, and the check value of the KEK that opens it."""

    note: str
    checkpoint: Checkpoint
    kek_check: bytes


def copy_log(path: Path, out: Path, root: TrustRoot) -> Copied:
    """Copy a log, running or not, as it is at one moment, into the new file `out`.

    Raises LogFileError, LogDamagedError, VerificationError.
    """
    copy_database(path, out)
    return inspect_copy(out, root)


def inspect_copy(path: Path, root: TrustRoot) -> Copied:
    """What a copy is, by its newest checkpoint. Raises LogFileError, LogDamagedError, VerificationError."""
    with open_reader(path, frozen=True) as database:
        note = head_of(database)
        kek = database.kek()
        if kek is None:
            raise LogDamagedError("в базе нет сведений о ключе шифрования")
        return Copied(note, root.log.open_checkpoint(note), kek[1])


class Place(Struct, frozen=True):
    """Where a log belongs, and its keys."""

    path: Path
    signing_key_file: Path
    epoch_keys: Path
    subject_keys: Path
    kek: KekSource


def put_back(copy: Path, place: Place, abandoned: Checkpoint, *, without_subject_keys: bool = False) -> Break | None:
    """Put a copy, already verified, in the place of the log, which is moved aside and never deleted.

    `abandoned` is the newest checkpoint that anybody has seen. Answers how the log is to be opened next: with a break, unless the key of
    the copy's signing epoch is still here and nothing was lost. `without_subject_keys`: their file is lost, and with it whom records are
    about. Raises KeyFileError, LogFileError, LogDamagedError, LogInUseError.
    """
    kek = open_kek(place.kek)
    signer = load_signing_key(place.signing_key_file)
    with write_lock(place.path):
        with open_reader(copy, frozen=True) as database:
            check_kek_of(database, kek)
            tree = database.tree()
            size = 0 if tree is None else tree.size
            certificates = stored_chain(database, TrustRoot(signer.verifier)).certificates
            newest = max((row.generation for row in database.subject_keys(b"", 1 << 40)), default=0)
        generations = Generations.load(place.subject_keys, kek)
        if newest and not generations.current:
            if not without_subject_keys:
                raise KeyFileError(
                    f"`{place.subject_keys}`: файла ключей субъектов нет. Верните его из его собственной копии; если он утрачен,"
                    " укажите `--without-subject-keys`: о ком записи, узнать будет нельзя"
                )
            generations.begin_after(newest)
        held = bool(certificates) and EpochKeys.load(place.epoch_keys, signer).holds(certificates[-1].key) is not None
        try:
            _put(copy, place.path)
        except OSError as error:
            raise LogFileError(f"`{place.path}`: копия не встала на место ({error.strerror})") from None
    if held and abandoned.size == size:
        return None
    return Break(Reason.RESTORED, (abandoned.size, abandoned.root)) if certificates else None


def last_seen(path: Path, root: TrustRoot) -> Checkpoint | None:
    """The newest checkpoint of the log that lies in its place, damaged or not; None when it cannot be read."""
    try:
        with open_reader(path) as database:
            return root.log.open_checkpoint(head_of(database))
    except (AuditError, VerificationError):
        return None


def _put(copy: Path, path: Path) -> None:
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(path.with_name(f"{path.name}.before-{moment}{suffix}"))
    copy.chmod(0o600)
    copy.rename(path)
    sync_folder(path.parent)
