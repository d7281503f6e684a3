"""One Celery task for each piece of periodic work in `wiring.SCHEDULE`, by its name: `gateway.retry_sales_invoice` …

A task takes nothing and gives nothing; what it did stands in the database, and running it twice changes nothing.
"""

from collections.abc import Callable

from gateway.celery import app
from gateway.lanes.chores import carry_chore, set_carrier
from gateway.ops.scheduler import perform
from gateway.tenants.isolation import everything
from gateway.wiring import CHORES, GIVEN_UP, SCHEDULE, Work


def task_name(work: Work) -> str:
    """Under which name Celery knows a piece of work."""
    return f"gateway.{work.__name__}"


def _performing(work: Work) -> Callable[[], None]:
    def task() -> None:
        perform(work)

    task.__name__, task.__doc__ = work.__name__, work.__doc__
    return task


TASKS = {work.__name__: app.task(_performing(work), name=task_name(work)) for _, work in SCHEDULE}


@app.task(name="gateway.carry_chore")  # type: ignore[untyped-decorator]
def carry(pk: int) -> None:
    """Do a chore, if it is due and nobody else does it."""
    with everything():
        carry_chore(pk, CHORES, GIVEN_UP)


set_carrier(lambda pk: carry.delay(pk))  # workers find chores left behind, and hand them on like everybody
