"""Values that stand across the border of two parts of one message: a model reads the parts as one text, so they are looked at as one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

import msgspec

from appliance.inspection import Field
from policies import Finding, Text
from providers import ChatRequest, EmbeddingRequest, Role

_REACH = 200  # characters looked at on each side of a border; no value of ours is longer


class Border(msgspec.Struct, frozen=True):
    """The text about one border or several, and the parts in it: the field, where it would begin in the text, and its ends in it."""

    text: Text
    parts: tuple[tuple[Field, int, int, int], ...]

    def pieces(self, findings: Iterable[Finding]) -> Iterator[tuple[Field, Finding]]:
        """For each finding that stands in more than one part, a finding in each of these."""
        begins = [begin for _, _, begin, _ in self.parts]
        for finding in findings:
            first, last = bisect_right(begins, finding.start) - 1, bisect_left(begins, finding.end)
            inside = [part for part in self.parts[max(first, 0) : last] if part[2] < part[3]]
            if len(inside) > 1:
                for field, origin, begin, end in inside:
                    start, stop = max(finding.start, begin) - origin, min(finding.end, end) - origin
                    yield field, Finding(start, stop, finding.entity, finding.score)


def borders(request: ChatRequest | EmbeddingRequest) -> list[Border]:
    """Every border between two parts of a message; together no longer than the messages."""
    if isinstance(request, EmbeddingRequest):
        return []
    return [
        border
        for message in request.messages
        if isinstance(message.content, tuple) and message.role != Role.TOOL  # what a tool says is taken apart as JSON
        for border in _borders(message.content)
    ]


def _borders(parts: tuple[str, ...]) -> Iterator[Border]:
    whole = "".join(parts)
    starts = list(accumulate(map(len, parts), initial=0))
    windows: list[list[int]] = []
    for at in starts[1:-1]:
        low, high = max(at - _REACH, 0), min(at + _REACH, len(whole))
        if windows and low <= windows[-1][1]:
            windows[-1][1] = high
        else:
            windows.append([low, high])
    for low, high in windows:
        first, last = bisect_right(starts, low) - 1, bisect_left(starts, high)
        places = (
            (
                Field(parts[number]),
                starts[number] - low,
                max(starts[number], low) - low,
                min(starts[number + 1], high) - low,
            )
            for number in range(first, last)
        )
        yield Border(Text(whole[low:high]), tuple(places))


def joined(findings: tuple[Finding, ...], pieces: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings of a text and what the pieces add to them, without overlaps."""
    seen = list(findings)
    for piece in pieces:
        start = piece.start
        for other in sorted(seen):
            if other.end <= start or piece.end <= other.start:
                continue
            if start < other.start:
                seen.append(Finding(start, other.start, piece.entity, piece.score))
            start = max(start, other.end)
        if start < piece.end:
            seen.append(Finding(start, piece.end, piece.entity, piece.score))
    return tuple(sorted(seen))
