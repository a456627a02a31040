"""Presidio's REST API on the wire: `/analyze` and `/anonymize`, as its analyzer and anonymizer services take and give them.

What would let a caller weaken the detection for others, or run patterns of its own in this process, is refused by name.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from appliance.errors import BadRequestError
from appliance.wire.decoding import Strict, decode
from policies import Entity, Finding, Text

_THEIRS: dict[Entity, str] = {
    Entity.PHONE: "PHONE_NUMBER",
    Entity.EMAIL: "EMAIL_ADDRESS",
    Entity.BANK_CARD: "CREDIT_CARD",
    Entity.IP: "IP_ADDRESS",
    Entity.MAC: "MAC_ADDRESS",
    Entity.ADDRESS: "LOCATION",
    Entity.BIRTH_DATE: "DATE_TIME",
}
"""Where Presidio has a name for a kind, it is used; other kinds go by ours."""

_OURS = {name: entity for entity, name in _THEIRS.items()} | {entity.value: entity for entity in Entity}
_MOST = 2048  # texts of one request
_MOST_WRITTEN = (
    10_000_000  # characters that all `new_value`s of one answer may come to: a small request must not fill the memory
)
_SHORTEST_SALT = 16  # bytes, as Presidio has it


class AnalyzeRequest(Strict, frozen=True):
    """The body of `/analyze`. `language` and `context` are accepted and change nothing: what is looked for is Russian, in any text."""

    text: str | Annotated[list[str], Meta(max_length=_MOST)]
    language: str = "ru"
    entities: list[str] | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    correlation_id: str | None = None
    return_decision_process: bool | None = None
    context: list[str] | None = None
    allow_list: list[str] | None = None
    allow_list_match: Literal["exact", "regex"] | None = None
    ad_hoc_recognizers: list[Any] | None = None
    regex_flags: int | None = None


class Result(msgspec.Struct, frozen=True):
    """A finding as Presidio gives it: code points, `end` exclusive."""

    start: int
    end: int
    score: float
    entity_type: str
    analysis_explanation: Any = None
    recognition_metadata: Any = None


class Operator(msgspec.Struct, frozen=True):
    """What to do with values of a kind; only the fields of its `type` are looked at. A mask without a number masks all."""

    type: str = "replace"
    new_value: str | None = None
    masking_char: str = "*"
    chars_to_mask: int | None = None
    from_end: bool = False
    hash_type: str = "sha256"
    salt: str | None = None


class AnonymizeRequest(Strict, frozen=True):
    """The body of `/anonymize`."""

    text: str
    analyzer_results: list[Result]
    anonymizers: dict[str, Operator] | None = None
    conflict_resolution: str | None = None


class Item(msgspec.Struct, frozen=True):
    """A place of the new text where a value was replaced; the last one first, as Presidio has it."""

    start: int
    end: int
    entity_type: str
    text: str
    operator: str


class Anonymized(msgspec.Struct, frozen=True):
    text: str
    items: list[Item]


_ANALYZE = msgspec.json.Decoder(AnalyzeRequest)
_ANONYMIZE = msgspec.json.Decoder(AnonymizeRequest)
OPERATORS = ("replace", "redact", "mask", "hash", "keep")


def entity_names() -> list[str]:
    """All kinds, by the names that `/analyze` uses."""
    return [_THEIRS.get(entity, entity.value) for entity in Entity]


def decode_analyze(body: bytes) -> AnalyzeRequest:
    """The request in a body. Raises BadRequestError that names the place and what is expected there."""
    asked = decode(_ANALYZE, body, {"text": f"`text` is a text, or a list of at most {_MOST}"})
    if asked.ad_hoc_recognizers:
        raise BadRequestError(
            "`ad_hoc_recognizers` would run a caller's patterns in the service: ask the administrator to add recognisers",
            "ad_hoc_recognizers",
        )
    if asked.allow_list_match == "regex":
        raise BadRequestError("`allow_list` is compared exactly only: leave `allow_list_match` out", "allow_list_match")
    for name in asked.entities or ():
        if not name.isascii() or not name.replace("_", "").isalnum() or name != name.upper():
            raise BadRequestError("`entities` are names such as PERSON or PHONE_NUMBER", "entities")
    if asked.entities and not any(name in _OURS for name in asked.entities):
        raise BadRequestError("none of `entities` can be found here: see `/supportedentities`", "entities")
    return asked


def texts_of(asked: AnalyzeRequest) -> list[Text]:
    """The texts to look at."""
    return [Text(asked.text)] if isinstance(asked.text, str) else [Text(each) for each in asked.text]


def results(asked: AnalyzeRequest, findings: Sequence[Sequence[Finding]]) -> list[Result] | list[list[Result]]:
    """The findings in Presidio's words: of one text, or of each.

    Kinds that Presidio knows and we do not (US_SSN) are never found; asking for them beside others is no error, as in Presidio itself.
    """
    wanted = {_OURS[name] for name in asked.entities if name in _OURS} if asked.entities else None
    allowed = frozenset(asked.allow_list or ())
    shown = [
        [
            Result(each.start, each.end, round(each.score, 2), _THEIRS.get(each.entity, each.entity.value))
            for each in found
            if (wanted is None or each.entity in wanted)
            and each.score >= (asked.score_threshold or 0.0)
            and text.content[each.start : each.end] not in allowed
        ]
        for text, found in zip(texts_of(asked), findings, strict=True)
    ]
    return shown[0] if isinstance(asked.text, str) else shown


def decode_anonymize(body: bytes) -> AnonymizeRequest:
    """The request in a body. Raises BadRequestError that names the place and what is expected there."""
    asked = decode(_ANONYMIZE, body, {})
    for operator in (asked.anonymizers or {}).values():
        if operator.type not in OPERATORS:
            what = (
                "`encrypt` would need a key of the caller's in the request"
                if operator.type == "encrypt"
                else "unknown operator"
            )
            raise BadRequestError(f"{what}: use one of {', '.join(OPERATORS)}", "anonymizers")
        if operator.type == "hash" and operator.hash_type not in {"sha256", "sha512"}:
            raise BadRequestError("`hash_type` is sha256 or sha512", "anonymizers")
        if operator.type == "hash" and operator.salt is not None and len(operator.salt.encode()) < _SHORTEST_SALT:
            raise BadRequestError(
                f"`salt` has at least {_SHORTEST_SALT} bytes: leave it out for a random one", "anonymizers"
            )
        if operator.type == "mask" and len(operator.masking_char) != 1:
            raise BadRequestError("`masking_char` is one character", "anonymizers")
    longest = max((len(operator.new_value or "") for operator in (asked.anonymizers or {}).values()), default=0)
    if longest * len(asked.analyzer_results) > _MOST_WRITTEN:
        raise BadRequestError(
            "`new_value` is too long for so many results: shorten it, or split the text", "anonymizers"
        )
    for index, result in enumerate(asked.analyzer_results):
        if not 0 <= result.start < result.end <= len(asked.text):
            raise BadRequestError(
                "it does not lie within `text`: offsets count code points", f"analyzer_results[{index}]"
            )
    return asked


def counted(asked: AnonymizeRequest) -> dict[Entity, int]:
    """What the caller says is in the text, of the kinds that we know."""
    found: dict[Entity, int] = {}
    for result in asked.analyzer_results:
        if (entity := _OURS.get(result.entity_type)) is not None:
            found[entity] = found.get(entity, 0) + 1
    return found


def anonymized(asked: AnonymizeRequest) -> Anonymized:
    """The text with every result replaced. Results that overlap are replaced together: nothing of them is left over, and nothing
    beside them is eaten.
    """
    salt = secrets.token_bytes(32)
    operators: Mapping[str, Operator] = asked.anonymizers or {}
    pieces: list[str] = []
    items: list[Item] = []
    position = length = 0
    for together in _overlapping(asked.analyzer_results):
        start, end = together[0].start, max(each.end for each in together)
        kind, operator = _chosen(together, operators)
        value = _applied(operator, asked.text[start:end], kind, salt)
        pieces += (asked.text[position:start], value)
        length += start - position
        items.append(Item(length, length + len(value), kind, value, operator.type))
        length += len(value)
        position = end
    return Anonymized("".join([*pieces, asked.text[position:]]), items[::-1])


def _overlapping(found: Sequence[Result]) -> list[list[Result]]:
    """The results in the order of the text, those that overlap in one list."""
    groups: list[list[Result]] = []
    reached = 0
    for each in sorted(found, key=lambda result: (result.start, -result.end)):
        if groups and each.start < reached:
            groups[-1].append(each)
        else:
            groups.append([each])
        reached = max(reached, each.end)
    return groups


def _chosen(together: Sequence[Result], operators: Mapping[str, Operator]) -> tuple[str, Operator]:
    """The kind and operator for results that overlap: of the surest one that is not to be kept.

    What one result hides no other may show: `keep` counts only where all are kept, and a mask of some characters, which was meant for
    one value, masks all of them where results differ.
    """
    asked = [(each, _operator(each.entity_type, operators)) for each in together]
    hidden = [(each, operator) for each, operator in asked if operator.type != "keep"] or asked
    surest, operator = max(hidden, key=lambda pair: pair[0].score)
    if operator.type == "mask" and len({(each.start, each.end, its) for each, its in hidden}) > 1:
        operator = msgspec.structs.replace(operator, chars_to_mask=None)
    return surest.entity_type, operator


def _operator(kind: str, operators: Mapping[str, Operator]) -> Operator:
    """What is asked for a kind, by Presidio's name for it or by ours."""
    entity = _OURS.get(kind)
    names = (kind,) if entity is None else (kind, _THEIRS.get(entity, entity.value), entity.value)
    return next((operators[name] for name in (*names, "DEFAULT") if name in operators), Operator())


def _applied(operator: Operator, value: str, kind: str, salt: bytes) -> str:
    match operator.type:
        case "keep":
            return value
        case "redact":
            return ""
        case "mask":
            count = len(value) if operator.chars_to_mask is None else min(max(operator.chars_to_mask, 0), len(value))
            hidden = operator.masking_char * count
            return value[: len(value) - count] + hidden if operator.from_end else hidden + value[count:]
        case "hash":
            # Without a salt the hash of a telephone number is the number: there are too few of them.
            own = salt if operator.salt is None else operator.salt.encode()
            return hashlib.new(operator.hash_type, value.encode() + own).hexdigest()
        case _:
            return operator.new_value or f"<{kind}>"
