"""One spelling for matching: a text with its disguises taken off, and the way back to the original's offsets.

Typography (no-break spaces, long dashes, full-width digits), invisible characters, stress marks, look-alike letters, escapes
of URLs, JSON and HTML, and digits in words are what real texts are full of, and what hides a number from a pattern. Nothing
here is ever sent or stored.
"""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import msgspec


class Folded(msgspec.Struct, frozen=True):
    """`text` for patterns that mind letter case, `lower` (of the same length) for those that do not.

    Each of its characters was written in the original from the place in `starts` to the one in `ends`: one character can be
    a whole escape sequence there, and several can be one word («шестнадцать»).
    """

    text: str
    lower: str
    starts: Sequence[int]
    ends: Sequence[int]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the non-empty span `start` to `end` stands in the original."""
        return self.starts[start], self.ends[end - 1]


def fold(original: str) -> Folded:
    """`original` in its matching spelling."""
    text = original
    starts: Sequence[int] = range(len(original))
    ends: Sequence[int] = range(1, len(original) + 1)
    if "%" in text or "\\" in text or "&" in text:
        text, starts, ends = _edited(text, starts, ends, _unescaped(text))
    if not text.isascii():
        text = text.translate(_SAME_LENGTH)
        if _MARKED.search(text):
            text, starts, ends = _edited(text, starts, ends, _unmarked(text))
        text = _MIXED.sub(_one_alphabet, text)
        if sum(word in _NUMERALS for word in _RUSSIAN_WORD.findall(small(text))) >= _LEAST_NUMERALS:
            text, starts, ends = _edited(text, starts, ends, _in_digits(text))
    text = _HIDDEN_DIGIT.sub(_digit, text)
    return Folded(text, small(text), starts, ends)


def unescaped(original: str) -> Folded | None:
    """`original` with nothing but escapes undone, for what is read letter by letter; None where there are none."""
    if "%" not in original and "\\" not in original and "&" not in original:
        return None
    places: tuple[Sequence[int], Sequence[int]] = range(len(original)), range(1, len(original) + 1)
    text, starts, ends = _edited(original, *places, _unescaped(original))
    return None if text == original else Folded(text, small(text), starts, ends)


def small(text: str) -> str:
    """`text` in lower case, letters that would grow by it left as they are: of the same length."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(letter if len(letter := character.lower()) == 1 else character for character in text)


_Edit = tuple[int, int, str]
"""What stands from the first to the second place, and its other spelling."""


def _edited(
    text: str, starts: Sequence[int], ends: Sequence[int], edits: Iterable[_Edit]
) -> tuple[str, Sequence[int], Sequence[int]]:
    """The text with the edits made; each character of a new spelling stands for all of the old one."""
    pieces: list[str] = []
    new_starts: list[int] = []
    new_ends: list[int] = []
    done = 0
    for start, end, spelling in edits:
        pieces += (text[done:start], spelling)
        new_starts += starts[done:start]
        new_ends += ends[done:start]
        new_starts += [starts[start]] * len(spelling)
        new_ends += [ends[end - 1]] * len(spelling)
        done = end
    if not done:
        return text, starts, ends
    new_starts += starts[done:]
    new_ends += ends[done:]
    return "".join(pieces) + text[done:], new_starts, new_ends


def _spread(targets: dict[str, str]) -> dict[int, str]:
    return {ord(character): target for target, characters in targets.items() for character in characters}


_SAME_LENGTH = _spread(
    {
        " ": "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
        "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d",
        "'": "\u2018\u2019\u02bc\u2032",
        '"': "\u201c\u201d\u201e\u201f\u2033",
        "(": "\uff08",
        ")": "\uff09",
        "+": "\uff0b\ufe62",
        "@": "\uff20",
        ".": "\uff0e\u3002",
        ":": "\uff1a\ua789\u2236",
    }
) | {
    # Every decimal digit of Unicode, so that what looks like a number to a reader is one for us.
    code: str(unicodedata.digit(chr(code)))
    for code in range(0x80, 0x1FBFA)
    if unicodedata.category(chr(code)) == "Nd"
}

_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_MARKED = re.compile(rf"[^\W_][\u0300-\u036f]{{1,20}}|[{_INVISIBLE}]|[\u0300-\u036f]")


def _unmarked(text: str) -> Iterator[_Edit]:
    """The text without invisible characters and stress marks; a letter made of two characters becomes one."""
    for match in _MARKED.finditer(text):
        letter, marks = match[0][0], match[0][1:]
        if not letter.isalnum():
            yield *match.span(), ""
            continue
        for mark in marks:
            composed = unicodedata.normalize("NFC", letter + mark)
            letter = composed if len(composed) == 1 else letter
        yield *match.span(), letter


_ESCAPE = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2}){1,400})|(?P<unicode>\\{1,2}u[0-9A-Fa-f]{4})|(?P<byte>\\{1,2}x[0-9A-Fa-f]{2})"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)|(?P<quote>\\{1,3}[\"'/])"
    r"|(?P<space>\\{1,2}[nrt])"
)
_NOWHERE = sys.maxsize, sys.maxsize
# A path, in which «\n» begins a folder's name: one kind of separator throughout, so that the line break behind «C:\\temp» is none of it.
_NAME = r"[^\\\s\"'<>|*?:,;]"
_PATH = re.compile(
    rf"(?<![A-Za-z])[A-Za-z]:(?P<drive>\\{{1,4}})(?:{_NAME}{{1,80}}(?P=drive)(?!\\)){{0,30}}{_NAME}{{0,80}}"
    rf"|(?<![\\\w])\\{{2,4}}[\w.-]{{1,60}}(?P<share>\\{{1,2}})(?:{_NAME}{{1,80}}(?P=share)(?!\\)){{0,30}}{_NAME}{{1,80}}"
)


def _unescaped(text: str) -> Iterator[_Edit]:
    """What URLs, JSON strings and HTML write in place of characters; what does not decode is left as it is."""
    paths = iter([match.span() for match in _PATH.finditer(text)] if "\\" in text else ())
    path = next(paths, _NOWHERE)
    for match in _ESCAPE.finditer(text):
        written, kind = match[0], match.lastgroup
        if kind == "percent":
            yield from _percent_decoded(written, match.start())
        elif kind in {"unicode", "byte"}:
            code = int(written.lstrip("\\")[1:], 16)
            if code >= 0x20 and not 0xD800 <= code <= 0xDFFF:
                yield *match.span(), chr(code)
        elif kind == "entity":
            if len(character := html.unescape(written)) == 1:
                yield *match.span(), character
        elif kind == "quote":
            yield *match.span(), written[-1]
        else:
            while path[1] <= match.start():
                path = next(paths, _NOWHERE)
            if match.start() >= path[0]:
                continue
            yield *match.span(), {"n": "\n", "r": "\r", "t": "\t"}[written[-1]]


def _percent_decoded(written: str, start: int) -> Iterator[_Edit]:
    try:
        characters = bytes.fromhex(written.replace("%", "")).decode()
    except UnicodeDecodeError:
        return
    for character in characters:
        end = start + 3 * len(character.encode())
        yield start, end, character
        start = end


_LATIN = "ABCEHKMOPTXYaceopxyk"
_CYRILLIC = "АВСЕНКМОРТХУасеорхук"
_TO_CYRILLIC = str.maketrans(_LATIN, _CYRILLIC)
_TO_LATIN = str.maketrans(_CYRILLIC, _LATIN)
# A word in which both alphabets stand side by side. Both sides are bounded, so a long run costs its own length only.
_MIXED = re.compile(r"[A-Za-z]{0,40}(?:[A-Za-z][А-Яа-яЁё]|[А-Яа-яЁё][A-Za-z])[A-Za-zА-Яа-яЁё]{0,40}")


def _one_alphabet(match: re.Match[str]) -> str:
    """The word in the alphabet that most of its letters have no look-alike in; unchanged when neither fits."""
    word = match[0]
    for table in (_TO_CYRILLIC, _TO_LATIN):
        candidate = word.translate(table)
        if candidate.isascii() or not re.search("[A-Za-z]", candidate):
            return candidate
    return word


_ONES = {
    "ноль": 0, "нуль": 0, "один": 1, "одна": 1, "раз": 1, "два": 2, "две": 2, "три": 3, "четыре": 4, "пять": 5, "шесть": 6,
    "семь": 7, "восемь": 8, "девять": 9,
}  # fmt: skip
_TEENS = {
    "десять": 10, "одиннадцать": 11, "двенадцать": 12, "тринадцать": 13, "четырнадцать": 14, "пятнадцать": 15,
    "шестнадцать": 16, "семнадцать": 17, "восемнадцать": 18, "девятнадцать": 19,
}  # fmt: skip
_TENS = {
    "двадцать": 20, "тридцать": 30, "сорок": 40, "пятьдесят": 50, "шестьдесят": 60, "семьдесят": 70, "восемьдесят": 80,
    "девяносто": 90,
}  # fmt: skip
_HUNDREDS = {
    "сто": 100, "двести": 200, "триста": 300, "четыреста": 400, "пятьсот": 500, "шестьсот": 600, "семьсот": 700,
    "восемьсот": 800, "девятьсот": 900,
}  # fmt: skip
_NUMERALS = _ONES | _TEENS | _TENS | _HUNDREDS
_LEAST_NUMERALS = 3  # in a row; one or two are a part of any sentence

_ANY_NUMERAL = "|".join(sorted(_NUMERALS, key=len, reverse=True))
_NUMERAL = re.compile(rf"(?<![а-яё])(?:{_ANY_NUMERAL})(?![а-яё])", re.IGNORECASE)
_RUSSIAN_WORD = re.compile("[а-яё]{3,}")
_BETWEEN = re.compile(r"[ ,.-]{1,3}(?:[0-9]{1,4}[ ,.-]{1,3}){0,3}")  # what two numerals of one number have between them


def _in_digits(text: str) -> Iterator[_Edit]:
    """Numbers that are said («восемь девятьсот шестнадцать …»), where at least three numerals stand in a row."""
    row: list[re.Match[str]] = []
    for match in _NUMERAL.finditer(text):
        if row and not _BETWEEN.fullmatch(text, row[-1].end(), match.start()):
            yield from _row_in_digits(row)
            row = []
        row.append(match)
    yield from _row_in_digits(row)


def _row_in_digits(row: Sequence[re.Match[str]]) -> Iterator[_Edit]:
    if len(row) < _LEAST_NUMERALS:
        return
    start = end = value = 0
    room = 0  # what may still be added to the number: less than 10 after «сорок», less than 100 after «двести»
    for match in row:
        amount = _NUMERALS[match[0].lower()]
        if 0 < amount < room and match.start() - end <= 1:
            value += amount
        else:
            if end:
                yield start, end, str(value)
            start, value, room = match.start(), amount, 1000
        room = 100 if amount >= 100 else 10 if amount >= 20 else 0
        end = match.end()
    yield start, end, str(value)


_HIDDEN_DIGIT = re.compile(r"(?<=[0-9])[OoОоlIІ](?=[0-9])|(?<=[0-9])[ЗзБб](?=[0-9]{2})")
_DIGITS = {"З": "3", "з": "3", "Б": "6", "б": "6", "l": "1", "I": "1", "І": "1"}


def _digit(match: re.Match[str]) -> str:
    return _DIGITS.get(match[0], "0")
