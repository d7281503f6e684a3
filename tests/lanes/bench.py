"""A database of its own with real stores on it, and invoices for them: what the engine's tests stand on.

The stores commit for themselves, so these tests cannot run inside a transaction that is rolled back; and a signed
invoice cannot be deleted. So each test module gets a database, and each test lanes of its own in it.
"""

import asyncio
import contextlib
import itertools
import os
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from django.db import connection

from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.lanes.attempts import RECORD_ATTEMPT
from gateway.lanes.models import Job, Lane, Process
from gateway.lanes.store import Batch, Committed, Effect, Intake, Look, Settle, Settlement, Started, Store
from gateway.sales import statements
from gateway.sales.models import Invoice
from gateway.tenants.models import Company
from gateway.wiring import build_store
from tests import servers
from tests.migrated import give_tables
from tests.tenants.factories import make_active, make_company

T = TypeVar("T")
Operation = Intake | Settle | Look
NOW = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)
_numbers = itertools.count(1)


@contextlib.contextmanager
def pointed_at(url: str) -> Iterator[None]:
    """Let Django use this database until the block ends; the stores follow, for they ask Django where it is."""
    parts, before = urlsplit(url), dict(connection.settings_dict)
    name = unquote(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else parts.path.removeprefix("/")
    connection.close()
    connection.settings_dict.update(NAME=name, CONN_MAX_AGE=0)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


@contextlib.contextmanager
def fresh_database(run_url: str, folder: Path) -> Iterator[str]:
    """The URL of a migrated database of the kind that this run is about, gone when the block ends."""
    with contextlib.ExitStack() as stack:
        if run_url.startswith("sqlite"):
            url = f"sqlite:///{folder / 'engine.sqlite3'}"
        else:
            url = stack.enter_context(servers.postgres_database(run_url))
        give_tables({**os.environ, "DATABASE_URL": url})
        yield url


def is_postgres() -> bool:
    return connection.vendor == "postgresql"


def put_away_lanes() -> None:
    """Leave nothing to do of what earlier tests made."""
    Lane.objects.filter(hold_reason="").update(owner=None, hold_reason="of a test that is over", due_at=None)
    Process.objects.all().delete()


def make_seller() -> Device:
    """A company with an active device and its lane of invoices."""
    number = next(_numbers)
    device = make_company(pin=f"P{number:09d}X", serial=f"SERIAL-{number}").device
    return make_active(device)


def make_lanes(count: int, series: str = "invoice") -> list[Lane]:
    """So many lanes of one company, whose device is that of them all."""
    device = make_seller()
    lanes = [
        Lane(company=device.company, environment="sandbox", pin=device.company.pin, branch=f"b{n}", series=series)
        for n in range(count)
    ]
    return Lane.objects.bulk_create(lanes)


def invoice_row(lane: Lane, reference: str = "", **changes: Any) -> dict[str, Any]:
    """A row for `statements.KEEP`: an invoice of 232.00 that nobody will read the body of."""
    seller_id = Device.objects.filter(company_id=lane.company_id).values_list("pk", flat=True)[0]
    return plain_row(lane, seller_id, reference, **changes)


def plain_row(lane: Lane, seller_id: int, reference: str = "", **changes: Any) -> dict[str, Any]:
    """The same without a look at the database."""
    reference = reference or f"POS-{next(_numbers):06d}"  # rows are kept in the order of references
    return {
        "public_id": uuid.uuid4(),
        "company_id": lane.company_id,
        "environment": lane.environment,
        "device_id": seller_id,
        "lane_id": lane.pk,
        "kind": "sale",
        "reference": reference,
        "content_hash": f"v1:{reference}",
        "content": {"reference": reference},
        "figures": {"lines": []},
        "snapshot": {},
        "body": "{}",
        "tag": f"rvp:{next(_numbers)}",
        "original_id": None,
        "issued_at": NOW,
        "buyer_pin": "",
        "buyer_name": "",
        "total": Decimal("232.00"),
        "total_tax": Decimal("32.00"),
        "accepted_at": NOW,
        "phone": None,
        "email": None,
        "waits_for": None,
        **changes,
    }


def intake(lane: Lane, reference: str = "", **changes: Any) -> Intake:
    return Intake(statements.KEEP, invoice_row(lane, reference, **changes))


def receipt(number: int, **changes: Any) -> dict[str, Any]:
    """The columns that KRA's answer fills."""
    return {
        "number": number,
        "receipt_number": number,
        "total_receipt_number": number,
        "internal_data": f"INTERNAL{number:018d}",
        "signature": f"SIGN{number:012d}",
        "signed_at": NOW,
        "control_unit_id": "SIMCU0100000001",
        "machine_code": "SIM00000001",
        "recovered": False,
        "settled_at": NOW,
        **changes,
    }


def signed(started: Started, **changes: Any) -> Settlement:
    """KRA signed it under its number."""
    assert started.number is not None
    columns = receipt(started.number)
    sign = Effect(statements.SIGN, {"id": started.document_id, "tag": started.document["tag"], **columns}, always=True)
    told = {"state": "closed", "used": started.number, "effects": [sign], "changes": {"status": "signed", **columns}}
    return Settlement(**{**told, **changes})


def refused(started: Started, **changes: Any) -> Settlement:
    """KRA said no: the number was not counted."""
    row = {"id": started.document_id, "problem": {"code": "refused_by_kra"}, "settled_at": NOW}
    return Settlement(**{"state": "closed", "effects": [Effect(statements.REFUSE, row)], **changes})


def unknown(started: Started, **changes: Any) -> Settlement:
    """No answer came: the number stays and the lane rests."""
    row = {"id": started.document_id, "unanswered_at": NOW, "problem": {"code": "being_looked_up"}}
    told = {"state": "started", "failed": True, "rest_seconds": 60.0, "effects": [Effect(statements.DOUBT, row)]}
    return Settlement(**{**told, **changes})


def handed_back(started: Started, **changes: Any) -> Settlement:
    """Nothing was sent: the number goes back, the document keeps its place."""
    row = {"id": started.document_id, "problem": {"code": "kra_away"}}
    return Settlement(**{"state": "queued", "failed": True, "effects": [Effect(statements.REQUEUE, row)], **changes})


def with_attempt(started: Started, settlement: Settlement) -> Settlement:
    """The same end, and the message to KRA that led to it."""
    message = {
        "company_id": started.document["company_id"],
        "environment": started.document["environment"],
        "kind": started.kind,
        "document_id": started.document_id,
        "operation": "sales_save",
        "number": started.number,
        "started_at": NOW,
        "duration_ms": 12,
        "http_status": 200,
        "outcome": "done",
        "code": "000",
        "message": "It is succeeded",
        "request_sha256": "0" * 64,
        "request": "{}",
        "answer": "{}",
    }
    return replace(settlement, effects=[Effect(RECORD_ATTEMPT, message), *settlement.effects])


@dataclass
class Bench:
    """A loop that stands still between calls, and the stores that were opened on it."""

    runner: asyncio.Runner
    stores: list[Store] = field(default_factory=list)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def store(self, *, lease_seconds: float = 60) -> Store:
        """The product's store on this database, with a heartbeat, as a process that has just started."""
        store = build_store()
        self.run(store.open())
        self.run(store.beat(lease_seconds))
        self.stores.append(store)
        return store

    def commit(self, store: Store, *operations: Operation, may_start: bool = True) -> Committed:
        return self.run(store.commit(batch(*operations, may_start=may_start)))

    def start(self, store: Store, lane: Lane, reference: str = "") -> Started:
        """Keep an invoice for a free lane; what was started."""
        (started,) = self.commit(store, intake(lane, reference)).started
        return started

    def close(self) -> None:
        for store in self.stores:
            self.run(store.close())


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """An empty bench until the block ends; whatever earlier tests left is put away."""
    put_away_lanes()
    with asyncio.Runner() as runner:
        made = Bench(runner)
        try:
            yield made
        finally:
            made.close()


def batch(*operations: Operation, may_start: bool = True) -> Batch:
    return Batch(
        intakes=[one for one in operations if isinstance(one, Intake)],
        settles=[one for one in operations if isinstance(one, Settle)],
        looks=[one for one in operations if isinstance(one, Look)],
        may_start=may_start,
    )


def expire(store: Store) -> None:
    """The process of a store has not been heard of for a while."""
    Process.objects.filter(token=store.token).update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))


def fresh(lane: Lane) -> Lane:
    return Lane.objects.get(pk=lane.pk)


def job_of(started: Started) -> Job:
    return Job.objects.get(pk=started.job_id)


def invoice_of(started: Started) -> Invoice:
    return Invoice.objects.get(pk=started.document_id)


def jobs(lane: Lane) -> list[tuple[str, int | None]]:
    """State and number of the lane's jobs, in the order of their turns."""
    return list(Job.objects.filter(lane=lane).order_by("pk").values_list("state", "number"))


def events(company: Company, name: str) -> int:
    return Event.objects.filter(company=company, name=name).count()
