"""What may be printed of a file: names without control characters, labels that are not somebody's data themselves."""

from __future__ import annotations

import functools
import os
import re

from policies import Entity, Finding, scan

_TOPICS = frozenset(
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
"""Kinds whose evidence is a word: «Диагноз» over a column says nothing of anybody."""

_LONGEST_LABEL = 40


def printable(text: str) -> str:
    r"""The text without what could steer a terminal or break a line of output; bytes that are no UTF-8 as «\xff»."""
    text = os.fsencode(text).decode("utf-8", "backslashreplace") if not _is_unicode(text) else text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shown_label(label: str) -> str:
    """A heading, key or sheet name as it may stand in a report."""
    label = printable(label.strip())
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


@functools.lru_cache(maxsize=8192)
def is_private(label: str) -> bool:
    """Whether a label is itself personal data or a secret: a sheet named after a person, a key that is a telephone number.

    Raises policies.DetectorError.
    """
    return not is_identifier(label) and bool(private_findings(label))


def private_findings(label: str) -> tuple[Finding, ...]:
    """What makes labels private. Raises policies.DetectorError."""
    return tuple(finding for finding in scan(label) if finding.entity not in _TOPICS)


def is_identifier(label: str) -> bool:
    """Whether a label is a programmer's name of a field: `client_phone`, `phone2`."""
    return _IDENTIFIER.fullmatch(label) is not None


_IDENTIFIER = re.compile(r"(?![A-Za-z_-]*[0-9]{3})[A-Za-z_][A-Za-z0-9_-]{0,39}", re.ASCII)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
