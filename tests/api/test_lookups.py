from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache

from gateway.catalog.models import KraBranch, KraRecord, Notice, PinLookup
from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Attempt
from gateway.tenants.models import Role
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.servers import Simulator
from tests.tenants.factories import key_with, make_stranger

pytestmark = pytest.mark.django_db
BUYER = "A012345678Z"  # the simulator knows it


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    cache.clear()


@pytest.fixture
def active(owner: Caller, kra: Simulator) -> Caller:
    """Amani's owner, with a device that KRA has activated."""
    assert owner.post("/api/device/init/", {}).json()["status"] == "active"
    Attempt.objects.all().delete()  # the company's own PIN was asked for, to compare the names
    PinLookup.objects.all().delete()
    return owner


def asked() -> int:
    return Attempt.objects.filter(operation="customer_pin_lookup").count()


# PINs


def test_a_pin_is_asked_for_once_and_kept_with_its_age(active: Caller) -> None:
    first = active.get(f"/api/lookups/pin/{BUYER}/").json()
    assert (first["is_known"], first["name"], first["status"]) == (True, "EXAMPLE BUYER LTD", "active")
    assert (first["is_fresh"], asked()) == (True, 1)
    PinLookup.objects.update(asked_at=PinLookup.objects.get().asked_at - timedelta(hours=2))
    second = active.get(f"/api/lookups/pin/{BUYER.lower()}/").json()
    assert 7200 <= second["age_seconds"] < 7300
    assert asked() == 1
    third = active.get(f"/api/lookups/pin/{BUYER}/", {"max_age": 60}).json()
    assert (third["age_seconds"], asked()) == (0, 2)


def test_a_pin_that_kra_does_not_know_is_answered_and_asked_for_again_after_an_hour(active: Caller) -> None:
    path = "/api/lookups/pin/P999999999X/"
    answer = active.get(path).json()
    assert (answer["is_known"], answer["name"], answer["status"]) == (False, None, None)
    active.get(path)
    assert asked() == 1
    PinLookup.objects.update(asked_at=PinLookup.objects.get().asked_at - timedelta(hours=2))
    active.get(path)
    assert asked() == 2


def test_when_kra_is_away_what_it_said_before_is_given(active: Caller, kra: Simulator) -> None:
    active.get(f"/api/lookups/pin/{BUYER}/")
    kra.fault("customer_pin_lookup", "http_status", status=503, times=2)
    answer = active.get(f"/api/lookups/pin/{BUYER}/", {"max_age": 0}).json()
    assert (answer["is_fresh"], answer["name"]) == (False, "EXAMPLE BUYER LTD")
    problem(active.get("/api/lookups/pin/P000000101S/"), 503, "kra_unreachable")


def test_after_kra_said_too_often_it_is_left_alone_for_a_minute(active: Caller, kra: Simulator) -> None:
    kra.fault("customer_pin_lookup", "result_code", code="990", times=1)
    problem(active.get(f"/api/lookups/pin/{BUYER}/"), 503, "kra_unreachable")
    before = asked()
    problem(active.get(f"/api/lookups/pin/{BUYER}/"), 503, "kra_unreachable")
    assert asked() == before
    cache.clear()
    assert active.get(f"/api/lookups/pin/{BUYER}/").json()["is_known"]


def test_one_companys_questions_are_not_anothers_answers(active: Caller, amani: Onboarded) -> None:
    active.get(f"/api/lookups/pin/{BUYER}/")
    problem(Caller(make_stranger().key_text).get(f"/api/lookups/pin/{BUYER}/"), 409, "device_not_ready")


@pytest.mark.parametrize(
    ("pin", "code"), [("12345", "bad_pin"), ("P05123456XX", "bad_pin"), ("P051234567XX", "bad_pin")]
)
def test_what_is_no_pin_is_not_asked_for(owner: Caller, pin: str, code: str) -> None:
    assert fields(owner.get(f"/api/lookups/pin/{pin}/")) == {"pin": code}
    assert fields(owner.get(f"/api/lookups/pin/{BUYER}/", {"max_age": -1})) == {"max_age": "too_small"}


# Branches and notices


def test_the_branches_that_kra_knows_are_shown(active: Caller) -> None:
    [branch] = active.get("/api/lookups/branches/").json()["branches"]
    assert (branch["code"], branch["status"], branch["is_head_office"]) == ("00", "open", True)
    assert Caller(make_stranger().key_text).get("/api/lookups/branches/").json() == {"branches": []}
    assert KraBranch.objects.count() == 1


def make_notices(count: int) -> None:
    Notice.objects.bulk_create(
        Notice(environment="sandbox", number=number, title=f"Notice {number}", body="…")
        for number in range(1, count + 1)
    )


def test_notices_come_newest_first_in_pages(owner: Caller) -> None:
    assert owner.get("/api/notices/").json() == {"notices": [], "next": None}
    make_notices(5)
    first = owner.get("/api/notices/", {"limit": 3}).json()
    second = owner.get("/api/notices/", {"limit": 3, "cursor": first["next"]}).json()
    assert [row["number"] for row in first["notices"] + second["notices"]] == [5, 4, 3, 2, 1]
    assert second["next"] is None
    problem(owner.get("/api/notices/", {"cursor": "?"}), 422, "bad_cursor")


def test_a_notice_is_unread_until_the_company_has_read_it(owner: Caller) -> None:
    make_notices(2)
    stranger = Caller(make_stranger().key_text)
    for _ in range(2):
        assert owner.post("/api/notices/2/read/", {}).json()["is_read"]
    unread = owner.get("/api/notices/", {"unread": "true"}).json()["notices"]
    assert [row["number"] for row in unread] == [1]
    assert [row["is_read"] for row in owner.get("/api/notices/").json()["notices"]] == [True, False]
    assert len(stranger.get("/api/notices/", {"unread": "true"}).json()["notices"]) == 2
    problem(owner.post("/api/notices/9/read/", {}), 404, "not_found")


# Records at KRA

RECORDS: list[tuple[str, dict[str, Any], str]] = [
    ("customers", {"number": "C-1", "pin": BUYER, "name": "Example Buyer"}, "branch_customer_save"),
    ("kra-users", {"user_id": "wanjiku", "name": "Wanjiku Kamau"}, "branch_user_save"),
    ("insurers", {"code": "NHIF", "name": "Health Fund", "rate": 20}, "branch_insurance_save"),
]


@pytest.mark.parametrize(("path", "body", "operation"), RECORDS)
def test_a_record_is_registered_once_changed_and_listed(
    active: Caller, path: str, body: dict[str, Any], operation: str
) -> None:
    made = active.post(f"/api/{path}/", body)
    assert made.status_code == 201, made.content
    assert {name: made.json()[name] for name in body} == body
    assert active.post(f"/api/{path}/", body).status_code == 200
    assert Attempt.objects.filter(operation=operation).count() == 1
    changed = active.post(f"/api/{path}/", {**body, "in_use": False})
    assert (changed.status_code, changed.json()["in_use"], changed.json()["id"]) == (201, False, made.json()["id"])
    [row] = next(rows for rows in active.get(f"/api/{path}/").json().values() if isinstance(rows, list))
    assert row == changed.json()
    stranger = Caller(make_stranger().key_text)
    assert [] in stranger.get(f"/api/{path}/").json().values()


def test_records_come_in_pages(active: Caller, amani: Onboarded) -> None:
    for number in range(3):
        active.post("/api/customers/", {"number": f"C-{number}", "pin": BUYER, "name": "Buyer"})
    first = active.get("/api/customers/", {"limit": 2}).json()
    second = active.get("/api/customers/", {"limit": 2, "cursor": first["next"]}).json()
    assert [row["number"] for row in first["customers"] + second["customers"]] == ["C-2", "C-1", "C-0"]
    one = first["customers"][0]
    assert active.get(f"/api/customers/{one['id']}/").json() == one
    problem(Caller(make_stranger().key_text).get(f"/api/customers/{one['id']}/"), 404, "not_found")


def test_the_password_that_kra_demands_is_known_to_nobody(active: Caller) -> None:
    active.post("/api/kra-users/", {"user_id": "wanjiku", "name": "Wanjiku Kamau"})
    assert "password" not in str(KraRecord.objects.get().data)
    assert '"pwd":"***' in Attempt.objects.get(operation="branch_user_save").request.replace(" ", "")


def test_what_kra_refuses_is_not_kept(active: Caller, kra: Simulator) -> None:
    kra.fault("branch_customer_save", "result_code", code="910", times=1)
    body = {"number": "C-1", "pin": BUYER, "name": "Example Buyer"}
    problem(active.post("/api/customers/", body), 422, "refused_by_kra")
    kra.fault("branch_customer_save", "http_status", status=503, times=1)
    assert active.post("/api/customers/", body).status_code == 503
    assert not KraRecord.objects.exists()
    assert active.post("/api/customers/", body).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("customers", {"number": "C-1", "pin": "X", "name": "B"}, {"pin": "bad_pin"}),
        ("customers", {"number": "1234567890", "pin": BUYER, "name": "B"}, {"number": "too_long"}),
        ("customers", {"number": "1", "pin": BUYER, "name": ""}, {"name": "blank"}),
        ("kra-users", {"user_id": "", "name": "B"}, {"user_id": "blank"}),
        ("insurers", {"code": "X", "name": "B", "rate": 101}, {"rate": "too_large"}),
        ("insurers", {"code": "X", "name": "B", "rate": 1, "kind": 2}, {"kind": "unknown_field"}),
    ],
)
def test_each_wrong_field_of_a_record_is_named(
    owner: Caller, path: str, body: dict[str, Any], wrong: dict[str, str]
) -> None:
    assert fields(owner.post(f"/api/{path}/", body)) == wrong


def test_only_owners_and_managers_register_and_mark(amani: Onboarded) -> None:
    make_notices(1)
    viewer = Caller(key_with(amani.company, Role.VIEWER)[1])
    for path, body, _ in RECORDS:
        problem(viewer.post(f"/api/{path}/", body), 403, "role_not_allowed")
        assert viewer.get(f"/api/{path}/").status_code == 200
    problem(viewer.post("/api/notices/1/read/", {}), 403, "role_not_allowed")


def test_without_an_active_device_nothing_can_be_registered(owner: Caller) -> None:
    problem(owner.post("/api/customers/", RECORDS[0][1]), 409, "device_not_ready")
