"""What our own headers say, from an application to us and back."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.declaration import Declaration
from appliance.errors import BadRequestError
from policies import Verdict
from providers import Route

_LONGEST_NAME = 256  # characters of a purpose or of an identifier of a person


def declared(headers: Mapping[str, str], metadata: dict[str, str], user: str | None = None) -> Declaration:
    """What headers and metadata say to us; it is taken out of the metadata, for the model must not see it. Raises BadRequestError."""
    return Declaration(
        purpose=_named(headers, "X-Purpose", metadata, "purpose"),
        subject=_named(headers, "X-Subject", metadata, "subject"),
        user=user,
        consent=_named(headers, "X-Consent", metadata, "consent"),
        primary_record=_named(headers, "X-Primary-Record", metadata, "primary_record"),
        conversation=_named(headers, "X-Conversation", metadata, "conversation"),
    )


def _named(headers: Mapping[str, str], header: str, metadata: dict[str, str], key: str) -> str | None:
    from_metadata = metadata.pop(key, None)
    values = {value for value in (_unicode(headers.get(header.lower())), from_metadata) if value}
    if len(values) > 1:
        raise BadRequestError(f"`{header}` and `metadata.{key}` differ: send one of them", f"metadata.{key}")
    value = next(iter(values), None)
    if value is not None and len(value) > _LONGEST_NAME:
        raise BadRequestError(f"`{header}` is longer than {_LONGEST_NAME} characters", f"metadata.{key}")
    return value


def shown(record: int) -> str:
    """A record's number; of one that waits to be brought into the log only that."""
    return str(record) if record >= 0 else "aside"


def about(route: Route, reason: str, verdict: Verdict, record: int) -> dict[str, str]:
    """What became of a request: the log's number of its Intent, where it went and why there, and in which form."""
    return {
        "X-Audit-Record": shown(record),
        "X-Residency": route.residency,
        "X-Verdict": verdict,
        "X-Route": route.id,
        "X-Route-Reason": reason,
    }


def _unicode(value: str | None) -> str | None:
    """A header's text: clients write UTF-8 where HTTP reads ISO 8859-1, and a person must not have two pseudonyms for that."""
    try:
        return None if value is None else value.encode("latin-1").decode()
    except UnicodeError:
        return value
