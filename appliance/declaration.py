"""What an application declares of a request: what for, whose data, on which consent, in which conversation."""

from __future__ import annotations

import msgspec


class Declaration(msgspec.Struct, frozen=True):
    """Said to us in headers or metadata, never to a model. None where nothing was said.

    `subject` is the customer's own identifier of the person whose data these are, `user` that of the end user; `consent` and
    `primary_record` are references (152-ФЗ ст. 9, ст. 18 ч. 5), not texts. Requests with one `conversation` get the same placeholders.
    """

    purpose: str | None = None
    subject: str | None = None
    user: str | None = None
    consent: str | None = None
    primary_record: str | None = None
    conversation: str | None = None
