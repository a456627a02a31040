"""Other numbers of the same look: the same length, separators and kind, with check digits that agree.

Made of a key and the value alone, so that a value has one lookalike throughout a conversation. It may by chance be somebody's real
number: in Russia none are set aside for examples. Addresses of computers and mailboxes are of the ranges that are (RFC 5737, 3849, 2606).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from ipaddress import ip_address

import msgspec

from policies.entities import Entity
from policies.recognizers import inn, ogrnip, snils
from policies.recognizers.identifier import luhn


def lookalike(entity: Entity, value: str, key: bytes) -> str | None:
    """Another value of the same kind and look, never the value itself. None where none can be made: the kind or its writing has no rule.

    `key` is the secret of a conversation; values of one kind that differ only in separators get the same digits.
    """
    special = _SPECIAL.get(entity)
    if special is not None:
        return special(value, key)
    rule = _NUMBERS.get(entity)
    if rule is None or len(_DIGIT.findall(value)) < _FEWEST or any(c.isdigit() and not c.isascii() for c in value):
        return None
    return rule.applied(entity, value, key)


class _Rule(msgspec.Struct, frozen=True):
    """Of the digits the first `trunk` are no part of it, `kept` more say only where or by whom it was given out, the last `checked` follow.

    `agrees` tells whether a number's check digits are right.
    """

    trunk: int = 0
    kept: int = 0
    checked: int = 0
    agrees: Callable[[str], bool] = lambda _: True

    def applied(self, entity: Entity, value: str, key: bytes) -> str | None:
        """The value with other digits in the places of its own."""
        digits = "".join(_DIGIT.findall(value))
        number = digits[self.trunk :]
        made = (self._other(number, key, entity, attempt) for attempt in range(_ATTEMPTS))
        other = next((each for each in made if each not in {None, number}), None)
        if other is None:
            return None
        rest = iter(digits[: self.trunk] + other)
        return _DIGIT.sub(lambda _: next(rest), value)

    def _other(self, digits: str, key: bytes, entity: Entity, attempt: int) -> str | None:
        free = len(digits) - self.kept - self.checked
        if free < 1:
            return None
        drawn = _drawn(key, f"{entity}\0{attempt}\0{digits}")
        made = digits[: self.kept] + f"{drawn % 10**free:0{free}}"
        if not self.checked:
            return made
        endings = (f"{number:0{self.checked}}" for number in range(10**self.checked))
        return next((made + ending for ending in endings if self.agrees(made + ending)), None)


def _phone(value: str, key: bytes) -> str | None:
    digits = len(_DIGIT.findall(value))
    if digits < _SHORTEST_PHONE:
        return None
    trunk = (
        digits - _NATIONAL if digits in {_NATIONAL, _NATIONAL + 1} else 0
    )  # «8» and «+7» stand before the same number
    return _Rule(trunk=trunk, kept=3 if trunk or digits == _NATIONAL else digits // 2).applied(Entity.PHONE, value, key)


def _inn(value: str, key: bytes) -> str | None:
    digits = "".join(_DIGIT.findall(value))
    checked = {10: 1, 12: 2}.get(len(digits))
    if checked is None:
        return None
    return _Rule(kept=2, checked=checked, agrees=inn.check).applied(Entity.INN, value, key)


def _birth_date(value: str, key: bytes) -> str | None:
    found = _DATE.fullmatch(value.strip())
    if found is None:
        return None
    day, first, month, second, year = found.groups()
    try:
        written = date(int(year), int(month), int(day))
    except ValueError:
        return None
    moved = written + timedelta(days=_drawn(key, f"BIRTH_DATE\0{written}") % _DAYS + 1)
    return f"{moved:%d}{first}{moved:%m}{second}{moved:%Y}"


def _email(value: str, key: bytes) -> str | None:
    drawn = _drawn(key, f"EMAIL\0{value.lower()}")
    return f"{_LETTERS[drawn % 20]}.{_SYLLABLES[drawn // 20 % 16]}{_SYLLABLES[drawn // 320 % 16]}{1000 + drawn // 5120 % 9000}@example.org"


def _address(value: str, key: bytes) -> str | None:
    try:
        address = ip_address(value.strip())
    except ValueError:
        return None
    drawn = _drawn(key, f"IP\0{address}")
    if address.version == 6:
        return f"2001:db8::{drawn % 65535 + 1:x}:{drawn // 65535 % 65535 + 1:x}"
    return f"{('192.0.2', '198.51.100', '203.0.113')[drawn % 3]}.{drawn // 3 % 254 + 1}"


def _drawn(key: bytes, message: str) -> int:
    """A number of 128 bits that only the key can tell from chance."""
    digest = hmac.digest(key or b"\0", b"lookalike\0" + message.encode("utf-8", "surrogatepass"), "sha256")
    return int.from_bytes(digest[:16], "big")


_FEWEST = 4  # digits: fewer are soon somebody else's
_SHORTEST_PHONE = 8
_NATIONAL = 10  # digits of a telephone in Russia without what is dialled before them
_ATTEMPTS = 4
_DAYS = 364
_DIGIT = re.compile("[0-9]")
_DATE = re.compile(r"(\d{2})([./-])(\d{2})([./-])((?:19|20)\d\d)")
_LETTERS = "abdefgiklmnoprstuvyz"
_SYLLABLES = ("ba", "vi", "go", "du", "ze", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "fe", "ha", "ly")

_SPECIAL: Mapping[Entity, Callable[[str, bytes], str | None]] = {
    Entity.PHONE: _phone,
    Entity.INN: _inn,
    Entity.BIRTH_DATE: _birth_date,
    Entity.EMAIL: _email,
    Entity.IP: _address,
}
_NUMBERS: Mapping[Entity, _Rule] = {
    Entity.PASSPORT: _Rule(kept=2),
    Entity.INTL_PASSPORT: _Rule(kept=2),
    Entity.DRIVER_LICENSE: _Rule(kept=2),
    Entity.VEHICLE_DOC: _Rule(kept=2),
    Entity.MILITARY_ID: _Rule(),
    Entity.BIRTH_CERT: _Rule(),
    Entity.EMPLOYEE_ID: _Rule(),
    Entity.DEPT_CODE: _Rule(kept=2),
    Entity.SNILS: _Rule(checked=2, agrees=snils.check),
    Entity.OGRNIP: _Rule(kept=5, checked=1, agrees=ogrnip.check),
    Entity.OMS: _Rule(kept=2, checked=1, agrees=luhn),
    Entity.BANK_CARD: _Rule(kept=1, checked=1, agrees=luhn),
    Entity.IMEI: _Rule(kept=2, checked=1, agrees=luhn),
    Entity.BANK_ACCOUNT: _Rule(kept=8),
    Entity.CADASTRE: _Rule(kept=4),
}
