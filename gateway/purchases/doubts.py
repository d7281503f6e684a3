"""What an operator may do about a typed purchase in doubt, which KRA shows nowhere.

* `note_recorded`  KRA has it: it is confirmed, and its goods come in
* `give_back`      KRA does not have it: it is refused, its number goes to the next one, and it may be posted again

Each is one transaction that locks the lane first, as the engine does, and leaves the event `lane.resolved`.
"""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from gateway.lanes import local
from gateway.lanes.actions import GONE_ON, NotPossible, facts, job_in_doubt, lock_lanes, note
from gateway.lanes.models import Job, Lane
from gateway.purchases import statements
from gateway.purchases.models import Decided, SupplierInvoice
from gateway.purchases.services import PURCHASE_JOB
from gateway.stock.booking import BOOK, run
from gateway.stock.services import wake_stock


@dataclass(frozen=True, slots=True)
class PurchaseDoubt:
    """A purchase that was sent and of which nobody knows whether KRA recorded it, and the lane held for it."""

    lane: Lane
    job: Job
    purchase: SupplierInvoice
    number: int


def find_purchase_doubt(lane: Lane) -> PurchaseDoubt:
    """The purchase in doubt that a held lane stands on. Raises NotPossible with what to do instead."""
    job = job_in_doubt(lane, PURCHASE_JOB)
    purchase = job and SupplierInvoice.objects.filter(pk=job.document_id, status=Decided.Status.UNKNOWN).first()
    if job is None or not purchase or job.number is None:
        raise NotPossible(
            f"No purchase of the lane {lane} is in doubt. Mend what it is held for, "
            f"then: manage.py lanes release {lane}"
        )
    return PurchaseDoubt(lane, job, purchase, job.number)


@transaction.atomic
def note_recorded(seen: PurchaseDoubt, *, actor: str) -> SupplierInvoice:
    """Take a person's word that KRA has the purchase: it is confirmed, and its goods come in."""
    doubt = _lock(seen)
    row = {"id": doubt.purchase.pk, "number": doubt.number, "status": Decided.Status.CONFIRMED}
    run(statements.CONFIRM[PURCHASE_JOB], row)
    if doubt.purchase.booking is not None:
        for booked in run(BOOK, doubt.purchase.booking):
            wake_stock(booked["woken_lane_id"])
    return _go_on(doubt, "recorded", actor=actor, next_number=Greatest(F("next_number"), doubt.number + 1))


@transaction.atomic
def give_back(seen: PurchaseDoubt, *, actor: str) -> SupplierInvoice:
    """Take a person's word that KRA does not have the purchase, and refuse it; what KRA has is another's."""
    doubt = _lock(seen)
    detail = "KRA's answer was lost, and the operator found that KRA does not have this purchase. Post it again."
    problem = {"code": "given_back", "detail": detail, "fields": []}
    run(statements.REFUSE[PURCHASE_JOB], {"id": doubt.purchase.pk, "problem": problem})
    return _go_on(doubt, "give_back", actor=actor)


def _lock(seen: PurchaseDoubt) -> PurchaseDoubt:
    """The same, locked, and the lane of stock into which its goods would come. Raises NotPossible unless as seen."""
    stock = [seen.purchase.booking["beside_lane_id"]] if seen.purchase.booking else []
    now = find_purchase_doubt(lock_lanes([seen.lane.pk, *stock])[seen.lane.pk])
    if (now.job.pk, now.job.turn, now.purchase.pk) != (seen.job.pk, seen.job.turn, seen.purchase.pk):
        raise NotPossible(f"The lane {now.lane} has moved meanwhile. Look at it again.")
    return now


def _go_on(doubt: PurchaseDoubt, how: str, *, actor: str, **lane_changes: Any) -> SupplierInvoice:
    lane, purchase = doubt.lane, doubt.purchase
    before = facts(lane) | {"status": purchase.status}
    Job.objects.filter(pk=doubt.job.pk).update(state=Job.State.CLOSED)
    Lane.objects.filter(pk=lane.pk).update(**GONE_ON, owner=None, **lane_changes)
    lane.refresh_from_db()
    purchase.refresh_from_db()
    told = {"purchase": str(purchase.public_id), "status": purchase.status}
    note(lane, "lane.resolved", before, actor=actor, how=how, **told)
    transaction.on_commit(lambda: local.wake(lane.pk))
    return purchase
