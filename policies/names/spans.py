"""Persons and addresses as the network sees them: spans of tokens, each with how surely it is one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from policies.entities import Entity
from policies.finding import Finding
from policies.names.network import Network, features, tokens

if TYPE_CHECKING:
    from policies.names.network import Floats, Token
    from policies.recognizers.tables import Headings

RELUCTANCE = 3.5
"""How much more likely than nothing a name must be, as a logarithm: chosen on texts that are no part of the training."""


PLACES = 2.0
"""How much less than that an address needs: its house and street are more telling than a word of a name is."""


SUPPORT = 4.5
"""How much of that is taken off where the dictionary and its rules see a name too."""


SUREST = 0.9
"""A number with its check digit, an e-mail address or a word that announces something else is surer than the network."""


SMALL_LATIN = 0.75
"""Of a name in small Latin letters: whatever says that it is a login is surer."""


def find(text: str, headings: Headings | None, supported: Sequence[Finding] = ()) -> Iterator[Finding]:
    """Spans in a folded text, in order; they do not overlap. `supported`: what the rules found in it, in order."""
    found = tokens(text)
    if not found:
        return
    network = load()
    likely = network.probabilities(features(found, network.vocabulary, headings))
    for start, end, entity in _runs(likely, _reluctance(found, supported)):
        first, last = _trimmed(found, start, end)
        surest = SMALL_LATIN if first <= last and found[first][0].isascii() and found[first][0].islower() else SUREST
        score = min(float(1.0 - likely[start:end, 0].min()), surest)
        if first <= last:
            yield Finding(found[first].start(), found[last].end(), entity, score)


@functools.cache
def load() -> Network:
    """The shipped network, read once. Raises OSError or ValueError when its file is not there or is another's."""
    # More threads for such small products only wait for each other: three times the processor time.
    threadpool_limits(1, user_api="blas")
    return Network.load()


def _reluctance(found: Sequence[Token], supported: Sequence[Finding]) -> Floats:
    """For each token."""
    result = np.full(len(found), RELUCTANCE, np.float32)
    place = 0
    for name in supported:
        while place < len(found) and found[place].end() <= name.start:
            place += 1
        while place < len(found) and found[place].start() < name.end:
            result[place] = RELUCTANCE - SUPPORT
            place += 1
    return result


def _runs(likely: Floats, reluctance: Floats) -> Iterator[tuple[int, int, Entity]]:
    """Runs of tokens that are more likely a name or an address than nothing."""
    weighed = np.log(likely + 1e-9)
    weighed[:, 0] += reluctance
    weighed[:, 3:] += PLACES
    labels = weighed.argmax(axis=1).tolist()
    place = 0
    while place < len(labels):
        label = labels[place]
        place += 1
        if label:
            inside = 2 if label in (1, 2) else 4
            start = place - 1
            while place < len(labels) and labels[place] == inside:
                place += 1
            yield start, place, Entity.PERSON if inside == 2 else Entity.ADDRESS


def _trimmed(found: list[Token], start: int, end: int) -> tuple[int, int]:
    """A span without signs at its ends, the dot of an initial aside."""
    last = end - 1
    while start <= last and not found[start][0][0].isalnum():
        start += 1
    while last >= start and not found[last][0][0].isalnum():
        if found[last][0] == "." and last > start and len(found[last - 1][0]) == 1:
            break
        last -= 1
    return start, last
