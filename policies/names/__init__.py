"""Names of people and their addresses: the dictionary and its rules, and the network that weighs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from policies.entities import Entity
from policies.finding import Finding
from policies.names import grammar, spans, tagger

if TYPE_CHECKING:
    from policies.recognizers.tables import Headings

__all__ = ["find", "load"]


def load() -> None:
    """Read the network and the dictionaries, before the first text comes. Raises OSError or ValueError for a file that is not ours."""
    spans.load()
    grammar.load()


def find(text: str, lower: str, headings: Headings) -> Iterator[Finding]:
    """Names and addresses in a folded text, in no order; names do not overlap.

    What the rules find is a hint to the network. Where it sees nothing, a name that the rules are sure of counts; where it sees a name that
    is in every schoolbook, the rules' word counts.
    """
    ruled = list(tagger.find(text, lower))
    renowned = [found for found in ruled if found.score == tagger.NOBODY]
    people = [found for found in ruled if found.score > tagger.NOBODY]
    seen = [
        found
        for found in spans.find(text, headings, people)
        if found.entity is Entity.ADDRESS or not _touches(found, renowned)
    ]
    yield from seen
    yield from (found for found in people if found.score >= tagger.ANNOUNCED and not _touches(found, seen))


def _touches(one: Finding, others: list[Finding]) -> bool:
    return any(one.start < other.end and other.start < one.end for other in others)
