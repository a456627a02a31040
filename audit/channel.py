"""A connection of the log with a thread of its own, for an event loop: aiosqlite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import aiosqlite

from audit.errors import AuditError
from audit.store import Database

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Channel:
    """A connection with a thread of its own: `run` calls a function there with the Database, one after another."""

    def __init__(self, connection: _Connection, database: Database) -> None:
        self._connection = connection
        self._database = database

    async def run(
        self, function: Callable[Concatenate[Database, _P], _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """The function's answer. It runs to its end even when the caller is cancelled."""
        return await self._connection.run(lambda: function(self._database, *args, **kwargs))


class _Connection(aiosqlite.Connection):
    """aiosqlite with one more door: a whole transaction as one visit to the connection's thread, not ten."""

    async def run(self, function: Callable[[], _T]) -> _T:
        answer: _T = await self._execute(function)  # type: ignore[no-untyped-call]  # aiosqlite leaves it unannotated
        return answer

    def database(self, path: Path) -> Database:
        return Database(self._conn, path)


@asynccontextmanager
async def open_channel(path: Path, connect: Callable[[], sqlite3.Connection]) -> AsyncIterator[Channel]:
    """A channel whose connection is made, used and closed in its own thread."""
    failures: list[AuditError] = []

    def attempt() -> sqlite3.Connection:
        # aiosqlite does not wait for its thread when connecting fails, so its last word may meet a closed event loop: it is given
        # a connection to nothing instead, which it closes properly.
        try:
            return connect()
        except AuditError as error:
            failures.append(error)
            return sqlite3.connect(":memory:")

    connection = _Connection(attempt, 64)
    async with connection:
        if failures:
            raise failures[0]
        yield Channel(connection, connection.database(path))
