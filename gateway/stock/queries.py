"""Reading a company's stock: balances, movements, and where KRA counts otherwise than we do."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from gateway.kra.codes import StockReason
from gateway.lanes.models import Lane
from gateway.lib.cursor import read_place, write_place
from gateway.stock.models import Balance, Entry, Movement
from gateway.tenants.pages import newest_first, page

ON_ITS_WAY = (Movement.Status.QUEUED, Movement.Status.SENDING, Movement.Status.UNKNOWN)


class BalancePage(NamedTuple):
    rows: list[Balance]
    next: str | None


class MovementPage(NamedTuple):
    rows: list[Movement]
    next: str | None


@dataclass(frozen=True, slots=True)
class Drift:
    """An item of which KRA counts another quantity than we do, what is still on its way taken into account.

    `difference` is ours less KRA's: above zero, KRA misses goods that came in; below zero, goods that left.
    """

    balance: Balance
    on_its_way: Decimal  # what KRA will be told by itself
    difference: Decimal
    refused: list[Movement]  # movements of the item that KRA did not take: the likely reason


def list_balances(
    company_id: int,
    environment: str,
    *,
    branch: str | None = None,
    item: str | None = None,
    limit: int,
    cursor: str | None = None,
) -> BalancePage:
    """What a company has, by branch and item code. Raises BadCursor."""
    skip = read_place(cursor)
    balances = Balance.objects.select_related("item", "lane").filter(company_id=company_id, environment=environment)
    if branch is not None:
        balances = balances.filter(lane__branch=branch)
    if item is not None:
        balances = balances.filter(item__code=item)
    rows = list(balances.order_by("lane__branch", "item__code")[skip : skip + limit + 1])
    return BalancePage(rows[:limit], write_place(skip + limit) if len(rows) > limit else None)


def list_movements(
    company_id: int,
    environment: str,
    *,
    branch: str | None = None,
    item: str | None = None,
    status: str | None = None,
    reason: str | None = None,
    limit: int,
    cursor: str | None = None,
) -> MovementPage:
    """A company's movements, newest first. Pages neither repeat nor skip one. Raises BadCursor."""
    movements = Movement.objects.select_related("lane").filter(company_id=company_id, environment=environment)
    movements = newest_first(movements, cursor)
    wanted = {"lane__branch": branch, "status": status, "reason": reason}
    movements = movements.filter(**{name: value for name, value in wanted.items() if value is not None})
    if item is not None:
        movements = movements.filter(entries__balance__item__code=item).distinct()
    return MovementPage(*page(movements, limit))


def drifts(company_id: int, environment: str, *, branch: str | None = None, item: str | None = None) -> list[Drift]:
    """Every item whose stock at KRA is not, and will not by itself become, what we have."""
    balances = Balance.objects.select_related("item", "lane").filter(company_id=company_id, environment=environment)
    if branch is not None:
        balances = balances.filter(lane__branch=branch)
    if item is not None:
        balances = balances.filter(item__code=item)
    found = list(balances.order_by("lane__branch", "item__code"))
    lanes = {balance.lane_id for balance in found}
    open_ones = (
        Movement.objects.select_related("lane")
        .filter(lane_id__in=lanes)
        .exclude(status__in=[Movement.Status.DONE, Movement.Status.LOCAL])
    )
    if item is not None:  # what only puts KRA's side right has no entries
        entries = Entry.objects.filter(movement=OuterRef("pk"), balance__in=[balance.pk for balance in found])
        open_ones = open_ones.filter(Exists(entries) | Q(counts=False))
    waiting, refused = _by_balance(open_ones)
    told = []
    for balance in found:
        key = balance.lane_id, balance.item_id
        difference = balance.quantity - balance.kra_quantity - waiting[key]
        if difference:
            told.append(Drift(balance, waiting[key], difference, refused[key]))
    return told


def drift_of(lane: Lane, item_code: str) -> Drift | None:
    """How far KRA is off for one item of a branch; None when it is not."""
    found = drifts(lane.company_id, lane.environment, branch=lane.branch, item=item_code)
    return next(iter(found), None)


def signed_change(movement: Movement, line: dict[str, object]) -> Decimal:
    """By how much a line changes the stock."""
    quantity = Decimal(str(line["quantity"]))
    return quantity if StockReason(movement.reason).is_in else -quantity


Key = tuple[int, int]


def _by_balance(movements: QuerySet[Movement]) -> tuple[dict[Key, Decimal], dict[Key, list[Movement]]]:
    waiting: dict[Key, Decimal] = defaultdict(Decimal)
    refused: dict[Key, list[Movement]] = defaultdict(list)
    for movement in movements:
        for line in _lines(movement):
            key = movement.lane_id, int(str(line["item_id"]))
            if movement.status in ON_ITS_WAY:
                waiting[key] += signed_change(movement, line)
            elif movement.status == Movement.Status.REFUSED and movement not in refused[key]:
                refused[key].append(movement)
    return waiting, refused


def _lines(movement: Movement) -> Sequence[dict[str, object]]:
    lines: list[dict[str, object]] = movement.lines
    return lines
