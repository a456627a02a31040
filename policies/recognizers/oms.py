"""The number of a health insurance policy (ЕНП): sixteen digits whose check digit is the same as a bank card's."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, MISTYPED, UNLIKELY, Example, Identifier, Number, luhn


def _score(number: Number, labelled: bool) -> float:
    # The check of ФФОМС 79 is arithmetically Luhn's, so without a word for it a policy is not told from a card.
    if not labelled:
        return UNLIKELY
    return LABELLED if luhn(number.digits) or _GROUPED.fullmatch(number.written) else MISTYPED


_GROUPED = re.compile(r"[0-9]{4}(?: [0-9]{4}){3}")

IDENTIFIER = Identifier(
    entity=Entity.OMS,
    lengths=frozenset({16}),
    label=(
        r"мед\w*полис\w*|(?:полис\w* )?омс|енп|enp|oms|(?:медицинск\w* )?полис\w{0,2}|policy"
        r"|(?:sn|n|s|ser|num|no)?[ _]?pol(?=$)|(?:med|n|num|no)?[ _]?polis\w{0,2}"
    ),
    score=_score,
)

EXAMPLES = (
    Example("INSERT INTO p (id, enp) VALUES (5, '7700001234567895')", ("7700001234567895",)),
    Example("полис ОМС 7700 0012 3456 7894", ("7700 0012 3456 7894",)),
    Example("ЕНП: 7700001234567894", ("7700001234567894",)),
    Example("полис 7700001234567895 не читается", ("7700001234567895",)),
    Example('"oms": "7700001234567894"', ("7700001234567894",)),
    Example("омс 77 00 00 12 34 56 78 94", ("77 00 00 12 34 56 78 94",)),
    Example("fio;polis;uch\nШишкина Ева;4111111111111111;7\nЛи Ян;;9", ("4111111111111111",)),
    Example("FAM=НИПОРУК SN_POL=4111111111111111 W=1", ("4111111111111111",)),
    Example("Скиньте полис ОМС.\n[21:12] Асель: 7700001234567894", ("7700001234567894",)),
    Example("Скиньте полис ОМС.\n[21:12] Асель: карта 4111 1111 1111 1111"),
    Example("Оплатил картой 4111 1111 1111 1111"),
    Example("Полис ОСАГО ХХХ 0123456789"),
    Example("7700001234567894"),
)
