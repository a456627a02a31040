"""The others together, the surer finding where two overlap: about the best to be had of ready parts without writing a detector.

Names and secrets are airlock-pii's, addresses natasha's, numbers airlock-pii's, presidio-ru-recognizers' and ru-pii's.
"""

from __future__ import annotations

import airlock
import natasha_grammars
import presidio_ru
import ru_pii_rules
from serving import Detector, Found, serve, without_overlaps


def load() -> Detector:
    parts = [module.load() for module in (airlock, presidio_ru, ru_pii_rules)]
    addresses = natasha_grammars.addresses()

    def find(text: str) -> list[Found]:
        return without_overlaps([*addresses(text), *(found for part in parts for found in part.find(text))])

    kinds = {"ADDRESS", *(kind for part in parts for kind in part.kinds)}
    packages = {"natasha", *(package for part in parts for package in part.packages)}
    return Detector(find, sorted(kinds), sorted(packages))


if __name__ == "__main__":
    serve(load)
