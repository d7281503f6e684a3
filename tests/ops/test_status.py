"""What the operator's check finds, and whom it tells."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core import mail
from django.core.management import call_command
from django.db import connection

from gateway.devices.models import Device
from gateway.lanes.chores import MOST_FAILURES
from gateway.lanes.models import Attempt, Chore, Job, Lane, Process
from gateway.ops.status import Check, exit_code, run_checks, send_alerts
from tests.tenants.factories import make_active, make_company

pytestmark = pytest.mark.django_db


@pytest.fixture
def well(settings: LazySettings, tmp_path: Path) -> Device:
    """An installation where all is well: an engine runs, one device is active."""
    settings.VAR_DIR = tmp_path
    settings.ADMINS = [("ops", "ops@revpay.example")]
    settings.RUN_SCHEDULER = True
    Process.objects.create(token=uuid.uuid4(), name="engine", expires_at=datetime.now(UTC) + timedelta(minutes=1))
    device = make_active(make_company().device)
    Device.objects.filter(pk=device.pk).update(last_contact_at=datetime.now(UTC))
    return device


def found(name: str) -> Check:
    (check,) = [check for check in run_checks() if check.name == name]
    return check


def run(*options: str) -> tuple[int, str]:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("revpay_status_check", *options, stdout=out, stderr=out)
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue()


def test_when_all_is_well_every_line_says_so_and_the_exit_code_is_0(well: Device) -> None:
    warned = ["isolation"] if connection.vendor == "postgresql" else []  # the tests have one role for everything
    code, said = run("--verbose")
    assert code == len(warned), said
    names = [line.split()[1] for line in said.splitlines() if not line.startswith(" ")]
    assert names[:4] == ["database", "migrations", "engine", "queue"] and {"broker", "disk", "kra"} < set(names)
    assert [line.split()[1] for line in said.splitlines() if not line.startswith(("ok ", " "))] == warned


def test_no_engine_is_a_failure_with_exit_code_2_and_says_what_to_do(well: Device) -> None:
    Process.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    code, said = run()
    assert code == 2
    assert "fail  engine" in said and "manage.py serve" in said


def test_a_held_lane_is_a_warning_with_exit_code_1_and_its_reason_is_shown_to_who_asks(well: Device) -> None:
    Lane.objects.filter(pk=well.lane_id).update(hold_reason="number clash", held_at=datetime.now(UTC))
    assert run()[0] == 1
    code, said = run("--verbose")
    assert code == 1 and "number clash" in said


@pytest.mark.parametrize(("age", "state"), [(1, "ok"), (6, "warn"), (61, "fail")])
def test_a_lane_that_nobody_takes_gets_worse_with_time(well: Device, age: int, state: str) -> None:
    Lane.objects.filter(pk=well.lane_id).update(due_at=datetime.now(UTC) - timedelta(minutes=age))
    Job.objects.create(lane_id=well.lane_id, kind="invoice", document_id=1)
    check = found("queue")
    assert check.state == state and check.said.startswith("1 waiting")


def test_a_lane_in_work_is_not_old(well: Device) -> None:
    owner = Process.objects.get().token
    Lane.objects.filter(pk=well.lane_id).update(due_at=datetime.now(UTC) - timedelta(hours=2), owner=owner)
    assert found("queue").state == "ok"


def test_background_work_that_was_given_up_is_named_with_its_kind_and_number(well: Device) -> None:
    Chore.objects.create(kind="upload", document_id=4, failures=MOST_FAILURES - 1, last_error="ValueError: once more")
    assert found("chores").state == "ok"
    for number in (5, 6):
        Chore.objects.create(kind="receipt_batch", document_id=number, failures=MOST_FAILURES, last_error="OSError: no")
    Chore.objects.create(kind="journal", document_id=7, failures=MOST_FAILURES, last_error="ValueError: odd")
    check = found("chores")
    assert (check.state, check.said) == ("warn", "Given up after 8 failures: 1 journal, 2 receipt_batch.")
    assert sorted(check.more) == [
        "journal 7: ValueError: odd",
        "receipt_batch 5: OSError: no",
        "receipt_batch 6: OSError: no",
    ]
    assert run()[0] == 1


def test_devices_that_are_silent_or_in_trouble_are_named(well: Device) -> None:
    Device.objects.update(last_contact_at=datetime.now(UTC) - timedelta(hours=13))
    assert found("devices").state == "warn" and well.serial in found("devices").more[0]
    Device.objects.update(last_contact_at=datetime.now(UTC), status="trouble", problem="KRA refuses it")
    assert "KRA refuses it" in found("devices").more[0]


def test_kra_is_judged_by_its_newest_answers(well: Device) -> None:
    def attempt(outcome: str) -> None:
        Attempt.objects.create(
            company=well.company,
            environment="sandbox",
            kind="invoice",
            operation="sales_save",
            started_at=datetime.now(UTC),
            duration_ms=5,
            outcome=outcome,
        )

    attempt("not_sent")
    attempt("no_answer")
    assert found("kra").state == "warn" and "Sandbox" in found("kra").said
    attempt("refused")
    assert found("kra").state == "ok"


@pytest.mark.only_on("postgres")
def test_a_month_without_its_tables_is_a_warning_until_they_are_made(well: Device) -> None:
    assert found("months").state == "ok"
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname ~ '^lanes_attempt_[0-9_]+$' ORDER BY relname")
        names = [name for (name,) in cursor.fetchall()]
        assert len(names) > 2
        for name in names[1:]:  # all but this month's
            cursor.execute(f"DROP TABLE {name}")
    check = found("months")
    assert (check.state, check.more) == ("warn", names[1:2])
    call_command("partitions", stdout=StringIO())
    assert found("months").state == "ok"


def test_settings_that_let_strangers_in_are_named(well: Device, settings: LazySettings) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["*"]
    assert found("settings").state == "warn" and "DEBUG" in found("settings").said


def test_a_broker_that_does_not_answer_is_a_warning_for_sales_go_on(well: Device, settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": settings.REDIS_URL}
    }
    assert found("broker").state == "warn"


def test_a_database_that_is_behind_is_a_failure_and_nothing_else_is_asked_of_it(well: Device) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'reports'")
    checks = run_checks()
    assert [check.state for check in checks if check.name == "migrations"] == ["fail"]
    assert "engine" not in {check.name for check in checks}


def test_the_worst_check_decides_the_exit_code() -> None:
    ok, warn, fail = (Check("a", state, "said") for state in ("ok", "warn", "fail"))
    assert [exit_code([ok]), exit_code([ok, warn]), exit_code([warn, fail, ok])] == [0, 1, 2]


@pytest.mark.only_on("sqlite")  # on PostgreSQL the tests' one role for everything is a warning from the start
def test_admins_are_told_once_until_something_changes(well: Device, tmp_path: Path) -> None:
    assert run("--send-alerts")[0] == 0 and not mail.outbox
    Process.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert "Mail was sent" in run("--send-alerts")[1]
    assert "Mail was sent" not in run("--send-alerts")[1]
    (told,) = mail.outbox
    assert told.to == ["ops@revpay.example"] and "failure: engine" in told.subject and "manage.py serve" in told.body
    Lane.objects.filter(pk=well.lane_id).update(hold_reason="number clash")
    run("--send-alerts")
    assert len(mail.outbox) == 2 and "lanes" in mail.outbox[1].subject
    Lane.objects.update(hold_reason="")
    Process.objects.update(expires_at=datetime.now(UTC) + timedelta(minutes=1))
    run("--send-alerts")
    assert len(mail.outbox) == 2  # well again
    Process.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    run("--send-alerts")
    assert len(mail.outbox) == 3
    assert json.loads((tmp_path / "status.json").read_text()) == {"engine": "fail"}


def test_a_mail_that_did_not_go_out_is_tried_again(settings: LazySettings, tmp_path: Path) -> None:
    settings.ADMINS = [("ops", "ops@revpay.example")]
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend",
        "127.0.0.1",
        9,
    )
    checks, state = [Check("engine", "fail", "None is running.", "Start it.")], tmp_path / "status.json"
    with pytest.raises(OSError):
        send_alerts(checks, state_file=state)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert send_alerts(checks, state_file=state) and len(mail.outbox) == 1


def test_no_alert_names_a_secret(well: Device, settings: LazySettings) -> None:
    Process.objects.all().delete()
    run("--send-alerts")
    told = f"{mail.outbox[0].subject}\n{mail.outbox[0].body}"
    assert "engine" in told
    for secret in (settings.SECRET_KEY, *(key.hex() for key in settings.ENCRYPTION_KEYS)):
        assert secret not in told
