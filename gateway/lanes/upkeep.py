"""Chores around the queue: the net under lost wake-ups, and cleaning up what is not fiscal.

None of them sends anything, and each may run twice, or in two processes at once.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from gateway.audit.models import ApiCall
from gateway.lanes import local
from gateway.lanes.chores import KEPT, forget_given_up_chores
from gateway.lanes.models import Attempt, Job, Lane, Process
from gateway.lanes.months import drop_old_attempts
from gateway.lib.clock import utc_now
from gateway.tenants.upkeep import forget_ended_keys, forget_expired_sessions

UNTOUCHED = timedelta(minutes=1)
DEAD = timedelta(hours=1)  # much longer than any lease
BATCH = 1000


def retry_sales_invoice(*, now: datetime | None = None) -> int:
    """Make lanes due that have work and that nobody has touched for a minute; how many. It never sends anything.

    Lanes that rest or are held are left alone, and so are lanes that a living process holds. A second run finds only
    what is still untouched; lanes that are due already keep their due time, by which the age of the queue is measured.
    """
    now = now or utc_now()
    since = now - UNTOUCHED
    ready = Job.objects.filter(
        ~Q(state=Job.State.CLOSED),
        Q(waits_for=None) | Q(waits_for__state=Job.State.CLOSED),
        lane=OuterRef("pk"),
        created_at__lt=since,
    )
    held_by_living = Process.objects.filter(token=OuterRef("owner"), expires_at__gt=now)
    untouched = Lane.objects.filter(
        Exists(ready), ~Exists(held_by_living), Q(due_at=None) | Q(due_at__lt=since), hold_reason=""
    )
    found = list(untouched.values_list("pk", flat=True))
    for start in range(0, len(found), BATCH):
        lanes = found[start : start + BATCH]
        Lane.objects.filter(pk__in=lanes, due_at=None, hold_reason="").update(due_at=Now())
        for lane_id in lanes:
            local.wake(lane_id)
    return len(found)


def cleanup_old_logs(*, now: datetime | None = None) -> int:
    """Delete messages to KRA older than RETENTION_ATTEMPT_DAYS and calls to the API older than RETENTION_CALL_DAYS.

    In batches that commit alone; how many. On PostgreSQL a month of messages goes at once, when all of it is older.
    """
    now = now or utc_now()
    before = now - timedelta(days=settings.RETENTION_ATTEMPT_DAYS)
    parted = connection.vendor == "postgresql"
    deleted = drop_old_attempts(before=before) if parted else _delete_older(Attempt, "started_at", before=before)
    return deleted + _delete_older(ApiCall, "at", before=now - timedelta(days=settings.RETENTION_CALL_DAYS))


def _delete_older(model: type[Attempt] | type[ApiCall], time: str, *, before: datetime) -> int:
    deleted = 0
    while True:
        # by id, which follows the time: no index on the time is needed
        oldest = model._default_manager.order_by("id").values_list("id", time)[:BATCH]
        old = [row for row, at in oldest if at < before]
        if not old:
            return deleted
        deleted += model._default_manager.filter(id__in=old).delete()[0]


def cleanup_old_data(*, now: datetime | None = None) -> int:
    """Delete ended keys (RETENTION_KEY_DAYS), rows of dead engines, expired sessions, and chores given up a month ago.

    How many. Never an invoice.
    """
    now = now or utc_now()
    deleted = forget_ended_keys(before=now - timedelta(days=settings.RETENTION_KEY_DAYS))
    deleted += Process.objects.filter(expires_at__lt=now - DEAD).delete()[0]
    deleted += forget_given_up_chores(before=now - KEPT)
    while forgotten := forget_expired_sessions(before=now, most=BATCH):
        deleted += forgotten
    return deleted
