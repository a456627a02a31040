"""HTTP answers in OpenAI's shapes: errors, and streams that notice when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing

from litestar import MediaType, Response
from litestar.types import Receive, Scope, Send

from appliance.wire.openai_answer import ErrorBody, ErrorDetail, encode


class EventStream:
    """An ASGI answer of server-sent events out of a generator of their bytes.

    The generator and `resources` are closed in every case: at the end, when the client disconnects (pending work is cancelled),
    or when we are told to stop. `failed` turns an error raised in mid-stream into the last event.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        failed: Callable[[Exception], bytes],
        resources: AsyncExitStack,
    ) -> None:
        self._events = events
        self._headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", **headers}
        self._failed = failed
        self._resources = resources

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole stream."""
        async with self._resources:
            headers = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            pipe = _Pipe()
            tasks = [asyncio.create_task(work) for work in (pipe.empty(send), self._fill(pipe), _disconnected(receive))]
            try:
                # The sender ends with the answer, the watcher with the client; the filler ends before the sender.
                await asyncio.wait((tasks[0], tasks[2]), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, pipe: _Pipe) -> None:
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    await pipe.put(event)
        except Exception as error:  # noqa: BLE001  (the status is sent: whatever it is, the client has to be told)
            await pipe.put(self._failed(error))
        pipe.close()


class _Pipe:
    """Events on their way to the client. What comes at once goes out at once: one write for all that is there."""

    _MOST = 256 * 1024  # bytes that may wait for a slow client

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0
        self._closed = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    async def put(self, event: bytes) -> None:
        """Add an event; waits only while the client is too slow."""
        self._waiting.append(event)
        self._size += len(event)
        self._filled.set()
        while self._size > self._MOST:
            self._emptied.clear()
            await self._emptied.wait()

    def close(self) -> None:
        """No more events will come."""
        self._closed = True
        self._filled.set()

    async def empty(self, send: Send) -> None:
        """Send all events until the pipe is closed."""
        while self._waiting or not self._closed:
            await self._filled.wait()
            self._filled.clear()
            body = b"".join(self._waiting)
            self._waiting.clear()
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})
            self._size = sum(map(len, self._waiting))
            self._emptied.set()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def error_response(status: int, detail: ErrorDetail, headers: Mapping[str, str]) -> Response[bytes]:
    """OpenAI's error object. A client is told not to repeat what would be refused again."""
    retry = {} if status == 429 or status >= 500 else {"X-Should-Retry": "false"}
    return Response(
        encode(ErrorBody(detail)), status_code=status, media_type=MediaType.JSON, headers={**retry, **headers}
    )
