"""Celery over a real Redis: beat's rows, a worker that does the chores, and a Redis that forgets everything."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from django.core.management import CommandError, call_command

from gateway.ops.children import Child
from gateway.wiring import SCHEDULE
from tests.gateway import ROOT, ledger_of
from tests.gateway import gateway as running_gateway
from tests.migrated import give_tables
from tests.servers import Simulator
from tests.test_servers import speak

pytestmark = pytest.mark.needs_database
NAMES = sorted(work.__name__ for _, work in SCHEDULE)
CELERY = [sys.executable, "-m", "celery", "-A", "gateway"]
# All in one process, for each start of Django takes a second or more
SET_UP_TWICE_AND_CLEAR = """
import io, json
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask

def rows():
    found = PeriodicTask.objects.filter(task__startswith="gateway.")
    return {row.name: [row.task, row.enabled, str(row.interval or row.crontab)] for row in found}

def set_up(*options):
    said = io.StringIO()
    call_command("setup_celery_beat", *options, stdout=said)
    return {"said": said.getvalue().splitlines(), "rows": rows()}

runs = [set_up(), set_up()]
PeriodicTask.objects.filter(name="cleanup_old_logs").update(enabled=False)
PeriodicTask.objects.filter(name="cleanup_old_data").update(task="gateway.elsewhere")
crontab = PeriodicTask.objects.get(name="generate_daily_report").crontab
PeriodicTask.objects.create(name="of an older release", task="gateway.gone", crontab=crontab)
PeriodicTask.objects.create(name="of the operator", task="theirs.work", crontab=crontab)
runs += [set_up(), set_up("--clear-existing")]
print(json.dumps({"runs": runs, "all": sorted(PeriodicTask.objects.values_list("name", flat=True))}))
"""
SOMETHING_TO_CLEAN_UP_EACH_SECOND = """
from datetime import timedelta
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from gateway.lib.clock import utc_now
from gateway.tenants.services import make_api_key, onboard_company

company = onboard_company(pin="P051234567X", name="Amani Stores Ltd")
make_api_key(company, "sandbox", "owner", expires_at=utc_now() - timedelta(days=91))
make_api_key(company, "sandbox", "owner")
call_command("setup_celery_beat")
soon = IntervalSchedule.objects.create(every=1, period="seconds")
PeriodicTask.objects.filter(name="cleanup_old_data").update(crontab=None, interval=soon)
"""


class Installation:
    """A database with a broker, spoken to with commands as its operator does."""

    def __init__(self, database_url: str, redis_url: str, folder: Path) -> None:
        self.environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
        self.folder = folder
        give_tables(self.environment)

    def manage(self, *arguments: str) -> str:
        arguments = (sys.executable, "manage.py", *arguments)
        done = subprocess.run(arguments, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shell(self, code: str) -> str:
        return self.manage("shell", "--no-imports", "-c", code)

    def child(self, name: str, *arguments: str) -> Child:
        log = self.folder / f"{name}.log"
        return Child(name, [*CELERY, *arguments], log=log, environment=self.environment, cwd=ROOT)

    def log_of(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.fixture
def installation(database_url: str, redis_url: str, tmp_path: Path) -> Installation:
    speak(redis_url, b"FLUSHALL")
    return Installation(database_url, redis_url, tmp_path)


@pytest.fixture
def worker(installation: Installation) -> Iterator[Child]:
    child = installation.child("worker", "worker", "--concurrency", "1", "--loglevel", "INFO", "--without-mingle")
    try:
        child.wait_until(lambda: " ready." in installation.log_of("worker"), seconds=90)
        yield child
    finally:
        child.stop()


def test_beat_gets_one_row_for_each_piece_of_work_and_a_second_run_changes_nothing(installation: Installation) -> None:
    done = json.loads(installation.shell(SET_UP_TWICE_AND_CLEAR))
    first, second, third, cleared = done["runs"]
    assert sorted(first["said"]) == [f"made      {name}" for name in NAMES]
    assert sorted(first["rows"]) == NAMES
    assert first["rows"]["retry_sales_invoice"] == ["gateway.retry_sales_invoice", True, "every minute"]
    daily = first["rows"]["generate_daily_report"][2]
    assert daily.startswith("0 1 * * *") and "Africa/Nairobi" in daily
    assert sorted(second["said"]) == [f"unchanged {name}" for name in NAMES]
    assert second["rows"] == first["rows"]
    assert [line for line in third["said"] if "unchanged" not in line] == ["changed   cleanup_old_data"]
    assert third["rows"].keys() == {*NAMES, "of an older release"}
    assert third["rows"]["cleanup_old_logs"][1] is False  # switched off by the operator
    assert [line for line in cleared["said"] if "unchanged" not in line] == ["removed   of an older release"]
    assert sorted(cleared["rows"]) == NAMES and "of the operator" in done["all"]


@pytest.mark.django_db
def test_without_a_broker_there_are_no_rows_to_write() -> None:
    with pytest.raises(CommandError, match="REDIS_URL is not set"):
        call_command("setup_celery_beat")


def test_a_worker_knows_every_piece_of_work_and_does_what_beat_sends(installation: Installation, worker: Child) -> None:
    installation.shell(SOMETHING_TO_CLEAN_UP_EACH_SECOND)
    beat = installation.child("beat", "beat", "--loglevel", "INFO", "--pidfile=", "--max-interval", "1")
    try:
        worker.wait_until(lambda: "Periodic work is done: 1" in installation.log_of("worker"), seconds=90)
    finally:
        beat.stop()
    lines = [json.loads(line) for line in installation.log_of("worker").splitlines() if line.startswith("{")]
    assert any(line.get("work") == "cleanup_old_data" for line in lines)
    with Celery(broker=installation.environment["REDIS_URL"]) as app, app.connection() as connection:
        registered = app.control.inspect(connection=connection, timeout=10, limit=1).registered() or {}
    assert {f"gateway.{name}" for name in NAMES} <= {task for tasks in registered.values() for task in tasks}


def test_wiping_redis_loses_nothing(tmp_path: Path, database_url: str, redis_url: str, simulator: Simulator) -> None:
    speak(redis_url, b"FLUSHALL")
    with running_gateway(tmp_path, database_url, simulator, REDIS_URL=redis_url) as gateway:
        shop = gateway.onboard(simulator)
        simulator.fault("sales_save", "http_status", pin=shop.pin)
        kept = [shop.sell(f"POS-{number}", wait=0) for number in range(1, 4)]
        assert [answer.status for answer in kept] == [202] * 3
        assert speak(redis_url, b"FLUSHALL").startswith(b"+OK")
        simulator.clear_faults()
        assert [shop.settled(answer.body["id"])["number"] for answer in kept] == [1, 2, 3]
        assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "POS-2"), (3, "POS-3")]
        assert gateway.call("GET", "/health/").body["broker"] == "ok"
        assert shop.sell("POS-4").status == 201


def test_a_process_that_has_its_role_leaves_none_to_those_it_starts() -> None:
    """A `migrate` started from there would connect as chores, who may not even exist yet."""
    asked = (
        "import os; from django.conf import settings; settings.DEBUG; import gateway.celery; "
        "print(os.environ.get('DATABASE_ROLE'))"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
