"""`/livez` and `/readyz`: whether the process lives, and whether it can take a request."""

from __future__ import annotations

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from appliance.service import Service


@get("/livez", media_type=MediaType.TEXT)
async def livez() -> str:
    """Always "ok": asks nothing of any part."""
    return "ok"


@get("/readyz")
async def readyz(service: NamedDependency[Service]) -> Response[bytes]:
    """Each part and how it is; 503 when no request could be taken. A cloud that is down does not make us unready."""
    await service.try_log()
    ready = service.ready()
    body = msgspec.json.encode({"ready": ready, "parts": service.readiness(), "sqlite": service.sqlite})
    return Response(body, status_code=200 if ready else 503, media_type=MediaType.JSON)
