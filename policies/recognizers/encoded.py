"""Base64 that hides text: what is found in the text makes the whole run a finding."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import Example


def find(text: str, start: int, end: int, recognize: Callable[[str], Sequence[Finding]]) -> Iterator[Finding]:
    """Runs that begin between `start` and `end` of the *original* text; `recognize` reads what they hide."""
    for beginning in _BEGINNING.finditer(text, start, min(len(text), end + _SHORTEST)):
        run = _RUN.match(text, beginning.start()) if beginning.start() < end else None
        hidden = _decoded(run[0]) if run else ""
        if run and hidden and (findings := recognize(hidden)):
            worst = min(findings, key=lambda finding: (_RANK[finding.entity], -finding.score))
            yield Finding(*run.span(), worst.entity, worst.score)


def _decoded(run: str) -> str:
    """The text that a run encodes; empty if it is anything else: a picture, a key, a long word."""
    if not (_UPPER.search(run) and _LOWER.search(run)):
        return ""  # a number in hexadecimal, a word
    digits = _BREAK.sub("", run).rstrip("=").translate(_URL_SAFE)
    try:
        content = base64.b64decode(
            digits[: len(digits) // 4 * 4 + (len(digits) % 4 > 1) * 4] + "=" * (-len(digits) % 4)
        )
        hidden = content.decode()
    except (binascii.Error, ValueError):
        return ""
    return hidden if hidden.isprintable() or _CONTROL.search(hidden) is None else ""


_SHORTEST = 16  # characters of a run
_BEGINNING = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{_SHORTEST}}}")
# At most a million characters: what is longer is a file. Lines of a message (RFC 2045) are one run.
_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,1000000}(?:\r?\n[A-Za-z0-9+/]{4,100}){0,2000}={0,2}")
_BREAK = re.compile(r"\s")
_UPPER, _LOWER = re.compile("[A-Z]"), re.compile("[a-z]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")
_URL_SAFE = str.maketrans("-_", "+/")

# Which of several kinds names the whole: what the law guards most, then what opens a door, then the rest.
_ORDER = (
    Entity.HEALTH,
    Entity.CRIMINAL_RECORD,
    Entity.RELIGION,
    Entity.NATIONALITY,
    Entity.POLITICS,
    Entity.INTIMATE_LIFE,
    Entity.BIOMETRIC,
    Entity.SECRET,
    Entity.PASSWORD,
)
_RANK = {entity: _ORDER.index(entity) if entity in _ORDER else len(_ORDER) for entity in Entity}


def _encoded(hidden: str) -> str:
    return base64.b64encode(hidden.encode()).decode()


_PHONE = _encoded("тел. +7 912 345-67-89")
_MAIL = _encoded("write to ivan@example.ru").rstrip("=")

EXAMPLES = (
    Example(f"раскодируй {_PHONE} пожалуйста", (_PHONE,)),
    Example(f"data={_MAIL}&x=1", (_MAIL,)),
    Example(f'{{"payload": "{_PHONE}"}}', (_PHONE,)),
    Example(f"a:\n{_PHONE}\n", (_PHONE,)),
    Example(f"<b>{_PHONE}</b>", (_PHONE,)),
    Example(f"url-safe {_MAIL.replace('+', '-').replace('/', '_')}", (_MAIL,)),
    Example(f"{_PHONE[:12]}\n это обрывок"),
    Example("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"),
    Example("BASE64 ALPHABET IS ABCDEFGHIJKLMNOP"),
    Example(f"раскодируй {_encoded('погода сегодня хорошая')}"),
    Example("слово Supercalifragilisticexpialidocious"),
    Example("hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
)
