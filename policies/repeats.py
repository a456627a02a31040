"""A value found once is found wherever it stands again: the passport number that only the first message called a passport."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policies.entities import Entity
from policies.finding import Finding, Text

_SHORTEST = 5  # characters; shorter values stand for other things too often
_SHORTEST_NUMBER = 7  # digits of a value that has nothing else: «10482» may be an employee here and a price there
_EVIDENCE = frozenset(
    {
        Entity.HEALTH,
        Entity.CRIMINAL_RECORD,
        Entity.RELIGION,
        Entity.NATIONALITY,
        Entity.POLITICS,
        Entity.INTIMATE_LIFE,
        Entity.BIOMETRIC,
    }
)
"""Kinds whose finding is a word that says something about a person where it stands, and nothing elsewhere."""


def with_repeats(texts: Sequence[Text], found: Sequence[Sequence[Finding]]) -> tuple[tuple[Finding, ...], ...]:
    """The findings of each text, and one more for each further place in any of the texts where a found value stands.

    A place is a whole word or number, exactly as written, that overlaps no other finding. Costs a search of all texts for each
    distinct value.
    """
    values = _values(texts, found)
    result = []
    for text, findings in zip(texts, found, strict=True):
        seen = list(findings)
        for value, pattern in values.items():
            for start in _places(text.content, value):
                end = start + len(value)
                if not any(finding.start < end and start < finding.end for finding in seen):
                    seen.append(Finding(start, end, pattern.entity, pattern.score))
        result.append(tuple(sorted(seen)))
    return tuple(result)


def _values(texts: Sequence[Text], found: Sequence[Sequence[Finding]]) -> dict[str, Finding]:
    """Distinct values, longest first, so that a part of one is not taken for a place of its own."""
    values: dict[str, Finding] = {}
    for text, findings in zip(texts, found, strict=True):
        for finding in findings:
            value = text.content[finding.start : finding.end]
            shortest = _SHORTEST_NUMBER if value.isdigit() else _SHORTEST
            if finding.entity not in _EVIDENCE and len(value) >= shortest:
                known = values.get(value)
                if known is None or finding.score > known.score:
                    values[value] = finding
    return dict(sorted(values.items(), key=lambda item: -len(item[0])))


def _places(content: str, value: str) -> Iterator[int]:
    start = content.find(value)
    while start >= 0:
        end = start + len(value)
        before, after = content[start - 1 : start], content[end : end + 1]
        if not (_joined(before, value[0]) or _joined(value[-1], after)):
            yield start
        start = content.find(value, start + 1)


def _joined(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum()
