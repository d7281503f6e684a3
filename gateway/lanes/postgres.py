"""The engine's store on PostgreSQL: many processes share the lanes through leases in the database."""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from gateway.lanes.store import (
    Batch,
    Committed,
    Row,
    Started,
    Statement,
    StoreBusy,
    StoreDown,
    StoreRefused,
    effects_by_statement,
    few,
    lane_requests,
    lanes_of,
)
from gateway.lib.nul import without_nul

# A heartbeat that lies further ahead than any lease comes from a clock that was wrong: it protects nothing
ALIVE = """
SELECT 1 FROM lanes_process p
WHERE p.token = l.owner AND p.expires_at BETWEEN now() AND now() + interval '10 minutes'
"""

# Every statement here finds few rows by their keys (see `store.few`). On tables that grew faster than they were
# analyzed the planner thinks otherwise, reads them whole, and keeps that plan: each commit costs more than the last.
PLANS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",  # a plan is made once a connection, not for every batch
}

BEAT = """
INSERT INTO lanes_process (token, name, started_at, expires_at)
VALUES (%(token)s, %(name)s, now(), now() + make_interval(secs => %(seconds)s))
ON CONFLICT (token) DO UPDATE SET expires_at = excluded.expires_at
"""
# NO KEY UPDATE: does not wait for inserts that only refer to the lane
LOCK_LANES = "SELECT id FROM lanes_lane WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
SETTLE_JOBS = f"""
UPDATE lanes_job j
SET state = r.state, last_error = r.error, number = CASE WHEN r.state = 'queued' THEN NULL ELSE j.number END
FROM {few("job_id bigint, turn int, state text, error text", "%(rows)s")}, lanes_lane l
WHERE j.id = r.job_id AND j.turn = r.turn AND j.state = 'started' AND l.id = j.lane_id AND l.owner = %(token)s
RETURNING j.id
"""
# A lane moves on: it takes note of the number KRA counted, rests or is held, and starts its next job or is let go
_REQUEST = """
lane_id bigint, settled bool, resume bool, ends_rest bool, used bigint, rest_seconds float8, rest_reason text,
hold_reason text, failed bool
"""
ADVANCE = f"""
WITH request AS (
    SELECT * FROM {few(_REQUEST, "%(rows)s")}
), lane AS MATERIALIZED (
    SELECT l.id, r.settled, r.rest_reason, l.owner IS NOT NULL AND NOT r.settled AS left_behind,
        GREATEST(l.next_number, r.used + 1) AS next_number,
        CASE WHEN r.hold_reason <> '' THEN r.hold_reason ELSE l.hold_reason END AS hold_reason,
        CASE WHEN r.failed THEN l.failures + 1 WHEN r.settled THEN 0 ELSE l.failures END AS failures,
        CASE WHEN r.settled THEN now() + make_interval(secs => r.rest_seconds)
             WHEN l.owner IS NULL AND l.due_at > now() AND NOT r.ends_rest THEN l.due_at END AS rest_until,
        (SELECT j.id FROM lanes_job j LEFT JOIN lanes_job w ON w.id = j.waits_for_id
         WHERE j.lane_id = l.id AND NOT (j.state = 'closed') AND (w.id IS NULL OR w.state = 'closed')
         ORDER BY j.state DESC, j.id LIMIT 1) AS job_id
    FROM lanes_lane l JOIN request r ON r.lane_id = l.id
    WHERE l.owner IS NULL OR (l.owner = %(token)s AND (r.settled OR r.resume))
        OR (l.owner <> %(token)s AND NOT EXISTS ({ALIVE}))
), moved AS (
    UPDATE lanes_lane l SET
        next_number = lane.next_number,
        hold_reason = lane.hold_reason,
        held_at = CASE WHEN lane.hold_reason <> '' THEN COALESCE(l.held_at, now()) END,
        failures = lane.failures,
        rest_reason = CASE WHEN lane.rest_until IS NULL THEN '' WHEN lane.settled THEN lane.rest_reason
                      ELSE l.rest_reason END,
        owner = CASE WHEN %(may_start)s AND lane.job_id IS NOT NULL AND lane.hold_reason = ''
                      AND lane.rest_until IS NULL THEN %(token)s::uuid END,
        due_at = CASE WHEN lane.job_id IS NULL THEN NULL ELSE COALESCE(lane.rest_until, now()) END
    FROM lane WHERE l.id = lane.id
    RETURNING l.id, l.owner, l.next_number, l.failures, l.series, lane.job_id,
        lane.job_id IS NOT NULL AND l.owner IS NULL AS stalled, lane.left_behind,
        EXTRACT(epoch FROM lane.rest_until - now())::float8 AS rest_seconds
), before AS (
    SELECT j.id, j.state FROM lanes_job j JOIN moved ON moved.job_id = j.id WHERE moved.owner IS NOT NULL
), taken AS (
    UPDATE lanes_job j SET state = 'started', turn = j.turn + 1,
        number = CASE WHEN moved.series = 'webhook' THEN NULL ELSE COALESCE(j.number, moved.next_number) END
    FROM moved, before WHERE j.id = moved.job_id AND before.id = j.id
    RETURNING j.id, j.lane_id, j.kind, j.document_id, j.number, j.turn, before.state = 'started' AS in_doubt,
        before.state = 'started' AND moved.left_behind AS left_behind
)
SELECT moved.id AS lane_id, moved.failures, moved.rest_seconds, moved.stalled, taken.id AS job_id, taken.kind,
    taken.document_id, taken.number, taken.turn, taken.in_doubt, taken.left_behind
FROM moved LEFT JOIN taken ON taken.lane_id = moved.id
"""
DUE = f"""
SELECT l.id FROM lanes_lane l
WHERE l.hold_reason = '' AND ((l.owner IS NULL AND l.due_at <= now())
    OR (l.owner IS NOT NULL AND l.owner <> %(token)s AND NOT EXISTS ({ALIVE})))
ORDER BY l.due_at LIMIT %(limit)s FOR NO KEY UPDATE OF l SKIP LOCKED
"""


class PostgresStore:
    """One writing connection and a few reading ones; reconnects by itself."""

    def __init__(self, dsn: str, *, starts: Mapping[str, Statement], lock_seconds: float = 5.0) -> None:
        self.token = uuid.uuid4()
        self._dsn = dsn
        self._starts = starts
        self._lock_ms = int(lock_seconds * 1000)
        self._writer: psycopg.AsyncConnection[dict[str, Any]] | None = None
        self._writing = asyncio.Lock()
        self._pool = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=4,
            open=False,
            configure=_plan_by_keys,
            kwargs={"row_factory": dict_row, "autocommit": True, "application_name": "gateway engine, reading"},
        )

    async def open(self) -> None:
        await self._connection()  # first: a pool that is open keeps trying, and a process that gives up never ends
        await self._pool.open()

    async def close(self) -> None:
        with contextlib.suppress(psycopg.Error, StoreDown):
            connection = await self._connection()
            await connection.execute("DELETE FROM lanes_process WHERE token = %s", (self.token,))
            await connection.commit()
        if self._writer is not None:
            await self._writer.close()
        await self._pool.close()

    async def beat(self, seconds: float) -> None:
        params = {"token": self.token, "name": f"{socket.gethostname()}", "seconds": seconds}
        try:
            async with self._pool.connection(timeout=5) as connection:
                await connection.execute(BEAT, params)
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise StoreDown(str(error)) from error

    async def due(self, limit: int) -> list[int]:
        return [row["id"] for row in await self._select(DUE, {"token": self.token, "limit": limit})]

    async def mine(self) -> list[int]:
        rows = await self._select("SELECT id FROM lanes_lane WHERE owner = %(token)s", {"token": self.token})
        return [row["id"] for row in rows]

    async def read(self, statement: Statement, params: Row) -> list[dict[str, Any]]:
        return await self._select(statement.postgres, params)

    async def commit(self, batch: Batch) -> Committed:
        async with self._writing:
            connection = await self._connection()
            try:
                async with connection.transaction():
                    return await self._write(connection, batch)
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                if isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                    raise StoreBusy(str(error)) from error
                await connection.close()
                raise StoreDown(str(error)) from error
            except psycopg.Error as error:
                raise StoreRefused(str(error)) from error

    async def _connection(self) -> psycopg.AsyncConnection[dict[str, Any]]:
        if self._writer is None or self._writer.closed:
            try:
                self._writer = await psycopg.AsyncConnection.connect(
                    self._dsn, row_factory=dict_row, autocommit=True, application_name="gateway engine, writing"
                )
                await _plan_by_keys(self._writer)
                await self._writer.execute(f"SET lock_timeout = {self._lock_ms}")
                with contextlib.suppress(psycopg.errors.InvalidParameterValue):  # a PostgreSQL made without it
                    await self._writer.execute("SET default_toast_compression = lz4")  # a third of keeping a sale
            except (psycopg.Error, OSError) as error:
                raise StoreDown(str(error)) from error
        return self._writer

    async def _select(self, sql: str, params: Row) -> list[dict[str, Any]]:
        try:
            async with self._pool.connection(timeout=5) as connection:
                cursor = await connection.execute(sql, params)
                return cast(list[dict[str, Any]], await cursor.fetchall())
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise StoreDown(str(error)) from error

    async def _write(self, connection: psycopg.AsyncConnection[dict[str, Any]], batch: Batch) -> Committed:
        kept: dict[uuid.UUID, int] = {}
        new_work: set[int] = set()
        intakes: dict[Statement, list[Row]] = {}
        for order, intake in enumerate(batch.intakes):
            intakes.setdefault(intake.statement, []).append({**intake.row, "ord": order})
        for statement, rows in intakes.items():
            for row in await self._rows(connection, statement.postgres, _json(rows)):
                kept[row["public_id"]] = row["id"]
                new_work.add(row["lane_id"])
        await connection.execute(LOCK_LANES, (lanes_of(batch),))
        applied: set[int] = set()
        woken: set[int] = set()
        if batch.settles:
            jobs = [
                {
                    "job_id": s.started.job_id,
                    "turn": s.started.turn,
                    "state": s.settlement.state,
                    "error": s.settlement.error[:300],
                }
                for s in batch.settles
            ]
            cursor = await connection.execute(SETTLE_JOBS, {"rows": _json_without_nul(jobs), "token": self.token})
            applied = {row["id"] for row in await cursor.fetchall()}
            for statement, rows in effects_by_statement(batch, applied=applied).items():
                woken.update(
                    lane_id
                    for row in await self._rows(connection, statement.postgres, _json_without_nul(rows))
                    if (lane_id := row.get("woken_lane_id")) is not None
                )
        if woken:  # whoever is letting one of these go right now must see its new job, or we see that it is free
            await connection.execute(LOCK_LANES, (sorted(woken),))
        requests = lane_requests(batch, applied=applied, new_work=new_work | woken)
        if not requests:
            return Committed(kept, applied=applied)
        cursor = await connection.execute(
            ADVANCE,
            {
                "rows": _json_without_nul(requests),
                "token": self.token,
                "may_start": batch.may_start,
            },
        )
        moved = await cursor.fetchall()
        resting = {row["lane_id"]: row["rest_seconds"] for row in moved if row["rest_seconds"] is not None}
        taken = [row for row in moved if row["job_id"] is not None]
        documents: dict[tuple[str, int], dict[str, Any]] = {}
        for kind in {row["kind"] for row in taken}:
            rows = [
                {
                    "document_id": row["document_id"],
                    "number": row["number"],
                    "in_doubt": row["in_doubt"],
                    "left_behind": row["left_behind"],
                }
                for row in taken
                if row["kind"] == kind
            ]
            for document in await self._rows(connection, self._starts[kind].postgres, _json(rows)):
                documents[kind, document["id"]] = document
        started = [
            Started(
                job_id=row["job_id"],
                lane_id=row["lane_id"],
                kind=row["kind"],
                document_id=row["document_id"],
                number=row["number"],
                turn=row["turn"],
                failures=row["failures"],
                in_doubt=row["in_doubt"],
                document=documents.get((row["kind"], row["document_id"]), {}),
            )
            for row in taken
        ]
        stalled = {row["lane_id"] for row in moved if row["stalled"]}
        return Committed(kept, started, resting, stalled, applied)

    async def _rows(
        self, connection: psycopg.AsyncConnection[dict[str, Any]], sql: str, rows: str
    ) -> list[dict[str, Any]]:
        cursor = await connection.execute(sql, (rows,))
        return await cursor.fetchall() if cursor.description else []


async def _plan_by_keys(connection: psycopg.AsyncConnection[Any]) -> None:
    """A connection's statements are prepared at their second use, with the plans of PLANS."""
    connection.prepare_threshold = 1
    for name, value in PLANS.items():
        await connection.execute(f"SET {name} = {value}")


def _json(rows: Any) -> str:
    return msgspec.json.encode(rows).decode()


def _json_without_nul(rows: Any) -> str:
    """PostgreSQL keeps no NUL in a text. One of KRA must not keep a settlement out; one of a caller is refused."""
    return without_nul(msgspec.json.encode(rows)).decode()
