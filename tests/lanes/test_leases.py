"""Processes share lanes through leases in PostgreSQL: who may take a lane, and what a late one may still write."""

import asyncio
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connection, transaction

from gateway.devices.desk import Desk
from gateway.lanes.actions import lock_lane
from gateway.lanes.engine import Engine, Turn
from gateway.lanes.models import Attempt, Lane, Process
from gateway.lanes.postgres import PostgresStore
from gateway.lanes.store import Committed, Intake, Look, Settle, Settlement, Started, StoreDown, StoreRefused
from gateway.ops.children import free_port
from gateway.sales import statements
from gateway.sales.models import Invoice
from gateway.sales.signing import Signing
from gateway.wiring import STARTS
from tests.lanes.bench import (
    Bench,
    batch,
    bench,
    events,
    expire,
    fresh,
    intake,
    invoice_of,
    job_of,
    jobs,
    make_lanes,
    make_seller,
    plain_row,
    pointed_at,
    refused,
    signed,
    unknown,
    with_attempt,
)
from tests.lanes.engines import settled

pytestmark = pytest.mark.only_on("postgres")  # SQLite has one process, and so no leases


@pytest.fixture
def processes(url: str, django_db_blocker: Any) -> Iterator[Bench]:
    with django_db_blocker.unblock(), pointed_at(url), bench() as made:
        yield made


@pytest.fixture
def lane(processes: Bench) -> Lane:
    return make_lanes(1)[0]


def test_a_lane_of_a_living_process_is_left_alone(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    processes.start(owner, lane)
    committed = processes.commit(other, intake(lane), Look(lane.pk), Look(lane.pk, resume=True, ends_rest=True))
    assert len(committed.kept) == 1 and committed.started == []
    assert processes.run(other.due(100)) == [] and processes.run(other.mine()) == []
    assert fresh(lane).owner == owner.token and [state for state, _ in jobs(lane)] == ["started", "queued"]


def test_a_lane_whose_owner_died_is_taken_with_its_job_in_doubt(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    first = processes.start(owner, lane)
    expire(owner)
    assert processes.run(other.due(100)) == [lane.pk]
    (again,) = processes.commit(other, Look(lane.pk)).started
    assert (again.job_id, again.number, again.turn, again.in_doubt) == (first.job_id, 1, 2, True)
    assert fresh(lane).owner == other.token and invoice_of(first).status == "unknown"


def test_a_new_document_is_enough_to_take_a_dead_owners_lane(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    first = processes.start(owner, lane)
    expire(owner)
    (again,) = processes.commit(other, intake(lane)).started
    assert again.job_id == first.job_id and again.in_doubt


def test_an_owner_without_a_heartbeat_row_is_dead(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    processes.start(owner, lane)
    Process.objects.filter(token=owner.token).delete()
    assert processes.run(other.due(100)) == [lane.pk]
    assert len(processes.commit(other, Look(lane.pk)).started) == 1


def test_a_heartbeat_too_far_ahead_protects_nothing(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    processes.start(owner, lane)
    Process.objects.filter(token=owner.token).update(expires_at=datetime.now(UTC) + timedelta(minutes=9))
    assert processes.run(other.due(100)) == []
    Process.objects.filter(token=owner.token).update(expires_at=datetime.now(UTC) + timedelta(days=365))
    assert processes.run(other.due(100)) == [lane.pk]
    assert len(processes.commit(other, Look(lane.pk)).started) == 1


def test_a_heartbeat_that_comes_back_in_time_keeps_the_lane(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    processes.start(owner, lane)
    expire(owner)
    processes.run(owner.beat(60))
    assert processes.run(other.due(100)) == [] and processes.commit(other, Look(lane.pk)).started == []


def test_a_held_lane_of_a_dead_owner_is_not_due(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    processes.start(owner, lane)
    Lane.objects.filter(pk=lane.pk).update(hold_reason="Look at it.")
    expire(owner)
    assert processes.run(other.due(100)) == [] and processes.commit(other, Look(lane.pk)).started == []


def test_a_dead_owners_rest_is_not_cut_short(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    first = processes.start(owner, lane)
    processes.commit(owner, Settle(first, unknown(first)))
    expire(owner)
    assert processes.run(other.due(100)) == [] and processes.commit(other, Look(lane.pk)).started == []


def test_what_a_late_owner_learnt_is_dropped_but_for_what_kra_gave(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    first = processes.start(owner, lane)
    expire(owner)
    (again,) = processes.commit(other, Look(lane.pk)).started
    late = with_attempt(first, signed(first, hold_reason="never", rest_seconds=60.0, used=5))
    committed = processes.commit(owner, Settle(first, late))
    assert committed.applied == set() and committed.started == [] and committed.resting == {}
    assert invoice_of(first).status == "signed" and events(lane.company, "invoice.signed") == 1
    assert not Attempt.objects.filter(document_id=first.document_id).exists()
    now = fresh(lane)
    assert (now.owner, now.next_number, now.hold_reason, now.due_at is None) == (other.token, 1, "", False)
    assert job_of(again).state == "started"


@pytest.mark.parametrize("end", [refused, unknown], ids=lambda end: end.__name__)
def test_a_late_owners_refusal_or_doubt_is_dropped_whole(processes: Bench, lane: Lane, end: Any) -> None:
    owner, other = processes.store(), processes.store()
    first = processes.start(owner, lane)
    expire(owner)
    (again,) = processes.commit(other, Look(lane.pk)).started
    invoice = invoice_of(first)
    assert processes.commit(owner, Settle(first, end(first))).applied == set()
    assert vars_of(invoice_of(first)) == vars_of(invoice) and job_of(again).state == "started"
    (settled,) = [processes.commit(other, Settle(again, signed(again)))]
    assert settled.applied == {again.job_id} and fresh(lane).next_number == 2


def test_a_late_owner_settles_nothing_in_a_lane_that_was_taken_from_it_and_let_go(processes: Bench, lane: Lane) -> None:
    """Its turn is still the last one, but the lane is nobody's now."""
    owner, other = processes.store(), processes.store()
    first = processes.start(owner, lane)
    expire(owner)
    processes.commit(other, Look(lane.pk), may_start=False)
    assert fresh(lane).owner is None and job_of(first).turn == first.turn
    committed = processes.commit(owner, Settle(first, unknown(first, hold_reason="Look at it.")))
    assert (committed.applied, fresh(lane).hold_reason, invoice_of(first).status) == (set(), "", "sending")
    (again,) = processes.commit(other, Look(lane.pk)).started
    assert again.in_doubt and again.number == 1


def test_an_expired_owner_whose_lane_nobody_took_settles_as_ever(processes: Bench, lane: Lane) -> None:
    owner = processes.store()
    first = processes.start(owner, lane)
    expire(owner)
    assert processes.commit(owner, Settle(first, signed(first))).applied == {first.job_id}
    assert fresh(lane).next_number == 2


def test_the_second_owner_finds_the_receipt_that_the_first_added_late(processes: Bench, lane: Lane) -> None:
    """Both settle the same document: one receipt, one event, and the number moves once."""
    owner, other = processes.store(), processes.store()
    first = processes.start(owner, lane)
    expire(owner)
    (again,) = processes.commit(other, Look(lane.pk)).started
    processes.commit(owner, Settle(first, signed(first)))
    processes.commit(other, Settle(again, signed(again)))
    assert events(lane.company, "invoice.signed") == 1 and fresh(lane).next_number == 2
    assert jobs(lane) == [("closed", 1)]


def test_two_processes_keep_one_reference_as_one_document(processes: Bench, lane: Lane) -> None:
    one, two = processes.store(), processes.store()

    async def both() -> tuple[Committed, ...]:
        return await asyncio.gather(one.commit(batch(mine)), two.commit(batch(theirs)))

    for n in range(20):
        mine, theirs = intake(lane, f"SAME-{n}"), intake(lane, f"SAME-{n}")
        committed = processes.run(both())
        assert sorted(len(each.kept) for each in committed) == [0, 1]
    assert Invoice.objects.filter(lane=lane).count() == 20 and events(lane.company, "invoice.accepted") == 20


def test_two_processes_never_start_one_lane_twice(processes: Bench) -> None:
    one, two = processes.store(), processes.store()
    lanes = make_lanes(30)

    mine, theirs = ([intake(lane) for lane in order] for order in (lanes, lanes[::-1]))

    async def both() -> tuple[Committed, ...]:
        return await asyncio.gather(one.commit(batch(*mine)), two.commit(batch(*theirs)))

    started = [one for each in processes.run(both()) for one in each.started]
    assert sorted(one.lane_id for one in started) == sorted(lane.pk for lane in lanes)


def test_batches_over_the_same_lanes_and_references_never_deadlock(processes: Bench) -> None:
    """Two processes, 300 batches each over 24 lanes: keeping, settling and looking, each in an order of its own."""
    lanes = make_lanes(24)
    seller_id = make_seller().pk
    stores = [quick(processes) for _ in range(2)]
    tally = {"kept": 0, "settled": 0, "known": 0}

    async def hammer(store: PostgresStore, seed: int) -> None:
        chance = random.Random(seed)
        running: list[Started] = []
        for step in range(300):
            new = [
                Intake(statements.KEEP, plain_row(chance.choice(lanes), seller_id, f"R-{step // 3}-{n}"))
                for n in chance.sample(range(10), 4)
            ]
            settles = [Settle(one, end(one, chance)) for one in chance.sample(running, min(len(running), 8))]
            looks = [Look(lane.pk, ends_rest=True) for lane in chance.sample(lanes, 6)]
            chance.shuffle(settles)
            committed = await store.commit(batch(*new, *settles, *looks))
            done = {settle.started.job_id for settle in settles}
            running = [one for one in running if one.job_id not in done] + committed.started
            tally["kept"] += len(committed.kept)
            tally["known"] += len(new) - len(committed.kept)
            tally["settled"] += len(committed.applied)
            assert committed.applied == done

    async def together() -> None:
        await asyncio.gather(*(hammer(store, seed) for seed, store in enumerate(stores)))

    def end(one: Started, chance: random.Random) -> Settlement:
        return chance.choice([signed, signed, refused])(one)

    processes.run(together())
    assert min(tally.values()) > 100, tally
    for lane in lanes:
        numbers = Invoice.objects.filter(lane=lane, status="signed").order_by("number").values_list("number", flat=True)
        assert list(numbers) == list(range(1, fresh(lane).next_number))


def test_a_lane_that_somebody_locks_for_long_is_refused_and_not_waited_for(processes: Bench, lane: Lane) -> None:
    store = quick(processes, lock_seconds=0.2)
    new = intake(lane)
    with transaction.atomic():
        lock_lane(lane.pk)
        with pytest.raises(StoreRefused):
            processes.commit(store, new)
    assert len(processes.commit(store, new).started) == 1


def test_a_lost_connection_is_told_and_the_next_batch_finds_a_new_one(processes: Bench, lane: Lane) -> None:
    store = processes.store()
    started = processes.start(store, lane)
    cut_connections()
    with pytest.raises(StoreDown):
        processes.commit(store, Settle(started, signed(started)))
    assert processes.commit(store, Settle(started, signed(started))).applied == {started.job_id}
    assert events(lane.company, "invoice.signed") == 1


def test_a_process_that_starts_while_the_database_is_away_leaves_nothing_behind_that_would_keep_it() -> None:
    async def start() -> set[asyncio.Task[Any]]:
        with pytest.raises(StoreDown):
            await Engine(PostgresStore(f"postgresql://nobody@127.0.0.1:{free_port()}/none", starts={}), {}).start()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(start()) == set()


def test_a_process_whose_first_heartbeat_fails_leaves_nothing_behind_either(processes: Bench) -> None:
    store = processes.store()

    async def beat(seconds: float) -> None:
        raise StoreDown(f"no beat of {seconds} seconds")

    async def start() -> list[str]:
        store.beat = beat  # type: ignore[method-assign]
        with pytest.raises(StoreDown):
            await Engine(store, {}).start()
        return [task.get_name() for task in asyncio.all_tasks() if "pool" in task.get_name()]

    processes.stores.remove(store)
    assert processes.run(start()) == []


def test_a_process_that_closes_leaves_its_lanes_to_be_taken_at_once(processes: Bench, lane: Lane) -> None:
    owner, other = processes.store(), processes.store()
    processes.start(owner, lane)
    processes.stores.remove(owner)
    processes.run(owner.close())
    assert processes.run(other.due(100)) == [lane.pk]


def test_a_receipt_that_a_late_owner_added_takes_its_number_for_good(processes: Bench, lane: Lane) -> None:
    """Nobody else moves the lane past the number: the turn that finds the invoice signed must."""
    owner, other = processes.store(), processes.store()
    sign = Signing(Desk(other.read), other.read)
    first = processes.start(owner, lane)
    expire(owner)
    (again,) = processes.commit(other, Look(lane.pk)).started
    processes.commit(other, Settle(again, unknown(again)))  # KRA's look-up did not see it yet
    processes.commit(owner, Settle(first, signed(first)))
    (third,) = processes.commit(other, Look(lane.pk, ends_rest=True)).started
    assert third.document == {}
    processes.commit(other, Settle(third, processes.run(sign(Turn(third, Engine(other, {}))))))
    (following,) = processes.commit(other, intake(lane)).started
    assert following.number == 2


def test_a_receipt_that_waits_too_long_for_a_lock_is_written_when_the_lock_is_gone(
    processes: Bench, lane: Lane
) -> None:
    store, new, turns = quick(processes, lock_seconds=0.2, is_open=False), intake(lane), []

    async def story(locked: threading.Event, let_go: threading.Event) -> None:
        async def handler(turn: Turn) -> Settlement:
            turns.append(turn.started.in_doubt)
            locker = threading.Thread(target=hold_the_row, args=(lane, locked, let_go))
            locker.start()
            await asyncio.to_thread(locked.wait)
            asyncio.get_running_loop().call_later(0.8, let_go.set)
            return signed(turn.started)

        engine = Engine(store, {"invoice": handler})
        await engine.start()
        await engine.keep(new)
        await asyncio.to_thread(let_go.wait)
        await settled([lane])
        await engine.stop(1.0)

    processes.run(story(threading.Event(), threading.Event()))
    assert turns == [False] and fresh(lane).hold_reason == ""
    assert Invoice.objects.get(lane=lane).status == "signed"


def hold_the_row(lane: Lane, locked: threading.Event, let_go: threading.Event) -> None:
    """Lock a lane as an operator's transaction does, and sit on it."""
    close_old_connections()
    with transaction.atomic():
        lock_lane(lane.pk)
        locked.set()
        let_go.wait(10)
    close_old_connections()


def quick(processes: Bench, *, lock_seconds: float = 30.0, is_open: bool = True) -> PostgresStore:
    """A store as the product makes it, with another patience for locks."""
    dsn = processes.store()._dsn  # type: ignore[attr-defined]
    store = PostgresStore(dsn, starts=STARTS, lock_seconds=lock_seconds)
    if is_open:
        processes.run(store.open())
        processes.run(store.beat(60))
        processes.stores.append(store)
    return store


def cut_connections() -> None:
    """As when the server is restarted: every engine's connection ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'gateway engine, writing'"
        )


def vars_of(invoice: Invoice) -> dict[str, Any]:
    return {name: value for name, value in vars(invoice).items() if not name.startswith("_")}
