"""What each adapter costs above a raw aiohttp call, for a whole answer of fifty pieces sent at once.

Method: the upstream is a process of its own that answers every request on a path with the same bytes, taken from the fakes that the vendors'
clients accept; tokens are granted for half an hour and an Ollama's models are looked at once, so both are outside of what is measured. In
turn, raw and adapter, CALLS calls each: CPU time of this process. `collect` is in the adapter's time, a bare read of the bytes in the other.

Run from the repository's root: python tests/bench/providers/bench_adapters.py
"""

import asyncio
import base64
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import aiohttp

from providers import (
    ChatRequest,
    GigaChatSettings,
    Message,
    ModelSettings,
    OllamaSettings,
    OpenAICompatibleSettings,
    Residency,
    Role,
    YandexGPTSettings,
    collect,
    open_provider,
)
from tests.providers.fakes import gigachat_server, ollama_server, openai_server, yandex_server

CALLS, ROUNDS = 200, 9
PIECES = ["слово и ещё "] * 50
REQUEST = ChatRequest(model="m", messages=(Message(Role.USER, "Договор поставки необходимо подписать до пятницы."),))
SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"


def sse(documents: list) -> bytes:
    return b"".join(map(openai_server.event, [*documents, "[DONE]"]))


ANSWERS = {
    "/openai/v1/chat/completions": (SSE, sse(openai_server.says(*PIECES))),
    "/gigachat/v1/chat/completions": (SSE, gigachat_server.stream_bytes([*gigachat_server.says(*PIECES), "[DONE]"])),
    "/gigachat/oauth": (
        JSON,
        json.dumps({"access_token": "t", "expires_at": int((time.time() + 1800) * 1000)}).encode(),
    ),
    "/ollama/api/chat": (NDJSON, b"".join(ollama_server.written(each) + b"\n" for each in ollama_server.says(*PIECES))),
    "/ollama/api/show": (JSON, json.dumps({"details": {}, "model_info": {}, "capabilities": ["completion"]}).encode()),
    "/ollama/api/tags": (JSON, json.dumps({"models": [{"name": "m:latest", "model": "m:latest"}]}).encode()),
    "/yandex/completion": (JSON, yandex_server.stream_bytes(yandex_server.says(*PIECES))),
    "/yandex-openai/chat/completions": (SSE, sse(openai_server.says(*PIECES))),
}


async def serve(port: "multiprocessing.connection.Connection") -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                length = next(
                    (int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")), 0
                )
                await reader.readexactly(length)
                kind, body = ANSWERS[lines[0].split()[1]]
                writer.write(
                    f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def serving(port: "multiprocessing.connection.Connection") -> None:
    asyncio.run(serve(port))


def settings_of(folder: Path, origin: str) -> dict:
    """Name → settings of a provider and the path its prompts go to."""
    (folder / "giga").write_text(base64.b64encode(b"client:secret").decode())
    (folder / "yandex").write_text("AQVNsynthetic")
    local, ru = (ModelSettings("m", residency) for residency in (Residency.LOCAL, Residency.RU))
    yandex = {"folder_id": "b1gexample", "api_key_file": str(folder / "yandex"), "models": (ru,)}
    return {
        "openai_compatible": (
            OpenAICompatibleSettings(name="o", models=(local,), base_url=f"{origin}/openai/v1"),
            "/openai/v1/chat/completions",
        ),
        "gigachat": (
            GigaChatSettings(
                name="g",
                models=(ru,),
                credentials_file=str(folder / "giga"),
                base_url=f"{origin}/gigachat/v1",
                auth_url=f"{origin}/gigachat/oauth",
            ),
            "/gigachat/v1/chat/completions",
        ),
        "ollama": (OllamaSettings(name="l", models=(local,), base_url=f"{origin}/ollama"), "/ollama/api/chat"),
        "yandexgpt, native": (YandexGPTSettings(name="y", base_url=f"{origin}/yandex", **yandex), "/yandex/completion"),
        "yandexgpt, compatible": (
            YandexGPTSettings(name="c", api="openai", base_url=f"{origin}/yandex-openai", **yandex),
            "/yandex-openai/chat/completions",
        ),
    }


async def raw(url: str) -> float:
    """The least anyone would do: send, and take the bytes as they come."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 50}], "stream": True}).encode()
    async with aiohttp.ClientSession() as session:
        for count in (5, CALLS):
            began = time.process_time()
            for _ in range(count):
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                    while await response.content.readany():
                        pass
        return (time.process_time() - began) / CALLS * 1000


async def adapter(settings: object) -> float:
    async with open_provider(settings) as provider:
        for count in (5, CALLS):
            began = time.process_time()
            for _ in range(count):
                answer = await collect(provider.chat(REQUEST))
        assert answer.content is not None and answer.content.startswith(PIECES[0])
        return (time.process_time() - began) / CALLS * 1000


async def measure(origin: str, folder: Path) -> None:
    print(f"{'adapter':24} {'raw, CPU ms':>12} {'added: median':>14} {'quartiles':>18}   goal 0.5")
    for name, (settings, path) in settings_of(folder, origin).items():
        pairs = [(await raw(origin + path), await adapter(settings)) for _ in range(ROUNDS)]
        low, middle, high = statistics.quantiles([ours - plain for plain, ours in pairs], n=4)
        plain = statistics.median(plain for plain, _ in pairs)
        print(f"{name:24} {plain:12.3f} {middle:14.3f} {low:8.3f} … {high:.3f}")


def main() -> None:
    print(__doc__)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serving, args=(sender,), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(f"http://127.0.0.1:{receiver.recv()}", Path(folder)))
    server.terminate()
    server.join()


if __name__ == "__main__":
    main()
