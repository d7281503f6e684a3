"""The engine of this process, if it runs one, for code on other threads that has just queued or settled something."""

import asyncio
import uuid

from gateway.lanes.engine import Engine

_engine: Engine | None = None
_loop: asyncio.AbstractEventLoop | None = None


def set_engine(engine: Engine | None) -> None:
    """Name this process's engine, or that it has none any more; call it on the engine's loop."""
    global _engine, _loop
    _engine = engine
    _loop = None if engine is None else asyncio.get_running_loop()


def engine() -> Engine | None:
    return _engine


def wake(lane_id: int) -> None:
    """Look at the lane soon. Without an engine here nothing happens: another process's sweep finds the lane."""
    if _engine is not None:
        _engine.wake(lane_id)


def tell_from_thread(public_id: uuid.UUID) -> None:
    """Wake the requests here that wait for a document which was settled outside the engine; they read it themselves.

    May be called from any thread. Those of other processes find out by their slow poll.
    """
    if _engine is not None and _loop is not None and not _loop.is_closed():
        _loop.call_soon_threadsafe(_engine.tell, public_id, {})
