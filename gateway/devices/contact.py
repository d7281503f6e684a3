"""Whether each active device still reaches KRA, and telling once when one falls silent or comes back.

A trader must not go on for a day without KRA's knowledge, so people are told at 12 hours and again at 20.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from gateway.audit.models import Event
from gateway.audit.services import record
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile, app_for, credentials_for, profile_for
from gateway.kra.breaker import Breaker, is_host_trouble
from gateway.kra.client import Client, open_session
from gateway.kra.documents import Credentials
from gateway.kra.errors import DeviceTrouble, KraError, NotOffered
from gateway.kra.profiles import Flavour, Profile
from gateway.lib.clock import utc_now
from gateway.lib.crypto import SealBroken

SILENT_HOURS = (12, 20)
SILENT, BACK = "device.silent", "device.back"
AT_ONCE = 16
CALL_SECONDS = 10.0
ALL_SECONDS = 120.0  # who was not asked by then is asked in the next run

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Question:
    device_id: int
    profile: Profile
    credentials: Credentials
    number: int  # the last one that KRA has accepted, or the first one


def sync_device_status(*, now: datetime | None = None) -> int:
    """Ask KRA a trifle for each active device, note who was answered, tell of changes; how many were answered.

    KRA being away is no error. Nothing is changed at KRA, and these look-ups leave no attempt rows: there would be more
    of them than of sales. A second run asks again and tells nothing twice.
    """
    now = now or utc_now()
    devices = list(
        Device.objects.select_related("company", "branch", "lane").filter(status=Device.Status.ACTIVE).order_by("pk")
    )
    answered = asyncio.run(_ask_all(list(_questions(devices)), now))
    for device in devices:
        _tell(device, now=now, is_back=device.pk in answered)
    Device.objects.filter(pk__in=answered).update(last_contact_at=now)
    return len(answered)


def _questions(devices: Iterable[Device]) -> Iterable[_Question]:
    for device in devices:
        try:
            number = max(device.lane.next_number - 1, 1)
            yield _Question(device.pk, profile_for(device), credentials_for(device), number)
        except (WrongProfile, SealBroken) as error:
            log.warning("Device %s cannot be asked for: %s", device.public_id, error)


async def _ask_all(questions: Sequence[_Question], now: datetime) -> set[int]:
    answered: set[int] = set()
    slots = asyncio.Semaphore(AT_ONCE)
    clients: dict[Profile, Client] = {}
    breakers: dict[str, Breaker] = {}

    async def ask(question: _Question) -> None:
        client = clients[question.profile]
        breaker = breakers.setdefault(client.host(question.credentials), Breaker())
        async with slots:
            if not breaker.allows(question.device_id, time.monotonic()):
                return
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    await _look_up(client, question, now)
            except TimeoutError:
                breaker.failed(question.device_id, time.monotonic())
                return
            except KraError as error:
                if is_host_trouble(error):
                    breaker.failed(question.device_id, time.monotonic())
                    return
                if isinstance(error, DeviceTrouble | NotOffered):
                    log.warning("KRA does not speak with device %s: %s", question.device_id, error)
                    return
            breaker.succeeded()
            answered.add(question.device_id)

    async with open_session() as session:
        for question in questions:
            if question.profile not in clients:
                clients[question.profile] = Client(question.profile, session=session, app=app_for(question.profile))
        tasks = [asyncio.create_task(ask(question)) for question in questions]
        if tasks:
            done, late = await asyncio.wait(tasks, timeout=ALL_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            for task in done:
                task.result()
    return answered


async def _look_up(client: Client, question: _Question, now: datetime) -> None:
    """The cheapest question there is: one invoice, or, at a VSCU, what changed in the code lists this minute."""
    if client.profile.flavour is Flavour.VSCU:
        await client.code_list(question.credentials, now)
    else:
        await client.find_invoice(question.credentials, question.number)


def _tell(device: Device, *, now: datetime, is_back: bool) -> None:
    """Write the event of a change, if this is one. The device's row is locked, so two runs at once tell it once."""
    since = device.last_contact_at or device.activated_at or device.created_at
    hours = max((limit for limit in SILENT_HOURS if now - since >= timedelta(hours=limit)), default=0)
    if not hours:
        return  # and so nobody was told that it is silent
    more: dict[str, Any]
    with transaction.atomic():
        Device.objects.select_for_update().get(pk=device.pk)
        told = _told_hours(device)
        if is_back and told:
            name, more = BACK, {}
        elif not is_back and hours > told:
            name, more = SILENT, {"hours": hours}
        else:
            return
        record(
            device.company,
            name,
            subject=device.public_id,
            environment=device.environment,
            serial=device.serial,
            silent_since=since.isoformat(),
            **more,
        )


def _told_hours(device: Device) -> int:
    """For how many hours of silence people were told already; 0 when they were told that it is back."""
    events = Event.objects.filter(subject=device.public_id, name__in=[SILENT, BACK]).order_by("-id")
    last = events.values_list("name", "data").first()
    return int(last[1]["hours"]) if last and last[0] == SILENT else 0
