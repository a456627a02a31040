"""Telephone numbers: Russian mobile and city numbers as people write them, and any number with a country code."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, LIKELY, UNLIKELY, UNMISTAKABLE, Example, Identifier, Number


def _score(number: Number, labelled: bool) -> float:
    count = len(number.digits)
    if number.written[0] == "+":
        return _international(number, labelled)
    if count == 11 and _NATIONAL.fullmatch(number.digits):
        return LABELLED if labelled else _unlabelled(number)
    if count == 10 and number.digits[0] in "3489":
        return UNMISTAKABLE if labelled else LIKELY if _WITHOUT_PREFIX.fullmatch(number.written) else UNLIKELY
    if count in {5, 6, 7} and labelled and ((number.bare and count > 5) or _LOCAL.fullmatch(number.written)):
        return 0.6
    return 0.0


def _unlabelled(number: Number) -> float:
    """Eleven digits with nothing said about them: as a Russian number is usually written, or not."""
    if number.bare:
        return 0.7
    return UNMISTAKABLE if _GROUPED.fullmatch(number.written) else UNLIKELY


def _international(number: Number, labelled: bool) -> float:
    russian = number.digits[0] == "7"
    if russian and len(number.digits) == 11:
        return LABELLED
    # Another country's: E.164 knows 8 to 15 digits. A sum or a difference looks the same when it is short.
    return UNMISTAKABLE if labelled else 0.7 if not russian and len(number.digits) >= 10 else UNLIKELY


_NATIONAL = re.compile(r"[78][3489][0-9]{9}")
_SEPARATOR = r"[ ._-]{0,2}"
_GROUPED = re.compile(rf"[78]{_SEPARATOR}\(?[0-9]{{3,5}}\)?{_SEPARATOR}[0-9]{{1,3}}(?:{_SEPARATOR}[0-9]{{2,4}}){{1,3}}")
_WITHOUT_PREFIX = re.compile(
    r"\([0-9]{3,5}\) ?[0-9]{1,3}(?:[ -][0-9]{2}){2}|9[0-9]{2}[ -][0-9]{3}[ -][0-9]{2}[ -]?[0-9]{2}"
)
_SPOKEN_CODE = re.compile(r"(?<![а-яё])(?:плюс(?: (?:семь|7))?|\+ ?семь|восемь)[ -]$")
_LOCAL = re.compile(r"[0-9]{1,3}[ -][0-9]{2}[ -][0-9]{2}")

IDENTIFIER = Identifier(
    entity=Entity.PHONE,
    lengths=frozenset({5, 6, 7, *range(8, 16)}),
    label=(
        r"тел(?:ефон\w*)?|моб(?:ильн\w*)?|сот(?:ов\w*)?|(?:по|пере)?звон\w*|звякни\w*|набер\w*|связ[иь]\w*|контакт\w*"
        r"|факс\w*"
        r"|номерок\w*|phone\w*|mobile\w*|tel|cell|call|fax|whats ?app|вот?с?[аa]п+\w*|ватсап\w*|viber|вайбер\w*|смс|sms"
        r"|(?:мой|моя|твой|твоя|его|её|ее|их|наш) номер\w*|номер клиента"
    ),
    score=_score,
    prefix=_SPOKEN_CODE,
)

EXAMPLES = (
    Example("+7 912 345-67-89", ("+7 912 345-67-89",)),
    Example("Позвоните 8 (912) 345-67-89 после шести", ("8 (912) 345-67-89",)),
    Example("тел. 89123456789", ("89123456789",)),
    Example("тел.: 7 495 123 45 67, e-mail есть", ("7 495 123 45 67",)),
    Example("мой номер 8_912_345_67_89 набери", ("8_912_345_67_89",)),
    Example("моб 912 345-67-89", ("912 345-67-89",)),
    Example("(495) 123-45-67", ("(495) 123-45-67",)),
    Example("+7(912)345-67-89", ("+7(912)345-67-89",)),
    Example("8.912.345.67.89", ("8.912.345.67.89",)),
    Example("телефон 123-45-67", ("123-45-67",)),
    Example("+375 29 123-45-67", ("+375 29 123-45-67",)),
    Example("звони 8 9 1 2 3 4 5 6 7 8 9 вечером", ("8 9 1 2 3 4 5 6 7 8 9",)),
    Example("тел 8912З4567О9 работает", ("8912З4567О9",)),
    Example("мой номер плюс семь 495 123 45 67", ("плюс семь 495 123 45 67",)),
    Example("Курс +75 пунктов за день"),
    Example("Бюджет 89 000 000 000 рублей"),
    Example("Заявка 89123456789 закрыта"),
    Example("Снимок от 2026-03-11 10:22:31"),
    Example("Артикул 123-45-67"),
)
