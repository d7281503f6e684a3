"""Cash that goes into or out of a drawer without a sale (TIS specification v2.0: deposits and withdrawals)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from gateway.audit.services import record
from gateway.lanes.models import Lane
from gateway.lib.clock import utc_now
from gateway.reports.models import CashMovement
from gateway.tenants.pages import newest_first, page


class CashReferenceReused(Exception):
    """The reference names another movement of cash."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The movement, and whether its reference was known before."""

    movement: CashMovement
    replayed: bool


def move_cash(
    lane: Lane,
    *,
    kind: str,
    amount: Decimal,
    reference: str,
    by: str,
    remark: str = "",
    cashier: str = "",
    now: datetime | None = None,
) -> Moved:
    """Note cash put into or taken out of a branch's drawer, in KES. The same reference is the same movement.

    It counts in the next X and Z report. Raises CashReferenceReused when the reference names other content.
    """
    said = {"lane_id": lane.pk, "kind": kind, "amount": amount, "remark": remark, "cashier": cashier}
    key = {"company_id": lane.company_id, "environment": lane.environment, "reference": reference}
    try:
        with transaction.atomic():
            movement = CashMovement.objects.create(**key, **said, made_by=by[:100], made_at=now or utc_now())
            record(
                lane.company,
                "cash.moved",
                subject=movement.public_id,
                environment=lane.environment,
                actor=by,
                branch=lane.branch,
                kind=kind,
                amount=str(amount),
                reference=reference,
            )
            return Moved(movement, replayed=False)
    except IntegrityError:
        known = CashMovement.objects.select_related("lane", "z_report").filter(**key).first()
        if known is None:
            raise
    if any(getattr(known, name) != value for name, value in said.items()):
        raise CashReferenceReused(reference)
    return Moved(known, replayed=True)


def list_cash_movements(
    company_id: int, environment: str, *, branch: str | None = None, limit: int, cursor: str | None = None
) -> tuple[list[CashMovement], str | None]:
    """A page of a company's movements of cash, newest first, and the cursor of the next. Raises BadCursor."""
    movements = CashMovement.objects.select_related("lane", "z_report")
    movements = movements.filter(company_id=company_id, environment=environment)
    movements = newest_first(movements, cursor)
    if branch is not None:
        movements = movements.filter(lane__branch=branch)
    return page(movements, limit)
