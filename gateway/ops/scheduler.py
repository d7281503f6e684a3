"""The embedded shape's clockwork: one thread that calls what `wiring.SCHEDULE` names when its time has come."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import close_old_connections
from structlog.contextvars import bound_contextvars

from gateway.lib.clock import utc_now
from gateway.lib.schedule import Daily, When
from gateway.tenants.isolation import connect_as, everything
from gateway.wiring import Work

log = logging.getLogger(__name__)

TICK_SECONDS = 5.0
# A shop's computer may be off every night: what is due once a day also runs soon after a start
CATCH_UP = timedelta(minutes=2)


def perform(work: Work) -> object:
    """Run one piece of periodic work, for all companies; its log lines name it. What it raises is the caller's."""
    with bound_contextvars(work=work.__name__), everything():
        done = work()
        log.log(logging.INFO if done else logging.DEBUG, "Periodic work is done: %s", done)
        return done


class Scheduler:
    """Calls each piece of work when it is due. A restart forgets what was done: the work is made to be repeated."""

    def __init__(self, schedule: Sequence[tuple[When, Work]], *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        now = clock()
        self._rows = [(when, work, _first(when, now)) for when, work in schedule]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; work under way is not waited for."""
        self._stop.set()

    def run_due(self) -> None:
        """Run what is due now, one after the other. What fails is logged and has its next turn at its next time."""
        for index, (when, work, due) in enumerate(self._rows):
            now = self._clock()
            following = when.next_after(now)
            if now < due <= following:
                continue
            # a due time beyond the following one: the clock was set back
            self._rows[index] = (when, work, following)
            if due > now:
                continue
            close_old_connections()
            try:
                perform(work)
            except Exception:
                log.exception("Periodic work %s failed; its next turn is at %s", work.__name__, following.isoformat())
            finally:
                close_old_connections()

    def _run(self) -> None:
        connect_as("chores")
        while not self._stop.wait(TICK_SECONDS):
            self.run_due()


def _first(when: When, now: datetime) -> datetime:
    due = when.next_after(now)
    return min(due, now + CATCH_UP) if isinstance(when, Daily) else due
