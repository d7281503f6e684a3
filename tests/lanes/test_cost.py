"""What a sale costs the database: two commits, and so many statements, however many sales and lines share them."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from psycopg.pq import Trace

from gateway.lanes.postgres import PostgresStore
from gateway.lanes.sqlite import SqliteStore
from gateway.lanes.store import Row, Settle, Statement, Store
from gateway.sales.services import Outcome
from gateway.wiring import build_store
from tests.lanes.bench import (
    Bench,
    Operation,
    intake,
    is_postgres,
    make_lanes,
    pointed_at,
    signed,
    with_attempt,
)
from tests.lanes.shaky import Shaky
from tests.lanes.shops import street
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

MANY = 40
FRAME = 2  # BEGIN and COMMIT
# What a sale adds to a commit on SQLite, which writes row by row; on PostgreSQL, which takes all rows at once, a commit
KEPT = 6 if is_postgres() else 10
SETTLED = 7 if is_postgres() else 8
REMEMBERED = {"items_by_code", "current_rates", "device_by_id", "devices_of_company"}  # for some seconds


def test_the_statements_of_a_commit_are_the_same_for_one_sale_and_for_many(process: Bench) -> None:
    store = process.store()
    costs(process, store, 1)  # statements are prepared the first time
    one, many = costs(process, store, 1), costs(process, store, MANY)
    if is_postgres():
        assert one == many == (KEPT, SETTLED)
    else:
        assert [cost - FRAME for cost in one] == [KEPT, SETTLED]
        assert [cost - FRAME for cost in many] == [MANY * KEPT, MANY * SETTLED]


def costs(process: Bench, store: Store, count: int) -> tuple[int, int]:
    """How many statements it takes to keep and start so many sales, each in a lane of its own; and to sign them."""
    new = [intake(lane) for lane in make_lanes(count)]
    kept, started = said(process, store, *new)
    assert len(started) == count
    ends = [Settle(one, with_attempt(one, signed(one))) for one in started]
    settled, _ = said(process, store, *ends)
    return len(kept), len(settled)


def said(process: Bench, store: Store, *work: Operation) -> tuple[list[str], list[Any]]:
    """What one commit said to the database, a statement an entry; and what it started."""
    hear = _on_postgres(store) if isinstance(store, PostgresStore) else _on_sqlite(cast(SqliteStore, store))
    with hear as heard:
        committed = process.commit(store, *work)
    return heard, committed.started


@contextlib.contextmanager
def _on_postgres(store: PostgresStore) -> Iterator[list[str]]:
    heard: list[str] = []
    assert store._writer is not None
    with tempfile.TemporaryFile() as file:
        store._writer.pgconn.trace(file.fileno())
        store._writer.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        yield heard
        store._writer.pgconn.untrace()
        file.seek(0)
        sent = [line.split("\t") for line in file.read().decode(errors="replace").splitlines()]
    heard += [line[2] for line in sent if line[0] == "F" and line[2] in {"Query", "Execute"}]


@contextlib.contextmanager
def _on_sqlite(store: SqliteStore) -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(sql: str) -> None:
        if not sql.startswith("--"):  # as a trigger's statements do
            heard.append(sql)

    for connection in store._connections:
        connection.set_trace_callback(hear)
    yield heard
    for connection in store._connections:
        connection.set_trace_callback(None)


class Counting(Shaky):
    """A store that remembers by name what was read."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.reads: list[str] = []

    async def read(self, statement: Statement, params: Row) -> list[dict[str, Any]]:
        self.reads.append(statement.name)
        return await super().read(statement, params)


def test_a_sale_from_till_to_receipt_takes_two_commits_however_many_lines_it_has(
    url: str, simulator: Simulator, settings: Any, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock(), pointed_at(url), street(simulator, settings, late_seconds=5) as town:
        store = Counting(build_store())
        process = town.start_process(store)
        (counter,) = town.open_company("00")
        town.register_items()
        town.post(process, (counter, counter.sale("POS-1")), wait_seconds=20)
        spent = []
        for reference, lines in (("POS-2", 1), ("POS-3", 100)):
            short = counter.sale(reference)
            sale = msgspec.structs.replace(short, lines=short.lines * lines)
            before, store.reads = store.commits, []
            (outcome,) = town.post(process, (counter, sale), wait_seconds=20)
            assert isinstance(outcome, Outcome) and outcome.row["status"] == "signed", outcome
            spent.append((store.commits - before, [name for name in store.reads if name not in REMEMBERED]))
        assert spent == [(2, []), (2, [])]
