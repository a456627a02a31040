"""`python -m audit verify FILE --key PUBFILE`: the verifier's command line. Needs no service, no settings, no decryption key."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from audit.bundle import Labels
from audit.cosignature import WitnessVerifier
from audit.entry import OpenedEntry
from audit.errors import AuditError, Finding, KeyFileError, LogDamagedError, VerificationError
from audit.proof import is_disclosure, verify_record
from audit.report import explain, explain_record, fields_of, record_document
from audit.strict import plain_file
from audit.verify import Trust, verify_file

VERIFIED, DAMAGED, UNREADABLE = 0, 1, 2
_MAX_KEY_FILE = 1 << 16


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 verified, 1 damage found, 2 a file cannot be read or is not what it should be."""
    chosen = _parser().parse_args(arguments)
    try:
        key = _text(chosen.key)
        known = None if chosen.known is None else _text(chosen.known)
        witnesses = [_text(each) for each in chosen.witness]
        _check_call(chosen, witnesses)
        if is_disclosure(_start(chosen.file)):
            return _verify_record(chosen, key, witnesses)
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


def _check_call(chosen: argparse.Namespace, witnesses: Sequence[str]) -> None:
    """Raise AuditError for what cannot be meant."""
    keys = [WitnessVerifier.parse(each).key for each in witnesses]
    if len({key.public for key in keys}) < len(keys) or len({key.name for key in keys}) < len(keys):
        raise AuditError("один и тот же свидетель назван дважды")
    if not 1 <= chosen.quorum <= max(1, len(keys)) or min(chosen.accept_break, default=0) < 0:
        raise AuditError("`--quorum` — от 1 до числа свидетелей, `--accept-break` — от 0")


def _verify_record(chosen: argparse.Namespace, key: str, witnesses: Sequence[str]) -> int:
    as_json = chosen.json
    if chosen.known is not None:
        raise AuditError("прежнюю контрольную точку с одной записью не сравнить: `--known` здесь неприменим")
    try:
        report = verify_record(chosen.file, key, chosen.accept_break, witnesses, chosen.quorum)
    except (VerificationError, LogDamagedError) as error:
        finding = error.finding if isinstance(error, VerificationError) else Finding.RECORD
        document = {"ok": False, "finding": finding, "message": str(error)}
        _say(msgspec.json.encode(document).decode() if as_json else f"ЗАПИСЬ НЕ ПРОШЛА ПРОВЕРКУ: {error}")
        return DAMAGED
    _say(msgspec.json.encode(record_document(report)).decode() if as_json else explain_record(report))
    return VERIFIED


def _start(path: Path) -> bytes:
    if path.is_dir():
        return b""
    with plain_file(path) as file:
        return file.read(64)


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
        with plain_file(path) as file:
            return file.read(_MAX_KEY_FILE).decode()
    except UnicodeDecodeError:
        raise KeyFileError(f"`{path}`: в файле не текст") from None


def _say(text: str) -> None:
    sys.stdout.buffer.write(text.encode() + b"\n")  # UTF-8 whatever the locale


if __name__ == "__main__":
    sys.exit(main())
