"""Hiding what was found behind placeholders or stand-ins, and putting it back.

A placeholder is `[PERSON_1]`: ASCII, safe inside a JSON string, with the kind of what it stands for, so that a model can
still reason about it, and a number, so that the same history gives the same placeholders each turn. Of a person it says
what the name does of gender and number, so that a model can decline the Russian around it: `[PERSON_1_M]`, `[PERSON_1_F]`,
`[PERSON_1_PL]` for several people.
One person has one number: «Иванову» and «Иванов И. И.» are `[PERSON_1_M]` and `[PERSON_1_M:2]`, the second way in which the first
person is written, so that a model can tell that it is one, and each comes back as it stood.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from policies.entities import Entity
from policies.finding import Finding
from policies.identity import Identity, Value
from policies.stream import PLACEHOLDER, WORDS, StandIns, StreamRestorer, placeholders_in

__all__ = ["PLACEHOLDER", "Vault", "VaultContents", "redact", "restore", "unrestored"]


class VaultContents(msgspec.Struct, frozen=True, array_like=True):
    """What it takes to put back what a vault hid, for whoever carries it elsewhere: as secret as the originals themselves."""

    given: tuple[
        tuple[Entity, str, str, tuple[str, ...]], ...
    ]  # kind, number, suffix, originals of each way of writing
    literals: tuple[tuple[str, Entity, str | None, bool], ...]  # stand-in or form, kind, original, whether it was sent
    callers: tuple[tuple[Entity, str], ...]  # numbers of placeholders that the caller himself wrote


class Vault:
    """The originals behind the placeholders and stand-ins of one exchange, in memory only.

    `avoid` are the texts that the caller wrote himself: the number of a placeholder that stands in one of them, in any shape in
    which a placeholder is restored, is never given out, and no stand-in is used that stands there, for the caller's own words must
    not turn into somebody's data. `identities` tells which values denote the same person or thing; a value that it does not know
    denotes itself.

    Without a `key` the numbers are given by first appearance. With one, a secret of the conversation, a number is four digits of
    HMAC-SHA256(key, kind and canonical form of whom the value denotes), so that requests of one conversation or chain of agents,
    with different histories, give one person one placeholder, and nothing is stored. They differ where the canonical forms do (see
    `Identity`: a request that knows «Иванов» only, and one that knows the full name), and where two share their digits: the
    second one in a request takes other ones (of 10 persons in 200 requests once, of 100 in every second), as it does when the
    caller wrote that number himself. The suffix of gender, and the `:2`, are of each request's own history.
    """

    def __init__(
        self, avoid: Iterable[str] = (), identities: Mapping[Value, Identity] | None = None, *, key: bytes = b""
    ) -> None:
        self._avoid = tuple(avoid)
        self._callers = {each for text in self._avoid for each in placeholders_in(text)}
        self._identities = identities or {}
        self._key = key
        self._placeholders: dict[Value, str] = {}
        self._hidden: set[Value] = set()
        self._originals: dict[str, str] = {}
        self._numbers: dict[tuple[Entity, int | str], str] = {}
        self._given: dict[tuple[Entity, str], _Given] = {}
        self._counts: dict[Entity, int] = {}
        self._beginnings: set[str] = set()
        self._digits: set[tuple[Entity, str]] = set()
        self._literal: dict[str, _Literal] = {}
        self._stand_ins: StandIns | None = None

    def placeholder(self, entity: Entity, value: str) -> str:
        """The placeholder of `value`; the same value of the same kind always has the same one."""
        known = self._placeholders.get((entity, value))
        if known is not None:
            return known
        identity = self._identities.get((entity, value))
        suffix = _suffix(identity) if entity is Entity.PERSON else ""
        return self._label(entity, self._number(entity, value, identity), suffix, value)

    def stand_in(self, entity: Entity, value: str, text: str, forms: Mapping[str, str]) -> str:
        """What to send for `value`: `text`, made elsewhere to be believed, or its placeholder where `text` cannot stand for it alone.

        That is where `text` stands in a text of the caller or is already sent for another value. `forms` are what a model may
        write instead → what is put back then («Кузнецову» → «Иванову»); words only, case-sensitive. A form that the caller
        wrote, or that would be put back as one thing for this person and another for somebody else, is left out. When the same `text`
        is given for the same value again, the forms of the first time stay.
        Raises ValueError for an empty text or form, and for one that begins or ends with a space.
        """
        if not all(each and each == each.strip() for each in (text, *forms)):
            raise ValueError("a stand-in must not be empty, nor begin or end with a space")
        identity = self._identities.get((entity, value))
        who = entity, value if identity is None else identity.number
        sent = self._literal.get(text)
        if sent is not None and sent.sent and sent.original == value and sent.who == who:
            return text
        if not self.is_free(text) or (sent is not None and sent.sent and sent.original != value):
            return self.placeholder(entity, value)
        self._literal[text] = _Literal(value, who, sent=True)
        for form, original in forms.items():
            known = self._literal.get(form)
            if known is None:
                if self.is_free(form):
                    self._literal[form] = _Literal(original, who)
            elif known.who != who and not known.sent and known.original != original:
                self._literal[form] = _Literal(None, who)  # ambiguous, for good
        self._hidden.add((entity, value))
        self._stand_ins = None
        return text

    def contents(self) -> VaultContents:
        """All that `of` needs; not the caller's texts, nor the key."""
        return VaultContents(
            given=tuple(
                (entity, number, given.suffix, tuple(given.originals))
                for (entity, number), given in self._given.items()
            ),
            literals=tuple((text, each.who[0], each.original, each.sent) for text, each in self._literal.items()),
            callers=tuple(sorted(self._callers)),
        )

    @classmethod
    def of(cls, contents: VaultContents) -> Vault:
        """A vault that puts back what the one with these `contents` did. Nothing more should be hidden with it."""
        vault = cls()
        vault._callers = set(contents.callers)
        for entity, number, suffix, originals in contents.given:
            vault._give(entity, number)
            for original in originals:
                vault._label(entity, number, suffix, original)
        for text, entity, literal, sent in contents.literals:
            vault._literal[text] = _Literal(literal, (entity, text), sent)
            if sent and literal is not None:
                vault._hidden.add((entity, literal))
        return vault

    def is_free(self, text: str) -> bool:
        """Whether the caller wrote `text` nowhere, not even within a word, so that it may be a stand-in."""
        return not any(text in each for each in self._avoid)

    def original(self, placeholder: str) -> str | None:
        """What `placeholder`, in any case of its letters, with or without its suffix, stands for; None if it was not given out."""
        return self._originals.get(placeholder.upper()) if placeholder.isascii() else None

    def brings_back(self, written: str, value: str) -> bool:
        """Whether `written`, standing alone, is put back as `value`."""
        literal = self._literal.get(written)
        return (self.original(written) if literal is None else literal.original) == value

    def __len__(self) -> int:
        """How many distinct values are hidden and can be put back."""
        return len(self._hidden)

    def stand_ins(self) -> StandIns | None:
        """What is put back for literal strings; None where there are none."""
        if self._stand_ins is None and self._literal:
            originals = {text: each.original for text, each in self._literal.items() if each.original is not None}
            self._stand_ins = StandIns(originals)
        return self._stand_ins

    def gave(self, entity: Entity, number: str) -> bool:
        """Whether the number was given out."""
        return (entity, number) in self._given

    def meant(self, entity: Entity, number: str, suffix: str, way: int) -> str | None:
        """What a placeholder with these parts stands for. None where they contradict what was given out: its gender, its ways.

        `suffix` is "M", "F", "PL" or "", which contradicts nothing.
        """
        given = self._given.get((entity, number))
        if given is None or way > len(given.originals):
            return None
        if suffix and (entity is not Entity.PERSON or suffix != (given.suffix or suffix)):
            return None
        return given.originals[way - 1]

    def is_callers(self, entity: Entity, number: str) -> bool:
        """Whether the caller himself wrote a placeholder with this number."""
        return (entity, number) in self._callers

    def may_begin(self, words: str) -> bool:
        """Whether a kind of which something was given out is called so or begins so."""
        return words in self._beginnings

    def may_give(self, entity: Entity, digits: str, *, whole: bool) -> bool:
        """Whether a number given out begins so; with `whole`, is this."""
        return (entity, digits) in (self._given if whole else self._digits)

    def _number(self, entity: Entity, value: str, identity: Identity | None) -> str:
        """The number of whom a value denotes."""
        who = entity, value if identity is None else identity.number
        known = self._numbers.get(who)
        if known is not None:
            return known
        canonical = value if identity is None else identity.canonical
        number = next(
            number
            for number in (self._keyed(entity, canonical) if self._key else self._counted(entity))
            if (entity, number) not in self._callers and (entity, number) not in self._given
        )
        self._numbers[who] = number
        self._give(entity, number)
        return number

    def _give(self, entity: Entity, number: str) -> None:
        self._given[entity, number] = _Given()
        self._beginnings |= _beginnings(entity)
        self._digits.update((entity, number[:length]) for length in range(1, len(number) + 1))

    def _label(self, entity: Entity, number: str, suffix: str, value: str) -> str:
        """The placeholder of one more way in which whom the number was given to is written."""
        given = self._given[entity, number]
        given.originals.append(value)
        given.suffix = given.suffix or suffix
        way = "" if len(given.originals) == 1 else f":{len(given.originals)}"
        label = f"[{entity}_{number}{given.suffix and '_'}{given.suffix}{way}]"
        self._placeholders[entity, value] = label
        self._hidden.add((entity, value))
        self._originals[label] = self._originals[f"[{entity}_{number}{way}]"] = value
        return label

    def _counted(self, entity: Entity) -> Iterator[str]:
        while True:
            self._counts[entity] = self._counts.get(entity, 0) + 1
            yield str(self._counts[entity])

    def _keyed(self, entity: Entity, canonical: str) -> Iterator[str]:
        for block in range(_MOST_BLOCKS):
            message = f"{entity}\0{canonical}\0{block}".encode("utf-8", "surrogatepass")
            digest = hmac.digest(self._key, message, "sha256")
            yield str(1000 + int.from_bytes(digest[:8], "big") % 9000)
        self._counts[entity] = max(
            self._counts.get(entity, 0), 9999
        )  # thousands of one kind: any number is better than none
        yield from self._counted(entity)


def redact(
    content: str,
    findings: Sequence[Finding],
    masks: Container[Entity],
    vault: Vault,
    *,
    hide: Callable[[Entity, str], str] | None = None,
) -> str:
    """`content` with each finding of a kind in `masks` replaced by its placeholder; every other character is kept.

    With `hide`, replaced by what it returns for the kind and the value: a placeholder or stand-in of `vault`, or a text that never
    comes back. Where stand-ins would not come back as they stood, because of the words beside them, placeholders stand for the
    values of this `content` instead.
    Findings that overlap are hidden together, under the kind of the surest of them.
    Raises ValueError for a finding that does not lie within `content`, and what `hide` raises.
    """
    spans = _spans(content, findings, masks)
    if hide is None:
        return _replaced(
            content, spans, [vault.placeholder(entity, content[start:end]) for start, end, entity in spans]
        )
    values = [(entity, content[start:end]) for start, end, entity in spans]
    written = [hide(entity, value) for entity, value in values]
    expected = [
        value if vault.brings_back(text, value) else text for text, (_, value) in zip(written, values, strict=True)
    ]
    hidden = _replaced(content, spans, written)
    if restore(hidden, vault) == _replaced(content, spans, expected):
        return hidden
    # What never comes back has to stay hidden for good; all else can be told apart by placeholders.
    return _replaced(
        content,
        spans,
        [
            vault.placeholder(entity, value) if vault.brings_back(text, value) else text
            for text, (entity, value) in zip(written, values, strict=True)
        ],
    )


def restore(text: str, vault: Vault, *, json_strings: bool = False) -> str:
    """`text` with every placeholder and stand-in of `vault`, as models write them, replaced by its original.

    See `stream` for what models do to them. `json_strings`: see `StreamRestorer`. Placeholders that the vault did not give out
    stay as they are, and what was put back is not looked at again.
    """
    restorer = StreamRestorer(vault, json_strings=json_strings)
    return restorer.feed(text) + restorer.finish()


def unrestored(text: str, vault: Vault) -> int:
    """How many placeholders in `text`, the caller's own apart, `restore` leaves as they are."""
    restorer = StreamRestorer(vault)
    restorer.feed(text)
    restorer.finish()
    return restorer.unrestored


class _Given:
    """A number given out: the originals of its ways of writing, and the suffix with which it was."""

    __slots__ = ("originals", "suffix")

    def __init__(self) -> None:
        self.originals: list[str] = []
        self.suffix = ""


class _Literal(NamedTuple):
    """What a literal string is put back as (None: nobody knows), whose it is, and whether it is what is sent."""

    original: str | None
    who: tuple[Entity, int | str]
    sent: bool = False


_MOST_BLOCKS = 64
_PLURAL, _GENDERS = "PL", {"male": "M", "female": "F"}


def _suffix(identity: Identity | None) -> str:
    if identity is None:
        return ""
    return _PLURAL if identity.plural else _GENDERS.get(identity.gender, "")


@functools.cache
def _beginnings(entity: Entity) -> frozenset[str]:
    """All beginnings of what a kind is called."""
    return frozenset(word[:length] for word, kind in WORDS.items() if kind is entity for length in range(len(word) + 1))


def _replaced(content: str, spans: Iterable[tuple[int, int, Entity]], written: Iterable[str]) -> str:
    pieces: list[str] = []
    position = 0
    for (start, end, _), text in zip(spans, written, strict=True):
        pieces += (content[position:start], text)
        position = end
    pieces.append(content[position:])
    return "".join(pieces)


def _spans(content: str, findings: Sequence[Finding], masks: Container[Entity]) -> list[tuple[int, int, Entity]]:
    spans: list[tuple[int, int, Entity]] = []
    best = 0.0
    for finding in sorted(found for found in findings if found.entity in masks):
        if not 0 <= finding.start < finding.end <= len(content):
            raise ValueError("a finding does not lie within the text: it was made for another one")
        if spans and finding.start < spans[-1][1]:
            start, end, entity = spans[-1]
            spans[-1] = (start, max(end, finding.end), finding.entity if finding.score > best else entity)
            best = max(best, finding.score)
        else:
            spans.append((finding.start, finding.end, finding.entity))
            best = finding.score
    return spans
