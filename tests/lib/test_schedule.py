from datetime import UTC, datetime, timedelta

import pytest

from gateway.lib.schedule import daily, every

NOON = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # in Nairobi


def test_what_is_done_every_five_minutes_is_due_five_minutes_later() -> None:
    assert every(minutes=5).next_after(NOON) == NOON + timedelta(minutes=5)


def test_what_is_done_daily_is_due_at_nairobis_time_whatever_the_zone_of_the_question() -> None:
    one = daily(at="01:00")
    assert one.next_after(NOON) == datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
    assert one.next_after(datetime(2026, 11, 20, 21, 59, tzinfo=UTC)) == datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
    assert one.next_after(datetime(2026, 11, 20, 22, 0, tzinfo=UTC)) == datetime(2026, 11, 21, 22, 0, tzinfo=UTC)


def test_a_period_of_nothing_and_a_time_that_is_none_are_refused() -> None:
    with pytest.raises(ValueError, match="at least a second"):
        every(minutes=0)
    with pytest.raises(ValueError, match="hour"):
        daily(at="25:00")
