"""What is looked at, and what is found in it."""

from __future__ import annotations

import msgspec

from policies.entities import Entity


class Text(msgspec.Struct, frozen=True):
    """A text to look at. `label` is its field name or JSON key: context that is never itself a finding."""

    content: str
    label: str = ""

    def __repr__(self) -> str:
        """Say how long the text is, and nothing of what is in it."""
        return f"Text(<{len(self.content)} characters>)"


class Finding(msgspec.Struct, frozen=True, order=True):
    """Characters `start` to `end` (Python code points of the original text, end exclusive) are an `entity`.

    `score` is between 0 and 1: how sure we are. Findings of one text never overlap and come in the order of the text.
    """

    start: int
    end: int
    entity: Entity
    score: float
