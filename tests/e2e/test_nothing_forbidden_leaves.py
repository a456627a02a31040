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

from appliance.auth import Principal, Pseudonyms
from appliance.errors import GatewayError
from appliance.events import Intent, decode
from appliance.gateway import Call, Gateway
from audit import AuditLog, AuditReader, LogSettings, create_kek, create_signing_key
from policies import Category, Detector, Entity, Policy, Residency, load_policy, shipped_policy_path
from providers import (
    AuthenticationFailedError,
    ChatRequest,
    Chunk,
    ConnectionLostError,
    CredentialExpiredError,
    FinishReason,
    InterruptedStreamError,
    InvalidRequestError,
    Message,
    ProviderError,
    RateLimitedError,
    Readiness,
    Role,
    Route,
    Tool,
    ToolCall,
    UpstreamTimeoutError,
    collect,
)

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
SHIPPED = shipped_policy_path().read_text(encoding="utf-8")
CATEGORIES = load_policy(shipped_policy_path()).entities


class Behaviour(NamedTuple):
    residency: Residency
    failure: type[ProviderError] | None
    after_first: bool
    ready: bool


class Recorder:
    """A provider that keeps what it was given and looks into the log at that moment."""

    def __init__(self, name: str, behaviour: Behaviour, database: Path, kek: Path) -> None:
        self.name = name
        self.behaviour = behaviour
        self.calls: list[tuple[ChatRequest, Intent]] = []
        self._files = database, kek

    def readiness(self) -> Readiness:
        return Readiness(self.behaviour.ready, "asleep")

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        with AuditReader.open(*self._files) as reader:
            record = reader.entry(reader.size - 1)
        intent = decode(record.kind, record.schema, record.body)
        assert isinstance(intent, Intent), "called without an Intent"
        self.calls.append((request, intent))
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
        'article = "с"',
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
    path.write_text("\n".join(lines), encoding="utf-8")
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
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=tables(),
    pieces=st.lists(st.sampled_from(sorted(PIECES)), min_size=1, max_size=6, unique=True),
    routes=st.lists(behaviours, min_size=1, max_size=4),
    data=st.data(),
)
def test_no_forbidden_residency_is_called_and_no_hidden_value_leaves(loop, opened, table, pieces, routes, data) -> None:
    log, detector, log_settings, folder = opened
    providers = {
        f"p{number}": Recorder(f"p{number}", behaviour, log_settings.path, log_settings.kek_file)
        for number, behaviour in enumerate(routes)
    }
    gateway = Gateway(
        policy=policy_of(table, folder / "policy.toml"),
        detector=detector,
        log=log,
        routes=tuple(
            Route(provider=name, model="m", upstream="m", residency=each.behaviour.residency)
            for name, each in providers.items()
        ),
        providers=providers,
        pseudonyms=Pseudonyms(b"k" * 32),
    )
    asked = data.draw(st.sampled_from(["auto", *providers, *(f"{name}/m" for name in providers)]))
    original = request_of(pieces)
    call = Call(request_id="r1", model=asked, request=original, raw=b"raw")

    async def ask() -> str | None:
        try:
            answer = await gateway.chat(Principal("k", "a", frozenset({"general"}), "general"), call)
            async with aclosing(answer.chunks):
                return (await collect(answer.chunks)).content
        except (GatewayError, ProviderError):
            return None
        finally:
            await gateway.settle()

    said = loop.run(ask())

    present = {entity: value for piece in pieces for entity, value in PIECES[piece].items()}
    calls = [(name, request, intent) for name, provider in providers.items() for request, intent in provider.calls]
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
