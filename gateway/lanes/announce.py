"""Tell the other processes over Redis which documents are settled, so that a request waiting there hears within ms.

Only hints travel here: when Redis is away or empty, waiting requests find out by the slow poll, and nothing is lost.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable

import redis.asyncio as redis

log = logging.getLogger(__name__)

CHANNEL = "gateway:settled"
AGAIN_SECONDS = 2.0


class Announcer:
    """One connection to publish and one to listen; both come back by themselves."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_connect_timeout=2)
        self._queue: asyncio.Queue[list[uuid.UUID]] = asyncio.Queue(maxsize=1000)
        self._tasks: list[asyncio.Task[None]] = []

    def announce(self, settled: list[uuid.UUID]) -> None:
        """Publish soon; dropped when Redis is so far behind that it does not matter any more."""
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(settled)

    def start(self, tell: Callable[[uuid.UUID], None]) -> None:
        """Publish what is announced here, and call `tell` for what is announced anywhere."""
        self._tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._listen(tell))]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._redis.aclose()

    async def _publish(self) -> None:
        while True:
            settled = await self._queue.get()
            try:
                await self._redis.publish(CHANNEL, b"".join(public_id.bytes for public_id in settled))
            except (redis.RedisError, OSError) as error:
                log.warning("Redis did not take a hint: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, tell: Callable[[uuid.UUID], None]) -> None:
        while True:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    async for message in channel.listen():
                        data = message["data"]
                        if message["type"] == "message" and len(data) % 16 == 0:  # anything else is not ours
                            for start in range(0, len(data), 16):
                                tell(uuid.UUID(bytes=data[start : start + 16]))
            except (redis.RedisError, OSError) as error:
                log.warning("Redis is away: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)
