"""`python -m audit verify FILE --key PUBFILE`: the verifier's command line. Needs no service, no settings, no decryption key."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from audit.bundle import Labels
from audit.entry import OpenedEntry
from audit.errors import AuditError, Finding, KeyFileError, LogDamagedError, LogFileError, VerificationError
from audit.proof import is_disclosure, verify_record
from audit.report import explain, explain_record, fields_of
from audit.verify import Trust, verify_file

VERIFIED, DAMAGED, UNREADABLE = 0, 1, 2
_MAX_KEY_FILE = 1 << 16


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 verified, 1 damage found, 2 a file cannot be read or is not what it should be."""
    chosen = _parser().parse_args(arguments)
    try:
        key = _text(chosen.key)
        known = None if chosen.known is None else _text(chosen.known)
        if is_disclosure(_start(chosen.file)):
            return _verify_record(chosen.file, key, chosen.accept_break, as_json=chosen.json)
        witnesses = [_text(each) for each in chosen.witness]
        tsa_ca = None if chosen.tsa_ca is None else _text(chosen.tsa_ca)
        trust = Trust(key, known, witnesses, chosen.quorum, chosen.accept_break, tsa_ca)
        report = verify_file(chosen.file, trust, on_opened=_tell if chosen.entries else None)
    except AuditError as error:
        if chosen.json:
            _say(msgspec.json.encode({"ok": False, "error": type(error).__name__, "message": str(error)}).decode())
        else:
            sys.stderr.write(f"проверить нельзя: {error}\n")
        return UNREADABLE
    _say(msgspec.json.encode(report).decode() if chosen.json else explain(report))
    return VERIFIED if report.ok else DAMAGED


def _tell(entry: OpenedEntry, labels: Labels) -> None:
    """One opened record as a line of JSON, before the report."""
    document = {"seq": entry.seq, "kind": entry.kind, "time_us": entry.time_us, "closes": entry.closes}
    _say(msgspec.json.encode({**document, "fields": fields_of(entry, labels.get(entry.kind, ()))}).decode())


def _verify_record(file: Path, key: str, breaks: Sequence[int], *, as_json: bool) -> int:
    try:
        report = verify_record(file, key, breaks)
    except (VerificationError, LogDamagedError) as error:
        finding = error.finding if isinstance(error, VerificationError) else Finding.RECORD
        document = {"ok": False, "finding": finding, "message": str(error)}
        _say(msgspec.json.encode(document).decode() if as_json else f"ЗАПИСЬ НЕ ПРОШЛА ПРОВЕРКУ: {error}")
        return DAMAGED
    _say(
        msgspec.json.encode({"ok": True, **msgspec.to_builtins(report)}).decode() if as_json else explain_record(report)
    )
    return VERIFIED


def _start(path: Path) -> bytes:
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise LogFileError(f"`{path}`: файл не читается ({error.strerror})") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m audit", description="Проверка журнала без ключей шифрования.")
    commands = parser.add_subparsers(required=True, metavar="verify")
    verify = commands.add_parser("verify", help="пересчитать выгрузку или копию базы и сверить с подписью")
    verify.add_argument("file", type=Path, help="выгрузка журнала, копия его базы или раскрытая запись")
    verify.add_argument("--key", type=Path, required=True, help="файл открытого ключа журнала (`.pub`)")
    verify.add_argument("--known", type=Path, help="контрольная точка, полученная раньше: журнал обязан её продолжать")
    verify.add_argument(
        "--witness", type=Path, action="append", default=[], help="файл открытого ключа свидетеля; можно несколько"
    )
    verify.add_argument("--quorum", type=int, default=1, help="сколько свидетелей нужно; без него достаточно одного")
    verify.add_argument(
        "--tsa-ca",
        type=Path,
        metavar="FILE",
        help="сертификаты УЦ службы меток времени (PEM): проверить метки в папке выгрузки",
    )
    verify.add_argument(
        "--accept-break",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="разрыв цепочки эпох, о котором есть акт",
    )
    verify.add_argument("--entries", action="store_true", help="показать раскрытые записи, по строке JSON на каждую")
    verify.add_argument("--json", action="store_true", help="отчёт в JSON")
    return parser


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_FILE).decode()
    except OSError as error:
        raise KeyFileError(f"`{path}`: файл не читается ({error.strerror})") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"`{path}`: в файле не текст") from None


def _say(text: str) -> None:
    sys.stdout.buffer.write(text.encode() + b"\n")  # UTF-8 whatever the locale


if __name__ == "__main__":
    sys.exit(main())
