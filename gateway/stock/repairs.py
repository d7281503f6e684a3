"""Putting right what KRA and we count differently. A person looks, decides whose figure stands, and confirms it."""

import uuid
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.db import transaction

from gateway.audit.services import record
from gateway.catalog.models import Item
from gateway.kra.codes import StockReason
from gateway.lanes.models import Lane
from gateway.lib.clock import NAIROBI
from gateway.stock.models import Movement
from gateway.stock.queries import Drift, drift_of
from gateway.stock.services import Goods, book_lines, place_of
from gateway.tenants.models import Company

SMALLEST_PRICE = Decimal("0.01")  # KRA takes no line without an amount


class Stands(StrEnum):
    """Whose figure is right."""

    OURS = "ours"
    KRA = "kra"


class DriftMoved(Exception):
    """The difference is not, or no longer, what the person saw; nothing was written. `now` is what it is."""

    def __init__(self, now: Decimal) -> None:
        super().__init__(str(now))
        self.now = now


@transaction.atomic
def repair_drift(
    *,
    company: Company,
    environment: str,
    branch: str,
    item_code: str,
    difference: Decimal,
    stands: Stands,
    remark: str,
    now: datetime,
    by: str,
) -> Movement:
    """Put one item of one branch right, as a person has decided who saw this very difference.

    `ours`: KRA is told a correction, our ledger stays. `kra`: our ledger is corrected, KRA is told nothing. Asked
    twice, the second finds no difference any more. Raises DriftMoved, StockRefused.
    """
    place = place_of(company, environment, branch, "branch")
    found = drift_of(place.lane, item_code)
    if found is None or found.difference != difference:
        raise DriftMoved(found.difference if found else Decimal(0))
    change = difference if stands is Stands.OURS else -difference
    reason = StockReason.ADJUSTMENT_IN if change > 0 else StockReason.ADJUSTMENT_OUT
    movement = book_lines(
        place,
        f"repair:{uuid.uuid4()}",
        reason,
        now.astimezone(NAIROBI).date(),
        [Goods(item_code, abs(change), found.balance.item.price or SMALLEST_PRICE)],
        counts=stands is Stands.KRA,
        tells_kra=stands is Stands.OURS,
        remark=remark or "Correction after comparing with KRA",
        actor=by,
    )
    _tell(company, environment, place.lane, found, stands, by)
    return movement


def _tell(company: Company, environment: str, lane: Lane, found: Drift, stands: Stands, by: str) -> None:
    item: Item = found.balance.item
    record(
        company,
        "stock.repaired",
        subject=item.public_id,
        environment=environment,
        actor=by,
        item=item.code,
        branch=lane.branch,
        stands=stands.value,
        difference=str(found.difference),
    )
