"""Finding personal data beside the event loop: processes with Presidio as the shell, our recognisers inside; a memory of answers."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from policies import names
from policies.entities import Entity
from policies.errors import DetectorFailedError, DetectorTimeoutError
from policies.finding import Finding, Text
from policies.recognizers import recognize
from policies.workers import Workers

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

VERSION = "names-1"
"""Changes whenever the same text may get other findings: it is recorded with every decision."""


class DetectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the detector runs.

    `timeout_ms` bounds one call of `detect`, waiting for a free worker included. Each worker is a process of about 200 MiB that looks at
    one call's texts at a time: as many as there are cores to spare. `cache_bytes` 0 remembers nothing.
    """

    timeout_ms: Annotated[int, msgspec.Meta(ge=1)] = 5_000
    workers: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    cache_bytes: Annotated[int, msgspec.Meta(ge=0)] = 32 * 1024 * 1024


_DEFAULTS = DetectorSettings()


class Detector:
    """Finds personal data and secrets in texts. Opened with `Detector.open`; safe for any number of concurrent calls."""

    version = VERSION

    def __init__(self, settings: DetectorSettings) -> None:
        """Unloaded and of no use: `open` gives a detector that is ready."""
        self._settings = settings
        self._workers: Workers | None = None
        self._memory = _Memory(settings.cache_bytes)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: DetectorSettings = _DEFAULTS) -> AsyncIterator[Detector]:
        """A detector that is ready, until the context ends. Loading takes a second or two. Raises DetectorFailedError."""
        detector = cls(settings)
        async with Workers.open(settings.workers, msgspec.msgpack.encode(settings)) as workers:
            detector._workers = workers
            try:
                yield detector
            finally:
                detector._workers = None

    async def detect(self, texts: Sequence[Text]) -> tuple[tuple[Finding, ...], ...]:
        """The findings of each text, in order of the texts.

        Raises DetectorFailedError or DetectorTimeoutError: no answer at all, rather than one that may be incomplete.
        """
        if self._workers is None:
            raise DetectorFailedError("the detector is not open: use it inside `async with Detector.open(...)`")
        keys = [self._memory.key(text) for text in texts]
        known = {key: self._memory.get(key) for key in keys}
        unknown = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        found = await self._find(self._workers, tuple(unknown.values())) if unknown else []
        fresh = dict(zip(unknown, found, strict=True))
        for key, findings in fresh.items():
            self._memory.put(key, findings)
        return tuple(fresh[key] if key in fresh else known[key] or () for key in keys)

    async def _find(self, workers: Workers, texts: tuple[Text, ...]) -> list[tuple[Finding, ...]]:
        try:
            async with asyncio.timeout(self._settings.timeout_ms / 1000):
                return await workers.find(texts)
        except TimeoutError:
            raise DetectorTimeoutError(f"the detector did not answer within {self._settings.timeout_ms} ms") from None


def scan(text: str) -> tuple[Finding, ...]:
    """The findings of one text, found in the caller's thread; the first call loads the engine. Raises DetectorFailedError."""
    return find_all((Text(text),), lambda: None)[0]


class UnwantedError(Exception):
    """Nobody waits for this work any more: a checkpoint raises it, and `find_all` lets it through."""


class _Memory:
    """Findings of texts seen before, by a hash of the text that is keyed anew in each process; least recently used go first."""

    _ENTRY = 400  # bytes of one entry without its findings: key, dictionary slot, tuple
    _FINDING = 160  # bytes of one finding: the Struct, two numbers, a float

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._key = secrets.token_bytes(32)
        self._entries: OrderedDict[bytes, tuple[Finding, ...]] = OrderedDict()
        self._size = 0

    def key(self, text: Text) -> bytes:
        # Of two texts that are not equal none may get the other's key: the label's length keeps the parts apart.
        label = text.label.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(len(label).to_bytes(8, "big") + label, key=self._key, digest_size=32)
        digest.update(text.content.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def get(self, key: bytes) -> tuple[Finding, ...] | None:
        findings = self._entries.get(key)
        if findings is not None:
            self._entries.move_to_end(key)
        return findings

    def put(self, key: bytes, findings: tuple[Finding, ...]) -> None:
        if key not in self._entries:
            self._size += self._cost(findings)
        self._entries[key] = findings
        while self._size > self._limit:
            _, dropped = self._entries.popitem(last=False)
            self._size -= self._cost(dropped)

    def _cost(self, findings: tuple[Finding, ...]) -> int:
        return self._ENTRY + self._FINDING * len(findings)


_checkpoint: ContextVar[Callable[[], None]] = ContextVar("checkpoint")
"""What the recogniser calls between windows: Presidio has no way to hand a caller's argument down to it."""


def prepare() -> None:
    """Load the engine in this process. Raises DetectorFailedError."""
    try:
        _analyzer()
    except Exception as error:  # noqa: BLE001 - whatever it was, there is no detector
        raise DetectorFailedError(f"the detector cannot be loaded (`{type(error).__name__}`)") from None


def find_all(texts: Sequence[Text], checkpoint: Callable[[], None]) -> list[tuple[Finding, ...]]:
    """The findings of each text, in the caller's thread. `checkpoint` is called between windows. Raises DetectorFailedError."""
    token = _checkpoint.set(checkpoint)
    try:
        return [_find(text) for text in texts]
    except UnwantedError:
        raise
    except Exception as error:  # noqa: BLE001 - not carried on from: it ends the call as our own error
        # Whatever went wrong, nothing is known about the texts. The cause may quote them, so only its type is kept.
        raise DetectorFailedError(f"a recogniser failed with `{type(error).__name__}`") from None
    finally:
        _checkpoint.reset(token)


def _find(text: Text) -> tuple[Finding, ...]:
    prefix = f"{text.label}: " if text.label else ""
    shift, end = len(prefix), len(prefix) + len(text.content)
    results = _analyzer().analyze(text=prefix + text.content, language="ru")
    findings = sorted(
        Finding(max(result.start, shift) - shift, result.end - shift, Entity(result.entity_type), result.score)
        for result in results
        if result.end > shift
    )
    if any(not 0 <= finding.start < finding.end <= end - shift for finding in findings):
        raise DetectorFailedError("a recogniser found something outside the text")
    return tuple(findings)


_loading = threading.Lock()


def _analyzer() -> AnalyzerEngine:
    with _loading:
        return _load_analyzer()


@functools.cache
def _load_analyzer() -> AnalyzerEngine:
    """Presidio's engine around our recogniser: no model, no built-in recogniser, nothing that calls out of the house."""
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, RecognizerResult
    from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    class Recognizer(EntityRecognizer):
        def load(self) -> None:
            """Have nothing more to load: our recognisers are ready once imported."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: object = None) -> list[Any]:  # noqa: ARG002 - Presidio's signature
            return [
                RecognizerResult(found.entity.value, found.start, found.end, found.score)
                for found in recognize(text, _checkpoint.get())
            ]

    class NoEnhancer(ContextAwareEnhancer):
        def enhance_using_context(self, text: str, raw_results: list[Any], *_: object, **__: object) -> list[Any]:  # noqa: ARG002 - as above
            return raw_results  # our recognisers weigh the context themselves, 40 to 60 characters both ways

    names.load()
    engine = NoOpNlpEngine(models=[{"lang_code": "ru", "model_name": "none"}])
    engine.load()
    recognizer = Recognizer(supported_entities=[entity.value for entity in Entity], supported_language="ru")
    registry = RecognizerRegistry(recognizers=[recognizer], supported_languages=["ru"])
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=engine,
        supported_languages=["ru"],
        context_aware_enhancer=NoEnhancer(0.0, 0.0, 0, 0),
    )
