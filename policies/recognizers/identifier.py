"""What a recogniser of a numbered document says of itself: the words that announce the number, and how sure it is of one."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from policies.entities import Entity

THRESHOLD = 0.5
"""Below this score nothing is a finding."""

LABELLED = 0.95  # the right words stand by it and its form or check digits agree
MISTYPED = 0.8  # the right words stand by it, but a check digit is wrong: a disclosure all the same
UNMISTAKABLE = 0.85  # no words, but a form that nothing else has
LIKELY = 0.65  # no words; form and check digits agree
UNLIKELY = 0.3  # a number like many


class Example(msgspec.Struct, frozen=True):
    """A text, and all that the recogniser beside it must find there."""

    text: str
    found: tuple[str, ...] = ()


class Number(msgspec.Struct, frozen=True):
    """Digits as they are `written`, with what separates them; a "+" or "(" directly before them belongs to them."""

    written: str
    digits: str
    before: str  # up to 160 lower-case characters that precede
    after: str  # up to 40 lower-case characters that follow
    prefix: str = ""  # what of `before` belongs to the number by the identifier's own `prefix`

    @property
    def bare(self) -> bool:
        """Whether nothing separates the digits."""
        return self.written == self.digits


class Identifier(msgspec.Struct, frozen=True):
    """A kind of number.

    `lengths` are the counts of digits it can have, `label` is a pattern, in lower case, of the words that announce it, and
    `score` says how surely a number is one, given whether such a word stands beside it. `prefix`, a pattern in lower case
    that ends in `$`, is what may stand before the digits and belongs to the number («АК № » of a military card); a number
    that has it is no longer a part of a code. `shares` are kinds whose words announce this one too.
    """

    entity: Entity
    lengths: frozenset[int]
    label: str
    score: Callable[[Number, bool], float]
    prefix: re.Pattern[str] | None = None
    shares: frozenset[Entity] = frozenset()


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1, annex B."""
    doubled = sum(divmod(2 * int(digit), 10)[0] + 2 * int(digit) % 10 for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0
