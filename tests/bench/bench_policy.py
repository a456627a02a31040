"""What a decision costs, and what it costs to bring another policy into force.

Method, printed with the figures. CPU is `time.process_time`, one thread; each figure is the median of the rounds. Nothing is asserted.
Decision: `evaluate` under the shipped policy with cards filled in, 20 kinds found, five destinations: two in Russia, two local, one abroad.
Loading: the shipped policy with 250 purposes more and four rules for each, a thousand rules; read, checked and compiled off the event loop,
as a reload does, while a ticker in the loop asks for a millisecond's sleep and notes how much longer it took. For comparison the same ticker
beside a thread that only computes as long: what is left of the stall is Python's, not the policy's.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from policies import Context, Destination, Entity, Residency, evaluate, load_policy, shipped_policy_path

ROUNDS, CALLS, PURPOSES = 9, 3000, 250
DAY = date(2026, 11, 23)
CLAUSES = [
    "data",
    "operations",
    "purposes",
    "confidentiality",
    "localisation",
    "duties",
    "proof",
    "protection",
    "incidents",
]
PURPOSE = """
[[purposes]]
id = "desk-{number}"
title = "Стол {number}"
basis = "6.1.5"
ground = "Договор"
allows = ["general", "special", "biometric", "secret"]
"""
RULE = """
[[rules]]
id = "desk-{number}-{kind}-{where}"
categories = ["{kind}"]
residencies = ["{where}"]
verdict = "refuse"
purposes = ["desk-{number}"]
article = "152-ФЗ, ст. 5"
reason = "Стол {number} работает только с локальной моделью."
advice = "Выберите локальную модель."
"""


def with_cards(folder: Path) -> None:
    """The cards of recipients filled in, so that nothing is closed before the rules are asked."""
    path = folder / "recipients.toml"
    text = path.read_text(encoding="utf-8").replace('status = "draft"', 'status = "active"')
    dated = 'contract = "1"\nvalid_from = 2026-01-01\nvalid_until = 2027-01-01'
    text = text.replace('contract = ""', dated).replace("clauses = []", f"clauses = {CLAUSES}")
    path.write_text(text, encoding="utf-8")


def with_rules(folder: Path) -> None:
    """A thousand rules before those that are shipped: each decides a cell of its own."""
    purposes, rules = folder / "purposes.toml", folder / "rules.toml"
    more = "".join(PURPOSE.format(number=number) for number in range(PURPOSES))
    purposes.write_text(purposes.read_text(encoding="utf-8") + more, encoding="utf-8")
    cells = [(kind, where) for kind in ("general", "secret") for where in ("ru", "foreign")]
    first = "".join(
        RULE.format(number=number, kind=kind, where=where) for number in range(PURPOSES) for kind, where in cells
    )
    rules.write_text(first + rules.read_text(encoding="utf-8"), encoding="utf-8")


def cpu(work: Callable[[], object], calls: int) -> float:
    """CPU seconds of one call: the median of the rounds."""
    figures = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(calls):
            work()
        figures.append((time.process_time() - began) / calls)
    return statistics.median(figures)


async def stall(work: Callable[[], object]) -> float:
    """The longest delay of the event loop, in seconds, while `work` runs in a thread."""
    over, longest = False, 0.0

    async def tick() -> None:
        nonlocal longest
        while not over:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.to_thread(work)
    over = True
    await ticking
    return longest


def computes(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(1000))


def main() -> None:
    print(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "policy"
        shutil.copytree(shipped_policy_path(), folder)
        with_cards(folder)
        policy = load_policy(folder)
        found = dict.fromkeys(list(Entity)[:20], 1)
        destinations = [
            Destination("sber", Residency.RU, "RU", "sber"),
            Destination("yandex", Residency.RU, "RU", "yandex"),
            Destination("one", Residency.LOCAL),
            Destination("two", Residency.LOCAL),
            Destination("abroad", Residency.FOREIGN, "US", "nobody"),
        ]
        context = Context("general", DAY)
        decided = evaluate(policy, found, context, destinations)
        said = ", ".join(f"{route}: {ruling.verdict}" for route, ruling in decided.rulings.items())
        once = cpu(lambda: evaluate(policy, found, context, destinations), CALLS)
        print(f"решение, 20 видов данных, 5 маршрутов ({said}): {once * 1e6:.0f} CPU мкс")

        with_rules(folder)
        many = load_policy(folder)
        loading = cpu(lambda: load_policy(folder), 1)
        print(f"прочитать и проверить политику, правил {len(many.rules)}: {loading * 1e3:.0f} CPU мс")
        again = cpu(lambda: evaluate(many, found, Context("desk-7", DAY), destinations), CALLS)
        print(f"  решение под нею: {again / once:.2f} от обычного")
        for name, work in (
            ("пока она читается", lambda: load_policy(folder)),
            ("пока поток просто считает", lambda: computes(loading)),
        ):
            stalls = [asyncio.run(stall(work)) for _ in range(ROUNDS)]
            print(f"  самая долгая задержка цикла, {name}: медиана {statistics.median(stalls) * 1e3:.1f} мс")


if __name__ == "__main__":
    main()
