"""What a running gateway says of itself: to load balancers, to Prometheus, to nobody else."""

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from gateway.api.health import LANES
from gateway.lanes.models import Lane, Process
from tests.gateway import Gateway
from tests.gateway import gateway as running_gateway
from tests.servers import Simulator, postgres_database
from tests.tenants.factories import make_company

pytestmark = pytest.mark.needs_database
TOKEN = "metrics-token-only-for-tests"


@pytest.fixture(scope="module")
def start(tmp_path_factory: Any, simulator_process: Simulator) -> Iterator[Callable[..., Gateway]]:
    """Start a gateway on an empty database of the kind that this run is about."""
    with ExitStack() as stack:

        def started(**settings: str) -> Gateway:
            folder, url = tmp_path_factory.mktemp("gateway"), os.environ["DATABASE_URL"]
            fresh = (
                f"sqlite:///{folder / 'gateway.sqlite3'}"
                if url.startswith("sqlite")
                else stack.enter_context(postgres_database(url))
            )
            running = running_gateway(folder, fresh, simulator_process, RUN_SCHEDULER="false", **settings)
            return stack.enter_context(running)

        yield started


@pytest.fixture(scope="module")
def well(start: Callable[..., Gateway]) -> Gateway:
    """A gateway with a short lease, so that a database that takes no writes shows soon."""
    return start(ENGINE_LEASE_SECONDS="2", METRICS_TOKEN=TOKEN)


@pytest.fixture(scope="module")
def troubled(start: Callable[..., Gateway]) -> Gateway:
    """A gateway whose Redis is away."""
    return start(REDIS_URL="redis://127.0.0.1:9/0")


def within(seconds: float, wanted: Callable[[], bool]) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not wanted():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@contextlib.contextmanager
def nobody_writes(database_url: str) -> Iterator[None]:
    """Keep every heartbeat out of the database until the block ends; reading goes on."""
    if database_url.startswith("sqlite"):
        writer = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            writer.execute("ROLLBACK")
            writer.close()
        return
    with psycopg.connect(database_url) as locked:
        locked.execute("LOCK TABLE lanes_process IN EXCLUSIVE MODE")
        yield
        locked.rollback()


def metrics(gateway: Gateway, **headers: str) -> dict[str, float]:
    answer = gateway.call("GET", "/metrics", headers=headers)
    assert answer.status == 200, answer
    lines = [line for line in answer.body.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_a_gateway_that_is_well_says_what_it_stands_on(well: Gateway, simulator: Simulator) -> None:
    answer = well.call("GET", "/health/")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.body["status"] == "ok"
    assert answer.body["database"]["status"] == "ok" and answer.body["engine"]["status"] == "ok"
    assert answer.body["broker"] == "not configured"
    assert well.onboard(simulator).sell("POS-1").status == 201
    (host,) = well.call("GET", "/health/").body["kra"]
    assert host["host"] == simulator.url.removeprefix("http://")
    assert (host["breaker"], host["failed_seconds_ago"]) == ("closed", None)
    assert host["answered_seconds_ago"] < 60


def test_sales_that_wait_and_lanes_that_are_held_are_counted_but_sales_are_still_kept(
    troubled: Gateway, simulator: Simulator
) -> None:
    shop = troubled.onboard(simulator)
    simulator.fault("sales_save", "result_code", code="901", pin=shop.pin)
    held = shop.sell("POS-1", wait=0)
    assert held.status == 202
    assert within(10, lambda: troubled.call("GET", "/health/").body["queue"]["held_lanes"] == 1)
    answer = troubled.call("GET", "/health/")
    assert (answer.status, answer.body["status"]) == (200, "degraded")
    assert answer.body["queue"]["queued"] + answer.body["queue"]["started"] == 1
    assert metrics(troubled)["gateway_lanes_held"] == 1
    assert shop.pin not in str(answer.body)


@pytest.mark.django_db
def test_the_age_of_the_queue_is_that_of_the_oldest_lane_which_nobody_alive_has() -> None:
    company = make_company().company
    assert read_lanes() == (None, 0)
    now = datetime.now(UTC)
    living, dead = uuid.uuid4(), uuid.uuid4()
    Process.objects.create(token=living, name="living", expires_at=now + timedelta(minutes=1))
    Process.objects.create(token=dead, name="dead", expires_at=now - timedelta(minutes=1))

    def lane(number: int, *, hours: int, **more: Any) -> None:
        due_at = now - timedelta(hours=hours)
        Lane.objects.create(company=company, pin=f"P{number}", environment="sandbox", due_at=due_at, **more)

    lane(1, hours=1)
    lane(2, hours=-1)
    assert read_lanes() == (1, 0)
    lane(3, hours=5, owner=living)
    lane(4, hours=6, hold_reason="somebody must look")
    assert read_lanes() == (1, 1)
    lane(5, hours=3, owner=dead)
    assert read_lanes() == (3, 1)


def read_lanes() -> tuple[float | None, int]:
    """The age in whole hours and the number of held lanes, by the statement of this run's database."""
    sql = LANES.sqlite[0] if connection.vendor == "sqlite" else LANES.postgres
    with connection.cursor() as cursor:
        cursor.execute(sql)
        seconds, held = cursor.fetchone()
    return (None if seconds is None else round(seconds / 3600), held)


def test_a_database_that_takes_no_writes_is_503_and_its_return_200(well: Gateway) -> None:
    assert well.call("GET", "/health/").status == 200
    with nobody_writes(well.database_url):
        assert within(15, lambda: well.call("GET", "/health/").status == 503)
        assert well.call("GET", "/health/").body["status"] == "down"
    assert within(30, lambda: well.call("GET", "/health/").status == 200)


def test_a_broker_that_is_away_is_told_and_costs_no_sale(troubled: Gateway, simulator: Simulator) -> None:
    answer = troubled.call("GET", "/health/")
    assert (answer.status, answer.body["status"], answer.body["broker"]) == (200, "degraded", "down")
    assert troubled.onboard(simulator).sell("POS-1").status == 201


def test_metrics_count_what_became_of_each_sale(well: Gateway, simulator: Simulator) -> None:
    shop = well.onboard(simulator)
    before = metrics(well)
    assert shop.sell("POS-1").status == 201
    assert shop.sell("POS-1").status == 200  # known: counted once
    simulator.fault("sales_save", "result_code", code="910", times=1, pin=shop.pin)
    assert shop.sell("POS-2").status == 422
    simulator.fault("sales_save", "answer_lost", times=1, pin=shop.pin)
    assert shop.sell("POS-3").status == 201
    after = metrics(well)
    for name, count in {"accepted": 3, "signed": 2, "refused": 1, "unknown": 1}.items():
        series = f'gateway_invoices_{name}_total{{environment="sandbox"}}'
        assert after[series] - before.get(series, 0) == count, name
    for outcome, count in {"done": 1, "no_answer": 1, "refused": 1}.items():
        series = f'gateway_kra_seconds_count{{operation="sales_save",outcome="{outcome}"}}'
        assert after[series] - before.get(series, 0) == count, outcome
    assert after["gateway_commit_operations_count"] > before["gateway_commit_operations_count"]
    assert {"gateway_queue_age_seconds", "gateway_lanes_held", "gateway_requests_waiting"} <= after.keys()
    assert shop.pin not in well.call("GET", "/metrics").body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"X-Forwarded-For": "198.51.100.7"}, 403),
        ({"X-Forwarded-For": "198.51.100.7", "Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Forwarded": "for=198.51.100.7"}, 403),
    ],
)
def test_metrics_are_for_this_machine_and_for_who_has_the_token(
    well: Gateway, headers: dict[str, str], status: int
) -> None:
    assert well.call("GET", "/metrics", headers=headers).status == status
