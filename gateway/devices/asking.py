"""Ask KRA something from a Django thread, outside the lanes: look-ups, and what may be sent twice without harm."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from gateway.devices.models import Device
from gateway.devices.queries import app_for, credentials_for, profile_for, session_for
from gateway.devices.services import DeviceNotReady
from gateway.kra.client import Client
from gateway.kra.documents import Credentials, Exchange
from gateway.kra.errors import KraError
from gateway.lanes.models import Attempt

T = TypeVar("T")


def ask_kra(device: Device, work: Callable[[Client, Credentials], Awaitable[T]], *, kind: str) -> T:
    """What `work` brings from KRA in the name of an active device; a message that failed is kept as an attempt.

    Call it outside of transactions. Raises DeviceNotReady, and what `work` raises.
    """
    if device.status != Device.Status.ACTIVE:
        raise DeviceNotReady(f"the device {device.serial} is {device.status}")
    profile, credentials = profile_for(device), credentials_for(device)

    async def ask() -> T:
        async with session_for(profile) as session:
            return await work(Client(profile, session=session, app=app_for(profile)), credentials)

    try:
        return asyncio.run(ask())
    except KraError as error:
        keep_attempts(device, [error.exchange] if error.exchange else [], kind=kind)
        raise


def keep_attempts(device: Device, exchanges: Iterable[Exchange], *, kind: str, with_answer: bool = True) -> None:
    """Write down messages to KRA, secrets masked. Long public lists are left out: they are kept in tables."""
    Attempt.objects.bulk_create(
        Attempt(
            company_id=device.company_id,
            environment=device.environment,
            kind=kind,
            document_id=device.pk,
            operation=exchange.operation,
            started_at=exchange.started_at,
            duration_ms=exchange.duration_ms,
            http_status=exchange.http_status,
            outcome=exchange.outcome,
            code=exchange.code[:40],
            message=exchange.message[:500],
            request_sha256=exchange.request_sha256,
            request=exchange.request_masked,
            answer=exchange.answer_masked if with_answer else "",
        )
        for exchange in exchanges
    )
