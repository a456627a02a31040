"""What a streamed chunk costs end to end, and what a thousand streams that wait weigh.

Method, printed with the figures. Three processes on one machine: this client, the service as `appliance serve` runs it, and an upstream on
the loopback. A chunk: 20 streams at a time, each of 400 events that the upstream sends 4 ms apart, so that chunks come one by one and not in
bursts; the same requests with 10 events are subtracted, and what is left is divided by the events they have more. The service's CPU
is the kernel's count for its process (utime + stime of all threads). One pair of runs is one figure; the median of the pairs and their
quartiles are given. The second column is the same with a hidden name in each answer's text, which has to be restored.
Idle streams: 1000 requests whose upstream sends one event and then nothing; resident memory before, and while all of them wait.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.bench_gateway import cpu_seconds, rss_mib
from tests.e2e.running import Installed, Process

STREAMS, MANY, FEW, ROUNDS, IDLE = 20, 400, 10, 7, 1000
PLAIN, PERSONAL = "Продолжай рассказ.", "Продолжай рассказ, клиент Иванов Пётр Сергеевич."


def event(delta: dict, finish: str | None = None) -> bytes:
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


async def upstream(port_file: Path) -> None:
    """A server that sends `max_tokens` events 4 ms apart; for 1 of them, one event and then silence."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        lines = request.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        body = json.loads(await reader.readexactly(length))
        word = " [PERSON_1_M]" if "PERSON_1" in body["messages"][-1]["content"] else " слово"
        writer.write(head)
        for _ in range(body["max_tokens"]):
            writer.write(event({"content": word}))
            await writer.drain()
            await asyncio.sleep(0.004)
        if body["max_tokens"] == 1:
            await reader.read()
        writer.write(event({}, "stop") + b"data: [DONE]\n\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


async def stream(session: aiohttp.ClientSession, url: str, text: str, events: int, begun: asyncio.Semaphore) -> None:
    """Read one answer to its end, or for ever; `begun` is released at its first event of text."""
    body = {"model": "cloud/big", "messages": [{"role": "user", "content": text}], "stream": True, "max_tokens": events}
    async with session.post(f"{url}/chat/completions", json=body) as response:
        assert response.status == 200, await response.read()
        first = True
        async for line in response.content:
            if first and b'"content":" ' in line:
                begun.release()
                first = False


async def spent(pid: int, url: str, session: aiohttp.ClientSession, text: str, events: int) -> float:
    begun = asyncio.Semaphore(0)
    before = cpu_seconds(pid)
    await asyncio.gather(*(stream(session, url, text, events, begun) for _ in range(STREAMS)))
    return cpu_seconds(pid) - before


async def chunk_cost(pid: int, url: str, session: aiohttp.ClientSession, text: str) -> list[float]:
    """CPU milliseconds of one more event, a figure a round."""
    figures = []
    for _ in range(ROUNDS):
        many, few = await spent(pid, url, session, text, MANY), await spent(pid, url, session, text, FEW)
        figures.append((many - few) / (STREAMS * (MANY - FEW)) * 1000)
    return figures


async def measure(process: Process) -> None:
    pid, url = process.process.pid, f"{process.running.url}/v1"
    headers = {"Authorization": f"Bearer {process.installed.key}"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=timeout
    ) as session:
        await spent(pid, url, session, PLAIN, FEW)
        for name, text in (("без скрытых данных", PLAIN), ("с возвращаемым ФИО в каждом куске", PERSONAL)):
            figures = await chunk_cost(pid, url, session, text)
            low, middle, high = statistics.quantiles(figures, n=4)
            print(f"один кусок потока, {name}: {middle:.3f} CPU мс (квартили {low:.3f} … {high:.3f}, {ROUNDS} пар)")
        before = rss_mib(pid)
        begun = asyncio.Semaphore(0)
        waiting = [asyncio.create_task(stream(session, url, PLAIN, 1, begun)) for _ in range(IDLE)]
        for _ in range(IDLE):
            await begun.acquire()
        print(f"память: {before:.0f} МиБ, с {IDLE} молчащими потоками {rss_mib(pid):.0f} МиБ")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def main() -> None:
    print(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        server = await asyncio.create_subprocess_exec(sys.executable, __file__, "upstream", str(port_file))
        try:
            while not port_file.exists() or not port_file.read_text():
                await asyncio.sleep(0.05)
            installed = Installed(
                Path(folder), f"http://127.0.0.1:{port_file.read_text()}/v1", server="max_in_flight = 2000\n"
            )
            with Process(installed) as process:
                await measure(process)
        finally:
            server.terminate()
            await server.wait()


if __name__ == "__main__":
    asyncio.run(upstream(Path(sys.argv[2])) if sys.argv[1:2] == ["upstream"] else main())
