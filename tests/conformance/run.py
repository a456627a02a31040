"""LangChain's standard suites twice: straight at a scripted OpenAI upstream, and through the appliance to the same upstream.

What passes straight must pass through the appliance. Prints the two counts; exits with 1 when they differ.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.e2e.running import Installed, Process  # noqa: E402  (the root must be on the path first)

PYTEST = (
    "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--no-header", "--disable-socket", "--allow-hosts=127.0.0.1", "--allow-unix-socket",
    "--benchmark-disable", "-o", "asyncio_mode=auto",
    # One event loop for all tests: the client keeps connections, and those of a loop that is gone cannot be used.
    "-o", "asyncio_default_test_loop_scope=session", "-o", "asyncio_default_fixture_loop_scope=session",
)  # fmt: skip


def suite(python: str, url: str, key: str, model: str) -> tuple[str, str]:
    """The counts that pytest prints last, and all that it printed."""
    environment = {
        **os.environ,
        "CONFORMANCE_URL": url,
        "CONFORMANCE_KEY": key,
        "CONFORMANCE_MODEL": model,
        "OPENAI_API_KEY": key,
    }
    command = [python, "-m", "pytest", str(ROOT / "tests/conformance/langchain_suite.py"), *PYTEST]
    said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300).stdout
    counts = re.findall(r"(\d+ (?:passed|failed|skipped|error|xfailed))", said.strip().splitlines()[-1])
    return ", ".join(counts), said


def main(python: str) -> int:
    scripted = [sys.executable, str(ROOT / "tests/conformance/scripted_model.py")]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(scripted, stdout=subprocess.PIPE, text=True) as upstream,
    ):
        try:
            assert upstream.stdout is not None
            direct = f"http://127.0.0.1:{upstream.stdout.readline().strip()}/v1"
            with Process(Installed(Path(folder), direct)) as process:
                straight, _ = suite(python, direct, "any", "big")
                through, said = suite(python, f"{process.running.url}/v1", process.installed.key, "cloud/big")
        finally:
            upstream.terminate()
    print(f"straight at the upstream: {straight}\nthrough the appliance:    {through}")
    if straight != through or "passed" not in through:
        print(said)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
