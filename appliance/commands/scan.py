"""`appliance pii scan FILE…`: an inventory of the personal data in files, before a language model gets them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from appliance.commands.options import fail
from appliance.documents import File, Passage, Place, Reading, find_files, passages, printable
from policies import TITLES, DetectorError, Entity, Finding, scan


class Wanted(msgspec.Struct, frozen=True):
    """What to look for and how to tell it."""

    kinds: frozenset[Entity]
    min_score: float
    encoding: str
    exclude: tuple[str, ...]
    places: int
    show_values: bool
    as_json: bool


class _Found(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finding, as a line of JSON. `start` and `end` are code points from the beginning of `place`."""

    file: str
    place: str
    kind: Entity
    start: int
    end: int
    score: float
    value: str | None = None


class _Inspected(msgspec.Struct):
    """What became of one file. With a problem it is not clean, even when nothing was found."""

    file: str
    format: str = ""
    layout: str = ""
    encoding: str = ""
    findings: int = 0
    kinds: Counter[Entity] = msgspec.field(default_factory=Counter)
    notes: list[str] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)


class _Summary(msgspec.Struct):
    """The whole, as the last line of JSON."""

    files: int = 0
    clean: int = 0
    with_findings: int = 0
    not_read: int = 0
    excluded: int = 0
    findings: int = 0
    kinds: Counter[Entity] = msgspec.field(default_factory=Counter)
    inspected: list[_Inspected] = msgspec.field(default_factory=list)


class _Line(msgspec.Struct, frozen=True):
    summary: _Summary


def kinds_of(names: str) -> frozenset[Entity]:
    """The kinds that `--kinds` names, all of them for nothing; exits when one is unknown."""
    asked = [name.strip().upper() for name in names.split(",") if name.strip()]
    unknown = [name for name in asked if name not in Entity.__members__]
    if unknown:
        fail(
            f"--kinds: нет вида {', '.join(f'`{printable(name)}`' for name in unknown)}",
            f"виды: {', '.join(f'{kind} ({words})' for kind, words in TITLES.items())}",
        )
    return frozenset(map(Entity, asked)) or frozenset(Entity)


def scan_files(paths: Sequence[Path], wanted: Wanted, *, recursive: bool) -> int:
    """Inspect the files, tell what is in each and in all of them; returns the exit code."""
    folders = [path for path in paths if path.is_dir()]
    if folders and not recursive:
        fail(*(f"`{printable(str(path))}`: это каталог; добавьте --recursive" for path in folders))
    if wanted.encoding and not _is_codec(wanted.encoding):
        fail(f"--encoding: кодировки `{printable(wanted.encoding)}` нет")
    found = list(find_files(paths, wanted.exclude))
    files = [file for file in found if not file.excluded]
    if not files:
        fail("файлов нет")
    summary = _Summary(excluded=len(found) - len(files))
    with _progress(sum(file.size for file in files)) as bar:
        try:
            for file in files:
                _add(summary, _inspect(file, wanted, bar))
        except KeyboardInterrupt:
            click.echo(f"прервано: проверено файлов {summary.files} из {len(files)}", err=True)
            return 130
    if wanted.as_json:
        _say_json(_Line(summary))
    else:
        _say_summary(summary, wanted)
    return 2 if summary.not_read else 1 if summary.findings else 0


def _is_codec(name: str) -> bool:
    try:
        b"x".decode(name)
    except LookupError:
        return False
    except ValueError:
        return True  # of more than one byte a letter
    return True


def _inspect(file: File, wanted: Wanted, bar: _Bar) -> _Inspected:
    """Search one file and tell its findings. Whatever stops the reading stops this file only."""
    inspected = _Inspected(printable(str(file.path)))
    reading = Reading(given_encoding=wanted.encoding)
    places: dict[Entity, list[str]] = {}
    if file.problem:
        inspected.problems.append(file.problem)
    else:
        bar.begin(inspected.file)
        try:
            for passage in passages(file.path, reading):
                for found in _search(passage, inspected.file, wanted):
                    inspected.kinds[found.kind] += 1
                    if wanted.as_json:
                        with bar.aside():
                            _say_json(found)
                    elif len(kept := places.setdefault(found.kind, [])) < wanted.places:
                        kept.append(_place(found))
                bar.move(min(reading.position, file.size))
        except DetectorError as error:
            inspected.problems.append(f"проверка не удалась: {error}")
        bar.end(file.size)
    inspected.format, inspected.layout, inspected.encoding = reading.format, reading.layout, reading.encoding
    inspected.notes, inspected.problems = reading.notes, [*inspected.problems, *reading.problems]
    inspected.findings = inspected.kinds.total()
    with bar.aside():
        if wanted.as_json:
            for problem in inspected.problems:
                click.echo(f"ошибка: `{inspected.file}`: {problem}", err=True)
        else:
            _say_file(inspected, places)
    return inspected


def _search(passage: Passage, name: str, wanted: Wanted) -> Iterator[_Found]:
    for finding in scan(passage.text):
        place = passage.locate(finding)
        if place and finding.entity in wanted.kinds and finding.score >= wanted.min_score:
            yield _found(finding, place, passage, name, wanted)


def _found(finding: Finding, place: Place, passage: Passage, name: str, wanted: Wanted) -> _Found:
    begins = finding.end - (place.end - place.start)  # a finding that reaches back into a label begins after it
    value = passage.text[begins : finding.end] if wanted.show_values else None
    return _Found(name, place.words, finding.entity, place.start, place.end, finding.score, value)


def _place(found: _Found) -> str:
    return found.place if found.value is None else f"{found.place}: «{printable(found.value)}»"


def _add(summary: _Summary, inspected: _Inspected) -> None:
    summary.files += 1
    summary.findings += inspected.findings
    summary.kinds.update(inspected.kinds)
    summary.with_findings += bool(inspected.findings)
    summary.not_read += bool(inspected.problems)
    summary.clean += not inspected.findings and not inspected.problems
    summary.inspected.append(inspected)


def _say_json(line: _Found | _Line) -> None:
    click.echo(msgspec.json.encode(line).decode())


def _say_file(inspected: _Inspected, places: dict[Entity, list[str]]) -> None:
    """Nothing for a file that is clean and of which there is nothing to say."""
    encoding = f"кодировка {inspected.encoding}" if inspected.encoding not in {"", "UTF-8"} else ""
    if not (inspected.findings or inspected.problems or inspected.notes or encoding):
        return
    facts = [fact for fact in (inspected.format, inspected.layout, encoding) if fact]
    about = f" ({', '.join(facts)})" if facts else ""
    nothing = "проверено не всё" if inspected.problems else "ничего не найдено"
    total = f"найдено {inspected.findings}" if inspected.findings else nothing
    click.echo(f"{inspected.file}{about}: {total}")
    for kind, count in inspected.kinds.most_common():
        kept = places.get(kind, [])
        more = [f"и ещё {count - len(kept)}"] if kept and count > len(kept) else []
        where = f": {'; '.join([*kept, *more])}" if kept else ""
        click.echo(f"  {TITLES[kind]} — {count}{where}")
    for note in inspected.notes:
        click.echo(f"  {note}")
    for problem in inspected.problems:
        click.echo(f"  НЕ ПРОВЕРЕНО: {problem}")


def _say_summary(summary: _Summary, wanted: Wanted) -> None:
    if summary.findings:
        table = Table(title="Всего", title_justify="left", header_style="bold")
        table.add_column("Вид данных")
        table.add_column("Находок", justify="right")
        table.add_column("Файлов", justify="right")
        for kind, count in summary.kinds.most_common():
            table.add_row(TITLES[kind], str(count), str(sum(kind in each.kinds for each in summary.inspected)))
        Console().print(table)
    parts = [
        f"Файлов {summary.files}",
        f"с персональными данными {summary.with_findings}",
        f"без находок {summary.clean}",
        f"не проверено или проверено не целиком {summary.not_read}",
    ]
    if summary.excluded:
        parts.append(f"исключено {summary.excluded}")
    if wanted.kinds != frozenset(Entity) or wanted.min_score:
        names = ", ".join(TITLES[kind] for kind in TITLES if kind in wanted.kinds)
        click.echo(f"Учтено только: {names}; оценка от {wanted.min_score:g}.")
    encodings = Counter(each.encoding for each in summary.inspected if each.encoding not in {"", "UTF-8"})
    click.echo(f"{'; '.join(parts)}. Находок {summary.findings}.")
    if encodings:
        named = ", ".join(f"{name} — {count}" for name, count in encodings.most_common())
        click.echo(f"Прочитано не в UTF-8: {named}.")


class _Bar:
    """A bar on the error stream, while that is a terminal; reports go past it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._done = 0

    def begin(self, name: str) -> None:
        short = name if len(name) <= 40 else f"…{name[-39:]}"
        self._progress.update(self._task, name=short)

    def move(self, position: int) -> None:
        self._progress.update(self._task, completed=self._done + position)

    def end(self, size: int) -> None:
        self._done += size
        self.move(0)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something is printed: both may share one terminal."""
        if self._progress.disable or not sys.stdout.isatty():
            yield
            return
        self._progress.stop()
        yield
        self._progress.start()


@contextmanager
def _progress(total: int) -> Iterator[_Bar]:
    columns = (
        TextColumn("{task.fields[name]}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    progress = Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with progress:
        yield _Bar(progress, progress.add_task("", total=total, name=""))
