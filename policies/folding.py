"""One spelling for matching: a text with its disguises taken off, and the way back to the original's offsets.

Typography (no-break spaces, long dashes, full-width digits), invisible characters, stress marks and look-alike letters are
what real documents are full of, and what hides a number from a pattern. Nothing here is ever sent or stored.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import msgspec


class Folded(msgspec.Struct, frozen=True):
    """`text` for patterns that mind letter case, `lower` (of the same length) for those that do not."""

    text: str
    lower: str
    places: Sequence[int]  # place in the original of each character, and one more: the original's length

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the non-empty span `start` to `end` stands in the original."""
        return self.places[start], self.places[end - 1] + 1


def fold(original: str) -> Folded:
    """`original` in its matching spelling."""
    text = original
    places: Sequence[int] = range(len(original) + 1)
    if not original.isascii():
        text = original.translate(_SAME_LENGTH)
        if _MARKS.search(text):
            text, places = _without_marks(text)
        text = _MIXED.sub(_one_alphabet, text)
    text = _HIDDEN_DIGIT.sub(_digit, text)
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(small if len(small := character.lower()) == 1 else character for character in text)
    return Folded(text, lower, places)


def _spread(targets: dict[str, str]) -> dict[int, str]:
    return {ord(character): target for target, characters in targets.items() for character in characters}


_SAME_LENGTH = _spread(
    {
        " ": "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
        "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d",
        "'": "\u2018\u2019\u02bc\u2032",
        '"': "\u201c\u201d\u201e\u201f",
        "(": "\uff08",
        ")": "\uff09",
        "+": "\uff0b\ufe62",
        "@": "\uff20",
        ".": "\uff0e\u3002",
    }
) | {
    # Every decimal digit of Unicode, so that what looks like a number to a reader is one for us.
    code: str(unicodedata.digit(chr(code)))
    for code in range(0x80, 0x1FBFA)
    if unicodedata.category(chr(code)) == "Nd"
}

_MARKS = re.compile(r"[\u00ad\u0300-\u036f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


def _without_marks(text: str) -> tuple[str, list[int]]:
    """The text without invisible characters and stress marks; a letter made of two characters becomes one."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if not _MARKS.match(character):
            characters.append(character)
            places.append(place)
        elif characters and unicodedata.combining(character):
            composed = unicodedata.normalize("NFC", characters[-1] + character)
            if len(composed) == 1:
                characters[-1] = composed
    places.append(len(text))
    return "".join(characters), places


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


_HIDDEN_DIGIT = re.compile(r"(?<=[0-9])[OoОоlIІ|](?=[0-9])|(?<=[0-9])[ЗзБб](?=[0-9]{2})")
_DIGITS = {"З": "3", "з": "3", "Б": "6", "б": "6", "l": "1", "I": "1", "І": "1", "|": "1"}


def _digit(match: re.Match[str]) -> str:
    return _DIGITS.get(match[0], "0")
