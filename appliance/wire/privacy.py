"""`POST /v1/privacy/…` on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.declaration import Declaration
from appliance.errors import BadRequestError
from appliance.privacy import MaskCall, MaskedTexts
from appliance.wire.decoding import Strict, decode
from policies import Residency

_MOST = 2048  # texts of one request
_LONGEST_LIFE = 30 * 24 * 3600

_Texts = Annotated[list[str], Meta(min_length=1, max_length=_MOST)]


class MaskRequest(Strict, frozen=True):
    """Texts, and where the application will send them itself. `lifetime` of the mapping is in seconds."""

    texts: _Texts
    residency: Residency
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$")] = ""
    recipient: Annotated[str, Meta(max_length=64)] = ""
    lifetime: Annotated[int, Meta(ge=1, le=_LONGEST_LIFE)] = 3600
    user: str | None = None


class MaskAnswer(msgspec.Struct, frozen=True):
    """The texts as they may leave; `mapping` brings them back, and is null when there is nothing to bring back."""

    texts: tuple[str, ...]
    mapping: str | None
    expires: str | None
    verdict: str
    hidden: dict[str, int]
    methods: dict[str, str]
    record: int
    object: Literal["privacy.masked"] = "privacy.masked"


class UnmaskRequest(Strict, frozen=True):
    """Texts of a model, and the mapping. With `json_strings` the originals are escaped for a place inside a JSON string."""

    texts: _Texts
    mapping: str
    json_strings: bool = False


class UnmaskAnswer(msgspec.Struct, frozen=True):
    """`unrestored`: what looked like a placeholder and stayed as it was."""

    texts: tuple[str, ...]
    unrestored: int
    record: int
    object: Literal["privacy.unmasked"] = "privacy.unmasked"


_MASK = msgspec.json.Decoder(MaskRequest)
_UNMASK = msgspec.json.Decoder(UnmaskRequest)
_ADVICE = {
    "texts": f"`texts` is a list of 1 to {_MOST} strings",
    "residency": "`residency` is where the model is run that you will call: `local`, `ru` or `foreign`",
    "country": "`country` is two capital letters, ISO 3166-1",
    "lifetime": f"`lifetime` is 1 to {_LONGEST_LIFE} seconds",
}


def decode_mask(body: bytes) -> MaskRequest:
    """Raises BadRequestError."""
    asked = decode(_MASK, body, _ADVICE)
    if asked.residency is Residency.FOREIGN and asked.country in {"", "RU"}:
        raise BadRequestError(
            "`country` says where a model outside Russia is: two capital letters, ISO 3166-1, not RU", "country"
        )
    if asked.residency is not Residency.FOREIGN and asked.country not in {"", "RU"}:
        raise BadRequestError("a model in another country has the residency `foreign`", "residency")
    if asked.residency is Residency.LOCAL and asked.recipient:
        raise BadRequestError("what is sent to a recipient is not `local`: leave out one of them", "recipient")
    return asked


def decode_unmask(body: bytes) -> UnmaskRequest:
    """Raises BadRequestError."""
    return decode(_UNMASK, body, _ADVICE)


def mask_call(asked: MaskRequest, request_id: str, raw: bytes, declared: Declaration) -> MaskCall:
    """The request, freed of its protocol."""
    return MaskCall(
        request_id=request_id,
        texts=tuple(asked.texts),
        raw=raw,
        declared=declared,
        residency=asked.residency,
        country=asked.country or "RU",
        recipient=asked.recipient,
        lifetime=asked.lifetime,
    )


def mask_answer(masked: MaskedTexts) -> MaskAnswer:
    """What the application gets."""
    return MaskAnswer(
        texts=masked.texts,
        mapping=masked.mapping or None,
        expires=datetime.fromtimestamp(masked.expires, UTC).isoformat() if masked.mapping else None,
        verdict=masked.verdict,
        hidden=masked.hidden,
        methods=masked.methods,
        record=masked.record,
    )
