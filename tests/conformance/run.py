"""LangChain's standard suites: straight at a scripted OpenAI upstream, then through the appliance to every provider in turn.

What passes straight must pass through every provider, except for what `expectations` says is impossible. Prints a table, every skip and
every failure with its reason; exits with 1 when a provider falls short. Ten of the sixty (`TestUnit`) ask no upstream. Arguments: the suite's Python, then providers, if not all.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from appliance.events import Intent
from tests.conformance.expectations import IMPOSSIBLE, Impossible
from tests.conformance.upstreams import MODEL, UPSTREAMS, Upstream, openai_compatible
from tests.e2e.running import Installed, Process

ENDS = ("passed", "failed", "skipped")
ENOUGH = 51  # of 60
SUITE = Path(__file__).with_name("langchain_suite.py")
PYTEST = (
    "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--no-header", "--disable-socket", "--allow-hosts=127.0.0.1", "--allow-unix-socket",
    "-o", "asyncio_mode=auto",
    # One event loop for all tests: the client keeps connections, and those of a loop that is gone cannot be used.
    "-o", "asyncio_default_test_loop_scope=session", "-o", "asyncio_default_fixture_loop_scope=session",
)  # fmt: skip


class Result(NamedTuple):
    """How one test ended: `passed`, `failed` or `skipped`, and why."""

    ended: str
    reason: str = ""


Results = dict[str, Result]


class Through(NamedTuple):
    """One run through the appliance: its results, and the routes that its log says prompts were sent by."""

    results: Results
    routes: set[str]


def main(python: str, chosen: list[str]) -> int:
    if unknown := [name for name in chosen if name not in UPSTREAMS]:
        sys.exit(f"no such provider: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        straight, runs = asyncio.run(every_run(python, Path(folder), chosen or list(UPSTREAMS)))
    faults = {name: faults_of(run, straight, IMPOSSIBLE[name]) for name, run in runs.items()}
    print(report(straight, {name: run.results for name, run in runs.items()}, faults))
    return 1 if any(faults.values()) else 0


async def every_run(python: str, folder: Path, names: list[str]) -> tuple[Results, dict[str, Through]]:
    """The results straight at the upstream, and the run through each provider."""
    async with openai_compatible(folder) as upstream:
        straight = await asyncio.to_thread(suite, python, upstream.address, "any", MODEL)
    runs = {}
    for name in names:
        home = folder / name
        home.mkdir()
        async with UPSTREAMS[name](home) as upstream:
            runs[name] = await asyncio.to_thread(through_the_appliance, python, home, upstream)
    return straight, runs


def through_the_appliance(python: str, home: Path, upstream: Upstream) -> Through:
    installed = Installed(home, extra=upstream.settings)
    with Process(installed) as process:
        results = suite(python, f"{process.running.url}/v1", installed.key, MODEL)
    return Through(results, {event.route for event in installed.events(Intent) if isinstance(event, Intent)})


def suite(python: str, url: str, key: str, model: str) -> Results:
    """Every test of the suite against one address."""
    environment = {**os.environ, "CONFORMANCE_URL": url, "CONFORMANCE_KEY": key, "CONFORMANCE_MODEL": model}
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "results.xml"
        command = [python, "-m", "pytest", str(SUITE), *PYTEST, "--benchmark-disable", f"--junitxml={written}"]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
        if not written.exists():
            sys.exit(f"the suite did not run:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
        cases = ET.parse(written).iter("testcase")  # noqa: S314  (our own pytest wrote it a moment ago)
        return {
            f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}": result_of(case) for case in cases
        }


def result_of(case: ET.Element) -> Result:
    for kind, ended in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        if (found := case.find(kind)) is not None:
            return Result(ended, " ".join(found.get("message", "").split())[:160])
    return Result("passed")


def faults_of(run: Through, straight: Results, impossible: dict[str, Impossible]) -> list[str]:
    """What is wrong with a provider's run, in words."""
    results, routes = run
    # Otherwise another provider answered in place of this one, or nobody was asked at all.
    faults = [] if routes == {MODEL} else [f"prompts went by {sorted(routes)}, not by {MODEL}"]
    for name, expected in straight.items():
        result = results.get(name, Result("did not run"))
        if name in impossible:
            if result.ended != "failed" or impossible[name].sign not in result.reason:
                faults.append(f"{name}: was to fail with `{impossible[name].sign}`, {result.ended}: {result.reason}")
        elif result.ended != expected.ended:
            faults.append(f"{name}: {expected.ended} straight, {result.ended}: {result.reason}")
    faults += [f"{name}: no such test" for name in impossible if name not in straight]
    if count(results, "passed") < ENOUGH:
        faults.append(f"passed {count(results, 'passed')}, not {ENOUGH}")
    return faults


def count(results: Results, ended: str) -> int:
    return sum(result.ended == ended for result in results.values())


def report(straight: Results, through: dict[str, Results], faults: dict[str, list[str]]) -> str:
    lines = [row("", *ENDS)]
    lines += [
        row(name, *(count(results, ended) for ended in ENDS))
        for name, results in {"straight": straight, **through}.items()
    ]
    lines += listed(
        "straight, and so through every provider:",
        (f"{name} {result.ended}: {result.reason}" for name, result in straight.items() if result.ended != "passed"),
    )
    for name in through:
        lines += listed(f"{name} cannot:", (f"{test}: {why.reason}" for test, why in IMPOSSIBLE[name].items()))
    for name, found in faults.items():
        lines += listed(f"{name} FALLS SHORT:", found)
    return "\n".join(lines)


def row(name: str, *cells: object) -> str:
    return f"{name:20}" + "".join(f"{cell:>9}" for cell in cells)


def listed(title: str, items: Iterable[str]) -> list[str]:
    """The items under their title, or nothing."""
    written = [f"  {item}" for item in items]
    return ["", title, *written] if written else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
