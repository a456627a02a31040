"""One resolver for all numbers: digits are scanned once, and each run is classified by its form and the words beside it.

Eleven digits are a telephone or a СНИЛС, ten a passport, an ИНН or a telephone, sixteen a card or a policy. Patterns that
do not know of each other would each claim the same digits; here the nearest word before them (or right after) speaks first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers import (
    bank_account,
    bank_card,
    birth_cert,
    dept_code,
    driver_license,
    employee_id,
    imei,
    inn,
    intl_passport,
    military_id,
    ogrnip,
    oms,
    passport,
    phone,
    series,
    snils,
    vehicle_doc,
)
from policies.recognizers.identifier import MISTYPED, THRESHOLD, Identifier, Number
from policies.recognizers.tables import Headings

# Where the words of one are the beginning of another's («паспорт», «паспорт ТС»), the longer one comes first.
IDENTIFIERS = (
    snils.IDENTIFIER,
    inn.IDENTIFIER,
    ogrnip.IDENTIFIER,
    intl_passport.IDENTIFIER,
    vehicle_doc.IDENTIFIER,
    military_id.IDENTIFIER,
    dept_code.IDENTIFIER,
    birth_cert.IDENTIFIER,
    driver_license.IDENTIFIER,
    employee_id.IDENTIFIER,
    imei.IDENTIFIER,
    passport.IDENTIFIER,
    oms.IDENTIFIER,
    bank_card.IDENTIFIER,
    bank_account.IDENTIFIER,
    phone.IDENTIFIER,
)


def find(text: str, lower: str, headings: Headings) -> Iterator[Finding]:
    """Candidates among the digit runs; they may overlap. `text` and `lower` are the folded text in both letter cases."""
    row: _Row | None = None
    for run in _RUN.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(run[0])]
        if sum(end - start for start, end in groups) >= _SHORTEST:
            told = (row.goes_on(lower, run) if row else "") or _asked(lower, run)
            found = list(_classify(text, lower, headings, run, groups, told))
            row = _row(lower, run, found, row if row and told == row.label else None)
            yield from found
    yield from _misread(lower)
    yield from series.find(lower, headings, _label_in)
    yield from employee_id.find_short(lower, headings)
    yield from phone.find_extensions(lower)
    yield from phone.find_dictated(lower)
    yield from intl_passport.find_machine_read(lower)


_BEFORE = 60  # characters in which a word before a number still announces it
_AFTER = 40
_PREFIX = 20  # of which as many can belong to the number
_CONTEXT = 160  # characters before a number that its recogniser may look at
_SHORTEST = 4  # digits
_LONGEST = 20
_SHORTEST_WRAPPED = 10  # digits of a number that may go on in the next line
_SHORTEST_MISREAD = 9
_FARTHEST = 32  # characters between two numbers of one row

# Digits with at most three separators between them, or the end of a line, or a «+»: a space in a URL.
# Separators and digits are disjoint: the scan never
# goes back.
_RUN = re.compile(r"[0-9](?:(?:[ \-.()_/№]{0,3}|[\n+])[0-9])*")
# What a reader of scans makes of digits: «451О 12З456». Only beside a word for the number.
_SLIPS = re.compile(
    r"(?<![0-9a-zа-яё])[0-9][0-9 .-]{0,12}[oоlзбi|][0-9oоlзбi| -]{2,14}(?<=[0-9oоlзбi|])(?![0-9a-zа-яё])"
)
_AS_DIGITS = str.maketrans("oоlзбi|", "0013611")
_GROUP = re.compile(r"[0-9]+")

# Words for numbers that are no person's data, or that are not recognised yet: they keep a number from being taken for another.
_OTHERS = (
    r"удостоверени\w*|удост|уид|упд|дело|диплом\w*|аттестат\w*|билет\w*|купон\w*|сертификат\w*|патент\w*|бланк\w*"
    r"|бик|кпп|окпо|оквэд|октмо|окато|окпд\w?|тн ?вэд|hs ?code"
    r"|кбк|уин|уип|уникальн\w* идент\w*|трудов\w* книж\w*|внж|вид\w? на жительство"
    r"|договор\w*|контракт\w*|заказ\w*|заявк\w*|заявлени\w*|обращени\w*|тикет\w*|инцидент\w*|артикул\w*|арт"
    r"|накладн\w*|сч[её]т-фактур\w*|акт\w{0,2}"
    r"|чек\w{0,2}|трек\w*|отправлени\w*|посылк\w*|штрих-?код\w*|серийн\w*|кадастр\w*|vin|isbn|ean|gtin|осаго"
    r"|каско|лицензи\w*|приказ\w*"
    r"|код\w{0,2}|парти\w*|version|верси\w*|build|order\w*|ticket\w*|invoice\w*|tracking|sku|uuid|id|request\w*"
    r"|session|pid|hash|commit"
    r"|сумм\w*|бюджет\w*|цен\w*|стоимост\w*|price|amount|total"
)
_LABEL = re.compile(
    r"(?<![a-zа-яё0-9])(?:"
    + "|".join(f"(?P<{identifier.entity}>{identifier.label})" for identifier in IDENTIFIERS)
    + f"|(?P<OTHER>{_OTHERS})"
    + r")(?![a-zа-яё])"
)
_LINK = re.compile(r"[ ,(\"']{0,3}(?:-{1,2} ?)?(?:это )?(?:мой |моя |её |ее |его |номер )?")
_GLUED = re.compile("^[a-zа-яё0-9]+")  # the rest of a code is no word: «к318тн04»
_NEXT_NUMBER = re.compile("[ .:№(-]{1,3}[0-9]")  # the word speaks of what follows
_MEASURE = re.compile(r"[ ]?(?:руб|р\.|₽|\$|€|usd|eur|%|шт|тыс|млн|млрд|долл|тенге|кг|км)")
# What may stand between two numbers that one word announces: «табельные 71-204, 71-219 и мой 71-233».
_AND = re.compile(
    r"[\"']?(?:[,;/]{1,2}[ ]?\n?|[ ]?\n|[ ](?=и|или|\+))[ ]{0,4}(?:[•*+-] ?)?(?:(?:и|или|а также) )?"
    r"(?:(?:мой|моя|его|её|ее|их|ещё|второй|вторая) ){0,2}[\"'№]{0,2}(?:[а-яёa-z]{1,4}[ -]?(?:№ ?)?)?"
)
_MANY = re.compile(
    r"(?<![а-яё])(?:табельны[ех]|номер(?:а|ов|ами)|№ ?№|билет(?:ы|ов|ами)|бейджи|пропуска)(?![а-яё])|(?:ids|numbers)(?![a-z])|\["
)
_LONG = 9  # digits of a number of which one hardly meets another of the same form by chance
_AS_FORM = str.maketrans("123456789", "0" * 9)
# «[21:12] Асель: 1690545409295992», and what was asked for in the line above.
_REPLY = re.compile(
    r"(?P<asked>[^\n]{0,60})\n(?:\[[0-9., :]{4,20}\] ?|[0-9]{1,2}:[0-9]{2}[ ,-]{1,3})?[а-яёa-z][^\n:0-9]{0,24}: ?$"
)
_ASKING = re.compile(r"\?|(?<![а-яё])(?:скин|при?шл|напиш|назов|продикт|укаж|сообщи|подскаж|диктуй|кидай|дай)")
_ANSWERED = re.compile(r"[.!)»\"]{0,2}[ ]?(?:\n|$)")

_BY_LENGTH: dict[int, tuple[Identifier, ...]] = {
    length: tuple(identifier for identifier in IDENTIFIERS if length in identifier.lengths)
    for length in range(_SHORTEST, _LONGEST + 1)
}


class _Row(msgspec.Struct, frozen=True):
    """The number before, and what announced it: «IMEI обоих: …» speaks of the next one as well, if that is written alike."""

    label: str
    end: int
    form: str
    many: bool  # the word is in the plural

    def goes_on(self, lower: str, run: re.Match[str]) -> str:
        """The kind that the row announces for `run`, if it belongs to the row."""
        if run[0].translate(_AS_FORM) != self.form or not (self.many or self.form.count("0") >= _LONG):
            return ""
        if run.start() - self.end > _FARTHEST or not _AND.fullmatch(lower, self.end, run.start()):
            return ""
        return "" if _MEASURE.match(lower, run.end()) else self.label


def _row(lower: str, run: re.Match[str], found: list[Finding], before: _Row | None) -> _Row | None:
    """What may go on after `run`: one number, surely of its kind; `before` is the row that it belongs to itself."""
    whole = [each for each in found if each.end == run.end() and each.start <= run.start() and each.score >= MISTYPED]
    if not whole:
        return None
    surest = max(whole, key=lambda each: each.score)
    many = bool((before and before.many) or _MANY.search(lower, max(0, surest.start - _BEFORE), surest.start))
    return _Row(surest.entity, run.end(), run[0].translate(_AS_FORM), many)


def _asked(lower: str, run: re.Match[str]) -> str:
    """The kind of number that the line above asks for, where `run` is all that somebody answers."""
    if len(run[0]) < _LONG or ":" not in lower[max(0, run.start() - 2) : run.start()]:
        return ""
    reply = _REPLY.search(lower, max(0, run.start() - 2 * _BEFORE), run.start())
    if reply is None or not _ANSWERED.match(lower, run.end()) or not _ASKING.search(reply["asked"]):
        return ""
    label = _label_in(reply["asked"])
    return "" if label == "OTHER" else label


def _classify(
    text: str, lower: str, headings: Headings, run: re.Match[str], groups: list[tuple[int, int]], told: str
) -> Iterator[Finding]:
    """`told` is what else than a word beside it announces the whole run."""
    origin = run.start()
    following: dict[int, str] = {}  # what the words after each group announce: groups end many numbers
    for first, (opening, _) in enumerate(groups):
        start = origin + opening
        # A number before this one ends the reach of a word.
        left = origin + groups[first - 1][1] if first else max(0, start - _BEFORE)
        announced: str | None = None
        digits = ""
        prefixes = _Prefixes(lower, _opening(text, start))
        for last in range(first, min(first + _LONGEST, len(groups))):
            digits += run[0][slice(*groups[last])]
            end = origin + groups[last][1]
            if len(digits) > _LONGEST:
                break
            if not _BY_LENGTH.get(len(digits)):
                continue
            if announced is None:
                announced = _label_in(headings.over(start)) or _label_before(lower, left, start)
                announced = announced or ("" if first else told)
            if not announced and end not in following:
                following[end] = _label_after(lower[end : end + _AFTER])
            wrapped = "\n" in run[0][opening : end - origin]
            if wrapped and (not announced or len(digits) < _SHORTEST_WRAPPED):
                continue  # two lines of a list
            label = announced or following[end]
            if not label and 4 * (end - start - len(digits)) > 3 * len(digits):
                continue  # digits so far apart are one number only where something says so
            yield from _candidates(text, lower, (start, end), digits, label, prefixes)


def _opening(text: str, start: int) -> int:
    """Where a number begins whose first digit stands at `start`: at its "+" or "(", unless «a+1234567890» is a sum."""
    sign = text[start - 1 : start]
    if sign == "(" or (sign == "+" and not text[max(0, start - 2) : start - 1].isalnum()):
        return start - (2 if text[start - 2 : start] == "+(" else 1)
    return start


class _Prefixes:
    """What stands before a place and may belong to a number there, each kind looked for once."""

    def __init__(self, lower: str, start: int) -> None:
        self._lower = lower
        self.start = start
        self._found: dict[Entity, re.Match[str] | None] = {}

    def of(self, identifier: Identifier) -> re.Match[str] | None:
        if identifier.prefix is None:
            return None
        if identifier.entity not in self._found:
            start = self.start
            self._found[identifier.entity] = identifier.prefix.search(self._lower, max(0, start - _PREFIX), start)
        return self._found[identifier.entity]


def _candidates(
    text: str, lower: str, span: tuple[int, int], digits: str, label: str, prefixes: _Prefixes
) -> Iterator[Finding]:
    start, end = span
    after = lower[end : end + _AFTER]
    # Part of a longer code in Latin letters: a hash, a UUID, an article number.
    if after and _is_code(after[0]):
        return
    inside = bool(start) and _is_code(text[start - 1])
    start = prefixes.start
    before = lower[max(0, start - _CONTEXT) : start]
    plain = Number(text[start:end], digits, before, after)
    for identifier in _BY_LENGTH[len(digits)]:
        prefix = prefixes.of(identifier)
        if inside and not prefix:
            continue
        number = msgspec.structs.replace(plain, prefix=prefix[0]) if prefix else plain
        labelled = label == identifier.entity or label in identifier.shares
        score = identifier.score(number, labelled)
        if "\n" in number.written:
            score -= 0.1 if labelled and number.written.count("\n") == 1 else 1.0
        if label and not labelled:
            # It is announced as something else; but nothing else is written with +7.
            score -= 0.05 if number.written.startswith("+7") else 0.3
        elif not label and _MEASURE.match(after):
            score = 0.0
        if score >= THRESHOLD:
            opening = start if identifier.entity is Entity.PHONE else span[0]
            yield Finding(prefix.start() if prefix else opening, end, identifier.entity, score)


def _misread(lower: str) -> Iterator[Finding]:
    """Numbers in which letters were read for digits."""
    for match in _SLIPS.finditer(lower):
        digits = "".join(filter(str.isdigit, match[0].translate(_AS_DIGITS)))
        if 2 * sum(map(str.isdigit, match[0])) < len(digits):
            continue
        label = _label_before(lower, max(0, match.start() - _BEFORE), match.start())
        for identifier in _BY_LENGTH.get(len(digits), ()):
            labelled = label == identifier.entity
            if len(digits) < _SHORTEST_MISREAD and identifier.entity is not Entity.DEPT_CODE:
                continue
            if labelled or (not label and identifier.entity is Entity.PASSPORT):
                written = match[0].translate(_AS_DIGITS)
                before = lower[max(0, match.start() - _CONTEXT) : match.start()]
                number = Number(written, digits, before, lower[match.end() : match.end() + _AFTER])
                score = identifier.score(number, labelled)
                # Of a passport without the word even its place and day of issue tell.
                if score >= (THRESHOLD if labelled else MISTYPED):
                    yield Finding(*match.span(), identifier.entity, score)


def _label_before(lower: str, left: int, start: int) -> str:
    """The kind that the nearest word before a number announces: an entity, `OTHER`, or nothing."""
    context = lower[left:start]
    # Only what stands after the last digit speaks of this number, «п. 5 ст. 10» and the like aside.
    for digits in _GROUP.finditer(context):
        if digits.end() - digits.start() > 2:
            context = _GLUED.sub("", lower[left + digits.end() : start])
    # A word on a line above counts only when nothing else stands before the number on its own line.
    *_, above, line = ["", *context.rsplit("\n", 1)]
    return _label_in(line if line.strip(" \t\"'") else above + line)


def _label_in(context: str) -> str:
    """The kind that the last announcing word of `context` names."""
    nearest = None
    for match in _LABEL.finditer(context):
        # «СТС (серия и номер …»: the paper that was named is meant.
        if nearest is None or nearest.lastgroup == "OTHER" or not match[0].startswith("серия"):
            nearest = match
    if nearest is None or len(_FIELDS.findall(context, nearest.end())) > 1:
        return ""
    return nearest.lastgroup or ""


_FIELDS = re.compile(r"[;|\t]")  # «счёт;12;500100732259»: what stands fields away speaks of its own field


def _label_after(after: str) -> str:
    """The same for words right after it: «… — это мой паспорт»."""
    link = _LINK.match(after)
    match = _LABEL.match(after, link.end()) if link and link.end() else None
    if match is None or _NEXT_NUMBER.match(after, match.end()):
        return ""
    return match.lastgroup or ""


def _is_code(character: str) -> bool:
    return character.isascii() and (character.isalpha() or character == "_")
