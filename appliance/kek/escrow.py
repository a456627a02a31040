"""Shares of the KEK for people to keep: SLIP-39 mnemonics, any k of n give it back and fewer say nothing of it.

Only the KEK is shared out. The file of generation keys must not be: a copy of it on paper would open what was erased for ever, and being
sealed under the KEK it needs no secret place, only an ordinary copy, replaced at each renewal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.wordlist import WORDLIST

from appliance.kek.secret_files import read_private
from audit import KEK_SIZE, KeyFileError, key_check_of

WORDS = 33  # of a share of 32 bytes
MOST = 16  # shares; SLIP-39 counts them in four bits
_BEGIN, _END = "----- слова доли: начало -----", "----- слова доли: конец -----"
_PREFIX = 4  # letters by which every word of the list is known
_BY_PREFIX = {word[:_PREFIX]: word for word in WORDLIST}
_SLOWEST = 4  # the exponent of iterations: a hostile share could ask for minutes
_CHECK = re.compile(r"^Контрольное значение:\s*([0-9a-f]{4}(?: [0-9a-f]{4}){3})\b", re.MULTILINE)


class Given(msgspec.Struct, frozen=True):
    """A share as somebody brought it: its words, whence (for messages), and the check value that its sheet names."""

    words: str
    name: str
    check: str = ""


class Sheet(msgspec.Struct, frozen=True):
    """What a keeper is told beside the words."""

    origin: str
    check: str
    threshold: int
    shares: int
    made: date


def spelled(key_check: bytes) -> str:
    """The first eight bytes of a check value, as people compare them. It is public."""
    return key_check[:8].hex(" ", 2)


def split(key: bytes, threshold: int, shares: int) -> list[str]:
    """The words of each share. Every run of `threshold` shares was put together again. Raises KeyFileError."""
    if not 2 <= threshold <= shares <= MOST:
        raise KeyFileError(f"долей бывает от 2 до {MOST}, а нужное их число — от 2 до числа долей")
    words: list[str] = generate_mnemonics(1, [(threshold, shares)], key, extendable=True)[0]
    if combine([Given(each, f"доля № {number}") for number, each in enumerate(words, 1)]) != key:
        raise KeyFileError("доли не сложились в тот же ключ; ничего не записано")
    return words


def combine(given: Sequence[Given]) -> bytes:
    """The KEK. When there are more shares than needed, each takes part in a try of its own. Raises KeyFileError."""
    shares = [_parsed(each) for each in given]
    if not shares:
        raise KeyFileError("не дано ни одной доли")
    needed = shares[0].member_threshold
    for share, each in zip(shares, given, strict=True):
        if share.common_parameters() != shares[0].common_parameters() or share.member_threshold != needed:
            raise KeyFileError(f"{given[0].name} и {each.name} — из разных разделений ключа; возьмите доли одного")
    indices = [share.index for share in shares]
    if len(set(indices)) < len(indices):
        raise KeyFileError("одна и та же доля дана дважды; нужны разные")
    if len(shares) < needed:
        raise KeyFileError(f"долей мало: дано {len(shares)}, нужно {needed}")
    runs = range(len(shares) if len(shares) > needed else 1)
    try:
        keys: set[bytes] = {
            combine_mnemonics([shares[(first + offset) % len(shares)].mnemonic() for offset in range(needed)])
            for first in runs
        }
    except MnemonicError:
        raise KeyFileError("доли не складываются в ключ: хотя бы одна не отсюда; возьмите другие доли") from None
    key, *others = keys
    if others or len(key) != KEK_SIZE:
        raise KeyFileError("доли складываются в разные ключи; возьмите доли одного разделения")
    return key


def threshold_of(given: Given) -> int:
    """How many shares are needed, as one of them says. Raises KeyFileError."""
    needed: int = _parsed(given).member_threshold
    return needed


def read_share(path: Path) -> Given:
    """A share from a sheet of ours, or from a file with the words alone. Raises KeyFileError."""
    try:
        text = read_private(path, "файл доли").decode("utf-8")
    except UnicodeDecodeError:
        raise KeyFileError(f"`{path}`: файл доли — не текст") from None
    words = text.split(_BEGIN, 1)[-1].split(_END, 1)[0]
    check = _CHECK.search(text)
    return Given(words, f"`{path}`", check[1] if check else "")


def written(words: str, number: int, sheet: Sheet) -> str:
    """The sheet that a keeper gets, in Russian."""
    rows = words.split()
    lines = (
        "  ".join(f"{place:2}. {word:<9}" for place, word in enumerate(rows[at : at + 3], at + 1)).rstrip()
        for at in range(0, len(rows), 3)
    )
    return _SHEET.format(
        number=number,
        shares=sheet.shares,
        threshold=sheet.threshold,
        origin=sheet.origin,
        check=sheet.check,
        made=sheet.made.strftime("%d.%m.%Y"),
        begin=_BEGIN,
        words="\n".join(lines),
        end=_END,
    )


def check_matches(check: str, key: bytes) -> bool:
    """Whether a spelled check value is that of a key; spaces do not matter."""
    return check.replace(" ", "").lower() == spelled(key_check_of(key)).replace(" ", "")


_SHEET = """\
ДОЛЯ КЛЮЧА ЖУРНАЛА № {number} из {shares}

Журнал:               {origin}
Контрольное значение: {check} (не секрет: по нему узнают ключ)
Дата разделения:      {made}
Сколько нужно долей:  любые {threshold} из {shares}

Что это. Любые {threshold} таких листа вместе дают ключ шифрования журнала. Меньше — не говорят о нём ничего.
Ключ понадобится, если его файл утрачен: без него записи журнала не прочесть никому.
Доли не заменяют копию базы журнала и копию файла ключей субъектов: они восстанавливают только ключ.

Кому отдать. Разным людям, которые не замещают друг друга и не подчинены один другому, — например, ответственному за обработку
персональных данных, руководителю службы безопасности и генеральному директору. Двух долей в одном месте не хранить.
Что делать. Напечатать или переписать от руки, положить в подписанный конверт и сейф, файл стереть. Не фотографировать, не пересылать.
Когда проверять. Раз в год и при смене хранителя: appliance keys escrow drill. После смены ключа журнала доли делают заново.

{begin}
{words}
{end}

Слова — из списка SLIP-39, последние три — контрольная сумма; слово узнаётся по первым четырём буквам.
Восстановить ключ: appliance keys escrow restore
"""


def _parsed(given: Given) -> Share:
    """A share, checked word by word first, so that a slip of the pen is told by its place and never by the word."""
    typed = [word for word in re.sub(r"\d+[.)]?", " ", given.words).lower().split() if word]
    words = [_BY_PREFIX.get(word[:_PREFIX], "") for word in typed]
    wrong = [
        str(place)
        for place, (word, known) in enumerate(zip(typed, words, strict=True), 1)
        if not known or not known.startswith(word)
    ]
    if wrong:
        raise KeyFileError(f"{given.name}: слов нет в списке SLIP-39, их места: {', '.join(wrong)}; сверьте с листом")
    if len(words) != WORDS:
        raise KeyFileError(f"{given.name}: слов {len(words)}, должно быть {WORDS}; сверьте с листом")
    try:
        share = Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        raise KeyFileError(
            f"{given.name}: контрольная сумма не сходится: слово записано с ошибкой или не на своём месте; сверьте с листом"
        ) from None
    if share.group_count != 1 or share.iteration_exponent > _SLOWEST:
        raise KeyFileError(f"{given.name}: доля сделана не этой программой; такие не принимаются")
    return share
