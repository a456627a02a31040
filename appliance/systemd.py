"""What systemd and a service tell each other: sockets it holds for us (sd_listen_fds(3)), and how we are (sd_notify(3))."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

_FIRST = 3  # SD_LISTEN_FDS_START


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that were opened for this very process; none when it was not started so.

    Processes of ours no longer see that they were. Raises OSError for what is no listening socket.
    """
    count, process = (os.environ.pop(name, "") for name in ("LISTEN_FDS", "LISTEN_PID"))
    os.environ.pop("LISTEN_FDNAMES", None)
    if not count.isdecimal() or process != str(os.getpid()):
        return []
    sockets = []
    for descriptor in range(_FIRST, _FIRST + int(count)):
        os.set_inheritable(descriptor, False)
        listening = socket.socket(fileno=descriptor)
        if not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(f"descriptor {descriptor} does not listen")
        sockets.append(listening)
    return sockets


class Notifier:
    """The way to systemd; goes nowhere when nobody asked to be told. What cannot be told is let go."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = environment.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(interval) / 1e6 if mine and interval.isdecimal() else 0.0

    def ready(self, status: str) -> None:
        """Requests are answered from now on."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Until `ready`, settings are being read."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """What is under way is finished, then the process ends."""
        self._tell("STOPPING=1", f"STATUS={status}")

    async def keep_alive(self) -> None:
        """Say that the event loop turns, for ever; at once done when nobody watches."""
        while self._watchdog_s:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / 2)

    def _tell(self, *lines: str) -> None:
        if self._address[:1] not in ("/", "@"):
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, address)
