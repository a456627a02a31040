"""OpenAI's embeddings on the wire, both ways: shapes of the API reference for `POST /v1/embeddings`."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.errors import BadRequestError, UninspectableError
from appliance.wire.decoding import Strict, decode
from providers import EmbeddingRequest, Embeddings, Usage

_MOST = 2048  # texts of one request, as OpenAI has it


class EmbeddingsRequest(Strict, frozen=True):
    """The body of `POST /v1/embeddings`. `user` is accepted and never forwarded."""

    model: str
    # Numbers are tokens: of the right type here, so that they can be refused in words of their own.
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    user: str | None = None


class Vector(msgspec.Struct, frozen=True):
    index: int
    embedding: tuple[float, ...] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int
    cost_rub: float | None = None


class EmbeddingList(msgspec.Struct, frozen=True):
    data: list[Vector]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


_REQUEST = msgspec.json.Decoder(EmbeddingsRequest)
_ADVICE = {"encoding_format": "`encoding_format` is `float` or `base64`"}


def decode_embeddings(body: bytes) -> EmbeddingsRequest:
    """The request in a body. Raises BadRequestError that names the place and what is expected there."""
    return decode(_REQUEST, body, _ADVICE)


def to_embedding_request(wire: EmbeddingsRequest) -> EmbeddingRequest:
    """Our request, its `model` yet to be filled in by the route. Raises BadRequestError; UninspectableError for tokens."""
    texts = [wire.input] if isinstance(wire.input, str) else wire.input
    if not texts:
        raise BadRequestError("`input` is empty: send a text, or a list of texts", "input")
    if len(texts) > _MOST:
        raise BadRequestError(f"`input` holds more than {_MOST} texts: split it", "input")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UninspectableError(
                "`input` holds token numbers, which cannot be inspected for personal data: send text", f"input[{index}]"
            )
        if not text:
            raise BadRequestError("an empty text has no vector: leave it out", f"input[{index}]")
    return EmbeddingRequest(
        model="", texts=tuple(text for text in texts if isinstance(text, str)), dimensions=wire.dimensions
    )


def answer(vectors: Embeddings, model: str, encoding: str | None, cost_rub: float | None) -> EmbeddingList:
    """The answer. `base64` is little-endian 32-bit floats, as the official SDKs ask for by default."""
    usage = vectors.usage or Usage(0, 0, 0)
    return EmbeddingList(
        data=[
            Vector(index, packed(vector) if encoding == "base64" else vector)
            for index, vector in enumerate(vectors.vectors)
        ],
        model=model,
        usage=EmbeddingUsage(usage.prompt_tokens, usage.total_tokens, cost_rub),
    )


def packed(vector: tuple[float, ...]) -> str:
    """The floats of a vector as base64."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
