from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.lanes.chores import (
    LEASE,
    MOST_FAILURES,
    Beat,
    carry_chore,
    queue_chore,
    resume_chores,
    set_carrier,
)
from gateway.lanes.models import Chore
from gateway.lib.clock import utc_now

pytestmark = pytest.mark.django_db
done: list[int] = []


def work(document_id: int, beat: Beat) -> None:
    beat()
    done.append(document_id)


def broken(document_id: int, beat: Beat) -> None:
    raise ValueError("no such thing\x00")


WORKS = {"work": work, "broken": broken}


@pytest.fixture(autouse=True)
def nobody_carries() -> Iterator[None]:
    done.clear()
    yield
    set_carrier(None)


def test_a_chore_is_done_once_and_then_gone() -> None:
    queue_chore("work", 7)
    queue_chore("work", 7)
    pk = Chore.objects.get().pk
    assert carry_chore(pk, WORKS)
    assert not carry_chore(pk, WORKS)
    assert (done, Chore.objects.count()) == ([7], 0)


@pytest.mark.django_db(transaction=True)
def test_whoever_carries_is_told_when_it_is_durable_and_a_carrier_that_fails_harms_nobody() -> None:
    handed: list[int] = []
    set_carrier(handed.append)
    queue_chore("work", 1)
    assert handed == [Chore.objects.get().pk]

    def away(pk: int) -> None:
        raise ConnectionError

    set_carrier(away)
    queue_chore("work", 2)
    set_carrier(handed.append)
    assert resume_chores() == 2
    assert len(handed) == 3


def test_two_do_not_carry_one_chore() -> None:
    queue_chore("work", 7)
    pk = Chore.objects.get().pk

    def meanwhile(document_id: int, beat: Beat) -> None:
        assert not carry_chore(pk, WORKS)
        assert resume_chores() == 0

    assert carry_chore(pk, {"work": meanwhile})
    assert done == []


def test_one_that_was_left_behind_is_carried_again_and_the_first_carrier_stops() -> None:
    queue_chore("work", 7)
    pk = Chore.objects.get().pk

    def sleeps_too_long(document_id: int, beat: Beat) -> None:
        later = utc_now() + 2 * LEASE
        assert resume_chores(now=later) == 1
        assert carry_chore(pk, WORKS, clock=lambda: later)
        beat()
        done.append(-1)

    assert not carry_chore(pk, {"work": sleeps_too_long})
    assert (done, Chore.objects.count()) == ([7], 0)


def test_what_fails_is_tried_again_later_and_in_the_end_left_to_a_person() -> None:
    queue_chore("broken", 7)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    pk = Chore.objects.get().pk
    for failures in range(1, MOST_FAILURES + 1):
        assert not carry_chore(pk, WORKS, clock=lambda now=now: now)  # type: ignore[misc]
        chore = Chore.objects.get()
        assert (chore.failures, chore.last_error) == (failures, "ValueError: no such thing")
        assert chore.due_at > now
        assert resume_chores(now=now) == 0
        now += timedelta(hours=2)
    assert resume_chores(now=now) == 0
    assert not carry_chore(pk, WORKS, clock=lambda: now)
    assert Chore.objects.get().failures == MOST_FAILURES
