"""Which states protect the rights of data subjects well enough, on a given day (152-ФЗ ст. 12 ч. 2): dated data, never code."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated

import msgspec

from policies.rules import Words

CountryCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""


class Country(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A state on the list, by which act and in which days. A state that is not listed is not adequate: that is the stricter reading."""

    code: CountryCode
    name: Words
    act: Words
    valid_from: date
    valid_until: date | None = None


def is_listed(countries: Iterable[Country], code: str, day: date) -> bool:
    """Whether the state is on the list on `day`; both dates of an entry are days of it."""
    return any(
        country.code == code
        and country.valid_from <= day
        and (country.valid_until is None or day <= country.valid_until)
        for country in countries
    )
