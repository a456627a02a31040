"""HTTP answers in OpenAI's shapes: errors, and streams that notice when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing

from litestar import MediaType, Response
from litestar.types import Receive, Scope, Send

from appliance.wire.openai import ErrorBody, ErrorDetail, encode


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
            pump = asyncio.create_task(self._pump(send))
            gone = asyncio.create_task(_disconnected(receive))
            try:
                await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
                pump.cancel()
                await asyncio.gather(pump, gone, return_exceptions=True)

    async def _pump(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            try:
                async for event in events:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            except Exception as error:  # noqa: BLE001  (the status is sent: whatever it is, the client has to be told)
                await send({"type": "http.response.body", "body": self._failed(error), "more_body": True})
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
