"""Values that are read somewhere and remembered for a moment, on one event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Reads values when they are asked for and are not known, or were read longer ago than `seconds`.

    One reading is on its way at a time and takes along all that was asked for meanwhile: a thousand tills that come at
    once cost a few readings, not a thousand. `read` gives what it finds by key. An exception among the values, or one
    that it raises, is raised to whoever asked for it, and is not remembered.
    """

    def __init__(
        self,
        read: Callable[[list[Key]], Awaitable[Mapping[Key, Value | Exception]]],
        *,
        seconds: float,
        most: int = 50_000,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._most = most
        self._known: dict[Key, tuple[float, Value]] = {}
        self._gathered: set[Key] = set()  # what the next reading takes along
        self._next: asyncio.Task[Mapping[Key, Value | Exception]] | None = None
        self._turn = asyncio.Lock()

    async def get(self, key: Key) -> Value:
        """The value, as it was at most `seconds` ago. Raises KeyError when there is none, or what reading raises."""
        return (await self.get_many([key]))[key]

    async def get_many(self, keys: Iterable[Key]) -> dict[Key, Value]:
        """The values that there are, as they were at most `seconds` ago. Raises what reading raises."""
        now, found, missing = time.monotonic(), {}, []
        for key in keys:
            known = self._known.get(key)
            if known is not None and known[0] > now:
                found[key] = known[1]
            else:
                missing.append(key)
                reading = self._asked(key)
        if missing:
            told = await asyncio.shield(reading)  # one who goes away leaves the others waiting
            found |= {key: _value(told[key]) for key in missing if key in told}
        return found

    async def afresh(self, keys: Iterable[Key]) -> dict[Key, Value]:
        """The values that there are now. Needs no event loop. Raises what reading raises."""
        wanted = list(keys)
        found = await self._fetch(wanted) if wanted else {}
        return {key: _value(value) for key, value in found.items()}

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

    def _asked(self, key: Key) -> "asyncio.Task[Mapping[Key, Value | Exception]]":
        """The reading that will bring the value: one that has begun may have missed what was written since."""
        if self._next is None:
            self._next = asyncio.create_task(self._read_next(), name="reading")
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())  # is raised to who waits
        self._gathered.add(key)
        return self._next

    async def _read_next(self) -> Mapping[Key, Value | Exception]:
        async with self._turn:
            keys, self._gathered, self._next = list(self._gathered), set(), None
            return await self._fetch(keys)

    async def _fetch(self, keys: list[Key]) -> Mapping[Key, Value | Exception]:
        began = time.monotonic()
        found = await self._read(keys)
        for key, value in found.items():
            if not isinstance(value, Exception):
                self.keep(key, value, since=began)
        return found


def _value(found: Value | Exception) -> Value:
    if isinstance(found, Exception):
        raise found
    return found
