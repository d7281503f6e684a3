"""The engine: keeps what comes in, runs each lane's jobs one at a time and oldest first, and settles how they ended.

It is asynchronous, knows no framework and no document: what to write comes as statements, what to do as handlers.

1. `keep` puts a document into the next group commit. There is no timer: whatever gathered while the last commit ran
   goes into the next one. The same transaction starts the job when its lane is free.
2. A started job is durable with its number before its handler runs. The handler talks to KRA and says how it ended.
3. The next group commit writes that and starts the lane's next job, or lets the lane go or rest.

A lane is leased by a heartbeat. Before its handler may send, a turn checks that the lease still stands
(`Turn.check_lease`); a lane whose owner died is taken over with its job marked `in_doubt`.
"""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.lanes.store import (
    Batch,
    Committed,
    Intake,
    Look,
    Row,
    Settle,
    Settlement,
    Started,
    Store,
    StoreBusy,
    StoreDown,
    StoreRefused,
)
from gateway.lanes.stored import id_value
from gateway.lib.killpoint import reached

log = logging.getLogger(__name__)

BATCH_LIMIT = 32  # what a commit ends goes on all at once: more would keep whoever comes meanwhile waiting longer
SWEEP_SECONDS = 0.5
SWEEP_LIMIT = 500
CANCEL_AGAIN_SECONDS = 1.0
STOP_SECONDS = 25.0  # for running turns; five more to write how they ended, and every lane is given back within 30


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until each has ended; raises what one of them broke off with.

    Once is not enough: in Python 3.11 `asyncio.wait_for`, by which psycopg waits for a connection, loses a cancel that
    comes in the moment in which it has what it waited for. A task that goes round for ever would never end.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.result()


class NotKept(Exception):
    """It is not known that the document was kept: the caller should repeat it with the same reference."""


class LeaseLost(Exception):
    """This process was away for longer than its lease; another may hold the lane now. Nothing may be sent."""


@dataclass(slots=True)
class Turn:
    """A started job and the handler's way to ask whether it may still send."""

    started: Started
    engine: "Engine"
    lapses: int = 0  # of the engine, when the lane was taken

    def check_lease(self) -> None:
        """Raise LeaseLost unless this process's heartbeat is fresh, and has been ever since the lane was taken.

        A process that wakes up may renew its lease before it looks; its lanes can be somebody else's all the same.
        """
        if self.lapses != self.engine.lapses or time.monotonic() >= self.engine.lease_until:
            raise LeaseLost


Handler = Callable[[Turn], Awaitable[Settlement]]


@dataclass(slots=True)
class Kept:
    """A document that is durable. `id` is None when its key was known already: nothing of this one was written.

    `stalled`: its lane rests or is held, so waiting for it is of no use now.
    """

    id: int | None
    stalled: bool


@dataclass(slots=True)
class _Arrival:
    intake: Intake
    future: "asyncio.Future[Kept]"


@dataclass(slots=True)
class Gauges:
    """Counters for health and metrics; they only grow, but for `running`."""

    commits: int = 0
    committed_operations: int = 0
    running: int = 0
    failed_commits: int = 0
    last_commit_at: float = field(default_factory=time.monotonic)
    down_since: float | None = None
    failed_at: float | None = None  # of the last commit that failed, with none that went well since


class Engine:
    def __init__(
        self,
        store: Store,
        handlers: Mapping[str, Handler],
        *,
        rest_seconds: Sequence[float] = (1, 2, 5),
        lease_seconds: float = 15.0,
        announce: Callable[[list[uuid.UUID]], None] | None = None,
    ) -> None:
        self.store = store
        self.handlers = handlers
        self.rest_seconds = tuple(rest_seconds)
        self.lease_seconds = lease_seconds
        self.lease_until = 0.0
        self.lapses = 0  # how often the lease had run out before it was renewed
        self.gauges = Gauges()
        self.observe: Callable[[Batch, Committed], None] | None = None  # told of every commit, for metrics
        self._announce = announce  # tells other processes which documents are settled
        self._arrivals: list[_Arrival] = []
        self._settles: list[Settle] = []
        self._looks: dict[int, Look] = {}
        self._signal = asyncio.Event()
        self._turns: dict[int, asyncio.Task[None]] = {}  # by lane
        self._settling: set[int] = set()  # lanes whose turn ended and is not written yet
        self._waiters: dict[uuid.UUID, list[asyncio.Future[Row]]] = {}
        self.watched = 0  # how many wait
        self._tasks: list[asyncio.Task[None]] = []
        self._writing: list[_Arrival] = []  # in the commit under way
        self._stopping = False
        self._stopping_since = 0.0
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- life

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.store.open()
        try:
            await self._beat()
        except BaseException:
            await self.store.close()
            raise
        self._tasks = [
            asyncio.create_task(self._write_forever(), name="engine writer"),
            asyncio.create_task(self._beat_forever(), name="engine heartbeat"),
            asyncio.create_task(self._sweep_forever(), name="engine sweep"),
        ]

    def begin_stop(self) -> None:
        """Take nothing new and start nothing new; who waits here is told to look for himself."""
        if not self._stopping:
            self._stopping, self._stopping_since = True, time.monotonic()
        for public_id in list(self._waiters):
            self.tell(public_id, {})

    async def stop(self, patience_seconds: float = STOP_SECONDS) -> None:
        """Begin to stop, let running turns end, write how they ended, give every lane back.

        The patience counts from `begin_stop`: what the web took for its own end is not added to it.
        """
        self.begin_stop()
        left = self._stopping_since + patience_seconds - time.monotonic()
        if self._turns:
            await asyncio.wait(self._turns.values(), timeout=max(0.0, left))
        self._closing = True
        self._signal.set()
        writer, *others = self._tasks
        await asyncio.wait([writer], timeout=5)  # never in the middle of a commit, if that can be helped
        await end([writer, *others, *self._turns.values()])
        for arrival in [*self._writing, *self._arrivals]:
            if not arrival.future.done():
                arrival.future.set_exception(NotKept("The gateway is stopping."))
        await self.store.close()

    # --- for doors

    async def keep(self, intake: Intake) -> Kept:
        """Make a document durable and, when its lane is free, start it. Raises NotKept."""
        if self._stopping:
            raise NotKept("The gateway is stopping.")
        future: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._arrivals.append(_Arrival(intake, future))
        self._signal.set()
        return await future

    def watch(self, public_id: uuid.UUID) -> "asyncio.Future[Row]":
        """A future for the document's new column values when it is settled here; register it before keeping it."""
        future: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(public_id, []).append(future)
        self.watched += 1
        future.add_done_callback(lambda done: self._forget(public_id, done))
        return future

    def watched_ids(self) -> list[uuid.UUID]:
        return list(self._waiters)

    def tell(self, public_id: uuid.UUID, changes: Row) -> None:
        """Wake everybody here who waits for a document. No changes: they must read for themselves."""
        for future in self._waiters.pop(public_id, []):
            if not future.done():
                future.set_result(changes)

    def wake(self, lane_id: int) -> None:
        """Look at a lane soon; may be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look, lane_id)

    def end_rest(self, lane_id: int, *, after_seconds: float) -> None:
        """What a lane rested for is over: let it go on after so many seconds. Call it on the engine's loop."""
        asyncio.get_running_loop().call_later(after_seconds, self._look, lane_id, False, True)

    def rest_for(self, failures: int) -> float:
        """How long a lane rests after so many failures in a row, with up to a fifth of jitter (seconds)."""
        base = self.rest_seconds[min(failures, len(self.rest_seconds) - 1)]
        return base * random.uniform(0.9, 1.1)

    # --- the writer

    def _look(self, lane_id: int, resume: bool = False, ends_rest: bool = False) -> None:
        known = self._looks.get(lane_id)
        if known is not None:
            resume, ends_rest = resume or known.resume, ends_rest or known.ends_rest
        self._looks[lane_id] = Look(lane_id, resume, ends_rest)
        self._signal.set()

    async def _write_forever(self) -> None:
        while True:
            await self._signal.wait()
            self._signal.clear()
            while self._arrivals or self._settles or self._looks:
                await self._write_once()
            if self._closing and not self._settling:
                return

    async def _write_once(self) -> None:
        arrivals, self._arrivals = self._arrivals[:BATCH_LIMIT], self._arrivals[BATCH_LIMIT:]
        settles, self._settles = self._settles[:BATCH_LIMIT], self._settles[BATCH_LIMIT:]
        self._writing = arrivals
        looks, later = self._looks_now()
        batch = Batch(
            intakes=[arrival.intake for arrival in arrivals],
            settles=settles,
            looks=looks,
            may_start=not self._stopping,
        )
        if len(batch):
            await self._write(batch, arrivals)
        else:
            await asyncio.sleep(0.01)  # only looks that must wait: others shall get their turn
        self._writing = []
        for look in later:
            self._look(look.lane_id, look.resume, look.ends_rest)

    def _looks_now(self) -> tuple[list[Look], list[Look]]:
        """The looks that make sense now, and those that must wait until their lane's settlement is written.

        A lane whose turn runs here needs none: its settlement looks for the next job.
        """
        looks, later = [], []
        for lane_id in list(self._looks)[:BATCH_LIMIT]:
            look = self._looks.pop(lane_id)
            if lane_id in self._settling:
                later.append(look)
            elif lane_id not in self._turns:
                looks.append(look)
        return looks, later

    async def _write(self, batch: Batch, arrivals: list[_Arrival]) -> None:
        try:
            await self._commit(batch, arrivals)
        except StoreDown as error:
            await self._give_up(error, arrivals, batch.settles)
        except Exception as error:  # refused, or something nobody thought of: the others must not suffer for the one
            if not isinstance(error, StoreRefused):
                log.exception("A batch could not be written")
            if len(batch) == 1:
                await self._give_up(error, arrivals, batch.settles)
                return
            log.warning("A batch of %d was refused and is written one by one: %s", len(batch), error)
            for settle in batch.settles:
                await self._write(Batch(settles=[settle], may_start=batch.may_start), [])
            for arrival in arrivals:
                await self._write(Batch(intakes=[arrival.intake], may_start=batch.may_start), [arrival])
            for look in batch.looks:
                await self._write(Batch(looks=[look], may_start=batch.may_start), [])

    async def _commit(self, batch: Batch, arrivals: list[_Arrival]) -> None:
        reached("before commit")
        lapses = self.lapses
        committed = await self.store.commit(batch)
        reached("after commit")
        self.gauges.commits += 1
        self.gauges.committed_operations += len(batch)
        self.gauges.last_commit_at = time.monotonic()
        self.gauges.down_since = self.gauges.failed_at = None
        for settle in batch.settles:
            self._settling.discard(settle.started.lane_id)
        for started in committed.started:
            self._run(started, lapses)
        for lane_id, seconds in committed.resting.items():
            asyncio.get_running_loop().call_later(seconds + 0.005, self._look, lane_id)
        self._tell_settled(batch, committed)
        for arrival in arrivals:
            if not arrival.future.done():
                public_id = id_value(arrival.intake.row["public_id"])
                stalled = arrival.intake.row["lane_id"] in committed.stalled
                arrival.future.set_result(Kept(committed.kept.get(public_id), stalled))
        if self.observe is not None:
            self.observe(batch, committed)

    def _tell_settled(self, batch: Batch, committed: Committed) -> None:
        settled: list[uuid.UUID] = []
        for settle in batch.settles:
            public_id = settle.started.document.get("public_id")
            if settle.settlement.state != "closed" or public_id is None:
                continue
            settled.append(id_value(public_id))
            written = settle.started.job_id in committed.applied
            self.tell(settled[-1], settle.settlement.changes if written else {})
        if settled and self._announce is not None:
            self._announce(settled)

    async def _give_up(self, error: Exception, arrivals: list[_Arrival], settles: list[Settle]) -> None:
        """Tell callers. What KRA answered is written again until it is durable; if the database refuses it, a person
        must look: the lane is held, and the answer stands in the log."""
        self.gauges.failed_commits += 1
        if settles or isinstance(error, StoreDown):  # a single odd document says nothing about the database
            self.gauges.failed_at = time.monotonic()
        self.gauges.down_since = self.gauges.down_since or time.monotonic()
        log.error("The database did not take a batch: %s", error)
        for arrival in arrivals:
            if not arrival.future.done():
                arrival.future.set_exception(NotKept("The database did not answer."))
        if not isinstance(error, StoreDown | StoreBusy):
            settles = [held for settle in settles if (held := self._held_instead(settle, error)) is not None]
        if settles:
            self._settles[:0] = settles
            await asyncio.sleep(0.5)
            self._signal.set()

    def _held_instead(self, settle: Settle, error: Exception) -> Settle | None:
        started, settlement = settle.started, settle.settlement
        log.critical(
            "The end of %s %s could not be stored (%s): %s",
            started.kind,
            started.document_id,
            error,
            dict(settlement.changes) or settlement.error,
        )
        if not settlement.effects:
            self._settling.discard(started.lane_id)  # not even the hold was taken; the sweep finds the lane again
            return None
        reason = "KRA's answer could not be stored. It stands in the log; compare it with the number's other holder."
        return Settle(started, Settlement(state="started", hold_reason=reason, error=str(error)[:300]))

    # --- turns

    def _run(self, started: Started, lapses: int) -> None:
        task = asyncio.create_task(self._turn(Turn(started, self, lapses)), name=f"turn of lane {started.lane_id}")
        self._turns[started.lane_id] = task
        self.gauges.running = len(self._turns)

    async def _turn(self, turn: Turn) -> None:
        started = turn.started
        try:
            settlement = await self.handlers[started.kind](turn)
        except LeaseLost:
            settlement = Settlement(state="started", rest_seconds=1.0, error="the lease ran out before sending")
        except asyncio.CancelledError:
            self._turns.pop(started.lane_id, None)
            raise
        except Exception as error:
            log.exception("The handler of %s %s failed", started.kind, started.document_id)
            settlement = Settlement(
                state="started",
                rest_reason="an internal error; it is tried again",
                failed=True,
                error=f"{type(error).__name__}: {error}"[:300],
            )
        if settlement.failed and settlement.rest_seconds is None and settlement.state != "closed":
            settlement = replace(settlement, rest_seconds=self.rest_for(started.failures))
        reached("after turn")
        self._turns.pop(started.lane_id, None)
        self.gauges.running = len(self._turns)
        self._settling.add(started.lane_id)
        self._settles.append(Settle(started, settlement))
        self._signal.set()

    # --- heartbeat and sweep

    async def _beat(self) -> None:
        began = time.monotonic()
        self.lapses += began >= self.lease_until
        await self.store.beat(self.lease_seconds)
        self.lease_until = began + self.lease_seconds * 0.8

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(self.lease_seconds / 5)
            try:
                await self._beat()
            except (StoreDown, StoreRefused) as error:
                log.error("The heartbeat was not written: %s", error)

    async def _sweep_forever(self) -> None:
        """Find lanes that are due and lanes of ours without a turn; the net under every wake-up."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._stopping:
                continue
            try:
                mine = await self.store.mine()
                due = await self.store.due(SWEEP_LIMIT)
            except (StoreDown, StoreRefused) as error:
                log.error("The lanes could not be looked through: %s", error)
                self.gauges.down_since = self.gauges.down_since or time.monotonic()
                continue
            for lane_id in mine:
                self._look(lane_id, resume=True)
            for lane_id in due:
                self._look(lane_id)

    def _forget(self, public_id: uuid.UUID, future: "asyncio.Future[Any]") -> None:
        self.watched -= 1
        futures = self._waiters.get(public_id)
        if futures is not None and future in futures:
            futures.remove(future)
            if not futures:
                del self._waiters[public_id]
