"""A fake upstream that needs an event loop, run in a thread of its own beside a test that has none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def served(server: Any) -> Iterator[Any]:
    """`server.running()`, entered in the thread; the server is up while this lasts."""
    started = threading.Event()
    parts: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        parts.append((asyncio.get_running_loop(), stop))
        async with server.running():
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop, stop = parts[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join()
