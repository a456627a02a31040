"""A witness of other logs (c2sp.org/tlog-witness): it cosigns a checkpoint once that was proven to continue the last one it cosigned.

Of each log it keeps one checkpoint, in a file of its own, durable before the cosignature is given. No HTTP here: the caller brings the
body of `add-checkpoint` and takes back lines, or a refusal with the status that the protocol names.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from audit.checkpoint import Checkpoint, Verifier, parse_checkpoint, split_note
from audit.cosignature import Witnesser
from audit.errors import AuditError, LogFileError, VerificationError
from audit.keyfiles import sync_folder
from audit.merkle import EMPTY_ROOT, HASH_SIZE, verify_consistency

MOST_HASHES = 63
LONGEST_BODY = 1 << 17  # characters: a proof, and a note with every signature it may carry
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class WitnessRefusal(AuditError):  # noqa: N818  (it is an answer of the protocol)
    """No cosignature. `status` is HTTP's, as the protocol names it; `size` of the last checkpoint cosigned goes with a 409."""

    def __init__(self, status: int, message: str, size: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.size = size


class Submission(Struct, frozen=True):
    """What a log asks to be cosigned: its checkpoint, and the proof that it continues the one of `old` leaves."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def size(self) -> int:
        """How many entries the checkpoint covers. Raises VerificationError."""
        return parse_checkpoint(split_note(self.note)[0]).size

    def body(self) -> str:
        """The body of a request."""
        lines = [f"old {self.old}", *(base64.b64encode(each).decode() for each in self.proof)]
        return "\n".join(lines) + "\n\n" + self.note

    @classmethod
    def parse(cls, body: str) -> Submission:
        """The submission in a body. Raises WitnessRefusal."""
        head, blank, note = body.partition("\n\n")
        first, *rest = head.split("\n")
        old = _OLD.fullmatch(first)
        if len(body) > LONGEST_BODY or not blank or old is None or len(rest) > MOST_HASHES:
            raise WitnessRefusal(400, "the body is not an `add-checkpoint` request")
        return cls(int(old[1]), tuple(map(_hash, rest)), note)


class _Seen(Struct, frozen=True):
    """The last checkpoint cosigned for a log."""

    origin: str
    size: int
    root: bytes
    note: str


class Witness:
    """Cosigns for the logs it was told of. Thread-safe; one process for one folder."""

    def __init__(self, key: Witnesser, logs: Iterable[Verifier], folder: Path, clock: Callable[[], float]) -> None:
        self._key = key
        self._logs: dict[str, list[Verifier]] = {}
        for log in logs:
            self._logs.setdefault(log.name, []).append(log)
        self._folder = folder
        self._clock = clock
        self._turn = threading.Lock()

    def add_checkpoint(self, body: str) -> str:
        """The cosignature lines. Raises WitnessRefusal, and LogFileError when its own state cannot be read or kept."""
        asked = Submission.parse(body)
        try:
            text, _ = split_note(asked.note)
            checkpoint = parse_checkpoint(text)
        except VerificationError:
            raise WitnessRefusal(400, "the checkpoint is malformed") from None
        self._check_signature(asked.note, checkpoint)
        if asked.old > checkpoint.size:
            raise WitnessRefusal(400, "the old size is larger than the checkpoint's")
        with self._turn:
            self._check_continues(asked, checkpoint)
            self._keep(_Seen(checkpoint.origin, checkpoint.size, checkpoint.root, asked.note))
            return self._key.cosign(text, int(self._clock()))

    def seen(self, origin: str) -> tuple[int, str] | None:
        """Size and note of the last checkpoint cosigned for a log. Raises LogFileError."""
        kept = self._kept(origin)
        return None if kept is None else (kept.size, kept.note)

    def forget(self, origin: str) -> Path | None:
        """Put aside what was seen of a log, so that it is cosigned from its beginning again; where it lies now, None when it was not known.

        That is how a witness takes note of a fork that its administrator holds an act about; never by itself. Raises LogFileError.
        """
        path = self._path(origin)
        aside = path.with_name(f"{path.stem}.forgotten-{int(self._clock())}.json")
        with self._turn:
            try:
                path.rename(aside)
                sync_folder(self._folder)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise LogFileError(f"`{path}`: не переименовывается ({error.strerror})") from None
        return aside

    def _check_signature(self, note: str, checkpoint: Checkpoint) -> None:
        known = self._logs.get(checkpoint.origin)
        if known is None:
            raise WitnessRefusal(404, "this log is not known here")
        for log in known:
            try:
                log.open_checkpoint(note)
            except VerificationError:
                continue
            return
        raise WitnessRefusal(403, "the checkpoint is not signed by a key of this log that is known here")

    def _check_continues(self, asked: Submission, checkpoint: Checkpoint) -> None:
        kept = self._kept(checkpoint.origin)
        size, root = (0, EMPTY_ROOT) if kept is None else (kept.size, kept.root)
        if asked.old != size:
            raise WitnessRefusal(409, "another size was cosigned last", size)
        if checkpoint.size == size and checkpoint.root != root:
            raise WitnessRefusal(409, "another root was cosigned at this size", size)
        if size in {0, checkpoint.size}:
            if asked.proof:
                raise WitnessRefusal(422, "there is nothing to prove here, and a proof was sent")
            return
        try:
            verify_consistency(size, root, checkpoint.size, checkpoint.root, asked.proof)
        except VerificationError:
            raise WitnessRefusal(422, "the consistency proof does not hold") from None

    def _path(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()}.json"

    def _kept(self, origin: str) -> _Seen | None:
        path = self._path(origin)
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Seen)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError):
            kept = None
        if kept is None or kept.origin != origin or len(kept.root) != HASH_SIZE:
            # INVARIANT: a witness that forgot is no witness; it does not begin anew by itself.
            raise LogFileError(f"`{path}`: свидетель не может прочесть, что он видел; верните файл из резервной копии")
        return kept

    def _keep(self, seen: _Seen) -> None:
        path = self._path(seen.origin)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with fresh.open("xb") as file:
                file.write(msgspec.json.encode(seen))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            sync_folder(self._folder)
        except OSError as error:
            raise LogFileError(f"`{path}`: свидетель не может записать, что он видел ({error.strerror})") from None


def _hash(line: str) -> bytes:
    try:
        value = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise WitnessRefusal(400, "a line of the proof is not a hash in base64") from None
    if len(value) != HASH_SIZE or base64.b64encode(value).decode() != line:
        raise WitnessRefusal(400, "a line of the proof is not a hash in base64")
    return value
