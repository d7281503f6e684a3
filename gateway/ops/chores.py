"""Who carries chores in this process: a thread where it stands alone, Celery where there is a broker."""

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import close_old_connections, connection

from gateway.lanes.chores import carry_chore, resume_chores, set_carrier
from gateway.lanes.models import Chore
from gateway.tenants.isolation import connect_as, everything
from gateway.wiring import CHORES, GIVEN_UP

log = logging.getLogger(__name__)


@contextlib.contextmanager
def carrying_chores() -> Iterator[None]:
    """Chores that are queued in this process are done soon, until the block ends; what is under way is left behind."""
    if settings.REDIS_URL:
        from gateway.ops.tasks import carry  # Celery costs the embedded shape memory and 0.3 s

        set_carrier(lambda pk: carry.delay(pk))
        try:
            yield
        finally:
            set_carrier(None)
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="chores", initializer=connect_as, initargs=("chores",))
    set_carrier(lambda pk: pool.submit(_carry, pk))
    pool.submit(_begin)
    try:
        yield
    finally:
        set_carrier(None)
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """The one process of SQLite knows that whatever an earlier one carried is free."""
    try:
        if connection.vendor == "sqlite":
            Chore.objects.exclude(leased_until=None).update(leased_until=None)
        resume_chores()
    except Exception:
        log.exception("Chores left behind could not be looked for; they are found within a minute")
    finally:
        close_old_connections()


def _carry(pk: int) -> None:
    close_old_connections()
    try:
        with everything():
            carry_chore(pk, CHORES, GIVEN_UP)
    except Exception:
        log.exception("A chore could not be carried")
    finally:
        close_old_connections()
