"""Count a period from its invoices, to compare with the figures that were kept by increments. It reads every one."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from gateway.devices.models import Device
from gateway.reports.services import MOST_REFUSED, OPEN, bounds, figures_of, refusal
from gateway.reports.sums import Sums, add_document
from gateway.sales.models import Invoice

_STRAY = timedelta(hours=1)  # ids follow the time of acceptance that closely


def differences(first_day: date, last_day: date) -> Iterator[str]:
    """Each day of each company and environment whose figures are not those of its invoices, and what differs.

    What is on its way just now may be counted a minute late; a day that has ended and has nothing open must agree.
    """
    owners = Device.objects.order_by("company_id", "environment").values_list(
        "company_id", "company__pin", "environment"
    )
    for company_id, pin, environment in owners.distinct():
        for number in range((last_day - first_day).days + 1):
            day = first_day + timedelta(days=number)
            kept = figures_of(company_id, environment, first_day=day, last_day=day)
            counted = recount(company_id, environment, first_day=day, last_day=day)
            for name in kept:
                if kept[name] != counted[name]:
                    yield f"{pin} {environment} {day}: {name} is kept as {kept[name]}, counted as {counted[name]}"


def recount(company_id: int, environment: str, *, first_day: date, last_day: date) -> dict[str, Any]:
    """What `services.figures_of` says, from the invoices."""
    by_status = {status.value: 0 for status in Invoice.Status}
    signed: Sums = {}
    refused: list[dict[str, Any]] = []
    for row in _rows(company_id, environment, first_day, last_day):
        by_status[row["status"]] += 1
        if row["status"] == Invoice.Status.SIGNED:
            add_document(signed, row)
        elif row["status"] == Invoice.Status.REFUSED and len(refused) < MOST_REFUSED:
            refused.append(refusal(row))
    return {
        "accepted": sum(by_status.values()),
        "by_status": by_status,
        "open": sum(by_status[status] for status in OPEN),
        "signed": dict(sorted(signed.items())),
        "refused": refused,
    }


def _rows(company_id: int, environment: str, first_day: date, last_day: date) -> Iterator[dict[str, Any]]:
    """The period's invoices, newest first. There is no index on the time, and ids follow it: walk back, then stop."""
    begin, end = bounds(first_day, last_day)
    columns = ("accepted_at", "public_id", "reference", "status", "kind", "total", "total_tax", "problem")
    parts = ("figures__currency", "figures__net", "figures__tax")  # not the lines, which are most of it
    found = Invoice.objects.filter(company_id=company_id, environment=environment).order_by("-id")
    for row in found.values(*columns, *parts).iterator(500):
        if row["accepted_at"] < begin - _STRAY:
            return
        if begin <= row["accepted_at"] < end:
            yield row
