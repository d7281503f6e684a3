"""A real store behind a connection that fails or is slow when a test says so; and the sudden death of an engine."""

import asyncio
import contextlib
import uuid
from typing import Any

from gateway.lanes.engine import Engine, end
from gateway.lanes.store import Batch, Committed, Row, Statement, Store, StoreDown


class Shaky:
    """A store whose connection breaks before a commit reaches the database, or before its answer comes back.

    `break_before` and `break_after` count the commits that will; `answers` holds back answers while it is cleared.
    `loses_cancels` counts the looks for due lanes that will lose a cancel, as Python's `wait_for` may.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.token: uuid.UUID = store.token
        self.break_before = 0
        self.break_after = 0
        self.loses_cancels = 0
        self.beats = True
        self.answers = asyncio.Event()
        self.answers.set()
        self.commits = 0  # that reached the database

    async def open(self) -> None:
        await self.store.open()

    async def close(self) -> None:
        await self.store.close()

    async def beat(self, seconds: float) -> None:
        if not self.beats:
            raise StoreDown("the connection is broken")
        await self.store.beat(seconds)

    async def commit(self, batch: Batch) -> Committed:
        if self.break_before > 0:
            self.break_before -= 1
            raise StoreDown("the connection broke before the commit")
        committed = await self.store.commit(batch)
        self.commits += 1
        await self.answers.wait()
        if self.break_after > 0:
            self.break_after -= 1
            raise StoreDown("the connection broke before the answer came")
        return committed

    async def due(self, limit: int) -> list[int]:
        if self.loses_cancels > 0:
            self.loses_cancels -= 1
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return await self.store.due(limit)

    async def mine(self) -> list[int]:
        return await self.store.mine()

    async def read(self, statement: Statement, params: Row) -> list[dict[str, Any]]:
        return await self.store.read(statement, params)


async def kill(engine: Engine) -> None:
    """As `kill -9` does: nothing of the engine runs or is written any more, its lanes stay leased, nobody is told.

    A commit that has reached the database is finished there or is not; both happen.
    """
    with contextlib.suppress(Exception):  # what a task broke off with before is not of interest any more
        await end([*engine._tasks, *engine._turns.values()])
    await engine.store.close()
