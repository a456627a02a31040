"""A law over random policies, texts, routes and failures: no route of a forbidden residency is called, and none sees what must be hidden.

What is permitted is computed here anew from the policy's table, not with the code under test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.accounting import Accounting
from appliance.auth import Principal, Pseudonyms
from appliance.dispatch import Dispatcher, RouterSettings
from appliance.errors import GatewayError
from appliance.events import Intent, decode
from appliance.gateway import Gateway
from appliance.governance import Governance
from appliance.halting import Halts
from appliance.holds import Holds
from appliance.inspector import Call, Inspector
from appliance.recorder import Recorder
from audit import AuditLog, AuditReader, LogSettings, create_kek, create_signing_key
from policies import Category, Detector, Entity, Policy, Residency, load_policy, shipped_policy_path
from providers import (
    AliasSettings,
    AuthenticationFailedError,
    ChatRequest,
    Chunk,
    ConnectionLostError,
    CredentialExpiredError,
    Directory,
    EmbeddingRequest,
    Embeddings,
    FinishReason,
    HealthBoard,
    HealthSettings,
    InterruptedStreamError,
    InvalidRequestError,
    Message,
    ProviderError,
    RateLimitedError,
    Readiness,
    Role,
    Route,
    Strategy,
    Task,
    Tool,
    ToolCall,
    UpstreamTimeoutError,
    collect,
    load_tariffs,
)
from tests.bundles import DAY, OVERSEAS, PARTNER

# Texts with what stands in them. The values are made up.
PIECES: dict[str, dict[Entity, str]] = {
    "Составь план встречи.": {},
    "Клиент Иванов Пётр Сергеевич ждёт ответа.": {Entity.PERSON: "Иванов"},
    "Телефон для связи +7 916 123-45-67.": {Entity.PHONE: "123-45-67"},
    "Почта: petrov.ivan@example.ru": {Entity.EMAIL: "petrov.ivan@example.ru"},
    "СНИЛС 112-233-445 95": {Entity.SNILS: "112-233-445"},
    "У меня диабет, что мне можно есть?": {Entity.HEALTH: "диабет"},
    "password=Xk9-Qw7rT2": {Entity.PASSWORD: "Xk9-Qw7rT2"},
}
FAILURES: tuple[type[ProviderError] | None, ...] = (
    None, RateLimitedError, ConnectionLostError, CredentialExpiredError, UpstreamTimeoutError, InvalidRequestError,
    AuthenticationFailedError, InterruptedStreamError,
)  # fmt: skip
CATEGORIES = load_policy(shipped_policy_path()).entities


class Behaviour(NamedTuple):
    residency: Residency
    failure: type[ProviderError] | None
    after_first: bool
    ready: bool
    slow: bool


class Witness:
    """A provider that keeps what it was given and looks into the log at that moment."""

    def __init__(self, name: str, behaviour: Behaviour, database: Path, kek: Path) -> None:
        self.name = name
        self.behaviour = behaviour
        self.calls: list[tuple[ChatRequest | EmbeddingRequest, Intent]] = []
        self.largest_batch = 2
        self._files = database, kek

    def readiness(self) -> Readiness:
        return Readiness(self.behaviour.ready, "asleep")

    def called(self, request: ChatRequest | EmbeddingRequest) -> None:
        """Find the one open Intent of this route that no call has been matched with yet."""
        with AuditReader.open(*self._files) as reader:
            for record in reader.entries(0, reader.size, reverse=True):
                intent = decode(record.kind, record.schema, record.body)
                mine = isinstance(intent, Intent) and intent.route.startswith(f"{self.name}/")
                if mine and intent.attempt not in {seen.attempt for _, seen in self.calls}:
                    assert intent.request_id == f"r{CURRENT[0]}", "called without an Intent"
                    self.calls.append((request, intent))
                    return
        raise AssertionError("called without an Intent")

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self.called(request)
        if self.behaviour.failure is not None:
            raise self.behaviour.failure("made to fail")
        return Embeddings(tuple((1.0,) for _ in request.texts))

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        self.called(request)
        if self.behaviour.slow:
            await asyncio.sleep(0.003)
        if self.behaviour.failure is not None and not self.behaviour.after_first:
            raise self.behaviour.failure("made to fail")
        yield Chunk(content="Сделаю: ")
        if self.behaviour.failure is not None:
            raise self.behaviour.failure("made to fail")
        yield Chunk(content=" ".join(str(message.content) for message in request.messages))
        yield Chunk(finish_reason=FinishReason.STOP)


@st.composite
def tables(draw: st.DrawFn) -> dict[tuple[Category, Residency], str]:
    return {
        (category, residency): draw(st.sampled_from(["send", "mask", "refuse"]))
        for category in Category
        for residency in Residency
    }


def policy_of(table: dict[tuple[Category, Residency], str], path: Path) -> Policy:
    lines = [
        'version = "law"',
        "[[purposes]]",
        'id = "general"',
        'title = "т"',
        'ground = "о"',
        'basis = "6.1.7"',
        'allows = ["general", "special", "biometric", "secret"]',
        "[entities]",
    ]
    lines += [f'{entity} = "{category}"' for entity, category in CATEGORIES.items()]
    for number, ((category, residency), verdict) in enumerate(table.items()):
        lines += [
            "[[rules]]",
            f'id = "r{number}"',
            f'categories = ["{category}"]',
            f'residencies = ["{residency}"]',
            f'verdict = "{verdict}"',
        ]
        lines += ['article = "а"', 'reason = "п"', 'advice = "с"']
    path.write_text(
        "\n".join(lines)
        + PARTNER.replace(', "support", "development"', "")
        + OVERSEAS.replace(', "support", "development"', ""),
        encoding="utf-8",
    )
    return load_policy(path)


def request_of(pieces: list[str]) -> ChatRequest:
    """The pieces in all sorts of places of one request."""
    places = [""] * 6
    for number, piece in enumerate(pieces):
        places[number % 6] += piece + "\n"
    return ChatRequest(
        model="",
        messages=(
            Message(Role.SYSTEM, places[0]),
            Message(Role.USER, (places[1], "и ещё")),
            Message(Role.ASSISTANT, None, tool_calls=(ToolCall("c1", "find", json.dumps({"note": places[2]})),)),
            Message(Role.TOOL, json.dumps([{"text": places[3]}], ensure_ascii=False), tool_call_id="c1"),
        ),
        tools=(Tool("find", places[4] or None, {"type": "object", "description": places[5]}),),
    )


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@asynccontextmanager
async def parts(folder: Path) -> AsyncGenerator[tuple[AuditLog, Detector, LogSettings], None]:
    log_settings = LogSettings(
        path=folder / "audit.db", kek_file=folder / "kek", signing_key_file=folder / "sign.key", origin="law.test/log"
    )
    create_kek(log_settings.kek_file)
    create_signing_key(log_settings.signing_key_file, log_settings.origin)
    async with AuditLog.open(log_settings) as log, Detector.open() as detector:
        yield log, detector, log_settings


@pytest.fixture(scope="module")
def opened(
    loop: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AuditLog, Detector, LogSettings, Path]]:
    folder = tmp_path_factory.mktemp("law")
    context = parts(folder)
    log, detector, log_settings = loop.run(context.__aenter__())
    yield log, detector, log_settings, folder
    loop.run(context.__aexit__(None, None, None))


behaviours = st.builds(
    Behaviour,
    residency=st.sampled_from(list(Residency)),
    failure=st.sampled_from(FAILURES),
    after_first=st.booleans(),
    ready=st.sampled_from([True, True, True, False]),
    slow=st.booleans(),
)
routers = st.builds(
    RouterSettings,
    strategy=st.sampled_from(Strategy),
    attempts=st.integers(1, 6),
    retries=st.integers(0, 2),
    hedge_seconds=st.sampled_from([0.0, 0.001]),
    health=st.builds(HealthSettings, failures_to_open=st.integers(1, 3)),
)
CURRENT = [0]  # the number of the example: request ids tell one example's Intents from another's


async def no_pause(_: float) -> None:
    """A pause between rounds, without the waiting."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=tables(),
    pieces=st.lists(st.sampled_from(sorted(PIECES)), min_size=1, max_size=6, unique=True),
    routes=st.lists(behaviours, min_size=1, max_size=4),
    router=routers,
    vectors=st.booleans(),
    stream=st.booleans(),
    data=st.data(),
)
def test_no_forbidden_residency_is_called_and_no_hidden_value_leaves(
    loop, opened, *, table, pieces, routes, router, vectors, stream, data
) -> None:
    log, detector, log_settings, folder = opened
    CURRENT[0] += 1
    providers = {
        f"p{number}": Witness(f"p{number}", behaviour, log_settings.path, log_settings.kek_file)
        for number, behaviour in enumerate(routes)
    }
    policy = policy_of(table, folder / "policy.toml")
    known = tuple(
        Route(
            provider=name,
            model="m",
            upstream="m",
            residency=each.behaviour.residency,
            country="US" if each.behaviour.residency is Residency.FOREIGN else "RU",
            recipient="overseas" if each.behaviour.residency is Residency.FOREIGN else "partner",
            task=Task.EMBEDDING if vectors else Task.CHAT,
        )
        for name, each in providers.items()
    )
    chain = data.draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    governance = Governance(policy, today=lambda: DAY)
    recorder = Recorder(log, governance, detector.version)
    gateway = Gateway(
        inspector=Inspector(governance, detector, Pseudonyms(b"k" * 32)),
        recorder=recorder,
        holds=Holds(recorder, 1.0),
        halts=Halts(governance),
        dispatcher=Dispatcher(router, HealthBoard([route.id for route in known], router.health), pause=no_pause),
        accounting=Accounting(load_tariffs(None), dict.fromkeys(providers, "testing")),
        directory=Directory(known, (AliasSettings("chain", tuple(route.id for route in chain)),)),
        providers=providers,
    )
    names = [
        "auto",
        "auto:cheap",
        "auto:fast",
        "auto:round-robin",
        "chain",
        *providers,
        *(f"{name}/m" for name in providers),
    ]
    asked = data.draw(st.sampled_from(names))
    pinned = data.draw(st.sampled_from([None, None, None, "chain"]))
    principal = Principal("k", "a", frozenset({"general"}), "general", pinned)
    original = request_of(pieces)

    async def ask() -> str | None:
        try:
            if vectors:
                request = EmbeddingRequest("", tuple(pieces))
                await gateway.embed(principal, Call(f"r{CURRENT[0]}", asked, request, b"raw"))
                return None
            answer = await gateway.chat(principal, Call(f"r{CURRENT[0]}", asked, original, b"raw", stream=stream))
            async with aclosing(answer.chunks):
                return (await collect(answer.chunks)).content
        except (GatewayError, ProviderError):
            return None
        finally:
            await gateway.settle()

    said = loop.run(ask())

    present = {entity: value for piece in pieces for entity, value in PIECES[piece].items()}
    calls = [(name, request, intent) for name, provider in providers.items() for request, intent in provider.calls]
    if pinned:
        assert {name for name, _, _ in calls} <= {route.provider for route in chain}
    for name, request, intent in calls:
        verdicts = {entity: table[CATEGORIES[entity], providers[name].behaviour.residency] for entity in present}
        assert "refuse" not in verdicts.values()
        assert (intent.route, intent.residency) == (f"{name}/m", providers[name].behaviour.residency)
        sent = json.dumps(msgspec.to_builtins(request), ensure_ascii=False)
        for entity, value in present.items():
            if verdicts[entity] == "mask":
                assert value not in sent
    assert len({intent.attempt for _, _, intent in calls}) == len(calls)
    if said is not None:
        assert said == "Сделаю: " + " ".join(str(message.content) for message in original.messages)
