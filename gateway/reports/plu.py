"""The PLU report: what was sold of each item in an interval, and what is left of it (TIS specification v2.0)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from gateway.lanes.models import Lane
from gateway.lib.clock import NAIROBI
from gateway.lib.money import ZERO
from gateway.reports.closing import end_of
from gateway.reports.intervals import check_interval
from gateway.sales.models import Invoice
from gateway.stock.models import Balance

MOST_DAYS = 31
_NOTHING = Decimal(0)


@dataclass(slots=True)
class ItemSold:
    """One item under one tax letter. `unit_price` is that of its last sale, `remaining` None where no stock is kept."""

    code: str
    name: str
    tax_type: str
    rate: str
    unit_price: Decimal = ZERO
    sold: Decimal = _NOTHING
    sold_amount: Decimal = ZERO
    credited: Decimal = _NOTHING
    credited_amount: Decimal = ZERO
    remaining: Decimal | None = None


def plu_report(lanes: Sequence[Lane], *, first_day: date, last_day: date) -> list[ItemSold]:
    """What these branches sold of each item from the first to the last day on the control unit's clock, by code.

    Amounts are KES with tax, after discounts. Raises IntervalBackwards, IntervalTooLong.
    """
    check_interval(first_day, last_day, most=MOST_DAYS, field="to")
    found: dict[tuple[str, str, str], ItemSold] = {}
    for row in _rows(lanes, first_day, last_day):
        is_sale = row["kind"] == Invoice.Kind.SALE
        for line in row["figures__lines"]:
            letter = line["tax_type"]
            rate = format(Decimal(row["figures__rates"][letter]).normalize(), "f")
            item = found.setdefault(
                (line["item_code"], letter, rate), ItemSold(line["item_code"], line["name"], letter, rate)
            )
            quantity, amount = Decimal(line["quantity"]), Decimal(line["total"])
            if is_sale:
                item.name, item.unit_price = line["name"], Decimal(line["unit_price"])
                item.sold += quantity
                item.sold_amount += amount
            else:
                item.credited += quantity
                item.credited_amount += amount
    left = _left(lanes, {code for code, _, _ in found})
    for item in found.values():
        item.remaining = left.get(item.code)
    return [found[key] for key in sorted(found)]


def _rows(lanes: Sequence[Lane], first_day: date, last_day: date) -> Iterator[dict[str, Any]]:
    """The signed documents of the interval, in order. Plan: the index `invoice_signed` on (lane, signed_at)."""
    begin = datetime.combine(first_day, time(), tzinfo=NAIROBI)
    for lane in lanes:
        signed = Invoice.objects.filter(lane=lane, signed_at__gte=begin, signed_at__lt=end_of(last_day))
        columns = ("kind", "figures__lines", "figures__rates")
        yield from signed.filter(status=Invoice.Status.SIGNED).order_by("signed_at").values(*columns).iterator(200)


def _left(lanes: Sequence[Lane], codes: set[str]) -> dict[str, Decimal]:
    """What the branches have of each item now, where they keep it in stock."""
    left: dict[str, Decimal] = {}
    for lane in lanes:
        balances = Balance.objects.filter(
            company_id=lane.company_id, environment=lane.environment, lane__branch=lane.branch, item__code__in=codes
        )
        for code, quantity in balances.values_list("item__code", "quantity"):
            left[code] = left.get(code, _NOTHING) + quantity
    return left
