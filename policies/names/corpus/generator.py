"""Labelled texts out of the hand-written contexts: slots are filled with synthetic values, then the text is made as people type.

Run at training time only. The same seed gives the same texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from people import Address, Person, address, latin, person, placed, written

CONTEXTS = Path(__file__).parent / "contexts"
_SLOT = re.compile(
    r"\{\{|\}\}|\{(?P<name>[a-z]+)(?P<number>\d*)(?::(?P<form>[A-Za-z0-9]+))?(?:\.(?P<case>[ngdaip]))?\}"
)
_PEOPLE = frozenset("mfp")


class Labelled(NamedTuple):
    """`spans`: start, end (exclusive), PER or ADR; in order, without overlaps."""

    text: str
    spans: tuple[tuple[int, int, str], ...]


def contexts(folder: Path = CONTEXTS) -> list[tuple[str, str]]:
    """File and text of every context."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        for part in re.split(r"^%%[ \t]*$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if text := part.strip("\n"):
                found.append((path.name, text))
    return found


def filled(context: str, draw: Random) -> Labelled:
    """The context with its slots filled. Raises ValueError for a slot that is not one."""
    people: dict[str, Person] = {}
    places: dict[str, Address] = {}
    pieces: list[str] = []
    spans: list[tuple[int, int, str]] = []
    length = last = 0
    for slot in _SLOT.finditer(context):
        value, label = slot[0][0], ""
        if slot["name"]:
            value, label = _value(slot, people, places, draw)
        plain = context[last : slot.start()]
        pieces += [plain, value]
        length += len(plain)
        if label and value:
            spans.append((length, length + len(value), label))
        length += len(value)
        last = slot.end()
    return Labelled("".join([*pieces, context[last:]]), _joined("".join([*pieces, context[last:]]), spans))


COMMON: list[str] = []  # words of the language that name nobody; filled by whoever trains


def jumbled(labelled: Labelled, draw: Random) -> Labelled:
    """Some of the words that are nobody's name become other such words, brands and abbreviations others: no word of a context stands for itself."""
    if not COMMON:
        return labelled
    pieces: list[str] = []
    spans: list[tuple[int, int, str]] = []
    last = 0
    taken = list(labelled.spans)
    length = 0
    for word in _WORD.finditer(labelled.text):
        while taken and taken[0][1] <= word.start():
            taken.pop(0)
        if taken and taken[0][0] < word.end():
            continue
        other = _other(word[0], draw)
        if other:
            pieces.append(labelled.text[last : word.start()])
            pieces.append(other)
            last = word.end()
    pieces.append(labelled.text[last:])
    # The spans move by as much as what stands before them has grown.
    text = "".join(pieces)
    moved: list[int] = []
    place = 0
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            moved.extend(range(length, length + len(piece)))
            place += len(piece)
        else:
            original = _WORD.match(labelled.text, place)
            size = original.end() - place if original else 0
            moved.extend([length] * size)
            place += size
        length += len(piece)
    moved.append(length)
    for start, end, label in labelled.spans:
        spans.append((moved[start], moved[end - 1] + 1, label))
    return Labelled(text, tuple(spans))


_WORD = re.compile(r"[^\W\d_]+")


def _other(word: str, draw: Random) -> str:
    """What takes a word's place; empty for the most."""
    chance = draw.random()
    if word.isascii():
        if len(word) < 3 or chance > 0.06:
            return ""
        made = "".join(
            draw.choice(("ka", "lo", "ri", "no", "ta", "me", "vex", "pro", "max", "dor", "wi", "lux", "tec", "gra"))
            for _ in range(draw.randrange(2, 4))
        )
        return made.upper() if word.isupper() else made.capitalize() if word[0].isupper() else made
    if word.isupper() and 2 <= len(word) <= 5:
        return (
            "".join(draw.choice("АБВГДЕЗИКЛМНОПРСТУФХЦЧШЭЮЯ") for _ in range(draw.randrange(2, 5)))
            if chance < 0.15
            else ""
        )
    if len(word) > 3 and word.islower() and chance > 0.98:
        return word.capitalize()  # «направить Отчёт»: a capital alone makes no name
    if len(word) < 4 or chance > 0.1:
        return ""
    other = draw.choice(COMMON)
    return other.capitalize() if word[0].isupper() and word[1:].islower() else other if word.islower() else ""


def noisy(labelled: Labelled, draw: Random) -> Labelled:
    """The text as somebody types it: in lower case, without punctuation, in capitals, with slips, without ё."""
    kind = draw.random()
    if draw.random() < 0.6:
        labelled = labelled._replace(text=labelled.text.replace("ё", "е").replace("Ё", "Е"))
    if kind < 0.24:
        labelled = labelled._replace(text=_lower(labelled.text))
    elif kind < 0.36:
        labelled = _without(_lower_labelled(labelled), lambda character: character in '.,!?:;"«»()')
    elif kind < 0.41:
        labelled = labelled._replace(text=_same_length(labelled.text, str.upper))
    elif kind < 0.44:
        labelled = labelled._replace(text=_same_length(labelled.text, str.title))
    if draw.random() < 0.12:
        labelled = _slipped(labelled, draw)
    return labelled


def _value(slot: re.Match[str], people: dict[str, Person], places: dict[str, Address], draw: Random) -> tuple[str, str]:
    name, number, form, case = slot["name"], slot["number"], slot["form"] or "", slot["case"] or "n"
    if name in _PEOPLE and number:
        who = people.setdefault(name + number, person(draw, name))
        return written(who, form or "fio", case), "PER"
    if name == "a" and number:
        where = places.setdefault(number, address(draw))
        # A house, a flat or an index is a number to a tagger; what stands beside them is the address.
        label = "" if form in {"house", "flat", "zip", "region", "city"} else "ADR"
        return placed(where, form, draw), label
    if name not in _PLAIN:
        raise ValueError(f"no slot `{slot[0]}`")
    return _PLAIN[name](draw, form), ""


def _joined(text: str, spans: list[tuple[int, int, str]]) -> tuple[tuple[int, int, str], ...]:
    """Parts of one name or address with only a space between them are one span."""
    joined: list[tuple[int, int, str]] = []
    for start, end, label in spans:
        if joined and joined[-1][2] == label and text[joined[-1][1] : start] == " ":
            joined[-1] = (joined[-1][0], end, label)
        else:
            joined.append((start, end, label))
    return tuple(joined)


def _digits(count: int) -> Callable[[Random, str], str]:
    return lambda draw, form: "".join(str(draw.randrange(10)) for _ in range(int(form) if form.isdigit() else count))


def _shaped(*shapes: str) -> Callable[[Random, str], str]:
    """`9` is a digit, `A` a Latin capital, `Я` a letter of number plates, `x` a hexadecimal digit."""
    alphabets = {"9": "0123456789", "A": "ABCDEFGHJKLMNPRSTUVWXYZ", "Я": "АВЕКМНОРСТУХ", "x": "0123456789abcdef"}
    return lambda draw, _: "".join(draw.choice(alphabets.get(sign, sign)) for sign in draw.choice(shapes))


def _one_of(*values: str) -> Callable[[Random, str], str]:
    return lambda draw, _: draw.choice(values)


def _account(draw: Random, _: str) -> str:
    """A name people give themselves: letters of their own name, which is no name in a text."""
    who = person(draw, "p")
    first, surname = latin(who.first).lower(), latin(who.surname).lower().split("-")[0]
    return draw.choice(
        [
            f"{first[0]}.{surname}", f"{surname}.{first[0]}", f"{first}.{surname}", f"{first}_{surname}", f"{surname}{first[0]}", f"{first}{draw.randrange(1950, 2012)}",
            f"{surname}{draw.randrange(100)}", f"{first}.{surname[:3]}", f"{first[0]}{surname}", f"{surname}_{first[0]}{draw.randrange(100)}", f"{first}-{surname}", surname, first,
        ]
    )  # fmt: skip


def _email(draw: Random, form: str) -> str:
    if draw.random() < 0.15:
        return draw.choice(["info@", "sales@", "buh@", "hr@", "support@"]) + draw.choice(_HOSTS)
    return f"{_account(draw, form)}@{draw.choice(_HOSTS)}"


_HOSTS = (
    "mail.ru",
    "yandex.ru",
    "gmail.com",
    "bk.ru",
    "inbox.ru",
    "list.ru",
    "rambler.ru",
    "icloud.com",
    "company.ru",
    "example.ru",
    "zavod-gazstroy.ru",
    "kbr-soft.ru",
    "stroy.su",
    "ya.ru",
)


def _login(draw: Random, form: str) -> str:
    return draw.choice(["", "", "@"]) + (
        _account(draw, form)
        if draw.random() < 0.8
        else draw.choice(["admin", "root", "user17", "sales_bot", "test_qa", "operator3"])
    )


def _date(draw: Random, _: str) -> str:
    day, month, year = draw.randrange(1, 29), draw.randrange(1, 13), draw.randrange(1950, 2026)
    word = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split()[month - 1]
    return draw.choice(
        [
            f"{day:02}.{month:02}.{year}",
            f"{day} {word} {year} года",
            f"{year}-{month:02}-{day:02}",
            f"{day:02}.{month:02}.{year % 100:02}",
            f"{day} {word}",
        ]
    )


_ORGANISATIONS = (
    "ООО «Ромашка»", "АО «Вектор»", "ПАО «Северсталь»", "ООО «Иванов и партнёры»", "ИП Магазин", "ООО «Анна»", "АО «Завод имени Кирова»", "ООО «Сидоров Групп»", "Фонд Потанина", "НИИ имени Вавилова",
    "ГБУЗ «Городская больница № 4»", "МБОУ СОШ № 17", "ООО «ТехноСервис»", "Банк «Открытие»", "клиника «Доктор Лиза»", "кафе «Маргарита»", "ТД «Максим»", "завод Петрова", "РЖД", "Сбербанк", "ООО «Виктория»", "АО «Алексеевъ»",
)  # fmt: skip
_PLAIN: dict[str, Callable[[Random, str], str]] = {
    "phone": _shaped("+7 (999) 999-99-99", "8 999 999-99-99", "+79999999999", "89999999999", "8(999)9999999"),
    "email": _email,
    "snils": _shaped("999-999-999 99", "99999999999"),
    "inn": _shaped("999999999999", "9999999999"),
    "passport": _shaped("99 99 999999", "9999 999999", "9999999999"),
    "dob": _date, "date": _date,
    "card": _shaped("9999 9999 9999 9999", "9999999999999999"),
    "oms": _shaped("9999999999999999", "9999 9999 9999 9999"),
    "acc": _shaped("40817810999999999999", "40702810999999999999"),
    "order": _shaped("99999-99", "A-999999", "99999999", "№ 9999"),
    "money": _shaped("99 999 руб.", "9 999,99 ₽", "999 тыс. рублей", "99999"),
    "time": _shaped("19:99", "09:99", "9:99"),
    "login": _login,
    "ip": _shaped("10.9.99.9", "192.168.9.99", "95.9.99.999"),
    "plate": _shaped("Я999ЯЯ77", "Я 999 ЯЯ 199"), "vin": _shaped("XTA999999A9999999"),
    "empid": _shaped("9999", "99999", "00999"),
    "url": _shaped("https://example.ru/page/999", "http://portal.local/xxxx", "example.com/xxxx"),
    "uuid": _shaped("xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx"),
    "num": _digits(4),
    "org": _one_of(*_ORGANISATIONS),
    "brand": _one_of("Дарья", "Зима", "Лада Веста", "Алёнка", "Иван-чай", "Красная Шапочка", "Мерседес", "Людмила", "Старый Мельник", "Доширак", "Маша и Медведь", "Даниссимо"),
    "city": _one_of("Москва", "Тула", "Владимир", "Орёл", "Киров", "Пушкин", "Гагарин", "Чехов", "Калуга", "Казань", "Ульяновск", "Хабаровск"),
    "street": _one_of("улица Гагарина", "проспект Мира", "Невский проспект", "Тверская", "улица Льва Толстого", "площадь Ленина", "бульвар Гоголя", "Арбат", "улица Марата"),
    "eponym": _one_of("закон Ома", "болезнь Паркинсона", "теорема Ферма", "принцип Парето", "синдром Дауна", "цикл Карно", "критерий Стьюдента", "ряд Тейлора"),
    "fiction": _one_of("Евгений Онегин", "Анна Каренина", "Шерлок Холмс", "Гарри Поттер", "Остап Бендер", "Наташа Ростова", "Чебурашка", "Дядя Стёпа"),
    "public": _one_of("Пушкин", "Лев Толстой", "Юрий Гагарин", "Альберт Эйнштейн", "Пётр I", "Илон Маск", "Екатерина Вторая", "Наполеон", "Стив Джобс", "Менделеев"),
}  # fmt: skip


def _same_length(text: str, change: Callable[[str], str]) -> str:
    changed = change(text)
    return changed if len(changed) == len(text) else text


def _lower(text: str) -> str:
    return _same_length(text, str.lower)


def _lower_labelled(labelled: Labelled) -> Labelled:
    return labelled._replace(text=_lower(labelled.text))


def _without(labelled: Labelled, drop: Callable[[str], bool]) -> Labelled:
    """The text without some characters, its spans moved along."""
    kept: list[str] = []
    moved = []
    for character in labelled.text:
        moved.append(len(kept))
        if not drop(character):
            kept.append(character)
    moved.append(len(kept))
    spans = tuple(
        (moved[start], moved[end], label) for start, end, label in labelled.spans if moved[start] < moved[end]
    )
    return Labelled("".join(kept), spans)


def _slipped(labelled: Labelled, draw: Random) -> Labelled:
    """One letter doubled, lost or swapped with its neighbour, here and there."""
    text = list(labelled.text)
    for _ in range(max(1, len(text) // 120)):
        at = draw.randrange(len(text) - 1) if len(text) > 1 else 0
        if at + 1 < len(text) and text[at].isalpha() and text[at + 1].isalpha():
            text[at], text[at + 1] = text[at + 1], text[at]
    return labelled._replace(text="".join(text))


def samples(count: int, seed: int, *, keep: Callable[[str], bool] = lambda _: True) -> Iterator[Labelled]:
    """`count` texts: every context in turn, in a random order anew each time round. `keep` chooses contexts."""
    draw = Random(seed)
    chosen = [text for _, text in contexts() if keep(text)]
    made = 0
    while True:
        for context in draw.sample(chosen, len(chosen)):
            if made == count:
                return
            made += 1
            yield noisy(jumbled(filled(context, draw), draw), draw)
