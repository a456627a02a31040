"""Which found values denote the same person or thing: «Иванову И. И.» and «Иван Иванович Иванов», +7 916… and 8 (916)…

Decided in the order of appearance and never reconsidered, so that the numbers of an earlier turn stay what they were when a
conversation goes on. Two people are never made one by a guess: where a name suits two of those met before, it gets a number of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import msgspec

from policies.entities import Entity
from policies.folding import fold
from policies.names.grammar import Reading, latin, read
from policies.names.lexicon import given_names


class Identity(msgspec.Struct, frozen=True):
    """Whom or what a value denotes: the `number` of its kind, from 1, by first appearance.

    Of a person's name also what is known of it as it stands: `gender` ("male", "female") and grammatical `case` (see
    `names.grammar.CASES`; "genitive" also for the accusative that looks the same), "" where it is not known; and whether
    it is `plural`, several people («Ивановы»).

    `canonical` is the same in every case and spelling, so that requests that know nothing of each other can agree on whom they
    mean: of a person the dictionary forms of the parts known when the person appeared first (the given name in full, without
    one the gender), of other kinds their letters and digits. It is as personal as the value. It differs where a list begins
    with less: «Иванов» in one and «Иванов Иван Иванович» in another are two canonical forms, and so are «Иванов И. И.» and
    «Иванову И. И.», who may be a woman.
    """

    number: int
    gender: str = ""
    case: str = ""
    plural: bool = False
    canonical: str = ""


Value = tuple[Entity, str]
"""A kind, and what was found of it as it stands in the text."""


def identify(values: Iterable[Value]) -> dict[Value, Identity]:
    """The identity of each distinct value, given in the order of their appearance. A longer list only adds to the answer.

    Costs about 0.2 ms for a name that was not read before.
    """
    found: dict[Value, Identity] = {}
    people = _People()
    keys: dict[tuple[Entity, str], int] = {}
    counts: dict[Entity, int] = {}
    for value in values:
        if value in found:
            continue
        entity, written = value
        if entity is Entity.PERSON:
            reading = read(written)
            person = people.named(written, reading)
            found[value] = Identity(person.number, reading.gender, reading.case, reading.plural, person.canonical)
            continue
        key = entity, _PLAIN.get(entity, _letters_and_digits)(written)
        if key not in keys:
            counts[entity] = counts.get(entity, 0) + 1
            keys[key] = counts[entity]
        found[value] = Identity(keys[key], canonical=key[1])
    return found


class _Person(msgspec.Struct):
    """What is known so far of one person."""

    number: int
    canonical: str
    known: Reading

    def may_be(self, other: Reading) -> bool:
        """Whether nothing speaks against `other` being this person's name, and a surname or given name speaks for it."""
        mine = self.known
        if not (mine.genders & other.genders) or mine.plural or other.plural:
            return False
        parts = ((mine.surname, other.surname), (mine.given, other.given), (mine.patronymic, other.patronymic))
        if any(one and two and not one & two for one, two in parts):
            return False
        if not (_fit(mine, other) and _fit(other, mine)):
            return False
        return bool(mine.surname & other.surname or mine.given & other.given)

    def learn(self, other: Reading) -> None:
        mine = self.known
        self.known = Reading(
            surname=_either(mine.surname, other.surname),
            given=_either(mine.given, other.given),
            patronymic=_either(mine.patronymic, other.patronymic),
            initials=(mine.initials[0] or other.initials[0], mine.initials[1] or other.initials[1]),
            genders=mine.genders & other.genders,
        )


class _People:
    """Everybody met so far, found by what their names can be."""

    def __init__(self) -> None:
        self._count = 0
        self._exactly: dict[str, _Person] = {}
        self._by_surname: dict[str, list[_Person]] = {}
        self._by_given: dict[str, list[_Person]] = {}
        self._without_surname: dict[str, list[_Person]] = {}

    def named(self, written: str, reading: Reading) -> _Person:
        """The person named so."""
        plain = " ".join(fold(written).lower.split())
        if plain in self._exactly:
            return self._exactly[plain]
        suiting = self._suiting(reading)
        if len(suiting) == 1:
            person = suiting[0]
            person.learn(reading)
        else:
            self._count += 1
            person = _Person(self._count, _canonical(plain, reading), reading)
        self._remember(person)
        self._exactly[plain] = person
        return person

    def _suiting(self, reading: Reading) -> list[_Person]:
        """Those that the name may denote; two are enough to know that it is nobody in particular, and so are very many to ask."""
        suiting: list[_Person] = []
        for asked, person in enumerate(self._candidates(reading)):
            if asked == _MOST_ASKED:
                return []
            if person.may_be(reading) and all(person is not other for other in suiting):
                suiting.append(person)
                if len(suiting) > 1:
                    break
        return suiting

    def _candidates(self, reading: Reading) -> Iterable[_Person]:
        for surname in reading.surname:
            yield from self._by_surname.get(surname, ())
        people = self._without_surname if reading.surname else self._by_given
        for given in reading.given:
            yield from people.get(given, ())

    def _remember(self, person: _Person) -> None:
        for surname in person.known.surname:
            _add(self._by_surname, surname, person)
        for given in person.known.given:
            _add(self._by_given, given, person)
            if not person.known.surname:
                _add(self._without_surname, given, person)


_MOST_ASKED = 200  # namesakes: a list of ten thousand of them must not cost their square


def _add(people: dict[str, list[_Person]], key: str, person: _Person) -> None:
    listed = people.setdefault(key, [])
    if all(person is not other for other in listed[-_RECENT:]):
        listed.append(person)


_RECENT = 8  # a person told twice costs a comparison, a search of all of them more


def _fit(one: Reading, other: Reading) -> bool:
    """Whether the initials of one may be those of the other's names and initials."""
    for place, words in enumerate((other.given, other.patronymic)):
        letter = one.initials[place]
        if not letter:
            continue
        if words and not any(_begins(word, letter) for word in words):
            return False
        if other.initials[place] and not _begins(other.initials[place], letter):
            return False
    return True


def _begins(word: str, letter: str) -> bool:
    return word.startswith(letter) or (letter.isascii() != word.isascii() and latin(word)[:1] == latin(letter)[:1])


def _either(one: frozenset[str], two: frozenset[str]) -> frozenset[str]:
    return one & two or one or two


def _canonical(plain: str, reading: Reading) -> str:
    """One form for all cases of a name, `plain` its text; the text itself where nothing of it could be read.

    Of the forms that a surname may have the shortest is its stem, which all its cases share; but of a name with more words
    than parts, all: no word of it may be lost.
    """
    parts = (reading.surname, reading.given, reading.patronymic)
    if not any(parts) and not reading.initials[0]:
        return plain
    whole = len(_WORD.findall(plain)) > sum(map(bool, parts))
    surname, patronymic = (
        _joined(forms if whole else _shortest(forms)) for forms in (reading.surname, reading.patronymic)
    )
    gender = "" if reading.given else reading.gender
    many = "plural" if reading.plural else ""
    return "/".join((surname, _joined(_suiting(reading)), patronymic, "".join(reading.initials), gender, many))


_WORD = re.compile(r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*")


def _suiting(reading: Reading) -> frozenset[str]:
    """The given names that the gender of the whole name leaves: «Александра» is also a form of «Александр»."""
    names = given_names()
    marks = {"m": "male", "f": "female"}
    suiting = (name for name in reading.given if marks.get(names.get(name, {}).get(name, "")) == reading.gender)
    return frozenset(suiting) or reading.given


def _shortest(forms: frozenset[str]) -> frozenset[str]:
    return frozenset(sorted(forms, key=lambda form: (len(form), form))[:1])


def _joined(forms: frozenset[str]) -> str:
    return "|".join(sorted(forms))


def _letters_and_digits(written: str) -> str:
    """The value without its separators and the case of its letters."""
    return "".join(character for character in fold(written).lower if character.isalnum())


def _telephone(written: str) -> str:
    """Ten digits of a number of Russia, whether +7, 8 or nothing stands before them; else all digits."""
    digits = "".join(character for character in fold(written).lower if character.isdigit())
    return digits[-10:] if len(digits) == 11 and digits[0] in "78" else digits


def _date(written: str) -> str:
    """Day, month and year, each without leading zeros, in this order."""
    numbers: list[str] = []
    for part in _DATE_PART.findall(fold(written).lower):
        month = next((str(number) for number, stem in enumerate(_MONTHS, 1) if part.startswith(stem)), "")
        if month or part.isdigit():
            numbers.append(month or part.lstrip("0"))
    return ".".join(reversed(numbers) if numbers and len(numbers[0]) == 4 else numbers)


def _place(written: str) -> str:
    """The words and numbers of an address without those that only say «улица», «дом», «квартира»."""
    return " ".join(word for word in _ADDRESS_PART.findall(fold(written).lower) if word not in _OF_ADDRESS)


def _as_written(written: str) -> str:
    return written


_DATE_PART = re.compile(r"[0-9]+|[^\W\d_]+")
_MONTHS = ("янв", "фев", "мар", "апр", "ма", "июн", "июл", "авг", "сен", "окт", "ноя", "дек")
_ADDRESS_PART = re.compile(r"[0-9]+|[^\W\d_]+")
_OF_ADDRESS = frozenset({"г", "гор", "город", "ул", "улица", "д", "дом", "кв", "квартира", "россия", "рф"})

_PLAIN: dict[Entity, Callable[[str], str]] = {
    Entity.PHONE: _telephone,
    Entity.BIRTH_DATE: _date,
    Entity.ADDRESS: _place,
    Entity.EMAIL: lambda written: fold(written).lower,
    Entity.IP: lambda written: fold(written).lower,
    Entity.GEO: _as_written,
    Entity.PASSWORD: _as_written,
    Entity.SECRET: _as_written,
}
