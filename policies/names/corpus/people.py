"""Synthetic people and addresses for training: names of many kinds in every form and case, addresses in every layout.

Nothing here describes anybody: names are drawn part by part from lists. Runs at training time only; declension is pytrovich's.
"""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from pytrovich.enums import Case, Gender, NamePart
from pytrovich.maker import PetrovichDeclinationMaker

_HERE = Path(__file__).parent
_NAMES = _HERE.parent
_CASES = {
    "g": Case.GENITIVE,
    "d": Case.DATIVE,
    "a": Case.ACCUSATIVE,
    "i": Case.INSTRUMENTAL,
    "p": Case.PREPOSITIONAL,
}
_MAKER = PetrovichDeclinationMaker()


def _pools() -> dict[str, list[str]]:
    document = tomllib.loads((_HERE / "people.toml").read_text(encoding="utf-8"))
    return {name: words.split() if isinstance(words, str) else words for name, words in document.items()}


_POOLS = _pools()
_ENDINGS = tuple(
    "ов ев ёв ин ын ский цкий ко ук юк як ян швили дзе ич их ых ой ый ец ер ман ло ба га ль рь ик ач уч ак ыш ка да ра нь ай ей уй ия".split()
)

_LATIN = str.maketrans(
    {
        **dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziyklmnoprstufye", strict=True)),
        "ё": "e", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu", "я": "ya",
    }
)  # fmt: skip


class Person(NamedTuple):
    """Parts in the nominative. `whole` stands for a name that has no parts to decline."""

    female: bool
    surname: str
    first: str
    patronymic: str
    pet: str
    whole: str = ""


def person(draw: Random, gender: str) -> Person:
    """A person of gender `m`, `f`, or `p` for either."""
    female = draw.random() < 0.5 if gender == "p" else gender == "f"
    first, pets = draw.choices(_firsts(female), weights=_first_weights(female))[0]
    father = draw.choices(_firsts(False), weights=_first_weights(False))[0][0]
    kind = draw.random()
    if kind < 0.08:
        return invented(draw, female)
    if kind < 0.2:
        return unusual(draw, female)
    if kind < 0.84:
        return Person(
            female, _surname(draw, female), first, patronymic_of(father, female), draw.choice(pets or [first])
        )
    return foreign(draw, female)


def invented(draw: Random, female: bool) -> Person:
    """A name that nobody has: what stands around it must tell that it is one."""

    def made(least: int, most: int) -> str:
        word = "".join(draw.choice(_SYLLABLES) for _ in range(draw.randrange(least, most)))
        return word[0].upper() + word[1:]

    surname, first = made(1, 4), made(1, 4)
    if draw.random() < 0.2:
        surname = f"{surname}-{made(1, 3)}" if draw.random() < 0.5 else f"{surname}-{made(1, 3).lower()}"
    if draw.random() < 0.15:
        first = f"{first}-{made(1, 3)}"
    father = patronymic_of(made(1, 3), female) if draw.random() < 0.8 else ""
    return Person(female, surname, first, father, first)


def unusual(draw: Random, female: bool) -> Person:
    """A given name out of the long list, which is in no dictionary here."""
    first = draw.choice(_unusual(female)) if UNUSUAL else draw.choice(_firsts(female))[0]
    father = draw.choice(_unusual(False)) if UNUSUAL and draw.random() < 0.5 else draw.choice(_firsts(False))[0]
    return Person(female, _surname(draw, female), first, patronymic_of(father, female), first)


_SYLLABLES = (
    "ай ба бо бэ ва ги го да до ду дза ер жа жи за зе иль ка ки ко ку ла ле ли ло лу ма ме ми мо на не ни но ня о ол он ор ра ре ри ро ру са се си со су та те ти то ту у ул ум ур ха хе хо ча че чо ша ше шу эр ю ян яр "
    "бал бек бул гар дан дар дор жан зар ким кур лан лин мар мир нар нур ой рам рин сал сан тар тол фан хан хон цын чан чул шар юн"
).split()


def foreign(draw: Random, female: bool) -> Person:
    """A name of another people of Russia or of its neighbours."""
    kind = draw.randrange(9)
    if kind <= 2:
        first, father = (
            draw.choice(_POOLS["eastern_women"] if female else _POOLS["eastern_men"]),
            draw.choice(_POOLS["eastern_men"]),
        )
        surname = (
            _feminine(draw.choice(_POOLS["eastern_surnames"])) if female else draw.choice(_POOLS["eastern_surnames"])
        )
        own = patronymic_of(father, female) if draw.random() < 0.7 else f"{father} {'кызы' if female else 'оглы'}"
        return Person(female, surname, first, own, first)
    if kind == 3:
        first = draw.choice(_POOLS["armenian_women"] if female else _POOLS["armenian_men"])
        return Person(
            female,
            draw.choice(_POOLS["armenian_surnames"]),
            first,
            patronymic_of(draw.choice(_POOLS["armenian_men"]), female),
            first,
        )
    if kind == 4:
        first = draw.choice(_POOLS["georgian_women"] if female else _POOLS["georgian_men"])
        return Person(
            female,
            draw.choice(_POOLS["georgian_surnames"]),
            first,
            patronymic_of(draw.choice(_POOLS["georgian_men"]), female),
            first,
        )
    if kind == 5:
        first = draw.choice(_POOLS["siberian_women"] if female else _POOLS["siberian_men"])
        surname = draw.choice(_POOLS["siberian_surnames"])
        father = patronymic_of(draw.choice(_POOLS["siberian_men"]), female)
        return Person(female, _feminine(surname) if female else surname, first, father, first)
    first, pets = draw.choice(_firsts(female))
    father = patronymic_of(draw.choice(_firsts(False))[0], female)
    if kind == 6:
        return Person(female, draw.choice(_POOLS["korean_surnames"]), first, father, draw.choice(pets or [first]))
    if kind == 7:
        return Person(female, draw.choice(_POOLS["western_surnames"]), first, father, draw.choice(pets or [first]))
    whole = draw.choice(_POOLS["whole"])
    return Person(female, whole.split()[0], whole.split()[-1], "", whole.split()[-1], whole)


def written(who: Person, form: str, case: str) -> str:
    """The person's name in a form of the corpus's slots, in a case."""
    surname, first, father = (_declined(who, part, case) for part in ("surname", "first", "patronymic"))
    if who.whole and form in {"fio", "iof", "fi", "if", "ne", "io"}:
        return who.whole
    match form:
        case "fio" | "ne":
            return f"{surname} {first} {father}".strip()
        case "iof":
            return f"{first} {father} {surname}".replace("  ", " ")
        case "fi":
            return f"{surname} {first}"
        case "if":
            return f"{first} {surname}"
        case "io":
            return f"{first} {father}".strip()
        case "i":
            return first
        case "f":
            return surname
        case "d":
            return _pet(who, case)
        case "o":
            return father or first
        case "fI":
            return f"{surname} {who.first[0]}."
        case "fII":
            return f"{surname} {who.first[0]}. {(who.patronymic or who.first)[0]}."
        case "IIf":
            return f"{who.first[0]}. {(who.patronymic or who.first)[0]}. {surname}"
        case "If":
            return f"{who.first[0]}. {surname}"
        case "lat":
            return f"{latin(who.first)} {latin(who.surname)}"
        case "latfi":
            return f"{latin(who.surname)} {latin(who.first)}"
        case "mrz":
            return "P<RUS" + f"{latin(who.surname)}<<{latin(who.first)}<{latin(who.patronymic)}".upper().replace(
                " ", "<"
            ).ljust(39, "<")
    raise ValueError(f"no form `{form}`")


def latin(name: str) -> str:
    """The name as passports write it, a capital first."""
    spelled = name.lower().translate(_LATIN)
    return "-".join(part[:1].upper() + part[1:] for part in spelled.split("-"))


def patronymic_of(father: str, female: bool) -> str:
    """«Иван» → «Иванович», «Ивановна»."""
    special = {
        "Илья": "Ильич",
        "Лука": "Лукич",
        "Никита": "Никитич",
        "Кузьма": "Кузьмич",
        "Фома": "Фомич",
        "Лев": "Львович",
        "Павел": "Павлович",
        "Пётр": "Петрович",
    }
    if father in special:
        man = special[father]
    elif father.endswith("ий"):
        man = father[:-2] + ("ьевич" if len(father) < 9 or father[-3] not in "кгх" else "иевич")
    elif father.endswith(("й", "ь")):
        man = father[:-1] + "евич"
    elif father.endswith(("а", "я")):
        man = father[:-1] + "ович"
    elif father.endswith(("и", "о", "е", "у", "э")):
        man = father + "евич"
    else:
        man = father + "ович"
    if not female:
        return man
    return (
        man[:-2] + ("инична" if man in {"Ильич", "Лукич", "Кузьмич", "Фомич"} else "ична")
        if man.endswith("ич") and not man.endswith(("ович", "евич"))
        else man[:-2] + "на"
    )


def _pet(who: Person, case: str) -> str:
    pet = who.pet
    # «Булатик», «ленусик»: a quarter are made of the full name, as people make them.
    made = zlib.crc32(who.first.encode() + who.surname.encode())
    if made % 4 == 0 and len(who.first) > 3:
        endings = (
            ("очка", "уся", "ка", "уля", "юша", "усик") if who.female else ("ик", "чик", "уша", "ка", "ян", "усик")
        )
        pet = who.first.rstrip("аеийоуьыя") + endings[made // 4 % len(endings)]
    return _decline(pet, NamePart.FIRSTNAME, who.female, case)


def _declined(who: Person, part: str, case: str) -> str:
    text = str(getattr(who, part))
    kind = {"surname": NamePart.LASTNAME, "first": NamePart.FIRSTNAME, "patronymic": NamePart.MIDDLENAME}[part]
    return text if " " in text else _decline(text, kind, who.female, case)


@cache
def _decline(text: str, part: NamePart, female: bool, case: str) -> str:
    if case == "n" or not text:
        return text
    # Vowel-ended eastern and Georgian names stay as they are; so do women's names in a consonant.
    if part is not NamePart.MIDDLENAME and (
        text.endswith(("о", "у", "и", "э", "е", "дзе", "швили")) or (female and text[-1] not in "аяь")
    ):
        return text
    return str(_MAKER.make(part, Gender.FEMALE if female else Gender.MALE, _CASES[case], text))


def _surname(draw: Random, female: bool) -> str:
    kind = draw.random()
    if kind < 0.42:
        man = draw.choice(_common())
    elif kind < 0.86:
        man = draw.choice(_rare())
    elif kind < 0.94:
        return draw.choice(_POOLS["word_surnames"])
    else:
        one, two = draw.choice(_common()), draw.choice(_rare())
        return f"{_feminine(one)}-{_feminine(two)}" if female else f"{one}-{two}"
    return _feminine(man) if female else man


def _feminine(surname: str) -> str:
    if surname.endswith(("ов", "ев", "ёв", "ин", "ын")):
        return surname + "а"
    if surname.endswith(("ский", "цкий", "ской")):
        return surname[:-2] + "ая"
    if surname.endswith(("ый", "ой")) and len(surname) > 4:
        return surname[:-2] + "ая"
    return surname


@cache
def _firsts(female: bool) -> list[tuple[str, list[str]]]:
    lines = (
        line.split()
        for line in (_NAMES / "first_names.txt").read_text(encoding="utf-8").splitlines()
        if line and line[0] in "mf"
    )
    return [(name, pets) for gender, name, *pets in lines if (gender == "f") is female]


@cache
def _first_weights(female: bool) -> list[float]:
    """Names with pet forms are the common ones."""
    return [1.0 + 2.0 * min(len(pets), 4) for _, pets in _firsts(female)]


@cache
def _common() -> Sequence[str]:
    text = (_NAMES / "surnames.txt").read_text(encoding="utf-8")
    return [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]


_SURNAME = re.compile(r"^[А-ЯЁ][а-яё]{3,14}$")
RARE: list[str] = []  # filled by whoever trains, from a list of surnames read from a path

UNUSUAL: list[str] = []  # likewise, from a list of given names


@cache
def _unusual(female: bool) -> Sequence[str]:
    """The list does not tell women from men; the ending mostly does."""
    return [name.capitalize() for name in UNUSUAL if len(name) > 2 and name.endswith(("а", "я", "э", "е")) is female]


@cache
def _rare() -> Sequence[str]:
    found = [name.capitalize() for name in RARE]
    return [name for name in found if _SURNAME.match(name) and name.endswith(_ENDINGS)] or _common()


class Address(NamedTuple):
    zip: str
    region: str
    city: str
    street: str
    house: str
    flat: str


def address(draw: Random) -> Address:
    """The parts of one place."""
    house = str(draw.randrange(1, 220)) + draw.choice(["", "", "", "", "а", "/2", " к. 1", " корп. 3", " стр. 2", "Б"])
    return Address(
        zip=str(draw.randrange(101000, 694999)),
        region=draw.choice(_POOLS["regions"]),
        city=draw.choice(_POOLS["cities"]),
        street=draw.choice(_POOLS["streets"]).replace("-", " "),
        house=house,
        flat=str(draw.randrange(1, 450)),
    )


def placed(where: Address, form: str, draw: Random) -> str:
    """The address in a layout of the corpus's slots."""
    kind = draw.choice(["ул.", "ул.", "ул.", "улица", "пр-т", "проспект", "пер.", "ш.", "б-р", "наб.", "пр-д"])
    home = draw.choice(["д. ", "д.", "дом ", ""]) + where.house
    flat = draw.choice([", кв. ", ", кв.", ", квартира ", "-"]) + where.flat if draw.random() < 0.75 else ""
    city = draw.choice(["г. ", "г.", "город ", ""]) + where.city
    match form:
        case "" if draw.random() < 0.25:
            return _loose(where, draw)
        case "":
            village = draw.random() < 0.12
            place = (
                f"{draw.choice(['д.', 'с.', 'пос.', 'дер.', 'село', 'СНТ'])} {draw.choice(_POOLS['villages'])}"
                if village
                else city
            )
            parts = [
                where.zip if draw.random() < 0.5 else "",
                where.region if village or draw.random() < 0.4 else "",
                place,
                f"{kind} {where.street}",
                home + flat,
            ]
            return ", ".join(part for part in parts if part)
        case "short" if draw.random() < 0.2:
            return _loose(where, draw)
        case "short":
            return f"{kind} {where.street}, {home}{flat}"
        case "chat":
            return f"{where.street.lower()} {where.house}{draw.choice([' кв ', '-', ' кв.', ' '])}{where.flat}"
        case "region":
            return city
        case "city":
            return where.city
        case "street":
            return draw.choice([f"{kind} {where.street}", where.street, f"{where.street} {kind}"])
        case "house":
            return where.house
        case "flat":
            return where.flat
        case "zip":
            return where.zip
    raise ValueError(f"no form of an address `{form}`")


def _loose(where: Address, draw: Random) -> str:
    """An address as people say it: no types, a microdistrict, numbers in words, how to find the door."""
    house, flat = where.house.split()[0], where.flat
    door = draw.choice(
        [
            "",
            f", под. {draw.randrange(1, 9)}",
            f", подъезд {draw.randrange(1, 9)}, этаж {draw.randrange(1, 17)}",
            f" п.{draw.randrange(1, 9)}",
        ]
    )
    match draw.randrange(8):
        case 0:
            return f"{where.city}, {where.street} {house}-{flat}{door}"
        case 1:
            return f"{draw.choice(['мкр.', 'мкр', 'микрорайон', 'м-н'])} {draw.choice(['Южный', 'Северный', 'Солнечный', 'Заречный', 'Юбилейный'])}, {house}-{flat}"
        case 2:
            return f"{where.city}, {draw.randrange(1, 20)}-й микрорайон, {draw.choice(['д. ', ''])}{house}, кв. {flat}"
        case 3:
            return f"{where.street} {spoken(min(int(re.sub(r'[^0-9]', '', house) or '1'), 499))} квартира {spoken(int(flat))}"
        case 4:
            return f"город {where.city} улица {where.street} дом {spoken(min(int(re.sub(r'[^0-9]', '', house) or '1'), 499))} квартира {spoken(int(flat))}"
        case 5:
            return f"{where.region}, {draw.choice(['СНТ', 'ДНП', 'тер. СНТ'])} {draw.choice(['«Берёзка»', 'Заря-2', '«Энергетик»', 'Дружба'])}, {draw.choice(['уч.', 'участок'])} {flat}"
        case 6:
            return f"{where.zip}, {where.city}, {where.street}, {house}, {draw.choice(['общ., ком.', 'ком.', 'комн.', 'офис'])} {flat}"
        case _:
            return f"{where.city.lower()} {where.street.lower()} {house} {draw.choice(['кв', 'кв.', '-'])} {flat}{door}"


_UNITS = "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать".split()
_TENS = "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто".split()
_HUNDREDS = "сто двести триста четыреста".split()


def spoken(number: int) -> str:
    """A number below 500 in words."""
    words = []
    if number >= 100:
        words.append(_HUNDREDS[number // 100 - 1])
        number %= 100
    if number >= 20:
        words.append(_TENS[number // 10 - 2])
        number %= 10
    if number or not words:
        words.append(_UNITS[number])
    return " ".join(words)
