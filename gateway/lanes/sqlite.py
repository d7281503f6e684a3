"""The engine's store on SQLite: one process, one writing thread, every write BEGIN IMMEDIATE.

A lock file (see `serve`) keeps a second process away, so whatever an earlier process left leased is free at start.
"""

import asyncio
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from gateway.lanes.store import (
    Batch,
    Committed,
    LaneRequest,
    Row,
    Started,
    Statement,
    StoreDown,
    StoreRefused,
    effects_by_statement,
    lane_requests,
)
from gateway.lanes.stored import id_value

T = TypeVar("T")

NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
LATER = "strftime('%Y-%m-%d %H:%M:%f000', 'now', '+' || :seconds || ' seconds')"

BEAT = f"""
INSERT INTO lanes_process (token, name, started_at, expires_at) VALUES (:token, 'embedded', {NOW}, {LATER})
ON CONFLICT (token) DO UPDATE SET expires_at = excluded.expires_at
"""
SETTLE_JOB = """
UPDATE lanes_job SET state = :state, last_error = :error, number = CASE WHEN :state = 'queued' THEN NULL ELSE number END
WHERE id = :job_id AND turn = :turn AND state = 'started'
    AND EXISTS (SELECT 1 FROM lanes_lane l WHERE l.id = lane_id AND l.owner = :token)
RETURNING id
"""
LANE = f"""
SELECT l.next_number, l.hold_reason, l.failures, l.owner, l.series, l.rest_reason, l.due_at,
    CASE WHEN l.owner IS NULL AND l.due_at > {NOW}
         THEN (julianday(l.due_at) - julianday({NOW})) * 86400.0 END AS resting
FROM lanes_lane l WHERE l.id = ?
"""
NEXT_JOB = """
SELECT j.id, j.kind, j.document_id, j.state, j.number, j.turn
FROM lanes_job j LEFT JOIN lanes_job w ON w.id = j.waits_for_id
WHERE j.lane_id = ? AND NOT (j.state = 'closed') AND (w.id IS NULL OR w.state = 'closed')
ORDER BY j.state DESC, j.id LIMIT 1
"""
MOVE_LANE = f"""
UPDATE lanes_lane SET next_number = :next_number, hold_reason = :hold_reason, failures = :failures,
    held_at = CASE WHEN :hold_reason <> '' THEN COALESCE(held_at, {NOW}) END,
    rest_reason = :rest_reason, owner = :owner,
    due_at = CASE WHEN :idle THEN NULL WHEN :keep_due THEN due_at ELSE {LATER} END
WHERE id = :lane_id
"""
TAKE_JOB = "UPDATE lanes_job SET state = 'started', turn = turn + 1, number = :number WHERE id = :job_id"
DUE = f"""
SELECT id FROM lanes_lane WHERE hold_reason = ''
    AND ((owner IS NULL AND due_at <= {NOW}) OR (owner IS NOT NULL AND owner <> :token))
ORDER BY due_at LIMIT :limit
"""


class SqliteStore:
    def __init__(self, path: str, *, starts: Mapping[str, Statement]) -> None:
        self.token = uuid.uuid4()
        self._path = path
        self._starts = starts
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="engine-writer")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="engine-reader")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._rests: dict[int, float] = {}  # when lanes go on, by the clock that nobody can set back
        self._closed = False

    async def open(self) -> None:
        await self._in(self._writer, self._forget_earlier_processes)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._in(self._writer, lambda: self._run("DELETE FROM lanes_process WHERE token = ?", (self.token.hex,)))
        self._writer.shutdown()
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()

    async def beat(self, seconds: float) -> None:
        await self._in(self._writer, lambda: self._run(BEAT, {"token": self.token.hex, "seconds": seconds}))

    async def due(self, limit: int) -> list[int]:
        rows = await self._in(self._readers, lambda: self._run(DUE, {"token": self.token.hex, "limit": limit}))
        return [row["id"] for row in rows]

    async def mine(self) -> list[int]:
        rows = await self._in(
            self._readers, lambda: self._run("SELECT id FROM lanes_lane WHERE owner = ?", (self.token.hex,))
        )
        return [row["id"] for row in rows]

    async def read(self, statement: Statement, params: Row) -> list[dict[str, Any]]:
        plain = {name: to_sqlite(value) for name, value in params.items()}
        return await self._in(self._readers, lambda: self._run(statement.sqlite[0], plain))

    async def commit(self, batch: Batch) -> Committed:
        return await self._in(self._writer, lambda: self._commit(batch))

    async def _in(self, executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, work)
        except sqlite3.OperationalError as error:
            raise StoreDown(str(error)) from error
        except (sqlite3.Error, OverflowError, UnicodeError) as error:  # a number or a text that SQLite cannot keep
            raise StoreRefused(str(error)) from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=20, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    def _run(self, sql: str, params: Any = ()) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection().execute(sql, params).fetchall()]

    def _forget_earlier_processes(self) -> None:
        self._run("DELETE FROM lanes_process")

    def _commit(self, batch: Batch) -> Committed:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            committed = self._write(batch)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return committed

    def _write(self, batch: Batch) -> Committed:
        kept: dict[uuid.UUID, int] = {}
        new_work: set[int] = set()
        for intake in batch.intakes:
            row = {name: to_sqlite(value) for name, value in intake.row.items()}
            returned = self._statement(intake.statement, row)
            if returned:
                kept[id_value(intake.row["public_id"])] = returned[0]["id"]
                new_work.add(intake.row["lane_id"])
        applied: set[int] = set()
        for settle in batch.settles:
            params = {
                "job_id": settle.started.job_id,
                "turn": settle.started.turn,
                "state": settle.settlement.state,
                "error": settle.settlement.error[:300],
                "token": self.token.hex,
            }
            if self._run(SETTLE_JOB, params):
                applied.add(settle.started.job_id)
        for statement, rows in effects_by_statement(batch, applied=applied).items():
            for effect_row in rows:
                params = {name: to_sqlite(value) for name, value in effect_row.items()}
                woken = (row.get("woken_lane_id") for row in self._statement(statement, params))
                new_work.update(lane_id for lane_id in woken if lane_id is not None)
        committed = Committed(kept, applied=applied)
        for request in lane_requests(batch, applied=applied, new_work=new_work):
            self._advance(request, batch.may_start, committed)
        return committed

    def _left(self, request: LaneRequest, lane: dict[str, Any]) -> float | None:
        """How long the lane rests yet (seconds); no longer than was said here, though the clock went back since."""
        resting: float | None = lane["resting"]
        if resting is None or request.lane_id not in self._rests:
            return resting
        left = min(resting, self._rests[request.lane_id] - time.monotonic())
        return left if left > 0 else None

    def _statement(self, statement: Statement, row: Row) -> list[dict[str, Any]]:
        first, *others = statement.sqlite
        returned = self._run(first, row)
        if returned:
            for sql in others:
                self._run(sql, row)
        return returned

    def _advance(self, request: LaneRequest, may_start: bool, committed: Committed) -> None:
        lane = self._run(LANE, (request.lane_id,))[0]
        if lane["owner"] == self.token.hex and not (request.settled or request.resume):
            return  # its turn is running here; the settlement will look for the next job
        rest = request.rest_seconds if request.settled else None if request.ends_rest else self._left(request, lane)
        job = next(iter(self._run(NEXT_JOB, (request.lane_id,))), None)
        hold = request.hold_reason or lane["hold_reason"]
        failures = lane["failures"] + 1 if request.failed else 0 if request.settled else lane["failures"]
        goes = may_start and job is not None and not hold and rest is None
        next_number = max(lane["next_number"], (request.used or 0) + 1)
        self._run(
            MOVE_LANE,
            {
                "lane_id": request.lane_id,
                "next_number": next_number,
                "hold_reason": hold,
                "failures": failures,
                "rest_reason": "" if rest is None else request.rest_reason if request.settled else lane["rest_reason"],
                "owner": self.token.hex if goes else None,
                "idle": job is None,
                "keep_due": rest is not None and not request.settled,
                "seconds": rest or 0,
            },
        )
        if rest is None:
            self._rests.pop(request.lane_id, None)
        elif request.settled:
            self._rests[request.lane_id] = time.monotonic() + rest
        if job is None:
            return
        if not goes:
            committed.stalled.add(request.lane_id)
            if rest is not None:
                committed.resting[request.lane_id] = rest
            return
        number = None if lane["series"] == "webhook" else job["number"] or next_number
        self._run(TAKE_JOB, {"job_id": job["id"], "number": number})
        in_doubt = job["state"] == "started"
        left_behind = in_doubt and lane["owner"] is not None and not request.settled
        documents = self._run(
            self._starts[job["kind"]].sqlite[0],
            {"document_id": job["document_id"], "number": number, "in_doubt": in_doubt, "left_behind": left_behind},
        )
        committed.started.append(
            Started(
                job_id=job["id"],
                lane_id=request.lane_id,
                kind=job["kind"],
                document_id=job["document_id"],
                number=number,
                turn=job["turn"] + 1,
                failures=failures,
                in_doubt=in_doubt,
                document=documents[0] if documents else {},
            )
        )


def to_sqlite(value: Any) -> Any:
    """A Python value in the form in which Django keeps it in SQLite."""
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=to_sqlite)
    return value
