"""Stand-ins for values: other names of the same gender in the same case, other numbers of the same look.

A name is read by pymorphy3's dictionary (gender and case, a vote of all its words), put into the nominative, and both it and its stand-in
are declined by pytrovich, so that whatever case a model writes the stand-in in, the original comes back in that case. Where any of these
steps is not sure there is no stand-in: a name that could not be found again in an answer would stay there as if it were somebody's.
"""

from __future__ import annotations

import functools
import hmac
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, TypeVar

import msgspec

from policies.entities import Entity
from policies.identity import Identity
from policies.lookalikes import lookalike
from policies.names.grammar import CASES, FEMALE, GIVEN, INITIAL, MALE, PATRONYMIC, SURNAME, Word, nominatives, words
from policies.names.lexicon import given_names

if TYPE_CHECKING:
    from pytrovich.maker import PetrovichDeclinationMaker


T = TypeVar("T")


class Surrogate(msgspec.Struct, frozen=True):
    """What is sent for a value, and what a model may write instead of it → what is put back then."""

    text: str
    forms: Mapping[str, str] = {}


def surrogate(entity: Entity, value: str, key: bytes, identity: Identity | None = None) -> Surrogate | None:
    """The stand-in of a value under the secret of a conversation; one person (`identity`) has one in all forms of the name.

    None where none can be made that is sure to be found again: secrets, addresses, names in Latin letters, with hyphens, of several
    people, or of a case or gender that the words do not tell.
    """
    if entity is Entity.PERSON:
        return None if identity is None else _person(value, key, identity)
    other = lookalike(entity, value, key)
    return None if other is None else Surrogate(other)


def _person(value: str, key: bytes, identity: Identity) -> Surrogate | None:
    gender, case = identity.gender, identity.case
    if identity.plural or gender not in {MALE, FEMALE} or case not in CASES:
        return None
    parts = words(value)
    mine = _nominative(parts, gender, case) if _is_plain(value, parts) else None
    if mine is None:
        return None
    other = _drawn(mine, gender, key, identity)
    text = _text(value, parts, other, gender, case)
    forms: dict[str, str] = {}
    for form, original in _forms(mine, other, gender):
        if forms.setdefault(form, original) != original:
            return (
                None  # two cases of the original look alike in the stand-in: which one a model meant could not be told
            )
        forms[form.upper()] = original.upper()
    forms.pop(text, None)
    return Surrogate(text, forms) if text.casefold() != value.casefold() else None


class _Name(msgspec.Struct, frozen=True):
    """The parts of a name in the nominative, "" where there is none; `initials` of the given name and the patronymic."""

    surname: str = ""
    given: str = ""
    patronymic: str = ""
    initials: tuple[str, ...] = ()


def _is_plain(value: str, parts: tuple[Word, ...]) -> bool:
    """Whether it is one name of at most one word of each role, in Russian letters, and nothing but dots and spaces between them."""
    roles = [word.role for word in parts]
    rest = _RUSSIAN.sub("", value)
    return (
        bool(parts)
        and all(_RUSSIAN.fullmatch(word.text) for word in parts)
        and not rest.strip(" .")
        and all(roles.count(role) <= 1 for role in (SURNAME, GIVEN, PATRONYMIC))
        and roles.count(INITIAL) <= _MOST_INITIALS
        and any(role != INITIAL for role in roles)
        and not (INITIAL in roles and (GIVEN in roles or PATRONYMIC in roles))
    )


def _nominative(parts: tuple[Word, ...], gender: str, case: str) -> _Name | None:
    """The name in the nominative; None unless declining it again gives the words as they stand."""
    found: dict[str, str] = {}
    for word in parts:
        if word.role == INITIAL:
            continue
        lower = word.text.lower()
        candidates = [lower, *nominatives(word.text, word.role, gender, case)]
        if case != CASES[0]:
            candidates = [each for each in (*candidates[1:], *_adjectives(word, gender)) if each != lower]
            if not _OBLIQUE.search(lower):
                candidates.append(lower)  # a name that does not change is the last thing to believe
        sure = (
            each
            for each in candidates
            if _declined(each, word.role, gender, case).replace("ё", "е") == lower.replace("ё", "е")
        )
        nominative = next(sure, None)
        if nominative is None:
            return None
        found[word.role] = nominative.capitalize()
    initials = tuple(word.text.upper() for word in parts if word.role == INITIAL)
    return _Name(found.get(SURNAME, ""), found.get(GIVEN, ""), found.get(PATRONYMIC, ""), initials)


def _adjectives(word: Word, gender: str) -> Iterator[str]:
    """What a surname that is an adjective, unknown to the dictionary, can be in the nominative."""
    found = _ADJECTIVE[gender].fullmatch(word.text.lower()) if word.role == SURNAME else None
    if found is not None:
        yield found[1] + ("ая" if gender == FEMALE else "ий" if found[1][-1] in "кгх" else "ый")


def _drawn(mine: _Name, gender: str, key: bytes, identity: Identity) -> _Name:
    """The stand-in's parts, in the nominative: of this person under this key always the same."""
    names = _names()
    who = identity.canonical or str(identity.number)
    full = _full(mine.given, gender) if mine.given else ""
    soft = full.endswith(("ия", "вь") if gender == FEMALE else ("а", "я"))
    given, short = _pick(names.given[gender, soft], key, who, "given")
    patronymic = _pick(names.patronymics, key, who, "patronymic")
    surname = _pick(names.surnames, key, who, "surname")
    if gender == FEMALE:
        surname += "а"
        patronymic = patronymic[:-2] + "на"
    if mine.given and mine.given.lower() != full:
        given = short
    if not mine.patronymic and len(mine.initials) < _MOST_INITIALS:
        patronymic = ""
    return _Name(surname, given, patronymic, (given[0], patronymic[:1])[: len(mine.initials)])


def _full(given: str, gender: str) -> str:
    """The full name of a pet form where it is certain, in lower case; else the name as it is."""
    lower = given.lower()
    known = {full for full, its in given_names().get(lower.replace("ё", "е"), {}).items() if its == gender[0]}
    if not known or lower.replace("ё", "е") in known:
        return lower
    return known.pop() if len(known) == 1 else ""


def _text(value: str, parts: tuple[Word, ...], other: _Name, gender: str, case: str) -> str:
    """The value with every word replaced by the stand-in's, in the same case and letters; what stands between them is kept."""
    style = _style(parts)
    letters = iter(other.initials)
    pieces: list[str] = []
    position = 0
    for word in parts:
        part = next(letters) if word.role == INITIAL else style(_in_case(other, word.role, gender, case))
        pieces += (value[position : word.start], part)
        position = word.end
    return "".join((*pieces, value[position:]))


def _style(parts: tuple[Word, ...]) -> Callable[[str], str]:
    """How the letters of a name are written: all capitals, all small, or each word with a capital."""
    whole = "".join(word.text for word in parts if word.role != INITIAL)
    return str.upper if whole.isupper() else str.lower if whole.islower() else str


def _forms(mine: _Name, other: _Name, gender: str) -> Iterator[tuple[str, str]]:
    """All that a model may write of the stand-in, and what it stands for: every case, and every part that was sent."""
    for case in CASES:
        ours, theirs = (
            {role: _in_case(name, role, gender, case) for role in (SURNAME, GIVEN, PATRONYMIC)}
            for name in (mine, other)
        )
        for roles in _ORDERS:
            if all(ours[role] for role in roles):
                yield " ".join(theirs[role] for role in roles), " ".join(ours[role] for role in roles)
        if ours[SURNAME]:
            for gap in ("", " "):
                one, two = _initials(other, gap), _initials(mine, gap)
                if one and two:
                    yield f"{theirs[SURNAME]} {one}", f"{ours[SURNAME]} {two}"
                    yield f"{one} {theirs[SURNAME]}", f"{two} {ours[SURNAME]}"


def _initials(name: _Name, gap: str = "") -> str:
    """«П. С.»: as they were written, or of the given name and the patronymic."""
    letters = name.initials or tuple(part[0] for part in (name.given, name.patronymic) if part)
    return gap.join(f"{letter}." for letter in letters)


def _in_case(name: _Name, role: str, gender: str, case: str) -> str:
    nominative = {SURNAME: name.surname, GIVEN: name.given, PATRONYMIC: name.patronymic}[role]
    return _declined(nominative.lower(), role, gender, case).capitalize() if nominative else ""


@functools.lru_cache(maxsize=20_000)
def _declined(nominative: str, role: str, gender: str, case: str) -> str:
    """A word of a name in a case, in lower case."""
    from pytrovich.enums import Case, Gender, NamePart

    if case == CASES[0] or nominative in _INDECLINABLE:
        return nominative
    part = {SURNAME: NamePart.LASTNAME, GIVEN: NamePart.FIRSTNAME, PATRONYMIC: NamePart.MIDDLENAME}[role]
    whose = Gender.MALE if gender == MALE else Gender.FEMALE
    declined: str = _maker().make(part, whose, Case[case.upper()], nominative)
    return declined


@functools.cache
def _maker() -> PetrovichDeclinationMaker:
    from pytrovich.maker import PetrovichDeclinationMaker

    return PetrovichDeclinationMaker()


class _Names(msgspec.Struct, frozen=True):
    """The stand-ins: surnames and patronymics of men, given names with a pet form by gender and whether of the softer declension."""

    surnames: tuple[str, ...]
    patronymics: tuple[str, ...]
    given: Mapping[tuple[str, bool], tuple[tuple[str, str], ...]]


@functools.cache
def _names() -> _Names:
    listed = tomllib.loads(files("policies.data").joinpath("surrogates.toml").read_text(encoding="utf-8"))
    return _Names(
        surnames=tuple(listed["surnames"].split()),
        patronymics=tuple(listed["patronymics"].split()),
        given={
            (gender, kind == "soft"): tuple(
                (full, short) for full, _, short in (each.partition(":") for each in names.split())
            )
            for gender, kinds in listed["given"].items()
            for kind, names in kinds.items()
        },
    )


def _pick(choices: Sequence[T], key: bytes, who: str, what: str) -> T:
    digest = hmac.digest(key or b"\0", f"surrogate\0{what}\0{who}".encode("utf-8", "surrogatepass"), "sha256")
    return choices[int.from_bytes(digest[:8], "big") % len(choices)]


_RUSSIAN = re.compile("[А-Яа-яЁё]{1,40}")
_MOST_INITIALS = 2
_OBLIQUE = re.compile("[аеёиоуыэюя].*(?:ого|его|ому|ему|ым|им|ом|ем|ой|ей|ую)$")
_ADJECTIVE = {
    MALE: re.compile("(.*[аеёиоуыэюя].*)(?:ого|ому|ым|им|ом)"),
    FEMALE: re.compile("(.*[аеёиоуыэюя].*)(?:ой|ую)"),
}
_ORDERS = (
    (SURNAME, GIVEN, PATRONYMIC),
    (GIVEN, PATRONYMIC, SURNAME),
    (SURNAME, GIVEN),
    (GIVEN, SURNAME),
    (GIVEN, PATRONYMIC),
    (SURNAME,),
    (GIVEN,),
    (PATRONYMIC,),
)
_INDECLINABLE = frozenset({"айгуль", "гульнур", "айнур", "нургуль", "алтынай", "гузель", "айсылу"})
