from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.devices.onboarding import Onboarded
from gateway.lib.cursor import write_cursor
from gateway.tenants.models import Company, OperatorRole, Organisation
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.tenants.factories import make_company, make_stranger, operator_key_text

pytestmark = pytest.mark.django_db

LIST = "/api/companies/"


def path(made: Onboarded) -> str:
    return f"{LIST}{made.company.public_id}/"


def suspend(caller: Caller, made: Onboarded, status: str = "suspended", reason: str = "unpaid") -> Any:
    return caller.put(f"{path(made)}status/", {"status": status, "reason": reason})


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [company["name"] for company in response.json()["companies"]]


# The list


def test_the_staff_sees_every_company_newest_first(admin: Caller, amani: Onboarded, stranger: Onboarded) -> None:
    assert names(admin.get(LIST)) == ["Stranger Ltd", "Amani Stores Ltd"]
    shown = admin.get(LIST).json()["companies"][1]
    assert shown == {
        "id": str(amani.company.public_id),
        "pin": "P051234567X",
        "name": "Amani Stores Ltd",
        "status": "active",
        "plan": "standard",
        "email": "owner@amani.example",
        "phone": "+254700000001",
        "reseller": None,
        "onboarded_at": shown["onboarded_at"],
    }


def test_before_the_first_company_the_list_is_empty(admin: Caller) -> None:
    assert admin.get(LIST).json() == {"companies": [], "next": None}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "active"}, ["Amani Stores Ltd"]),
        ({"status": "suspended"}, ["Stranger Ltd"]),
        ({"status": "closed"}, []),
        ({"plan": "gold"}, ["Stranger Ltd"]),
        ({"pin": "p051234567x"}, ["Amani Stores Ltd"]),
        ({"pin": "P000000000A"}, []),
        ({"name": "STORES"}, ["Amani Stores Ltd"]),
        ({"name": "%"}, []),
        ({"name": ""}, ["Stranger Ltd", "Amani Stores Ltd"]),
        ({"environment": "sandbox"}, ["Stranger Ltd", "Amani Stores Ltd"]),
        ({"environment": "production"}, []),
        ({"status": "suspended", "name": "amani"}, []),
    ],
)
def test_filters_narrow_the_list(
    admin: Caller, amani: Onboarded, stranger: Onboarded, query: dict[str, str], found: list[str]
) -> None:
    Company.objects.filter(pk=stranger.company.pk).update(status="suspended", plan="gold")
    assert names(admin.get(LIST, query)) == found


def test_pages_neither_repeat_nor_skip_a_company_while_new_ones_come(admin: Caller) -> None:
    for number in range(5):
        make_company(pin=f"P05000000{number}A", name=f"Shop {number}", serial=f"S{number}")
    first = admin.get(LIST, {"limit": 2})
    make_company(pin="P050000009A", name="Shop 9", serial="S9")
    second = admin.get(LIST, {"limit": 2, "cursor": first.json()["next"]})
    third = admin.get(LIST, {"limit": 2, "cursor": second.json()["next"]})
    assert names(first) + names(second) + names(third) == ["Shop 4", "Shop 3", "Shop 2", "Shop 1", "Shop 0"]
    assert third.json()["next"] is None


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"status": "gone"}, {"status": "unknown_value"}),
        ({"pin": "P05"}, {"pin": "bad_pin"}),
        ({"limit": "0"}, {"limit": "too_small"}),
        ({"limit": "201"}, {"limit": "too_large"}),
        ({"statsu": "active"}, {"statsu": "unknown_field"}),
        ({"name": "a\x00b"}, {"name": "not_printable"}),
    ],
)
def test_a_wrong_filter_is_named(admin: Caller, query: dict[str, str], wrong: dict[str, str]) -> None:
    assert fields(admin.get(LIST, query)) == wrong


def test_a_cursor_of_nobody_is_told(admin: Caller, amani: Onboarded) -> None:
    for cursor in ("x", "%", write_cursor(amani.device.public_id)):
        problem(admin.get(LIST, {"cursor": cursor}), 422, "bad_cursor")


def test_a_companys_key_lists_no_companies(owner: Caller) -> None:
    problem(owner.get(LIST), 403, "operator_needed")
    problem(Caller(None).get(LIST), 401, "key_missing")
    problem(Caller("rvp_ops_nonsense").get(LIST), 401, "key_unknown")


def test_open_onboarding_opens_nothing_else(settings: Any, amani: Onboarded) -> None:
    settings.OPEN_ONBOARDING = True
    problem(Caller(None).get(LIST), 401, "key_missing")
    problem(Caller(None).get(path(amani)), 401, "key_missing")
    problem(Caller(amani.key_text).get(LIST), 403, "operator_needed")


# One company


def test_a_company_sees_itself_and_no_other(owner: Caller, amani: Onboarded, stranger: Onboarded) -> None:
    assert owner.get(path(amani)).json()["name"] == "Amani Stores Ltd"
    for id in (stranger.company.public_id, amani.device.public_id, "x", "00"):
        answer = owner.get(f"{LIST}{id}/")
        problem(answer, 404, "not_found")
        assert "Stranger" not in answer.content.decode()


# Resellers


def test_a_resellers_staff_onboards_and_sees_only_its_own_companies(admin: Caller, amani: Onboarded) -> None:
    duka = Caller(operator_key_text(reseller="Duka Systems"))
    assert names(duka.get(LIST)) == []
    body = {"company": {"pin": "P051000101A", "name": "Baraka Ltd"}, "device": {"serial": "BARAKA-1"}}
    made = duka.post("/api/onboard/", body)
    assert made.status_code == 201
    assert names(duka.get(LIST)) == ["Baraka Ltd"]
    shown = duka.get(f"{LIST}{made.json()['company']['id']}/").json()
    assert shown["reseller"] == "Duka Systems"
    assert names(admin.get(LIST)) == ["Baraka Ltd", "Amani Stores Ltd"]
    other = Caller(operator_key_text(reseller="Other Systems"))
    assert names(other.get(LIST)) == []
    for caller, id in [(duka, amani.company.public_id), (other, made.json()["company"]["id"])]:
        problem(caller.get(f"{LIST}{id}/"), 404, "not_found")
        problem(
            caller.get(LIST, {"cursor": write_cursor(Company.objects.latest("pk").public_id)[:5]}), 422, "bad_cursor"
        )
        problem(caller.put(f"{LIST}{id}/status/", {"status": "suspended", "reason": "x"}), 404, "not_found")
        for part in ("branches", "keys"):
            problem(caller.get(f"{LIST}{id}/{part}/"), 404, "not_found")
    assert not Company.objects.exclude(status="active").exists()


def test_a_cursor_from_the_list_of_all_is_no_cursor_for_a_reseller(admin: Caller, amani: Onboarded) -> None:
    make_stranger()
    cursor = admin.get(LIST, {"limit": 1}).json()["next"]
    problem(Caller(operator_key_text(reseller="Duka")).get(LIST, {"cursor": cursor}), 422, "bad_cursor")


def test_there_is_one_organisation_that_sees_all(admin: Caller) -> None:
    operator_key_text(OperatorRole.SUPPORT)
    operator_key_text(reseller="Duka")
    assert Organisation.objects.filter(sees_all=True).count() == 1


# The status


def test_a_suspended_company_is_reactivated_and_the_journal_tells_why(admin: Caller, amani: Onboarded) -> None:
    assert suspend(admin, amani).json()["status"] == "suspended"
    assert suspend(admin, amani, reason="again").json()["status"] == "suspended"
    assert suspend(admin, amani, "active", "").json()["status"] == "active"
    assert suspend(admin, amani, "closed", "moved away").json()["status"] == "closed"
    events = Event.objects.filter(name__startswith="company.").exclude(name="company.onboarded").order_by("id")
    assert [(event.name, event.data["reason"], event.actor) for event in events] == [
        ("company.suspended", "unpaid", "operator:admin@integrator.example"),
        ("company.reactivated", "", "operator:admin@integrator.example"),
        ("company.closed", "moved away", "operator:admin@integrator.example"),
    ]


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_a_company_is_not_stopped_without_a_reason(admin: Caller, amani: Onboarded, status: str) -> None:
    for reason in ("", "  "):
        assert fields(suspend(admin, amani, status, reason)) == {"reason": "missing"}
    assert fields(suspend(admin, amani, "gone")) == {"status": "unknown_value"}
    assert fields(suspend(admin, amani, status, "x" * 301)) == {"reason": "too_long"}
    problem(admin.put(f"{path(amani)}status/", b""), 400, "not_json")
    assert Company.objects.get().status == "active"


@pytest.mark.parametrize("role", [OperatorRole.SUPPORT, OperatorRole.READ_ONLY])
def test_only_an_admin_of_the_staff_changes_a_status(amani: Onboarded, owner: Caller, role: OperatorRole) -> None:
    problem(suspend(Caller(operator_key_text(role)), amani), 403, "role_not_allowed")
    problem(suspend(owner, amani), 403, "operator_needed")
    assert Company.objects.get().status == "active"


def test_an_operators_rights_shrink_with_the_persons(admin: Caller, amani: Onboarded) -> None:
    Organisation.objects.get().staff.update(role=OperatorRole.READ_ONLY)
    problem(suspend(admin, amani), 403, "role_not_allowed")
    Organisation.objects.get().staff.all().delete()
    problem(admin.get(LIST), 401, "key_unknown")


# Branches


def branches(caller: Caller, made: Onboarded) -> Any:
    response = caller.get(f"{path(made)}branches/")
    assert response.status_code == 200, response.content
    return response.json()["branches"]


def test_an_owner_opens_a_branch_and_renames_it(owner: Caller, amani: Onboarded) -> None:
    body = {"code": "01", "name": "Westlands", "city": "Nairobi", "bottom_message": "Asante"}
    added = owner.post(f"{path(amani)}branches/", body)
    assert added.status_code == 201
    assert added.json() == {**body, "address": "", "top_message": ""}
    changed = owner.put(f"{path(amani)}branches/01/", {"name": "Westlands Mall", "city": ""})
    assert changed.json() == {**added.json(), "name": "Westlands Mall", "city": ""}
    assert owner.put(f"{path(amani)}branches/01/", {}).json() == changed.json()
    assert [(branch["code"], branch["name"]) for branch in branches(owner, amani)] == [
        ("00", "Head office"),
        ("01", "Westlands Mall"),
    ]
    events = Event.objects.filter(name__startswith="branch.").order_by("id")
    assert [(event.name, event.data["branch"]) for event in events] == [
        ("branch.added", "01"),
        ("branch.changed", "01"),
    ]
    assert all(event.actor.startswith("key:owner:rvp_sbx_") for event in events)


def test_a_branch_is_opened_once(owner: Caller, amani: Onboarded) -> None:
    problem(owner.post(f"{path(amani)}branches/", {"code": "00"}), 409, "branch_taken")
    for code in ("1", "001", "A1", ""):
        assert fields(owner.post(f"{path(amani)}branches/", {"code": code})) == {"code": "wrong_form"}
    assert fields(owner.post(f"{path(amani)}branches/", {"code": "02", "top_message": "x" * 21})) == {
        "top_message": "too_long"
    }
    assert len(branches(owner, amani)) == 1


def test_a_branch_that_is_not_there_is_not_changed(owner: Caller, amani: Onboarded) -> None:
    for code in ("09", "x", "000", "\u0660\u0660"):
        problem(owner.put(f"{path(amani)}branches/{code}/", {"name": "x"}), 404, "not_found")


def test_a_suspended_company_opens_no_branch_but_the_staff_may(admin: Caller, owner: Caller, amani: Onboarded) -> None:
    suspend(admin, amani)
    problem(owner.post(f"{path(amani)}branches/", {"code": "01"}), 403, "company_not_active")
    problem(owner.put(f"{path(amani)}branches/00/", {"name": "x"}), 403, "company_not_active")
    assert admin.post(f"{path(amani)}branches/", {"code": "01"}).status_code == 201
