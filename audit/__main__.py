"""`python -m audit verify FILE --key PUB`: the check of a log by a stranger. Needs nothing but this package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from audit.errors import AuditError
from audit.verify import explain, verify_file


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 verified, 1 damage found, 2 nothing could be checked."""
    parser = argparse.ArgumentParser(prog="python -m audit", description="Проверка журнала без доступа к сервису.")
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser("verify", help="пересчитать все хеши и сверить с подписанной контрольной точкой")
    verify.add_argument("file", type=Path, help="выгрузка или копия базы данных журнала")
    verify.add_argument("--key", type=Path, required=True, help="открытый ключ журнала (.pub)")
    verify.add_argument("--json", action="store_true", help="отчёт в JSON")
    chosen = parser.parse_args(arguments)
    try:
        report = verify_file(chosen.file, chosen.key.read_text(encoding="utf-8"))
    except (AuditError, OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        sys.stderr.write(f"Проверить нельзя: {reason}\n")
        return 2
    sys.stdout.write((msgspec.json.encode(report).decode() if chosen.json else explain(report)) + "\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
