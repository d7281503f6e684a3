"""Fetching KRA's own lists: code tables with the tax rates, the item classification, notices, and a company's branches.

KRA gives what changed after a moment of its own clock (OSCU spec v2.0 §3.3.1.2, §3.3.2.1, §3.3.2.3, §3.3.2.4). The
moment is kept for each branch and list, and moved only after what came with it is stored: a crash in between fetches it
again, and storing it again changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models, transaction

from gateway.catalog import validity
from gateway.catalog.lookups import look_up_pin
from gateway.catalog.models import Fetch, KraBranch, Notice
from gateway.devices.activation import activate_device
from gateway.devices.asking import keep_attempts
from gateway.devices.models import Device
from gateway.devices.queries import app_for, credentials_for, profile_for, session_for
from gateway.kra import branch_documents, documents
from gateway.kra.calls import branches
from gateway.kra.client import Client
from gateway.kra.errors import KraError, plain

CODES = "code_list"
CLASSES = "item_class_list"
BRANCHES = "branch_list"
NOTICES = "notice_list"
NEEDED = (CODES, CLASSES)  # without them KRA takes no items of a device
OVERLAP = timedelta(minutes=2)  # rows become visible late: ask for a little more than what is new

_log = logging.getLogger(__name__)

_Answer = tuple[Sequence[Any], datetime | None, documents.Exchange]


class Fetched(NamedTuple):
    """How many rows KRA sent; 0 for a list that was not asked for."""

    codes: int = 0
    item_classes: int = 0
    branches: int = 0
    notices: int = 0


class _List(NamedTuple):
    """One list: how it is asked for, how an answer of it is stored (rows, KRA's clock, our clock), how it is called."""

    ask: Callable[[Client, documents.Credentials, datetime | None], Coroutine[Any, Any, _Answer]]
    store: Callable[[Device, Sequence[Any], datetime, datetime], int]
    name: str


def activate_and_fetch(*, device: Device, now: datetime, actor: str = "", again: bool = False) -> Device:
    """Activate a device; once it is active, fetch KRA's lists over it and ask whose PIN the company's is.

    What does not come now is no failure of the activation: whatever needs a list fetches it then. Raises what
    `devices.activation.activate_device` raises.
    """
    device = activate_device(device=device, now=now, actor=actor, again=again)
    if device.status == Device.Status.ACTIVE and not has_reference_data(device):
        try:
            fetch_reference_data(device, now=now)
            company = device.company
            look_up_pin(company=company, environment=device.environment, device=device, pin=company.pin, now=now)
        except KraError as error:
            _log.warning("KRA did not tell all about device %s: %s", device.public_id, plain(error))
    return device


def ensure_reference_data(device: Device, *, now: datetime) -> None:
    """Fetch the lists that items need if this branch never has: KRA refuses items of a device that has not.

    Raises `KraError`.
    """
    if not has_reference_data(device):
        fetch_reference_data(device, now=now, only=NEEDED)


def has_reference_data(device: Device) -> bool:
    """Whether the lists that items need have been fetched over this device's branch at least once."""
    return Fetch.objects.filter(lane_id=device.lane_id, operation__in=NEEDED).count() == len(NEEDED)


def fetch_reference_data(device: Device, *, now: datetime, only: Collection[str] = ()) -> Fetched:
    """Bring KRA's lists (or `only` some) up to date over one active device, from this thread, one after the other.

    Safe to repeat and to run twice at once. Raises `KraError` (mostly Busy and NotSent) when KRA does not give one;
    those before it are stored, those after it are not asked for.
    """
    wanted = [operation for operation in _LISTS if not only or operation in only]
    since = dict(Fetch.objects.filter(lane_id=device.lane_id).values_list("operation", "changed_since"))
    profile, credentials = profile_for(device), credentials_for(device)

    async def ask() -> tuple[dict[str, _Answer], KraError | None]:
        answers: dict[str, _Answer] = {}
        async with session_for(profile) as session:
            client = Client(profile, session=session, app=app_for(profile))
            for operation in wanted:
                try:
                    moment = _with_overlap(since.get(operation))
                    answers[operation] = await _LISTS[operation].ask(client, credentials, moment)
                except KraError as error:
                    return answers, error
        return answers, None

    answers, error = asyncio.run(ask())
    counts: dict[str, int] = {}
    for operation, (rows, at, exchange) in answers.items():
        known = _LISTS[operation]
        counts[known.name] = known.store(device, rows, at or now, now)
        with transaction.atomic():
            _move(device, operation, at or now)
            keep_attempts(device, [exchange], kind="reference", with_answer=False)
    if error:
        keep_attempts(device, [error.exchange] if error.exchange else [], kind="reference", with_answer=False)
        raise error
    return Fetched(**counts)


def _with_overlap(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment - OVERLAP


def _move(device: Device, operation: str, moment: datetime) -> None:
    Fetch.objects.update_or_create(lane_id=device.lane_id, operation=operation, defaults={"changed_since": moment})


# Storing


def _store_codes(device: Device, rows: Sequence[documents.CodeClass], at: datetime, now: datetime) -> int:
    return validity.store_codes(str(device.environment), rows, at=at, now=now)


def _store_classes(device: Device, rows: Sequence[documents.ItemClass], at: datetime, now: datetime) -> int:
    return validity.store_item_classes(str(device.environment), rows, at=at, now=now)


def _store_branches(device: Device, rows: Sequence[branch_documents.Branch], at: datetime, now: datetime) -> int:
    """Without the manager's name, phone and e-mail: nothing of the product needs them."""
    own = {
        row.code: KraBranch(
            company_id=device.company_id,
            environment=device.environment,
            code=row.code[:2],
            name=row.name[:60],
            status=row.status[:5],
            county=row.county_name[:100],
            sub_county=row.sub_county_name[:100],
            locality=row.tax_locality_name[:100],
            location=row.location_description[:100],
            is_head_office=row.is_head_office,
            fetched_at=now,
        )
        for row in rows
        if row.pin in ("", device.company.pin)
    }
    fields = ["name", "status", "county", "sub_county", "locality", "location", "is_head_office", "fetched_at"]
    return _upsert(KraBranch, own.values(), ["company", "environment", "code"], fields)


def _store_notices(device: Device, rows: Sequence[branch_documents.Notice], at: datetime, now: datetime) -> int:
    notices = {
        row.number: Notice(
            environment=device.environment,
            number=row.number,
            title=row.title[:1000],
            body=row.body,
            url=row.detail_url[:200],
            published_at=row.registered_at,
            fetched_at=now,
        )
        for row in rows
    }
    fields = ["title", "body", "url", "published_at", "fetched_at"]
    return _upsert(Notice, notices.values(), ["environment", "number"], fields)


def _upsert(model: type[models.Model], rows: Iterable[models.Model], key: list[str], fields: list[str]) -> int:
    """In key order, so that two fetches at once do not deadlock; how many rows came."""
    ordered = sorted(rows, key=lambda row: [str(getattr(row, name)) for name in key])
    model._default_manager.bulk_create(
        ordered, update_conflicts=True, unique_fields=key, update_fields=fields, batch_size=validity.BATCH
    )
    return len(ordered)


_LISTS = {
    CODES: _List(Client.code_list, _store_codes, "codes"),
    CLASSES: _List(Client.item_classes, _store_classes, "item_classes"),
    BRANCHES: _List(branches.list_branches, _store_branches, "branches"),
    NOTICES: _List(branches.list_notices, _store_notices, "notices"),
}
