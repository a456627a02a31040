"""Dropping the content of records whose time is over, a class and day at a time; what is about to go is recorded first."""

from __future__ import annotations

import asyncio
import logging

from appliance.errors import RecordingError
from appliance.events import DECISIONS, ContentDropped
from appliance.recorder import Recorder
from audit import AuditError, AuditLog

_EVERY = 3600.0  # seconds
_LOG = logging.getLogger("appliance")


async def sweep(log: AuditLog, recorder: Recorder, decisions_days: int) -> int:
    """Drop what is older than that; how many classes and days went. Raises AuditError, RecordingError."""
    found = await log.expired({DECISIONS: decisions_days})
    for each in found:
        await recorder.append(ContentDropped(each.retention, each.day, each.records))
        await log.drop(each)
    return len(found)


async def keep_sweeping(log: AuditLog, recorder: Recorder, decisions_days: int | None) -> None:
    """Sweep every hour, for ever; without a time to keep, nothing is ever dropped."""
    while decisions_days is not None:
        try:
            await sweep(log, recorder, decisions_days)
        except AuditError as error:
            _LOG.error("content whose time is over was not dropped: %s", type(error).__name__)
        except RecordingError:
            _LOG.error("content whose time is over was not dropped: the log does not write")
        await asyncio.sleep(_EVERY)
