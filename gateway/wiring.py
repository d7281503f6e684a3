"""What happens where, as tables: HANDLERS carry a lane's jobs, SCHEDULE names the periodic work."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo
from structlog.contextvars import bind_contextvars

from gateway.audit.chain import anchor_journal, seal_journal
from gateway.catalog import registration, uploads
from gateway.catalog.refresh import refresh_reference_data
from gateway.catalog.shelf import Shelf
from gateway.dashboard.second_steps import master_keys_of_second_steps, rewrap_second_steps
from gateway.devices import escrow
from gateway.devices.contact import sync_device_status
from gateway.devices.desk import Desk
from gateway.devices.models import Device
from gateway.devices.rotation import Wrapped
from gateway.lanes import chores, local
from gateway.lanes.chores import resume_chores
from gateway.lanes.engine import Engine, Handler, Turn
from gateway.lanes.months import make_months
from gateway.lanes.postgres import PostgresStore
from gateway.lanes.sqlite import SqliteStore
from gateway.lanes.store import Read, Settlement, Store
from gateway.lanes.stored import id_value
from gateway.lanes.upkeep import cleanup_old_data, cleanup_old_logs, retry_sales_invoice
from gateway.lib.schedule import When, daily, every
from gateway.purchases import statements as purchase_statements
from gateway.purchases.fetching import fetch_purchases_and_imports
from gateway.purchases.sending import Sending
from gateway.reports import journal
from gateway.reports.closing import take_due_z_reports
from gateway.reports.counting import count_days
from gateway.reports.services import generate_compliance_reports, generate_daily_report
from gateway.sales import statements
from gateway.sales.receipts import batches, delivery
from gateway.sales.services import Till
from gateway.sales.signing import Signing
from gateway.stock import composition
from gateway.stock import statements as stock_statements
from gateway.stock.reporting import Reporting
from gateway.tenants.isolation import connection_of
from gateway.tenants.vault import (
    Sealed,
    device_answers_aad,
    device_key_aad,
    master_keys_of_data_keys,
    rewrap_data_keys,
)

# How a document of each kind is fetched when its turn starts, and who carries it to KRA
STARTS = {
    "invoice": statements.START,
    "item": registration.START,
    "stock": stock_statements.START,
    "component": composition.START,
    **purchase_statements.START,
}
HANDLERS: dict[str, Callable[[Desk, Shelf, Read], Handler]] = {
    "invoice": lambda desk, shelf, read: Signing(desk, read, shelf=shelf, late_seconds=settings.ENGINE_LATE_SECONDS),
    "item": lambda desk, shelf, read: registration.Registration(desk, read),
    "stock": lambda desk, shelf, read: Reporting(desk, late_seconds=settings.ENGINE_LATE_SECONDS),
    "component": lambda desk, shelf, read: composition.Composition(desk),
    "purchase": lambda desk, shelf, read: Sending(desk, late_seconds=settings.ENGINE_LATE_SECONDS).purchase,
    "import": lambda desk, shelf, read: Sending(desk, late_seconds=settings.ENGINE_LATE_SECONDS).imported,
}


# What the companies' data keys seal, and what the master keys wrap; `manage.py rotate_keys` changes both
SEALED = [
    Sealed(Device, "sealed_key", lambda device: device_key_aad(device.public_id)),
    Sealed(Device, "sealed_answers", lambda device: device_answers_aad(device.public_id)),
]
WRAPPED = {
    "data keys": Wrapped(rewrap_data_keys, master_keys_of_data_keys),
    "copies in escrow": Wrapped(escrow.rewrap, escrow.master_keys),
    "second steps": Wrapped(rewrap_second_steps, master_keys_of_second_steps),
}

# Works without arguments (its `now` is for tests); a second run of the same work changes nothing
Work = Callable[[], object]

# What to do for a chore of each kind (`lanes.chores`): with the id of its row, and a way to say that it lives
CHORES: dict[str, chores.Work] = {
    uploads.CHORE: uploads.take_upload,
    journal.CHORE: journal.write_export,
    delivery.CHORE: delivery.carry_delivery,
    batches.CHORE: batches.make_batch,
}
# What is said on its row when such a chore is given up
GIVEN_UP: dict[str, chores.GiveUp] = {
    uploads.CHORE: uploads.give_up_upload,
    journal.CHORE: journal.give_up_export,
    delivery.CHORE: delivery.give_up_delivery,
    batches.CHORE: batches.give_up_batch,
}

# When what is done, Nairobi time; `ops.scheduler` or Celery (`ops.tasks`, `ops.beat`) sees to it
SCHEDULE: list[tuple[When, Work]] = [
    (every(minutes=1), retry_sales_invoice),
    (every(minutes=1), seal_journal),
    (every(minutes=1), count_days),
    (every(minutes=1), resume_chores),
    (every(minutes=15), sync_device_status),
    (every(minutes=15), take_due_z_reports),
    (daily(at="00:05"), anchor_journal),
    (every(minutes=30), fetch_purchases_and_imports),
    (daily(at="00:10"), make_months),
    (daily(at="00:30"), refresh_reference_data),
    (daily(at="01:00"), generate_daily_report),
    (daily(at="01:30"), generate_compliance_reports),
    (daily(at="02:00"), cleanup_old_logs),
    (daily(at="02:30"), cleanup_old_data),
    (daily(at="02:45"), uploads.forget_uploads),
    (daily(at="02:50"), journal.forget_journal_exports),
    (daily(at="02:55"), batches.forget_batches),
]


def build_store() -> Store:
    """The engine's store on the configured database."""
    if connection.vendor == "sqlite":
        return SqliteStore(str(connection.settings_dict["NAME"]), starts=STARTS)
    return PostgresStore(_dsn(connection_of("engine")), starts=STARTS)


@contextlib.asynccontextmanager
async def running_till() -> AsyncIterator[Till]:
    """This process's engine with its handlers, at work until the block ends, and what the hot routes need around it."""
    store = build_store()
    desk, shelf = Desk(store.read), Shelf(store.read)
    announcer = None
    if settings.REDIS_URL:
        from gateway.lanes.announce import Announcer  # the embedded shape saves its 18 MB and 0.3 s

        announcer = Announcer(settings.REDIS_URL)
    engine = Engine(
        store,
        {kind: with_log_context(make(desk, shelf, store.read)) for kind, make in HANDLERS.items()},
        rest_seconds=settings.ENGINE_REST_SECONDS,
        lease_seconds=settings.ENGINE_LEASE_SECONDS,
        announce=announcer.announce if announcer else None,
    )
    till = Till(
        engine,
        desk,
        shelf,
        waiting=settings.ENGINE_WAITING_LIMIT,
        waiting_company=settings.ENGINE_WAITING_LIMIT_COMPANY,
        registers_items=settings.ITEMS_UNKNOWN == "register",
    )
    await engine.start()
    local.set_engine(engine)
    poll = asyncio.create_task(till.tell_what_others_settled(), name="poll for settled documents")
    if announcer:
        announcer.start(lambda public_id: engine.tell(public_id, {}))
    try:
        yield till
    finally:
        poll.cancel()
        await engine.stop()
        local.set_engine(None)
        if announcer:
            await announcer.stop()
        await desk.close()


def with_log_context(handler: Handler) -> Handler:
    """The handler, with what its turn is about on every log line that is written in it."""

    async def carry(turn: Turn) -> Settlement:
        started = turn.started
        bind_contextvars(lane=started.lane_id)  # each turn is a task: what is bound ends with it
        if public_id := started.document.get("public_id"):
            bind_contextvars(**{started.kind: str(id_value(public_id))})
        return await handler(turn)

    return carry


def _dsn(database: Mapping[str, object]) -> str:
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return make_conninfo(**{names[key]: str(database[key]) for key in names if database.get(key)})
