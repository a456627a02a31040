"""A passage: text for the detector in a bounded size, and the way from its characters back to places of the file."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from policies import Finding

CORE = 100_000
"""Characters of a file that one passage answers for, and no more than twice as many."""

_MARGIN = 8_000  # characters seen on both sides besides: longer than the context of any recogniser
_SLICE = 16_000  # a longer piece is cut


class Piece(NamedTuple):
    """Text that stands at a place, from the place's character `offset` on. Without a place it is context only."""

    text: str
    place: str = ""
    offset: int = 0


class Place(msgspec.Struct, frozen=True):
    """Where a finding is: in words, and from which code point of that place to which.

    A finding over several places (a name in three cells) names the first and the last; `end` then runs past the first one's end.
    """

    words: str
    start: int
    end: int


class _Segment(NamedTuple):
    start: int
    end: int
    place: str
    offset: int


class Passage(msgspec.Struct, frozen=True):
    """Text to search. Only what begins in its core belongs to it: what stands around is context that other passages answer for."""

    text: str
    segments: tuple[_Segment, ...]
    core: tuple[int, int]

    def __repr__(self) -> str:
        """Say how long the text is, and nothing of what is in it."""
        return f"Passage(<{len(self.text)} characters>)"

    def locate(self, finding: Finding) -> Place | None:
        """Where the finding is in the file; None when it is in the context, so not this passage's."""
        first = bisect.bisect_right(self.segments, finding.start, key=lambda segment: segment.end)
        last = bisect.bisect_left(self.segments, finding.end, key=lambda segment: segment.start) - 1
        if first > last:
            return None
        segment = self.segments[first]
        start = max(finding.start, segment.start)
        if not self.core[0] <= start < self.core[1]:
            return None
        shift = segment.offset - segment.start
        there = self.segments[last].place
        words = segment.place if there == segment.place else f"{segment.place} – {there}"
        return Place(words, start + shift, finding.end + shift)


def join(before: Sequence[Piece], core: Sequence[Piece], after: Sequence[Piece] = ()) -> Passage:
    """One passage of pieces; those in `core` are what it answers for."""
    segments: list[_Segment] = []
    texts: list[str] = []
    size = 0
    borders: list[int] = []
    for pieces in (before, core, after):
        borders.append(size)
        for text, place, offset in pieces:
            if place and text:
                segments.append(_Segment(size, size + len(text), place, offset))
            texts.append(text)
            size += len(text)
    return Passage("".join(texts), tuple(segments), (borders[1], borders[2]))


def cut(pieces: Iterable[Piece], heading_after: Callable[[str, str], str] | None = None) -> Iterator[Passage]:
    """Passages of pieces that follow each other. Each sees the ends of its neighbours, so that borders lose nothing.

    `heading_after` is given the heading until now and a passage's text, and says what is to stand above the next one: the columns of a
    dump of a database, whose rows go on for gigabytes.
    """
    heading = ""
    left: list[Piece] = []
    pending: list[Piece] = []
    size = 0
    for piece in pieces:
        for part in _slices(piece):
            pending.append(part)
            size += len(part.text)
        while size >= CORE + _SLICE + _MARGIN:
            taken = _first(pending, CORE)
            core, pending = pending[:taken], pending[taken:]
            size -= sum(len(part.text) for part in core)
            passage = join(_headed(heading, left), core, pending[: _first(pending, _MARGIN)])
            yield passage
            if heading_after:
                heading = heading_after(heading, passage.text[: passage.core[1]])
            left = _tail([*left, *core])
    if pending:
        yield join(_headed(heading, left), pending)


def _slices(piece: Piece) -> Iterator[Piece]:
    if len(piece.text) <= _SLICE:
        yield piece
        return
    for start in range(0, len(piece.text), _SLICE):
        yield Piece(piece.text[start : start + _SLICE], piece.place, piece.offset + start)


def _first(pieces: Sequence[Piece], size: int) -> int:
    """How many pieces have at least `size` characters together."""
    for count, piece in enumerate(pieces, 1):
        size -= len(piece.text)
        if size <= 0:
            return count
    return len(pieces)


def _tail(pieces: Sequence[Piece]) -> list[Piece]:
    """The last characters, up to the margin."""
    tail: list[Piece] = []
    room = _MARGIN
    for piece in reversed(pieces):
        if room <= 0:
            break
        spare = max(0, len(piece.text) - room)
        tail.append(Piece(piece.text[spare:], piece.place, piece.offset + spare))
        room -= len(piece.text)
    return tail[::-1]


def _headed(heading: str, left: list[Piece]) -> list[Piece]:
    """The left context under the heading: from its first whole line on, because half a row would end the table."""
    if not heading:
        return left
    for number, piece in enumerate(left):
        end = piece.text.find("\n") + 1
        if end:
            rest = Piece(piece.text[end:], piece.place, piece.offset + end)
            return [Piece(heading), rest, *left[number + 1 :]]
    return left
