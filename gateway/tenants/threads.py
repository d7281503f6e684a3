"""Django's work for one company, off the event loop."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

from gateway.tenants.isolation import only

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(company_id: int, work: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """What `work` returns, done in a thread that sees this company's rows; raises what it raises."""
    return await asyncio.to_thread(_with_rows_of, company_id, lambda: work(*args, **options))


def _with_rows_of(company_id: int, work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        with only([company_id]):
            return work()
    finally:
        close_old_connections()
