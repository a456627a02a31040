"""`POST /witness/add-checkpoint` (c2sp.org/tlog-witness): cosigning for other logs. No API key: the checkpoint is signed."""

from __future__ import annotations

import asyncio

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.di import NamedDependency

from appliance.service import Service
from audit import LogFileError, WitnessRefusal

_SIZE = {"Content-Type": "text/x.tlog.size"}  # as a header: Litestar adds a charset to every text of its own


@post("/witness/add-checkpoint", status_code=200)
async def add_checkpoint(request: Request[None, None, State], service: NamedDependency[Service]) -> Response[bytes]:
    """Cosignature lines, or a refusal with the status that the protocol names."""
    body = (await request.body()).decode(errors="replace")
    try:
        if service.witness is None:
            raise WitnessRefusal(404, "this log is not known here")
        lines = await asyncio.to_thread(service.witness.add_checkpoint, body)
    except WitnessRefusal as refusal:
        if refusal.size is not None:
            return Response(f"{refusal.size}\n".encode(), status_code=refusal.status, headers=_SIZE)
        return Response(f"{refusal}\n".encode(), status_code=refusal.status, media_type="text/plain; charset=utf-8")
    except LogFileError:
        return Response(
            b"the witness cannot read or keep what it saw\n", status_code=503, media_type="text/plain; charset=utf-8"
        )
    return Response(lines.encode(), media_type="text/plain; charset=utf-8")
