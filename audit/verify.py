"""Verification by a stranger: a bundle or a copy of the database, and the log's public key. No decryption key is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audit.bundle import LARGEST_NOTE, MAGIC, read_frames, read_section
from audit.checkpoint import VerifierKey
from audit.errors import AuditError, LogDamagedError, LogUnusableError, VerificationError
from audit.merkle import Frontier, leaf_hash
from audit.sealing import Sealed, digests_agree, parse_header
from audit.store import StoreReader

_SQLITE_MAGIC = b"SQLite format 3\x00"

NOT_PROVEN = (
    "что владелец сервера не переписал весь журнал вместе с подписью: внешнего свидетеля контрольных точек нет",
    "что время записей верно: это часы самого сервера",
    "что записано всё, что произошло: доказано только, что записанное не менялось",
    "что содержимое записей верно: оно зашифровано и при этой проверке не открывалось",
)


class Report(msgspec.Struct, frozen=True):
    """What a check has shown. `root` is hex; times are microseconds since 1970 UTC, 0 when there are no records.

    When `ok` is False, `problem` says why and `seq` names the record, if one is to blame.
    """

    ok: bool
    origin: str
    size: int
    root: str
    first_us: int = 0
    last_us: int = 0
    epochs: int = 0
    problem: str = ""
    seq: int | None = None
    not_proven: tuple[str, ...] = NOT_PROVEN


def verify_file(path: Path, key_text: str) -> Report:
    """Recompute every hash of a bundle or of a database and compare with the signed checkpoint; memory stays bounded.

    Damage is told in the report. Raises KeyFileError for a bad key and LogUnusableError for what is no log at all.
    """
    key = VerifierKey(key_text)
    tally = _Tally(key)
    try:
        with _opened(path) as (note, records):
            tally.check(note, records)
    except (LogDamagedError, VerificationError) as error:
        return tally.report(str(error), error.seq)
    return tally.report()


class _Tally:
    """What has been seen so far."""

    def __init__(self, key: VerifierKey) -> None:
        self._key = key
        self._frontier = Frontier()
        self._times = (0, 0)
        self._epochs: set[bytes] = set()

    def check(self, note: str, records: Iterable[tuple[Sealed, bytes]]) -> None:
        # (1) each record for itself: its number, its header, its ciphertexts
        for expected, (record, leaf) in enumerate(records):
            if record.seq != expected:
                raise VerificationError("записи с этим номером нет на её месте", expected)
            try:
                header = parse_header(record.header)
            except LogDamagedError as error:
                raise VerificationError(str(error), expected) from None
            if header.seq != expected:
                raise VerificationError(f"в заголовке стоит другой номер, {header.seq}", expected)
            if not digests_agree(record):
                raise VerificationError("шифртекст не сходится с хешем в заголовке", expected)
            if leaf_hash(record.header) != leaf:
                raise VerificationError("заголовок не сходится с хешем листа", expected)
            self._frontier = self._frontier.append(leaf)
            self._times = (self._times[0] or header.time_us, header.time_us)
            self._epochs.add(header.epoch)
        # (2) all of them together: the tree that was signed
        checkpoint = self._key.verify(note)
        if checkpoint.size != self._frontier.size:
            raise VerificationError(f"записей {self._frontier.size}, а подписано {checkpoint.size}")
        if checkpoint.root != self._frontier.root:
            raise VerificationError(
                "корень дерева не сходится с подписанным: какая-то запись заменена вместе со своими хешами"
            )

    def report(self, problem: str = "", seq: int | None = None) -> Report:
        frontier = self._frontier
        return Report(
            ok=not problem,
            origin=self._key.name,
            size=frontier.size,
            root=frontier.root.hex(),
            first_us=self._times[0],
            last_us=self._times[1],
            epochs=len(self._epochs),
            problem=problem,
            seq=seq,
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, Iterable[tuple[Sealed, bytes]]]]:
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
            if start == MAGIC:
                length = read_section(file, "checkpoint")
                if length > LARGEST_NOTE:
                    raise VerificationError("контрольная точка невозможной длины")
                note = _text(file.read(length))
                yield note, read_frames(file, read_section(file, "records"))
                if file.read(1):
                    raise VerificationError("после последней записи в выгрузке есть лишнее")
                return
            if not _SQLITE_MAGIC.startswith(start):
                raise LogUnusableError(f"`{path}`: это не выгрузка журнала и не его база данных")
    except OSError as error:
        raise LogUnusableError(f"`{path}`: файл не читается ({error.strerror})") from None
    with StoreReader.open(path, alone=True) as store:
        yield store.checkpoint(), store.records(0, 1 << 62)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise VerificationError("контрольная точка — не текст") from None


def explain(report: Report) -> str:
    """The report in Russian."""
    lines = ["ЖУРНАЛ ЦЕЛ" if report.ok else "ЖУРНАЛ ПОВРЕЖДЁН"]
    if not report.ok:
        lines += [f"Причина: {report.problem}", f"До этого места проверено записей: {report.size}"]
    else:
        lines += [f"Журнал: {report.origin}", f"Записей: {report.size}, пропусков нет", f"Корень дерева: {report.root}"]
    if report.size:
        lines += [
            f"Время записей: с {_when(report.first_us)} по {_when(report.last_us)} (UTC)",
            f"Запусков (эпох ключа): {report.epochs}",
        ]
    return "\n".join([*lines, "Этой проверкой не доказано:", *(f"  — {what}" for what in report.not_proven)])


def _when(time_us: int) -> str:
    try:
        return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%d.%m.%Y %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{time_us} мкс от 1970 года"


__all__ = ["AuditError", "Report", "explain", "verify_file"]
