"""What the adapter costs above a raw aiohttp call: CPU time of this process, the server in another one.

The streaming server pauses between chunks, so that each chunk is one read on both sides: sent in a burst they coalesce,
and more so for the slower reader, which makes the difference of the two meaningless. The bench prints the reads it saw.

Run from the repository's root: python tests/bench/providers/bench_openai_compatible.py
"""

import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import aiohttp

from providers import (
    ChatRequest,
    Message,
    ModelSettings,
    OpenAICompatibleSettings,
    Residency,
    Role,
    open_provider,
)
from tests.providers.fakes.openai_server import OpenAIServer, answers, says, sends

READS = {}  # of the last stream: reads of the raw client, chunks of the adapter
CALLS = 300
CHUNKS = 300
STREAMS = 2
ROUNDS = 15
PAUSE = 0.002  # seconds between chunks
REQUEST = ChatRequest(model="m", messages=(Message(Role.USER, "Договор поставки необходимо подписать до пятницы."),))
COMPLETION = {
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "да " * 100}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


def serve(scenario_name, port):
    async def main():
        if scenario_name == "completion":
            scenario = answers(200, COMPLETION)
        else:
            events = [
                f"data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()
                for document in says(*["слово "] * CHUNKS)
            ]
            scenario = sends(*events, b"data: [DONE]\n\n", pause=PAUSE)
        async with OpenAIServer(scenario).running() as server:
            port.send(server.base_url)
            await asyncio.Event().wait()

    asyncio.run(main())


async def raw(url, calls, body):
    async with aiohttp.ClientSession() as session:
        READS["raw"] = await _raw_once(session, url, body)
        start = time.process_time()
        for _ in range(calls):
            await _raw_once(session, url, body)
        return (time.process_time() - start) / calls


async def _raw_once(session, url, body):
    """The least anyone would do: send, and take the bytes as they come."""
    async with session.post(
        f"{url}/chat/completions", data=body, headers={"Content-Type": "application/json"}
    ) as response:
        reads = 0
        while await response.content.readany():
            reads += 1
        return reads


async def adapter(url, calls):
    settings = OpenAICompatibleSettings(name="b", models=(ModelSettings("m", Residency.LOCAL),), base_url=url)
    async with open_provider(settings) as provider:
        READS["adapter"] = len([chunk async for chunk in provider.chat(REQUEST)])
        start = time.process_time()
        for _ in range(calls):
            async for _chunk in provider.chat(REQUEST):
                pass
        return (time.process_time() - start) / calls


async def compare(name, calls):
    receiver, sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serve, args=(name, sender), daemon=True)
    server.start()
    url = receiver.recv()
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 50}], "stream": True}).encode()
    pairs = [(await raw(url, calls, body), await adapter(url, calls)) for _ in range(ROUNDS)]
    server.terminate()
    server.join()
    return [(plain * 1000, ours * 1000) for plain, ours in pairs]


def report(pairs, per):
    """Median and quartiles of the paired differences, and the difference of the two minima (least disturbed)."""
    low, middle, high = statistics.quantiles([(ours - plain) / per for plain, ours in pairs], n=4)
    least = (min(ours for _, ours in pairs) - min(plain for plain, _ in pairs)) / per
    return f"median {middle:.4f}, quartiles {low:.4f} to {high:.4f}, between the minima {least:.4f}"


def main():
    print(f"CPU ms of the client process added to raw aiohttp; {ROUNDS} rounds, raw and adapter in turn")
    print(f"one call, whole completion (goal 0.5): {report(asyncio.run(compare('completion', CALLS)), 1)}")
    print(f"one chunk of a paced stream (goal 0.03): {report(asyncio.run(compare('stream', STREAMS)), CHUNKS)}")
    print(f"the last stream came in {READS['raw']} reads to raw, {READS['adapter']} chunks to the adapter")
    print("where the quartiles stand on both sides of a goal, this run does not decide it: use a quiet machine")


if __name__ == "__main__":
    main()
