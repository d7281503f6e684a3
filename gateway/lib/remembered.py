"""Values that are read somewhere and remembered for a moment, on one event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Reads a value when it is asked for and is not known, or was read longer ago than `seconds`.

    Who asks for a key while it is being read waits for that reading: when a hundred tills of a company come at once,
    the database is asked once. What cannot be read is raised to all of them and not remembered.
    """

    def __init__(self, read: Callable[[Key], Awaitable[Value]], *, seconds: float, most: int = 50_000) -> None:
        self._read = read
        self._seconds = seconds
        self._most = most
        self._known: dict[Key, tuple[float, Value]] = {}
        self._reading: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key) -> Value:
        """The value, as it was at most `seconds` ago. Raises what reading raises."""
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self.afresh(key), name="reading")
            reading.add_done_callback(lambda task: self._done(key, task))
        return await asyncio.shield(reading)  # one who goes away leaves the others waiting

    async def afresh(self, key: Key) -> Value:
        """The value as it is now. Raises what reading raises."""
        began = time.monotonic()
        value = await self._read(key)
        self.keep(key, value, since=began)
        return value

    def keep(self, key: Key, value: Value, *, since: float | None = None) -> None:
        """Remember a value that was read in passing, at a moment of the monotonic clock (now)."""
        until = (time.monotonic() if since is None else since) + self._seconds
        known = self._known.get(key)
        if known is not None and known[0] > until:
            return  # somebody who began to read later was done earlier
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[key] = (until, value)

    def forget(self, key: Key) -> None:
        """Read it again when it is asked for next."""
        self._known.pop(key, None)

    def _done(self, key: Key, task: asyncio.Task[Value]) -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()  # has been raised to whoever still waited
