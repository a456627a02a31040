"""How good findings are against labelled texts: precision, recall, what leaks, what clean texts are blamed for. Pure but for reading files.

Two kinds of files are read. JSONL: `text`, `spans` (`start`, `end`, `type`), and where given `ignore` (spans that are neither right nor
wrong to find) and `noise` (a name for how the text is written). Text: prompts separated by lines of `%%`, labels as `[[TYPE|value]]`; lines
`# ignore: value ;; value` and `# special: KIND, KIND` at the beginning of a prompt are not part of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from policies.entities import Entity
from policies.errors import EvaluationError
from policies.finding import Finding


class Span(msgspec.Struct, frozen=True):
    """Characters `start` to `end` (exclusive). `type` is "" where it does not matter."""

    start: int
    end: int
    type: str = ""


class Labelled(msgspec.Struct, frozen=True):
    """A text and what stands in it. `special`: kinds of ст. 10 and the like that the whole text speaks of."""

    text: str
    spans: tuple[Span, ...] = ()
    ignore: tuple[Span, ...] = ()
    noise: str = "none"
    special: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say how long the text is, and nothing of what is in it."""
        return f"Labelled(<{len(self.text)} characters>, {len(self.spans)} spans)"


class Counts(msgspec.Struct):
    """Of one kind. A span counts as found when half of its letters and digits are covered by the same kind, a finding as right likewise.

    `exact`: found with the very borders. `covered`: at least 99 % of the span is covered by findings of whatever kind.
    """

    spans: int = 0
    found: int = 0
    exact: int = 0
    covered: int = 0
    findings: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        return self.right / self.findings if self.findings else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.spans if self.spans else 1.0

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


class Mistake(NamedTuple):
    """Text number `text` of the set: a span that was missed, or a finding that is none. Never holds the value itself."""

    text: int
    span: Span
    missed: bool


class Evaluation(msgspec.Struct):
    """`kinds` and `noises`: counts of each. `confused`: (labelled as, found as) → how often.

    `special`: of each kind that a whole text speaks of, texts instead of spans; only of sets that label them.
    """

    kinds: dict[str, Counts] = {}
    noises: dict[str, Counts] = {}
    special: dict[str, Counts] = {}
    total: Counts = msgspec.field(default_factory=Counts)
    texts: int = 0
    clean: int = 0
    blamed: int = 0
    confused: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    mistakes: list[Mistake] = []

    @property
    def no_leak(self) -> float:
        """Share of spans of which nothing would have left."""
        return self.total.covered / self.total.spans if self.total.spans else 1.0

    @property
    def clean_blamed(self) -> float:
        """Share of texts without any span in which something was found."""
        return self.blamed / self.clean if self.clean else 0.0


def load_labelled(path: Path) -> list[Labelled]:
    """The texts of a `.jsonl` or `.txt` file, or of all `.txt` files of a folder. Raises EvaluationError that names the line."""
    if path.is_dir():
        return [each for file in sorted(path.glob("*.txt")) for each in load_labelled(file)]
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"`{path}`: файл не читается ({type(error).__name__})") from None
    if path.suffix == ".txt":
        parts = re.split(r"^%%[ \t]*$", content, flags=re.MULTILINE)
        return [_marked(part.strip("\n"), path) for part in parts if part.strip()]
    return [
        _line(line, f"`{path}`, строка {number}") for number, line in enumerate(content.splitlines(), 1) if line.strip()
    ]


def evaluate_findings(labelled: Sequence[Labelled], findings: Iterable[Sequence[Finding]]) -> Evaluation:
    """Compare what was found in each text with what stands in it; of kinds of whole texts (ст. 10) only whether they were seen."""
    result = Evaluation()
    for number, (text, found) in enumerate(zip(labelled, findings, strict=True)):
        _count(result, number, text, [each for each in found if each.entity not in _OF_TEXTS])
        _count_special(result, set(text.special), {each.entity.value for each in found if each.entity in _OF_TEXTS})
    return result


_OF_TEXTS = frozenset(
    {
        Entity.HEALTH,
        Entity.CRIMINAL_RECORD,
        Entity.RELIGION,
        Entity.NATIONALITY,
        Entity.POLITICS,
        Entity.INTIMATE_LIFE,
        Entity.BIOMETRIC,
    }
)
_MARK = re.compile(r"\[\[(?P<type>[A-Z_]+)\|(?P<value>.*?)\]\]", re.DOTALL)
_DECODER = msgspec.json.Decoder(Labelled)
_HALF, _WHOLE = 0.5, 0.99


def _line(line: str, place: str) -> Labelled:
    try:
        labelled = _DECODER.decode(line)
    except msgspec.MsgspecError as error:
        raise EvaluationError(
            f'{place}: нужен JSON вида {{"text": …, "spans": […]}} ({type(error).__name__})'
        ) from None
    if any(not 0 <= span.start < span.end <= len(labelled.text) for span in (*labelled.spans, *labelled.ignore)):
        raise EvaluationError(f"{place}: границы разметки выходят за текст")
    return labelled


def _marked(part: str, path: Path) -> Labelled:
    ignored: list[str] = []
    special: tuple[str, ...] = ()
    while head := re.match(r"# (?P<word>ignore|special): (?P<rest>.*)\n?", part):
        if head["word"] == "ignore":
            ignored += [value.strip() for value in head["rest"].split(";;")]
        else:
            special = tuple(kind.strip() for kind in head["rest"].split(","))
        part = part[head.end() :]
    text, spans, last = "", [], 0
    for mark in _MARK.finditer(part):
        if mark["type"] not in Entity.__members__:
            raise EvaluationError(f"`{path}`: вида данных `{mark['type']}` нет")
        text += part[last : mark.start()]
        spans.append(Span(len(text), len(text) + len(mark["value"]), mark["type"]))
        text += mark["value"]
        last = mark.end()
    text += part[last:]
    ignore = [Span(*match.span()) for value in ignored if value for match in re.finditer(re.escape(value), text)]
    return Labelled(text, tuple(spans), tuple(ignore), path.stem, special)


class _Reading(NamedTuple):
    """Text `number`: what was said of each of its characters, and by which findings."""

    number: int
    text: str
    said: list[str]
    found: set[Span]


def _count(result: Evaluation, number: int, labelled: Labelled, found: Sequence[Finding]) -> None:
    text = labelled.text
    gold, ignored = [""] * len(text), [False] * len(text)
    for span in labelled.spans:
        gold[span.start : span.end] = [span.type] * (span.end - span.start)
    for span in labelled.ignore:
        ignored[span.start : span.end] = [True] * (span.end - span.start)
    said = [""] * len(text)
    for each in found:
        said[each.start : each.end] = [each.entity.value] * (each.end - each.start)
    reading = _Reading(number, text, said, {Span(each.start, each.end, each.entity.value) for each in found})
    noise = result.noises.setdefault(labelled.noise, Counts())
    for span in labelled.spans:
        _count_span(result, (result.kinds.setdefault(span.type, Counts()), noise, result.total), span, reading)
    blamed = False
    for each in found:
        places = _places(text, each.start, each.end)
        right = _share(gold[place] == each.entity.value for place in places)
        somebody = _share(gold[place] != "" for place in places)
        if right < _HALF and somebody < _HALF and _share(ignored[place] for place in places) >= _HALF:
            continue
        blamed = blamed or somebody < _HALF
        for counts in (result.kinds.setdefault(each.entity.value, Counts()), noise, result.total):
            counts.findings += 1
            counts.right += right >= _HALF
        if right < _HALF:
            labels = Counter(gold[place] for place in places)
            result.confused[labels.most_common(1)[0][0] or "—", each.entity.value] += 1
            result.mistakes.append(Mistake(number, Span(each.start, each.end, each.entity.value), missed=False))
    result.texts += 1
    if not labelled.spans:
        result.clean += 1
        result.blamed += blamed


def _count_special(result: Evaluation, labelled: set[str], said: set[str]) -> None:
    for kind in labelled | said:
        counts = result.special.setdefault(kind, Counts())
        counts.spans += kind in labelled
        counts.findings += kind in said
        counts.found += kind in labelled & said
        counts.right += kind in labelled & said


def _count_span(result: Evaluation, all_counts: tuple[Counts, ...], span: Span, reading: _Reading) -> None:
    places = _places(reading.text, span.start, span.end)
    said = [reading.said[place] for place in places]
    hit = _share(kind == span.type for kind in said) >= _HALF
    covered = _share(kind != "" for kind in said) >= _WHOLE
    exact = Span(span.start, span.end, span.type) in reading.found
    for counts in all_counts:
        counts.spans += 1
        counts.found += hit
        counts.covered += covered
        counts.exact += exact
    if not covered:
        result.mistakes.append(Mistake(reading.number, span, missed=True))
    if not hit:
        result.confused[span.type, Counter(said).most_common(1)[0][0] or "—"] += 1


def _places(text: str, start: int, end: int) -> list[int]:
    """The letters and digits of a span: separators at its ends do not matter."""
    return [place for place in range(start, end) if text[place].isalnum()] or list(range(start, end))


def _share(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0
