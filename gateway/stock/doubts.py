"""What an operator may do about a movement of stock in doubt, where KRA does not show whether it has it.

* `note_recorded`  KRA has it: it counts there, and the balance follows
* `send_again`     KRA does not have it: the same number and bytes once more
* `give_back`      KRA does not have it and shall not: it is refused, its number goes to the next movement

Each is one transaction that locks the lane first, as the engine does, and leaves the event `lane.resolved`.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from gateway.devices.models import Device
from gateway.devices.queries import profile_for
from gateway.kra.codes import StockReason
from gateway.lanes import local
from gateway.lanes.actions import GONE_ON, NotPossible, facts, job_in_doubt, lock_lane, note
from gateway.lanes.models import Job, Lane
from gateway.stock import statements
from gateway.stock.booking import JOB_KIND, run
from gateway.stock.fields import thousandths
from gateway.stock.models import Movement


@dataclass(frozen=True, slots=True)
class StockDoubt:
    """A movement that was sent and of which nobody knows whether KRA recorded it, and the lane held for it."""

    lane: Lane
    job: Job
    movement: Movement


def find_stock_doubt(lane: Lane) -> StockDoubt:
    """The movement in doubt that a held lane stands on. Raises NotPossible with what to do instead."""
    job = job_in_doubt(lane, JOB_KIND)
    movement = job and Movement.objects.filter(pk=job.document_id, status=Movement.Status.UNKNOWN).first()
    if job is None or not movement or job.number is None:
        raise NotPossible(
            f"No movement of the lane {lane} is in doubt. Mend what it is held for, "
            f"then: manage.py lanes release {lane}"
        )
    return StockDoubt(lane, job, movement)


@transaction.atomic
def note_recorded(seen: StockDoubt, *, actor: str) -> Movement:
    """Take a person's word that KRA has the movement: it counts, and the lane goes on with its balance."""
    doubt = _lock(seen)
    number = doubt.job.number
    assert number is not None
    changes = [{"item_id": item, "change": change} for item, change in _changes(doubt).items()]
    run(statements.RECORD, {"id": doubt.movement.pk, "number": number, "changes": changes})
    Job.objects.filter(pk=doubt.job.pk).update(state=Job.State.QUEUED, number=None)
    return _go_on(doubt, "recorded", actor=actor, next_number=Greatest(F("next_number"), number + 1))


@transaction.atomic
def send_again(seen: StockDoubt, *, actor: str) -> Movement:
    """Take a person's word that KRA does not have the movement: it is sent once more, under the same number."""
    doubt = _lock(seen)
    run(statements.REQUEUE, {"id": doubt.movement.pk, "problem": None})
    Job.objects.filter(pk=doubt.job.pk).update(state=Job.State.QUEUED)
    return _go_on(doubt, "resend", actor=actor)


@transaction.atomic
def give_back(seen: StockDoubt, *, actor: str) -> Movement:
    """Take a person's word that KRA does not have the movement, and refuse it. It shows in the drift report."""
    doubt = _lock(seen)
    detail = "KRA's answer was lost, and the operator found that KRA does not have this movement."
    problem = {"code": "given_back", "detail": detail, "fields": []}
    run(statements.REFUSE, {"id": doubt.movement.pk, "problem": problem})
    Job.objects.filter(pk=doubt.job.pk).update(state=Job.State.CLOSED)
    return _go_on(doubt, "give_back", actor=actor)


def _lock(seen: StockDoubt) -> StockDoubt:
    """The same, locked. Raises NotPossible unless all is as it was seen."""
    now = find_stock_doubt(lock_lane(seen.lane.pk))
    if (now.job.pk, now.job.turn, now.movement.pk) != (seen.job.pk, seen.job.turn, seen.movement.pk):
        raise NotPossible(f"The lane {now.lane} has moved meanwhile. Look at it again.")
    return now


def _changes(doubt: StockDoubt) -> dict[int, int]:
    """By item, in thousandths, as KRA counts it: rounded to the decimals that were sent."""
    device = Device.objects.select_related("company", "branch").filter(
        company=doubt.lane.company_id, environment=doubt.lane.environment, branch__code=doubt.lane.branch
    )
    speaker = device.exclude(status=Device.Status.RETIRED).first()
    decimals = profile_for(speaker).quantity_decimals if speaker else 2
    sign = 1 if StockReason(doubt.movement.reason).is_in else -1
    changes: dict[int, int] = {}
    for line in doubt.movement.lines:
        sent = Decimal(line["quantity"]).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
        changes[line["item_id"]] = changes.get(line["item_id"], 0) + sign * thousandths(sent)
    return changes


def _go_on(doubt: StockDoubt, how: str, *, actor: str, **lane_changes: Any) -> Movement:
    lane, movement = doubt.lane, doubt.movement
    before = facts(lane) | {"status": movement.status}
    Lane.objects.filter(pk=lane.pk).update(**GONE_ON, owner=None, **lane_changes)
    lane.refresh_from_db()
    movement.refresh_from_db()
    told = {"movement": str(movement.public_id), "status": movement.status}
    note(lane, "lane.resolved", before, actor=actor, how=how, **told)
    lanes = [lane.pk, *movement.partners.values_list("lane_id", flat=True)]

    def wake() -> None:
        for lane_id in lanes:
            local.wake(lane_id)

    transaction.on_commit(wake)
    return movement
