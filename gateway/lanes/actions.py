"""What an operator does to a lane: hold it, let it go on. Each is one transaction, and leaves an event that says who.

The engine changes the same rows. It locks a lane before anything of that lane, and so does everybody here: whoever
holds the lane's row lock sees the lane as it is and nobody moves it meanwhile (on SQLite every transaction is alone).
"""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from gateway.audit.services import record
from gateway.lanes import local
from gateway.lanes.models import Job, Lane
from gateway.lanes.queries import is_alive

REASON_WIDTH = 250
HELD_BY_OPERATOR = "Held by the operator: "
GONE_ON = {
    "hold_reason": "",
    "held_at": None,
    "failures": 0,
    "rest_reason": "",
    "due_at": Now(),
}


class NotPossible(Exception):
    """The lane is not in the state that this needs; nothing was changed. The text says why, in plain sentences."""


def lock_lane(lane_id: int) -> Lane:
    """The lane, locked against the engine and everybody else until the transaction ends. Raises Lane.DoesNotExist."""
    return Lane.objects.select_for_update(no_key=True).get(pk=lane_id)


def lock_lanes(lane_ids: Iterable[int]) -> dict[int, Lane]:
    """Several lanes by id, locked like that, in the order in which the engine locks them."""
    lanes = Lane.objects.select_for_update(no_key=True).filter(pk__in=set(lane_ids))
    return {lane.pk: lane for lane in lanes.order_by("pk")}


def lock_lane_and_stock(lane_id: int) -> Lane:
    """A lane, locked, and the lane of stock of its branch with it: for whoever promises or books goods of the branch.

    Raises Lane.DoesNotExist.
    """
    lane = Lane.objects.get(pk=lane_id)
    stock = Lane.objects.filter(
        environment=lane.environment, pin=lane.pin, branch=lane.branch, series=Lane.Series.STOCK
    )
    return lock_lanes([lane_id, *stock.values_list("pk", flat=True)])[lane_id]


def job_in_doubt(lane: Lane, kind: str) -> Job | None:
    """The job of this kind that a held lane stands on, if any. Raises NotPossible with what to do instead."""
    if is_alive(lane.owner):
        raise NotPossible(f"A running process is at work on the lane {lane} at this moment. Try again when it is done.")
    if not lane.hold_reason:
        raise NotPossible(f"The lane {lane} is not held: it goes on by itself.")
    return lane.jobs.filter(kind=kind, state=Job.State.STARTED).first()


@transaction.atomic
def hold_lane(lane_id: int, *, reason: str, actor: str) -> Lane:
    """Stop a lane until somebody releases it. A turn that is running ends first; what comes in is kept and waits.

    `reason` is shown to callers whose documents wait. Raises NotPossible when it is held already (the first reason
    stays) or the reason is empty or longer than 250 characters.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > REASON_WIDTH:
        raise NotPossible(f"Say why, in 1 to {REASON_WIDTH} characters: people whose sales wait will read it.")
    lane = lock_lane(lane_id)
    if lane.hold_reason:
        raise NotPossible(f"The lane {lane} is held already: {lane.hold_reason}")
    before = facts(lane)
    Lane.objects.filter(pk=lane.pk).update(hold_reason=f"{HELD_BY_OPERATOR}{reason}", held_at=Now())
    lane.refresh_from_db()
    note(lane, "lane.held", before, actor=actor, reason=lane.hold_reason)
    return lane


@transaction.atomic
def release_lane(lane_id: int, *, actor: str, reason: str = "") -> Lane:
    """Let a held lane go on at once, its failures forgotten. Releasing is always safe.

    A document that is in doubt is looked up before anything is sent, and where it cannot be, the lane is held again.
    Raises NotPossible when it is not held.
    """
    lane = lock_lane(lane_id)
    if not lane.hold_reason:
        raise NotPossible(f"The lane {lane} is not held.")
    before = facts(lane)
    Lane.objects.filter(pk=lane.pk).update(**GONE_ON)
    lane.refresh_from_db()
    note(lane, "lane.released", before, actor=actor, **({"reason": reason} if reason else {}))
    transaction.on_commit(lambda: local.wake(lane.pk))
    return lane


def facts(lane: Lane) -> dict[str, Any]:
    """What of a lane an action may change, fit for the journal."""
    return {
        "hold_reason": lane.hold_reason,
        "held_at": lane.held_at.isoformat() if lane.held_at else None,
        "failures": lane.failures,
        "rest_reason": lane.rest_reason,
        "next_number": lane.next_number,
    }


def note(lane: Lane, name: str, before: dict[str, Any], *, actor: str, **more: Any) -> None:
    """Write what was done to a lane into its company's journal: who, the values before and those after.

    A lane has no public id: the event's subject is the company, its data names the lane.
    """
    record(
        lane.company,
        name,
        subject=lane.company.public_id,
        environment=lane.environment,
        actor=actor,
        lane=str(lane),
        before=before,
        after=facts(lane),
        **more,
    )
