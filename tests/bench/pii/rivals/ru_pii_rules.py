"""ru-pii: Russian numbers by form, check digit and word. БИК, КПП, IBAN and ОГРН of organisations have no kind of ours: left out."""

from __future__ import annotations

import ru_pii
from serving import Detector, Found, serve

KINDS = {
    "ACCOUNT": "BANK_ACCOUNT",
    "CARD": "BANK_CARD",
    "EMAIL": "EMAIL",
    "INN": "INN",
    "OGRN": "OGRNIP",
    "OMS": "OMS",
    "PASSPORT_DEPT": "DEPT_CODE",
    "PASSPORT_RF": "PASSPORT",
    "PHONE_RU": "PHONE",
    "SNILS": "SNILS",
}


def load() -> Detector:
    def find(text: str) -> list[Found]:
        return [
            Found(each.start, each.end, KINDS[each.kind], each.confidence)
            for each in ru_pii.find(text)
            if each.kind in KINDS and (each.kind != "OGRN" or len(each.digits) == 15)
        ]

    return Detector(find, sorted(set(KINDS.values())), ("ru-pii",))


if __name__ == "__main__":
    serve(load)
