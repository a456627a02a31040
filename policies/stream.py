r"""Putting originals back into an answer that arrives in pieces, byte for byte the same for every way to cut it.

A model changes what it was given: `[person 1]`, `\[PERSON\_1\]`, `<PERSON_1>`, `PERSON_1`. Each such way has one reading or none, and
what has none stays as it is. What `redact` wrote itself is read first and alone, with nothing beside it, so that tolerance never
changes what stood around a value.

1. Within two brackets, full-width ones too: any case of letters, spaces, hyphens, quotes, markdown marks and invisible characters, a
   Russian word for the kind (`WORDS`), a Russian ending before the closing bracket, which stays.
2. Elsewhere, capital letters and `_` or `\_` only, as a word of its own or with a Russian ending: `person_1` may be a variable. One
   bracket beside it goes with it, a closing one unless one opened before it on the line is still open; `<` and `>` go together.
3. The suffix of gender may be missing, but not contradict; a missing `:2` means the first way; another number or way means nobody.
4. Straight quotes within brackets stay, and the brackets: `["PERSON_1"]` is a list.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from policies.entities import Entity

if TYPE_CHECKING:
    from policies.redaction import Vault


class StreamRestorer:
    """What `feed` and then `finish` return, joined, is `restore` of all that was fed, joined.

    Only an end of the text that may be the beginning of a placeholder or stand-in of this vault is held back, and at most one of
    them. One restorer serves one stream: each choice, and each tool call, needs its own.

    `json_strings`: the text is JSON, and originals are put into its strings: they are escaped, and escapes that stand for a
    part of a placeholder are read as what they stand for. Halves of a surrogate pair that meet become their character, in
    different chunks too; a half without the other becomes U+FFFD, for it could not be encoded.
    """

    def __init__(self, vault: Vault, *, json_strings: bool = False) -> None:
        self._vault = vault
        self._stand_ins = vault.stand_ins()
        self._json_strings = json_strings
        self._held = ""
        self._before = ""  # the character before what is held
        self._open = 0  # brackets of the author's that are open on this line
        self._tally = _Tally(vault)

    def feed(self, chunk: str) -> str:
        """What can be given out after `chunk`; possibly nothing."""
        if not self._held and _encodable(chunk) and self._is_foreign(chunk):
            self._pass(chunk)
            return chunk
        return self._advance(self._held + chunk, last=False)

    def finish(self) -> str:
        """The rest, once the stream has ended: no further chunk may follow."""
        return self._advance(self._held, last=True)

    @property
    def unrestored(self) -> int:
        """How many placeholders stand in what was given out: invented or damaged ones. Those that the caller wrote do not count."""
        return self._tally.count()

    def _is_foreign(self, chunk: str) -> bool:
        """Whether no part of the text can belong to a placeholder or stand-in."""
        return _START.search(chunk) is None and (self._stand_ins is None or self._stand_ins.are_absent(chunk))

    def _advance(self, text: str, *, last: bool) -> str:
        tail = ""
        if not _encodable(text):
            text, tail = _paired(text, last=last)
        offsets: list[int] | None = None
        read = text
        if self._json_strings and "\\" in text:
            read, offsets = _unescaped(text, last=last)
        # (1) what is decided, from left to right
        pieces: list[str] = []
        done = passed = 0  # `read` is given out up to here; nothing may begin before here
        cut = len(read)
        for start in self._starts(read):
            if start < passed:
                continue
            found = self._at(read, start, done, last=last)
            if found is _UNDECIDED:
                cut = start
                break
            if found is None:
                continue
            passed = found.end
            if found.original is None:
                continue
            self._pass(read[done : found.begin])
            self._tally.add(_BREAK)
            pieces.append(text[done : found.begin] if offsets is None else text[offsets[done] : offsets[found.begin]])
            value = found.original
            pieces.append(json.dumps(value, ensure_ascii=False)[1:-1] if self._json_strings else value)
            self._before = read[found.end - 1]
            done = found.end
        # (2) the text behind the last of it, and what is not decided yet
        self._pass(read[done:cut])
        end = cut if offsets is None else offsets[cut]
        pieces.append(text[done if offsets is None else offsets[done] : end])
        self._held = text[end:] + tail
        return "".join(pieces)

    def _pass(self, literal: str) -> None:
        """Remember of what is given out unchanged what the rest has to know."""
        if literal:
            self._before = literal[-1]
            self._open = _opened(self._open, literal)
            self._tally.add(literal)

    def _starts(self, text: str) -> Iterator[int]:
        if self._stand_ins is None:
            for match in _START.finditer(text):
                yield match.start()
            return
        yield from self._stand_ins.starts(text, self._before)

    def _at(self, text: str, start: int, done: int, *, last: bool) -> _Found | None:
        """What begins at `start`: the longest, _UNDECIDED if more text may change it, or None. Up to `done` all is given out."""
        found = None
        if text[start] in "[［【\\":
            found = self._bracketed(text, start, last=last)
        elif text[start] == "<":
            found = self._angled(text, start, last=last)
        elif "A" <= text[start] <= "Z" and not _is_word(text[start - 1] if start else self._before):
            found = self._bare(text, start, done, last=last)
        if self._stand_ins is None or found is _UNDECIDED:
            return found
        other = self._stand_ins.at(text, start, last=last)
        return (
            other if found is None or (other is not None and (other is _UNDECIDED or other.end > found.end)) else found
        )

    def _bracketed(self, text: str, start: int, *, last: bool) -> _Found | None:
        opening = start + (text[start] == "\\")
        if opening == len(text):
            return None if last or not len(self._vault) else _UNDECIDED
        if text[opening] not in "[［【":
            return None
        exact = PLACEHOLDER.match(text, opening)
        if exact and (original := self._vault.original(exact[0])) is not None:
            return _Found(opening, exact.end(), original)  # a "\" before it is the caller's: CORP\petrov
        if whole := _BRACKETED.match(text, opening):
            return self._meant(whole, start, whole.end(), whole["ending"])
        if not last and self._may_grow(_BRACKETED_BEGUN, text, opening):
            return _UNDECIDED
        lone = _BARE.match(text, opening + 1)
        return self._meant(lone, start, lone.end()) if lone else None

    def _angled(self, text: str, start: int, *, last: bool) -> _Found | None:
        if whole := _ANGLED.match(text, start):
            return self._meant(whole, start, whole.end())
        return _UNDECIDED if not last and self._may_grow(_ANGLED_BEGUN, text, start) else None

    def _bare(self, text: str, start: int, done: int, *, last: bool) -> _Found | None:
        if not last and self._may_grow(_BARE_BEGUN, text, start):
            return _UNDECIDED
        bare = _BARE.match(text, start)
        if bare is None:
            return None
        closing = _CLOSING.match(text, bare.end())
        if closing and not _opened(self._open, text[done:start]):
            return self._meant(bare, start, closing.end())
        return self._meant(bare, start, bare.end())

    def _meant(self, match: re.Match[str], start: int, end: int, ending: str = "") -> _Found | None:
        """The reading of a placeholder; with no original where it is ours and contradicts itself, so that no part of it is read."""
        entity = WORDS.get(letters(match["words"]))
        if entity is None or not self._vault.gave(entity, match["number"]):
            return None
        suffix = _SUFFIXES.get((match["suffix"] or "").upper(), "")
        original = self._vault.meant(entity, match["number"], suffix, int(match["form"] or 1))
        return _Found(start, end, None if original is None else original + (ending or ""))

    def _may_grow(self, begun: re.Pattern[str], text: str, start: int) -> bool:
        """Whether more text could make the end of `text` one of the placeholders given out."""
        if len(text) - start > _LONGEST:
            return False
        match = begun.fullmatch(text, start)
        if match is None:
            return False
        words = letters(match["words"])
        if not match["number"]:
            return self._vault.may_begin(words)
        entity = WORDS.get(words)
        return entity is not None and self._vault.may_give(entity, match["number"], whole=bool(match["rest"]))


class StandIns:
    """Literal strings and what each is put back as, found by their first word: no string begins or ends within a word."""

    def __init__(self, originals: Mapping[str, str]) -> None:
        self._originals = originals
        self._sorted = sorted(originals)
        self._longest = max(map(len, originals))
        self._by_first: dict[str, list[str]] = {}
        for text in sorted(originals, key=len, reverse=True):
            self._by_first.setdefault(_TOKEN.findall(text)[0], []).append(text)

    def are_absent(self, text: str) -> bool:
        """Whether none begins in `text`, which begins a word or goes on with one."""
        tokens = _TOKEN.findall(text)
        if not tokens:
            return True
        return self._by_first.keys().isdisjoint(tokens) and not (
            text.endswith(tokens[-1]) and self._may_begin(tokens[-1])
        )

    def starts(self, text: str, before: str) -> Iterator[int]:
        """Where one, or a placeholder, may begin in `text`, before which the character `before` stands."""
        edge = len(text) - self._longest
        for match in _TOKEN.finditer(text):
            token, start = match[0], match.start()
            if token not in self._by_first and start < edge and token[0] not in _OPENINGS:
                continue
            if start or not (_is_word(before) and _is_word(token[0])):
                yield start

    def at(self, text: str, start: int, *, last: bool) -> _Found | None:
        """The longest that stands at `start`, where a word begins."""
        if not last and len(text) - start <= self._longest and self._may_begin(text[start:]):
            return _UNDECIDED
        first = _TOKEN.match(text, start)
        for each in self._by_first.get(first[0], ()) if first else ():
            end = start + len(each)
            if text.startswith(each, start) and not (_is_word(each[-1]) and _is_word(text[end : end + 1])):
                return _Found(start, end, self._originals[each])
        return None

    def _may_begin(self, part: str) -> bool:
        """Whether `part` is the beginning of one, or one that may turn out to be the beginning of a longer word."""
        place = bisect_left(self._sorted, part)
        if place < len(self._sorted) and self._sorted[place] == part and not _is_word(part[-1]):
            place += 1
        return place < len(self._sorted) and self._sorted[place].startswith(part)


def placeholders_in(text: str) -> Iterator[tuple[Entity, str]]:
    """Kind and number of all that could be read as a placeholder in `text`, and in what is left of it when parts are hidden."""
    for match in _BRACKETED.finditer(text):
        entity = WORDS.get(letters(match["words"]))
        if entity is not None:
            yield entity, match["number"]
    for words, number in set(_WITHIN.findall(text)):
        for entity in Entity:
            if letters(words).endswith(entity.replace("_", "")):
                yield from ((entity, number[:length]) for length in range(1, len(number) + 1))
    if "\\u" in text:
        yield from placeholders_in(_unescaped(text, last=True)[0].replace("\\", "/"))


class _Found(NamedTuple):
    begin: int
    end: int
    original: str | None


_UNDECIDED = _Found(-1, -1, None)


class _Tally:
    """Counts what looks like a placeholder in the text that is given out, without delaying it."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._pieces: list[str] = []
        self._size = 0
        self._begin = 0  # before here only for the word's left end
        self._count = 0

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > _TALLIED:
            text = "".join(self._pieces)
            count, place = self._counted(text, len(text) - _LONGEST)
            self._count += count
            self._begin = 1
            self._pieces = [text[place - 1 :]]
            self._size = len(self._pieces[0])

    def count(self) -> int:
        text = "".join(self._pieces)
        return self._count + self._counted(text, len(text))[0]

    def _counted(self, text: str, limit: int) -> tuple[int, int]:
        """How many begin before `limit`, and from where to go on."""
        count, place = 0, self._begin
        for match in _START.finditer(text, self._begin, limit):
            start = match.start()
            if start < place:
                continue
            found = _BRACKETED.match(text, start)
            if found is None and not _is_word(text[start - 1 : start]):
                found = _BARE.match(text, start)
            entity = WORDS.get(letters(found["words"])) if found else None
            if found and entity:
                place = found.end()
                count += not self._vault.is_callers(entity, found["number"])
        return count, max(place, limit)


_TALLIED = 4096
_BREAK = "\0"

WORDS: Mapping[str, Entity] = {entity.replace("_", ""): entity for entity in Entity} | {
    "ПЕРСОНА": Entity.PERSON,
    "ЧЕЛОВЕК": Entity.PERSON,
    "ЛИЦО": Entity.PERSON,
    "ИМЯ": Entity.PERSON,
    "ФИО": Entity.PERSON,
    "ТЕЛЕФОН": Entity.PHONE,
    "НОМЕРТЕЛЕФОНА": Entity.PHONE,
    "ДАТАРОЖДЕНИЯ": Entity.BIRTH_DATE,
    "АДРЕС": Entity.ADDRESS,
    "ПАСПОРТ": Entity.PASSPORT,
    "ЛОГИН": Entity.USERNAME,
    "ИМЯПОЛЬЗОВАТЕЛЯ": Entity.USERNAME,
    "ПОЧТА": Entity.EMAIL,
    "ЭЛЕКТРОННАЯПОЧТА": Entity.EMAIL,
    "СНИЛС": Entity.SNILS,
    "ПАРОЛЬ": Entity.PASSWORD,
    "ИНН": Entity.INN,
    "ОМС": Entity.OMS,
    "ПОЛИСОМС": Entity.OMS,
    "КАРТА": Entity.BANK_CARD,
    "БАНКОВСКАЯКАРТА": Entity.BANK_CARD,
    "БАНКОВСКИЙСЧЕТ": Entity.BANK_ACCOUNT,
    "ЗАГРАНПАСПОРТ": Entity.INTL_PASSPORT,
    "ТАБЕЛЬНЫЙНОМЕР": Entity.EMPLOYEE_ID,
    "ГОСНОМЕР": Entity.PLATE,
    "КАДАСТРОВЫЙНОМЕР": Entity.CADASTRE,
    "ВОЕННЫЙБИЛЕТ": Entity.MILITARY_ID,
    "ОГРНИП": Entity.OGRNIP,
}
"""What a placeholder's kind is called, capital letters only → the kind. A word that could be two kinds is not here."""


def letters(words: str) -> str:
    """A kind as WORDS has it, however its letters are set apart."""
    return _NO_LETTERS.sub("", words).upper().replace("Ё", "Е")


_INVISIBLE = "\u00ad\u200b-\u200f\u2060\ufeff"
_SPACES = " \t\u00a0\u2000-\u200a\u202f\u3000"
_GAP = rf"[{_SPACES}{_INVISIBLE}\\*`«»“”„‘’]"
_SEPARATOR = rf"[{_SPACES}{_INVISIBLE}\\*_＿‑–—#№-]"
_WORDS = rf"[A-Za-zА-Яа-яЁё{_SPACES}{_INVISIBLE}\\*`«»“”„‘’_＿‑–—#№-]"
_NO_LETTERS = re.compile("[^A-Za-zА-Яа-яЁё]+")
_NUMBER = "(?P<number>[1-9][0-9]{0,8})"
_FORM = "(?P<form>[1-9][0-9]{0,8})"
_CLOSE = r"\\?[\]］】]"

PLACEHOLDER = re.compile(
    r"\[(?P<number>[A-Z_]{1,40}_[1-9][0-9]{0,8})(?:_(?:M|F|PL))?(?::[1-9][0-9]{0,8})?\]", re.ASCII | re.IGNORECASE
)
"""The shape of all placeholders as they are given out, in any case. ASCII: some letters outside it fold to ASCII ones."""

_BRACKETED = re.compile(
    rf"[\[［【](?P<words>{_WORDS}{{2,48}}){_NUMBER}"
    rf"(?:{_SEPARATOR}{{1,4}}(?P<suffix>[Pp][Ll]|[Мм][Нн]|[MmFfМмЖж]))?(?:{_GAP}{{0,4}}:{_GAP}{{0,4}}{_FORM})?"
    rf"(?P<ending>[а-яё]{{1,4}})?{_GAP}{{0,4}}[\]］】]"
)
_CORE = rf"(?P<words>[A-Z]{{2,20}}+(?:\\?_[A-Z]{{2,20}}+)?)\\?_{_NUMBER}(?:\\?_(?P<suffix>PL|M|F))?(?::{_FORM})?"  # as given out
_ANGLED = re.compile(rf"<[{_SPACES}]{{0,2}}{_CORE}[{_SPACES}]{{0,2}}>")
# Behind it no letter, digit or "_", but for a Russian ending; and no way of writing: the whole of a placeholder is read, or nothing.
_BARE = re.compile(rf"{_CORE}(?![^\W\u0400-\u04ff]|\\_|:[0-9])")
_WITHIN = re.compile(r"([A-Z]{2,20}+(?:\\?_[A-Z]{2,20}+)?)\\?_([1-9][0-9]{0,8})")
_CLOSING = re.compile(_CLOSE)

# What each of them may be cut to. INVARIANT: every beginning of a match, and a match that what follows could change, matches; a
# little more may: it is only held back.
_BRACKETED_BEGUN = re.compile(
    rf"[\[［【](?P<words>{_WORDS}{{0,48}})(?:{_NUMBER}"
    rf"(?P<rest>(?:{_SEPARATOR}{{0,4}}[PpLlMmFfМмНнЖж]{{0,2}})?{_GAP}{{0,4}}(?::{_GAP}{{0,4}}[0-9]{{0,9}})?[а-яё]{{0,4}}{_GAP}{{0,4}}))?"
)
_CORE_BEGUN = rf"(?P<words>[A-Z_\\]{{0,43}})(?:{_NUMBER}(?P<rest>(?:\\?_?(?:PL?|M|F)?)?(?::[0-9]{{0,9}})?"
_ANGLED_BEGUN = re.compile(rf"<[{_SPACES}]{{0,2}}{_CORE_BEGUN}[{_SPACES}]{{0,2}}))?")
_BARE_BEGUN = re.compile(rf"{_CORE_BEGUN}\\?))?")
_LONGEST = 104  # characters of the longest match, and of the longest beginning of one

_SUFFIXES: Mapping[str, str] = {"M": "M", "F": "F", "PL": "PL", "М": "M", "Ж": "F", "МН": "PL"}
_START = re.compile(r"[\[［【\\<A-Z]")
_OPENINGS = frozenset("[［【\\<ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TOKEN = re.compile(r"\w+|[^\w\s]")


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _opened(count: int, literal: str) -> int:
    """How many "[" are open on the line after `literal`, when `count` were before it."""
    if "[" not in literal and not (count and ("]" in literal or "\n" in literal)):
        return count
    for mark in _LINE_MARKS.findall(literal):
        count = count + 1 if mark == "[" else max(count - 1, 0) if mark == "]" else 0
    return count


_LINE_MARKS = re.compile(r"[\[\]\n]")


def _unescaped(text: str, *, last: bool) -> tuple[str, list[int]]:
    """JSON text with its escapes read, and for each character and for the end where it begins in `text`.

    An escape that is not complete at the end is left out, unless nothing follows.
    """
    pieces: list[str] = []
    offsets: list[int] = []
    place = 0
    for escape in _ESCAPE.finditer(text):
        pieces += (text[place : escape.start()], chr(int(escape[1], 16)) if escape[1] else _SHORT[escape[2]])
        offsets += range(place, escape.start() + 1)
        place = escape.end()
    unfinished = None if last else _UNFINISHED.search(text, place)
    end = unfinished.start() if unfinished else len(text)
    pieces.append(text[place:end])
    offsets += range(place, end + 1)
    return "".join(pieces), offsets


_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([\"\\/bfnrt]))")
_UNFINISHED = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _paired(text: str, *, last: bool) -> tuple[str, str]:
    """The text without halves of surrogate pairs, and the first half that it may end with."""
    text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    tail = "" if last or not "\ud800" <= text[-1] <= "\udbff" else text[-1]
    return _HALF.sub("\ufffd", text[: len(text) - len(tail)]), tail


_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
