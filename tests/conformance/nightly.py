"""The clients that applications are written with, each through the appliance to a scripted OpenAI upstream.

Exits with 1 when one of them fails. Arguments: the Python with pydantic-ai and instructor, then those with a generation of OpenAI's SDK.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from appliance.events import Intent
from tests.conformance.run import PYTEST
from tests.conformance.upstreams import MODEL, openai_compatible
from tests.e2e.running import Installed, Process

HERE = Path(__file__).parent


async def main(agents: str, sdks: list[str]) -> int:
    commands = [[agents, "-m", "pytest", str(HERE / "agents_suite.py"), *PYTEST]]
    commands += [[sdk, str(HERE / "sdk_calls.py")] for sdk in sdks]
    with tempfile.TemporaryDirectory() as folder:
        async with openai_compatible(Path(folder)) as upstream:
            installed = Installed(Path(folder), extra=upstream.settings)
            return await asyncio.to_thread(run, commands, installed)


def run(commands: list[list[str]], installed: Installed) -> int:
    failures = 0
    with Process(installed) as process:
        address, key = f"{process.running.url}/v1", installed.key
        environment = {**os.environ, "CONFORMANCE_URL": address, "CONFORMANCE_KEY": key, "CONFORMANCE_MODEL": MODEL}
        for command in commands:
            before = prompts(installed)
            ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
            asked = prompts(installed) - before
            # A client that asked for nothing has shown nothing.
            failed = ended.returncode != 0 or asked == 0
            failures += failed
            said = f"{ended.stdout}{ended.stderr}" if failed else ended.stdout.strip().splitlines()[-1]
            print(f"{'FAILED' if failed else 'passed'}, {asked} prompts: {said}")
    return 1 if failures else 0


def prompts(installed: Installed) -> int:
    """How many prompts the log says were sent so far to the scripted upstream."""
    return sum(isinstance(event, Intent) and event.route == MODEL for event in installed.events(Intent))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2:])))
