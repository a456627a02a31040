"""Hiding what was found behind placeholders, and putting it back.

A placeholder is `[PERSON_1]`: ASCII, safe inside a JSON string, with the kind of what it stands for, so that a model can
still reason about it, and a number by first appearance, so that the same history gives the same placeholders each turn.
One person has one number: «Иванову» and «Иванов И. И.» are `[PERSON_1]` and `[PERSON_1:2]`, the second way in which the first
person is written, so that a model can tell that it is one, and each comes back as it stood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence

from policies.entities import Entity
from policies.finding import Finding
from policies.identity import Identity, Value


class Vault:
    """The originals behind the placeholders of one exchange, in memory only.

    `avoid` are the texts that the caller wrote himself: the number of a placeholder that stands in one of them, in any case of
    letters, is never given out, for the caller's own words must not turn into somebody's data. `identities` tells which values
    denote the same person or thing; a value that it does not know denotes itself.
    """

    def __init__(self, avoid: Iterable[str] = (), identities: Mapping[Value, Identity] | None = None) -> None:
        self._taken = {match["number"].upper() for text in avoid for match in PLACEHOLDER.finditer(text)}
        self._identities = identities or {}
        self._placeholders: dict[Value, str] = {}
        self._originals: dict[str, str] = {}
        self._numbers: dict[tuple[Entity, int | str], str] = {}
        self._forms: dict[str, int] = {}
        self._counts: dict[Entity, int] = {}
        self._beginnings: set[str] = set()

    def placeholder(self, entity: Entity, value: str) -> str:
        """The placeholder of `value`; the same value of the same kind always has the same one."""
        known = self._placeholders.get((entity, value))
        if known is not None:
            return known
        identity = self._identities.get((entity, value))
        number = self._number(entity, value if identity is None else identity.number)
        form = self._forms[number] = self._forms.get(number, 0) + 1
        label = f"[{number}]" if form == 1 else f"[{number}:{form}]"
        self._placeholders[entity, value] = label
        self._originals[label] = value
        self._beginnings.update(label[:length] for length in range(1, len(label)))
        return label

    def _number(self, entity: Entity, who: int | str) -> str:
        """`PERSON_1`: the kind and the number of whom a value denotes."""
        if (entity, who) not in self._numbers:
            count = self._counts.get(entity, 0) + 1
            while f"{entity}_{count}" in self._taken:
                count += 1
            self._counts[entity] = count
            self._numbers[entity, who] = f"{entity}_{count}"
        return self._numbers[entity, who]

    def original(self, placeholder: str) -> str | None:
        """What `placeholder`, in any case of its letters, stands for; None if this vault did not give it out."""
        return self._originals.get(placeholder.upper())

    def may_begin(self, text: str) -> bool:
        """Whether more text could make `text` one of the placeholders given out."""
        return text.isascii() and text.upper() in self._beginnings

    def __len__(self) -> int:
        """How many distinct values are hidden."""
        return len(self._originals)


def redact(content: str, findings: Sequence[Finding], masks: Container[Entity], vault: Vault) -> str:
    """`content` with each finding of a kind in `masks` replaced by its placeholder; every other character is kept.

    Findings that overlap are hidden together, under the kind of the surest of them.
    Raises ValueError for a finding that does not lie within `content`.
    """
    pieces: list[str] = []
    position = 0
    for start, end, entity in _spans(content, findings, masks):
        pieces += (content[position:start], vault.placeholder(entity, content[start:end]))
        position = end
    pieces.append(content[position:])
    return "".join(pieces)


def restore(text: str, vault: Vault, *, json_strings: bool = False) -> str:
    """`text` with every placeholder of `vault`, in any case of its letters, replaced by its original.

    `json_strings` escapes the originals for a place inside a JSON string literal. Placeholders that the vault did not give
    out stay as they are, and what was put back is not looked at again.
    """

    def original(match: re.Match[str]) -> str:
        value = vault.original(match[0])
        if value is None:
            return match[0]
        return json.dumps(value, ensure_ascii=False)[1:-1] if json_strings else value

    return PLACEHOLDER.sub(original, text)


PLACEHOLDER = re.compile(r"\[(?P<number>[A-Z_]{1,40}_[1-9][0-9]{0,8})(?::[1-9][0-9]{0,8})?\]", re.ASCII | re.IGNORECASE)
"""The shape of all placeholders. ASCII: some letters outside it fold to ASCII ones, and no model writes them by mistake."""


def _spans(content: str, findings: Sequence[Finding], masks: Container[Entity]) -> list[tuple[int, int, Entity]]:
    spans: list[tuple[int, int, Entity]] = []
    best = 0.0
    for finding in sorted(found for found in findings if found.entity in masks):
        if not 0 <= finding.start < finding.end <= len(content):
            raise ValueError("a finding does not lie within the text: it was made for another one")
        if spans and finding.start < spans[-1][1]:
            start, end, entity = spans[-1]
            spans[-1] = (start, max(end, finding.end), finding.entity if finding.score > best else entity)
            best = max(best, finding.score)
        else:
            spans.append((finding.start, finding.end, finding.entity))
            best = finding.score
    return spans
