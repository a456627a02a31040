"""A third party's benchmark (pii-leak-benchmark, PyPI) against this appliance: does anything leak, does everything come back.

`make leak-benchmark` installs it into a throw-away environment and runs this. The benchmark's own capture server stands in for a
provider in Russia; the appliance runs as `appliance serve` with the shipped policy, a card for that recipient, and, because the
benchmark sends American social security numbers, one recogniser of a customer's own. `--write FILE` puts the table between its marks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policies import shipped_policy_path

HERE = Path(__file__).parent
CAPTURE, SPLIT = 8765, 8799
BEGIN, END = "<!-- leak-benchmark:begin -->", "<!-- leak-benchmark:end -->"
SETTINGS = """\
state = "state"
[server]
port = 0
[policy]
folder = "policy"
[detector]
recognizers = "recognizers.toml"
[router]
retries = 0
[[keys]]
id = "benchmark"
app = "benchmark"
purposes = ["general", "strict"]
default_purpose = "{purpose}"
file = "state/keys/benchmark"
[[providers]]
kind = "openai_compatible"
name = "capture"
base_url = "http://127.0.0.1:{port}/v1"
models = [{{ name = "model", residency = "ru", country = "RU", recipient = "capture" }}]
"""
CARD = """\
[[recipients]]
id = "capture"
name = "Capture"
inn = "7700000000"
country = "RU"
status = "active"
contract = "1"
valid_from = 2026-01-01
valid_until = 2099-12-31
clauses = ["data", "operations", "purposes", "confidentiality", "localisation", "duties", "proof", "protection", "incidents"]
categories = ["general", "special", "biometric"]
operations = ["use", "storage"]
purposes = ["general", "strict"]

[[purposes]]
id = "strict"
title = "Benchmark"
basis = "6.1.7"
ground = "Benchmark"
allows = ["general", "special", "biometric", "secret"]
answers = "mask"
"""
SSN = r"""
[[recognizer]]
name = "us-ssn"
kind = "OTHER"
patterns = ['\b\d{3}-\d{2}-\d{4}\b']
"""


@contextmanager
def appliance(purpose: str, port: int) -> Iterator[tuple[str, str]]:
    """`appliance serve` in front of the capture: its address and key."""
    with tempfile.TemporaryDirectory(prefix="leak-benchmark-") as name:
        folder = Path(name)
        shutil.copytree(shipped_policy_path(), folder / "policy")
        (folder / "policy/benchmark.toml").write_text(CARD, encoding="utf-8")
        (folder / "recognizers.toml").write_text(SSN, encoding="utf-8")
        (folder / "settings.toml").write_text(SETTINGS.format(purpose=purpose, port=port), encoding="utf-8")
        command = [sys.executable, "-m", "appliance"]
        subprocess.run(
            [*command, "init", "--settings", folder / "settings.toml"], check=True, stdout=subprocess.DEVNULL
        )
        served = subprocess.Popen(
            [*command, "serve", "--settings", folder / "settings.toml"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert served.stdout is not None
            line = served.stdout.readline()
            address = line.split()[3]
            for _ in range(600):
                with urllib.request.urlopen(f"{address}/readyz") as ready:  # noqa: S310 - a loopback address of our own
                    if ready.status == 200:
                        break
                time.sleep(0.1)
            yield address, (folder / "state/keys/benchmark").read_text().strip()
        finally:
            served.terminate()
            served.wait(30)


def run(tool: Path, arguments: list[str], key: str) -> subprocess.CompletedProcess[str]:
    """One command of the benchmark, its output kept."""
    environment = {**os.environ, "CONFORMANCE_TARGET_API_KEY": key, "NO_PROXY": "127.0.0.1"}
    return subprocess.run([str(tool), *arguments], text=True, capture_output=True, env=environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True, help="folder with the benchmark's commands")
    parser.add_argument("--write", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("var/leak-benchmark"))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with appliance("general", CAPTURE) as (address, key):
        report = chosen.out / "check.json"
        checked = run(
            chosen.bin / "pii-leak-benchmark",
            [
                "selfcheck",
                "--target-base-url",
                f"{address}/v1",
                "--target-model",
                "capture/model",
                "--json-out",
                str(report),
            ],
            key,
        )
    print(checked.stdout, checked.stderr)
    with appliance("strict", SPLIT) as (address, key):
        split = run(
            chosen.bin / "pii-leak-benchmark-v2",
            [
                "--validate", "--out", str(chosen.out / "v2"), "--only", "appliance", "--gateway-url", f"{address}/v1/chat/completions",
                "--upstream-port", str(SPLIT), "--model", "capture/model", "--seed", "a1b2c3d4e5f60001", "--exhaustive-splits", "--partial-emission",
                "--json-out", str(chosen.out / "v2.json"),
            ],
            key,
        )  # fmt: skip
    print(split.stdout, split.stderr)
    table = tables(json.loads(report.read_text()), json.loads((chosen.out / "v2.json").read_text())["rows"][0])
    print(table)
    marked = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    for file in chosen.write:
        text = file.read_text(encoding="utf-8")
        file.write_text(marked.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text), encoding="utf-8")
    return checked.returncode  # the second profile is a draft: its figures are shown, and fail nothing


def tables(report: dict, split: dict) -> str:
    """What the two profiles said."""
    version = (HERE / "requirements.in").read_text().split("==")[1].strip()
    boundary = report["checks"]["configured_upstream_boundary"]
    kinds = sorted(boundary["needle_lengths"])
    leaked = boundary["leaked_entity_types"]
    verdict = "CLEAN" if all(check["passed"] for check in report["checks"].values()) else "not clean"
    lines = [
        f"{time.strftime('%Y-%m-%d')}, pii-leak-benchmark {version}, Python {platform.python_version()}. Result: **{verdict}**.",
        "",
        "| check | result |",
        "|---|---|",
        *(
            f"| `{name}` | {'pass' if check['passed'] else 'FAIL'} |"
            for name, check in sorted(report["checks"].items())
        ),
        f"| sent through | {', '.join(kinds)} |",
        f"| leaked | {', '.join(leaked) or 'nothing'} |",
        "",
        "Second profile (a draft of the benchmark's own: values put back, and new ones in answers taken out, at every cut in two):",
        "",
        "| | |",
        "|---|---|",
        f"| originals put back (`FidelityRate`) | {split['fidelity_rate']} |",
        f"| new values let through, sent whole / cut (`LeakRate`) | {split['leak_single_chunk']} / {split['leak_adversarial']} |",
        f"| what cutting adds (`DeltaFrag`) | {split['delta_frag']} |",
        f"| kinds let through | {', '.join(split['request_path_leak']) or 'none'} |",
        f"| cases: attempted, applicable | {split['cases_attempted']}, {split['cases_applicable']} |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
