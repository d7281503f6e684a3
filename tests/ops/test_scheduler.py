"""The embedded shape's clockwork, with the clock in the test's hands."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection

from gateway.lib.schedule import When, daily, every
from gateway.ops.scheduler import CATCH_UP, Scheduler
from gateway.wiring import SCHEDULE

pytestmark = pytest.mark.django_db  # between two pieces of work it lets go of connections that have gone stale
MORNING = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)  # 09:00 in Nairobi


class Clock:
    def __init__(self) -> None:
        self.now = MORNING

    def __call__(self) -> datetime:
        return self.now


class Day:
    """A scheduler with one row, and how often its work was done."""

    def __init__(self, when: When, work: Callable[[], object] | None = None) -> None:
        self.clock, self.done = Clock(), 0
        self.scheduler = Scheduler([(when, work or self.count)], clock=self.clock)

    def count(self) -> int:
        self.done += 1
        return self.done

    def after(self, **time: float) -> int:
        """How often it was done when so much time has passed."""
        self.clock.now += timedelta(**time)
        self.scheduler.run_due()
        return self.done


def test_work_of_every_minute_is_first_done_after_a_minute_and_then_each_minute() -> None:
    day = Day(every(minutes=1))
    assert [day.after(seconds=59), day.after(seconds=1), day.after(seconds=30), day.after(seconds=31)] == [0, 1, 1, 2]


def test_after_a_long_sleep_of_the_machine_work_is_done_once_not_once_for_each_minute() -> None:
    day = Day(every(minutes=1))
    assert [day.after(hours=9), day.after(seconds=59), day.after(seconds=1)] == [1, 1, 2]


def test_daily_work_is_done_soon_after_a_start_and_then_at_its_time() -> None:
    day = Day(daily(at="01:00"))
    assert day.after(seconds=CATCH_UP.total_seconds() - 1) == 0
    assert day.after(seconds=1) == 1
    assert day.after(hours=15) == 1  # 00:02 in Nairobi
    assert day.after(hours=1) == 2
    assert day.after(hours=1) == 2


def test_daily_work_whose_time_comes_before_the_catching_up_is_done_at_its_time() -> None:
    day = Day(daily(at="09:01"))
    assert [day.after(minutes=1), day.after(minutes=1)] == [1, 1]


def test_a_clock_that_was_set_back_neither_repeats_work_nor_stops_it() -> None:
    day = Day(every(minutes=1))
    assert [day.after(minutes=1), day.after(hours=-5), day.after(minutes=1)] == [1, 1, 2]


def test_work_that_fails_is_logged_and_done_again_at_its_next_time(caplog: pytest.LogCaptureFixture) -> None:
    def breaks() -> None:
        raise OSError("no disk")

    day = Day(every(minutes=1), breaks)
    other = Day(every(minutes=1))
    both = Scheduler([(every(minutes=1), breaks), (every(minutes=1), other.count)], clock=day.clock)
    for _ in range(2):
        day.clock.now += timedelta(minutes=1)
        both.run_due()
    assert other.done == 2
    assert [record.levelno for record in caplog.records if "breaks failed" in record.message] == [logging.ERROR] * 2


def test_every_piece_of_work_has_a_name_of_its_own_and_says_what_a_second_run_does() -> None:
    names = [work.__name__ for _, work in SCHEDULE]
    assert len(set(names)) == len(names)
    assert {
        "retry_sales_invoice",
        "sync_device_status",
        "cleanup_old_logs",
        "cleanup_old_data",
        "generate_daily_report",
        "generate_compliance_reports",
    } <= set(names)
    assert all(work.__doc__ for _, work in SCHEDULE)


def test_the_one_process_on_sqlite_runs_the_schedule_and_on_postgresql_beat_does() -> None:
    assert settings.RUN_SCHEDULER is (connection.vendor == "sqlite")
