"""What both stores promise the engine, row by row. How processes share lanes on PostgreSQL is in test_leases.py."""

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from gateway.audit.models import Event
from gateway.lanes.actions import hold_lane, release_lane
from gateway.lanes.models import Attempt, Job, Lane
from gateway.lanes.services import queue_job
from gateway.lanes.store import Effect, Intake, Look, Settle, Settlement, Store, StoreRefused
from gateway.sales.actions import cancel_invoice
from gateway.sales.models import Contact, Invoice
from tests.lanes.bench import (
    Bench,
    batch,
    events,
    expire,
    fresh,
    handed_back,
    intake,
    invoice_of,
    is_postgres,
    job_of,
    jobs,
    make_lanes,
    refused,
    signed,
    unknown,
    with_attempt,
)

pytestmark = pytest.mark.needs_database


@pytest.fixture
def store(process: Bench) -> Store:
    return process.store()


@pytest.fixture
def lane(process: Bench) -> Lane:
    return make_lanes(1)[0]


def test_a_document_for_a_free_lane_is_kept_and_started_with_the_lanes_number(
    process: Bench, store: Store, lane: Lane
) -> None:
    new = intake(lane, "POS-1", phone="+254700000001")
    committed = process.commit(store, new)
    (started,) = committed.started
    invoice = Invoice.objects.get(reference="POS-1", lane=lane)
    assert committed.kept == {new.row["public_id"]: invoice.pk}
    assert (started.document_id, started.number, started.turn, started.in_doubt) == (invoice.pk, 1, 1, False)
    assert (started.lane_id, started.kind, started.failures) == (lane.pk, "invoice", 0)
    assert uuid.UUID(str(started.document["public_id"])) == invoice.public_id
    assert (invoice.status, invoice.number, invoice.unanswered_at) == ("sending", 1, None)
    assert jobs(lane) == [("started", 1)]
    assert fresh(lane).owner == store.token and fresh(lane).next_number == 1
    assert Contact.objects.get(invoice=invoice).phone == "+254700000001"
    assert events(lane.company, "invoice.accepted") == 1


def test_a_known_reference_writes_nothing_and_starts_nothing(process: Bench, store: Store, lane: Lane) -> None:
    started = process.start(store, lane, "POS-1")
    process.commit(store, Settle(started, signed(started)))
    committed = process.commit(store, intake(lane, "POS-1", content_hash="v1:other", email="a@b.example"))
    assert (committed.kept, committed.started) == ({}, [])
    assert Invoice.objects.filter(lane=lane).count() == 1 and jobs(lane) == [("closed", 1)]
    assert events(lane.company, "invoice.accepted") == 1 and not Contact.objects.filter(invoice__lane=lane).exists()


def test_one_reference_twice_in_a_batch_is_one_document(process: Bench, store: Store, lane: Lane) -> None:
    first, second = intake(lane, "POS-1"), intake(lane, "POS-1")
    committed = process.commit(store, first, second)
    assert len(committed.kept) == len(committed.started) == 1
    assert Invoice.objects.filter(lane=lane).count() == 1 and events(lane.company, "invoice.accepted") == 1


def test_the_same_reference_of_another_company_is_another_document(process: Bench, store: Store, lane: Lane) -> None:
    (stranger,) = make_lanes(1)
    committed = process.commit(store, intake(lane, "POS-1"), intake(stranger, "POS-1"))
    assert len(committed.kept) == 2 and {one.number for one in committed.started} == {1}


def test_documents_for_a_busy_lane_wait_in_the_order_in_which_they_came(
    process: Bench, store: Store, lane: Lane
) -> None:
    started = process.start(store, lane, "POS-5")
    references = ["POS-9", "POS-1", "POS-7"]
    committed = process.commit(store, *(intake(lane, reference) for reference in references))
    assert len(committed.kept) == 3 and committed.started == []
    assert [state for state, _ in jobs(lane)] == ["started", "queued", "queued", "queued"]
    for number, reference in enumerate(references, start=2):
        (started,) = process.commit(store, Settle(started, signed(started))).started
        assert (invoice_of(started).reference, started.number) == (reference, number)


def test_many_documents_for_one_free_lane_start_the_first_alone(process: Bench, store: Store, lane: Lane) -> None:
    committed = process.commit(store, *(intake(lane, f"POS-{n}") for n in (3, 1, 2)))
    assert [invoice_of(one).reference for one in committed.started] == ["POS-3"]


def test_a_closed_turn_moves_the_number_and_starts_the_next_in_the_same_commit(
    process: Bench, store: Store, lane: Lane
) -> None:
    first = process.start(store, lane)
    process.commit(store, intake(lane))
    committed = process.commit(store, Settle(first, signed(first)))
    (second,) = committed.started
    assert committed.applied == {first.job_id}
    assert (second.number, second.turn, second.in_doubt) == (2, 1, False)
    assert jobs(lane) == [("closed", 1), ("started", 2)]
    assert fresh(lane).next_number == 2 and fresh(lane).owner == store.token
    assert invoice_of(first).status == "signed" and events(lane.company, "invoice.signed") == 1


def test_a_lane_without_work_is_idle_and_nobodys(process: Bench, store: Store, lane: Lane) -> None:
    started = process.start(store, lane)
    committed = process.commit(store, Settle(started, signed(started)))
    assert (committed.started, committed.stalled, committed.resting) == ([], set(), {})
    assert (fresh(lane).owner, fresh(lane).due_at, fresh(lane).next_number) == (None, None, 2)
    assert lane.pk not in process.run(store.due(1000))


def test_a_refused_documents_number_goes_to_the_next_one(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, intake(lane))
    (second,) = process.commit(store, Settle(first, refused(first))).started
    assert second.number == 1 and second.document_id != first.document_id
    assert (invoice_of(first).status, invoice_of(first).number) == ("refused", None)
    assert fresh(lane).next_number == 1


def test_a_document_handed_back_keeps_its_place_and_not_its_number(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, intake(lane))
    committed = process.commit(store, Settle(first, handed_back(first, rest_seconds=60.0)))
    assert committed.started == [] and lane.pk in committed.stalled and 59 < committed.resting[lane.pk] <= 60
    assert jobs(lane) == [("queued", None), ("queued", None)]
    assert (invoice_of(first).status, invoice_of(first).number) == ("queued", None)
    (again,) = process.commit(store, Look(lane.pk, ends_rest=True)).started
    assert (again.document_id, again.number, again.turn, again.in_doubt) == (first.document_id, 1, 2, False)


def test_a_document_in_doubt_keeps_its_number_and_comes_before_all_others(
    process: Bench, store: Store, lane: Lane
) -> None:
    first = process.start(store, lane)
    process.commit(store, intake(lane))
    (again,) = process.commit(store, Settle(first, unknown(first, rest_seconds=None))).started
    assert (again.document_id, again.number, again.in_doubt, again.failures) == (first.document_id, 1, True, 1)
    assert (invoice_of(first).status, invoice_of(first).number) == ("unknown", 1)
    assert jobs(lane) == [("started", 1), ("queued", None)]


def test_a_number_that_kra_counted_elsewhere_moves_the_lane_past_it(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    (again,) = process.commit(store, Settle(first, handed_back(first, used=7))).started
    assert (again.document_id, again.number) == (first.document_id, 8)
    assert fresh(lane).next_number == 8


def test_the_lanes_number_never_goes_back(process: Bench, store: Store, lane: Lane) -> None:
    Lane.objects.filter(pk=lane.pk).update(next_number=20)
    started = process.start(store, lane)
    assert started.number == 20
    process.commit(store, Settle(started, refused(started, used=4)))
    assert fresh(lane).next_number == 20
    started = process.start(store, lane)
    process.commit(store, Settle(started, refused(started, used=None)))
    assert fresh(lane).next_number == 20


def test_on_sqlite_a_rest_ends_in_time_though_the_clock_went_back_meanwhile(
    process: Bench, store: Store, lane: Lane
) -> None:
    if is_postgres():  # whose clock is that of its server, not of the process
        return
    first = process.start(store, lane, "POS-1")
    process.commit(store, Settle(first, handed_back(first, rest_seconds=0.3, rest_reason="KRA is away")))
    Lane.objects.filter(pk=lane.pk).update(due_at=F("due_at") + timedelta(hours=1))  # as an earlier clock sees it
    early = process.commit(store, Look(lane.pk))
    assert not early.started and 0 < early.resting[lane.pk] <= 0.3
    time.sleep(0.35)
    assert [one.document_id for one in process.commit(store, Look(lane.pk)).started] == [first.document_id]


def test_a_lane_that_rests_starts_nothing_until_its_time(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    rested = process.commit(store, Settle(first, handed_back(first, rest_seconds=0.3, rest_reason="KRA is away")))
    assert 0 < rested.resting[lane.pk] <= 0.3
    assert fresh(lane).rest_reason == "KRA is away" and fresh(lane).owner is None
    committed = process.commit(store, intake(lane), Look(lane.pk))
    assert committed.started == [] and lane.pk in committed.stalled and 0 < committed.resting[lane.pk] <= 0.3
    assert lane.pk not in process.run(store.due(1000))
    until = time.monotonic() + 5
    while lane.pk not in process.run(store.due(1000)):
        assert time.monotonic() < until
    (again,) = process.commit(store, Look(lane.pk)).started
    assert again.document_id == first.document_id and fresh(lane).rest_reason == ""


def test_a_new_document_neither_ends_nor_lengthens_a_rest(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, Settle(first, unknown(first, rest_seconds=60.0)))
    due_at = fresh(lane).due_at
    assert process.commit(store, intake(lane)).started == []
    assert fresh(lane).due_at == due_at and fresh(lane).failures == 1


def test_a_rest_ends_early_when_what_it_waited_for_is_over(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, Settle(first, unknown(first)))
    assert process.commit(store, Look(lane.pk)).started == []
    (again,) = process.commit(store, Look(lane.pk, ends_rest=True)).started
    assert again.in_doubt and fresh(lane).due_at is not None


def test_failures_in_a_row_are_counted_and_forgotten_after_a_success(process: Bench, store: Store, lane: Lane) -> None:
    started = process.start(store, lane)
    for failures in (1, 2, 3):
        process.commit(store, Settle(started, unknown(started)))
        (started,) = process.commit(store, Look(lane.pk, ends_rest=True)).started
        assert (started.failures, started.turn) == (failures, failures + 1)
    process.commit(store, Settle(started, signed(started)))
    assert fresh(lane).failures == 0


def test_a_held_lane_starts_nothing_and_is_not_due(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, intake(lane))
    committed = process.commit(store, Settle(first, handed_back(first, hold_reason="The key is refused.")))
    assert committed.started == [] and lane.pk in committed.stalled and committed.resting == {}
    assert fresh(lane).hold_reason == "The key is refused." and fresh(lane).held_at is not None
    committed = process.commit(store, intake(lane), Look(lane.pk, ends_rest=True))
    assert committed.started == [] and lane.pk in committed.stalled and len(committed.kept) == 1
    assert lane.pk not in process.run(store.due(1000)) and fresh(lane).hold_reason == "The key is refused."


def test_a_released_lane_is_due_and_goes_on_where_it_stopped(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, Settle(first, unknown(first, hold_reason="Compare the two.", rest_seconds=None)))
    release_lane(lane.pk, actor="operator")
    assert process.run(store.due(1000)) == [lane.pk]
    (again,) = process.commit(store, Look(lane.pk)).started
    assert again.in_doubt and again.number == 1 and fresh(lane).held_at is None


def test_a_lane_held_while_its_turn_runs_writes_how_that_ended_and_stops(
    process: Bench, store: Store, lane: Lane
) -> None:
    first = process.start(store, lane)
    process.commit(store, intake(lane))
    hold_lane(lane.pk, reason="counting the till", actor="operator")
    committed = process.commit(store, Settle(first, signed(first)))
    assert committed.applied == {first.job_id} and committed.started == [] and lane.pk in committed.stalled
    assert invoice_of(first).status == "signed" and fresh(lane).next_number == 2
    assert "counting the till" in fresh(lane).hold_reason and fresh(lane).owner is None


def test_a_process_that_stops_settles_and_hands_its_lane_back(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, intake(lane))
    committed = process.commit(store, Settle(first, signed(first)), may_start=False)
    assert committed.started == [] and lane.pk in committed.stalled
    assert fresh(lane).owner is None and process.run(store.due(1000)) == [lane.pk]
    assert jobs(lane) == [("closed", 1), ("queued", None)]


def test_a_document_that_came_while_the_process_stops_is_kept_and_due(process: Bench, store: Store, lane: Lane) -> None:
    committed = process.commit(store, intake(lane), may_start=False)
    assert len(committed.kept) == 1 and committed.started == []
    assert process.run(store.due(1000)) == [lane.pk]


def test_a_job_that_waits_for_another_lets_the_others_go_first(process: Bench, store: Store, lane: Lane) -> None:
    (other,) = make_lanes(1)
    awaited = process.start(store, other)
    process.commit(store, intake(lane, "waits"), intake(lane, "goes"), may_start=False)
    Job.objects.filter(document_id=Invoice.objects.get(lane=lane, reference="waits").pk).update(
        waits_for=job_of(awaited)
    )
    (goes,) = process.commit(store, Look(lane.pk)).started
    assert invoice_of(goes).reference == "goes"
    assert process.commit(store, Settle(goes, signed(goes))).started == []
    process.commit(store, Settle(awaited, signed(awaited)))
    (waited,) = process.commit(store, Look(lane.pk)).started
    assert invoice_of(waited).reference == "waits" and waited.number == 2


def test_jobs_queued_by_ordinary_code_make_their_lane_due(process: Bench, store: Store, lane: Lane) -> None:
    started = process.start(store, lane)
    process.commit(store, Settle(started, refused(started)))
    assert process.run(store.due(1000)) == []
    Invoice.objects.filter(pk=started.document_id).update(status="queued")
    queue_job(lane, kind="invoice", document_id=started.document_id)
    assert process.run(store.due(1000)) == [lane.pk]
    (again,) = process.commit(store, Look(lane.pk)).started
    assert (again.document_id, again.number, again.turn) == (started.document_id, 1, 1)


def test_a_withdrawn_document_is_not_started(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, intake(lane, "POS-2"), intake(lane, "POS-3"))
    withdrawn = Invoice.objects.get(lane=lane, reference="POS-2")
    cancel_invoice(
        company_id=lane.company_id, environment="sandbox", public_id=withdrawn.public_id, actor="owner", device=None
    )
    (third,) = process.commit(store, Settle(first, signed(first))).started
    assert (invoice_of(third).reference, third.number) == ("POS-3", 2)


def test_a_series_without_numbers_gives_none(process: Bench, store: Store) -> None:
    (lane,) = make_lanes(1, series="webhook")
    assert process.start(store, lane).number is None


def test_a_settlement_of_an_earlier_turn_writes_only_what_kra_gave(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, Settle(first, unknown(first)))
    (second,) = process.commit(store, Look(lane.pk, ends_rest=True)).started
    late = with_attempt(first, signed(first, used=9, hold_reason="never"))
    committed = process.commit(store, Settle(first, late), Settle(first, refused(first)))
    assert committed.applied == set() and committed.started == []
    assert invoice_of(first).status == "signed" and events(lane.company, "invoice.signed") == 1
    assert (fresh(lane).next_number, fresh(lane).hold_reason, fresh(lane).owner) == (1, "", store.token)
    assert job_of(second).state == "started" and not Attempt.objects.filter(document_id=first.document_id).exists()


def test_what_kra_gave_first_stands(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, Settle(first, signed(first)))
    other = signed(first)
    row = {**other.effects[0].row, "signature": "ANOTHERSIGNATURE"}
    process.commit(store, Settle(first, Settlement("closed", effects=[Effect(other.effects[0].statement, row, True)])))
    assert invoice_of(first).signature == "SIGN000000000001" and events(lane.company, "invoice.signed") == 1


def test_the_database_itself_refuses_to_change_a_signed_invoice(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    process.commit(store, Settle(first, signed(first)))
    for change in ("signature = 'X'", "total = 1", "status = 'refused'"):
        with pytest.raises(Exception, match="never changes"), connection.cursor() as cursor:
            cursor.execute(f"UPDATE sales_invoice SET {change} WHERE id = %s", [first.document_id])
    with pytest.raises(Exception, match="never changes"):
        Invoice.objects.filter(pk=first.document_id).delete()


@pytest.mark.parametrize("end", [signed, refused, unknown, handed_back], ids=lambda end: end.__name__)
def test_a_batch_repeated_after_an_unclear_commit_writes_nothing_twice(
    process: Bench, store: Store, lane: Lane, end: Any
) -> None:
    (second_lane,) = make_lanes(1)
    started = process.start(store, lane)
    settlement = with_attempt(started, end(started, rest_seconds=60.0))
    whole = batch(intake(second_lane, phone="+254700000001"), Settle(started, settlement))
    first = process.run(store.commit(whole))
    before = all_rows(lane, second_lane)
    again = process.run(store.commit(whole))
    assert len(first.kept) == 1 and first.applied == {started.job_id}
    assert again.kept == {} and again.applied == set() and again.started == []
    assert all_rows(lane, second_lane) == before


def test_a_batch_with_one_bad_row_is_refused_whole_and_each_good_row_passes_alone(
    process: Bench, store: Store, lane: Lane
) -> None:
    started = process.start(store, lane)
    good = intake(lane, "GOOD")
    for bad in bad_intakes(lane):
        before = all_rows(lane)
        with pytest.raises(StoreRefused):
            process.commit(store, good, bad, Settle(started, signed(started)))
        assert all_rows(lane) == before
        with pytest.raises(StoreRefused):
            process.commit(store, bad)
    assert process.commit(store, good).kept
    assert process.commit(store, Settle(started, signed(started))).applied == {started.job_id}


def test_a_process_knows_its_lanes_and_those_that_are_due(process: Bench, store: Store) -> None:
    busy, waiting, idle = make_lanes(3)
    process.start(store, busy)
    process.commit(store, intake(waiting), may_start=False)
    assert process.run(store.mine()) == [busy.pk]
    assert process.run(store.due(1000)) == [waiting.pk]
    assert fresh(idle).owner is None


def test_the_lanes_that_waited_longest_are_due_first(process: Bench, store: Store) -> None:
    lanes = make_lanes(5)
    for position, lane in enumerate(lanes):
        process.commit(store, intake(lane), may_start=False)
        due_at = datetime.now(UTC) - timedelta(minutes=[3, 1, 5, 2, 4][position])
        Lane.objects.filter(pk=lane.pk).update(due_at=due_at)
    order = [lanes[position].pk for position in (2, 4, 0, 3, 1)]
    assert process.run(store.due(1000)) == order and process.run(store.due(2)) == order[:2]


def test_a_lane_whose_turn_runs_is_not_started_a_second_time(process: Bench, store: Store, lane: Lane) -> None:
    process.start(store, lane)
    committed = process.commit(store, Look(lane.pk), Look(lane.pk, ends_rest=True), intake(lane))
    assert committed.started == [] and [state for state, _ in jobs(lane)] == ["started", "queued"]


def test_a_lane_of_ours_without_a_turn_is_resumed_in_doubt(process: Bench, store: Store, lane: Lane) -> None:
    first = process.start(store, lane)
    (again,) = process.commit(store, Look(lane.pk, resume=True)).started
    assert (again.job_id, again.turn, again.in_doubt, again.number) == (first.job_id, 2, True, 1)
    assert invoice_of(first).status == "unknown" and invoice_of(first).unanswered_at is not None


def test_what_an_earlier_process_started_is_in_doubt(process: Bench, lane: Lane) -> None:
    earlier = process.store()
    first = process.start(earlier, lane)
    process.commit(earlier, intake(lane))
    expire(earlier)
    later = process.store()
    assert process.run(later.due(1000)) == [lane.pk]
    (again,) = process.commit(later, Look(lane.pk)).started
    assert (again.document_id, again.number, again.in_doubt) == (first.document_id, 1, True)
    assert fresh(lane).owner == later.token


def bad_intakes(lane: Lane) -> list[Intake]:
    """Documents that this database will not take."""
    bad = [intake(lane, "BAD", device_id=987_654_321), intake(lane, "BAD", body=None)]
    if is_postgres():
        bad += [intake(lane, "BAD" * 20), intake(lane, "BAD", buyer_name="nul \x00")]
    return bad


def all_rows(*lanes: Lane) -> list[Any]:
    """Everything that a batch may have changed."""
    companies = [lane.company_id for lane in lanes]
    return [
        list(Lane.objects.filter(company_id__in=companies).order_by("pk").values()),
        list(Job.objects.filter(lane__in=lanes).order_by("pk").values()),
        list(Invoice.objects.filter(lane__in=lanes).order_by("pk").values()),
        list(Contact.objects.filter(invoice__lane__in=lanes).values()),
        list(Event.objects.filter(company_id__in=companies).order_by("pk").values()),
        list(Attempt.objects.filter(company_id__in=companies).values()),
    ]
