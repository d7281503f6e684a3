"""Make the reports of days, weeks and months from the figures that are kept of each day (`counting`).

A document belongs to the day (Nairobi) on which the gateway accepted it, whatever day KRA signed it. A report that was
made while documents were still on their way is made anew by the next run that looks at its period.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from gateway.audit.chain import seal_journal
from gateway.devices.models import Device
from gateway.lanes.models import Job
from gateway.lib.clock import NAIROBI, utc_now
from gateway.reports.counting import count_days
from gateway.reports.models import ComplianceReport, DailyReport, DayFigures
from gateway.reports.sums import Sums, add_sums
from gateway.sales.actions import JOB_KIND
from gateway.sales.models import Invoice

DAYS_BACK = 7  # how far back missing days are looked for: an installation may have been off for a week
MOST_REFUSED = 500  # of a report that are listed; all are counted
OPEN = (Invoice.Status.QUEUED, Invoice.Status.SENDING, Invoice.Status.UNKNOWN)

Kind = ComplianceReport.Kind


def figures_of(company_id: int, environment: str, *, first_day: date, last_day: date) -> dict[str, Any]:
    """What a company posted from the first to the last day, both included, and what came of it, so far as counted.

    `by_status` counts; `signed` sums signed documents by currency and kind, amounts as text with 2 decimals, and by tax
    letter; `refused` names what KRA refused and why, up to 500; `open` is how many are still on their way.
    """
    days = DayFigures.objects.filter(company_id=company_id, environment=environment, day__range=(first_day, last_day))
    counts = dict.fromkeys(("accepted", "signed", "refused", "cancelled"), 0)
    sums: Sums = {}
    for row in days.order_by("day", "lane"):
        for name in counts:
            counts[name] += getattr(row, name)
        add_sums(sums, row.sums)
    lanes = list(days.values_list("lane", flat=True).distinct())
    accepted = counts.pop("accepted")
    open_now = accepted - sum(counts.values())
    by_status = {status.value: counts.get(status, 0) for status in Invoice.Status}
    return {
        "accepted": accepted,
        "by_status": by_status | _on_their_way(lanes, first_day, last_day, open_now),
        "open": open_now,
        "signed": dict(sorted(sums.items())),
        "refused": _refused(lanes, first_day, last_day) if counts["refused"] else [],
    }


def _on_their_way(lanes: list[int], first_day: date, last_day: date, count: int) -> dict[str, int]:
    """How many of the documents that are on their way KRA has or may have; the rest wait. Found by their open jobs."""
    if not count:
        return {}
    begin, end = bounds(first_day, last_day)
    jobs = Job.objects.filter(~Q(state=Job.State.CLOSED), lane__in=lanes, kind=JOB_KIND)
    at_kra = Invoice.objects.filter(
        pk__in=jobs.values("document_id"), accepted_at__gte=begin, accepted_at__lt=end, status__in=OPEN[1:]
    )
    found = Counter(at_kra.values_list("status", flat=True))
    return {**found, Invoice.Status.QUEUED.value: max(count - found.total(), 0)}


def _refused(lanes: list[int], first_day: date, last_day: date) -> list[dict[str, Any]]:
    """What KRA refused, newest first; it was settled after it was accepted, which the index on it uses."""
    begin, end = bounds(first_day, last_day)
    found = Invoice.objects.filter(
        lane__in=lanes, signed_at=None, settled_at__gte=begin, accepted_at__gte=begin, accepted_at__lt=end
    ).filter(status=Invoice.Status.REFUSED)
    named = found.order_by("-id").values("public_id", "reference", "problem")
    return [refusal(row) for row in named[:MOST_REFUSED]]


def refusal(row: Mapping[str, Any]) -> dict[str, Any]:
    """How a refused document is named in a report."""
    problem = row["problem"] or {}
    kra = problem.get("kra") or {}
    return {
        "id": str(row["public_id"]),
        "reference": row["reference"],
        "code": kra.get("code") or problem.get("code", ""),
        "reason": problem.get("detail", ""),
    }


def generate_daily_report(*, now: datetime | None = None) -> int:
    """Make yesterday's report of each company and environment, and those of the week before that are missing.

    How many were made or made anew. A second run makes nothing, unless documents were still on their way.
    """
    today = _today(now)
    _catch_up()
    made = 0
    for days in range(DAYS_BACK, 0, -1):
        day = today - timedelta(days=days)
        for company_id, environment in _reporting(day, day):
            key = {"company_id": company_id, "environment": environment, "day": day}
            made += _make(DailyReport, key, {}, first_day=day, last_day=day)
    return made


def generate_compliance_reports(*, now: datetime | None = None) -> int:
    """Make the compliance reports of yesterday, last week and last month where they are missing; how many.

    A second run makes nothing, unless documents were still on their way.
    """
    _catch_up()
    made = 0
    for kind, first_day, last_day in _last_periods(_today(now)):
        for company_id, environment in _reporting(first_day, last_day):
            key = {"company_id": company_id, "environment": environment, "kind": kind, "first_day": first_day}
            made += _make(ComplianceReport, key, {"last_day": last_day}, first_day=first_day, last_day=last_day)
    return made


def _catch_up() -> None:
    """Count what happened up to now."""
    seal_journal()
    count_days()


def _make(
    model: type[DailyReport] | type[ComplianceReport],
    key: dict[str, Any],
    more: dict[str, Any],
    *,
    first_day: date,
    last_day: date,
) -> bool:
    """Make a report, or make it anew while documents of it are open. False when there was nothing to do."""
    known = model._default_manager.filter(**key).first()
    if known is not None and not known.figures["open"]:
        return False
    figures = figures_of(key["company_id"], key["environment"], first_day=first_day, last_day=last_day)
    if known is not None:
        if known.figures == figures:
            return False
        model._default_manager.filter(pk=known.pk).update(figures=figures, made_at=utc_now())
        return True
    try:
        with transaction.atomic():
            model._default_manager.create(**key, **more, figures=figures)
    except IntegrityError:  # another process made it meanwhile
        return False
    return True


def _reporting(first_day: date, last_day: date) -> Iterable[tuple[int, str]]:
    """Companies and environments with a device that was activated by then: a day without sales is reported too."""
    _, end = bounds(first_day, last_day)
    devices = Device.objects.filter(activated_at__lt=end)
    return devices.order_by("company_id", "environment").values_list("company_id", "environment").distinct()


def bounds(first_day: date, last_day: date) -> tuple[datetime, datetime]:
    """When the first day begins and the last one ends, in Nairobi."""
    begin = datetime.combine(first_day, time(), tzinfo=NAIROBI)
    return begin, datetime.combine(last_day + timedelta(days=1), time(), tzinfo=NAIROBI)


def _today(now: datetime | None) -> date:
    return (now or utc_now()).astimezone(NAIROBI).date()


def _last_periods(today: date) -> Iterator[tuple[Kind, date, date]]:
    yesterday = today - timedelta(days=1)
    yield Kind.DAILY, yesterday, yesterday
    monday = today - timedelta(days=today.weekday())
    yield Kind.WEEKLY, monday - timedelta(days=7), monday - timedelta(days=1)
    last = today.replace(day=1) - timedelta(days=1)
    yield Kind.MONTHLY, last.replace(day=1), last
