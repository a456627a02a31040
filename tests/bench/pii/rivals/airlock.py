"""airlock-pii, Kazakhstan's numbers and Russian and Kazakh names, with its optional Russian NER (slovnet's weights, cleaned by its rules).

ИИН and БИН are the twelve digits of Kazakhstan, which it also looks for after the word «ИНН»: counted as ИНН. Its IBANs, card codes and
internal hosts have no kind of ours: left out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import slovnet_names
from airlock_pii.engine import Engine
from airlock_pii.recognizers import default_recognizers
from serving import Detector, Found, serve

KINDS = {
    "BIN": "INN",
    "CARD": "BANK_CARD",
    "EMAIL": "EMAIL",
    "IIN": "INN",
    "PERSON": "PERSON",
    "PHONE": "PHONE",
    "SECRET": "SECRET",
}
OF_SECRETS = {"password": "PASSWORD", "card_code": None, "internal_host": None}


def load() -> Detector:
    with tempfile.TemporaryDirectory() as folder:
        for file in slovnet_names.weights():
            Path(folder, file.name).symlink_to(file)
        engine = Engine(default_recognizers(ner="ru", models_dir=folder))
        list(engine.detect("Иванов Иван"))  # the weights are read at the first call

    def find(text: str) -> list[Found]:
        found = []
        for each in engine.detect(text):
            kind = KINDS.get(each.type.value)
            if each.type == "SECRET" and each.subtype in OF_SECRETS:
                kind = OF_SECRETS[each.subtype]
            if kind is not None:
                found.append(Found(each.start, each.end, kind, each.confidence))
        return found

    return Detector(find, sorted({*KINDS.values(), "PASSWORD"}), ("airlock-pii", "slovnet", "navec"))


if __name__ == "__main__":
    serve(load)
