"""The engine when it is stopped, killed, or its database goes away: a real store behind a failing connection."""

import asyncio
import time
from typing import Any

import pytest

from gateway.lanes.engine import Engine, Kept, NotKept, Turn
from gateway.lanes.models import Job, Lane, Process
from gateway.lanes.store import Effect, Settlement
from gateway.sales import statements
from gateway.sales.models import Invoice
from gateway.wiring import build_store
from tests.lanes.bench import (
    Bench,
    events,
    fresh,
    intake,
    is_postgres,
    jobs,
    make_lanes,
    receipt,
    refused,
    signed,
)
from tests.lanes.engines import PATIENCE, in_thread, kept, numbers, settled, sign, until, working
from tests.lanes.shaky import Shaky, kill

pytestmark = pytest.mark.needs_database


@pytest.fixture
def lane(process: Bench) -> Lane:
    return make_lanes(1)[0]


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

    assert process.run(story()) < PATIENCE
    assert [turn.started.in_doubt for turn in turns] == [False, True, False]
    assert numbers(lane) == [1, 2]


def test_what_the_web_takes_for_its_end_is_not_added_to_the_engines_patience(process: Bench, lane: Lane) -> None:
    """The turn would end within the patience if that began anew when the web is done; it is cut off and looked up."""
    new = intake(lane)

    async def story() -> None:
        answered = asyncio.Event()

        async def handler(turn: Turn) -> Settlement:
            await answered.wait()
            return signed(turn.started)

        engine = Engine(build_store(), {"invoice": handler})
        await engine.start()
        await kept(engine, new)
        await until(lambda: engine.gauges.running)
        engine.begin_stop()
        await asyncio.sleep(4.0)  # the web ends meanwhile
        asyncio.get_running_loop().call_later(2.0, answered.set)
        await engine.stop(4.0)

    process.run(story())
    assert jobs(lane) == [("started", 1)] and not Process.objects.exists()


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
        asyncio.get_running_loop().call_later(0.3, store.answers.set)
        try:
            await engine.stop(0.1)
        finally:
            await store.close()

    process.run(story())


def test_stopping_ends_although_a_cancel_was_lost(process: Bench) -> None:
    async def story() -> None:
        store = Shaky(build_store())
        store.loses_cancels = 2
        engine = Engine(store, {"invoice": sign})
        await engine.start()
        await until(lambda: store.loses_cancels < 2)
        await asyncio.wait_for(engine.stop(0.1), 20)

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
        row = {"id": turn.started.document_id, "tag": turn.started.document["tag"], **receipt(1, signature=None)}
        return signed(turn.started, effects=[Effect(statements.SIGN, row, always=True)])

    async def story() -> int:
        engine = Engine(build_store(), {"invoice": handler})
        await engine.start()
        try:
            await engine.keep(poison)
            await kept(engine, *new)
            await settled([well])
            return engine.gauges.failed_commits
        finally:
            await kill(engine)

    # each failed commit costs everybody half a second; were the answer tried with each of the ten, there would be ten
    assert process.run(story()) <= 3
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
