"""One Celery task for each piece of periodic work in `wiring.SCHEDULE`, by its name: `gateway.retry_sales_invoice` …

A task takes nothing and gives nothing; what it did stands in the database, and running it twice changes nothing.
"""

from collections.abc import Callable

from gateway.celery import app
from gateway.ops.scheduler import perform
from gateway.wiring import SCHEDULE, Work


def task_name(work: Work) -> str:
    """Under which name Celery knows a piece of work."""
    return f"gateway.{work.__name__}"


def _performing(work: Work) -> Callable[[], None]:
    def task() -> None:
        perform(work)

    task.__name__, task.__doc__ = work.__name__, work.__doc__
    return task


TASKS = {work.__name__: app.task(_performing(work), name=task_name(work)) for _, work in SCHEDULE}
