"""Whether each active device still reaches KRA, and telling once when one falls silent or comes back.

A trader must not go on for a day without KRA's knowledge, so people are told at 12 hours and again at 20.
"""

import asyncio
import contextlib
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
from gateway.devices.queries import WrongProfile, app_for, credentials_for, profile_for, session_for
from gateway.kra.breaker import Breaker, is_host_trouble
from gateway.kra.client import Client
from gateway.kra.documents import Credentials, Exchange
from gateway.kra.errors import DeviceTrouble, KraError, NotOffered, plain
from gateway.kra.profiles import Flavour, Profile
from gateway.lib.clock import utc_now
from gateway.lib.crypto import SealBroken

SILENT_HOURS = (12, 20)
SILENT, BACK = "device.silent", "device.back"
AT_ONCE = 16
CALL_SECONDS = 10.0
UNIT_OFFLINE = "894"  # a VSCU that has lost its own line to KRA answers us, but that is no contact with KRA
AWAY = "KRA did not answer the devices asked before this one"
ALL_SECONDS = 120.0  # who was not asked by then is asked in the next run

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Question:
    device_id: int
    profile: Profile
    credentials: Credentials
    number: int  # the last one that KRA has accepted, or the first one


@dataclass(frozen=True, slots=True)
class _Heard:
    """How a question ended. `silence` says why there was no answer that proves the line to KRA."""

    silence: str = ""
    latency_ms: int | None = None
    clock_offset_seconds: int | None = None  # KRA's clock minus ours

    @property
    def is_contact(self) -> bool:
        return not self.silence


def sync_device_status(*, now: datetime | None = None) -> int:
    """Ask KRA a trifle for each active device, note who was answered, tell of changes; how many were answered.

    KRA being away is no error. Nothing is changed at KRA, and these look-ups leave no attempt rows: there would be more
    of them than of sales. A second run asks again and tells nothing twice.
    """
    now = now or utc_now()
    devices = list(
        Device.objects.select_related("company", "branch", "lane").filter(status=Device.Status.ACTIVE).order_by("pk")
    )
    heard: dict[int, _Heard] = {}
    heard.update(asyncio.run(_ask_all(list(_questions(devices, heard)), now)))
    for device in devices:
        about = heard.get(device.pk)
        _tell(device, now=now, is_back=about is not None and about.is_contact)
        if about is not None:
            _note(device, about, now)
    return sum(about.is_contact for about in heard.values())


def _note(device: Device, heard: _Heard, now: datetime) -> None:
    facts: dict[str, Any] = {"checked_at": now, "silence": heard.silence[:200]}
    if heard.is_contact:
        facts |= {"last_contact_at": now, "latency_ms": heard.latency_ms}
    if heard.clock_offset_seconds is not None:
        facts["clock_offset_seconds"] = heard.clock_offset_seconds
    Device.objects.filter(pk=device.pk).update(**facts)


def _questions(devices: Iterable[Device], heard: dict[int, _Heard]) -> Iterable[_Question]:
    for device in devices:
        try:
            number = max(device.lane.next_number - 1, 1)
            yield _Question(device.pk, profile_for(device), credentials_for(device), number)
        except (WrongProfile, SealBroken) as error:
            log.warning("Device %s cannot be asked for: %s", device.public_id, error)
            heard[device.pk] = _Heard(silence=str(error))


async def _ask_all(questions: Sequence[_Question], now: datetime) -> dict[int, _Heard]:
    heard: dict[int, _Heard] = {}
    slots = asyncio.Semaphore(AT_ONCE)
    clients: dict[Profile, Client] = {}
    breakers: dict[str, Breaker] = {}

    async def ask(question: _Question) -> None:
        client = clients[question.profile]
        breaker = breakers.setdefault(client.host(question.credentials), Breaker())
        async with slots:
            if not breaker.allows(question.device_id, time.monotonic()):
                heard[question.device_id] = _Heard(silence=AWAY)
                return
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    exchange = await _look_up(client, question, now)
            except TimeoutError:
                breaker.failed(question.device_id, time.monotonic())
                heard[question.device_id] = _Heard(silence=f"no answer within {CALL_SECONDS:.0f} seconds")
                return
            except KraError as error:
                if is_host_trouble(error):
                    breaker.failed(question.device_id, time.monotonic())
                    heard[question.device_id] = _Heard(silence=plain(error))
                    return
                if error.code == UNIT_OFFLINE or isinstance(error, DeviceTrouble | NotOffered):
                    log.warning("KRA does not speak with device %s: %s", question.device_id, error)
                    heard[question.device_id] = _Heard(silence=plain(error))
                    return
                refusal = error.exchange
                breaker.succeeded()
                heard[question.device_id] = _Heard(latency_ms=refusal.duration_ms if refusal else None)
                return
            breaker.succeeded()
            heard[question.device_id] = _Heard("", exchange.duration_ms, _offset(exchange))

    async with contextlib.AsyncExitStack() as sessions:
        for question in questions:
            if question.profile not in clients:
                session = await sessions.enter_async_context(session_for(question.profile))
                clients[question.profile] = Client(question.profile, session=session, app=app_for(question.profile))
        tasks = [asyncio.create_task(ask(question)) for question in questions]
        if tasks:
            done, late = await asyncio.wait(tasks, timeout=ALL_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            for task in done:
                task.result()
    return heard


async def _look_up(client: Client, question: _Question, now: datetime) -> Exchange:
    """The cheapest question there is: one invoice, or, at a VSCU, what changed in the code lists this minute.

    A VSCU hands the latter on to KRA, so its answer proves that the unit has its line.
    """
    if client.profile.flavour is Flavour.VSCU:
        return (await client.code_list(question.credentials, now))[2]
    return (await client.find_invoice(question.credentials, question.number))[1]


def _offset(exchange: Exchange) -> int | None:
    """KRA's clock minus ours in the middle of the exchange, whole seconds: KRA tells no fractions."""
    if exchange.server_time is None:
        return None
    middle = exchange.started_at + timedelta(milliseconds=exchange.duration_ms / 2)
    return round((exchange.server_time - middle).total_seconds())


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
