"""Finding personal data beside the event loop: processes with Presidio as the shell, our recognisers inside; a memory of answers."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from policies import names
from policies.custom import CustomFile, Find, load_custom, read_custom
from policies.entities import Entity
from policies.errors import DetectorFailedError, DetectorTimeoutError, RecognizersFileError
from policies.finding import Finding, Text
from policies.recognizers import recognize
from policies.recognizers.recognition import resolve
from policies.workers import Workers, tried

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

VERSION = "names-4"
"""Changes whenever the same text may get other findings: it is recorded with every decision."""


class DetectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the detector runs.

    `timeout_ms` bounds one call of `detect`, waiting for a free worker included. Each worker is a process of about 200 MiB that looks at
    one call's texts at a time: as many as there are cores to spare; 0 is a thread of the service instead, which saves memory and
    start-up but holds up everything else while it reads. `cache_bytes` 0 remembers nothing. `recognizers` is the file of a
    customer's own recognisers (`custom.py`); empty: there are none.
    """

    timeout_ms: Annotated[int, msgspec.Meta(ge=1)] = 5_000
    workers: Annotated[int, msgspec.Meta(ge=0, le=16)] = 1
    cache_bytes: Annotated[int, msgspec.Meta(ge=0)] = 32 * 1024 * 1024
    recognizers: str = ""


_DEFAULTS = DetectorSettings()


class Detector:
    """Finds personal data and secrets in texts. Opened with `Detector.open`; safe for any number of concurrent calls."""

    def __init__(self, settings: DetectorSettings, custom: CustomFile | None = None) -> None:
        """Unloaded and of no use: `open` gives a detector that is ready."""
        self.version = VERSION if custom is None else f"{VERSION}@{custom.digest}"
        self._settings = settings
        self._workers: Workers | _Thread | None = None
        self._memory = _Memory(settings.cache_bytes)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: DetectorSettings = _DEFAULTS) -> AsyncIterator[Detector]:
        """A detector that is ready, until the context ends. Loading takes a second or two.

        Raises DetectorFailedError, or RecognizersFileError when the customer's recognisers cannot be used.
        """
        custom = await asyncio.to_thread(read_custom, Path(settings.recognizers)) if settings.recognizers else None
        detector = cls(settings, custom)
        count, first = settings.workers, msgspec.msgpack.encode(custom)
        async with Workers.open(count, first) if count else _Thread.open(custom) as workers:
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

    async def _find(self, workers: Workers | _Thread, texts: tuple[Text, ...]) -> list[tuple[Finding, ...]]:
        try:
            async with asyncio.timeout(self._settings.timeout_ms / 1000):
                return await workers.find(texts)
        except TimeoutError:
            raise DetectorTimeoutError(f"the detector did not answer within {self._settings.timeout_ms} ms") from None


class _Thread:
    """Looks at texts in a thread of this process, one call at a time."""

    def __init__(self, pool: ThreadPoolExecutor, custom: CustomFile | None) -> None:
        self._pool = pool
        self._custom = custom
        self._closing = threading.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, custom: CustomFile | None) -> AsyncIterator[_Thread]:
        pool = ThreadPoolExecutor(1, thread_name_prefix="detector")
        thread = cls(pool, custom)
        try:
            await asyncio.get_running_loop().run_in_executor(pool, prepare, custom)
            yield thread
        finally:
            thread._closing.set()
            # Work that still runs gives up at its next window; waiting for that must not stall the loop.
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    async def find(self, texts: Sequence[Text]) -> list[tuple[Finding, ...]]:
        """The findings of each text. Raises DetectorFailedError."""
        unwanted = threading.Event()

        def checkpoint() -> None:
            if unwanted.is_set() or self._closing.is_set():
                raise UnwantedError
            time.sleep(0)  # lets the event loop's thread have the interpreter

        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, find_all, texts, checkpoint, self._custom
            )
        except UnwantedError:
            raise DetectorFailedError("the detector was closed") from None
        finally:
            unwanted.set()  # whatever ended the wait, nobody needs the rest of the work


def scan(text: str, custom: CustomFile | None = None) -> tuple[Finding, ...]:
    """The findings of one text, found in the caller's thread; the first call loads the engine.

    Raises DetectorFailedError, and RecognizersFileError when the customer's recognisers cannot be used.
    """
    return find_all((Text(text),), lambda: None, custom)[0]


def problems_of_recognizers(path: Path) -> tuple[str, ...]:
    """Every problem, in Russian, of a file of a customer's recognisers. His classes are tried in a process of its own: a second or two."""
    try:
        file = read_custom(path)
        if not file.has_classes:
            load_custom(file)
            return ()
        return tried(msgspec.msgpack.encode(file))
    except RecognizersFileError as error:
        return error.problems


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


def prepare(custom: CustomFile | None = None) -> None:
    """Load the engine in this process. Raises DetectorFailedError and RecognizersFileError."""
    try:
        _analyzer(custom)
    except RecognizersFileError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was, there is no detector
        raise DetectorFailedError(f"the detector cannot be loaded (`{type(error).__name__}`)") from None


def find_all(
    texts: Sequence[Text], checkpoint: Callable[[], None], custom: CustomFile | None = None
) -> list[tuple[Finding, ...]]:
    """The findings of each text, in the caller's thread. `checkpoint` is called between windows.

    Raises DetectorFailedError, and RecognizersFileError unless `prepare` has accepted the customer's recognisers.
    """
    token = _checkpoint.set(checkpoint)
    try:
        return [_find(text, _analyzer(custom)) for text in texts]
    except (UnwantedError, DetectorFailedError, RecognizersFileError):
        raise
    except Exception as error:  # noqa: BLE001 - not carried on from: it ends the call as our own error
        # Whatever went wrong, nothing is known about the texts. The cause may quote them, so only its type is kept.
        raise DetectorFailedError(f"a recogniser failed with `{type(error).__name__}`") from None
    finally:
        _checkpoint.reset(token)


def _find(text: Text, engine: AnalyzerEngine) -> tuple[Finding, ...]:
    prefix = f"{text.label}: " if text.label else ""
    shift, end = len(prefix), len(prefix) + len(text.content)
    findings = sorted(
        Finding(max(found.start, shift) - shift, found.end - shift, found.entity, found.score)
        for found in _joined(engine.analyze(text=prefix + text.content, language="ru"))
        if found.end > shift
    )
    if any(not 0 <= finding.start < finding.end <= end - shift for finding in findings):
        raise DetectorFailedError("a recogniser found something outside the text")
    return tuple(findings)


def _joined(results: Sequence[Any]) -> Sequence[Finding]:
    """Presidio's results as findings without overlaps. A customer's take nothing from ours, and are never made one with them."""
    ours: list[Finding] = []
    theirs: list[Finding] = []
    for result in results:
        kind, _, customers = result.entity_type.partition(_OF_CUSTOMER)
        finding = Finding(result.start, result.end, Entity(kind), result.score)
        (theirs if customers else ours).append(finding)
    return resolve(theirs, standing=ours) if theirs else ours


_OF_CUSTOMER = "@"
"""Stands in what we call a kind before Presidio when a customer's recogniser found it: `OTHER@contract-number`."""

_loading = threading.Lock()


def _analyzer(custom: CustomFile | None = None) -> AnalyzerEngine:
    with _loading:
        return _load_analyzer(custom)


@functools.lru_cache(maxsize=4)
def _load_analyzer(custom: CustomFile | None) -> AnalyzerEngine:
    """Presidio's engine around our recognisers and the customer's: no model, no built-in recogniser that he did not name."""
    from presidio_analyzer import (
        AnalyzerEngine,
        EntityRecognizer,
        RecognizerRegistry,
        RecognizerResult,
        pattern_recognizer,
    )
    from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    class Recognizer(EntityRecognizer):
        def __init__(self, kinds: list[str], find: Callable[[str, object], Iterable[tuple[str, Finding]]]) -> None:
            self._find = find
            super().__init__(supported_entities=kinds, supported_language="ru")

        def load(self) -> None:
            """Have nothing more to load: recognisers are ready when they come here."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: object = None) -> list[Any]:  # noqa: ARG002 - Presidio's signature
            return [
                RecognizerResult(kind, found.start, found.end, found.score)
                for kind, found in self._find(text, nlp_artifacts)
            ]

    class NoEnhancer(ContextAwareEnhancer):
        def enhance_using_context(self, text: str, raw_results: list[Any], *_: object, **__: object) -> list[Any]:  # noqa: ARG002 - as above
            return raw_results  # our recognisers weigh the context themselves, 40 to 60 characters both ways

    # A pattern of Presidio's that takes longer is passed over with a warning, and what it would have found gets out. Without this
    # limit the detector's own ends the call, and the process.
    pattern_recognizer.REGEX_TIMEOUT_SECONDS = None  # type: ignore[assignment]  # a number there; None is no limit
    names.load()
    recognizers = [Recognizer([entity.value for entity in Entity], _ours)]
    if custom is not None:
        recognizers += [
            Recognizer([_customers(*label) for label in part.labels], _theirs(part.find))
            for part in load_custom(custom, EntityRecognizer).parts
        ]
    engine = NoOpNlpEngine(models=[{"lang_code": "ru", "model_name": "none"}])
    engine.load()
    return AnalyzerEngine(
        registry=RecognizerRegistry(recognizers=recognizers, supported_languages=["ru"]),
        nlp_engine=engine,
        supported_languages=["ru"],
        context_aware_enhancer=NoEnhancer(0.0, 0.0, 0, 0),
    )


def _ours(text: str, _: object) -> Iterator[tuple[str, Finding]]:
    return ((found.entity.value, found) for found in recognize(text, _checkpoint.get()))


def _theirs(find: Find) -> Callable[[str, object], Iterator[tuple[str, Finding]]]:
    def found(text: str, artifacts: object) -> Iterator[tuple[str, Finding]]:
        for name, finding in find(text, artifacts, _checkpoint.get()):
            yield _customers(name, finding.entity), finding

    return found


def _customers(name: str, kind: Entity) -> str:
    return f"{kind}{_OF_CUSTOMER}{name}"
