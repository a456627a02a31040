"""A small convolutional tagger over words: for each token, how likely it begins or goes on with a person's name or an address.

Weights are one file, made by `corpus/train.py`; inference is numpy. The same features are computed here and in training.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from policies.names.lexicon import lexicon
from policies.recognizers.tables import SIGNS_OF_KEYS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from policies.recognizers.tables import Headings

    Floats = NDArray[np.float32]
    Integers = NDArray[np.int32]
    Hashes = NDArray[np.uint32]

WEIGHTS = Path(__file__).parent / "weights.npz"
LABELS = ("O", "B-PER", "I-PER", "B-ADR", "I-ADR")

SUFFIXES, ENDINGS, PREFIXES = 4096, 1024, 4096  # sizes of the hashed tables
SHAPES = 96
BITS = 13
COLUMNS = ("word", "suffix", "ending", "prefix", "shape")

_TOKEN = re.compile(r"[^\W\d_]+|[0-9]+|\n|[^\s]")
_PUNCTUATION = {sign: number for number, sign in enumerate(".,:;!?-—–()[]{}«»\"'`/\\|_@#№*+=<>&%$^~…\t\n")}
_HEADS_NAME = re.compile(
    r"фио|ф\.?и\.?о|имя|имен|фамил|отчеств|сотрудник|клиент|пациент|заявитель|получател|отправител|контакт|ученик|студент|автор|исполнител"
    r"|name|surname|fio|owner|holder|author|customer|client|patient|contact|employee|recipient|sender|person|user"
)
_HEADS_PLACE = re.compile(r"адрес|улиц|дом\b|прожив|регистрац|прописк|доставк|address|street|addr|location")


Token = re.Match[str]


def tokens(text: str) -> list[Token]:
    """Words, runs of digits, single signs and line ends."""
    return list(_TOKEN.finditer(text))


class Features(NamedTuple):
    """Of n tokens: `ids` n × 5 (see COLUMNS) and `bits` n × BITS of 0 and 1."""

    ids: Integers
    bits: Floats


class Vocabulary:
    """What is known of single words: the row of a word's vector, and the stems of many surnames and given names, as sorted hashes."""

    def __init__(self, words: Sequence[str], surnames: Hashes, given: Hashes) -> None:
        self._rows = {word: row for row, word in enumerate(words, 1)}
        self._surnames = surnames
        self._given = given
        self._seen: dict[str, tuple[tuple[int, ...], int]] = {}

    def look(self, text: str) -> tuple[tuple[int, ...], int]:
        """A token's numbers for COLUMNS, and the bits of its kinds."""
        known = self._seen.get(text)
        if known is None:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            known = self._seen[text] = self._looked(text)
        return known

    def _looked(self, text: str) -> tuple[tuple[int, ...], int]:
        lower = text.lower().replace("ё", "е")
        row = self._rows.get(lower, 0)
        if not text[0].isalpha():
            return (row, 0, 0, 0, _shape(text)), 0
        hashed = (
            1 + _hash(lower[-3:]) % (SUFFIXES - 1),
            1 + _hash(lower[-2:]) % (ENDINGS - 1),
            1 + _hash(lower[:3]) % (PREFIXES - 1),
        )
        kinds = lexicon().kind(text.lower())
        stem = _hash(stem_of(lower))
        kinds |= _holds(self._surnames, stem) << 8 | _holds(self._given, stem) << 9
        return (row, *hashed, _shape(text)), kinds


def hashes_of(names: Iterable[str]) -> Hashes:
    """The stems of names, ready for a Vocabulary."""
    return np.unique(np.array([_hash(stem_of(name.lower().replace("ё", "е"))) for name in names], np.uint32))


def stem_of(word: str) -> str:
    """What the cases of a surname or a name have in common, roughly."""
    stem = _ENDING.sub("", word)
    return stem if len(stem) > 2 else word


def features(found: Sequence[Token], vocabulary: Vocabulary, headings: Headings | None = None) -> Features:
    """What the network sees of each token. `headings`: what stands over a place in a table."""
    count = len(found)
    ids: list[int] = []
    kinds: list[int] = []
    joined = np.zeros(count, np.float32)
    heads = np.zeros((count, 2), np.float32)
    tabular = headings is not None and headings.tabular
    look = vocabulary.look
    end, before = 0, ""
    for place, token in enumerate(found):
        plain, kind = look(text := token[0])
        ids += plain
        kinds.append(kind)
        start = token.start()
        if start == end:
            joined[place] = 1.0
        # Outside of tables only a sign can part a value from its key.
        if headings is not None and (tabular or before in SIGNS_OF_KEYS) and (head := headings.over(start)):
            heads[place] = bool(_HEADS_NAME.search(head)), bool(_HEADS_PLACE.search(head))
        end, before = token.end(), text
    bits = np.concatenate([_KIND_BITS[np.array(kinds, np.intp)], joined[:, None], heads], axis=1)
    return Features(np.array(ids, np.int32).reshape(count, len(COLUMNS)), bits)


LISTED = 0x300  # bits of the long lists: of surnames, of given names
KINDS = 10  # eight of the dictionary, two of the long lists
_KIND_BITS = np.array([[float(kinds >> bit & 1) for bit in range(KINDS)] for kinds in range(1 << KINDS)], np.float32)
_MOST_SEEN = 50_000
_ENDING = re.compile(r"(?:ого|ому|ыми|ими|ый|ий|ой|ым|им|ом|ем|ая|ую|ых|их|ою|ею|ей|[аеиоуыьйюя])$")


def _holds(hashes: Hashes, value: int) -> bool:
    place = int(np.searchsorted(hashes, np.uint32(value)))
    return place < len(hashes) and int(hashes[place]) == value


def _hash(text: str) -> int:
    value = 2166136261
    for character in text:
        value = (value ^ ord(character)) * 16777619 & 0xFFFFFFFF
    return value ^ value >> 15


def _shape(text: str) -> int:
    first = text[0]
    if first.isdigit():
        return 1 + min(len(text), 8)
    if not first.isalpha():
        return 40 + _PUNCTUATION.get(first, 50)
    script = 0 if "а" <= first.lower() <= "я" or first in "ёЁ" else 1 if first.isascii() else 2
    if len(text) == 1:
        form = 0 if first.isupper() else 1
    elif text.isupper():
        form = 2
    elif text.islower():
        form = 3
    else:
        form = 4 if first.isupper() and text[1:].islower() else 5
    return 10 + 6 * script + form


class Network:
    """The weights, ready to use."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        words = arrays["words"].tobytes().decode().split("\n")
        self.vocabulary = Vocabulary(words, arrays["surnames"], arrays["given"])
        self._embedding = arrays["embedding"].astype(np.float32) * arrays["scale"].astype(np.float32)
        self._tables = [arrays[name].astype(np.float32) for name in COLUMNS[1:]]
        self._layers = [
            (_stacked(arrays[f"w{number}"]), arrays[f"b{number}"].astype(np.float32), int(dilation))
            for number, dilation in enumerate(arrays["dilations"])
        ]
        self._head = arrays["head"].astype(np.float32), arrays["bias"].astype(np.float32)

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Network:
        """Raises OSError when the file is not there, ValueError when it is not one of ours."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls({name: arrays[name] for name in arrays.files})

    def probabilities(self, seen: Features) -> Floats:
        """Rows of five: for each token the probability of each of LABELS."""
        ids, bits = seen
        parts = [
            self._embedding[ids[:, 0]],
            *(table[ids[:, column + 1]] for column, table in enumerate(self._tables)),
            bits,
        ]
        hidden = np.concatenate(parts, axis=1)
        for weights, bias, dilation in self._layers:
            hidden = np.maximum(_convolved(hidden, weights, dilation) + bias, 0.0)
        head, bias = self._head
        scores = hidden @ head + bias
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return np.asarray(scores, np.float32)


def _stacked(weights: Any) -> Floats:  # noqa: ANN401  (an array of the file)
    """3 × in × out as (3 in) × out: one product instead of three."""
    return np.ascontiguousarray(weights.astype(np.float32).reshape(-1, weights.shape[2]))


def _convolved(hidden: Floats, weights: Floats, dilation: int) -> Floats:
    """`weights` is (3 in) × out: for the token before, itself, the token after, `dilation` apart; nothing beyond the ends."""
    count, width = hidden.shape
    wide = np.zeros((count, 3 * width), np.float32)
    wide[:, width : 2 * width] = hidden
    if count > dilation:
        wide[dilation:, :width] = hidden[:-dilation]
        wide[:-dilation, 2 * width :] = hidden[dilation:]
    return np.asarray(wide @ weights, np.float32)
