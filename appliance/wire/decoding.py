"""Reading a request body strictly: what is not known is an error that says where it stands and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from appliance.errors import BadRequestError, UninspectableError

_T = TypeVar("_T")


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request object: a field that is not listed is an error."""


def decode(decoder: msgspec.json.Decoder[_T], body: bytes, advice: Mapping[str, str]) -> _T:
    """The request in a body. `advice`: field → what to say when its value is not accepted.

    Raises BadRequestError that names the place and what is expected there.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error), advice) from None
    except RecursionError:
        raise UninspectableError("the body is nested too deep to be inspected: flatten it") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        where = "its text is not valid Unicode" if isinstance(error, UnicodeDecodeError) else str(error)
        raise BadRequestError(f"the body is not JSON: {where}") from None


def _explained(message: str, advice: Mapping[str, str]) -> BadRequestError:
    what, _, where = message.partition(" - at `$")
    param = where.rstrip("`").removeprefix(".") or None
    if param is not None and param in advice:
        return BadRequestError(advice[param], param)
    unknown = re.search(r"unknown field `(.{1,64})`", what)
    if unknown:
        place = f"{param}.{unknown[1]}" if param else unknown[1]
        return BadRequestError(f"unknown field `{place}`: what is not known cannot be inspected, leave it out", place)
    # The words that msgspec quotes are the caller's own: they are not repeated.
    return BadRequestError(re.sub(r"value '.*'", "value", what), param)
