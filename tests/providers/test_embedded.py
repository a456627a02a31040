import asyncio
import io
import os
import tempfile
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from providers import (
    ChatRequest,
    EmbeddedSettings,
    FinishReason,
    Message,
    ModelLoadingError,
    ModelSettings,
    Residency,
    Role,
    collect,
    engine,
    open_provider,
    weights,
)
from providers.embedded import cpu_problem
from providers.engine import EngineOrder, EngineReport

MODEL = Path(os.environ.get("TEST_MODEL") or Path(__file__).parents[2] / "var/models" / weights.SPECS["test"].file_name)
HERE = MODEL.is_file()
with_model = pytest.mark.skipif(
    not HERE, reason="no test model: set TEST_MODEL, or fetch the weights `test` into var/models"
)


def settings(path, **fields):
    return EmbeddedSettings(name="e", models=(ModelSettings("m", Residency.LOCAL),), model_file=str(path), **fields)


def request(text="Say hello.", **fields):
    return ChatRequest(model="m", messages=(Message(Role.USER, text),), **fields)


async def settled(provider):
    """The first readiness that is not "starting"."""
    while not provider.readiness().ready and provider.readiness().retry_after is not None:
        await asyncio.sleep(0.01)
    return provider.readiness()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "не читается"),
        (b"", "не файл GGUF"),
        (b"<html>not found</html>", "не файл GGUF"),
        (b"GGUF" + bytes(100), "не загружается"),
    ],
)
async def test_a_model_file_that_cannot_be_used_fails_this_provider_and_nothing_else(tmp_path, content, reason):
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    async with open_provider(settings(path)) as provider:
        first = provider.readiness()
        assert (first.ready, first.retry_after) == (False, 5.0)
        with pytest.raises(ModelLoadingError) as caught:
            await collect(provider.chat(request()))
        assert (caught.value.retry_after, caught.value.failover) == (5.0, True)
        assert reason in (await settled(provider)).reason
        with pytest.raises(ModelLoadingError, match=reason) as caught:
            await collect(provider.chat(request()))
        assert caught.value.retry_after is None


async def test_an_engine_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("providers.embedded.find_spec", lambda name: None)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    async with open_provider(settings(path)) as provider:
        assert "не установлен" in (await settled(provider)).reason


async def test_closing_while_it_is_loading_leaves_no_process(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    async with open_provider(settings(path)) as provider:
        await asyncio.sleep(0.05)
    assert provider.readiness() == type(provider.readiness())(False, "встроенный движок остановлен")


def test_a_processor_without_avx2_is_named_before_it_kills_the_process():
    assert cpu_problem("processor : 0\nflags\t\t: fpu sse4_2 avx avx2 fma\n") == ""
    assert "AVX2" in cpu_problem("processor : 0\nflags\t\t: fpu sse4_2 avx\n")
    assert "AVX2" in cpu_problem("processor : 0\nFeatures : asimd avx2ish\n")


def order(path, folder):
    return EngineOrder(
        socket=str(folder / "engine.sock"),
        model_file=str(path),
        alias="m",
        api_key="k",
        n_ctx=512,
        n_parallel=1,
        n_threads=1,
    )


def test_the_engine_reports_a_model_that_it_cannot_load(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    reports = io.BytesIO()
    engine.main(io.BytesIO(msgspec.json.encode(order(path, tmp_path)) + b"\n"), reports)
    assert msgspec.json.decode(reports.getvalue(), type=EngineReport) == EngineReport(listens=False)


@with_model
def test_the_engine_serves_until_its_orders_end_and_prints_no_prompt(capfd, tmp_path):
    import http.client
    import socket

    class Orders(io.BytesIO):
        def read(self, *_):
            assert msgspec.json.decode(reports.getvalue(), type=EngineReport).listens
            connection = http.client.HTTPConnection("engine")
            message = {"role": "user", "content": "a synthetic prompt"}
            body = msgspec.json.encode({"messages": [message], "max_tokens": 3})
            for key, answers in (("k", answered), ("wrong", refused)):
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(str(tmp_path / "engine.sock"))
                connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
                reply = connection.getresponse()
                answers.append((reply.status, reply.read()))
                connection.close()
            return b""

    reports, answered, refused = io.BytesIO(), [], []
    engine.main(Orders(msgspec.json.encode(order(MODEL, tmp_path)) + b"\n"), reports)
    assert answered[0][0] == 200
    assert refused[0][0] == 401
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


@with_model
async def test_a_real_model_answers_streams_and_counts():
    async with open_provider(settings(MODEL, n_ctx=1024)) as provider:
        assert (await settled(provider)).ready
        pieces = [piece async for piece in provider.chat(request(max_tokens=8, temperature=0.0, seed=1))]
        assert len([piece for piece in pieces if piece.content]) > 1
        response = await collect(provider.chat(request(max_tokens=8, temperature=0.0, seed=1)))
        assert response.content == "".join(piece.content for piece in pieces)
        assert response.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)
        assert response.usage.prompt_tokens > 0
        assert response.usage.completion_tokens <= 8
    assert not provider.readiness().ready
    with pytest.raises(ModelLoadingError):
        await collect(provider.chat(request()))


@with_model
async def test_a_reader_that_leaves_frees_the_engine_for_the_next():
    async with open_provider(settings(MODEL, n_ctx=1024, n_parallel=1)) as provider:
        await settled(provider)
        async with aclosing(provider.chat(request("Count to one hundred."))) as stream:
            await anext(stream)
        assert (await collect(provider.chat(request(max_tokens=4)))).usage.completion_tokens <= 4


@with_model
async def test_an_engine_that_dies_is_started_again():
    async with open_provider(settings(MODEL, n_ctx=512)) as provider:
        await settled(provider)
        os.kill(provider.process_id, 9)
        while provider.readiness().ready:
            await asyncio.sleep(0.01)
        with pytest.raises(ModelLoadingError) as caught:
            await collect(provider.chat(request()))
        assert caught.value.retry_after > 0
        assert (await settled(provider)).ready
        assert (await collect(provider.chat(request(max_tokens=2)))).usage.completion_tokens <= 2


@with_model
async def test_nobody_else_on_the_machine_can_reach_the_engine_and_it_leaves_no_socket(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with open_provider(settings(MODEL, n_ctx=512)) as provider:
        await settled(provider)
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [each.name for each in folder.iterdir()] == ["engine.sock"]
        descriptors = Path(f"/proc/{provider.process_id}/fd").iterdir()
        sockets = {link[8:-1] for each in descriptors if (link := str(each.readlink())).startswith("socket:")}
        ports = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        assert sockets
        assert not sockets & {line.split()[9] for line in ports.splitlines()}
    assert not list(tmp_path.iterdir())
