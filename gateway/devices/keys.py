"""Keys that come from elsewhere: entered by hand, or out of escrow. Nothing here ever gives a key away."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from gateway.devices import escrow
from gateway.devices.activation import check_widths, raw_answer
from gateway.devices.escrow import EnteredKey, Record
from gateway.devices.models import Device
from gateway.devices.queries import app_for, profile_for, session_for
from gateway.devices.services import (
    BranchHasActiveDevice,
    DeviceNotReady,
    add_attempt,
    become_active,
    fresh,
    is_lost,
    lock_branch,
    move_number,
    note,
)
from gateway.kra.client import Client, read_activation
from gateway.kra.documents import Credentials, Exchange
from gateway.kra.errors import DeviceTrouble, KraError, Refused
from gateway.kra.profiles import Profile
from gateway.lanes.models import Lane
from gateway.lanes.services import lane_for
from gateway.tenants.models import HEAD_OFFICE
from gateway.tenants.vault import device_key_aad, seal_for

_NOT_ACTIVE = (Device.Status.WAITING, Device.Status.ACTIVATING, Device.Status.TROUBLE)


class KeyRefused(Exception):
    """KRA does not take the key for this device; `error` is what it said."""

    def __init__(self, error: KraError) -> None:
        super().__init__(str(error))
        self.error = error


class NotTheLastNumber(Exception):
    """KRA has no invoice with the number that was said to be its last one, or has one after it."""


class NoPurchasesHere(Exception):
    """Only the head office (branch 00) has a series of purchases."""


class NothingInEscrow(Exception):
    """No copy in escrow gives this device a key; the text says what was found."""


def enter_key(
    *,
    device: Device,
    entered: EnteredKey,
    last_number: int,
    last_stock_number: int = 0,
    last_purchase_number: int = 0,
    now: datetime,
    actor: str = "",
) -> Device:
    """Make a device active with what KRA gave earlier, to another system or in an answer we lost.

    `last_number` is the last invoice number KRA has accepted from this branch, 0 for none; the series goes on after it.
    With an OSCU key KRA is asked whether that is so, before anything is kept. A VSCU keeps its own key and has no such
    look-up: there the number is taken as it is told. The last numbers of stock movements and of purchases (a head
    office's) are taken as told too; 0 leaves the series as it is. What the device replaces is retired.

    Raises NoPurchasesHere; DeviceNotReady for a device that is active, retired or being activated at this moment;
    BranchHasActiveDevice; LaneInUse; KeyRefused; NotTheLastNumber; and of `kra.errors` what leaves the question open
    (NotSent, Busy).
    """
    device = fresh(device)
    _may_get_key(device, now)
    if last_purchase_number and device.branch.code != HEAD_OFFICE:
        raise NoPurchasesHere(device.branch.code)
    profile = profile_for(device)
    exchanges: list[Exchange] = []
    if device.kind == Device.Kind.OSCU:
        if not entered.key:
            raise DeviceNotReady("an OSCU needs its key")
        try:
            exchanges = asyncio.run(_check_last_number(device, profile, entered.key, last_number))
        except (DeviceTrouble, Refused) as error:
            raise KeyRefused(error) from None
    elif entered.key:
        raise DeviceNotReady("a VSCU keeps its own key; leave it out")
    with transaction.atomic():
        lock_branch(device)
        _may_get_key(fresh(device), now)
        move_number(device.lane, last_number + 1)
        for series, number in ((Lane.Series.STOCK, last_stock_number), (Lane.Series.PURCHASE, last_purchase_number)):
            if number:
                told = {"environment": device.environment, "branch": device.branch.code, "series": series}
                move_number(lane_for(device.company, **told), number + 1)
        if entered.key:
            escrow.keep(device, entered)
        become_active(device, now=now, actor=actor, only_from=_NOT_ACTIVE, **_facts(device, entered))
        for exchange in exchanges:
            add_attempt(device, exchange, outcome=exchange.outcome, code=exchange.code, message=exchange.message)
        note(
            device,
            "device.key_entered",
            actor,
            last_number=last_number,
            last_stock_number=last_stock_number,
            last_purchase_number=last_purchase_number,
            control_unit=entered.control_unit_id,
            checked_at_kra=bool(exchanges),
        )
    return fresh(device)


def restore_key(
    *, device: Device, records: Iterable[Record], now: datetime, actor: str = "", last_number: int | None = None
) -> Device:
    """Give a device the newest key that is in escrow for it, sealed anew. A device that is not active becomes so.

    `records` newest first; those of other devices are passed over. Those of a device with the same environment, PIN and
    serial count too: after a loss of the database it was added anew. Numbers are left as they are: a document
    that clashes is looked up as after any lost answer. Raises NothingInEscrow, DeviceNotReady for a retired device,
    BranchHasActiveDevice; SealBroken when a copy does not open.
    """
    device = fresh(device)
    if device.status == Device.Status.RETIRED:
        raise DeviceNotReady("the device is retired")
    entered = _newest_key(device, records)
    with transaction.atomic():
        facts = _facts(device, entered)
        if device.status == Device.Status.ACTIVE:
            Device.objects.filter(pk=device.pk).update(**facts)
        else:
            lock_branch(device)
            if last_number is not None:
                move_number(device.lane, last_number + 1)
            become_active(device, now=now, actor=actor, only_from=_NOT_ACTIVE, **facts)
        note(device, "device.key_restored", actor, control_unit=entered.control_unit_id, kept_at=entered.at.isoformat())
    return fresh(device)


def _may_get_key(device: Device, now: datetime) -> None:
    if device.status in {Device.Status.ACTIVE, Device.Status.RETIRED}:
        raise DeviceNotReady(f"the device is {device.status}")
    if device.status == Device.Status.ACTIVATING and not is_lost(device, now):
        raise DeviceNotReady("the device is being activated at this moment")
    replaced = device.replaces_id
    others = Device.objects.filter(
        branch_id=device.branch_id, environment=device.environment, status=Device.Status.ACTIVE
    )
    if others.exclude(pk=replaced or 0).exists():
        raise BranchHasActiveDevice(device.branch.code)


async def _check_last_number(device: Device, profile: Profile, key: str, last_number: int) -> list[Exchange]:
    """Ask KRA whether it has an invoice with this number and none after it. Raises NotTheLastNumber, or of KraError."""
    credentials = Credentials(
        pin=device.company.pin, branch=device.branch.code, key=key, device_serial=device.serial, base_url=""
    )
    exchanges = []
    async with session_for(profile) as session:
        client = Client(profile, session=session, app=app_for(profile))
        if last_number:
            found, exchange = await client.find_invoice(credentials, last_number)
            exchanges.append(exchange)
            if found is None:
                raise NotTheLastNumber(f"KRA has no invoice number {last_number} of this branch.")
        found, exchange = await client.find_invoice(credentials, last_number + 1)
        exchanges.append(exchange)
        if found is not None:
            raise NotTheLastNumber(f"KRA has an invoice number {last_number + 1} of this branch already.")
    return exchanges


def _newest_key(device: Device, records: Iterable[Record]) -> EnteredKey:
    seen, same = 0, (device.environment, device.company.pin, device.serial)
    for record in records:
        if record.device != device.public_id and (record.environment, record.pin, record.serial) != same:
            continue
        seen += 1
        kept = escrow.opened(record)
        if isinstance(kept, EnteredKey):
            return kept
        try:
            activation = read_activation(raw_answer(kept), profile_for(device).flavour)
            check_widths(activation)
        except KraError:
            continue  # a refusal, or an answer that nobody can read
        if activation.key:
            return EnteredKey(
                at=kept.at,
                key=activation.key,
                control_unit_id=activation.control_unit_id,
                machine_code=activation.machine_code,
                device_id=activation.device_id,
            )
    raise NothingInEscrow(f"copies of this device: {seen}, none of them with a key")


def _facts(device: Device, entered: EnteredKey) -> dict[str, object]:
    """The columns that a key and what comes with it fill. Raises SealBroken when the vault does not work."""
    sealed_key = (
        seal_for(device.company, device_key_aad(device.public_id), entered.key.encode()) if entered.key else None
    )
    facts = {
        "control_unit_id": entered.control_unit_id,
        "machine_code": entered.machine_code,
        "device_id": entered.device_id,
    }
    return {"sealed_key": sealed_key, **{name: value for name, value in facts.items() if value}}
