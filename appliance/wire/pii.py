"""`POST /v1/pii/analyze` on the wire. Offsets count Unicode code points; values are never repeated in an answer."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.analysis import Analysis
from appliance.errors import BadRequestError
from appliance.wire.decoding import Strict, decode
from policies import Entity, Policy, Text

_MOST = 2048  # texts of one request


class Labelled(Strict, frozen=True):
    """A text and the name of the field it stands in, which is context."""

    content: str
    label: Annotated[str, Meta(max_length=256)] = ""


class AnalyzeRequest(Strict, frozen=True):
    """The body: `text` or `texts`. `kinds` and `min_score` only choose what is shown; everything is looked for and recorded."""

    text: str | None = None
    texts: Annotated[list[str | Labelled], Meta(max_length=_MOST)] | None = None
    kinds: list[Entity] | None = None
    min_score: Annotated[float, Meta(ge=0, le=1)] = 0.0
    user: str | None = None


class FoundValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """Characters `start` to `end` (exclusive). Values with the same `id` denote the same person or thing, in all texts of the request."""

    start: int
    end: int
    kind: Entity
    category: str
    score: float
    id: str
    gender: str = ""
    case: str = ""


class AnalyzedText(msgspec.Struct, frozen=True):
    findings: list[FoundValue]


class AnalyzeAnswer(msgspec.Struct, frozen=True):
    """`record` is the log's number of the record of this request."""

    detector: str
    record: int
    found: dict[Entity, int]
    texts: list[AnalyzedText]
    object: Literal["pii.analysis"] = "pii.analysis"


_REQUEST = msgspec.json.Decoder(AnalyzeRequest)
_ADVICE = {"texts": f"`texts` is a list of at most {_MOST} texts", "min_score": "`min_score` is between 0 and 1"}


def decode_analyze(body: bytes) -> AnalyzeRequest:
    """The request in a body. Raises BadRequestError that names the place and what is expected there."""
    asked = decode(_REQUEST, body, _ADVICE)
    if (asked.text is None) == (asked.texts is None):
        raise BadRequestError("send either `text` or `texts`", "text")
    return asked


def texts_of(asked: AnalyzeRequest) -> list[Text]:
    """The texts to look at."""
    given = [asked.text] if asked.text is not None else asked.texts or []
    return [Text(each) if isinstance(each, str) else Text(each.content, each.label) for each in given]


def answer(asked: AnalyzeRequest, analysis: Analysis, policy: Policy, detector: str) -> AnalyzeAnswer:
    """What was found, of the kinds and scores that were asked for."""
    shown: list[AnalyzedText] = []
    found: dict[Entity, int] = {}
    for text, findings in zip(texts_of(asked), analysis.findings, strict=True):
        values = []
        for each in findings:
            if each.score < asked.min_score or (asked.kinds is not None and each.entity not in asked.kinds):
                continue
            identity = analysis.identities[each.entity, text.content[each.start : each.end]]
            found[each.entity] = found.get(each.entity, 0) + 1
            values.append(
                FoundValue(
                    start=each.start,
                    end=each.end,
                    kind=each.entity,
                    category=policy.category_of(each.entity),
                    score=round(each.score, 2),
                    id=f"{each.entity}_{identity.number}",
                    gender=identity.gender,
                    case=identity.case,
                )
            )
        shown.append(AnalyzedText(values))
    return AnalyzeAnswer(detector=detector, record=analysis.record, found=found, texts=shown)
