"""Customers, users and insurers that a branch registers with KRA; what KRA took is kept."""

import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from gateway.audit.services import record
from gateway.catalog.models import KraRecord
from gateway.devices.asking import ask_kra, keep_attempts
from gateway.devices.models import Device
from gateway.kra.branch_documents import BranchCustomer, BranchUser, Insurance
from gateway.kra.calls import branches
from gateway.kra.client import Client
from gateway.kra.documents import Credentials, Exchange
from gateway.tenants.pages import newest_first, page

Send = Callable[[Client, Credentials, str, Mapping[str, Any]], Awaitable[Exchange]]


def _customer(client: Client, credentials: Credentials, key: str, data: Mapping[str, Any]) -> Awaitable[Exchange]:
    return branches.save_customer(client, credentials, BranchCustomer(number=key, **data))


def _user(client: Client, credentials: Credentials, key: str, data: Mapping[str, Any]) -> Awaitable[Exchange]:
    # KRA demands a password; nobody ever signs in with it, so nobody gets to know it
    return branches.save_user(client, credentials, BranchUser(user_id=key, password=secrets.token_urlsafe(24), **data))


def _insurer(client: Client, credentials: Credentials, key: str, data: Mapping[str, Any]) -> Awaitable[Exchange]:
    return branches.save_insurance(client, credentials, Insurance(code=key, **data))


_SENDERS: Mapping[str, Send] = {
    KraRecord.Kind.CUSTOMER: _customer,
    KraRecord.Kind.USER: _user,
    KraRecord.Kind.INSURER: _insurer,
}


def register_record(
    *, device: Device, kind: str, key: str, data: Mapping[str, Any], now: datetime, actor: str
) -> tuple[KraRecord, bool]:
    """Register it at KRA under the company's own number, or change it there; and whether KRA was told.

    What KRA has already like this is not sent again. Only what KRA took is kept, so a failure may be repeated. Raises
    DeviceNotReady, KraError.
    """
    own: dict[str, Any] = {
        "company": device.company,
        "environment": str(device.environment),
        "branch": device.branch.code,
        "kind": kind,
        "key": key,
    }
    known = KraRecord.objects.filter(**own).first()
    if known is not None and known.data == data:
        return known, False
    exchange = ask_kra(
        device, lambda client, credentials: _SENDERS[kind](client, credentials, key, data), kind="record"
    )
    with transaction.atomic():
        keep_attempts(device, [exchange], kind="record")
        row, _ = KraRecord.objects.update_or_create(**own, defaults={"data": dict(data), "sent_at": now})
        record(
            device.company,
            f"{kind}.registered",
            subject=row.public_id,
            environment=str(device.environment),
            actor=actor,
            key=key,
            branch=device.branch.code,
        )
    return row, True


def list_records(
    company_id: int, environment: str, kind: str, *, limit: int, cursor: str | None = None
) -> tuple[list[KraRecord], str | None]:
    """A page of what was registered, newest first, and the cursor of the next page. Raises BadCursor."""
    rows = KraRecord.objects.filter(company_id=company_id, environment=environment, kind=kind)
    return page(newest_first(rows, cursor), limit)


def find_record(company_id: int, environment: str, kind: str, public_id: uuid.UUID) -> KraRecord | None:
    """One of the company's records of a kind."""
    return KraRecord.objects.filter(
        company_id=company_id, environment=environment, kind=kind, public_id=public_id
    ).first()
