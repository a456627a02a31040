"""`appliance pii …`: try the detector on texts of one's own."""

from __future__ import annotations

import sys

import click
import msgspec

from appliance.commands.options import fail
from policies import DetectorError, Finding, scan


class _Line(msgspec.Struct, frozen=True):
    """A line of input; whatever else stands in it is passed over."""

    text: str


class _Found(msgspec.Struct, frozen=True):
    """A line of output. Offsets count Unicode code points of `text`; `end` is past the last one."""

    findings: tuple[Finding, ...]


@click.group(name="pii")
def pii_group() -> None:
    """Поиск персональных данных."""


@pii_group.command(name="scan")
@click.option("--jsonl", is_flag=True, help='Читать строки {"text": …}, писать строки {"findings": […]}.')
def scan_command(*, jsonl: bool) -> None:
    """Найти персональные данные в тексте со стандартного ввода."""
    if not jsonl:
        text = sys.stdin.read()
        for finding in _scan(text, 1):
            click.echo(
                f"{finding.start:>6}–{finding.end:<6} {finding.entity:<16} {finding.score:.2f}  {text[finding.start : finding.end]}"
            )
        return
    decoder = msgspec.json.Decoder(_Line)
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            text = decoder.decode(line).text
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            sys.stdout.flush()
            fail(f'строка {number}: нужна строка JSON вида {{"text": "…"}} ({type(error).__name__})')
        sys.stdout.buffer.write(msgspec.json.encode(_Found(_scan(text, number))) + b"\n")


def _scan(text: str, number: int) -> tuple[Finding, ...]:
    try:
        return scan(text)
    except DetectorError as error:
        fail(f"строка {number}: {error}")
