"""Methods of hiding a value (placeholder of this module: it is being written)."""

from __future__ import annotations

from enum import StrEnum

from policies.entities import Entity


class Method(StrEnum):
    """How a value is hidden."""

    IDENTIFIER = "identifier"
    DELETION = "deletion"
    GENERALIZATION = "generalization"
    STARS = "stars"
    DISTORTION = "distortion"
    SUBSTITUTION = "substitution"


def masked(method: Method, entity: Entity, value: str) -> str:
    """What stands in the place of a value that does not come back."""
    return "".join("*" if character.isalnum() else character for character in value)
