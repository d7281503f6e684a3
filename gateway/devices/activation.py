"""Activating control units at KRA.

Activation (OSCU and VSCU specifications v2.0 §3.3.1.1) gives the communication key once, for ever, so it goes in steps:

1. the vault is tried, and the intent is committed (`activating`), by a guarded update: two clicks or two processes make
   one call;
2. KRA is called once, outside any transaction;
3. its answer is stored as it came, sealed, twice (the device's own copy, one in escrow), before anybody reads it;
4. the answer is read, and the device becomes active, or says in plain words why not.

Nothing here ever repeats a call by itself. A crash between 3 and 4 is finished by the next request, from the stored
answer; a crash between 1 and 3 is a lost answer.
"""

import asyncio
import logging
from datetime import datetime

import msgspec
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, transaction
from django.db.models import Q

from gateway.devices import escrow
from gateway.devices.escrow import Answer
from gateway.devices.models import Device
from gateway.devices.queries import app_for, profile_for, session_for
from gateway.devices.services import LOST_AFTER, add_attempt, become_active, fresh, lock_branch, note
from gateway.kra.client import Client, read_activation
from gateway.kra.documents import Activation, Exchange, RawActivation
from gateway.kra.errors import Busy, DeviceTrouble, KraError, NoAnswer, NotOffered, NotSent, plain
from gateway.kra.masking import scrubbed
from gateway.kra.profiles import Flavour, Profile
from gateway.lanes.models import Lane
from gateway.lanes.services import lane_for
from gateway.lib.crypto import SealBroken
from gateway.tenants.models import Branch
from gateway.tenants.vault import device_answers_aad, device_key_aad, open_for, seal_for

log = logging.getLogger(__name__)

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
    "unstored": "KRA answered the activation, and its answer is kept in escrow alone. Do not activate again: the key "
    "is in it. Ask your integrator to restore it from escrow.",
    "vault": "The master key of this installation does not work, so KRA's answer could not be kept. Nothing was sent. "
    "Ask your integrator.",
    "not_sent": "KRA could not be reached, nothing was sent. Activate again when the connection works.",
    "busy": "KRA could not take the activation now. Activate again in a few minutes.",
}


def activate_device(*, device: Device, now: datetime, actor: str = "", again: bool = False) -> Device:
    """Activate a device at KRA, or show how far its activation is. Never sends it twice by itself.

    `again` says that a person knows of the failure before and wants another call; without it only a waiting device is
    sent. A failure is told in `problem` and `problem_code`: a refusal leaves the device in trouble, a lost answer
    leaves it activating, and what was not sent leaves it waiting. KRA is called from this thread (up to two minutes).
    Raises `queries.WrongProfile` and BranchHasActiveDevice, both before anything is written.
    """
    device = fresh(device)
    if device.status in {Device.Status.ACTIVE, Device.Status.RETIRED}:
        return device
    profile = profile_for(device)
    if device.status == Device.Status.ACTIVATING and device.sealed_answers is not None and not device.problem:
        return _settle_stored(device, profile, now=now, actor=actor)
    if not _claim(device, now=now, actor=actor, again=again):
        return fresh(device)
    try:
        _try_vault(device)
        raw = asyncio.run(_ask(device, profile))
    except KraError as error:
        return _settle_failure(device, error, error.exchange, now=now, actor=actor)
    if not _keep_answer(device, raw, now=now):
        kept_once = NoAnswer("unstored", "the answer is in escrow alone")
        return _settle_failure(device, kept_once, raw.exchange, now=now, actor=actor, answered=True)
    return _settle_answer(device, profile, raw, now=now, actor=actor)


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
    lock_branch(device)
    won = Device.objects.filter(may, pk=device.pk, activation_sent_at=device.activation_sent_at).update(
        status=Device.Status.ACTIVATING, problem="", problem_code="", activation_sent_at=now
    )
    if won:
        note(device, "device.activation_started", actor, again=again)
    return bool(won)


def _try_vault(device: Device) -> None:
    """Whether an answer could be kept and read again, both copies. Raises NotSent: KRA is not asked in vain."""
    aad = device_answers_aad(device.public_id)
    try:
        escrow.check(device.company.public_id)
        open_for(device.company, aad, seal_for(device.company, aad, b"can this be opened again?"))
    except (SealBroken, ObjectDoesNotExist) as error:
        log.critical("device %s is not activated, its company's vault fails: %s", device.public_id, error)
        raise NotSent("vault", "the vault does not work") from None


async def _ask(device: Device, profile: Profile) -> RawActivation:
    async with session_for(profile) as session:
        client = Client(profile, session=session, app=app_for(profile))
        return await client.initialize_device(
            device.company.pin, device.branch.code, device.serial, base_url=device.base_url
        )


def _keep_answer(device: Device, raw: RawActivation, *, now: datetime) -> bool:
    """Keep the answer twice before anybody reads it; False when only the copy in escrow could be kept."""
    answer = Answer(at=now, http_status=raw.http_status, content_type=raw.content_type, body=raw.body)
    try:
        _store_answer(device, answer)
    except (DatabaseError, SealBroken) as error:
        if not escrow.keep(device, answer):
            raise
        log.critical("KRA's answer to the activation of device %s is in escrow alone: %s", device.public_id, error)
        return False
    escrow.keep(device, answer)
    return True


@transaction.atomic
def _store_answer(device: Device, answer: Answer) -> None:
    """The device's own copy, after those of earlier calls: any of them may hold the only key."""
    row = Device.objects.select_for_update().get(pk=device.pk)
    kept = [*_stored_answers(row), answer]
    row.sealed_answers = seal_for(device.company, device_answers_aad(row.public_id), msgspec.json.encode(kept))
    row.last_contact_at = answer.at
    row.save(update_fields=["sealed_answers", "last_contact_at"])


def _stored_answers(device: Device) -> list[Answer]:
    if device.sealed_answers is None:
        return []
    opened = open_for(device.company, device_answers_aad(device.public_id), device.sealed_answers)
    return msgspec.json.decode(opened, type=list[Answer])


def _settle_stored(device: Device, profile: Profile, *, now: datetime, actor: str) -> Device:
    """Finish what a process that died left: read the newest stored answer, if it came after the newest call."""
    newest = _stored_answers(device)[-1]
    if device.activation_sent_at is None or newest.at < device.activation_sent_at:
        return device
    return _settle_answer(device, profile, raw_answer(newest), now=now, actor=actor)


def raw_answer(kept: Answer) -> RawActivation:
    """A kept answer as if it came now, to be read."""
    return RawActivation(
        body=kept.body,
        http_status=kept.http_status,
        content_type=kept.content_type,
        exchange=Exchange(
            operation="device_init",
            number=None,
            started_at=kept.at,
            duration_ms=0,
            http_status=kept.http_status,
            request_sha256="",
            request_masked="",
            answer_masked="",
            outcome="unread",
            code="",
            message="read from the stored answer",
        ),
    )


def _settle_answer(device: Device, profile: Profile, raw: RawActivation, *, now: datetime, actor: str) -> Device:
    try:
        activation = read_activation(raw, profile.flavour)
        check_widths(activation)
    except KraError as error:
        return _settle_failure(device, error, raw.exchange, now=now, actor=actor, answered=True)
    return settle_success(device, profile, activation, raw.exchange, now=now, actor=actor)


def check_widths(activation: Activation) -> None:
    """Ids are never cut: one that is longer than KRA's own tables allow means that we misread the answer."""
    if len(activation.control_unit_id) > 18 or len(activation.machine_code) > 11 or len(activation.device_id) > 20:
        raise NoAnswer("unreadable", "an id in the answer is longer than the specification allows")


@transaction.atomic
def settle_success(
    device: Device, profile: Profile, activation: Activation, exchange: Exchange, *, now: datetime, actor: str
) -> Device:
    """The device becomes active with what KRA gave, unless somebody was faster."""
    sealed_key = None
    if activation.key:
        sealed_key = seal_for(device.company, device_key_aad(device.public_id), activation.key.encode())
    if become_active(
        device,
        now=now,
        actor=actor,
        only_from=[Device.Status.ACTIVATING],
        sealed_key=sealed_key,
        device_id=activation.device_id,
        control_unit_id=activation.control_unit_id,
        machine_code=activation.machine_code,
        taxpayer_name=activation.taxpayer_name[:60],
        last_contact_at=now,
    ):
        _fill_branch(device.branch, activation)
        if profile.flavour is Flavour.VSCU:
            _go_on_after(device.lane, activation.last_numbers.get("sale_invoice", 0))
            if purchases := activation.last_numbers.get("purchase_invoice", 0):
                series = {"environment": device.environment, "branch": device.branch.code}
                _go_on_after(lane_for(device.company, series=Lane.Series.PURCHASE, **series), purchases)
        told = scrubbed(exchange.answer_masked, [activation.key, activation.internal_key, activation.signing_key])
        exchange = msgspec.structs.replace(exchange, answer_masked=told)
        add_attempt(device, exchange, outcome="done", code="000", message="")
        note(
            device,
            "device.activated",
            actor,
            control_unit=activation.control_unit_id,
            machine_code=activation.machine_code,
        )
    return fresh(device)


def _go_on_after(lane: Lane, number: int) -> None:
    Lane.objects.filter(pk=lane.pk, owner=None, next_number__lte=number).update(next_number=number + 1)


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
            add_attempt(device, exchange, outcome=outcome, code=error.code, message=error.message)
        note(device, "device.activation_failed", actor, code=error.code, status=status, detail=sentence)
    return fresh(device)


_OUTCOMES = {NotSent: "not_sent", NoAnswer: "no_answer", Busy: "busy", DeviceTrouble: "device_trouble"}


def _told(error: KraError, *, answered: bool) -> tuple[str, str]:
    """The status a failed activation leaves, and what the owner is told."""
    match error:
        case NotSent(code="vault"):
            return Device.Status.WAITING, SENTENCES["vault"]
        case NotSent() | NotOffered():
            return Device.Status.WAITING, SENTENCES["not_sent"]
        case Busy():
            return Device.Status.WAITING, SENTENCES["busy"]
        case NoAnswer(code="unstored"):
            return Device.Status.ACTIVATING, SENTENCES["unstored"]
        case NoAnswer():
            return Device.Status.ACTIVATING, SENTENCES["unreadable" if answered else "lost"]
        case _:
            return Device.Status.TROUBLE, SENTENCES.get(error.code) or plain(error)


def _fill_branch(branch: Branch, activation: Activation) -> None:
    """What KRA knows of the branch, where we know nothing."""
    known = {"name": activation.branch_name[:60], "address": activation.location_description[:200]}
    known["city"] = activation.county_name.title()[:60]
    fields = [name for name, value in known.items() if value and not getattr(branch, name)]
    for name in fields:
        setattr(branch, name, known[name])
    if fields:
        branch.save(update_fields=fields)
