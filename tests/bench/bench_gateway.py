"""Floor for speed: what one request through the service costs, what it adds in latency, what the service weighs.

Method, printed with the figures. Three processes on one machine: this client (16 connections at a time), the service as
`appliance serve` runs it, and an upstream on the loopback that answers with ~200 tokens in 50 server-sent events. The service's CPU is
read from the kernel's accounting of its process (utime + stime of all threads, /proc/<pid>/stat) before and after each run, so it does
not depend on what else the machine does. Added latency is the difference of the same quantile through the service and directly to the
upstream, measured in turn in the same run. Every prompt is new (400 characters of Russian), so nothing is answered from a cache, except
in the run that says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.running import Installed, Process

CLIENTS = 16
REQUESTS = 1600
WORDS = (
    "Подготовьте краткую справку о порядке согласования договоров поставки оборудования между отделами компании и укажите сроки проверки документов "
    "юристами бухгалтерией и руководителем направления а также перечень обязательных приложений к договору"
).split()
CALM, PERSONAL = "без персональных данных", "ФИО, телефон и СНИЛС в каждом"


def prompt(number: int, *, personal: bool) -> str:
    turned = WORDS[number % len(WORDS) :] + WORDS[: number % len(WORDS)]
    head = f"Запрос {number}. "
    if personal:
        head += f"Клиент Иванов Пётр Сергеевич, телефон +7 916 {number % 900 + 100}-45-67, СНИЛС 112-233-445 95. "
    return (head + " ".join(turned * 3))[:400]


async def upstream(port_file: Path) -> None:
    """A server that answers every POST with the same fifty events."""
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [{**chunk, "choices": [{"index": 0, "delta": {"content": "ответ из слов "}, "finish_reason": None}]}] * 50
    events += [{**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    events += [{**chunk, "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 300}}]
    body = (
        b"".join(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n" for event in events)
        + b"data: [DONE]\n\n"
    )
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in request.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                await reader.readexactly(length)
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


def family(pid: int) -> list[int]:
    """The process and its children: the detector has one of its own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(child for each in children for child in family(int(each)))]


def cpu_seconds(pid: int) -> float:
    """Of the process and its children."""
    return sum(_cpu_seconds(each) for each in family(pid))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Of the process and its children."""
    lines = [line for each in family(pid) for line in Path(f"/proc/{each}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def load(url: str, key: str, prompts: list[str], *, stream: bool) -> list[float]:
    """Seconds of each request, `CLIENTS` at a time."""
    pending, latencies = iter(prompts), []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

        async def worker() -> None:
            for text in pending:
                body = {"model": "cloud/big", "messages": [{"role": "user", "content": text}], "stream": stream}
                began = time.perf_counter()
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    content = await response.read()
                    assert response.status == 200, content
                latencies.append(time.perf_counter() - began)

        await asyncio.gather(*(worker() for _ in range(CLIENTS)))
    return latencies


def quantiles(latencies: list[float]) -> tuple[float, float]:
    cut = statistics.quantiles(latencies, n=100)
    return cut[49] * 1000, cut[98] * 1000


async def stall(url: str, key: str) -> tuple[float, float]:
    """Longest answer of /livez, ms: with the service idle, then while 20 000-character prompts are inspected."""

    async def ping(session: aiohttp.ClientSession, until: asyncio.Event) -> float:
        longest = 0.0
        while not until.is_set():
            began = time.perf_counter()
            async with session.get(f"{url.removesuffix('/v1')}/livez") as response:
                await response.read()
            longest = max(longest, time.perf_counter() - began)
            await asyncio.sleep(0.002)
        return longest * 1000

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        results = []
        for prompts in (0, 20):
            until = asyncio.Event()
            pinging = asyncio.create_task(ping(session, until))
            for number in range(prompts):
                text = " ".join(prompt(1000 * number + part, personal=True) for part in range(51))[:20_000]
                body = {"model": "cloud/big", "messages": [{"role": "user", "content": text}]}
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    assert response.status == 200, await response.read()
            if not prompts:
                await asyncio.sleep(2)
            until.set()
            results.append(await pinging)
    return results[0], results[1]


async def measure(process: Process, direct: str) -> None:
    pid, url, key = process.process.pid, f"{process.running.url}/v1", process.installed.key
    await load(url, key, [prompt(10_000_000 + number, personal=False) for number in range(200)], stream=False)
    print(f"RSS после прогрева: {rss_mib(pid):.0f} МиБ (без модели)")
    print(f"{'нагрузка':52} {'CPU мс/запрос':>14} {'медиана +мс':>12} {'p99 +мс':>9} {'запросов/с':>11}")
    base = 0
    for personal, stream, repeated in (
        (False, False, False),
        (True, False, False),
        (False, True, False),
        (True, True, False),
        (False, False, True),
    ):
        base += 1_000_000
        prompts = [prompt(0 if repeated else base + number, personal=personal) for number in range(REQUESTS)]
        plain = quantiles(await load(direct, key, prompts, stream=stream))
        before, began = cpu_seconds(pid), time.perf_counter()
        through = quantiles(await load(url, key, prompts, stream=stream))
        wall, cpu = time.perf_counter() - began, cpu_seconds(pid) - before
        name = f"{PERSONAL if personal else CALM}, {'поток' if stream else 'целиком'}{', текст уже виден' if repeated else ''}"
        print(
            f"{name:52} {cpu / REQUESTS * 1000:14.2f} {through[0] - plain[0]:12.1f} {through[1] - plain[1]:9.1f} {REQUESTS / wall:11.0f}"
        )
    idle, busy = await stall(url, key)
    print(f"самый долгий ответ /livez: в покое {idle:.1f} мс, при проверке 20 запросов по 20 000 знаков {busy:.1f} мс")
    print(f"RSS в конце: {rss_mib(pid):.0f} МиБ")


async def main() -> None:
    print(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        server = await asyncio.create_subprocess_exec(sys.executable, __file__, "upstream", str(port_file))
        try:
            while not port_file.exists() or not port_file.read_text():
                await asyncio.sleep(0.05)
            direct = f"http://127.0.0.1:{port_file.read_text()}/v1"
            with Process(Installed(Path(folder), direct)) as process:
                await measure(process, direct)
        finally:
            server.terminate()
            await server.wait()


if __name__ == "__main__":
    asyncio.run(upstream(Path(sys.argv[2])) if sys.argv[1:2] == ["upstream"] else main())
