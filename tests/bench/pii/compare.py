"""Our detector beside what others offer, on labelled texts: the same texts, the same kinds, the same scoring for everybody.

Run: `make compare-pii`, or `python tests/bench/pii/compare.py [PATH …] [--write README.md]` once `.venv-rivals` is there. Each detector is a
process of its own (`rivals/`), which gets the texts and nothing of their labels. What a detector cannot find counts as missed in the first
figures; the last columns look only at the kinds that it knows. A detector that fails, or does not answer for each text, ends the comparison:
there is no row for it and nothing is written.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from policies import Counts, Entity, Evaluation, EvaluationError, Finding, Labelled, evaluate_findings, load_labelled

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BEGIN, END = "<!-- compare-pii:begin -->", "<!-- compare-pii:end -->"
OURS = "this appliance"
RIVALS = {
    "Presidio, built-in patterns": "presidio_patterns.py",
    "Presidio + presidio-ru-recognizers": "presidio_ru.py",
    "ru-pii": "ru_pii_rules.py",
    "slovnet, stock NER": "slovnet_names.py",
    "natasha, NER and addresses": "natasha_grammars.py",
    "airlock-pii with its NER": "airlock.py",
    "the others together": "assembled.py",
}
COLUMNS = (
    "detector", "precision", "recall", "F1", "not leaked", "clean texts blamed", "CPU ms / 1 000", "kinds", "F1 on its kinds", "ours on these",
)  # fmt: skip
SEEN = HERE / "real"
SEEN_NOTE = (
    "For this appliance this is a development set: thresholds were chosen and rules worked on after looking at these texts, so expect less of it "
    "elsewhere. The others were not tuned to them, but for how parts of addresses are joined for natasha."
)

_T = TypeVar("_T")


class CompareError(Exception):
    """A detector, or what was asked for, that there can be no comparison with."""


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    findings: tuple[Finding, ...]


class Took(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A detector's last line: CPU seconds of the search, the kinds it can find, the versions of what it is made of."""

    cpu_s: float
    kinds: frozenset[Entity]
    versions: dict[str, str]


class Row(NamedTuple):
    """What one detector did with one set."""

    name: str
    result: Evaluation
    took: Took
    cpu_ms: float


class Adapter(NamedTuple):
    """A detector's process: its name in the table, the interpreter, the script."""

    name: str
    python: str
    script: Path


def main(arguments: Sequence[str]) -> None:
    options = _options().parse_args(arguments)
    try:
        adapters = _chosen(options)
        report = "\n\n".join(_compared(path, adapters, options.timeout) for path in options.paths or [HERE / "real"])
        print(report)
        if options.write is not None:
            write_between_marks(options.write, report)
    except (CompareError, EvaluationError) as error:
        sys.exit(f"error: {error}")


def ask(adapter: Adapter, texts: Sequence[str], timeout: float) -> tuple[list[tuple[Finding, ...]], Took]:
    """What the detector finds in each of the texts. Raises CompareError when it does not answer for every one of them, and properly."""
    lines = b"".join(msgspec.json.encode({"text": text}) + b"\n" for text in texts)
    # One thread each: the CPU of threads that wait for work by spinning is nobody's cost.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    command = [adapter.python, str(adapter.script)]
    try:
        done = subprocess.run(
            command, input=lines, stdout=subprocess.PIPE, timeout=timeout, env=environment, cwd=ROOT, check=False
        )
    except subprocess.TimeoutExpired:
        raise CompareError(f"`{adapter.name}`: no answer within {timeout:.0f} s") from None
    except OSError as error:
        raise CompareError(
            f"`{adapter.name}`: `{adapter.python}` does not start ({error.strerror}); `make compare-pii` installs it"
        ) from None
    if done.returncode:
        raise CompareError(f"`{adapter.name}`: ended with status {done.returncode}; its own words are above")
    *answers, last = done.stdout.splitlines() or [b""]
    if len(answers) != len(texts):
        raise CompareError(f"`{adapter.name}`: {len(answers)} answers and a last line for {len(texts)} texts")
    findings = [
        _findings(adapter.name, number, line, text)
        for number, (line, text) in enumerate(zip(answers, texts, strict=True), 1)
    ]
    return findings, _decoded(last, Took, f"`{adapter.name}`: last line")


def row(adapter: Adapter, labelled: Sequence[Labelled], timeout: float) -> Row:
    findings, took = ask(adapter, [each.text for each in labelled], timeout)
    characters = sum(len(each.text) for each in labelled)
    return Row(adapter.name, evaluate_findings(labelled, findings), took, took.cpu_s * 1e6 / characters)


def counts_of(result: Evaluation, kinds: Collection[Entity]) -> Counts:
    """The counts of these kinds alone: their values, and the findings that were called so."""
    counted = [counts for kind, counts in result.kinds.items() if kind in {each.value for each in kinds}]
    return Counts(
        spans=sum(each.spans for each in counted),
        found=sum(each.found for each in counted),
        exact=sum(each.exact for each in counted),
        covered=sum(each.covered for each in counted),
        findings=sum(each.findings for each in counted),
        right=sum(each.right for each in counted),
    )


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown. The first is ours: the last column is its F1 on the kinds of each other row."""
    ours = rows[0].result
    lines = [f"| {' | '.join(COLUMNS)} |", f"|---|{'---:|' * (len(COLUMNS) - 1)}"]
    for each in rows:
        result, total = each.result, each.result.total
        in_set = {kind for kind in each.took.kinds if kind.value in result.kinds and result.kinds[kind.value].spans}
        cells = [
            each.name,
            f"{total.precision:.3f}",
            f"{total.recall:.3f}",
            f"{total.f1:.3f}",
            f"{result.no_leak:.1%}",
            f"{result.blamed} of {result.clean} ({result.clean_blamed:.1%})",
            f"{each.cpu_ms:.2f}",
            str(len(in_set)),
            f"{counts_of(result, each.took.kinds).f1:.3f}",
            f"{counts_of(ours, each.took.kinds).f1:.3f}" if each is not rows[0] else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_between_marks(path: Path, report: str) -> None:
    """Put the report between the two marks of a document, in place of what stands there. Raises CompareError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CompareError(f"`{path}` cannot be read ({type(error).__name__}); nothing was written") from None
    before, began, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (began and ended):
        raise CompareError(f"`{path}` lacks the marks `{BEGIN}` and `{END}`; nothing was written")
    path.write_text(f"{before}{BEGIN}\n{report}\n{END}{after}", encoding="utf-8")


def _compared(path: Path, adapters: Sequence[Adapter], timeout: float) -> str:
    labelled = load_labelled(path)
    if not labelled:
        raise CompareError(f"`{path}`: no labelled texts")
    rows = []
    for adapter in adapters:
        print(f"{path}: {adapter.name} …", file=sys.stderr)
        rows.append(row(adapter, labelled, timeout))
    paragraphs = (
        f"### {_name(path)}",
        _method(labelled, rows),
        SEEN_NOTE if path.resolve() == SEEN else "",
        table(rows),
    )
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _method(labelled: Sequence[Labelled], rows: Sequence[Row]) -> str:
    total = rows[0].result
    versions = {name: version for each in rows for name, version in each.took.versions.items()}
    return (
        f"{time.strftime('%Y-%m-%d')}, {total.texts} texts of {sum(len(each.text) for each in labelled)} characters with {total.total.spans} values of "
        f"{sum(counts.spans > 0 for counts in total.kinds.values())} kinds, {total.clean} of them clean. {os.cpu_count()} {platform.machine()} cores, "
        f"Python {platform.python_version()}, one thread a detector, process time of one pass after a warm-up. "
        f"{', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}."
    )


def _name(path: Path) -> str:
    resolved = path.resolve()
    return str(resolved.relative_to(ROOT)) if resolved.is_relative_to(ROOT) else path.name


def _findings(name: str, number: int, line: bytes, text: str) -> tuple[Finding, ...]:
    findings = _decoded(line, _Answer, f"`{name}`: answer {number}").findings
    if any(not 0 <= each.start < each.end <= len(text) for each in findings):
        raise CompareError(f"`{name}`: answer {number}: a finding ends outside its text")
    return findings


def _decoded(line: bytes, kind: type[_T], place: str) -> _T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CompareError(f"{place} is not what was agreed on ({type(error).__name__})") from None


def _chosen(options: argparse.Namespace) -> list[Adapter]:
    others = {name: HERE / "rivals" / script for name, script in RIVALS.items()}
    for pair in options.rival:
        name, equals, script = pair.partition("=")
        if not (name and equals and Path(script).is_file()):
            raise CompareError("`--rival` takes NAME=SCRIPT, and the script must be a file")
        others[name] = Path(script).resolve()
    if unknown := [name for name in options.only if name not in others]:
        raise CompareError(f"no such detector: {', '.join(unknown)}; there are: {', '.join(others)}")
    chosen = options.only or list(others)
    ours = Adapter(OURS, sys.executable, HERE / "rivals/ours.py")
    return [ours, *(Adapter(name, options.python, others[name]) for name in chosen)]


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="compare.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="labelled sets; `real` when none is named")
    parser.add_argument("--write", type=Path, metavar="README", help="put the tables between its compare-pii marks")
    parser.add_argument("--python", default=str(ROOT / ".venv-rivals/bin/python"), help="what the others run in")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="of the others only this one")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=SCRIPT", help="one more; see rivals/")
    parser.add_argument("--timeout", type=float, default=3600, metavar="S", help="for one detector and one set")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
