"""The net under lost wake-ups, and cleaning up without touching anything fiscal."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Attempt, Job, Lane, Process
from gateway.lanes.upkeep import BATCH, cleanup_old_data, cleanup_old_logs, retry_sales_invoice
from gateway.tenants.models import ApiKey, BrowserSession, OperatorKey, Role
from gateway.tenants.services import make_api_key, make_operator_key
from tests.tenants.factories import make_company

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


@pytest.fixture
def amani() -> Onboarded:
    return make_company()


@pytest.fixture
def lane(amani: Onboarded) -> Lane:
    return amani.device.lane


def queue(lane: Lane, *, document: int = 1, minutes_ago: float = 2, **more: Any) -> Job:
    at = NOW - timedelta(minutes=minutes_ago)
    return Job.objects.create(lane=lane, kind="invoice", document_id=document, created_at=at, **more)


def state(lane: Lane, **columns: Any) -> None:
    Lane.objects.filter(pk=lane.pk).update(**columns)


def due_at(lane: Lane) -> datetime | None:
    return Lane.objects.get(pk=lane.pk).due_at


def process(**ends: float) -> uuid.UUID:
    token = uuid.uuid4()
    Process.objects.create(token=token, name="engine", expires_at=NOW + timedelta(**ends))
    return token


def test_a_lane_whose_wake_up_was_lost_is_made_due(lane: Lane) -> None:
    queue(lane)
    assert retry_sales_invoice(now=NOW) == 1
    made = due_at(lane)
    assert made is not None and made <= datetime.now(UTC) + timedelta(seconds=1)
    assert Job.objects.get().state == "queued" and not Attempt.objects.exists()


def test_a_lane_with_work_that_is_younger_than_a_minute_is_left_to_its_engine(lane: Lane) -> None:
    queue(lane, minutes_ago=0.9)
    assert retry_sales_invoice(now=NOW) == 0 and due_at(lane) is None


def test_a_lane_that_is_due_already_keeps_its_due_time_by_which_the_queue_is_measured(lane: Lane) -> None:
    queue(lane)
    state(lane, due_at=NOW - timedelta(hours=1))
    assert retry_sales_invoice(now=NOW) == 1
    assert due_at(lane) == NOW - timedelta(hours=1)


def test_lanes_that_rest_are_held_or_have_nothing_to_do_are_left_alone(lane: Lane) -> None:
    assert retry_sales_invoice(now=NOW) == 0
    job = queue(lane)
    state(lane, due_at=NOW + timedelta(seconds=30))
    assert retry_sales_invoice(now=NOW) == 0
    state(lane, due_at=None, hold_reason="somebody must look")
    assert retry_sales_invoice(now=NOW) == 0 and due_at(lane) is None
    state(lane, hold_reason="")
    Job.objects.filter(pk=job.pk).update(state="closed")
    assert retry_sales_invoice(now=NOW) == 0


def test_a_lane_of_a_living_engine_is_its_own_and_one_of_a_dead_engine_is_anybodys(lane: Lane) -> None:
    queue(lane, state="started", turn=1)
    state(lane, owner=process(seconds=10))
    assert retry_sales_invoice(now=NOW) == 0
    dead = process(seconds=-1)
    state(lane, owner=dead)
    assert retry_sales_invoice(now=NOW) == 1
    lane.refresh_from_db()
    assert lane.due_at is not None and lane.owner == dead  # the engine that takes it over sees that it is in doubt


def test_a_job_that_waits_for_another_makes_no_lane_due_until_that_one_is_closed(lane: Lane, amani: Onboarded) -> None:
    other = Lane.objects.create(company=amani.company, pin=lane.pin, environment="sandbox", branch="00", series="stock")
    first = queue(lane)
    queue(other, document=2, waits_for=first)
    assert retry_sales_invoice(now=NOW) == 1 and due_at(other) is None
    Job.objects.filter(pk=first.pk).update(state="closed")
    assert retry_sales_invoice(now=NOW) == 1 and due_at(other) is not None


def attempts(company: Any, count: int, *, days_ago: int) -> None:
    Attempt.objects.bulk_create(
        Attempt(
            company=company,
            environment="sandbox",
            kind="invoice",
            operation="sales_save",
            started_at=NOW - timedelta(days=days_ago),
            duration_ms=1,
            outcome="done",
        )
        for _ in range(count)
    )


def test_messages_older_than_the_setting_are_deleted_in_batches_and_younger_ones_stay(amani: Onboarded) -> None:
    attempts(amani.company, BATCH + 5, days_ago=401)
    attempts(amani.company, 3, days_ago=399)
    assert cleanup_old_logs(now=NOW) == BATCH + 5
    assert Attempt.objects.count() == 3
    assert cleanup_old_logs(now=NOW) == 0


def test_how_long_messages_are_kept_is_a_setting(amani: Onboarded, settings: Any) -> None:
    attempts(amani.company, 2, days_ago=31)
    settings.RETENTION_ATTEMPT_DAYS = 30
    assert cleanup_old_logs(now=NOW) == 2


def test_old_data_is_keys_that_ended_long_ago_dead_engines_and_expired_sessions(amani: Onboarded) -> None:
    kept = set(ApiKey.objects.values_list("pk", flat=True))
    make_api_key(amani.company, "sandbox", Role.OWNER, expires_at=NOW - timedelta(days=91))
    revoked, _ = make_api_key(amani.company, "sandbox", Role.OWNER)
    ApiKey.objects.filter(pk=revoked.pk).update(revoked_at=NOW - timedelta(days=91))
    kept.add(make_api_key(amani.company, "sandbox", Role.OWNER, expires_at=NOW - timedelta(days=89))[0].pk)
    make_operator_key(email="ops@revpay.example", expires_at=NOW - timedelta(days=91))
    living, _ = process(seconds=5), process(hours=-2)
    recent = process(minutes=-1)
    BrowserSession.objects.create(session_key="old", session_data="", expire_date=NOW - timedelta(days=1))
    BrowserSession.objects.create(session_key="new", session_data="", expire_date=NOW + timedelta(days=1))
    assert cleanup_old_data(now=NOW) == 5
    assert set(ApiKey.objects.values_list("pk", flat=True)) == kept and not OperatorKey.objects.exists()
    assert set(Process.objects.values_list("token", flat=True)) == {living, recent}
    assert list(BrowserSession.objects.values_list("session_key", flat=True)) == ["new"]
    assert cleanup_old_data(now=NOW) == 0
