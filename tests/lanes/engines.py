"""Engines at work on handlers of our own, and waiting for what they must do."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from django.db import close_old_connections

from gateway.lanes.engine import Engine, Handler, Kept, Turn
from gateway.lanes.models import Lane
from gateway.lanes.store import Intake, Settlement, Store
from gateway.sales.models import Invoice
from gateway.wiring import build_store
from tests.lanes.bench import signed

PATIENCE = 60.0  # seconds a test waits for what must happen


@contextlib.asynccontextmanager
async def working(handler: Handler, *, store: Store | None = None, **options: Any) -> AsyncIterator[Engine]:
    """An engine at work on this handler until the block ends."""
    options = {"rest_seconds": (0.01, 0.02, 0.05), **options}
    engine = Engine(store or build_store(), {"invoice": handler}, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop(1.0)


async def sign(turn: Turn) -> Settlement:
    return signed(turn.started)


async def kept(engine: Engine, *new: Intake) -> list[Kept]:
    """All at once, as from so many tills; each must be kept."""
    return await asyncio.gather(*(engine.keep(one) for one in new))


async def until(happened: Callable[[], Any]) -> None:
    """Let the loop run until it is so; fail after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


async def in_thread(work: Callable[[], Any]) -> Any:
    """ORM calls from a thread, as Django's pages make them."""

    def run() -> Any:
        close_old_connections()
        try:
            return work()
        finally:
            close_old_connections()

    return await asyncio.to_thread(run)


async def settled(lanes: list[Lane], *, status: str = "signed") -> None:
    """Until every invoice of the lanes has this status."""
    open_ones = Invoice.objects.filter(lane__in=lanes).exclude(status=status)
    deadline = time.monotonic() + PATIENCE
    while await in_thread(open_ones.exists):
        assert time.monotonic() < deadline, await in_thread(lambda: list(open_ones.values("lane", "status")[:5]))
        await asyncio.sleep(0.02)


async def rests(lane: Lane) -> None:
    """Until the lane was let go with work left to do."""
    resting = Lane.objects.filter(pk=lane.pk, owner=None, due_at__isnull=False)
    deadline = time.monotonic() + PATIENCE
    while not await in_thread(resting.exists):
        assert time.monotonic() < deadline, "it does not rest"
        await asyncio.sleep(0.01)


def numbers(lane: Lane) -> list[int | None]:
    return list(Invoice.objects.filter(lane=lane).order_by("pk").values_list("number", flat=True))
