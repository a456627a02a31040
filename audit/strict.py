"""Reading what a stranger wrote so that it has one meaning: JSON without double members, base64 in its one spelling, plain files only."""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from audit.errors import LogFileError


def json_of(raw: bytes) -> Any:  # noqa: ANN401  (JSON)
    """A document of RFC 8259 in UTF-8: no byte order mark, no member twice, no NaN, no half of a surrogate pair. Raises ValueError."""
    try:
        document = json.loads(raw.decode(), object_pairs_hook=_members, parse_constant=_refuse)
        json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("too deep") from None
    return document


def base64_of(text: str) -> bytes:
    """The bytes in standard base64 with padding, in the one canonical spelling. Raises ValueError."""
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if base64.b64encode(value).decode() != text:
        raise ValueError("not canonical base64")
    return value


def plain_file(path: Path) -> BinaryIO:
    """A file that is one, open for reading: on a pipe or a device nobody waits. Raises LogFileError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise LogFileError(f"`{path}`: файл не читается ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LogFileError(f"`{path}`: это не обычный файл")
    return os.fdopen(descriptor, "rb")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
