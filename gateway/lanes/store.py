"""What the engine asks of a database, in words that PostgreSQL and SQLite share.

Everything an engine writes goes through `Store.commit(batch)`: one transaction for whatever gathered while the last one
ran. Inside it the order is always the same, so that two processes cannot deadlock: new documents first (in key order),
then the lanes (in id order), then what settles running jobs, then the lanes move on. What a lane starts next is durable
when `commit` returns, before anything is sent.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = Mapping[str, Any]
Read = Callable[["Statement", dict[str, Any]], Awaitable[list[dict[str, Any]]]]  # Store.read


class StoreDown(Exception):
    """The database did not answer, or it is not known whether a commit happened. Repeating the batch is safe."""


class StoreRefused(Exception):
    """The database refused this batch (a clash, a lock time-out); nothing of it was written."""


class StoreBusy(StoreRefused):
    """Somebody locked what the batch needs for too long; the same batch passes later."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One named SQL statement in both dialects.

    `postgres` takes all rows at once as a JSON array in `%s`. `sqlite` is one or more statements run for each row with
    named parameters; when the first returns nothing, the others are not run.
    """

    name: str
    postgres: str
    sqlite: tuple[str, ...]


def few(columns: str, rows: str = "%s") -> str:
    """The rows of a batch as a table `r` for PostgreSQL, the first column a key (an id); `rows` is their parameter.

    The planner takes a JSON array for a hundred rows. While a table has fewer it would read the whole of it instead of
    finding each row by its key, and a prepared statement keeps that plan while the table grows to millions. A range
    that leaves nothing out lets it expect one row (its guess is one in two hundred), and so use the key.
    """
    key = columns.split()[0]
    return (
        f"(SELECT * FROM jsonb_to_recordset({rows}::jsonb) AS r({columns}) "
        f"WHERE {key} BETWEEN 1 AND 9223372036854775807) AS r"
    )


@dataclass(frozen=True, slots=True)
class Effect:
    """A row for a statement that is written when a turn is settled.

    `always` marks what KRA gave and must not be lost: it is written even when the lane has meanwhile gone to another
    process, so its statement must guard itself against being written twice. A statement that queues a job in another
    lane returns it as `woken_lane_id`; `lanes` are those it may wake, locked in one order with the batch's own.
    """

    statement: Statement
    row: Row
    always: bool = False
    lanes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Intake:
    """A new document for a lane. Its statement keeps document, job and event, or nothing when it is known already.

    `lanes` are those whose jobs its job may wait for: locked, so that none of them ends unseen while it is kept.
    """

    statement: Statement
    row: Row  # carries public_id and lane_id
    lanes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """A job whose turn it is: durable, leased to this process, with its number."""

    job_id: int
    lane_id: int
    kind: str
    document_id: int
    number: int | None
    turn: int
    failures: int  # of the lane, in a row
    in_doubt: bool  # started before, and how that ended is not known
    document: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a turn ended. `state` is the job's: closed, queued (number given back) or started (number kept, in doubt).

    `used` is the number KRA has counted, if any. `rest_seconds` None lets the lane go on at once. `changes` are the
    document's new column values, for whoever waits for it.
    """

    state: str
    used: int | None = None
    rest_seconds: float | None = None
    rest_reason: str = ""
    hold_reason: str = ""
    failed: bool = False
    error: str = ""
    effects: Sequence[Effect] = ()
    changes: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settle:
    started: Started
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class Look:
    """Look whether a lane has something to do.

    `resume`: it is ours but no turn of it is known here. `ends_rest`: what it rested for is over.
    """

    lane_id: int
    resume: bool = False
    ends_rest: bool = False


@dataclass(slots=True)
class Batch:
    intakes: list[Intake] = field(default_factory=list)
    settles: list[Settle] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    may_start: bool = True

    def __len__(self) -> int:
        return len(self.intakes) + len(self.settles) + len(self.looks)


@dataclass(slots=True)
class Committed:
    """What a batch did: ids of documents kept by public id, the lanes' next jobs, the lanes that rest (seconds), and
    those that have jobs and yet did not go on: they rest or are held."""

    kept: dict[uuid.UUID, int]
    started: list[Started] = field(default_factory=list)
    resting: dict[int, float] = field(default_factory=dict)
    stalled: set[int] = field(default_factory=set)
    applied: set[int] = field(default_factory=set)  # jobs whose settlement was written


class Store(Protocol):
    token: uuid.UUID

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def beat(self, seconds: float) -> None:
        """Say that this process lives for that long; its lanes are its own until then."""
        ...

    async def commit(self, batch: Batch) -> Committed:
        """Write the batch in one transaction. Raises StoreDown or StoreRefused."""
        ...

    async def due(self, limit: int) -> list[int]:
        """Lanes that have something to do and that nobody (alive) holds."""
        ...

    async def mine(self) -> list[int]:
        """Lanes that carry this process's token."""
        ...

    async def read(self, statement: Statement, params: Row) -> list[dict[str, Any]]:
        """Run a reading statement with named parameters, outside any transaction."""
        ...


@dataclass(slots=True)
class LaneRequest:
    """What the batch wants of one lane, gathered from everything in it that concerns the lane."""

    lane_id: int
    settled: bool = False
    resume: bool = False
    ends_rest: bool = False
    used: int | None = None
    rest_seconds: float | None = None
    rest_reason: str = ""
    hold_reason: str = ""
    failed: bool = False

    def settle(self, settlement: Settlement) -> None:
        self.settled = True
        self.used = settlement.used
        self.rest_seconds = settlement.rest_seconds
        self.rest_reason = settlement.rest_reason[:200]
        self.hold_reason = settlement.hold_reason[:300]
        self.failed = settlement.failed


def lane_requests(batch: Batch, *, applied: set[int], new_work: set[int]) -> list[LaneRequest]:
    """One request a lane, in id order; settlements that lost their lease ask for nothing."""
    requests: dict[int, LaneRequest] = {}
    for lane_id in new_work:
        requests[lane_id] = LaneRequest(lane_id)
    for look in batch.looks:
        request = requests.setdefault(look.lane_id, LaneRequest(look.lane_id))
        request.resume |= look.resume
        request.ends_rest |= look.ends_rest
    for settle in batch.settles:
        if settle.started.job_id in applied:
            requests.setdefault(settle.started.lane_id, LaneRequest(settle.started.lane_id)).settle(settle.settlement)
    return [requests[lane_id] for lane_id in sorted(requests)]


def lanes_of(batch: Batch) -> list[int]:
    """Every lane the batch touches, in the order in which they must be locked."""
    lanes = {settle.started.lane_id for settle in batch.settles} | {look.lane_id for look in batch.looks}
    for settle in batch.settles:
        for effect in settle.settlement.effects:
            lanes.update(effect.lanes)
    for intake in batch.intakes:
        lanes.update((intake.row["lane_id"], *intake.lanes))
    return sorted(lanes)


def effects_by_statement(batch: Batch, *, applied: set[int]) -> dict[Statement, list[Row]]:
    """The rows to write for each statement, in the order in which statements first appear."""
    grouped: dict[Statement, list[Row]] = {}
    for settle in batch.settles:
        for effect in settle.settlement.effects:
            if effect.always or settle.started.job_id in applied:
                grouped.setdefault(effect.statement, []).append(effect.row)
    return grouped
