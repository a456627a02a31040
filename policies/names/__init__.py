"""Names of people and their addresses: the dictionary and its rules, and the network that weighs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from policies.entities import Entity
from policies.finding import Finding
from policies.names import grammar, network, spans, tagger
from policies.names.lexicon import Kind

if TYPE_CHECKING:
    from policies.recognizers.tables import Headings

__all__ = ["find", "load"]


def load() -> None:
    """Read the network and the dictionaries, before the first text comes. Raises OSError or ValueError for a file that is not ours."""
    spans.load()
    grammar.load()


def find(text: str, lower: str, headings: Headings) -> Iterator[Finding]:
    """Names and addresses in a folded text, in no order; names do not overlap.

    What the rules find is a hint to the network. Where it sees nothing, a name that the rules are sure of counts; where it sees a name that
    is in every schoolbook, the rules' word counts.
    """
    ruled = list(tagger.find(text, lower))
    renowned = [found for found in ruled if found.score == tagger.NOBODY]
    people = [found for found in ruled if found.score > tagger.NOBODY]
    seen = [
        found
        for found in spans.find(text, headings, people)
        if found.entity is Entity.ADDRESS
        or not (_touches(found, renowned) or _is_in_a_code(text, found) or _is_another_word(text, found, people))
    ]
    yield from (found for found in seen if found.entity is Entity.ADDRESS)
    persons = [found for found in seen if found.entity is Entity.PERSON]
    sure = [
        found for found in people if found.score >= (tagger.PROBABLE if _touches(found, persons) else tagger.ANNOUNCED)
    ]
    yield from (_whole(text, name) for name in _united([*persons, *sure]))


def _united(names: list[Finding]) -> Iterator[Finding]:
    """Names that overlap are one: the network's idea of where it ends, or the rules', whichever is farther."""
    last: Finding | None = None
    for name in sorted(names):
        if last and name.start < last.end:
            last = Finding(last.start, max(last.end, name.end), Entity.PERSON, max(last.score, name.score))
            continue
        if last:
            yield last
        last = name
    if last:
        yield last


def _whole(text: str, name: Finding) -> Finding:
    """The name with the words beside it that can only belong to it: «Пустовойт» of «Пустовойт Дарина»."""
    start, end = name.start, name.end
    if text.count(" ", start, end) > 1:
        return name
    before, after = _BEFORE.search(text, max(0, start - _LONGEST), start), _AFTER.match(text, end)
    # What opens a sentence before a name is a verb more often: «Позови Анну Петровну».
    if before and _is_of_a_name(before["word"]) and not tagger.VERB.search(before["word"]):
        start = before.start()
    if after and _is_of_a_name(after["word"]):
        end = after.end()
    return name if end - start == name.end - name.start else Finding(start, end, name.entity, name.score)


_LONGEST = 25  # letters
_BEFORE = re.compile(r"(?<![\w-])(?P<word>[А-ЯЁ][а-яё]+(?:-[А-ЯЁ][а-яё]+)?) $")
_AFTER = re.compile(r" (?P<word>[А-ЯЁ][а-яё]+(?:-[А-ЯЁ][а-яё]+)?)(?![\w-])")
_FREQUENT = 50_000  # of the words with a vector; a rarer one that is on a list of names is hardly anything else


def _is_of_a_name(word: str) -> bool:
    (row, *_), kinds = spans.load().vocabulary.look(word)
    if kinds & (Kind.NEVER | Kind.COMMON | Kind.VOICE | Kind.RENOWNED):
        return False
    if kinds & (Kind.FIRST | Kind.SURNAME):
        return True
    return not 0 < row <= _FREQUENT and bool(kinds & (Kind.SURNAME_LIKE | network.LISTED))


def _is_in_a_code(text: str, name: Finding) -> bool:
    """Whether a name in Latin letters is a part of a user name, an address or a password: «Zima2024»."""
    around = text[name.start - 1 : name.start] + text[name.end : name.end + 1]
    return text[name.start].isascii() and not tagger.OF_A_HANDLE.isdisjoint(around)


def _is_another_word(text: str, name: Finding, people: list[Finding]) -> bool:
    """Whether a name of one word, which no rule supports, is a word that can be no name."""
    word = text[name.start : name.end]
    return word.isalpha() and grammar.is_never_a_name(word) and not _touches(name, people)


def _touches(one: Finding, others: list[Finding]) -> bool:
    return any(one.start < other.end and other.start < one.end for other in others)
