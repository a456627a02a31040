"""presidio-ru-recognizers in Presidio, beside Presidio's own recognisers of cards, mail, IP and MAC addresses.

ОГРН of thirteen digits is an organisation's and has no kind of ours: left out.
"""

from __future__ import annotations

import presidio_patterns
from presidio_ru_recognizers import get_all_ru_recognizers
from serving import Detector, serve

KINDS = {
    "BANK_ACCOUNT_RF": "BANK_ACCOUNT",
    "INN_RU": "INN",
    "OGRNIP": "OGRNIP",
    "PASSPORT_RF": "PASSPORT",
    "PHONE_RF": "PHONE",
    "SNILS": "SNILS",
}


def load() -> Detector:
    of_no_country = {name: kind for name, kind in presidio_patterns.KINDS.items() if kind != "PHONE"}
    recognizers = [*presidio_patterns.of_no_country(), *get_all_ru_recognizers()]
    packages = ("presidio-ru-recognizers", "presidio-analyzer")
    return presidio_patterns.detector(recognizers, KINDS | of_no_country, packages)


if __name__ == "__main__":
    serve(load)
