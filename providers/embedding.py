"""The embedding vocabulary: texts out, one vector a text back."""

from msgspec import Struct

from providers.chat import Usage


class EmbeddingRequest(Struct, frozen=True):
    """What leaves the building. `model` is the upstream's name; `dimensions` None leaves the length to the model."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None


class Embeddings(Struct, frozen=True):
    """One vector a text, in the order of the texts. `request_id` and `model` are the upstream's, "" when it gave none."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None = None
    model: str = ""
    request_id: str = ""
