"""The engine with handlers of our own: no KRA, a real store, and a connection that fails on demand."""

import asyncio
import contextlib
import os
import threading
import time

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.db import close_old_connections

from gateway.lanes.engine import Engine, Handler, Kept, NotKept, Turn
from gateway.lanes.models import Job, Lane, Process
from gateway.lanes.services import queue_job
from gateway.lanes.store import Effect, Intake, Settlement, Store
from gateway.sales import statements
from gateway.sales.models import Invoice
from gateway.wiring import build_store
from tests.lanes.bench import (
    Bench,
    bench,
    events,
    fresh,
    fresh_database,
    handed_back,
    intake,
    is_postgres,
    jobs,
    make_lanes,
    plain_row,
    pointed_at,
    receipt,
    refused,
    signed,
    unknown,
)
from tests.lanes.shaky import Shaky, kill

pytestmark = pytest.mark.needs_database

PATIENCE = 20.0  # seconds a test waits for what must happen


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock(), fresh_database(os.environ["DATABASE_URL"], tmp_path_factory.mktemp("db")) as made:
        yield made


@pytest.fixture
def process(url: str, django_db_blocker: Any) -> Iterator[Bench]:
    with django_db_blocker.unblock(), pointed_at(url), bench() as made:
        yield made


@pytest.fixture
def lane(process: Bench) -> Lane:
    return make_lanes(1)[0]


@contextlib.asynccontextmanager
async def working(handler: Handler, *, store: Store | None = None, **options: Any) -> AsyncIterator[Engine]:
    """An engine at work on this handler until the block ends."""
    options = {"rest_seconds": (0.01, 0.02, 0.05), **options}
    engine = Engine(store or build_store(), {"invoice": handler}, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop(1.0)


async def sign(turn: Turn) -> Settlement:
    return signed(turn.started)


async def kept(engine: Engine, *new: Intake) -> list[Kept]:
    """All at once, as from so many tills; each must be kept."""
    return await asyncio.gather(*(engine.keep(one) for one in new))


async def until(happened: Callable[[], Any]) -> None:
    """Let the loop run until it is so; fail after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


async def in_thread(work: Callable[[], Any]) -> Any:
    """ORM calls from a thread, as Django's pages make them."""

    def run() -> Any:
        close_old_connections()
        try:
            return work()
        finally:
            close_old_connections()

    return await asyncio.to_thread(run)


async def settled(lanes: list[Lane], *, status: str = "signed") -> None:
    """Until every invoice of the lanes has this status."""
    open_ones = Invoice.objects.filter(lane__in=lanes).exclude(status=status)
    deadline = time.monotonic() + PATIENCE
    while await in_thread(open_ones.exists):
        assert time.monotonic() < deadline, await in_thread(lambda: list(open_ones.values("lane", "status")[:5]))
        await asyncio.sleep(0.02)


async def rests(lane: Lane) -> None:
    """Until the lane was let go with work left to do."""
    resting = Lane.objects.filter(pk=lane.pk, owner=None, due_at__isnull=False)
    deadline = time.monotonic() + PATIENCE
    while not await in_thread(resting.exists):
        assert time.monotonic() < deadline, "it does not rest"
        await asyncio.sleep(0.01)


def numbers(lane: Lane) -> list[int]:
    return [number for number in Invoice.objects.filter(lane=lane).order_by("pk").values_list("number", flat=True)]


# Order and pace


def test_what_gathers_during_a_commit_goes_into_the_next_one(process: Bench) -> None:
    lanes = make_lanes(400)
    new = [intake(lane) for lane in lanes]

    async def story() -> Engine:
        async with working(sign) as engine:
            await kept(engine, *new)
            await settled(lanes)
        return engine

    engine = process.run(story())
    assert engine.gauges.committed_operations >= 800
    assert engine.gauges.committed_operations / engine.gauges.commits > 10


def test_a_lane_runs_one_job_at_a_time_and_oldest_first_while_others_run_beside_it(process: Bench) -> None:
    lanes = make_lanes(12)
    new = [intake(lane, f"{lane.branch}-{n}") for n in range(10) for lane in lanes]
    seen: dict[int, list[str]] = defaultdict(list)
    running: set[int] = set()
    most = 0

    async def handler(turn: Turn) -> Settlement:
        nonlocal most
        assert turn.started.lane_id not in running
        running.add(turn.started.lane_id)
        most = max(most, len(running))
        await asyncio.sleep(0.002)
        seen[turn.started.lane_id].append(turn.started.document["reference"])
        running.discard(turn.started.lane_id)
        return signed(turn.started)

    async def story() -> None:
        async with working(handler) as engine:
            await kept(engine, *new)
            await settled(lanes)

    process.run(story())
    assert most > 1
    for lane in lanes:
        assert seen[lane.pk] == [f"{lane.branch}-{n}" for n in range(10)] and numbers(lane) == list(range(1, 11))


def test_two_thousand_lanes_run_at_once(process: Bench) -> None:
    lanes = make_lanes(2000)
    seller_id = intake(lanes[0]).row["device_id"]
    new = [Intake(statements.KEEP, plain_row(lane, seller_id)) for lane in lanes]

    async def story() -> Engine:
        everybody, running = asyncio.Event(), 0

        async def handler(turn: Turn) -> Settlement:
            nonlocal running
            running += 1
            if running == len(lanes):
                everybody.set()
            await asyncio.wait_for(everybody.wait(), 60)
            return signed(turn.started)

        async with working(handler) as engine:
            await kept(engine, *new)
            await settled(lanes)
        return engine

    engine = process.run(story())
    assert engine.gauges.running == 0
    assert Lane.objects.filter(pk__in=[lane.pk for lane in lanes], next_number=2, owner=None).count() == 2000


def test_a_lane_that_fails_rests_longer_each_time_and_others_do_not(process: Bench) -> None:
    sick, well = make_lanes(2)
    new = [intake(sick), *(intake(well) for _ in range(20))]
    turns: list[tuple[float, int]] = []

    async def handler(turn: Turn) -> Settlement:
        if turn.started.lane_id == well.pk:
            return signed(turn.started)
        turns.append((time.monotonic(), turn.started.failures))
        return handed_back(turn.started) if len(turns) < 5 else signed(turn.started)

    async def story() -> None:
        async with working(handler, rest_seconds=(0.05, 0.1, 0.2)) as engine:
            await kept(engine, *new)
            await settled([well])
            await settled([sick])

    process.run(story())
    gaps = [after[0] - before[0] for before, after in zip(turns, turns[1:], strict=False)]
    assert [failures for _, failures in turns] == [0, 1, 2, 3, 4]
    assert all(gap >= 0.9 * rest for gap, rest in zip(gaps, (0.05, 0.1, 0.2, 0.2), strict=True)), gaps


def test_a_rest_can_be_ended_early(process: Bench, lane: Lane) -> None:
    new, turns = intake(lane), []

    async def handler(turn: Turn) -> Settlement:
        turns.append(turn.started.in_doubt)
        return unknown(turn.started, rest_seconds=600.0) if len(turns) == 1 else signed(turn.started)

    async def story() -> None:
        async with working(handler) as engine:
            await engine.keep(new)
            await rests(lane)
            engine.end_rest(lane.pk, after_seconds=0.01)
            await settled([lane])

    process.run(story())
    assert turns == [False, True]


def test_a_rest_that_is_ended_before_it_is_written_does_not_begin(process: Bench, lane: Lane) -> None:
    new, turns = intake(lane), []

    async def handler(turn: Turn) -> Settlement:
        turns.append(turn.started.in_doubt)
        turn.engine.end_rest(turn.started.lane_id, after_seconds=0.0)
        return unknown(turn.started, rest_seconds=600.0) if len(turns) == 1 else signed(turn.started)

    async def story() -> None:
        async with working(handler) as engine:
            await engine.keep(new)
            await until(lambda: len(turns) == 2)

    process.run(story())
    assert turns == [False, True]


def test_whoever_waits_hears_how_it_ended(process: Bench, lane: Lane) -> None:
    new = intake(lane)

    async def story() -> Any:
        async with working(sign) as engine:
            first, second = engine.watch(new.row["public_id"]), engine.watch(new.row["public_id"])
            assert engine.watched == 2 and engine.watched_ids() == [new.row["public_id"]]
            await engine.keep(new)
            heard = await asyncio.wait_for(asyncio.gather(first, second), PATIENCE)
            assert engine.watched == 0
            return heard

    for changes in process.run(story()):
        assert changes["status"] == "signed" and changes["number"] == 1


def test_other_processes_are_told_which_documents_are_settled(process: Bench, lane: Lane) -> None:
    new, told = [intake(lane) for _ in range(3)], []

    async def story() -> None:
        async with working(sign, announce=told.extend) as engine:
            await kept(engine, *new)
            await settled([lane])

    process.run(story())
    assert sorted(told) == sorted(one.row["public_id"] for one in new)


def test_a_document_for_a_held_lane_says_that_waiting_is_of_no_use(process: Bench, lane: Lane) -> None:
    Lane.objects.filter(pk=lane.pk).update(hold_reason="Look at it.")
    new = intake(lane)

    async def story() -> Kept:
        async with working(sign) as engine:
            return await engine.keep(new)

    assert process.run(story()).stalled
    assert jobs(lane) == [("queued", None)]


# Wake-ups


def test_a_lane_is_looked_at_when_another_thread_asks(process: Bench, lane: Lane) -> None:
    """No sweep can find it: the lane is not due."""
    process.commit(process.store(), new := intake(lane), may_start=False)
    Lane.objects.filter(pk=lane.pk).update(due_at=None)

    async def story() -> None:
        async with working(sign) as engine:
            await asyncio.sleep(0.6)
            threading.Thread(target=engine.wake, args=(lane.pk,)).start()
            await settled([lane])

    assert new.row["lane_id"] == lane.pk
    process.run(story())


def test_the_sweep_finds_what_nobody_was_woken_for(process: Bench, lane: Lane) -> None:
    process.commit(process.store(), intake(lane), may_start=False)

    async def story() -> None:
        async with working(sign):
            await settled([lane])

    process.run(story())


def test_jobs_queued_while_lanes_are_let_go_all_run_soon(process: Bench) -> None:
    """Ordinary code queues jobs without waking anybody, just while the engine finds those lanes empty."""
    lanes = make_lanes(6)
    seller_id = intake(lanes[0]).row["device_id"]
    made: list[int] = []

    def put(lane: Lane) -> None:
        columns = plain_row(lane, seller_id, phone=None, email=None)
        invoice = Invoice.objects.create(**{k: v for k, v in columns.items() if k not in {"phone", "email"}})
        queue_job(lane, kind="invoice", document_id=invoice.pk)
        made.append(invoice.pk)

    def pour() -> None:
        for n in range(120):
            put(lanes[n % len(lanes)])

    async def story() -> float:
        async with working(sign) as engine:
            assert engine is not None
            await asyncio.gather(*(in_thread(pour) for _ in range(2)))
            since = time.monotonic()
            await settled(lanes)
            return time.monotonic() - since

    seconds = process.run(story())
    assert len(made) == 240 and seconds < 2.5
    for lane in lanes:
        assert sorted(numbers(lane)) == list(range(1, 41)) and fresh(lane).owner is None


# What goes wrong in a turn


def test_a_handler_that_fails_leaves_its_document_in_doubt_and_runs_again(process: Bench) -> None:
    sick, well = make_lanes(2)
    new = [intake(sick), intake(well)]
    turns: list[tuple[int | None, bool]] = []

    async def handler(turn: Turn) -> Settlement:
        if turn.started.lane_id == well.pk:
            return signed(turn.started)
        turns.append((turn.started.number, turn.started.in_doubt))
        if len(turns) < 3:
            raise ZeroDivisionError("a bug")
        return signed(turn.started)

    async def story() -> None:
        async with working(handler) as engine:
            await kept(engine, *new)
            await settled([sick, well])

    process.run(story())
    assert turns == [(1, False), (1, True), (1, True)]
    assert Job.objects.get(lane=sick).last_error == "" and fresh(sick).failures == 0


def test_a_process_without_a_fresh_heartbeat_sends_nothing_until_it_has_one(process: Bench, lane: Lane) -> None:
    new, sent, asked = intake(lane), [], []

    async def story() -> None:
        store = Shaky(build_store())

        async def handler(turn: Turn) -> Settlement:
            asked.append(turn.started.in_doubt)
            if len(asked) == 1:
                store.beats = False
                await until(lambda: time.monotonic() >= turn.engine.lease_until)
            elif len(asked) == 3:
                store.beats = True
                await until(lambda: time.monotonic() < turn.engine.lease_until)
            turn.check_lease()
            sent.append(turn.started.in_doubt)
            return signed(turn.started)

        async with working(handler, store=store, lease_seconds=0.5) as engine:
            await engine.keep(new)
            await settled([lane])

    process.run(story())
    assert asked == [False, True, True] and sent == [True]


# Stopping


def test_stopping_lets_a_running_turn_end_and_hands_every_lane_back(process: Bench) -> None:
    busy, waiting = make_lanes(2)
    new = [intake(busy), intake(busy), intake(waiting)]

    async def story() -> None:
        go_on, turns = asyncio.Event(), []

        async def handler(turn: Turn) -> Settlement:
            turns.append(turn.started)
            await go_on.wait()
            return signed(turn.started)

        engine = Engine(build_store(), {"invoice": handler})
        await engine.start()
        await kept(engine, *new)
        await until(lambda: len(turns) == 2)
        waiter = engine.watch(new[1].row["public_id"])
        stopping = asyncio.create_task(engine.stop(10.0))
        assert await asyncio.wait_for(waiter, PATIENCE) == {}
        with pytest.raises(NotKept):
            await engine.keep(new[0])
        go_on.set()
        await stopping

    process.run(story())
    assert jobs(busy) == [("closed", 1), ("queued", None)] and jobs(waiting) == [("closed", 1)]
    assert (fresh(busy).owner, fresh(waiting).owner) == (None, None) and fresh(busy).due_at is not None
    assert not Process.objects.exists()


def test_stopping_does_not_wait_for_a_turn_beyond_its_patience(process: Bench, lane: Lane) -> None:
    new, turns = [intake(lane), intake(lane)], []

    async def hang(turn: Turn) -> Settlement:
        turns.append(turn)
        await asyncio.Event().wait()
        raise AssertionError("it never ends")

    async def again(turn: Turn) -> Settlement:
        turns.append(turn)
        return signed(turn.started)

    async def story() -> float:
        engine = Engine(build_store(), {"invoice": hang})
        await engine.start()
        await kept(engine, *new)
        await until(lambda: turns)
        since = time.monotonic()
        await engine.stop(0.2)
        seconds = time.monotonic() - since
        async with working(again):
            await settled([lane])
        return seconds

    assert process.run(story()) < 3
    assert [turn.started.in_doubt for turn in turns] == [False, True, False]
    assert numbers(lane) == [1, 2]


def test_stopping_during_a_commit_leaves_no_caller_without_an_answer(process: Bench, lane: Lane) -> None:
    new = [intake(lane), intake(lane)]

    async def story() -> list[Any]:
        store = Shaky(build_store())
        engine = Engine(store, {"invoice": sign})
        await engine.start()
        store.answers.clear()
        first = asyncio.create_task(engine.keep(new[0]))
        await until(lambda: store.commits)
        second = asyncio.create_task(engine.keep(new[1]))
        await asyncio.sleep(0)
        await engine.stop(0.1)
        done, waiting = await asyncio.wait([first, second], timeout=2)
        for task in waiting:
            task.cancel()
        return [len(done), *(task.exception() for task in done)]

    answered, *errors = process.run(story())
    assert answered == 2 and all(isinstance(error, NotKept) for error in errors)


def test_stopping_minds_no_caller_who_went_away(process: Bench, lane: Lane) -> None:
    new = [intake(lane), intake(lane)]

    async def story() -> None:
        store = Shaky(build_store())
        engine = Engine(store, {"invoice": sign})
        await engine.start()
        store.answers.clear()
        first = asyncio.create_task(engine.keep(new[0]))
        await until(lambda: store.commits)
        gone = asyncio.create_task(engine.keep(new[1]))
        await asyncio.sleep(0)
        for task in (gone, first):
            task.cancel()
        await asyncio.wait([gone, first])
        try:
            await engine.stop(0.1)
        finally:
            await store.close()

    process.run(story())


# The database goes away


def test_a_document_that_may_not_be_kept_is_told_so_and_can_be_repeated(process: Bench, lane: Lane) -> None:
    new = intake(lane)

    async def story() -> Kept:
        store = Shaky(build_store())
        async with working(sign, store=store) as engine:
            store.break_before = 1
            with pytest.raises(NotKept):
                await engine.keep(new)
            assert engine.gauges.down_since is not None
            again = await engine.keep(new)
            assert engine.gauges.down_since is None
            await settled([lane])
            return again

    assert process.run(story()).id is not None
    assert numbers(lane) == [1] and events(lane.company, "invoice.accepted") == 1


def test_a_document_kept_by_a_commit_whose_answer_was_lost_is_known_and_runs(process: Bench, lane: Lane) -> None:
    new, turns = intake(lane), []

    async def handler(turn: Turn) -> Settlement:
        turns.append(turn.started.in_doubt)
        return signed(turn.started)

    async def story() -> Kept:
        store = Shaky(build_store())
        async with working(handler, store=store) as engine:
            store.break_after = 1
            with pytest.raises(NotKept):
                await engine.keep(new)
            again = await engine.keep(new)
            await settled([lane])
            return again

    assert process.run(story()).id is None
    assert turns == [True], "started by the lost commit: nobody knows whether it was sent"
    assert numbers(lane) == [1] and events(lane.company, "invoice.accepted") == 1


@pytest.mark.parametrize("broken", ["break_before", "break_after"])
def test_what_kra_gave_is_written_again_until_it_is_durable(process: Bench, lane: Lane, broken: str) -> None:
    new, turns = [intake(lane), intake(lane)], []

    async def story() -> None:
        store = Shaky(build_store())

        async def handler(turn: Turn) -> Settlement:
            turns.append(turn.started.number)
            if turn.started.number == 1:
                setattr(store, broken, 2)
            return signed(turn.started)

        async with working(handler, store=store) as engine:
            await kept(engine, *new)
            await settled([lane])

    process.run(story())
    assert turns == [1, 2] or (broken == "break_after" and turns[0] == 1), turns
    assert numbers(lane) == [1, 2] and events(lane.company, "invoice.signed") == 2


def test_one_bad_document_does_not_keep_its_neighbours_out(process: Bench) -> None:
    lanes = make_lanes(20)
    new = [intake(lane) for lane in lanes]
    bad = intake(lanes[3], body=None)

    async def story() -> list[Any]:
        async with working(sign) as engine:
            answers = await asyncio.gather(*(engine.keep(one) for one in [*new, bad]), return_exceptions=True)
            await settled(lanes)
            return answers

    *good, refusal = process.run(story())
    assert all(isinstance(one, Kept) and one.id is not None for one in good) and isinstance(refusal, NotKept)


def test_an_answer_that_the_database_cannot_take_does_not_slow_the_other_lanes(process: Bench) -> None:
    sick, well = make_lanes(2)
    new, poison = [intake(well) for _ in range(10)], intake(sick)

    async def handler(turn: Turn) -> Settlement:
        if turn.started.lane_id == well.pk:
            return signed(turn.started)
        row = {"id": turn.started.document_id, **receipt(1, signature=None)}
        return signed(turn.started, effects=[Effect(statements.SIGN, row, always=True)])

    async def story() -> None:
        engine = Engine(build_store(), {"invoice": handler})
        await engine.start()
        try:
            await engine.keep(poison)
            await kept(engine, *new)
            async with asyncio.timeout(2.5):
                await settled([well])
        finally:
            await kill(engine)

    process.run(story())
    assert numbers(well) == list(range(1, 11))


def test_a_commit_whose_answer_is_slow_starts_its_job_once(process: Bench, lane: Lane) -> None:
    """The sweep sees the lane as ours before the writer hears that its commit is done."""
    new, turns = intake(lane), []

    async def story() -> None:
        store = Shaky(build_store())
        go_on = asyncio.Event()

        async def handler(turn: Turn) -> Settlement:
            turns.append((turn.started.turn, turn.started.in_doubt))
            await go_on.wait()
            return signed(turn.started)

        async with working(handler, store=store) as engine:
            store.answers.clear()
            keeping = asyncio.create_task(engine.keep(new))
            await until(lambda: store.commits)
            await asyncio.sleep(0.8)  # more than a sweep
            store.answers.set()
            await keeping
            await asyncio.sleep(0.8)
            go_on.set()
            await settled([lane])

    process.run(story())
    assert turns == [(1, False)]


# Two processes' worth of nothing lost


def test_everything_kept_is_settled_after_engines_died_in_the_middle(process: Bench) -> None:
    lanes = make_lanes(8)
    new = [intake(lane) for _ in range(6) for lane in lanes]
    turns = 0

    async def handler(turn: Turn) -> Settlement:
        nonlocal turns
        turns += 1
        await asyncio.sleep(0.003)
        return signed(turn.started) if turns % 5 else refused(turn.started)

    async def story() -> None:
        for round_ in range(3):
            engine = Engine(build_store(), {"invoice": handler}, rest_seconds=(0.01,))
            await engine.start()
            await kept(engine, *new[round_ * 16 : round_ * 16 + 16])
            await asyncio.sleep(0.01 * round_)
            await kill(engine)
        async with working(handler):
            open_jobs = Job.objects.filter(lane__in=lanes).exclude(state="closed")
            deadline = time.monotonic() + PATIENCE
            while await in_thread(open_jobs.exists):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)

    process.run(story())
    assert is_postgres() or not Process.objects.exists()
    for lane in lanes:
        taken = Invoice.objects.filter(lane=lane, status="signed").order_by("number").values_list("number", flat=True)
        assert list(taken) == list(range(1, len(taken) + 1)) and fresh(lane).next_number == len(taken) + 1


