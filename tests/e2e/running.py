"""A real service for the tests: in a thread of this process, or in a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx
import uvicorn

from appliance.app import create_app
from appliance.events import Event, decode
from appliance.first_run import create_keys
from appliance.settings import Settings, load_settings, problems
from audit import AuditReader, OpenedEntry, Report, verify_file
from tests.bundles import with_partners

SETTINGS = """\
state = "state"
{top}
[server]
port = 0
{server}
[router]
{router}
[[keys]]
id = "tests"
app = "tests-app"
purposes = ["general", "support"]
default_purpose = "general"
file = "state/keys/tests"

[[keys]]
id = "purposeless"
app = "other-app"
purposes = ["support"]
file = "state/keys/purposeless"

[[providers]]
kind = "openai_compatible"
name = "cloud"
base_url = "{upstream}"
models = [{{ name = "big", residency = "ru", country = "RU", recipient = "partner" }}]

[[providers]]
kind = "openai_compatible"
name = "abroad"
base_url = "{upstream}"
models = [{{ name = "huge", residency = "foreign", country = "US", recipient = "overseas", auto = false }}]

[[providers]]
kind = "testing"
name = "local"
models = [{{ name = "mock-normal", residency = "local" }}]
{extra}
"""


ROUTER = "retries = 0\nhealth = { open_seconds = 0.001, max_open_seconds = 0.001, window_seconds = 0.001 }\n"
"""One round, and a breaker that is over before the next request: tests share a service and make its upstream fail."""


class Installed:
    """A folder with settings and keys, as an administrator leaves it."""

    def __init__(
        self,
        folder: Path,
        upstream: str = "http://127.0.0.1:9/v1",
        *,
        top: str = "",
        server: str = "",
        router: str = ROUTER,
        extra: str = "",
        workers: int = 0,
        policy: bool = False,
    ) -> None:
        # A detector of its own process costs each service of a test two seconds; those that are about it ask for one.
        asked = f"[detector]\nworkers = {workers}\n"
        if "[detector]" not in extra:
            top = top.replace("[detector]\n", asked) if "[detector]" in top else f"{top}\n{asked}"
        named = "[policy]" in extra + top
        if policy or not named:
            with_partners(folder / "policy")
        if not named:
            top = f'{top}\n[policy]\nfolder = "policy"\n'
        self.path = folder / "settings.toml"
        written = SETTINGS.format(upstream=upstream, top=top, server=server, router=router, extra=extra)
        self.path.write_text(written, encoding="utf-8")
        self.settings: Settings = load_settings(self.path)
        create_keys(self.settings)
        self.key = (folder / "state/keys/tests").read_text().strip()
        self.purposeless_key = (folder / "state/keys/purposeless").read_text().strip()

    def records(self) -> list[OpenedEntry]:
        with AuditReader.open(self.settings.log.path, self.settings.log.kek_file) as reader:
            return list(reader.entries(0, reader.size))

    def events(self, *kinds: type[Event]) -> list[Event]:
        decoded = [decode(record.kind, record.schema, record.body) for record in self.records()]
        return [event for event in decoded if event is not None and (not kinds or isinstance(event, kinds))]

    def verify(self) -> Report:
        return verify_file(self.settings.log.path, self.settings.log.signing_key_file.with_suffix(".pub").read_text())


class Running:
    """A service that accepts requests."""

    def __init__(self, installed: Installed, port: int) -> None:
        self.installed = installed
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {installed.key}"}, timeout=60, trust_env=False
        )

    def chat(
        self,
        content: object = "Привет",
        *,
        model: str = "auto",
        headers: dict[str, str] | None = None,
        **fields: object,
    ) -> httpx.Response:
        messages = (
            content
            if isinstance(content, list) and content and "role" in content[0]
            else [{"role": "user", "content": content}]
        )
        body = {"model": model, "messages": messages, **fields}
        return self.http.post("/v1/chat/completions", content=json.dumps(body).encode(), headers=headers)


@contextmanager
def running(installed: Installed) -> Iterator[Running]:
    """The service in a thread, so that its code is this process's; stopped in good order."""
    assert (found := problems(installed.settings)) == [], found
    app = create_app(installed.settings)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=10)
    )
    started = threading.Event()
    failure: list[BaseException] = []

    async def serve() -> None:
        async with app.lifespan():
            task = asyncio.create_task(server.serve())
            while not server.started and not task.done():
                await asyncio.sleep(0.01)
            started.set()
            await task

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001  (handed to the test's own thread)
            failure.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    if failure:
        raise failure[0]
    port = server.servers[0].sockets[0].getsockname()[1]
    service = Running(installed, port)
    try:
        yield service
    finally:
        service.http.close()
        server.should_exit = True
        thread.join()
    if failure:
        raise failure[0]


class Process:
    """The service as `appliance serve` runs it."""

    def __init__(self, installed: Installed) -> None:
        self.installed = installed
        command = [sys.executable, "-m", "appliance", "serve", "--settings", str(installed.path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "http://" not in line:
            _, error = self.process.communicate(timeout=30)
            raise RuntimeError(f"the service did not start: {error}")
        self.running = Running(installed, int(line.split("http://127.0.0.1:")[1].split()[0]))

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.close()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def terminate(self) -> None:
        os.kill(self.process.pid, signal.SIGTERM)

    def close(self) -> int:
        self.running.http.close()
        self.process.communicate(timeout=60)
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        if self.process.poll() is None:
            self.terminate()
            self.close()
