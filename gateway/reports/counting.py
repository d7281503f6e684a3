"""Keep each branch's figures of each day by increments, so that no report and no page has to read invoices.

The journal's chain gives each event a position without a gap, once. What lies beyond the position kept in `Counted` is
added to the days' figures in the transaction that moves it: exactly once, whoever is killed when, and at no cost to
the sale itself. A document's state is that of the last event that told of one, so it is counted in one state only.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any

from django.db import transaction

from gateway.audit.models import ChainHead, Event
from gateway.lib.clock import NAIROBI
from gateway.lib.killpoint import reached
from gateway.reports.models import Counted, DayFigures
from gateway.reports.sums import add_document
from gateway.sales.models import Invoice

BATCH = 2000  # events
OPEN = "open"
# What a document becomes by an event. The others (unknown, rebuilt) leave it on its way
STATES = {
    "invoice.accepted": OPEN,
    "invoice.corrected": OPEN,
    "invoice.retried": OPEN,
    "invoice.signed": "signed",
    "invoice.refused": "refused",
    "invoice.cancelled": "cancelled",
}
_COLUMNS = (
    *("public_id", "company_id", "environment", "lane_id", "accepted_at", "kind", "total", "total_tax", "recovered"),
    *("figures__currency", "figures__net", "figures__tax"),  # not the lines, which are most of it
)


def count_days(*, batch: int = BATCH) -> int:
    """Add to the days' figures what was sealed since the last run; how many events were read. None is added twice."""
    counted = 0
    while read := _count_batch(batch):
        counted += read
    return counted


@transaction.atomic
def _count_batch(batch: int) -> int:
    Counted.objects.get_or_create(pk=1)
    place = Counted.objects.select_for_update().get(pk=1)
    head = ChainHead.objects.values_list("position", flat=True).filter(pk=1).first() or 0
    until = min(head, place.position + batch)
    read = until - place.position
    if read:
        events = Event.objects.filter(position__gt=place.position, position__lte=until).order_by("position")
        before, after = _states(list(events.values_list("name", "subject")), until=place.position)
        _add(before, after)
        reached("figures added")
        place.position = until
        place.save(update_fields=["position"])
        reached("position moved")
    return read


def _states(events: list[tuple[str, Any]], *, until: int) -> tuple[dict[Any, str], dict[Any, str]]:
    """Each document's state before these events, where it had one, and after them."""
    told = [(subject, name) for name, subject in events if name in STATES]
    new = {subject for subject, name in told if name == "invoice.accepted"}
    known = [subject for subject in {subject for subject, _ in told} if subject not in new]
    earlier = Event.objects.filter(subject__in=known, name__in=STATES, position__lte=until).order_by("position")
    before = {subject: STATES[name] for subject, name in earlier.values_list("subject", "name")}
    return before, {subject: STATES[name] for subject, name in told}


def _add(before: dict[Any, str], after: dict[Any, str]) -> None:
    days: dict[tuple[int, date], DayFigures] = {}
    documents = list(Invoice.objects.filter(public_id__in=after).values(*_COLUMNS))
    for row in documents:
        key = (row["lane_id"], row["accepted_at"].astimezone(NAIROBI).date())
        days.setdefault(key, _empty(row, key[1]))
    days |= {(known.lane_id, known.day): known for known in _kept(days)}
    for row in documents:
        figures = days[row["lane_id"], row["accepted_at"].astimezone(NAIROBI).date()]
        _move(figures, row, before.get(row["public_id"]), after[row["public_id"]])
    changed = ("accepted", "signed", "recovered", "refused", "cancelled", "sums")
    DayFigures.objects.bulk_create(
        days.values(), update_conflicts=True, unique_fields=["lane", "day"], update_fields=changed
    )


def _kept(days: dict[tuple[int, date], DayFigures]) -> Iterable[DayFigures]:
    wanted = DayFigures.objects.filter(lane__in={lane for lane, _ in days}, day__in={day for _, day in days})
    for known in wanted:
        if (known.lane_id, known.day) in days:
            known.pk = None  # it is written back by lane and day, like a new one
            yield known


def _empty(row: dict[str, Any], day: date) -> DayFigures:
    return DayFigures(company_id=row["company_id"], environment=row["environment"], lane_id=row["lane_id"], day=day)


def _move(figures: DayFigures, row: dict[str, Any], before: str | None, after: str) -> None:
    """Take a document from the state it was counted in to the one it is in now."""
    if before is None:
        figures.accepted += 1
    if before == after:
        return
    for state, step in ((before, -1), (after, 1)):
        if state not in {None, OPEN}:
            setattr(figures, str(state), getattr(figures, str(state)) + step)
    if after == "signed":
        figures.recovered += row["recovered"]
        add_document(figures.sums, row)
