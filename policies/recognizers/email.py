"""E-mail addresses, Cyrillic domains and the usual ways to hide the «@» included."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, UNMISTAKABLE, Example


def find(lower: str) -> Iterator[Finding]:
    """Every address: what stands on both sides of an «@», or of what is written in its place."""
    for sign in _AT.finditer(lower):
        # Both sides are bounded (RFC 5321 section 4.5.3.1), so a page of «@» costs no more than any other page.
        floor = max(0, sign.start() - 64)
        local = _LOCAL.search(lower, floor, sign.start())
        domain = _DOMAIN.match(lower, sign.end(), sign.end() + 255) if local else None
        if local and domain and local[0] == "git" and lower[domain.end() : domain.end() + 1] in {":", "/"}:
            continue  # the address of a repository
        if local and domain and not _IN_URL.search(lower, max(0, local.start() - 80), local.start()):
            yield Finding(
                local.start(), domain.end(), Entity.EMAIL, LABELLED if sign[0].strip() == "@" else UNMISTAKABLE
            )


_AT = re.compile(
    r" ?[(\[{<] ?(?:at|a|а|собака|собачка|dog|@) ?[)\]}>] ?| (?:собака|собачка|гав) | @ "
    r"| at (?=[a-z0-9-]{2,30} (?:dot|точка) )|@"
)
_IN_URL = re.compile(r"://[^\s/]{0,70}$")  # what stands before the «@» of a URL is no address but a name and a password
# Fewer signs than RFC 5322 allows: «=», quotes and slashes stand around addresses far more often than in them.
_LOCAL = re.compile(r"[\w!#$%&*+~.-]*[\w+]\Z")
_DOMAIN = re.compile(
    r"(?:[a-z0-9а-яё_](?:[a-z0-9а-яё_-]{0,61}[a-z0-9а-яё])?(?:\.| ?[(\[{] ?(?:dot|точка|\.) ?[)\]}] ?"
    r"| (?:точка|dot) |,(?=(?:ru|com|рф|org|net)(?![a-zа-яё])))){1,8}"
    r"(?:xn--[a-z0-9-]{1,59}|[a-zа-яё]{2,24})(?![a-z0-9а-яё])"
)

EXAMPLES = (
    Example("ivan.petrov@example.ru", ("ivan.petrov@example.ru",)),
    Example("Пишите на a+b_c@mail.example.com, отвечу.", ("a+b_c@mail.example.com",)),
    Example("От: Иван <ivan@example.ru>", ("ivan@example.ru",)),
    Example("директор@кадры.рф", ("директор@кадры.рф",)),
    Example("ivan[собака]example.ru", ("ivan[собака]example.ru",)),
    Example("ivan (at) example (dot) ru", ("ivan (at) example (dot) ru",)),
    Example("ivan собака example точка ru", ("ivan собака example точка ru",)),
    Example("пишите на ivan @ example.ru сегодня", ("ivan @ example.ru",)),
    Example("postgres://app:s3cretword@db.local:5432/app"),
    Example("email='IVAN@EXAMPLE.RU'", ("IVAN@EXAMPLE.RU",)),
    Example("Декоратор @app.route стоит над функцией"),
    Example("Подпишись на @channel_name"),
    Example("Моя собака любит гулять"),
    Example("версия pkg@1.2.3"),
    Example("git clone git@github.com:encode/starlette.git"),
)
