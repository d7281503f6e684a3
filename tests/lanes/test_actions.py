"""An operator holds and releases lanes; each is done once, and the journal says by whom."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from gateway.audit.models import Event
from gateway.devices.onboarding import Onboarded
from gateway.lanes import local
from gateway.lanes.actions import NotPossible, hold_lane, release_lane
from gateway.lanes.engine import Engine
from gateway.lanes.models import Job, Lane, Process
from gateway.lanes.queries import LaneUnknown, find_lane, is_alive, lane_story, lanes_with_work
from gateway.lanes.services import queue_job
from gateway.wiring import build_store
from tests.tenants.factories import make_company, make_stranger

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
BY = "operator:wanjiru"


@pytest.fixture
def amani(settings: Any) -> Onboarded:
    """Amani Stores; its device would speak to a simulator that is nowhere."""
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = "http://127.0.0.1:9/oscu/etims-api"
    return make_company()


@pytest.fixture
def lane(amani: Onboarded) -> Lane:
    """Amani's lane of invoices."""
    return amani.device.lane


def make_process(*, seconds: float) -> Process:
    """An engine whose heartbeat is good for so many seconds; negative: it died that long ago."""
    token = uuid.uuid4()
    Process.objects.create(token=token, name="host", expires_at=datetime.now(UTC) + timedelta(seconds=seconds))
    return Process.objects.get(token=token)


def events(name: str) -> list[Event]:
    return list(Event.objects.filter(name=name))


def test_a_held_lane_says_why_and_since_when_and_the_journal_by_whom(lane: Lane) -> None:
    held = hold_lane(lane.pk, reason="counting  the till", actor=BY)
    assert held.hold_reason == "Held by the operator: counting the till" and held.held_at is not None
    (event,) = events("lane.held")
    assert (event.actor, event.environment, event.company_id) == (BY, "sandbox", lane.company_id)
    assert (event.data["lane"], event.data["reason"]) == (str(lane), held.hold_reason)
    assert (event.before or {})["hold_reason"] == "" and (event.after or {})["hold_reason"] == held.hold_reason


def test_holding_a_held_lane_keeps_the_first_reason(lane: Lane) -> None:
    hold_lane(lane.pk, reason="first", actor=BY)
    with pytest.raises(NotPossible, match=r"held already: .*first"):
        hold_lane(lane.pk, reason="second", actor=BY)
    lane.refresh_from_db()
    assert lane.hold_reason.endswith("first") and len(events("lane.held")) == 1


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 251])
def test_a_hold_needs_a_reason_that_fits(lane: Lane, reason: str) -> None:
    with pytest.raises(NotPossible):
        hold_lane(lane.pk, reason=reason, actor=BY)
    lane.refresh_from_db()
    assert not lane.hold_reason and not events("lane.held")


def test_the_turn_that_runs_keeps_its_lane_when_the_lane_is_held(lane: Lane) -> None:
    owner = make_process(seconds=15).token
    Lane.objects.filter(pk=lane.pk).update(owner=owner)
    assert hold_lane(lane.pk, reason="r", actor=BY).owner == owner


def test_a_release_forgets_the_failures_and_makes_the_lane_due(lane: Lane) -> None:
    later = NOW + timedelta(hours=1)
    Lane.objects.filter(pk=lane.pk).update(
        hold_reason="The device is not active.", held_at=NOW, failures=7, rest_reason="KRA is away", due_at=later
    )
    free = release_lane(lane.pk, actor=BY)
    assert (free.hold_reason, free.held_at, free.failures, free.rest_reason) == ("", None, 0, "")
    assert free.due_at is not None and free.due_at < later
    (event,) = events("lane.released")
    assert event.actor == BY and (event.before or {})["failures"] == 7
    assert (event.before or {})["hold_reason"] == "The device is not active."


def test_a_lane_that_is_not_held_cannot_be_released(lane: Lane) -> None:
    with pytest.raises(NotPossible, match="not held"):
        release_lane(lane.pk, actor=BY)
    assert not events("lane.released")


def test_a_lane_is_found_by_its_name_and_by_its_id(lane: Lane) -> None:
    assert find_lane(str(lane)) == find_lane(str(lane.pk)) == find_lane(str(lane).lower().replace("/p0", "/P0")) == lane


@pytest.mark.parametrize("name", ["", "12345", "sandbox/P051234567X/00", "sandbox/P051234567X/77/invoice", "9" * 30])
def test_a_name_of_no_lane_is_told(lane: Lane, name: str) -> None:
    with pytest.raises(LaneUnknown):
        find_lane(name)


def test_a_heartbeat_counts_while_it_is_fresh_and_not_absurdly_far_ahead(db: None) -> None:
    assert is_alive(make_process(seconds=10).token)
    assert not is_alive(make_process(seconds=-1).token)
    assert not is_alive(make_process(seconds=3600).token)
    assert not is_alive(uuid.uuid4()) and not is_alive(None)


def test_the_list_shows_what_has_work_held_lanes_first(amani: Onboarded, lane: Lane) -> None:
    stranger = make_stranger()
    assert lanes_with_work(now=NOW) == []
    queue_job(lane, kind="invoice", document_id=1)
    queue_job(lane, kind="invoice", document_id=2)
    hold_lane(stranger.device.lane_id, reason="r", actor=BY)
    held, due = lanes_with_work(now=datetime.now(UTC) + timedelta(seconds=1))
    assert (held.lane, held.doing, held.waiting, held.oldest_at) == (stranger.device.lane, "held", 0, None)
    assert (due.lane, due.doing, due.waiting) == (lane, "due", 2) and due.oldest_at is not None
    assert [one.lane for one in lanes_with_work(now=NOW, held=True)] == [stranger.device.lane]
    assert [one.lane for one in lanes_with_work(now=NOW, pin=amani.company.pin)] == [lane]


@pytest.mark.parametrize(
    ("changes", "alive", "doing"),
    [
        ({"due_at": Now()}, None, "due"),
        ({"due_at": NOW + timedelta(hours=1), "rest_reason": "KRA is away"}, None, "resting"),
        ({}, True, "working"),
        ({}, False, "orphaned"),
        ({"hold_reason": "r", "held_at": NOW}, None, "held"),
        ({"hold_reason": "r", "held_at": NOW}, True, "held"),
    ],
)
def test_a_lane_is_named_after_what_it_does(
    lane: Lane, changes: dict[str, Any], alive: bool | None, doing: str
) -> None:
    queue_job(lane, kind="invoice", document_id=1)
    owner = None if alive is None else make_process(seconds=15 if alive else -1).token
    Lane.objects.filter(pk=lane.pk).update(**changes, owner=owner)
    (one,) = lanes_with_work(now=datetime.now(UTC) + timedelta(seconds=1))
    assert (one.doing, one.owner_alive) == (doing, alive)


def test_a_lanes_story_has_its_last_and_next_jobs_in_order(lane: Lane) -> None:
    for document_id in range(1, 26):
        queue_job(lane, kind="invoice", document_id=document_id)
    Job.objects.filter(document_id__lte=12).update(state=Job.State.CLOSED)
    Job.objects.filter(document_id=14).update(state=Job.State.STARTED)
    story = lane_story(lane, now=NOW)
    assert [job.document_id for job in story.closed] == list(range(3, 13))
    assert [job.document_id for job in story.open] == [14, 13, *range(15, 23)]
    assert story.standing.waiting == 13


def test_without_an_engine_here_nobody_is_told_and_nothing_fails() -> None:
    local.set_engine(None)
    local.tell_from_thread(uuid.uuid4())


def test_a_thread_wakes_whoever_waits_on_the_engines_loop() -> None:
    public_id = uuid.uuid4()

    async def story() -> Any:
        engine = Engine(build_store(), {})
        local.set_engine(engine)
        future = engine.watch(public_id)
        await asyncio.to_thread(local.tell_from_thread, public_id)
        return await asyncio.wait_for(future, 5)

    try:
        assert asyncio.run(story()) == {}
        local.tell_from_thread(public_id)  # its loop is closed: nobody waits any more
    finally:
        local.set_engine(None)
