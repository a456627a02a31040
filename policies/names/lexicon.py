"""The dictionary of names: every case form of the names in the data files beside this module, and what kind each can be."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Final


class Kind:
    """What a word can be, as bits. A word can be several things: «Роман» is a first name and a book.

    Plain integers: these are combined for every word of every text, and `enum` costs ten times as much.
    """

    NOTHING: Final = 0
    FIRST: Final = 1  # a first name of the dictionary
    PATRONYMIC: Final = 2
    SURNAME: Final = 4  # a surname of the dictionary
    SURNAME_LIKE: Final = 8  # ends as surnames do
    COMMON: Final = 16  # also, or only, a word of the language
    NEVER: Final = 32  # a word that only looks like a surname
    RENOWNED: Final = 64  # of the past or of fiction
    VOICE: Final = 128  # an assistant's name


TURKIC: Final = frozenset({"оглы", "оглу", "огли", "угли", "кызы", "кизи", "гызы", "улы", "уулу", "заде"})
"""What makes a patronymic of the father's name before it."""


class Lexicon:
    """Looks words up, in lower case. «ё» and «е» are the same letter here."""

    def __init__(self, forms: dict[str, int], classics: frozenset[tuple[str, str]]) -> None:
        """Use `lexicon()`: building the forms takes a moment."""
        self._forms = forms
        self._classics = classics

    def kind(self, word: str) -> int:
        """What `word` can be; of a word with a hyphen, what both of its parts can be."""
        word = word.replace("ё", "е")
        kind = self._forms.get(word, Kind.NOTHING)
        if kind & (Kind.NEVER | Kind.RENOWNED | Kind.VOICE | Kind.PATRONYMIC):
            return kind
        if "-" in word:
            return kind | self._compound(word)
        if len(word) > 5 and _PATRONYMIC.search(word):
            kind |= Kind.PATRONYMIC
        if len(word) > 3 and _SURNAME.search(word):
            kind |= Kind.SURNAME_LIKE
        return kind

    def is_classic(self, one: str, two: str) -> bool:
        """Whether a given name and a surname, in either order, are those of somebody who is in every schoolbook."""
        one, two = one.replace("ё", "е"), two.replace("ё", "е")
        return (one, two) in self._classics or (two, one) in self._classics

    def known(self, word: str) -> int:
        """What the dictionary alone says of `word`, without the rules for endings."""
        return self._forms.get(word.replace("ё", "е"), Kind.NOTHING)

    def _compound(self, word: str) -> int:
        parts = word.split("-")
        if parts[-1] in TURKIC:
            return Kind.PATRONYMIC
        kinds = [self._forms.get(part, Kind.NOTHING) for part in parts]
        if all(kind & Kind.FIRST for kind in kinds):
            return Kind.FIRST
        surnames = [
            bool(kind & Kind.SURNAME) or bool(_SURNAME.search(part)) for kind, part in zip(kinds, parts, strict=True)
        ]
        return Kind.SURNAME_LIKE if all(surnames) else Kind.NOTHING


@functools.cache
def lexicon() -> Lexicon:
    """The dictionary, built once."""
    forms: dict[str, int] = {}

    def add(words: Iterable[str], kind: int) -> None:
        for word in words:
            spelling = word.lower().replace("ё", "е")
            forms[spelling] = forms.get(spelling, Kind.NOTHING) | kind

    for line in _lines("first_names.txt"):
        gender, full, *short = line.split()
        for name in (full, *short):
            add(first_name_forms(name, gender if name == full else ""), Kind.FIRST)
            add((latin.lower() for latin in transliterations(name)), Kind.FIRST)
        if gender == "m":
            add(patronymic_forms(full), Kind.PATRONYMIC)
    for line in _lines("surnames.txt"):
        for surname in line.split():
            add(surname_forms(surname), Kind.SURNAME)
            add((latin.lower() for form in nominatives(surname) for latin in transliterations(form)), Kind.SURNAME)
    section = Kind.COMMON
    for line in _lines("not_names.txt"):
        if line.startswith("["):
            section = _SECTIONS[line]
        else:
            add(line.split(), section)
            # «российский» is no surname in any of its cases.
            add(
                (form for word in line.split() if word.endswith(("ский", "цкий")) for form in surname_forms(word)),
                section,
            )
    return Lexicon(forms, frozenset(_classics()))


@functools.cache
def given_names() -> dict[str, dict[str, str]]:
    """Every form of a given name, pet forms, cases and Latin letters included → the full names it can stand for, each with its gender."""
    forms: dict[str, dict[str, str]] = {}
    for line in _lines("first_names.txt"):
        gender, full, *short = line.split()
        lemma = full.lower().replace("ё", "е")
        for name in (full, *short):
            for form in (*first_name_forms(name, gender if name == full else ""), *transliterations(name)):
                forms.setdefault(form.lower().replace("ё", "е"), {})[lemma] = gender
    return forms


def _classics() -> Iterator[tuple[str, str]]:
    for line in _lines("classics.txt"):
        gender, given, surname = line.split()
        bearers = surname_forms(surname) if gender == "m" else first_name_forms(surname, "f")
        for bearer in {form.lower().replace("ё", "е") for form in bearers}:
            yield from ((name.lower().replace("ё", "е"), bearer) for name in first_name_forms(given, gender))


def first_name_forms(name: str, gender: str = "") -> Iterator[str]:
    """The six cases of a first name; `gender` is "m", "f", or empty for a pet form, which is declined by its ending alone."""
    if gender == "m" and name in _FLEETING:
        yield name
        name = _FLEETING[name]
        yield from (name + ending for ending in ("а", "у", "ом", "е", "я", "ю", "ём"))
        return
    stem, last = name[:-1], name[-1]
    endings: tuple[str, ...]
    yield name
    if name.endswith("ия"):
        endings = ("и", "ю", "ей", "ею")
    elif name.endswith("ий"):
        endings = ("я", "ю", "ем", "и")
    elif last == "а":
        endings = ("и" if stem[-1:] in "гкхжшчщ" else "ы", "е", "у", "ей" if stem[-1:] in "жшчщц" else "ой", "ою")
    elif last == "я":
        endings = ("и", "е", "ю", "ей", "ею", "ёй")
    elif last == "й":
        endings = ("я", "ю", "ем", "е")
    elif last == "ь":
        endings = ("я", "ю", "ем", "е") if gender == "m" else ("и", "ью")
    elif last in _CONSONANTS and gender != "f":
        stem, endings = name, ("а", "у", "ем" if last in "жшчщц" else "ом", "е")
        if last == "к" and name[-2:] in {"ек", "ёк", "ок"}:
            yield from (name[:-2] + softness + "к" + ending for softness in ("", "ь") for ending in endings)
            return
    else:
        return  # «Нино», «Гаяне», «Асель»: not declined
    yield from (stem + ending for ending in endings)


def patronymic_forms(name: str) -> Iterator[str]:
    """Both patronymics of a father's name, colloquial ones included, in six cases."""
    stem = _FLEETING.get(name, name)
    stems: tuple[str, ...]
    if name.endswith("ий"):
        stems = (name[:-2] + "ьев", name[:-2] + "иев")
    elif name[-1] in "йь":
        stems = (name[:-1] + "ев",)
    elif name[-1] in "ая":
        stems = (name[:-1] + ("ев" if name[-1] == "я" else "ов"),)
        for short in (name[:-1] + "ич", name[:-1] + "инич", name[:-1] + "ыч"):
            yield from _man(short)
            yield from _woman(short + "н")
        yield from _woman(name[:-1] + "иничн")
    elif name[-1] in _CONSONANTS:
        stems = (stem + "ов",) if name != "Лев" else ("Львов",)
        yield from _man(stem + "ыч")
    else:
        stems = (name + "ев", name + "вов")
    for base in stems:
        yield from _man(base + "ич")
        yield from _woman(base + "н")
        if base.endswith("ев"):
            yield from _man(base[:-2] + "ич")


def surname_forms(surname: str) -> Iterator[str]:
    """A man's surname in six cases, the woman's that follows from it, and the family's."""
    if surname.endswith(("ов", "ев", "ёв", "ин", "ын")):
        yield from (surname + ending for ending in ("", "а", "у", "ым", "е", "ой", "ою", "ы", "ых", "ыми"))
    elif surname.endswith(("ский", "цкий")):
        yield from (
            surname[:-2] + ending for ending in ("ий", "ого", "ому", "им", "ом", "ая", "ой", "ую", "ие", "их", "ими")
        )
    elif surname.endswith(("ый", "ой", "ий")):
        yield from (
            surname[:-2] + ending for ending in (surname[-2:], "ого", "ому", "ым", "ом", "ая", "ой", "ую", "ые", "ых")
        )
    elif surname.endswith("ец"):
        yield from (surname, *(surname[:-2] + "ц" + ending for ending in ("а", "у", "ом", "ем", "е")))
    elif surname[-1] in "ьй":
        yield from (surname, *(surname[:-1] + ending for ending in ("я", "ю", "ем", "ём", "е")))
    elif surname[-1] == "а":
        yield from (surname[:-1] + ending for ending in ("а", "ы", "и", "е", "у", "ой"))
    elif surname[-1] in _CONSONANTS and not surname.endswith(("ых", "их")):
        yield from (surname + ending for ending in ("", "а", "у", "ом", "ем", "е"))
    else:
        yield surname


def nominatives(surname: str) -> Iterator[str]:
    """A surname as a man and as a woman bear it."""
    yield surname
    if surname.endswith(("ов", "ев", "ёв", "ин", "ын")):
        yield surname + "а"
    elif surname.endswith(("ский", "цкий")):
        yield surname[:-2] + "ая"


def transliterations(name: str) -> Iterator[str]:
    """A name in Latin letters: as in passports (ICAO Doc 9303) and as people write it."""
    name = name.lower()
    for table in (_PASSPORT, _USUAL):
        yield "".join(table.get(letter, letter) for letter in name).capitalize()
    if name.endswith(("ий", "ый")):
        yield "".join(_USUAL.get(letter, letter) for letter in name[:-2]).capitalize() + "y"
    if "кс" in name:
        yield "".join(_USUAL.get(letter, letter) for letter in name.replace("кс", "x")).capitalize()


def _man(nominative: str) -> Iterator[str]:
    yield from (nominative + ending for ending in ("", "а", "у", "ем", "е"))


def _woman(stem: str) -> Iterator[str]:
    yield from (stem + ending for ending in ("а", "ы", "е", "у", "ой", "ою"))


def _lines(name: str) -> list[str]:
    text = (files("policies.names") / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


_SECTIONS = {"[common]": Kind.COMMON, "[places]": Kind.NEVER, "[renowned]": Kind.RENOWNED, "[voices]": Kind.VOICE}
_FLEETING = {"Пётр": "Петр", "Лев": "Льв", "Павел": "Павл"}
_CONSONANTS = "бвгджзклмнпрстфхцчшщ"

# Patronymics of names outside the dictionary. The adjectives that end the same way («основной») are not taken for them:
# a stem of consonants before «-овн-» is a noun's, and the tagger asks for a capital letter besides.
_PATRONYMIC = re.compile(r"(?:[ое]вич(?:а|у|ем|е)?|(?:[а-я]{3}[ое]вн|иничн)(?:а|ы|е|у|ой))$")
_SURNAME = re.compile(
    r"(?:[а-я](?:ов|ев|ин|ын)(?:а|у|ым|е|ой|ы|ых)?|(?:ск|цк)(?:ий|ого|ому|им|ом|ая|ой|ую)|енко|[кч]ук(?:а|у|ом|е)?"
    r"|юк(?:а|у|ом|е)?"
    r"|швили|дзе|(?:[а-я]{2}[а-я])ян(?:а|у|ом|е|ц)?|[нкр]ских)$"
)

_PASSPORT = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "a,b,v,g,d,e,e,zh,z,i,i,k,l,m,n,o,p,r,s,t,u,f,kh,ts,ch,sh,shch,ie,y,,e,iu,ia".split(","),  # noqa: SIM905 - a row is read at a glance
        strict=True,
    )
)
_USUAL = _PASSPORT | {"й": "y", "ю": "yu", "я": "ya", "ъ": "", "х": "h", "щ": "sch", "ё": "yo"}
