"""A dictionary of words and phrases, found in a text at the cost of the text and not of the dictionary."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from policies.folding import fold, small


class WordList:
    """Words and phrases. A phrase is found as whole words, with any white space between them, with «е» for «ё».

    Case of letters does not count unless `case_sensitive`.
    """

    LONGEST = 20  # words and signs of one phrase

    def __init__(self, phrases: Iterable[str], *, case_sensitive: bool) -> None:
        self._case_sensitive = case_sensitive
        self._phrases: set[tuple[str, ...]] = set()
        lengths: dict[str, set[int]] = {}
        for phrase in phrases:
            words = tuple(word for word, _, _ in self._words(fold(phrase).text))
            if words:
                self._phrases.add(words)
                lengths.setdefault(words[0], set()).add(len(words))
        # Equal tuples are shared: most words begin phrases of one length only.
        shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        descending = {first: tuple(sorted(found, reverse=True)) for first, found in lengths.items()}
        self._lengths = {first: shared.setdefault(found, found) for first, found in descending.items()}

    def __len__(self) -> int:
        """How many phrases there are, forms included."""
        return len(self._phrases)

    def find(self, folded: str) -> Iterator[tuple[int, int]]:
        """Where the longest phrase from each place stands in a folded text; places may overlap."""
        words = self._words(folded)
        for place, (first, start, _) in enumerate(words):
            for length in self._lengths.get(first, ()):
                row = words[place : place + length]
                if tuple(word for word, _, _ in row) in self._phrases:
                    yield start, row[-1][2]
                    break

    def _words(self, folded: str) -> list[tuple[str, int, int]]:
        text = (folded if self._case_sensitive else small(folded)).translate(_YO)
        return words_in(text)


def words_in(text: str) -> list[tuple[str, int, int]]:
    """Runs of letters and digits, and each sign that is not white space: what it is, and where it stands."""
    return [(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]


def forms_of(phrases: Iterable[str]) -> list[str]:
    """Phrases in the other Russian cases: words in the nominative declined alike, every other word left as it is.

    «Новая заря» is «новой зари», «заря востока» is «зари востока». Costs 0.2 ms a word.
    """
    from pymorphy3 import MorphAnalyzer  # here, for few have such a list; its dictionaries go when it is done

    parse = MorphAnalyzer().parse
    return [form for phrase in phrases for form in _forms(phrase, parse) - {phrase}]


_Parse = Callable[[str], list[Any]]


def _forms(phrase: str, parse: _Parse) -> set[str]:
    words = words_in(phrase)
    readings = [_declined(word, parse) for word, _, _ in words]
    # A lone word can be read in several ways («Петрова» is of both genders); of words that agree the likeliest way is taken.
    ways = max(map(len, readings), default=0) if len(words) == 1 else 1
    forms: set[str] = set()
    for way in range(ways):
        for case in range(len(_CASES)):
            pieces, done = [], 0
            for (word, start, end), ways_of_word in zip(words, readings, strict=True):
                pieces += [phrase[done:start], ways_of_word[way][case] if way < len(ways_of_word) else word]
                done = end
            forms.add("".join(pieces) + phrase[done:])
    return forms


def _declined(word: str, parse: _Parse) -> list[list[str]]:
    """For each way to read the word as a nominative: its forms in the other cases, in the word's own case of letters."""
    if not _RUSSIAN.fullmatch(word) or (word.isupper() and len(word) <= _ABBREVIATION):
        return []
    readings: list[list[str]] = []
    for reading in parse(word.lower()):
        if "nomn" in reading.tag:
            inflected = [reading.inflect({case}) for case in _CASES]
            forms = [_cased(each.word if each else word, word) for each in inflected]
            if forms not in readings:
                readings.append(forms)
    return readings


def _cased(form: str, like: str) -> str:
    if like.isupper():
        return form.upper()
    return form[:1].upper() + form[1:] if like[:1].isupper() else form


_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
_RUSSIAN = re.compile("[А-Яа-яЁё]{3,60}")
_ABBREVIATION = 4  # letters; «МТС» is not declined
_CASES = ("gent", "datv", "accs", "ablt", "loct")
_YO = str.maketrans("ёЁ", "еЕ")
