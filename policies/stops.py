"""Kill switches: what is stopped at once, until somebody lifts it (152-ФЗ ст. 20, ст. 21 ч. 1–3, 5)."""

from __future__ import annotations

from enum import StrEnum


class StopKind(StrEnum):
    """What a stop is laid on."""

    APP = "app"
    KEY = "key"
    PURPOSE = "purpose"
    RECIPIENT = "recipient"
    ROUTE = "route"
    SUBJECT = "subject"  # a data subject's keyed pseudonym, in hex
    CONSENT = "consent"  # a withdrawn consent: the keyed pseudonym of its reference, in hex


Stop = tuple[StopKind, str]
"""The kind, and the name or pseudonym of what is stopped."""
