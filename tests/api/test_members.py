from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from gateway.audit.models import Event
from gateway.devices.onboarding import Onboarded
from gateway.tenants.models import Company, Member, OperatorRole, Role, User
from gateway.tenants.services import add_member
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.tenants.factories import key_with, operator_key_text

pytestmark = pytest.mark.django_db(transaction=True)


def path(made: Onboarded, member: Member | str = "", verb: str = "") -> str:
    id = str(member.user.public_id) if isinstance(member, Member) else member
    return "/".join(part for part in (f"/api/companies/{made.company.public_id}/members", id, verb) if part) + "/"


def come(made: Onboarded, name: str, role: Role = Role.CASHIER) -> Member:
    return add_member(made.company, email=f"{name}@amani.example", name=name.title(), role=role)


@pytest.fixture
def wanjiru(amani: Onboarded) -> Member:
    """Amani's only owner."""
    return come(amani, "wanjiru", Role.OWNER)


def test_the_list_shows_everybody_with_a_place_page_by_page(owner: Caller, amani: Onboarded, wanjiru: Member) -> None:
    otieno, kim = come(amani, "otieno"), come(amani, "kim", Role.VIEWER)
    Member.objects.filter(pk=kim.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    User.objects.filter(pk=otieno.user_id).update(is_active=False)
    first = owner.get(path(amani), {"limit": 2}).json()
    second = owner.get(path(amani), {"limit": 2, "cursor": first["next"]}).json()
    shown = [(row["email"], row["role"], row["status"]) for row in first["members"] + second["members"]]
    assert shown == [
        (wanjiru.user.email, "owner", "active"),
        ("otieno@amani.example", "cashier", "switched_off"),
        ("kim@amani.example", "viewer", "ended"),
    ]
    assert second["next"] is None and "password" not in str(first)
    assert [row["name"] for row in owner.get(path(amani), {"role": "cashier"}).json()["members"]] == ["Otieno"]
    assert owner.get(path(amani), {"role": "accountant"}).json() == {"members": [], "next": None}
    problem(owner.get(path(amani), {"cursor": "x"}), 422, "bad_cursor")
    assert fields(owner.get(path(amani), {"rolle": "viewer"})) == {"rolle": "unknown_field"}


def test_a_role_is_changed_once_and_the_journal_says_from_what_to_what(owner: Caller, amani: Onboarded) -> None:
    otieno = come(amani, "otieno")
    ends = (timezone.now() + timedelta(days=9)).replace(microsecond=0)
    for _ in range(2):  # the second changes nothing and is not recorded
        answer = owner.put(path(amani, otieno), {"role": "manager", "access_until": ends.isoformat()})
        assert (answer.status_code, answer.json()["role"]) == (200, "manager")
    event = Event.objects.get(name="member.changed")
    assert event.actor == f"key:owner:{amani.key_text[:16]}" and event.subject == otieno.user.public_id
    assert event.before == {"role": "cashier", "access_until": None}
    assert event.after == {"role": "manager", "access_until": ends.isoformat()}
    assert owner.put(path(amani, otieno), {"role": "manager"}).json()["access_until"] is None


def test_somebody_taken_out_is_gone_from_here_and_nowhere_else(
    owner: Caller, amani: Onboarded, stranger: Onboarded
) -> None:
    otieno = come(amani, "otieno")
    elsewhere = add_member(stranger.company, email="otieno@amani.example", name="", role=Role.VIEWER)
    shown = owner.post(path(amani, otieno, "remove"), {})
    assert (shown.status_code, shown.json()["email"]) == (200, "otieno@amani.example")
    assert not Member.objects.filter(pk=otieno.pk).exists() and Member.objects.filter(pk=elsewhere.pk).exists()
    assert Event.objects.get(name="member.removed").before == {"role": "cashier", "access_until": None}
    problem(owner.post(path(amani, otieno, "remove"), {}), 404, "not_found")
    problem(owner.put(path(amani, otieno), {"role": "viewer"}), 404, "not_found")


def test_the_last_owner_neither_leaves_nor_steps_down(owner: Caller, amani: Onboarded, wanjiru: Member) -> None:
    ends = (timezone.now() + timedelta(days=9)).isoformat()
    come(amani, "otieno", Role.MANAGER)
    problem(owner.post(path(amani, wanjiru, "remove"), {}), 409, "last_owner")
    problem(owner.put(path(amani, wanjiru), {"role": "manager"}), 409, "last_owner")
    problem(owner.put(path(amani, wanjiru), {"role": "owner", "access_until": ends}), 409, "last_owner")
    assert Member.objects.get(pk=wanjiru.pk).role == Role.OWNER
    come(amani, "kim", Role.OWNER)
    assert owner.put(path(amani, wanjiru), {"role": "manager"}).status_code == 200


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({}, {"role": "missing"}),
        ({"role": "king"}, {"role": "unknown_value"}),
        ({"role": "revenue_officer"}, {"access_until": "wrong_end"}),
        ({"role": "viewer", "access_until": "2020-01-01T00:00:00Z"}, {"access_until": "wrong_end"}),
        ({"role": "viewer", "rolle": "x"}, {"rolle": "unknown_field"}),
    ],
)
def test_what_is_wrong_is_named(owner: Caller, amani: Onboarded, told: dict[str, Any], named: dict[str, str]) -> None:
    otieno = come(amani, "otieno")
    assert fields(owner.put(path(amani, otieno), told)) == named
    assert Member.objects.get(pk=otieno.pk).role == Role.CASHIER


@pytest.mark.parametrize("role", [role for role in Role if role != Role.OWNER])
def test_only_owners_keys_speak_for_people(amani: Onboarded, role: Role) -> None:
    otieno = come(amani, "otieno")
    caller = Caller(key_with(amani.company, role, expires_at=timezone.now() + timedelta(days=1))[1])
    for answer in (
        caller.get(path(amani)),
        caller.put(path(amani, otieno), {"role": "viewer"}),
        caller.post(path(amani, otieno, "remove"), {}),
    ):
        problem(answer, 403, "role_not_allowed")
    assert Member.objects.get(pk=otieno.pk).role == Role.CASHIER


def test_of_the_staff_an_admin_may_and_only_in_companies_that_they_see(admin: Caller, amani: Onboarded) -> None:
    otieno = come(amani, "otieno")
    assert admin.put(path(amani, otieno), {"role": "owner"}).status_code == 200
    problem(Caller(operator_key_text(OperatorRole.SUPPORT)).get(path(amani)), 403, "role_not_allowed")
    reseller = Caller(operator_key_text(reseller="Duka"))
    problem(reseller.put(path(amani, otieno), {"role": "viewer"}), 404, "not_found")


def test_a_stranger_gets_404_whatever_they_name(amani: Onboarded, stranger: Onboarded) -> None:
    otieno, theirs = come(amani, "otieno"), Caller(stranger.key_text)
    problem(theirs.get(path(amani)), 404, "not_found")
    for made, named in ((amani, otieno), (stranger, otieno), (stranger, "x")):
        problem(theirs.put(path(made, named), {"role": "viewer"}), 404, "not_found")
        problem(theirs.post(path(made, named, "remove"), {}), 404, "not_found")
    assert Member.objects.get(pk=otieno.pk).role == Role.CASHIER


def test_a_suspended_company_changes_nobody_but_the_staff_may(owner: Caller, admin: Caller, amani: Onboarded) -> None:
    otieno = come(amani, "otieno")
    Company.objects.update(status="suspended")
    problem(owner.put(path(amani, otieno), {"role": "viewer"}), 403, "company_not_active")
    assert owner.get(path(amani)).status_code == 200
    assert admin.post(path(amani, otieno, "remove"), {}).status_code == 200
