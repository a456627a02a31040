"""What every adapter does: read texts, find with one detector, say what was found and what it cost.

A line `{"text": …}` on stdin, a line `{"findings": [{"start", "end", "entity", "score"}]}` on stdout for each, in order, and a last line
`{"cpu_s", "kinds", "versions"}`. Entities are named as `policies.Entity` names them. Only the search is timed: the process's CPU time, after
a warm-up, of all texts together. A detector that tries to reach the network is not measured at all.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import NamedTuple


class Found(NamedTuple):
    """Characters `start` to `end` (code points, exclusive) are an `entity`."""

    start: int
    end: int
    entity: str
    score: float


class Detector(NamedTuple):
    """`find` a text's findings; `kinds` it can find at all; `packages` it is made of."""

    find: Callable[[str], Iterable[Found]]
    kinds: Sequence[str]
    packages: Sequence[str]


WARM_UP = (
    "Здравствуйте! Меня зовут Петрова Анна Сергеевна, 05.05.1987 г.р., паспорт 4510 123456, СНИЛС 112-233-445 95. Звоните "
    "8 (912) 345-67-89 или пишите на a.petrova@example.ru. Живу: г. Тверь, ул. Садовая, д. 5, кв. 12, 192.168.1.15, пароль: Qwerty123."
)
_ROUNDS = 5


def serve(load: Callable[[], Detector]) -> None:
    """Answer all of stdin."""
    attempts = watch_the_network()
    detector = load()
    for _ in range(_ROUNDS):
        list(detector.find(WARM_UP))
    texts = [json.loads(line)["text"] for line in sys.stdin.buffer]
    began = time.process_time()
    answers = [list(detector.find(text)) for text in texts]
    spent = time.process_time() - began
    for answer in answers:
        print(json.dumps({"findings": [found._asdict() for found in sorted(answer)]}))
    say_what_it_took(spent, detector.kinds, {name: version(name) for name in detector.packages})
    if attempts:
        sys.exit(f"the detector tried to reach the network: {', '.join(sorted(attempts))}")


def say_what_it_took(cpu_s: float, kinds: Sequence[str], versions: dict[str, str]) -> None:
    """The last line."""
    print(json.dumps({"cpu_s": cpu_s, "kinds": list(kinds), "versions": versions}))


def watch_the_network() -> set[str]:
    """Refuse every connection and look-up from now on. What was tried is in the set that is returned."""
    attempts: set[str] = set()

    def refuse(event: str, _: object) -> None:
        if event in ("socket.connect", "socket.getaddrinfo"):
            attempts.add(event)
            raise ConnectionRefusedError("detectors are compared without a network")

    sys.addaudithook(refuse)
    return attempts


def without_overlaps(found: Iterable[Found]) -> list[Found]:
    """Of findings that overlap, the one with the higher score, then the longer: for detectors that leave this to whoever masks."""
    kept: list[Found] = []
    for each in sorted(found, key=lambda each: (-each.score, each.start - each.end, each.start)):
        if all(each.end <= other.start or each.start >= other.end for other in kept):
            kept.append(each)
    return sorted(kept)
