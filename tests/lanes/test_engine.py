"""The engine with handlers of our own: no KRA, a real store. When it must end is in test_engine_trouble.py."""

import asyncio
import itertools
import threading
import time
import uuid
from collections import defaultdict
from typing import Any

import pytest

from gateway.lanes.engine import Engine, Kept, Turn
from gateway.lanes.models import Job, Lane
from gateway.lanes.services import queue_job
from gateway.lanes.store import Intake, Settlement
from gateway.sales import statements
from gateway.sales.models import Invoice
from gateway.wiring import build_store
from tests.lanes.bench import (
    Bench,
    fresh,
    handed_back,
    intake,
    jobs,
    make_lanes,
    plain_row,
    signed,
    unknown,
)
from tests.lanes.engines import PATIENCE, in_thread, kept, numbers, rests, settled, sign, until, working
from tests.lanes.shaky import Shaky

pytestmark = pytest.mark.needs_database


@pytest.fixture
def lane(process: Bench) -> Lane:
    return make_lanes(1)[0]


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
    gaps = [after[0] - before[0] for before, after in itertools.pairwise(turns)]
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
    new = [intake(lane) for _ in range(3)]
    told: list[uuid.UUID] = []

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


def test_jobs_queued_while_lanes_are_let_go_all_run(process: Bench) -> None:
    """Ordinary code queues jobs without waking anybody, just while the engine finds those lanes empty."""
    lanes = make_lanes(6)
    seller_id = intake(lanes[0]).row["device_id"]
    made: list[int] = []

    def put(lane: Lane) -> None:
        columns = plain_row(lane, seller_id, phone=None, email=None)
        invoice = Invoice.objects.create(
            **{k: v for k, v in columns.items() if k not in {"phone", "email", "waits_for"}}
        )
        queue_job(lane, kind="invoice", document_id=invoice.pk)
        made.append(invoice.pk)

    def pour() -> None:
        for n in range(120):
            put(lanes[n % len(lanes)])

    async def story() -> None:
        async with working(sign):
            await asyncio.gather(*(in_thread(pour) for _ in range(2)))
            await settled(lanes)  # a lane whose wake-up was lost would stay as it is until a chore finds it

    process.run(story())
    assert len(made) == 240
    for lane in lanes:
        assert set(numbers(lane)) == set(range(1, 41)) and fresh(lane).owner is None


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
    # the third turn was begun without a lease: that there is one again does not make the lane its own
    assert asked == [False, True, True, True] and sent == [True]
