"""Telephone numbers: Russian mobile and city numbers as people write them, and any number with a country code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, LIKELY, UNLIKELY, UNMISTAKABLE, Example, Identifier, Number


def find_extensions(lower: str) -> Iterator[Finding]:
    """The digits to dial after a city or a firm's number: «+7 495 123-45-67 доб. 123»."""
    if "доб" in lower or "ext" in lower or "вн." in lower:
        for match in _EXTENDED.finditer(lower):
            if 10 <= sum(map(str.isdigit, match["number"])) <= 11:
                yield Finding(*match.span(), Entity.PHONE, LABELLED)


def find_dictated(lower: str) -> Iterator[Finding]:
    """Numbers that are said in parts with commas between: «восемь девятьсот восемнадцать, двести пять, сорок четыре, семнадцать»."""
    if "номер" in lower or "тел" in lower or "звон" in lower or "набер" in lower:
        for match in _DICTATED.finditer(lower):
            if len(_GAP.sub("", match["number"]).lstrip("+")) in {10, 11} and "," in match["number"]:
                yield Finding(*match.span("number"), Entity.PHONE, UNMISTAKABLE)


def _score(number: Number, labelled: bool) -> float:
    count = len(number.digits)
    if number.written[0] == "+":
        return _international(number, labelled)
    if count == 11 and _NATIONAL.fullmatch(number.digits):
        return LABELLED if labelled else _unlabelled(number)
    if count in {14, 15} and labelled and number.digits[:3] == "810":
        return UNMISTAKABLE  # abroad, as it is dialled from Russia
    if count == 10 and number.digits[0] in "3489" and not _CUT_OFF.search(number.before):
        return UNMISTAKABLE if labelled else LIKELY if _WITHOUT_PREFIX.fullmatch(number.written) else UNLIKELY
    return 0.6 if labelled and _is_unusual(number) else 0.0


def _is_unusual(number: Number) -> bool:
    """Whether a number is one if a word says so: a city's own, one that lost a digit, one of abroad without its «+»."""
    count = len(number.digits)
    if 11 <= count <= 13:
        return bool(_COUNTRY.match(number.digits) and _PLAINLY.search(number.before))
    if count == 10:
        return number.digits.startswith("79")
    return count in {5, 6, 7} and bool((number.bare and count > 5) or _LOCAL.fullmatch(number.written))


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


_EXTENDED = re.compile(
    r"(?<![0-9])(?P<number>(?:\+?[78][ -]?)?\(?[3489][0-9]{2,4}\)?[ -]?[0-9]{1,3}(?:[ -]?[0-9]{2}){2})"
    r",? {0,2}\(?(?:доб(?:авочный|\.)?|вн\.|ext\.?)[ :№]{0,2}[0-9]{1,6}\)?(?![0-9])"
)
_DICTATED = re.compile(
    r"(?<![а-яёa-z])(?:номер|тел|звон|набер)[^0-9\n.;]{0,40}?(?P<number>(?:\+? ?[78],? )?9 ?[0-9] ?[0-9](?:,? [0-9]{1,3}){2,5})(?![0-9])"
)
_GAP = re.compile("[ ,]")
_NATIONAL = re.compile(r"[78][3489][0-9]{9}")
_COUNTRY = re.compile("37[0-5]|380|99[2-68]|97[1-7]|90|8[1246]|9[1-5]|4[0-9]|3[0-469]|6[0-6]|20")
_PLAINLY = re.compile(
    r"(?:тел(?:ефон[а-яё]{0,2})?|моб(?:ильн[а-яё]{2})?|phone|mobile|tel|whats ?app|ватсап|вотсап|viber)[\"'.]?[ :=>]{1,3}[\"']?$"
)
_CUT_OFF = re.compile(r"(?<![0-9])\+?[78][ (._-]{1,3}$")  # the rest of a longer number
_SEPARATOR = r"[ ._-]{0,2}"
_GROUPED = re.compile(
    rf"\(?[78]{_SEPARATOR}(?:\(?[0-9]{{3,5}}\)?|\([0-9]{{3,4}} [0-9]{{1,2}}\)){_SEPARATOR}[0-9]{{1,3}}(?:{_SEPARATOR}[0-9]{{2,4}}){{1,3}}"
)
_WITHOUT_PREFIX = re.compile(
    r"\([0-9]{3,5}\) ?[0-9](?:[ -]?[0-9]){4,6}|\(?9[0-9]{2}[ -][0-9]{3}[ -][0-9]{2}[ -]?[0-9]{2}"
)
_SPOKEN_CODE = re.compile(r"(?<![а-яё])(?:плюс(?: (?:семь|7))?|\+ ?семь|восемь)[ -]$")
_LOCAL = re.compile(r"[0-9]{1,3}[ -][0-9]{2}[ -][0-9]{2}")

IDENTIFIER = Identifier(
    entity=Entity.PHONE,
    lengths=frozenset({5, 6, 7, *range(8, 16)}),
    label=(
        r"тел(?:ефон\w*)?|т(?=\.[ :]{1,2}$)|моб(?:ильн\w*)?|сот(?:ов\w*)?|(?:по|пере)?звон\w*|(?:по|пере)?зв(?=\.)"
        r"|звякни\w*|набер\w*|связ[иь]\w*|контакт\w*"
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
    Example("трубку не берёт (8 962 711-80-54), письма", ("(8 962 711-80-54",)),
    Example("заказ 17. юля +7 903 118 45 90 щербинка", ("+7 903 118 45 90",)),
    Example("второй заказ 18 рамиль 8 925 660 31 17 до", ("8 925 660 31 17",)),
    Example("код|телефон\n0417|79172003844", ("79172003844",)),
    Example("+375 29 123-45-67", ("+375 29 123-45-67",)),
    Example("звони 8 9 1 2 3 4 5 6 7 8 9 вечером", ("8 9 1 2 3 4 5 6 7 8 9",)),
    Example("тел 8912З4567О9 работает", ("8912З4567О9",)),
    Example("мой номер плюс семь 495 123 45 67", ("плюс семь 495 123 45 67",)),
    Example("тел. 8 (495) 123-45-67 доб. 123", ("8 (495) 123-45-67 доб. 123",)),
    Example("+7 495 123-45-67 (доб. 1234)", ("+7 495 123-45-67 (доб. 1234)",)),
    Example("т. 23-45-67", ("23-45-67",)),
    Example("8 10 375 29 123 45 67 звонить", ("8 10 375 29 123 45 67",)),
    Example("тел. 8 912 345\n67 89", ("8 912 345\n67 89",)),
    Example(
        "номер телефона восемь девятьсот восемнадцать двести пять сорок четыре семнадцать",
        ("восемь девятьсот восемнадцать двести пять сорок четыре семнадцать",),
    ),
    Example("GET /?phone=+79123456789&snils=112-233-445+95", ("+79123456789",)),
    Example("телефоны:\n89123456789\n89123456780", ("89123456789", "89123456780")),
    Example("+7 912 345-67-89/+7 912 345-67-90", ("+7 912 345-67-89", "+7 912 345-67-90")),
    Example("казанский (843)5-190-233", ("(843)5-190-233",)),
    Example("8 (385 2) 33 71 08 после шести", ("8 (385 2) 33 71 08",)),
    Example("Оленька (965 700-14-31)", ("(965 700-14-31",)),
    Example('"phone": "82-10-9904-3371"', ("82-10-9904-3371",)),
    Example("телефон: 375291234567", ("375291234567",)),
    Example("fio;телефон\nАнна;7917855102", ("7917855102",)),
    Example("перезв. 9-18-44", ("9-18-44",)),
    Example(
        "звонить «девять один семь, двести шестнадцать, сорок, восемнадцать»",
        ("девять один семь, двести шестнадцать, сорок, восемнадцать",),
    ),
    Example("выборка (843)5-190 и (12) 34-567"),
    Example("контакты поставщика: 375291234567 шт"),
    Example("Курс +75 пунктов за день"),
    Example("Бюджет 89 000 000 000 рублей"),
    Example("Заявка 89123456789 закрыта"),
    Example("Снимок от 2026-03-11 10:22:31"),
    Example("Артикул 123-45-67"),
    Example("#1234 в трекере, bug#4512, C#1234"),
    Example("+10 000 000 рублей, −5 123 456, 100+200=300, 12345678+87654321"),
    Example("формула a+1234567890, 4510+123456"),
    Example("период 01.01.2024-31.12.2024, 2024-01-01/2024-12-31"),
)
