"""Methods of hiding a value, one to one with the order on depersonalisation (приказ Роскомнадзора № 140, 2025, приложение 2).

Three methods of the order have no place here: a single text holds nothing to shuffle with (перемешивание, п. 10), is not a data set
to be split (декомпозиция, п. 11), and a transformation (преобразование, п. 12) would leave a model nothing to read.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from ipaddress import ip_address

from policies.entities import TITLES, Entity


class Method(StrEnum):
    """How a value is hidden. The names are stored in logs: they are never renamed or reused."""

    IDENTIFIER = "identifier"  # a placeholder; the original comes back
    SUBSTITUTION = "substitution"  # a believable stand-in; the original comes back
    DELETION = "deletion"
    GENERALIZATION = "generalization"
    STARS = "stars"
    DISTORTION = "distortion"

    @property
    def reversible(self) -> bool:
        """Whether the original comes back in an answer."""
        return self in {Method.IDENTIFIER, Method.SUBSTITUTION}


ORDER_140: Mapping[Method, str] = {
    Method.IDENTIFIER: "введение идентификаторов (прил. 2, п. 2–3)",
    Method.SUBSTITUTION: "изменение состава или семантики: замена (прил. 2, п. 4–9)",
    Method.DELETION: "изменение состава или семантики: удаление (прил. 2, п. 4–9)",
    Method.GENERALIZATION: "изменение состава или семантики: обобщение (прил. 2, п. 4–9)",
    Method.STARS: "изменение состава или семантики: замена знаками «*» (прил. 2, п. 4–9)",
    Method.DISTORTION: "изменение состава или семантики: искажение (прил. 2, п. 4–9)",
}
"""What the order calls each method."""


def masked(method: Method, entity: Entity, value: str, key: bytes = b"") -> str:
    """What stands in the place of a value by a method that does not bring it back.

    `key` makes a distortion: the same value is distorted alike under the same key. Raises ValueError for a reversible method.
    """
    match method:
        case Method.DELETION:
            return "[удалено]"
        case Method.STARS:
            return "".join("*" if character.isalnum() else character for character in value)
        case Method.GENERALIZATION:
            return _general(entity, value)
        case Method.DISTORTION:
            return _distorted(entity, value, key)
        case _:
            raise ValueError(f"{method} brings the original back: it is a vault's affair")


def _general(entity: Entity, value: str) -> str:
    """Less than the value says: a year, a domain, a network, a region of the numbering plan; else only its kind."""
    match entity:
        case Entity.BIRTH_DATE if year := _YEAR.search(value):
            return f"{year[0]} год"
        case Entity.EMAIL if "@" in value:
            return f"[почта в домене {value.rpartition('@')[2].strip()}]"
        case Entity.IP:
            return _network(value)
        case Entity.PHONE if len(digits := _digits(value)) == _PHONE_DIGITS and digits[0] in "78":
            return f"[телефон +7 {digits[1:4]}]"
        case Entity.GEO if len(degrees := _DEGREES.findall(value)) > 1:
            return f"[место около {float(degrees[0].replace(',', '.')):.1f}, {float(degrees[1].replace(',', '.')):.1f}]"
    return f"[{TITLES[entity]}]"


def _network(value: str) -> str:
    try:
        address = ip_address(value.strip())
    except ValueError:
        return f"[{TITLES[Entity.IP]}]"
    prefix = 16 if address.version == _IPV4 else 32
    kept = int(address) >> (address.max_prefixlen - prefix) << (address.max_prefixlen - prefix)
    return f"{type(address)(kept)}/{prefix}"


def _distorted(entity: Entity, value: str, key: bytes) -> str:
    """The value with other digits in the same places, or a date moved by up to a year; never the value itself. Words are only named."""
    if entity is Entity.BIRTH_DATE and (found := _DATE.search(value)):
        day, month, year = (int(part) for part in found.groups())
        try:
            moved = date(year, month, day) + timedelta(days=_drawn(key, value, 0, 364) + 1)
        except (ValueError, OverflowError):
            return f"[{TITLES[entity]}]"
        return f"{value[: found.start()]}{moved:%d.%m.%Y}{value[found.end() :]}"
    if not any(character in "0123456789" for character in value):
        return f"[{TITLES[entity]}]"
    places = [place for place, character in enumerate(value) if character in "0123456789"]
    characters = [character if not character.isalpha() else "X" for character in value]
    for place in places:
        characters[place] = str((int(value[place]) + 1 + _drawn(key, value, place, 9)) % 10)
    return "".join(characters)


def _drawn(key: bytes, value: str, place: int, count: int) -> int:
    """A number below `count` that only the key can tell from chance."""
    digest = hmac.digest(key or b"\0", f"{place}\0{value}".encode("utf-8", "surrogatepass"), "sha256")
    return int.from_bytes(digest[:8], "big") % count


def _digits(value: str) -> str:
    return "".join(character for character in value if character in "0123456789")


_PHONE_DIGITS = 11
_IPV4 = 4
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_DATE = re.compile(r"(?<!\d)(\d{1,2})[./-](\d{1,2})[./-]((?:19|20)\d\d)(?!\d)")
_DEGREES = re.compile(r"-?\d{1,3}[.,]\d+")
