"""All recognisers over one text, window by window, and the resolver that leaves no two findings of one place.

A window keeps every step short: no single call into the regular expression engine holds the interpreter for long, however
long the text is, and between windows the caller can take it, or stop the work.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from policies import names
from policies.entities import Entity
from policies.finding import Finding
from policies.folding import fold, unescaped
from policies.recognizers import (
    address,
    birth_date,
    cadastre,
    credentials,
    email,
    encoded,
    geo,
    intl_passport,
    ip,
    mac,
    numbers,
    plate,
    special,
    username,
    vin,
)
from policies.recognizers.tables import Headings, Tables


def recognize(text: str, checkpoint: Callable[[], None] = lambda: None) -> tuple[Finding, ...]:
    """The findings in `text`, in its order and without overlaps.

    `checkpoint` is called between windows; what it raises ends the work.
    """
    return _plainly(text, checkpoint, encodings=True)


def _plainly(text: str, checkpoint: Callable[[], None], *, encodings: bool = False) -> tuple[Finding, ...]:
    """The same; what is encoded in the text is read once, and what is encoded in that not at all."""
    findings: list[Finding] = []
    tables = Tables(text, checkpoint)
    for core_start in range(0, max(len(text), 1), _WINDOW):
        checkpoint()
        findings += credentials.find(text, core_start, core_start + _WINDOW)
        if encodings:
            findings += encoded.find(
                text, core_start, core_start + _WINDOW, lambda hidden: _plainly(hidden, checkpoint)
            )
        findings += _in_window(text, core_start, tables)
    return resolve(findings)


def resolve(candidates: Iterable[Finding], standing: Sequence[Finding] = ()) -> tuple[Finding, ...]:
    """The surest, then longest, of candidates that overlap; what of a less sure one lies outside it stays covered.

    A loser is cut and not dropped: that another recogniser was surer of one part does not make the rest safe to send. No candidate
    takes anything from those `standing`, which do not overlap.
    """
    chosen: list[Finding] = sorted(standing)
    for candidate in sorted(
        candidates, key=lambda found: (-found.score, found.start - found.end, found.start, found.entity)
    ):
        rest = [(candidate.start, candidate.end)]
        place = bisect.bisect_left(chosen, candidate.start, key=lambda found: found.end)
        while place < len(chosen) and chosen[place].start < candidate.end:
            start, end = rest.pop()
            taken = chosen[place]
            rest += [(start, taken.start), (taken.end, end)]
            place += 1
        for start, end in rest:
            if end - start >= _WORTH_KEEPING or (start, end) == (candidate.start, candidate.end):
                bisect.insort(chosen, Finding(start, end, candidate.entity, candidate.score))
    return tuple(chosen)


_WINDOW = 2_000  # characters whose findings belong to one window
_MARGIN = 320  # characters seen on both sides besides: longer than any finding of a window with its context
_TELLS_OF = frozenset(Entity) - {Entity.SECRET, Entity.PASSWORD, Entity.IP, Entity.MAC, Entity.ADDRESS, Entity.GEO}
"""What a person is known by, so that a word of a special category beside it is told of somebody."""

_NAME_OF_PLACE = re.compile("[а-яёa-z]{3}")  # «к/п 770-045» has none
_WORTH_KEEPING = 4  # characters; shorter remains of an overlap are separators and endings


def _in_window(text: str, core_start: int, tables: Tables) -> Iterator[Finding]:
    start = max(0, core_start - _MARGIN)
    folded = fold(text[start : core_start + _WINDOW + _MARGIN])
    headings = Headings(folded, tables, start)
    named = list(names.find(folded.text, folded.lower, headings))
    persons = [finding for finding in named if finding.entity is Entity.PERSON]
    ruled = list(address.find(folded.text, folded.lower, persons, headings))
    places = [
        found
        for found in named
        if found.entity is Entity.ADDRESS
        and _NAME_OF_PLACE.search(folded.lower, found.start, found.end)
        and address.may_be(folded.lower, found, persons)
    ]
    united = _united([*ruled, *places])
    found = [
        *(person for person in persons if not _is_within(person, united)),  # streets are named after people
        *united,
        *numbers.find(folded.text, folded.lower, headings),
        *email.find(folded.lower),
        *birth_date.find(folded.lower, persons, headings),
        *intl_passport.find_foreign(folded.lower),
        *ip.find(folded.lower),
        *mac.find(folded.lower),
        *cadastre.find(folded.lower),
        *plate.find(folded.text, folded.lower),
        *vin.find(folded.lower),
        *geo.find(folded.lower),
        *credentials.find_cells(folded.lower, headings),
        *username.find(folded.lower, headings),
        *username.find_of_persons(folded.text, persons),
    ]
    found += special.find(folded.lower, sorted(each for each in found if each.entity in _TELLS_OF))
    spans = [(finding, folded.original(finding.start, finding.end)) for finding in found]
    plain = unescaped(text[start : core_start + _WINDOW + _MARGIN])
    if plain is not None:  # «\u043f\u0430\u0440\u043e\u043b\u044c: …»; as it is written it was read before
        secrets = credentials.find(plain.text, 0, len(plain.text))
        spans += [(secret, plain.original(secret.start, secret.end)) for secret in secrets]
    for finding, (place, end) in spans:
        if core_start <= start + place < core_start + _WINDOW:
            yield Finding(start + place, start + end, finding.entity, finding.score)


def _is_within(found: Finding, others: list[Finding]) -> bool:
    return any(other.start <= found.start and found.end <= other.end for other in others)


def _united(places: list[Finding]) -> list[Finding]:
    """Addresses that overlap are one address, as far as the longest of them reaches."""
    united: list[Finding] = []
    for place in sorted(places):
        last = united[-1] if united else None
        if last and place.start < last.end:
            end, score = max(last.end, place.end), max(last.score, place.score)
            united[-1] = Finding(last.start, end, Entity.ADDRESS, score)
        else:
            united.append(place)
    return united
