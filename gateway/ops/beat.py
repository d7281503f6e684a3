"""`wiring.SCHEDULE` as rows of django-celery-beat, from which Celery's beat works."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Max

from gateway.lib.clock import NAIROBI
from gateway.lib.schedule import Daily, Every, When
from gateway.ops.tasks import task_name
from gateway.wiring import Work

OURS = "gateway."  # what the tasks' names begin with
_LATE_DAILY = timedelta(hours=12)


class NoBroker(Exception):
    """This installation has no REDIS_URL: `serve` runs the schedule itself and there is nothing to write."""


@dataclass(slots=True)
class Written:
    """The names of the rows that were made, changed, left as they were, and removed."""

    made: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


@transaction.atomic
def write_beat_rows(schedule: Sequence[tuple[When, Work]], *, clear: bool = False) -> Written:
    """Make the rows say what the schedule says. A second run changes nothing; a row that was switched off stays off.

    `clear` also removes rows of our tasks that the schedule does not know; other people's tasks are left alone.
    Raises NoBroker.
    """
    rows = _model("PeriodicTask").objects
    written = Written()
    for when, work in schedule:
        name = work.__name__
        wanted = {
            "task": task_name(work),
            "expire_seconds": int((when.period if isinstance(when, Every) else _LATE_DAILY).total_seconds()),
            "description": (work.__doc__ or "").partition("\n")[0][:200],
            **_timing(when),
        }
        row = rows.filter(name=name).first()
        if row is None:
            rows.create(name=name, **wanted)
            written.made.append(name)
        elif any(getattr(row, column) != value for column, value in wanted.items()):
            for column, value in wanted.items():
                setattr(row, column, value)
            row.save()
            written.changed.append(name)
        else:
            written.unchanged.append(name)
    if clear:
        for row in rows.filter(task__startswith=OURS).exclude(name__in=[work.__name__ for _, work in schedule]):
            written.removed.append(row.name)
            row.delete()
    return written


def missing_beat_rows(schedule: Sequence[tuple[When, Work]]) -> list[str]:
    """The names of work that no switched-on row runs. Raises NoBroker."""
    known = set(_model("PeriodicTask").objects.filter(enabled=True).values_list("name", flat=True))
    return [work.__name__ for _, work in schedule if work.__name__ not in known]


def last_sent_at(schedule: Sequence[tuple[When, Work]]) -> datetime | None:
    """When beat last sent any of the work; None if it never has. Raises NoBroker."""
    rows = _model("PeriodicTask").objects.filter(name__in=[work.__name__ for _, work in schedule])
    newest: datetime | None = rows.aggregate(newest=Max("last_run_at"))["newest"]
    return newest


def _timing(when: When) -> dict[str, Any]:
    if isinstance(when, Daily):
        fields = {"hour": str(when.at.hour), "minute": str(when.at.minute), "timezone": NAIROBI}
        days = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
        crontab, _ = _model("CrontabSchedule").objects.get_or_create(**fields, **days)
        return {"crontab": crontab, "interval": None}
    seconds = int(when.period.total_seconds())
    every, period = (seconds // 60, "minutes") if seconds % 60 == 0 else (seconds, "seconds")
    interval, _ = _model("IntervalSchedule").objects.get_or_create(every=every, period=period)
    return {"interval": interval, "crontab": None}


def _model(name: str) -> Any:
    """A model of django-celery-beat, which is installed only where there is a broker."""
    try:
        return apps.get_model("django_celery_beat", name)
    except LookupError:
        raise NoBroker("REDIS_URL is not set: `serve` runs the periodic work itself.") from None
