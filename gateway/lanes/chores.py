"""Background work that must end some day: files to take in, exports, mails. No sale ever depends on a chore.

A chore is a row, written in the same transaction as what it is about:

    upload = Upload.objects.create(…)
    queue_chore("upload", upload.pk)

`wiring.CHORES` says what to do for each kind: a function of the row's id and of `beat`, which it calls now and then to
say that it lives. Somebody carries the chore (a thread of the embedded shape, a Celery worker) under a lease of a
minute. One that was left behind is found by `resume_chores` and carried again: what was done stands in the work's own
rows, so it may be begun twice and must bear that. One that failed too often is given up: `wiring.GIVEN_UP` says so on
what it is about, for whoever waits for it, and the chore stays a month for the operator (`revpay_status_check`).
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from django.db import transaction
from django.db.models import F, Q, QuerySet

from gateway.lanes.models import Chore
from gateway.lib.clock import utc_now

LEASE = timedelta(seconds=60)
MOST_FAILURES = 8  # then it is given up
KEPT = timedelta(days=30)  # for a person to look at
# What is said of a file that was given up
ASK_AGAIN = "Something failed on our side, several times. Ask for it again, and tell the operator if that fails too."
SHORTEST_REST, LONGEST_REST = timedelta(seconds=30), timedelta(hours=1)

Beat = Callable[[], None]
Work = Callable[[int, Beat], object]
GiveUp = Callable[[int], object]

log = logging.getLogger(__name__)

_carrier: Callable[[int], object] | None = None


class ChoreLost(Exception):
    """This carrier was away for longer than its lease; another one may be at it. Stop."""


def set_carrier(carrier: Callable[[int], object] | None) -> None:
    """Name what of this process takes chores by their id, soon and in another thread or process."""
    global _carrier
    _carrier = carrier


@transaction.atomic
def queue_chore(kind: str, document_id: int) -> None:
    """Have a chore done soon after this transaction; one that waits already is not queued twice."""
    chore, _ = Chore.objects.get_or_create(kind=kind, document_id=document_id)
    transaction.on_commit(lambda: _hint(chore.pk))


def resume_chores(*, now: datetime | None = None) -> int:
    """Have every chore carried that is due and that nobody (alive) carries; how many. A second run does no harm."""
    due = list(_free(now or utc_now()).order_by("pk").values_list("pk", flat=True)[:1000])
    for pk in due:
        _hint(pk)
    return len(due)


def carry_chore(
    pk: int,
    works: Mapping[str, Work],
    given_up: Mapping[str, GiveUp] = MappingProxyType({}),
    *,
    clock: Callable[[], datetime] = utc_now,
) -> bool:
    """Do a chore if it is due and free; whether it is done. What fails is tried again later, each time less soon.

    With its last failure it is given up, and `given_up` says so on the row that it is about, in the same transaction.
    """
    taken = _free(clock()).filter(pk=pk).update(leased_until=clock() + LEASE, turn=F("turn") + 1)
    if not taken:
        return False
    chore = Chore.objects.get(pk=pk)
    mine = Chore.objects.filter(pk=pk, turn=chore.turn)

    def beat() -> None:
        if not mine.update(leased_until=clock() + LEASE):
            raise ChoreLost

    try:
        works[chore.kind](chore.document_id, beat)
    except ChoreLost:
        return False
    except Exception as error:  # whatever it is, it is tried again
        log.exception("The chore %s %s failed", chore.kind, chore.document_id)
        rest = min(SHORTEST_REST * 2**chore.failures, LONGEST_REST)
        told = f"{type(error).__name__}: {error}"[:300].replace("\x00", "")
        with transaction.atomic():
            is_mine = mine.update(failures=F("failures") + 1, due_at=clock() + rest, leased_until=None, last_error=told)
            if is_mine and chore.failures + 1 >= MOST_FAILURES and chore.kind in given_up:
                given_up[chore.kind](chore.document_id)
        return False
    mine.delete()
    return True


def given_up_chores() -> QuerySet[Chore]:
    """Those that failed too often, and are not tried again."""
    return Chore.objects.filter(failures__gte=MOST_FAILURES)


def forget_given_up_chores(*, before: datetime) -> int:
    """Delete chores that were given up before a moment; how many. What they were about stays as it is."""
    return given_up_chores().filter(due_at__lt=before).delete()[0]


def _free(now: datetime) -> QuerySet[Chore]:
    unleased = Q(leased_until=None) | Q(leased_until__lt=now)
    return Chore.objects.filter(unleased, due_at__lte=now, failures__lt=MOST_FAILURES)


def _hint(pk: int) -> None:
    """Say that a chore is there. Nobody listens, or not now: `resume_chores` finds it."""
    if _carrier is None:
        return
    try:
        _carrier(pk)
    except Exception:  # a broker that is away must not fail the request
        log.exception("A chore could not be handed on; it is found within a minute")
