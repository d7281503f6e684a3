from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.audit.services import record
from gateway.tenants.models import Member, OperatorRole, Role
from gateway.tenants.people import (
    Actor,
    BadAccessEnd,
    LastOwner,
    NotAllowed,
    change_role,
    current_members,
    may_give,
    remove_member,
)
from gateway.tenants.services import add_member
from tests.tenants.factories import make_company

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
OWNER = Actor(Role.OWNER, "person:owner@amani.example")


@pytest.fixture
def company() -> Any:
    return make_company().company


@pytest.fixture
def owner(company: Any) -> Member:
    return add_member(company, email="owner@amani.example", name="Wanjiru", role=Role.OWNER)


@pytest.fixture
def cashier(company: Any) -> Member:
    return add_member(company, email="till@amani.example", name="Otieno", role=Role.CASHIER)


def test_an_owner_makes_a_cashier_manager_and_the_journal_says_so(owner: Member, cashier: Member) -> None:
    changed = change_role(cashier, role=Role.MANAGER, ends_at=None, by=OWNER, now=NOW, journal=record)
    assert Member.objects.get(pk=cashier.pk).role == changed.role == Role.MANAGER
    event = Event.objects.get(name="member.changed")
    assert (event.company, event.subject, event.actor) == (cashier.company, cashier.user.public_id, OWNER.name)
    change_role(cashier, role=Role.MANAGER, ends_at=None, by=OWNER, now=NOW, journal=record)
    assert Event.objects.filter(name="member.changed").count() == 1, "nothing was changed the second time"


def test_the_last_owner_neither_leaves_nor_steps_down(owner: Member, cashier: Member) -> None:
    with pytest.raises(LastOwner):
        remove_member(owner, by=OWNER, now=NOW, journal=record)
    with pytest.raises(LastOwner):
        change_role(owner, role=Role.VIEWER, ends_at=None, by=OWNER, now=NOW, journal=record)
    with pytest.raises(LastOwner):
        change_role(owner, role=Role.OWNER, ends_at=NOW + timedelta(days=9), by=OWNER, now=NOW, journal=record)
    assert not Event.objects.filter(name__startswith="member.").exists()

    change_role(cashier, role=Role.OWNER, ends_at=None, by=OWNER, now=NOW, journal=record)
    remove_member(owner, by=OWNER, now=NOW, journal=record)
    assert list(Member.objects.filter(company=owner.company)) == [cashier]


def test_an_owner_who_is_switched_off_or_leaves_soon_does_not_count(owner: Member, cashier: Member) -> None:
    soon = NOW + timedelta(days=3)
    change_role(cashier, role=Role.OWNER, ends_at=soon, by=OWNER, now=NOW, journal=record)
    with pytest.raises(LastOwner):
        remove_member(owner, by=OWNER, now=NOW, journal=record)
    change_role(cashier, role=Role.OWNER, ends_at=None, by=OWNER, now=NOW, journal=record)
    type(cashier.user).objects.filter(pk=cashier.user.pk).update(is_active=False)
    with pytest.raises(LastOwner):
        remove_member(owner, by=OWNER, now=NOW, journal=record)


@pytest.mark.parametrize("role", [role for role in Role if role != Role.OWNER])
def test_only_an_owner_changes_people(owner: Member, cashier: Member, role: Role) -> None:
    somebody = Actor(role, "person:x@amani.example")
    with pytest.raises(NotAllowed):
        change_role(cashier, role=Role.VIEWER, ends_at=None, by=somebody, now=NOW, journal=record)
    with pytest.raises(NotAllowed):
        remove_member(cashier, by=somebody, now=NOW, journal=record)
    assert Member.objects.get(pk=cashier.pk).role == Role.CASHIER


def test_of_the_staff_admins_give_every_role_the_others_none() -> None:
    for role in Role:
        assert may_give(Actor(OperatorRole.ADMIN, "operator:a"), role)
        assert not may_give(Actor(OperatorRole.SUPPORT, "operator:s"), role)
        assert not may_give(Actor(OperatorRole.READ_ONLY, "operator:r"), role)


@pytest.mark.parametrize("ends_at", [None, NOW, NOW - timedelta(days=1), NOW + timedelta(days=367)])
def test_a_revenue_officer_looks_for_a_limited_time(owner: Member, cashier: Member, ends_at: datetime | None) -> None:
    with pytest.raises(BadAccessEnd):
        change_role(cashier, role=Role.REVENUE_OFFICER, ends_at=ends_at, by=OWNER, now=NOW, journal=record)


def test_when_the_time_is_over_the_place_is_gone(owner: Member, cashier: Member) -> None:
    ends_at = NOW + timedelta(days=30)
    change_role(cashier, role=Role.REVENUE_OFFICER, ends_at=ends_at, by=OWNER, now=NOW, journal=record)
    assert current_members(now=ends_at - timedelta(seconds=1)).filter(pk=cashier.pk).exists()
    assert not current_members(now=ends_at).filter(pk=cashier.pk).exists()
