"""Make the reports of days, weeks and months from the invoices.

A document belongs to the day (Nairobi) on which the gateway accepted it, whatever day KRA signed it. A report that was
made while documents were still on their way is made anew by the next run that looks at its period.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from gateway.devices.models import Device
from gateway.lib.clock import NAIROBI, utc_now
from gateway.reports.models import ComplianceReport, DailyReport
from gateway.sales.models import Invoice

DAYS_BACK = 7  # how far back missing days are looked for: an installation may have been off for a week
MOST_REFUSED = 500  # of a report that are listed; all are counted
OPEN = (Invoice.Status.QUEUED, Invoice.Status.SENDING, Invoice.Status.UNKNOWN)
_STRAY = timedelta(hours=1)  # ids follow the time of acceptance that closely
_ZERO = Decimal("0.00")

Kind = ComplianceReport.Kind


@dataclass(slots=True)
class _Sum:
    count: int = 0
    total: Decimal = _ZERO
    tax: Decimal = _ZERO
    by_letter: dict[str, dict[str, Decimal]] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        self.count += 1
        self.total += row["total"]
        self.tax += row["total_tax"]
        for letter, net in row["figures__net"].items():
            tax = Decimal(row["figures__tax"].get(letter, "0"))
            if Decimal(net) or tax:
                sums = self.by_letter.setdefault(letter, {"net": _ZERO, "tax": _ZERO})
                sums["net"] += Decimal(net)
                sums["tax"] += tax

    def shown(self) -> dict[str, Any]:
        letters = {
            letter: {**{name: str(amount) for name, amount in sums.items()}, "amount": str(sums["net"] + sums["tax"])}
            for letter, sums in sorted(self.by_letter.items())
        }
        return {"count": self.count, "amount": str(self.total), "tax": str(self.tax), "by_tax_type": letters}


def figures_of(company_id: int, environment: str, *, first_day: date, last_day: date) -> dict[str, Any]:
    """What a company posted from the first to the last day, both included, and what came of it.

    `by_status` counts; `signed` sums signed documents by currency and kind, amounts as text with 2 decimals, and by tax
    letter; `refused` names what KRA refused and why, up to 500; `open` is how many are still on their way.
    """
    by_status = {status.value: 0 for status in Invoice.Status}
    signed: dict[str, dict[str, _Sum]] = {}
    refused: list[dict[str, Any]] = []
    for row in _rows(company_id, environment, first_day, last_day):
        by_status[row["status"]] += 1
        if row["status"] == Invoice.Status.SIGNED:
            kinds = signed.setdefault(row["figures__currency"] or "KES", {kind.value: _Sum() for kind in Invoice.Kind})
            kinds[row["kind"]].add(row)
        elif row["status"] == Invoice.Status.REFUSED and len(refused) < MOST_REFUSED:
            problem = row["problem"] or {}
            kra = problem.get("kra") or {}
            refused.append(
                {
                    "id": str(row["public_id"]),
                    "reference": row["reference"],
                    "code": kra.get("code") or problem.get("code", ""),
                    "reason": problem.get("detail", ""),
                }
            )
    return {
        "accepted": sum(by_status.values()),
        "by_status": by_status,
        "open": sum(by_status[status] for status in OPEN),
        "signed": {
            currency: {kind: sums.shown() for kind, sums in kinds.items()} for currency, kinds in sorted(signed.items())
        },
        "refused": refused,
    }


def generate_daily_report(*, now: datetime | None = None) -> int:
    """Make yesterday's report of each company and environment, and those of the week before that are missing.

    How many were made or made anew. A second run makes nothing, unless documents were still on their way.
    """
    today = _today(now)
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
    made = 0
    for kind, first_day, last_day in _last_periods(_today(now)):
        for company_id, environment in _reporting(first_day, last_day):
            key = {"company_id": company_id, "environment": environment, "kind": kind, "first_day": first_day}
            made += _make(ComplianceReport, key, {"last_day": last_day}, first_day=first_day, last_day=last_day)
    return made


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
    _, end = _bounds(first_day, last_day)
    devices = Device.objects.filter(activated_at__lt=end)
    return devices.order_by("company_id", "environment").values_list("company_id", "environment").distinct()


def _rows(company_id: int, environment: str, first_day: date, last_day: date) -> Iterator[dict[str, Any]]:
    """The period's invoices, newest first. There is no index on the time, and ids follow it: walk back, then stop."""
    begin, end = _bounds(first_day, last_day)
    columns = ("accepted_at", "public_id", "reference", "status", "kind", "total", "total_tax", "problem")
    parts = ("figures__currency", "figures__net", "figures__tax")  # not the lines, which are most of it
    found = Invoice.objects.filter(company_id=company_id, environment=environment).order_by("-id")
    for row in found.values(*columns, *parts).iterator(500):
        if row["accepted_at"] < begin - _STRAY:
            return
        if begin <= row["accepted_at"] < end:
            yield row


def _bounds(first_day: date, last_day: date) -> tuple[datetime, datetime]:
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
