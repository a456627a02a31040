"""Which records an export is about: by time, application, case, person or number; what follows from a record goes with it."""

from __future__ import annotations

import msgspec

from appliance.events import DisclosureAsked, Event, HoldDecided, Outcome, SubjectErased, Unmasked, decode
from audit import AuditReader, OpenedEntry


class Filter(msgspec.Struct, frozen=True):
    """What to take; whatever is set must hold. Times are UTC, microseconds since 1970; `until` is not included."""

    since: int = 0
    until: int = 0
    app: str = ""
    case: str = ""  # the ground that officers named
    numbers: tuple[int, ...] = ()
    subject: bytes = b""  # a pseudonym

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self == Filter()


def numbers_of(reader: AuditReader, wanted: Filter) -> list[int]:
    """Numbers of the records that a filter takes, rising, and of those that tell what became of them. Raises AuditError."""
    sets = [set(wanted.numbers)] if wanted.numbers else []
    if wanted.subject:
        sets.append(set(reader.of_subject(wanted.subject)))
    named = set.intersection(*sets) if sets else None
    taken: set[int] = set()
    for opened in reader.entries():
        event = decode(opened.kind, opened.schema, opened.body)
        if _parent(event) in taken or ((named is None or opened.seq in named) and _fits(wanted, opened, event)):
            taken.add(opened.seq)
    return sorted(taken)


def matches(wanted: Filter, opened: OpenedEntry) -> bool:
    """Whether a filter takes one record by what it says itself: time, application, case."""
    return _fits(wanted, opened, decode(opened.kind, opened.schema, opened.body))


def _fits(wanted: Filter, opened: OpenedEntry, event: Event | None) -> bool:
    return (
        wanted.since <= opened.time_us < (wanted.until or opened.time_us + 1)
        and wanted.app in ("", None if isinstance(event, DisclosureAsked) else getattr(event, "app", None))
        and wanted.case in ("", getattr(event, "ground", None))
    )


def _parent(event: Event | None) -> int | None:
    """The record whose sequel an event is."""
    match event:
        case Outcome() | HoldDecided():
            return event.intent
        case Unmasked():
            return event.masked
        case SubjectErased():
            return event.asked
    return None
