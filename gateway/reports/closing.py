"""X and Z reports of a branch: what it sold since its day was last closed, and the close of a day (rules: TIS v2.0).

* A Z report closes a day of a branch (Nairobi), once: it is numbered, kept, and never changed. It covers everything
  since the Z before, so a day without one is covered by the next.
* A document counts from the moment that the control unit has signed it. A branch's documents are signed one after
  another in the order of their numbers, so a Z covers a run of numbers; whatever waits or is in doubt comes after it,
  and into the next. A day that is over ends with the last document that the control unit signed on it.
* A document that another system had under our number, and that turned out to be ours (a restored backup), counts in
  the first Z after that: `late_numbers`.
* An X report shows the same figures of the time since the last Z. It is not kept and has no number.
"""

import logging
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Min, Q, QuerySet

from gateway.audit.services import record
from gateway.catalog.models import ItemClass
from gateway.devices.models import Device
from gateway.lanes.models import Job, Lane
from gateway.lib.clock import NAIROBI, utc_now
from gateway.lib.killpoint import reached
from gateway.lib.money import ZERO, round_money
from gateway.lib.software import NAME, VERSION
from gateway.reports.models import CashMovement, DayEnd, ZReport
from gateway.reports.tally import AMOUNTS, COLUMNS, GROUP_DIGITS, PARTS, SIDES, Tally, added
from gateway.sales.actions import ON_ITS_WAY
from gateway.sales.models import Found, Invoice, Period, PrintedDocument
from gateway.sales.receipts.labels import COPIES, Label
from gateway.tenants.models import Branch
from gateway.tenants.pages import newest_first, page

COUNTED = {
    "copies": COPIES,
    "training": (Label.TRAINING_SALE, Label.TRAINING_CREDIT_NOTE),
    "proforma": (Label.PROFORMA_SALE,),
}
BY_ITSELF = "schedule"  # who takes the reports that nobody takes
_BATCH = 200
_log = logging.getLogger(__name__)


class BranchUnknown(Exception):
    """The company has no such branch."""


class NoDeviceThere(Exception):
    """The branch has no device in this environment that the caller may use; an empty text: the company has none."""


class BranchUnclear(Exception):
    """No branch was named, and the company has several; the text lists them."""


class ZTaken(Exception):
    """The day is closed already, by this report or by one of a later day."""

    def __init__(self, report: ZReport) -> None:
        super().__init__(str(report))
        self.report = report


class DayAhead(Exception):
    """The day has not begun."""


class DayBeforeOpening(Exception):
    """The day was over before the branch opened for the first time; `opened_on` is None for one that never did."""

    def __init__(self, day: date, opened_on: date | None) -> None:
        super().__init__(f"{day}, opened on {opened_on}")
        self.day = day
        self.opened_on = opened_on


@dataclass(frozen=True, slots=True)
class Span:
    """What a report covers: the numbers after `after` up to `last`, those that came late, and a time for the rest."""

    opened_at: datetime
    closed_at: datetime
    after: int
    last: int
    late: tuple[int, ...]
    others: tuple[int, ...]


def find_lane(company_id: int, environment: str, branch: str | None, *, device: uuid.UUID | None = None) -> Lane:
    """The branch's series of invoices; the only one's when none is named. `device`: the only one the caller may use.

    Raises BranchUnknown, NoDeviceThere, BranchUnclear.
    """
    devices = Device.objects.filter(company_id=company_id, environment=environment)
    if device is not None:
        devices = devices.filter(public_id=device)
    lanes = list(Lane.objects.filter(devices__in=devices).distinct().order_by("branch"))
    if branch is not None:
        lanes = [lane for lane in lanes if lane.branch == branch]
    if not lanes:
        if branch is not None:
            check_branch(company_id, branch)
        raise NoDeviceThere(branch or "")
    if len(lanes) > 1:
        raise BranchUnclear(", ".join(lane.branch for lane in lanes))
    return lanes[0]


def check_branch(company_id: int, branch: str) -> None:
    """Raises BranchUnknown for a code that is none of the company's branches."""
    if not Branch.objects.filter(company_id=company_id, code=branch).exists():
        raise BranchUnknown(branch)


def x_report(lane: Lane, *, now: datetime | None = None) -> dict[str, Any]:
    """What a branch did since its last Z report. Nothing is kept, numbered or begun anew."""
    moment = now or utc_now()
    before = _last(lane)
    span = _span(lane, before, closed_at=moment, day=None)
    figures = _figures(lane, before, span, _tally(lane, span), _incomplete(lane, span), _cash(lane))
    return {**_heading(lane, before, span), "day": _day_of(moment), "figures": figures}


def take_z_report(lane: Lane, *, by: str, day: date | None = None, now: datetime | None = None) -> ZReport:
    """Close a day of a branch, today when none is given, and keep its report.

    It closes now, or at the end of the day if that is over. Of two at once one wins. Raises ZTaken; DayAhead;
    DayBeforeOpening.
    """
    moment = now or utc_now()
    today = _day_of(moment)
    day = day or today
    if day > today:
        raise DayAhead(day)
    closed_at = moment if day == today else end_of(day)
    Period.objects.get_or_create(lane=lane)
    while True:
        before = _last(lane)
        if before is not None and before.day >= day:
            raise ZTaken(before)
        if before is None and day < today:
            _check_opened(lane, day)
        # what it covers is signed and stands, so it is summed up before anybody has to wait
        span = _span(lane, before, closed_at=closed_at, day=day)
        tally, incomplete = _tally(lane, span), _incomplete(lane, span)
        with transaction.atomic():
            period = Period.objects.select_for_update().get(lane=lane)
            if _last(lane) == before:
                report = _keep(lane, period, before, span, tally, incomplete, day=day, by=by)
                reached("z report made")
                break
    reached("z report kept")
    return report


def _keep(
    lane: Lane,
    period: Period,
    before: ZReport | None,
    span: Span,
    tally: Tally,
    incomplete: dict[str, Any],
    *,
    day: date,
    by: str,
) -> ZReport:
    """Add the report and count the cash in it, while the period is locked."""
    cash = list(_cash(lane).filter(made_at__lt=end_of(day)))
    report = ZReport.objects.create(
        company_id=lane.company_id,
        environment=lane.environment,
        lane=lane,
        number=period.report_number,
        day=day,
        opened_at=span.opened_at,
        closed_at=span.closed_at,
        first_number=span.after + 1,
        last_number=span.last,
        others_numbers=list(span.others),
        figures=_figures(lane, before, span, tally, incomplete, cash),
        made_by=by[:100],
    )
    CashMovement.objects.filter(pk__in=[one.pk for one in cash]).update(z_report=report)
    Period.objects.filter(pk=period.pk).update(report_number=period.report_number + 1, closed_day=day)
    record(
        lane.company,
        "z_report.taken",
        subject=report.public_id,
        environment=lane.environment,
        actor=by,
        branch=lane.branch,
        number=report.number,
        day=str(day),
        amount=report.figures["net"]["amount"],
    )
    return report


def take_due_z_reports(*, now: datetime | None = None) -> int:
    """Take the Z report of each branch whose day has ended and that has none; how many. A second run takes none."""
    moment = now or utc_now()
    taken = 0
    for lane, day in _due(moment):
        try:
            take_z_report(lane, by=BY_ITSELF, day=day, now=moment)
            taken += 1
        except ZTaken:
            continue  # by somebody else, just now
        except Exception:
            _log.exception("the Z report of %s for %s could not be taken; it is tried again", lane, day)
    return taken


def describe(report: ZReport) -> dict[str, Any]:
    """A kept report as `x_report` shows one, with its number."""
    return {
        "id": report.public_id,
        "number": report.number,
        "branch": report.lane.branch,
        "environment": report.environment,
        "day": report.day,
        "opened_at": report.opened_at,
        "closed_at": report.closed_at,
        "first_number": report.first_number if report.last_number >= report.first_number else None,
        "last_number": report.last_number if report.last_number >= report.first_number else None,
        "made_at": report.made_at,
        "made_by": report.made_by,
        "figures": {**report.figures, "discounts": _in_cents(report.figures["discounts"])},
    }


def _in_cents(amounts: dict[str, str]) -> dict[str, str]:
    """Amounts with 2 decimals: reports taken on SQLite once kept 64.90 as 64.90000000000000568, and for ever."""
    return {side: str(round_money(Decimal(amount))) for side, amount in amounts.items()}


def list_z_reports(
    company_id: int,
    environment: str,
    *,
    branch: str | None = None,
    since: date | None = None,
    until: date | None = None,
    limit: int,
    cursor: str | None = None,
) -> tuple[list[ZReport], str | None]:
    """A page of a company's Z reports, newest first, and the cursor of the next. Raises BadCursor."""
    reports = ZReport.objects.select_related("lane").filter(company_id=company_id, environment=environment)
    reports = newest_first(reports, cursor)
    wanted = {"lane__branch": branch, "day__gte": since, "day__lte": until}
    reports = reports.filter(**{name: value for name, value in wanted.items() if value is not None})
    return page(reports, limit)


def end_of(day: date) -> datetime:
    """The moment when a day of Nairobi is over, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=NAIROBI).astimezone(UTC)


# What a report covers


def _last(lane: Lane) -> ZReport | None:
    return ZReport.objects.filter(lane=lane).order_by("-number").first()


def _span(lane: Lane, before: ZReport | None, *, closed_at: datetime, day: date | None) -> Span:
    """From the report before up to what is signed by now, or to the last document that was signed on a day."""
    after = before.last_number if before else 0
    signed = Invoice.objects.filter(lane=lane, status=Invoice.Status.SIGNED)
    fresh = signed.filter(number__gt=after)
    if day is not None:
        fresh = fresh.filter(signed_at__lt=end_of(day))
    last = fresh.aggregate(last=Max("number"))["last"] or after
    missing = before.others_numbers if before else []
    late = _ours_among(signed, missing)
    found = set(Found.objects.filter(lane=lane, number__gt=after, number__lte=last).values_list("number", flat=True))
    found -= _ours_among(signed, found)
    opened_at = before.closed_at if before else min(closed_at, _first_opening(lane) or closed_at)
    return Span(
        opened_at=opened_at,
        closed_at=closed_at,
        after=after,
        last=last,
        late=tuple(sorted(late)),
        others=tuple(sorted(found | (set(missing) - late))),
    )


def _ours_among(signed: QuerySet[Invoice], numbers: Collection[int]) -> set[int]:
    rows = signed.filter(number__in=numbers).values_list("number", flat=True) if numbers else ()
    return {number for number in rows if number is not None}


def _check_opened(lane: Lane, day: date) -> None:
    opened = _first_opening(lane)
    if opened is None or opened >= end_of(day):
        raise DayBeforeOpening(day, opened and _day_of(opened))


def _first_opening(lane: Lane) -> datetime | None:
    """When a branch began: with its first device, or with a document that is older. None: not yet."""
    began = Device.objects.filter(lane=lane).aggregate(at=Min("activated_at"))["at"]
    signed = Invoice.objects.filter(lane=lane, signed_at__isnull=False).aggregate(at=Min("signed_at"))["at"]
    return min((at for at in (began, signed) if at is not None), default=None)


def _cash(lane: Lane) -> QuerySet[CashMovement]:
    """The branch's movements of cash that no report counts yet."""
    return CashMovement.objects.filter(lane=lane, z_report=None)


# Its figures


def _heading(lane: Lane, before: ZReport | None, span: Span) -> dict[str, Any]:
    has_any = span.last > span.after
    return {
        "branch": lane.branch,
        "environment": lane.environment,
        "opened_at": span.opened_at,
        "closed_at": span.closed_at,
        "first_number": span.after + 1 if has_any else None,
        "last_number": span.last if has_any else None,
        "next_z_number": (before.number if before else 0) + 1,
    }


def _figures(
    lane: Lane,
    before: ZReport | None,
    span: Span,
    tally: Tally,
    incomplete: dict[str, Any],
    cash: Iterable[CashMovement],
) -> dict[str, Any]:
    figures = tally.shown(_group_names(lane.environment))
    sold = next((one for one in figures["payments"] if one["method"] == "cash"), dict.fromkeys(SIDES.values(), "0.00"))
    return {
        "seller": seller_of(lane),
        "software": {"name": NAME, "version": VERSION},
        "currency": "KES",
        **figures,
        **_printed(lane, span),
        "incomplete": incomplete,
        "cash": _drawer(cash, sold),
        "late_numbers": list(span.late),
        "cumulative": added(before.figures["cumulative"] if before else None, figures),
    }


def _tally(lane: Lane, span: Span) -> Tally:
    """The sums of a report's documents. Plan: a range of the unique key on (lane, number)."""
    tally = Tally()
    numbers = Q(number__gt=span.after, number__lte=span.last) & ~Q(number__in=span.others)
    if span.late:
        numbers |= Q(number__in=span.late)
    signed = Invoice.objects.filter(numbers, lane=lane, status=Invoice.Status.SIGNED)
    for row in signed.values(*COLUMNS, *PARTS, **AMOUNTS).iterator(_BATCH):
        tally.add(row)
    return tally


def seller_of(lane: Lane) -> dict[str, Any]:
    """Who sells in a branch, and with which control units, as it is now."""
    branch = Branch.objects.filter(company_id=lane.company_id, code=lane.branch).first()
    devices = Device.objects.filter(lane=lane).exclude(control_unit_id="").order_by("-activated_at")
    return {
        "name": lane.company.name,
        "pin": lane.pin,
        "branch_code": lane.branch,
        "branch_name": branch.name if branch else "",
        "address": branch.address if branch else "",
        "city": branch.city if branch else "",
        "devices": [{"serial": one.serial, "control_unit": one.control_unit_id} for one in devices],
    }


def _group_names(environment: str) -> dict[str, str]:
    """What KRA calls the segments of its classification, by their digits."""
    segments = ItemClass.objects.filter(environment=environment, level=1, valid_to=None)
    return {code[:GROUP_DIGITS]: name for code, name in segments.values_list("code", "name")}


def _incomplete(lane: Lane, span: Span) -> dict[str, Any]:
    """Documents that did not become receipts: refused or withdrawn meanwhile, and those still open at the close."""
    invoices = Invoice.objects.filter(lane=lane)
    not_signed = invoices.filter(signed_at=None, settled_at__isnull=False)
    meanwhile = not_signed.filter(settled_at__gte=span.opened_at, settled_at__lt=span.closed_at)
    accepted = Q(accepted_at__lt=span.closed_at)
    jobs = Job.objects.filter(lane=lane, kind="invoice").exclude(state=Job.State.CLOSED)
    open_ones = (
        invoices.filter(accepted, pk__in=jobs.values("document_id"), status__in=ON_ITS_WAY),
        invoices.filter(accepted, status=Invoice.Status.SIGNED, number__gt=span.last),
        not_signed.filter(accepted, settled_at__gte=span.closed_at),
    )
    shown = {
        "refused": _amounts(meanwhile.filter(status=Invoice.Status.REFUSED)),
        "cancelled": _amounts(meanwhile.filter(status=Invoice.Status.CANCELLED)),
        "open": _amounts(*open_ones),
    }
    return {
        "count": sum(len(amounts) for amounts in shown.values()),
        **{name: {"count": len(amounts), "amount": str(sum(amounts, ZERO))} for name, amounts in shown.items()},
    }


def _amounts(*invoices: QuerySet[Invoice]) -> list[Decimal]:
    return [total for some in invoices for total in some.values_list("total", flat=True)]


def _printed(lane: Lane, span: Span) -> dict[str, Any]:
    """Copies, training receipts and proforma invoices that were handed out meanwhile. Plan: `printed_by_branch`."""
    rows = PrintedDocument.objects.filter(
        company_id=lane.company_id,
        environment=lane.environment,
        branch=lane.branch,
        printed_at__gte=span.opened_at,
        printed_at__lt=span.closed_at,
        label__in=[label for labels in COUNTED.values() for label in labels],
    )
    sums: dict[str, dict[str, Any]] = {
        label: {"count": 0, "amount": ZERO} for labels in COUNTED.values() for label in labels
    }
    for label, total in rows.values_list("label", "total"):
        sums[label]["count"] += 1
        sums[label]["amount"] += total or ZERO
    return {
        name: {label.value: {**sums[label], "amount": str(sums[label]["amount"])} for label in labels}
        for name, labels in COUNTED.items()
    }


def _drawer(cash: Iterable[CashMovement], sold: dict[str, Any]) -> dict[str, Any]:
    """The drawer: what was put in and taken out, what cash sales brought, and what should be in it."""
    sums: dict[str, dict[str, Any]] = {kind: {"count": 0, "amount": ZERO} for kind in CashMovement.Kind.values}
    for one in cash:
        sums[one.kind]["count"] += 1
        sums[one.kind]["amount"] += one.amount
    opening, put_in, taken_out = (sums[kind] for kind in CashMovement.Kind.values)
    sales, notes = Decimal(sold["sales"]), Decimal(sold["credit_notes"])
    return {
        "opening": str(opening["amount"]),
        "deposits": {**put_in, "amount": str(put_in["amount"])},
        "withdrawals": {**taken_out, "amount": str(taken_out["amount"])},
        "sales": str(sales),
        "credit_notes": str(notes),
        "in_drawer": str(opening["amount"] + put_in["amount"] - taken_out["amount"] + sales - notes),
    }


# Which are due


def _due(moment: datetime) -> Iterator[tuple[Lane, date]]:
    """Branches whose last closed day lies before the day that should be closed by now, and that day."""
    today, hour = _day_of(moment), moment.astimezone(NAIROBI).hour
    ends = {(one.company_id, one.branch_id): one for one in DayEnd.objects.all()}
    branches = {(of, code): pk for pk, of, code in Branch.objects.values_list("pk", "company_id", "code")}
    lanes = Lane.objects.select_related("company").filter(
        series=Lane.Series.INVOICE, devices__activated_at__isnull=False
    )
    lanes = lanes.annotate(
        began=Min("devices__activated_at"),
        in_use=Count("devices", Q(devices__retired_at=None)),
        retired=Max("devices__retired_at"),
        closed_day=Max("period__closed_day"),
    )
    for lane in lanes.order_by("pk"):
        branch = branches.get((lane.company_id, lane.branch))
        end = ends.get((lane.company_id, branch)) or ends.get((lane.company_id, None)) or DayEnd()
        if not end.is_automatic:
            continue
        day = today if 0 < end.hour <= hour else today - timedelta(days=1)
        if not lane.in_use:
            day = min(day, _day_of(lane.retired))
        if day > (lane.closed_day or _day_of(lane.began) - timedelta(days=1)):
            yield lane, day


def _day_of(moment: datetime) -> date:
    return moment.astimezone(NAIROBI).date()
