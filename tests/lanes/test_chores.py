from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.lanes.chores import (
    KEPT,
    LEASE,
    MOST_FAILURES,
    Beat,
    carry_chore,
    forget_given_up_chores,
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


def test_what_is_given_up_is_told_once_and_only_then() -> None:
    told: list[int] = []
    queue_chore("broken", 7)
    queue_chore("work", 8)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    pk = Chore.objects.get(kind="broken").pk
    for failures in range(1, MOST_FAILURES + 2):
        carry_chore(pk, WORKS, {"broken": told.append, "work": told.append}, clock=lambda now=now: now)  # type: ignore[misc]
        assert told == ([7] if failures >= MOST_FAILURES else [])
        now += timedelta(hours=2)


def test_a_chore_is_not_given_up_before_that_can_be_told() -> None:
    def away(document_id: int) -> None:
        raise ConnectionError

    queue_chore("broken", 7)
    Chore.objects.update(failures=MOST_FAILURES - 1)
    pk = Chore.objects.get().pk
    with pytest.raises(ConnectionError):
        carry_chore(pk, WORKS, {"broken": away})
    assert Chore.objects.get().failures == MOST_FAILURES - 1


def test_one_that_another_carrier_took_is_not_given_up_by_the_first() -> None:
    told: list[int] = []
    queue_chore("slow", 7)
    Chore.objects.update(failures=MOST_FAILURES - 1)
    pk = Chore.objects.get().pk

    def fails_too_late(document_id: int, beat: Beat) -> None:
        assert carry_chore(pk, {"slow": work}, clock=lambda: utc_now() + 2 * LEASE)
        raise ValueError

    assert not carry_chore(pk, {"slow": fails_too_late}, {"slow": told.append})
    assert (done, told) == ([7], [])


def test_what_was_given_up_a_month_ago_is_forgotten_and_what_waits_is_not() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    for number, failures, age in ((1, MOST_FAILURES, 1), (2, MOST_FAILURES, -1), (3, MOST_FAILURES - 1, 1)):
        Chore.objects.create(
            kind="broken", document_id=number, failures=failures, due_at=now - KEPT - timedelta(days=age)
        )
    assert forget_given_up_chores(before=now - KEPT) == 1
    assert sorted(Chore.objects.values_list("document_id", flat=True)) == [2, 3]
