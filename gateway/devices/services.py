"""Adding, replacing and retiring control units: at most one signs for a branch, and its series goes on for ever."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from gateway.audit.services import record
from gateway.devices.models import Device
from gateway.devices.queries import profile_for, profile_name_for
from gateway.devices.stages import check_open
from gateway.kra.documents import Exchange
from gateway.lanes.actions import HELD_BY_OPERATOR, release_lane
from gateway.lanes.models import Attempt, Job, Lane
from gateway.lanes.services import lane_for
from gateway.lib.clock import utc_now
from gateway.tenants.models import Branch, Company

LOST_AFTER = timedelta(minutes=5)  # longer than any call takes: whoever sent it has died
SEEN_EVERYWHERE = timedelta(seconds=3)  # an engine knows a device for two (`desk`) and would try the old key again


class SerialTaken(Exception):
    """The serial belongs to a device of this environment already."""


class BranchHasActiveDevice(Exception):
    """Another device signs for the branch, or is being activated at this moment."""


class DeviceNotReady(Exception):
    """What was asked does not fit the device's status; the text says which it is."""


class LaneInUse(Exception):
    """The number would go back, or documents of the series are waiting or on their way."""


@transaction.atomic
def add_device(
    *,
    company: Company,
    branch: Branch,
    environment: str,
    serial: str,
    kind: str = Device.Kind.OSCU,
    base_url: str = "",
    replaces: Device | None = None,
    actor: str = "",
) -> Device:
    """A device that waits for its activation, in the lane of its branch's invoices.

    Raises SerialTaken; `queries.WrongProfile` when no connection profile fits; `stages.ProductionClosed` before the
    company went live. A branch may have a retired or waiting device besides: its lane and numbers stay the same.
    """
    check_open(company, environment)
    device = Device(
        company=company,
        branch=branch,
        environment=environment,
        kind=kind,
        serial=serial,
        base_url=base_url,
        replaces=replaces,
        profile=profile_name_for(environment, kind),
    )
    profile_for(device)
    device.lane = lane_for(company, environment=environment, branch=branch.code, series=Lane.Series.INVOICE)
    try:
        with transaction.atomic():
            device.save(force_insert=True)
    except IntegrityError:
        raise SerialTaken(serial) from None
    replaced = {"replaces": str(replaces.public_id)} if replaces else {}
    note(device, "device.added", actor, kind=kind, serial=serial, branch=branch.code, **replaced)
    return device


@transaction.atomic
def replace_device(*, device: Device, serial: str, base_url: str = "", actor: str = "") -> Device:
    """A new device of the same kind that will take over the branch: it waits, and the old one goes on meanwhile.

    Once the new one is active the old one is retired, in the same moment; the series goes on with its next number, and
    documents that wait are carried by the new one. To change the kind, retire the old one first.
    Raises DeviceNotReady for a retired device, or when a replacement waits already; SerialTaken; WrongProfile.
    """
    Branch.objects.select_for_update().get(pk=device.branch_id)
    device = fresh(device)
    if device.status == Device.Status.RETIRED:
        raise DeviceNotReady("the device is retired; add another to its branch")
    waiting = device.replacements.exclude(status=Device.Status.RETIRED).first()
    if waiting is not None:
        raise DeviceNotReady(f"the device {waiting.serial} is to replace it already")
    return add_device(
        company=device.company,
        branch=device.branch,
        environment=device.environment,
        serial=serial,
        kind=device.kind,
        base_url=base_url or device.base_url,
        replaces=device,
        actor=actor,
    )


@transaction.atomic
def retire_device(*, device: Device, reason: str, now: datetime, actor: str = "") -> Device:
    """Let a device sign no more. Its branch's numbers stay, for the next device. A second call changes nothing.

    Raises DeviceNotReady while it is being activated, LaneInUse while documents of its branch wait or are on their way.
    """
    Branch.objects.select_for_update().get(pk=device.branch_id)
    device = fresh(device)
    if device.status == Device.Status.RETIRED:
        return device
    if device.status == Device.Status.ACTIVATING and not is_lost(device, now):
        raise DeviceNotReady("the device is being activated at this moment")
    if device.status in {Device.Status.ACTIVE, Device.Status.TROUBLE}:
        Lane.objects.select_for_update().get(pk=device.lane_id)
        waiting = Job.objects.filter(lane_id=device.lane_id).exclude(state=Job.State.CLOSED).count()
        if waiting:
            raise LaneInUse(f"documents of the branch that wait or are on their way: {waiting}")
    before = device.status
    Device.objects.filter(pk=device.pk).update(status=Device.Status.RETIRED, retired_at=now)
    note(device, "device.retired", actor, reason=reason, status_before=before)
    return fresh(device)


def become_active(device: Device, *, now: datetime, actor: str, only_from: Collection[str], **facts: object) -> bool:
    """Make a device its branch's one that signs; False if it is in none of the statuses named, and nothing is done.

    Whatever it replaces is retired, and lanes of the branch that stand still because of the old device or key go on:
    what is in doubt there is looked up before anything is sent. Call it inside a transaction.
    """
    Branch.objects.select_for_update().get(pk=device.branch_id)
    if not Device.objects.filter(pk=device.pk, status__in=only_from).exists():
        return False
    if device.replaces_id is not None:
        old = Device.objects.filter(pk=device.replaces_id).exclude(status=Device.Status.RETIRED)
        if old.update(status=Device.Status.RETIRED, retired_at=now):
            note(device, "device.replaced", actor, replaces=str(Device.objects.get(pk=device.replaces_id).public_id))
    Device.objects.filter(pk=device.pk).update(
        status=Device.Status.ACTIVE, problem="", problem_code="", activated_at=now, **facts
    )
    held = Lane.objects.filter(
        company_id=device.company_id, environment=device.environment, branch__in=[device.branch.code, ""]
    ).exclude(Q(hold_reason="") | Q(hold_reason__startswith=HELD_BY_OPERATOR))
    for lane_id in list(held.order_by("pk").values_list("pk", flat=True)):
        release_lane(lane_id, actor=actor)
        Lane.objects.filter(pk=lane_id).update(due_at=utc_now() + SEEN_EVERYWHERE)
    return True


def is_lost(device: Device, now: datetime) -> bool:
    """Whether nobody can still be waiting for the answer to the device's activation."""
    sent_at = device.activation_sent_at
    return bool(device.problem) or sent_at is None or sent_at < now - LOST_AFTER


def lock_branch(device: Device) -> None:
    """Hold the branch, and raise BranchHasActiveDevice when another device signs or is being activated.

    The one that this device replaces is no hindrance.
    """
    Branch.objects.select_for_update().get(pk=device.branch_id)
    others = Device.objects.filter(branch_id=device.branch_id, environment=device.environment).exclude(
        pk__in=[device.pk, device.replaces_id or 0]
    )
    if others.filter(Q(status=Device.Status.ACTIVE) | Q(status=Device.Status.ACTIVATING, problem="")).exists():
        raise BranchHasActiveDevice(device.branch.code)


def move_number(lane: Lane, next_number: int) -> None:
    """Let the series go on with a number. Never back, and never while a document is on its way. Raises LaneInUse."""
    lane = Lane.objects.select_for_update().get(pk=lane.pk)
    if lane.next_number == next_number:
        return
    on_its_way = Job.objects.filter(lane=lane, state=Job.State.STARTED).exists()
    if on_its_way or lane.owner is not None or lane.next_number > next_number:
        raise LaneInUse(f"the series stands at {lane.next_number}")
    Lane.objects.filter(pk=lane.pk).update(next_number=next_number)


def add_attempt(device: Device, exchange: Exchange, *, outcome: str, code: str, message: str) -> None:
    """Keep a message about the device, secrets masked."""
    Attempt.objects.create(
        company=device.company,
        environment=device.environment,
        kind="device",
        document_id=device.pk,
        operation=exchange.operation,
        number=exchange.number,
        started_at=exchange.started_at,
        duration_ms=exchange.duration_ms,
        http_status=exchange.http_status,
        outcome=outcome,
        code=code[:40],
        message=message[:500],
        request_sha256=exchange.request_sha256,
        request=exchange.request_masked,
        answer=exchange.answer_masked,
    )


def note(device: Device, name: str, actor: str, **data: Any) -> None:
    """Write into the journal what happened to a device."""
    record(device.company, name, subject=device.public_id, environment=device.environment, actor=actor, **data)


def fresh(device: Device) -> Device:
    """The device as it is now, with what belongs to it."""
    return Device.objects.select_related("company", "branch", "lane", "replaces").get(pk=device.pk)
