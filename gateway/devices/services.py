"""Adding control units and activating them at KRA.

Activation (OSCU and VSCU specifications v2.0 §3.3.1.1) gives the communication key once, for ever, so it goes in steps:

1. the intent is committed (`activating`), by a guarded update: two clicks or two processes make one call;
2. KRA is called once, outside any transaction;
3. its answer is stored as it came, sealed, before anybody reads it;
4. the answer is read, and the device becomes active, or says in plain words why not.

Nothing here ever repeats a call by itself. A crash between 3 and 4 is finished by the next request, from the stored
answer; a crash between 1 and 3 is a lost answer.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Q

from gateway.audit.services import record
from gateway.devices.models import Device
from gateway.devices.queries import app_for, profile_for, profile_name_for
from gateway.kra.client import Client, open_session, read_activation
from gateway.kra.documents import Activation, Exchange, RawActivation
from gateway.kra.errors import Busy, DeviceTrouble, KraError, NoAnswer, NotOffered, NotSent, plain
from gateway.kra.masking import scrubbed
from gateway.kra.profiles import Flavour, Profile
from gateway.lanes.models import Attempt, Job, Lane
from gateway.lanes.services import lane_for
from gateway.tenants.models import Branch, Company
from gateway.tenants.vault import device_answers_aad, device_key_aad, open_for, seal_for

LOST_AFTER = timedelta(minutes=5)  # longer than any call takes: whoever sent it has died

SENTENCES = {
    "901": "KRA does not know this serial number for this PIN and branch, or has not approved it yet. Check the "
    "serial, wait for KRA's approval message, then activate again.",
    "902": "KRA has activated this device before and does not give its key a second time. Enter the existing key and "
    "its last invoice number, or ask KRA to reset the device and then activate again.",
    "903": "KRA approved this serial as a VSCU (a program at your site), not as an OSCU. Add the device with the right "
    "type.",
    "905": "KRA approved this serial for the other type of control unit. Add the device with the right type.",
    "key_missing": "KRA said that the activation worked but gave no key. Ask KRA to reset the device, then activate "
    "again.",
    "lost": "The activation was sent and KRA's answer did not arrive, so KRA may have given the key already. It is not "
    "sent again by itself: enter the existing key, or ask KRA to reset the device and then activate again.",
    "unreadable": "KRA answered the activation, and the answer is kept, but it cannot be read. Do not activate again: "
    "the key may be in it. Ask your integrator to look at it.",
    "not_sent": "KRA could not be reached, nothing was sent. Activate again when the connection works.",
    "busy": "KRA could not take the activation now. Activate again in a few minutes.",
}


class SerialTaken(Exception):
    """The serial belongs to a device of this environment already."""


class BranchHasActiveDevice(Exception):
    """Another device signs for the branch, or is being activated at this moment."""


class DeviceNotReady(Exception):
    """What was asked does not fit the device's status; the text says which it is."""


class LaneInUse(Exception):
    """The number would go back, or a document of the series is on its way."""


class _StoredAnswer(msgspec.Struct, frozen=True):
    """One activation answer as it is kept, sealed."""

    at: datetime
    http_status: int
    content_type: str
    body: bytes


@transaction.atomic
def add_device(
    *,
    company: Company,
    branch: Branch,
    environment: str,
    serial: str,
    kind: str = Device.Kind.OSCU,
    base_url: str = "",
    actor: str = "",
) -> Device:
    """A device that waits for its activation, in the lane of its branch's invoices.

    Raises SerialTaken; `queries.WrongProfile` when no connection profile fits. A branch may have a retired or waiting
    device besides: its lane and numbers stay the same.
    """
    device = Device(
        company=company,
        branch=branch,
        environment=environment,
        kind=kind,
        serial=serial,
        base_url=base_url,
        profile=profile_name_for(environment, kind),
    )
    profile_for(device)
    device.lane = lane_for(company, environment=environment, branch=branch.code, series=Lane.Series.INVOICE)
    try:
        with transaction.atomic():
            device.save(force_insert=True)
    except IntegrityError:
        raise SerialTaken(serial) from None
    _record(device, "device.added", actor, kind=kind, serial=serial, branch=branch.code)
    return device


def activate_device(*, device: Device, now: datetime, actor: str = "", again: bool = False) -> Device:
    """Activate a device at KRA, or show how far its activation is. Never sends it twice by itself.

    `again` says that a person knows of the failure before and wants another call; without it only a waiting device is
    sent. A failure is told in `problem` and `problem_code`: a refusal leaves the device in trouble, a lost answer
    leaves it activating, and what was not sent leaves it waiting. KRA is called from this thread (up to two minutes).
    Raises `queries.WrongProfile` and BranchHasActiveDevice, both before anything is written.
    """
    device = _fresh(device)
    if device.status in {Device.Status.ACTIVE, Device.Status.RETIRED}:
        return device
    profile = profile_for(device)
    if device.status == Device.Status.ACTIVATING and device.sealed_answers is not None and not device.problem:
        return _settle_stored(device, profile, now=now, actor=actor)
    if not _claim(device, now=now, actor=actor, again=again):
        return _fresh(device)
    try:
        raw = asyncio.run(_ask(device, profile))
    except KraError as error:
        return _settle_failure(device, error, error.exchange, now=now, actor=actor)
    _store_answer(device, raw, now=now)
    return _settle_answer(device, profile, raw, now=now, actor=actor)


@transaction.atomic
def enter_key(
    *,
    device: Device,
    key: str,
    control_unit_id: str,
    machine_code: str,
    last_number: int,
    now: datetime,
    actor: str = "",
) -> Device:
    """Make a device active with a key that KRA gave earlier, to another system or in an answer we lost.

    `last_number` is the last invoice number KRA has accepted from this branch, 0 for none; the series goes on after it.
    Raises DeviceNotReady for a device that is active, retired or being activated at this moment, and for a VSCU,
    which keeps its own key; BranchHasActiveDevice; LaneInUse.
    """
    _lock_branch(device)
    device = _fresh(device)
    if device.kind != Device.Kind.OSCU:
        raise DeviceNotReady("a VSCU keeps its own key; activate it instead")
    if device.status in {Device.Status.ACTIVE, Device.Status.RETIRED}:
        raise DeviceNotReady(f"the device is {device.status}")
    if device.status == Device.Status.ACTIVATING and not _is_lost(device, now):
        raise DeviceNotReady("the device is being activated at this moment")
    _move_number(device.lane, last_number + 1)
    device.sealed_key = seal_for(device.company, device_key_aad(device.public_id), key.encode())
    device.status = Device.Status.ACTIVE
    device.problem = device.problem_code = ""
    device.control_unit_id = control_unit_id
    device.machine_code = machine_code
    device.activated_at = now
    device.save(
        update_fields=[
            "sealed_key",
            "status",
            "problem",
            "problem_code",
            "control_unit_id",
            "machine_code",
            "activated_at",
        ]
    )
    _record(device, "device.key_entered", actor, last_number=last_number, control_unit=control_unit_id)
    return device


@transaction.atomic
def _claim(device: Device, *, now: datetime, actor: str, again: bool) -> bool:
    """Commit the intent; False when somebody else has, or the device is not one to be sent."""
    may = Q(status=Device.Status.WAITING)
    if again:
        may |= Q(status=Device.Status.TROUBLE)
        may |= Q(status=Device.Status.ACTIVATING) & ~Q(problem="")
        may |= Q(status=Device.Status.ACTIVATING, activation_sent_at__lt=now - LOST_AFTER)
    if not Device.objects.filter(may, pk=device.pk).exists():
        return False
    _lock_branch(device)
    won = Device.objects.filter(may, pk=device.pk, activation_sent_at=device.activation_sent_at).update(
        status=Device.Status.ACTIVATING, problem="", problem_code="", activation_sent_at=now
    )
    if won:
        _record(device, "device.activation_started", actor, again=again)
    return bool(won)


async def _ask(device: Device, profile: Profile) -> RawActivation:
    async with open_session() as session:
        client = Client(profile, session=session, app=app_for(profile))
        return await client.initialize_device(
            device.company.pin, device.branch.code, device.serial, base_url=device.base_url
        )


@transaction.atomic
def _store_answer(device: Device, raw: RawActivation, *, now: datetime) -> None:
    """Keep the answer before anybody reads it, after those of earlier calls: any of them may hold the only key."""
    row = Device.objects.select_for_update().get(pk=device.pk)
    kept = [*_stored_answers(row), _StoredAnswer(now, raw.http_status, raw.content_type, raw.body)]
    row.sealed_answers = seal_for(device.company, device_answers_aad(row.public_id), msgspec.json.encode(kept))
    row.last_contact_at = now
    row.save(update_fields=["sealed_answers", "last_contact_at"])


def _stored_answers(device: Device) -> list[_StoredAnswer]:
    if device.sealed_answers is None:
        return []
    opened = open_for(device.company, device_answers_aad(device.public_id), device.sealed_answers)
    return msgspec.json.decode(opened, type=list[_StoredAnswer])


def _settle_stored(device: Device, profile: Profile, *, now: datetime, actor: str) -> Device:
    """Finish what a process that died left: read the newest stored answer, if it came after the newest call."""
    newest = _stored_answers(device)[-1]
    if device.activation_sent_at is None or newest.at < device.activation_sent_at:
        return device
    raw = RawActivation(
        body=newest.body,
        http_status=newest.http_status,
        content_type=newest.content_type,
        exchange=Exchange(
            operation="device_init",
            number=None,
            started_at=newest.at,
            duration_ms=0,
            http_status=newest.http_status,
            request_sha256="",
            request_masked="",
            answer_masked="",
            outcome="unread",
            code="",
            message="read from the stored answer",
        ),
    )
    return _settle_answer(device, profile, raw, now=now, actor=actor)


def _settle_answer(device: Device, profile: Profile, raw: RawActivation, *, now: datetime, actor: str) -> Device:
    try:
        activation = read_activation(raw, profile.flavour)
        _check_widths(activation)
    except KraError as error:
        return _settle_failure(device, error, raw.exchange, now=now, actor=actor, answered=True)
    return _settle_success(device, profile, activation, raw.exchange, now=now, actor=actor)


def _check_widths(activation: Activation) -> None:
    """Ids are never cut: one that is longer than KRA's own tables allow means that we misread the answer."""
    if len(activation.control_unit_id) > 18 or len(activation.machine_code) > 11 or len(activation.device_id) > 20:
        raise NoAnswer("unreadable", "an id in the answer is longer than the specification allows")


@transaction.atomic
def _settle_success(
    device: Device, profile: Profile, activation: Activation, exchange: Exchange, *, now: datetime, actor: str
) -> Device:
    sealed_key = None
    if activation.key:
        sealed_key = seal_for(device.company, device_key_aad(device.public_id), activation.key.encode())
    won = Device.objects.filter(pk=device.pk, status=Device.Status.ACTIVATING).update(
        status=Device.Status.ACTIVE,
        problem="",
        problem_code="",
        sealed_key=sealed_key,
        device_id=activation.device_id,
        control_unit_id=activation.control_unit_id,
        machine_code=activation.machine_code,
        taxpayer_name=activation.taxpayer_name[:60],
        activated_at=now,
        last_contact_at=now,
    )
    if won:
        _fill_branch(device.branch, activation)
        if profile.flavour is Flavour.VSCU:
            following = activation.last_numbers.get("sale_invoice", 0) + 1
            Lane.objects.filter(pk=device.lane_id, owner=None, next_number__lt=following).update(next_number=following)
        told = scrubbed(exchange.answer_masked, [activation.key, activation.internal_key, activation.signing_key])
        exchange = msgspec.structs.replace(exchange, answer_masked=told)
        _add_attempt(device, exchange, outcome="done", code="000", message="")
        _record(
            device,
            "device.activated",
            actor,
            control_unit=activation.control_unit_id,
            machine_code=activation.machine_code,
        )
    return _fresh(device)


@transaction.atomic
def _settle_failure(
    device: Device,
    error: KraError,
    exchange: Exchange | None,
    *,
    now: datetime,
    actor: str,
    answered: bool = False,
) -> Device:
    status, sentence = _told(error, answered=answered)
    won = Device.objects.filter(pk=device.pk, status=Device.Status.ACTIVATING).update(
        status=status, problem=sentence[:300], problem_code=error.code[:40]
    )
    if won:
        if exchange is not None:
            outcome = "unread" if answered and isinstance(error, NoAnswer) else _OUTCOMES.get(type(error), "refused")
            _add_attempt(device, exchange, outcome=outcome, code=error.code, message=error.message)
        _record(device, "device.activation_failed", actor, code=error.code, status=status, detail=sentence)
    return _fresh(device)


_OUTCOMES = {NotSent: "not_sent", NoAnswer: "no_answer", Busy: "busy", DeviceTrouble: "device_trouble"}


def _told(error: KraError, *, answered: bool) -> tuple[str, str]:
    """The status a failed activation leaves, and what the owner is told."""
    match error:
        case NotSent() | NotOffered():
            return Device.Status.WAITING, SENTENCES["not_sent"]
        case Busy():
            return Device.Status.WAITING, SENTENCES["busy"]
        case NoAnswer():
            return Device.Status.ACTIVATING, SENTENCES["unreadable" if answered else "lost"]
        case _:
            return Device.Status.TROUBLE, SENTENCES.get(error.code) or plain(error)


def _is_lost(device: Device, now: datetime) -> bool:
    sent_at = device.activation_sent_at
    return bool(device.problem) or sent_at is None or sent_at < now - LOST_AFTER


def _lock_branch(device: Device) -> None:
    """Hold the branch, and raise BranchHasActiveDevice when another of its devices signs or is being activated."""
    Branch.objects.select_for_update().get(pk=device.branch_id)
    others = Device.objects.filter(branch_id=device.branch_id, environment=device.environment).exclude(pk=device.pk)
    if others.filter(Q(status=Device.Status.ACTIVE) | Q(status=Device.Status.ACTIVATING, problem="")).exists():
        raise BranchHasActiveDevice(device.branch.code)


def _move_number(lane: Lane, next_number: int) -> None:
    """Let the series go on with a number. Never back, and never while a document is on its way."""
    lane = Lane.objects.select_for_update().get(pk=lane.pk)
    if lane.next_number == next_number:
        return
    on_its_way = Job.objects.filter(lane=lane, state=Job.State.STARTED).exists()
    if on_its_way or lane.owner is not None or lane.next_number > next_number:
        raise LaneInUse(f"the series stands at {lane.next_number}")
    Lane.objects.filter(pk=lane.pk).update(next_number=next_number)


def _fill_branch(branch: Branch, activation: Activation) -> None:
    """What KRA knows of the branch, where we know nothing."""
    known = {"name": activation.branch_name[:60], "address": activation.location_description[:200]}
    known["city"] = activation.county_name.title()[:60]
    fields = [name for name, value in known.items() if value and not getattr(branch, name)]
    for name in fields:
        setattr(branch, name, known[name])
    if fields:
        branch.save(update_fields=fields)


def _add_attempt(device: Device, exchange: Exchange, *, outcome: str, code: str, message: str) -> None:
    Attempt.objects.create(
        company=device.company,
        environment=device.environment,
        kind="device",
        document_id=device.pk,
        operation=exchange.operation,
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


def _record(device: Device, name: str, actor: str, **data: Any) -> None:
    record(device.company, name, subject=device.public_id, environment=device.environment, actor=actor, **data)


def _fresh(device: Device) -> Device:
    return Device.objects.select_related("company", "branch", "lane").get(pk=device.pk)
