"""More devices and branches of a company, and what it still lacks."""

import uuid
from typing import Any

import pytest
from django.conf import LazySettings

from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.devices.onboarding import Onboarded
from gateway.devices.services import add_device
from gateway.lib.cursor import write_cursor
from gateway.tenants.models import Branch, Company, OperatorRole, Role
from gateway.tenants.services import make_api_key
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.devices.kra_ends import refusing
from tests.servers import Simulator
from tests.tenants.factories import go_live, key_with, make_active, operator_key_text

pytestmark = pytest.mark.django_db
PIN = "P051234567X"
WESTLANDS = {"code": "01", "name": "Westlands", "city": "Nairobi"}


def devices(company: Company) -> str:
    return f"/api/companies/{company.public_id}/devices/"


def listed(company: Company) -> str:
    return f"/api/integration/companies/{company.public_id}/devices/"


def checklist(company: Company) -> str:
    return f"/api/companies/{company.public_id}/checklist/"


# Adding


def test_a_second_branch_gets_a_device_of_its_own_in_one_call(owner: Caller, kra: Simulator, amani: Onboarded) -> None:
    kra.approve(PIN, "01", "AMANI-01")
    response = owner.post(devices(amani.company), {"serial": "AMANI-01", "branch": WESTLANDS})
    assert response.status_code == 201
    made = response.json()
    assert (made["status"], made["branch"], made["environment"]) == (
        "active",
        {"code": "01", "name": "Westlands"},
        "sandbox",
    )
    assert Device.objects.get(serial="AMANI-01").lane != amani.device.lane
    assert set(Event.objects.values_list("name", flat=True)) >= {"branch.added", "device.added", "device.activated"}


def test_one_company_has_oscu_and_vscu_side_by_side(owner: Caller, kra: Simulator, amani: Onboarded) -> None:
    kra.approve(PIN, "01", "AMANI-V", kind="vscu")
    body = {"serial": "AMANI-V", "device_type": "vscu", "branch": WESTLANDS}
    made = owner.post(devices(amani.company), body).json()
    assert (made["device_type"], made["status"]) == ("vscu", "active")
    kinds = [device["device_type"] for device in owner.get(listed(amani.company)).json()["devices"]]
    assert kinds == ["oscu", "vscu"]


def test_the_staff_adds_a_device_to_any_company_that_it_sees(admin: Caller, kra: Simulator, amani: Onboarded) -> None:
    kra.approve(PIN, "01", "AMANI-01")
    assert admin.post(devices(amani.company), {"serial": "AMANI-01", "branch": WESTLANDS}).status_code == 201
    reseller = Caller(operator_key_text(OperatorRole.ADMIN, reseller="Somebody else"))
    problem(reseller.post(devices(amani.company), {"serial": "X", "branch": WESTLANDS}), 404, "not_found")
    looker = Caller(operator_key_text(OperatorRole.READ_ONLY))
    problem(looker.post(devices(amani.company), {"serial": "X", "branch": WESTLANDS}), 403, "role_not_allowed")


def test_a_device_is_kept_with_the_reason_when_kra_is_away_and_activated_later(
    owner: Caller, admin: Caller, kra: Simulator, amani: Onboarded, settings: LazySettings
) -> None:
    kra.approve(PIN, "01", "AMANI-01")
    settings.KRA_SANDBOX_BASE_URL = f"{refusing()}/oscu/etims-api"
    made = owner.post(devices(amani.company), {"serial": "AMANI-01", "branch": WESTLANDS})
    assert made.status_code == 201
    assert (made.json()["status"], made.json()["problem"]["code"]) == ("waiting", "not_connected")
    settings.KRA_SANDBOX_BASE_URL = f"{kra.url}/oscu/etims-api"
    assert admin.post("/api/device/init/", {"device": made.json()["id"]}).json()["status"] == "active"


def test_a_branch_that_has_an_active_device_takes_a_second_only_to_wait(owner: Caller, amani: Onboarded) -> None:
    make_active(amani.device)
    body: dict[str, Any] = {"serial": "SECOND"}
    problem(owner.post(devices(amani.company), body), 409, "branch_has_active_device")
    assert not Device.objects.filter(serial="SECOND").exists()
    assert owner.post(devices(amani.company), {**body, "activate": False}).json()["status"] == "waiting"
    problem(owner.post(devices(amani.company), {**body, "activate": False}), 409, "serial_taken")


@pytest.mark.parametrize("role", [Role.ACCOUNTANT, Role.CASHIER, Role.VIEWER, Role.REVENUE_OFFICER])
def test_only_owners_and_managers_add_devices(amani: Onboarded, role: Role) -> None:
    caller = Caller(key_with(amani.company, role)[1])
    problem(caller.post(devices(amani.company), {"serial": "X"}), 403, "role_not_allowed")
    assert caller.get(listed(amani.company)).status_code == 200
    assert caller.get(checklist(amani.company)).status_code == 200


def test_a_key_that_is_bound_to_a_device_adds_no_other_and_lists_only_it(amani: Onboarded) -> None:
    second = add_device(company=amani.company, branch=amani.branch, environment="sandbox", serial="SECOND")
    bound = Caller(key_with(amani.company, Role.OWNER, device=second.public_id)[1])
    problem(bound.post(devices(amani.company), {"serial": "X"}), 403, "role_not_allowed")
    assert [one["serial"] for one in bound.get(listed(amani.company)).json()["devices"]] == ["SECOND"]


def test_a_stranger_finds_no_company(owner: Caller, stranger: Onboarded) -> None:
    for named in (str(stranger.company.public_id), str(uuid.uuid4()), "nonsense"):
        problem(owner.post(f"/api/companies/{named}/devices/", {"serial": "X"}), 404, "not_found")
        for path in (f"/api/integration/companies/{named}/devices/", f"/api/companies/{named}/checklist/"):
            answer = owner.get(path)
            problem(answer, 404, "not_found")
            assert "STRANGER" not in answer.content.decode()
    assert Device.objects.filter(company=stranger.company).count() == 1


def test_a_suspended_company_adds_nothing_but_the_staff_may(owner: Caller, admin: Caller, amani: Onboarded) -> None:
    Company.objects.update(status="suspended")
    body = {"serial": "X", "branch": WESTLANDS, "activate": False}
    problem(owner.post(devices(amani.company), body), 403, "company_not_active")
    assert admin.post(devices(amani.company), body).status_code == 201


def test_each_environment_has_its_own_devices(owner: Caller, admin: Caller, amani: Onboarded) -> None:
    body = {"serial": "LIVE-1", "environment": "production", "activate": False}
    assert fields(owner.post(devices(amani.company), body)) == {"environment": "other_environment"}
    problem(admin.post(devices(amani.company), body), 409, "production_closed")
    go_live(amani.company)
    assert admin.post(devices(amani.company), body).json()["environment"] == "production"
    assert fields(owner.get(listed(amani.company), {"environment": "production"})) == {
        "environment": "other_environment"
    }
    live = Caller(make_api_key(amani.company, "production", Role.OWNER)[1])
    assert [one["serial"] for one in live.get(listed(amani.company)).json()["devices"]] == ["LIVE-1"]
    assert [one["serial"] for one in owner.get(listed(amani.company)).json()["devices"]] == ["AMANI-00"]
    assert len(admin.get(listed(amani.company)).json()["devices"]) == 2
    assert len(admin.get(listed(amani.company), {"environment": "production"}).json()["devices"]) == 1


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"serial": "missing"}),
        ({"serial": ""}, {"serial": "blank"}),
        ({"serial": "X", "device_type": "etr"}, {"device_type": "unknown_value"}),
        ({"serial": "X", "branch": {"code": "1"}}, {"branch.code": "wrong_form"}),
        ({"serial": "X", "environment": "live"}, {"environment": "unknown_value"}),
        ({"serial": "X", "colour": "red"}, {"colour": "unknown_field"}),
        ({"serial": "X", "activate": "maybe"}, {"activate": "not_yes_no"}),
        (
            {"serial": "X", "device_type": "vscu", "base_url": "http://169.254.169.254/"},
            {"device.base_url": "wrong_address"},
        ),
    ],
)
def test_each_wrong_field_is_named(owner: Caller, amani: Onboarded, body: Any, wrong: dict[str, str]) -> None:
    assert fields(owner.post(devices(amani.company), body)) == wrong
    assert Device.objects.count() == 1 and Branch.objects.count() == 1


# Listing


def test_pages_of_devices_neither_repeat_nor_skip_one(owner: Caller, amani: Onboarded) -> None:
    for number in range(4):
        add_device(company=amani.company, branch=amani.branch, environment="sandbox", serial=f"S{number}")
    serials, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = owner.get(listed(amani.company), {"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        serials += [one["serial"] for one in page["devices"]]
        cursor, pages = page["next"], pages + 1
        if pages == 1:
            add_device(company=amani.company, branch=amani.branch, environment="sandbox", serial="LATE")
    assert serials == ["AMANI-00", "S0", "S1", "S2", "S3", "LATE"]


def test_the_list_is_filtered_and_wrong_input_is_named(owner: Caller, amani: Onboarded, stranger: Onboarded) -> None:
    path = listed(amani.company)
    assert owner.get(path, {"status": "active"}).json() == {"devices": [], "next": None}
    assert len(owner.get(path, {"status": "waiting"}).json()["devices"]) == 1
    assert fields(owner.get(path, {"status": "broken"})) == {"status": "unknown_value"}
    assert fields(owner.get(path, {"limit": 0})) == {"limit": "too_small"}
    assert fields(owner.get(path, {"colour": "red"})) == {"colour": "unknown_field"}
    for cursor in ("nonsense", write_cursor(stranger.device.public_id), write_cursor(uuid.uuid4())):
        problem(owner.get(path, {"cursor": cursor}), 422, "bad_cursor")


# The checklist


def test_the_checklist_says_at_any_time_what_is_missing(owner: Caller, kra: Simulator, amani: Onboarded) -> None:
    def missing() -> list[str]:
        shown = owner.get(checklist(amani.company)).json()
        assert shown["environment"] == "sandbox"
        assert all(point["detail"] for point in shown["checklist"])
        assert shown["done"] == all(point["done"] for point in shown["checklist"])
        return [point["step"] for point in shown["checklist"] if not point["done"]]

    assert missing() == ["owner", "device", "reference_data", "items", "first_sale"]
    assert owner.post("/api/device/init/", {}).status_code == 200
    assert missing() == ["owner", "items", "first_sale"]
    Device.objects.update(status="trouble", problem="KRA does not know it.")
    shown = owner.get(checklist(amani.company)).json()["checklist"]
    assert {point["step"]: point["detail"] for point in shown}["device"] == "KRA does not know it."


def test_the_staff_sees_the_checklist_of_either_environment(admin: Caller, amani: Onboarded) -> None:
    assert admin.get(checklist(amani.company)).json()["environment"] == "sandbox"
    shown = admin.get(checklist(amani.company), {"environment": "production"}).json()
    assert (shown["environment"], shown["done"]) == ("production", False)
    assert fields(admin.get(checklist(amani.company), {"env": "x"})) == {"env": "unknown_field"}
