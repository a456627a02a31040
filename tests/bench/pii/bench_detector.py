"""What detection costs: CPU per 1 000 characters, the event loop's longest stall, time to open, memory.

Run: `python tests/bench/pii/bench_detector.py`. Prints how each figure was measured; a shared machine makes wall time twice
as long at times, so CPU time of the process and medians of several runs are what to compare. With the path of a labelled set
(`text` in each line of a JSONL file) as the argument, its texts are used instead of the synthetic ones.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
import time
from pathlib import Path

import msgspec

from policies import Detector, DetectorSettings, Text
from policies.detector import find_all, prepare

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.bench.bench_gateway import family, rss_mib

LETTER = (
    "Здравствуйте! Меня зовут Петрова Анна Сергеевна, 05.05.1987 г.р., паспорт 4510 123456, СНИЛС 112-233-445 95. "
    "Звоните 8 (912) 345-67-89 или пишите на a.petrova@example.ru. Прошу перевести остаток на счёт 40817810099910004312, "
    "ИНН 500100732259. Договор подписан в прошлом месяце, вопросов к качеству работ нет, но акт до сих пор не закрыт. "
)
PROSE = (
    "Составь план внедрения новой системы учёта на полгода с бюджетом в три миллиона рублей. Учти, что отдел разработки занят "
    "до конца квартала, а склад переезжает в другое здание. Нужны этапы, ответственные, риски и способы их снизить. "
)
RUNS = 7


def memory() -> float:
    """The process's peak resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def texts() -> dict[str, list[str]]:
    if len(sys.argv) > 1:
        decode = msgspec.json.Decoder(dict).decode
        lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
        return {"labelled set": [str(decode(line)["text"]) for line in lines]}
    return {"letters full of data": [(LETTER * 3)[:1000]] * 50, "plain prose": [(PROSE * 5)[:1000]] * 50}


def detection(contents: list[str]) -> float:
    """Median CPU ms per 1 000 characters over RUNS runs, in this very process."""
    texts = [Text(content) for content in contents]
    costs = []
    for _ in range(RUNS):
        start = time.process_time()
        find_all(texts, lambda: None)
        costs.append((time.process_time() - start) * 1e6 / sum(map(len, contents)))
    return statistics.median(costs)


async def asking(detector: Detector, contents: list[str], *, seen: bool) -> float:
    """Median CPU ms per 1 000 characters that asking costs the service's process; each run asks for all texts in one call."""
    costs = []
    for run in range(RUNS):
        # A label that is new in each run makes every text unknown to the memory.
        batch = [Text(content, "" if seen else f"run {run} {number}") for number, content in enumerate(contents)]
        if seen:
            await detector.detect(batch)
        start = time.process_time()
        await detector.detect(batch)
        costs.append((time.process_time() - start) * 1e6 / sum(map(len, contents)))
    return statistics.median(costs)


async def stall(detector: Detector, content: str, label: str) -> tuple[float, float]:
    """The longest time by which a ticker on the loop (every 1 ms) came late while `content` was detected; and how long that took."""
    worst, running = 0.0, True

    async def tick() -> None:
        nonlocal worst
        while running:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - start - 0.001)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    worst = 0.0
    start = time.perf_counter()
    await detector.detect([Text(content, label)])
    took = time.perf_counter() - start
    running = False
    await ticker
    return worst * 1000, took * 1000


async def main() -> None:
    start = time.perf_counter()
    async with Detector.open(DetectorSettings(timeout_ms=60_000)) as detector:
        print(f"open: {time.perf_counter() - start:.2f} s wall")
        await detector.detect([Text("прогрев")])
        (_, worker) = family(os.getpid())
        print(f"memory: {rss_mib(worker):.0f} MiB the detector's process, {memory():.0f} this one")
        for name, contents in texts().items():
            new, seen = await asking(detector, contents, seen=False), await asking(detector, contents, seen=True)
            print(f"{name}: asking costs the service {new:.3f} CPU ms per 1 000 characters, {seen:.4f} if seen before")
        for size in (1_000, 20_000, 200_000):
            content = (LETTER * (size // len(LETTER) + 1))[:size]
            stalls = [await stall(detector, content, f"stall {size} {run}") for run in range(RUNS)]
            print(
                f"{size} characters: longest loop stall {max(late for late, _ in stalls):.1f} ms, median"
                f" {statistics.median(late for late, _ in stalls):.1f} ms; answer in {statistics.median(took for _, took in stalls):.0f} ms wall"
            )
    before, start = memory(), time.process_time()
    prepare()
    print(f"loading costs {time.process_time() - start:.2f} CPU s and {memory() - before:.0f} MiB")
    for name, contents in texts().items():
        print(f"{name}: detection itself {detection(contents):.2f} CPU ms per 1 000 characters (median of {RUNS})")


if __name__ == "__main__":
    asyncio.run(main())
