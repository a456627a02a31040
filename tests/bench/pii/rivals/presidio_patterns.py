"""Presidio's built-in recognisers that know no country, and its telephone recogniser set to Russia; no language model.

Its dates, URLs and IBANs have no kind of ours and are left out, as are the recognisers of other countries, which fire on Russian digits.
"""

from __future__ import annotations

from collections.abc import Iterable

import tldextract
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry
from presidio_analyzer.nlp_engine import NoOpNlpEngine
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IpRecognizer,
    MacAddressRecognizer,
    PhoneRecognizer,
)
from serving import Detector, Found, serve, without_overlaps

KINDS = {
    "CREDIT_CARD": "BANK_CARD",
    "EMAIL_ADDRESS": "EMAIL",
    "IP_ADDRESS": "IP",
    "MAC_ADDRESS": "MAC",
    "PHONE_NUMBER": "PHONE",
}


def of_no_country() -> list[EntityRecognizer]:
    """Cards, mail, IP and MAC addresses."""
    # The e-mail recogniser asks tldextract, which by default fetches the list of public suffixes; it has one inside.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    every = (CreditCardRecognizer, EmailRecognizer, IpRecognizer, MacAddressRecognizer)
    return [recognizer(supported_language="ru") for recognizer in every]


def detector(recognizers: Iterable[EntityRecognizer], kinds: dict[str, str], packages: tuple[str, ...]) -> Detector:
    """The recognisers in Presidio's engine with its default threshold; `kinds`: its names → ours, others are left out."""
    registry = RecognizerRegistry(recognizers=list(recognizers), supported_languages=["ru"])
    engine = AnalyzerEngine(
        registry=registry,
        nlp_engine=NoOpNlpEngine(models=[{"lang_code": "ru", "model_name": "noop"}]),
        supported_languages=["ru"],
    )

    def find(text: str) -> list[Found]:
        results = engine.analyze(text, language="ru")
        return without_overlaps(
            Found(each.start, each.end, kinds[each.entity_type], each.score)
            for each in results
            if each.entity_type in kinds
        )

    return Detector(find, sorted(set(kinds.values())), packages)


def load() -> Detector:
    phones = PhoneRecognizer(supported_language="ru", supported_regions=("RU",))
    return detector([*of_no_country(), phones], KINDS, ("presidio-analyzer",))


if __name__ == "__main__":
    serve(load)
