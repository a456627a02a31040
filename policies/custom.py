"""A customer's own recognisers: one TOML file of dictionaries, regular expressions and classes for Presidio, read whole or not at all.

The file is read once, when the detector opens, and goes to its processes as bytes: what runs is what the log says, whatever happens to
the file meanwhile. A customer's recogniser adds findings and takes none away; when it fails, nothing is known about the text.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import operator
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import regex
from msgspec import Meta

from policies.entities import Entity
from policies.errors import DetectorFailedError, RecognizersFileError
from policies.finding import Finding
from policies.folding import Folded, fold, small
from policies.recognizers.identifier import THRESHOLD
from policies.recognizers.tables import Headings, Tables
from policies.rules import Id
from policies.wordlist import WordList, forms_of, words_in

_Score = Annotated[float, Meta(gt=THRESHOLD, le=1)]
_Stem = Annotated[str, Meta(min_length=2, max_length=60)]


class RuleEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recogniser as data. With `context`, stems of words, it counts where one of them stands within 60 characters, or heads the place."""

    name: Id
    kind: Entity
    patterns: Annotated[tuple[str, ...], Meta(max_length=200)] = ()
    words: tuple[str, ...] = ()
    words_file: Annotated[str, Meta(min_length=1)] | None = None
    score: _Score = 0.8
    context: tuple[_Stem, ...] = ()
    case_sensitive: bool = False
    forms: bool = False  # also the Russian case forms of the words


class ClassEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recogniser as a class: an `EntityRecognizer` of Presidio. What it finds with a score below `threshold` does not count."""

    name: Id
    path: Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] = msgspec.field(name="class")
    kinds: Annotated[dict[str, Entity], Meta(min_length=1)]
    arguments: dict[str, Any] = {}
    threshold: Annotated[float, Meta(ge=0, le=1)] = THRESHOLD


class CustomFile(msgspec.Struct, frozen=True):
    """The bytes of a file of recognisers and of the files of words it names (those that could be read)."""

    path: str
    content: bytes
    words: tuple[tuple[str, bytes], ...] = ()

    @property
    def digest(self) -> str:
        """Eight hex digits that change with the file and its files of words."""
        digest = hashlib.sha256(self.content)
        for name, content in self.words:
            digest.update(f"\n{name}\n{len(content)}\n".encode())
            digest.update(content)
        return digest.hexdigest()[:8]

    @property
    def has_classes(self) -> bool:
        """Whether any entry is code, which is tried in a process of its own."""
        return any("class" in table for table in _tables(self))


def read_custom(path: Path) -> CustomFile:
    """The file at `path`. Raises RecognizersFileError when it is not one of recognisers at all; `load_custom` finds the other problems."""
    file = CustomFile(str(path), _bytes_of(path))
    named = dict.fromkeys(
        name for table in _tables(file) if isinstance(name := table.get("words_file"), str) and "\x00" not in name
    )
    words = []
    for name in named:
        try:
            words.append((name, _bytes_of(path.parent / name)))
        except RecognizersFileError:
            continue  # the entry's own problem, told with those of the others
    return msgspec.structs.replace(file, words=tuple(words))


Find = Callable[[str, object, Callable[[], None]], Iterable[tuple[str, Finding]]]
"""A text, Presidio's NLP artifacts, and what to call between windows → findings, each with the name of its recogniser."""


class Custom(NamedTuple):
    """A file's recognisers, ready."""

    entries: tuple[RuleEntry | ClassEntry, ...]
    rules: Rules
    plugins: tuple[Plugin, ...]

    @property
    def parts(self) -> tuple[Rules | Plugin, ...]:
        """What can be asked to find something."""
        return (self.rules, *self.plugins) if self.rules.labels else self.plugins


def load_custom(file: CustomFile, base: type | None = None) -> Custom:
    """The recognisers of a file; its classes, which must extend `base`, are left alone without one.

    Raises RecognizersFileError with every problem found.
    """
    problems: list[str] = []
    entries: list[RuleEntry | ClassEntry] = []
    rules: list[_Rule] = []
    plugins: list[Plugin] = []
    words = dict(file.words)
    tables = _tables(file)
    for number, table in enumerate(tables, 1):
        found: list[str] = []
        entry = _entry(table, found)
        match entry:
            case RuleEntry():
                rules.append(_rule(entry, words, found))
            case ClassEntry() if base is not None:
                plugins += _plugin(entry, base, found)
        if entry is not None:
            entries.append(entry)
        problems += [f"`recognizer`, {number}-й по счёту ({_name(table)}): {problem}" for problem in found]
    if not tables:
        problems.append("`recognizer`: нет ни одного")
    names = Counter(entry.name for entry in entries)
    problems += [f"`recognizer`: имя `{name}` встречается {count} раза" for name, count in names.items() if count > 1]
    if problems:
        raise RecognizersFileError(tuple(f"{file.path}: {problem}" for problem in problems))
    return Custom(tuple(entries), Rules(rules), tuple(plugins))


class Rules:
    """All dictionaries and regular expressions of a file over one text."""

    def __init__(self, rules: Sequence[_Rule]) -> None:
        self._rules = rules
        self.labels = [(rule.entry.name, rule.entry.kind) for rule in rules]
        self.words = {rule.entry.name: len(rule.words) for rule in rules if rule.words is not None}

    def find(self, text: str, _: object, checkpoint: Callable[[], None]) -> Iterator[tuple[str, Finding]]:
        """Findings, with overlaps and in no order, each with its recogniser's name. `checkpoint` is called between windows.

        Raises DetectorFailedError when a pattern does not come to an end.
        """
        contextual = any(rule.context is not None for rule in self._rules)
        tables = Tables(text if contextual else "", checkpoint)
        for core in range(0, len(text), _WINDOW):
            checkpoint()
            start = max(0, core - _MARGIN)
            raw = text[start : core + _WINDOW + _MARGIN]
            views = _views(raw, tables, start)
            for rule in self._rules:
                for begin, end in rule.spans(views):
                    # A match that the window cut may go on in the next one: unlike ours, it counts in each window it reaches into.
                    if start + end > core and start + begin < core + _WINDOW:
                        found = Finding(start + begin, start + end, rule.entry.kind, rule.entry.score)
                        yield rule.entry.name, found


class Plugin:
    """A customer's class, and the contract that it is held to."""

    def __init__(self, entry: ClassEntry, recognizer: Any) -> None:  # noqa: ANN401 - Presidio ships no types
        self.entry = entry
        self._recognizer = recognizer

    @property
    def labels(self) -> list[tuple[str, Entity]]:
        """The recogniser's name and each kind that it can find."""
        return [(self.entry.name, kind) for kind in dict.fromkeys(self.entry.kinds.values())]

    def find(self, text: str, artifacts: object, checkpoint: Callable[[], None]) -> list[tuple[str, Finding]]:
        """What the class finds, in our kinds. Raises DetectorFailedError for whatever goes wrong in it, naming it and quoting nothing."""
        checkpoint()
        try:
            results = self._recognizer.analyze(text, list(self.entry.kinds), artifacts)
            findings = [self._finding(result, len(text)) for result in results or ()]
        except DetectorFailedError:
            raise
        except Exception as error:  # noqa: BLE001 - not carried on from: it ends the call as our own error
            raise self._failed(f"failed with `{type(error).__name__}`") from None
        return [(self.entry.name, finding) for finding in findings if finding.score >= self.entry.threshold]

    def _finding(self, result: Any, length: int) -> Finding:  # noqa: ANN401 - as above
        start, end, score = operator.index(result.start), operator.index(result.end), float(result.score)
        kind = self.entry.kinds.get(result.entity_type)
        if kind is None:
            raise self._failed("found a kind that its `kinds` do not name")
        if not 0 <= start < end <= length:
            raise self._failed("found something outside the text")
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise self._failed("gave a score that is not between 0 and 1")
        return Finding(start, end, kind, score)

    def _failed(self, how: str) -> DetectorFailedError:
        return DetectorFailedError(f"the recogniser `{self.entry.name}` {how}")


# --- Matching ---

_WINDOW, _MARGIN = 2_000, 320  # characters, as in `recognizers/recognition.py`
_NEAR = 60  # characters between a finding and a word of its context
_LIMIT = 1.0  # second of processor time for one pattern in one window: a sound one takes less than a thousandth
_Span = tuple[int, int]


class _View(NamedTuple):
    """A window in one spelling."""

    folded: Folded
    lower: str  # with «е» for «ё»
    headings: Headings
    is_folded: bool


def _views(raw: str, tables: Tables, start: int) -> list[_View]:
    """The window with its disguises taken off, and as it stands where that is something else: a pattern may mean either."""
    spellings = [fold(raw)]
    if spellings[0].text != raw:
        spellings.append(Folded(raw, small(raw), range(len(raw)), range(1, len(raw) + 1)))
    return [
        _View(each, each.lower.replace("ё", "е"), Headings(each, tables, start), number == 0)
        for number, each in enumerate(spellings)
    ]


class _Rule(NamedTuple):
    entry: RuleEntry
    patterns: tuple[Any, ...]
    words: WordList | None
    context: re.Pattern[str] | None

    def spans(self, views: Sequence[_View]) -> Iterator[_Span]:
        """Places in the window's original spelling."""
        for view in views:
            for start, end in self._spans(view):
                if start < end and (self.context is None or self._in_context(view, start, end)):
                    yield view.folded.original(start, end)

    def _spans(self, view: _View) -> Iterator[_Span]:
        if self.words is not None and view.is_folded:
            yield from self.words.find(view.folded.text)
        try:
            for pattern in self.patterns:
                # All at once: the limit counts from the first match, and must not count what is done with each.
                yield from [match.span() for match in pattern.finditer(view.folded.text, timeout=_LIMIT)]
        except TimeoutError:
            name = self.entry.name
            raise DetectorFailedError(
                f"the recogniser `{name}` did not finish: one of its patterns is too slow"
            ) from None

    def _in_context(self, view: _View, start: int, end: int) -> bool:
        context = self.context
        return context is not None and bool(
            context.search(view.lower, max(0, start - _NEAR), start)
            or context.search(view.lower, end, end + _NEAR)
            or context.search(view.headings.over(start).replace("ё", "е"))
        )


# --- Reading ---

_LARGEST = 16 * 1024 * 1024  # bytes of one file
_MOST_WORDS, _MOST_DECLINED = 100_000, 20_000  # in one recogniser; declining takes 0.2 ms a word
_LONGEST_PATTERN, _DEEPEST = 1_000, 12  # characters; each further level of groups doubles the time that compiling takes
_PROBE_LIMIT = 0.3  # seconds of it in a window made to be hard, where «\w+ \w+» costs the square of a row of letters


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The file's outermost shape; its items are decoded one by one so that each can have its own problem."""

    recognizer: Annotated[list[dict[str, object]], Meta(max_length=500)] = []


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise RecognizersFileError((f"{path}: больше {_LARGEST // 1024 // 1024} МБ",))
        if not path.is_file():
            raise RecognizersFileError((f"{path}: это не файл",))
        return path.read_bytes()
    except OSError as error:
        raise RecognizersFileError((f"{path}: не читается ({error.strerror})",)) from None


def _tables(file: CustomFile) -> list[dict[str, object]]:
    try:
        return msgspec.convert(tomllib.loads(file.content.decode("utf-8-sig")), _File).recognizer
    except UnicodeDecodeError as error:
        raise RecognizersFileError((f"{file.path}: строка {_line(file.content, error)}: это не UTF-8",)) from None
    except tomllib.TOMLDecodeError as error:
        raise RecognizersFileError((f"{file.path}: это не TOML: {_lower_first(str(error))}",)) from None
    except msgspec.ValidationError as error:
        raise RecognizersFileError((f"{file.path}: {_lower_first(str(error))}",)) from None


def _entry(table: dict[str, object], problems: list[str]) -> RuleEntry | ClassEntry | None:
    try:
        return msgspec.convert(table, ClassEntry) if "class" in table else msgspec.convert(table, RuleEntry)
    except msgspec.ValidationError as error:
        problems.append(_lower_first(str(error)))
        return None


def _rule(entry: RuleEntry, files: Mapping[str, bytes], problems: list[str]) -> _Rule:
    if not (entry.patterns or entry.words or entry.words_file):
        problems.append("нужны `patterns`, `words` или `words_file`: искать нечего")
    patterns = [
        pattern
        for number, source in enumerate(entry.patterns, 1)
        if (pattern := _pattern(source, number, problems, case_sensitive=entry.case_sensitive)) is not None
    ]
    return _Rule(entry, tuple(patterns), _word_list(entry, files, problems), _context(entry.context))


def _pattern(source: str, number: int, problems: list[str], *, case_sensitive: bool) -> Any:  # noqa: ANN401 - `regex` ships no types
    """The compiled pattern, or None and a problem. Nothing of the pattern is quoted: it may hold somebody's name."""
    where = f"`patterns`, {number}-й по счёту"
    if len(source) > _LONGEST_PATTERN or _depth(source) > _DEEPEST:
        problems.append(f"{where}: длиннее {_LONGEST_PATTERN} знаков или скобки вложены глубже {_DEEPEST}")
        return None
    try:
        pattern = regex.compile(source, 0 if case_sensitive else regex.IGNORECASE)
    except (regex.error, ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, regex.error) else type(error).__name__
        problems.append(f"{where}: это не регулярное выражение ({reason})")
        return None
    try:
        if pattern.search("", timeout=_PROBE_LIMIT):
            problems.append(f"{where}: подходит и к пустой строке, то есть к любому месту")
            return None
        for probe in _probes(source):
            for _ in pattern.finditer(probe, timeout=_PROBE_LIMIT):
                pass
    except TimeoutError:
        problems.append(f"{where}: слишком медленное: повторы внутри повторов перебирают все варианты")
        return None
    return pattern


def _depth(source: str) -> int:
    deepest = depth = 0
    for bracket in re.findall(r"[()]", re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", source, flags=re.DOTALL)):
        depth += 1 if bracket == "(" else -1
        deepest = max(deepest, depth)
    return deepest


def _probes(source: str) -> Iterator[str]:
    """Windows full of what the pattern speaks of and does not quite find."""
    letters = dict.fromkeys(character for character in source if character.isalnum())
    for unit in (*_UNITS, *letters):
        yield (unit * (_WINDOW + 2 * _MARGIN))[: _WINDOW + 2 * _MARGIN] + "!"


_UNITS = ("а", "a", "A", "1", " ", "-", ".", "а ", "a1", "1-", "1 ", "а.", "1,", "а\n", "a@", "_", '"', "/a")


def _word_list(entry: RuleEntry, files: Mapping[str, bytes], problems: list[str]) -> WordList | None:
    if not entry.words and entry.words_file is None:
        if entry.forms:
            problems.append("`forms`: склоняются слова, а их нет")
        return None
    phrases = [_word(word, f"`words`, {number}-е по счёту", problems) for number, word in enumerate(entry.words, 1)]
    if entry.words_file is not None:
        content = files.get(entry.words_file)
        if content is None:
            problems.append(f"`words_file`: `{entry.words_file}` не читается, или это не файл")
        else:
            phrases += _words_of_file(entry.words_file, content, problems)
    kept = [phrase for phrase in phrases if phrase]
    if not kept:
        problems.append("`words`, `words_file`: нет ни одного слова")
    most = _MOST_DECLINED if entry.forms else _MOST_WORDS
    if len(kept) > most:
        problems.append(f"слов больше {most}" + (", склонять столько нельзя" if entry.forms else ""))
        return None
    if entry.forms:
        kept += forms_of(kept)
    return WordList(kept, case_sensitive=entry.case_sensitive)


def _words_of_file(name: str, content: bytes, problems: list[str]) -> Iterator[str]:
    """One a line; empty lines and those that begin with `#` are passed over. Problems name the line and quote nothing."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        problems.append(f"`words_file`: `{name}`, строка {_line(content, error)}: это не UTF-8")
        return
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield _word(line, f"`words_file`: `{name}`, строка {number}", problems)


def _word(word: str, where: str, problems: list[str]) -> str:
    letters = sum(character.isalnum() for character in word)
    if letters < 2 or len(word) > _MARGIN - _NEAR or len(words_in(word)) > WordList.LONGEST:
        problems.append(
            f"{where}: нужно от двух букв или цифр до {_MARGIN - _NEAR} знаков, не больше {WordList.LONGEST} слов"
        )
        return ""
    return word.strip()


def _context(stems: Iterable[str]) -> re.Pattern[str] | None:
    folded = [re.escape(fold(stem).lower.replace("ё", "е")) for stem in stems]
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(folded)})") if folded else None


def _plugin(entry: ClassEntry, base: type, problems: list[str]) -> list[Plugin]:
    """The plugin of a class, or nothing and its problems. Of an error in the customer's code only the type is told."""
    module, _, name = entry.path.partition(":")
    try:
        kind: Any = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a customer's module raises anything; it becomes a problem of the file
        problems.append(f"`class`: `{entry.path}` не импортируется (`{type(error).__name__}`)")
        return []
    if not (isinstance(kind, type) and issubclass(kind, base)):
        problems.append(f"`class`: `{entry.path}` — не наследник `EntityRecognizer` из Presidio")
        return []
    if reason := next(filter(None, map(_unfit, kind.__mro__)), ""):
        problems.append(f"`class`: `{entry.path}` {reason}")
        return []
    try:
        recognizer: Any = kind(**entry.arguments)
        supported = set(recognizer.get_supported_entities())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
        problems.append(f"`class`, `arguments`: `{entry.path}` не создаётся (`{type(error).__name__}`)")
        return []
    if unknown := sorted(set(entry.kinds) - supported):
        problems.append(f"`kinds`: класс не находит {', '.join(f'`{each}`' for each in unknown)}")
    if unnamed := sorted(supported - set(entry.kinds)):
        problems.append(f"`kinds`: класс находит и {', '.join(f'`{each}`' for each in unnamed)}: укажите вид")
    return [Plugin(entry, recognizer)]


def _unfit(kind: type) -> str:
    """Why a class, or one it extends, cannot be used here; empty when it can."""
    if hasattr(sys.modules.get(kind.__module__), "tldextract"):
        return "скачивает из интернета список доменов (tldextract); адреса почты находит встроенный распознаватель"
    return _UNFIT.get(kind.__name__, "") if kind.__module__.startswith("presidio_analyzer.") else ""


_ASKS = "посылает тексты другому сервису мимо политики и журнала"
_UNFIT = {
    "AzureAILanguageRecognizer": _ASKS,
    "AzureHealthDeidRecognizer": _ASKS,
    "LangExtractRecognizer": _ASKS,
    "SpacyRecognizer": "берёт готовое у движка NLP, которого здесь нет: не нашёл бы ничего",
}
"""Classes of Presidio that send texts out of the house, or could find nothing; those that extend them do the same."""


def _name(table: Mapping[str, object]) -> str:
    name = table.get("name")
    return f"`{name}`" if isinstance(name, str) else "без `name`"


def _line(content: bytes, error: UnicodeDecodeError) -> int:
    return content.count(b"\n", 0, error.start) + 1


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]
