"""`appliance pii …`: try the detector on texts of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec
from click.core import ParameterSource
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from appliance.commands.options import fail
from appliance.commands.recognizers import recognizers_command
from policies import (
    Counts,
    DetectorError,
    EvaluationError,
    Finding,
    Mistake,
    evaluate_findings,
    load_labelled,
    scan,
)


class _Line(msgspec.Struct, frozen=True):
    """A line of input; whatever else stands in it is passed over."""

    text: str


class _Found(msgspec.Struct, frozen=True):
    """A line of output. Offsets count Unicode code points of `text`; `end` is past the last one."""

    findings: tuple[Finding, ...]


@click.group(name="pii")
def pii_group() -> None:
    """Поиск персональных данных."""


pii_group.add_command(recognizers_command)


@pii_group.command(name="scan")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--recursive", "-r", is_flag=True, help="Входить в каталоги.")
@click.option(
    "--exclude", multiple=True, metavar="ОБРАЗЕЦ", help="Не проверять такие файлы и каталоги: '*.png', '.git'."
)
@click.option("--kinds", default="", metavar="ВИДЫ", help="Учитывать только эти виды, через запятую: PERSON,PHONE.")
@click.option("--min-score", default=0.0, type=click.FloatRange(0, 1), help="Учитывать находки с оценкой не ниже.")
@click.option(
    "--places", default=5, show_default=True, type=click.IntRange(0), help="Сколько мест каждого вида назвать."
)
@click.option("--encoding", default="", metavar="ИМЯ", help="Кодировка файлов, которые не в UTF-8 (иначе cp1251).")
@click.option("--show-values", is_flag=True, help="Печатать найденное. Такой отчёт сам содержит персональные данные.")
@click.option("--json", "as_json", is_flag=True, help="Строка JSON на находку, последней — итог.")
@click.option("--jsonl", is_flag=True, help='Без файлов: читать строки {"text": …}, писать строки {"findings": […]}.')
@click.pass_context
def scan_command(  # noqa: PLR0913 - an argument an option
    context: click.Context,
    files: tuple[Path, ...],
    *,
    exclude: tuple[str, ...],
    kinds: str,
    min_score: float,
    places: int,
    encoding: str,
    recursive: bool,
    show_values: bool,
    as_json: bool,
    jsonl: bool,
) -> None:
    """Найти персональные данные в файлах: текст, CSV, JSON, JSONL, DOCX, XLSX, PDF; без файлов — в тексте со стандартного ввода.

    По каждому файлу — сколько чего найдено и где: строка, столбец, ячейка, страница. Сами значения не печатаются: отчёт пересылают
    и хранят дольше, чем исходные файлы. Файл, который прочитать не удалось, назван и чистым не считается. Имена файлов печатаются
    как есть.

    Код выхода: 0 — ничего не найдено, 1 — найдено, 2 — неверный вызов или проверено не всё (тогда и при находках). При чтении со
    стандартного ввода код — 0 и с находками.
    """
    if files:
        from appliance.commands.scan import Wanted, kinds_of, scan_files

        if jsonl:
            fail("--jsonl читает стандартный ввод; для файлов есть --json")
        wanted = Wanted(kinds_of(kinds), min_score, encoding, exclude, places, show_values, as_json)
        raise SystemExit(scan_files(files, wanted, recursive=recursive))
    given = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if idle := [name for name in given if name != "jsonl"]:
        fail(
            f"назовите файлы: без них не действует {', '.join(f'`--{_OPTIONS.get(name, name)}`' for name in sorted(idle))}"
        )
    _scan_input(jsonl=jsonl)


_OPTIONS = {"as_json": "json", "show_values": "show-values", "min_score": "min-score"}


def _scan_input(*, jsonl: bool) -> None:
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


@pii_group.command(name="eval")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--worst", default=0, show_default=True, type=click.IntRange(0), help="Показать столько ошибок с их окружением."
)
@click.option("--json", "as_json", is_flag=True, help="Только числа, в JSON.")
def eval_command(file: Path, worst: int, *, as_json: bool) -> None:
    """Сравнить найденное с разметкой: файл JSONL, файл .txt с метками [[ВИД|значение]] или каталог таких файлов.

    Полнота и точность — по видам данных и по манере письма; «не утекло» — доля значений, закрытых целиком; отдельно — доля чистых
    текстов с ложной находкой и процессорное время на 1000 знаков.
    """
    try:
        labelled = load_labelled(file)
    except EvaluationError as error:
        fail(str(error))
    if not labelled:
        fail(f"`{file}`: размеченных текстов нет")
    scan("прогрев: Иванов Иван")
    began = time.process_time()
    findings = [_scan(each.text, number) for number, each in enumerate(labelled, 1)]
    spent = (time.process_time() - began) * 1e6 / sum(len(each.text) for each in labelled)
    result = evaluate_findings(labelled, findings)
    if as_json:
        numbers = {
            "f1": result.total.f1,
            "precision": result.total.precision,
            "recall": result.total.recall,
            "no_leak": result.no_leak,
            "clean_blamed": result.clean_blamed,
            "cpu_ms_per_1000": spent,
            "special": {
                kind: {"precision": counts.precision, "recall": counts.recall}
                for kind, counts in result.special.items()
            },
            "kinds": {
                kind: {"f1": counts.f1, "precision": counts.precision, "recall": counts.recall}
                for kind, counts in result.kinds.items()
            },
        }
        click.echo(msgspec.json.encode(numbers).decode())
        return
    console = Console()
    console.print(_counts_table("По видам", result.kinds, result.total))
    console.print(_counts_table("По манере письма или файлу", result.noises, result.total))
    if result.special:
        console.print(_special_table(result.special))
    console.print(
        f"Текстов {result.texts}, значений {result.total.spans}. Не утекло: {result.no_leak:.3f}. "
        f"Чистых текстов с ложной находкой: {result.blamed} из {result.clean} ({result.clean_blamed:.1%}). "
        f"Процессорное время: {spent:.2f} мс на 1000 знаков."
    )
    for (said, instead), count in result.confused.most_common(15):
        console.print(f"  {count:>4} × {said} → {instead}")
    for mistake in result.mistakes[:worst]:
        console.print(escape(_shown(labelled[mistake.text].text, mistake)))


def _counts_table(title: str, kinds: Mapping[str, Counts], total: Counts) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in ("", "значений", "точность", "полнота", "F1", "границы", "закрыто"):
        table.add_column(name, justify="left" if not name else "right")
    for kind, counts in [*sorted(kinds.items(), key=lambda item: -item[1].spans), ("всего", total)]:
        spans = max(counts.spans, 1)
        shares = (counts.precision, counts.recall, counts.f1, counts.exact / spans, counts.covered / spans)
        table.add_row(kind, str(counts.spans), *(f"{share:.3f}" for share in shares))
    return table


def _special_table(special: Mapping[str, Counts]) -> Table:
    table = Table(title="О чём говорит текст (ст. 10 и 11): по текстам", title_justify="left", header_style="bold")
    for name in ("", "текстов", "точность", "полнота"):
        table.add_column(name, justify="left" if not name else "right")
    for kind, counts in sorted(special.items()):
        table.add_row(kind, str(counts.spans), f"{counts.precision:.3f}", f"{counts.recall:.3f}")
    return table


def _shown(text: str, mistake: Mistake) -> str:
    """A mistake in its surroundings. The texts are the caller's own labelled set, shown because they asked to see it."""
    span = mistake.span
    sign = "пропущено" if mistake.missed else "лишнее"
    left, right = text[max(0, span.start - 30) : span.start], text[span.end : span.end + 20]
    return f"{sign} {span.type}: …{left}⟦{text[span.start : span.end]}⟧{right}…".replace("\n", "⏎")


def _scan(text: str, number: int) -> tuple[Finding, ...]:
    try:
        return scan(text)
    except DetectorError as error:
        fail(f"строка {number}: {error}")
