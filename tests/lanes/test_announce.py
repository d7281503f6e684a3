"""Hints between processes over a real Redis."""

import asyncio
import uuid

import redis.asyncio as redis

from gateway.lanes.announce import CHANNEL, Announcer


def test_what_is_announced_is_told_and_a_strangers_message_ends_nothing(redis_url: str) -> None:
    ids = [uuid.uuid4() for _ in range(3)]

    async def story() -> list[uuid.UUID]:
        told: list[uuid.UUID] = []
        announcer, stranger = Announcer(redis_url), redis.Redis.from_url(redis_url)
        announcer.start(told.append)
        try:
            async with asyncio.timeout(20):
                while not await stranger.publish(CHANNEL, b"who is there?"):  # as soon as somebody listens
                    await asyncio.sleep(0.01)
                announcer.announce(ids)
                while len(told) < len(ids):
                    await asyncio.sleep(0.01)
        finally:
            await announcer.stop()
            await stranger.aclose()
        return told

    assert asyncio.run(story()) == ids
