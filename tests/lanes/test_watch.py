"""A try without an answer is watched by a clock that nobody can set."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.lanes import watch
from gateway.lanes.watch import Watch

THEN = datetime(2026, 11, 25, 9, tzinfo=UTC)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watch, "time", made)
    return made


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_what_the_wall_clock_says_of_the_try_is_no_matter(clock: Clock, hours: int) -> None:
    seen, sent = Watch(), datetime.now(UTC) + timedelta(hours=hours)
    assert seen.seconds(7, sent) == 0
    clock.now += 5
    assert seen.seconds(7, sent) == 5


def test_a_new_try_is_watched_from_its_beginning_and_so_is_another_job(clock: Clock) -> None:
    seen = Watch()
    seen.seconds(7, THEN)
    clock.now += 5
    assert seen.seconds(7, THEN + timedelta(seconds=1)) == 0
    assert seen.seconds(8, THEN) == 0
    clock.now += 5
    assert (seen.seconds(7, THEN + timedelta(seconds=1)), seen.seconds(8, THEN)) == (5, 5)


def test_who_takes_over_begins_anew(clock: Clock) -> None:
    Watch().seconds(7, THEN)
    clock.now += 500
    assert Watch().seconds(7, THEN) == 0


def test_it_does_not_grow_without_end_and_forgets_the_oldest(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_WATCHED", 3)
    seen = Watch()
    for job in range(4):
        seen.seconds(job, THEN)
    clock.now += 5
    assert [seen.seconds(job, THEN) for job in (1, 2, 3)] == [5, 5, 5]
    assert len(seen._seen) == 3
    assert seen.seconds(0, THEN) == 0


def test_a_try_is_late_after_what_the_profile_says_unless_the_installation_says_otherwise(clock: Clock) -> None:
    by_profile, by_setting = Watch(), Watch(5)
    assert by_profile.is_late(7, None, 300)  # nothing was ever sent
    for seen in (by_profile, by_setting):
        assert not seen.is_late(7, THEN, 300)
    clock.now += 5
    assert (by_profile.is_late(7, THEN, 300), by_setting.is_late(7, THEN, 300)) == (False, True)
    clock.now += 295
    assert by_profile.is_late(7, THEN, 300)
