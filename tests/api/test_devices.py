import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from gateway.audit.models import Event
from gateway.devices.activation import SENTENCES
from gateway.devices.models import Device
from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Job, Lane
from gateway.tenants.models import Branch, Company, Role
from gateway.tenants.services import make_api_key
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.devices.kra_ends import ending, refusing
from tests.kra.simulated import Shop, playing
from tests.servers import Simulator
from tests.tenants.factories import key_with, make_active, make_company, make_stranger

pytestmark = pytest.mark.django_db
INIT = "/api/device/init/"


def test_a_device_is_activated_and_a_second_request_shows_it(owner: Caller, kra: Simulator) -> None:
    first = owner.post(INIT, {"device": "AMANI-00"})
    assert first.status_code == 200
    assert (first.json()["status"], first.json()["reference_data"]) == ("active", True)
    assert owner.post(INIT, {}).json() == first.json()
    assert sum("selectInitOsdcInfo" in str(request) for request in kra.requests()) == 1


def test_kras_refusal_comes_with_its_own_words_and_ours(owner: Caller, kra: Simulator, amani: Onboarded) -> None:
    Device.objects.update(serial="UNKNOWN-1")
    refused = problem(owner.post(INIT, {}), 422, "refused_by_kra")
    assert refused["detail"] == SENTENCES["901"]
    assert refused["kra"]["code"] == "901"
    assert refused["kra"]["message"] not in {"", SENTENCES["901"]}
    assert refused["device"]["status"] == "trouble"
    shown = owner.get(f"/api/device/{amani.device.public_id}/status/").json()
    assert shown == refused["device"]


def test_a_refused_device_is_sent_again_only_when_a_person_says_so(owner: Caller, kra: Simulator) -> None:
    Device.objects.update(serial="LATE-1")
    problem(owner.post(INIT, {}), 422, "refused_by_kra")
    kra.approve("P051234567X", "00", "LATE-1")
    problem(owner.post(INIT, {}), 422, "refused_by_kra")
    assert owner.post(INIT, {"again": True}).status_code == 200


def test_nothing_was_sent_is_503_and_may_be_repeated(owner: Caller, kra: Simulator, settings: LazySettings) -> None:
    settings.KRA_SANDBOX_BASE_URL = f"{refusing()}/oscu/etims-api"
    response = owner.post(INIT, {})
    problem(response, 503, "kra_unreachable")
    assert int(response["Retry-After"]) > 0
    settings.KRA_SANDBOX_BASE_URL = f"{kra.url}/oscu/etims-api"
    assert owner.post(INIT, {}).status_code == 200


def test_a_lost_answer_is_not_repeated_nor_called_a_failure(
    owner: Caller, kra: Simulator, settings: LazySettings
) -> None:
    with ending(None) as server:
        settings.KRA_SANDBOX_BASE_URL = f"{server.url}/oscu/etims-api"
        for _ in range(3):
            response = owner.post(INIT, {})
            assert response.status_code == 202
            assert response.json()["status"] == "activating"
            assert response.json()["problem"]["detail"] == SENTENCES["lost"]
        assert server.requests == 1


def test_while_another_request_asks_kra_the_answer_is_202(owner: Caller, kra: Simulator) -> None:
    Device.objects.update(status="activating", activation_sent_at="2026-11-20T09:00Z")
    response = owner.post(INIT, {})
    assert response.status_code == 202
    assert response.json()["status"] == "activating"


@pytest.mark.parametrize("role", [Role.CASHIER, Role.ACCOUNTANT, Role.VIEWER])
def test_only_owners_and_managers_activate_but_all_may_look(amani: Onboarded, role: Role) -> None:
    caller = Caller(key_with(amani.company, role)[1])
    problem(caller.post(INIT, {}), 403, "role_not_allowed")
    problem(caller.post(f"/api/device/{amani.device.public_id}/key/", KEY), 403, "role_not_allowed")
    assert caller.get(f"/api/device/{amani.device.public_id}/status/").status_code == 200


def test_a_strangers_device_is_not_there(owner: Caller) -> None:
    stranger = make_stranger().device
    for named in (str(stranger.public_id), stranger.serial, str(uuid.uuid4()), "%00"):
        problem(owner.get(f"/api/device/{named}/status/"), 404, "not_found")
        problem(owner.post(f"/api/device/{named}/key/", KEY), 404, "not_found")
    problem(owner.post(INIT, {"device": stranger.serial}), 404, "not_found")


def test_a_key_of_production_sees_no_sandbox_device(amani: Onboarded) -> None:
    caller = Caller(make_api_key(amani.company, "production", Role.OWNER)[1])
    problem(caller.get("/api/device/AMANI-00/status/"), 404, "not_found")


def test_a_key_bound_to_a_device_sees_no_other(amani: Onboarded) -> None:
    bound = Caller(key_with(amani.company, Role.OWNER, device=uuid.uuid4())[1])
    problem(bound.get("/api/device/AMANI-00/status/"), 404, "not_found")


def test_a_suspended_company_activates_nothing(owner: Caller, kra: Simulator) -> None:
    Company.objects.update(status="suspended")
    problem(owner.post(INIT, {}), 403, "company_not_active")
    assert owner.get("/api/device/AMANI-00/status/").status_code == 200
    assert not kra.requests()


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"device": 5}, {"device": "not_text"}),
        ({"again": "maybe"}, {"again": "not_yes_no"}),
        ({"serial": "AMANI-00"}, {"serial": "unknown_field"}),
        ([], {"(body)": "not_an_object"}),
        ("x", {"(body)": "not_an_object"}),
        (None, {"(body)": "not_an_object"}),
    ],
)
def test_each_wrong_field_of_an_activation_is_named(owner: Caller, body: Any, wrong: dict[str, str]) -> None:
    assert fields(owner.post(INIT, json.dumps(body))) == wrong


KEY = {"key": "given-earlier", "control_unit": "KRACU0100000001", "machine_code": "WIS00000001", "last_number": 41}


async def _sells_one(shop: Shop) -> Shop:
    await shop.sell()
    return shop


@pytest.fixture
def other(kra: Simulator) -> tuple[Shop, Caller]:
    """Another system that activated a device and signed one invoice, and its company's owner, who comes to us now."""
    shop = playing(kra, "oscu_direct", _sells_one)
    return shop, Caller(make_company(pin=shop.pin, serial=shop.device).key_text)


def test_an_existing_key_is_entered_by_hand_and_never_shown_again(other: tuple[Shop, Caller]) -> None:
    shop, owner = other
    path = f"/api/device/{shop.device}/key/"
    response = owner.post(path, {**KEY, "key": shop.key, "last_number": 1})
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["control_unit"]) == ("active", "KRACU0100000001")
    assert Lane.objects.get(series="invoice").next_number == 2
    again = owner.post(path, {**KEY, "key": shop.key, "last_number": 1})
    problem(again, 409, "device_not_ready")
    shown = owner.get(f"/api/device/{shop.device}/status/")
    for answer in (response, again, shown):
        assert shop.key not in answer.content.decode()


def test_stock_and_purchases_go_on_after_their_last_numbers_too(other: tuple[Shop, Caller]) -> None:
    shop, owner = other
    path, told = f"/api/device/{shop.device}/key/", {**KEY, "key": shop.key, "last_number": 1}
    wrong = owner.post(path, {**told, "last_stock_number": -1, "last_purchase_number": "x"})
    assert fields(wrong) == {"last_stock_number": "too_small", "last_purchase_number": "not_whole_number"}
    assert owner.post(path, {**told, "last_stock_number": 812, "last_purchase_number": 96}).status_code == 200
    numbers = dict(Lane.objects.exclude(series="item").values_list("series", "next_number"))
    assert numbers == {"invoice": 2, "stock": 813, "purchase": 97}


def test_only_the_head_office_has_purchases(other: tuple[Shop, Caller]) -> None:
    shop, owner = other
    Branch.objects.update(code="01")
    told = {**KEY, "key": shop.key, "last_number": 1, "last_purchase_number": 1}
    wrong = owner.post(f"/api/device/{shop.device}/key/", told)
    assert fields(wrong) == {"last_purchase_number": "not_head_office"}


def test_kra_is_asked_whether_key_and_number_are_right(other: tuple[Shop, Caller]) -> None:
    shop, owner = other
    path = f"/api/device/{shop.device}/key/"
    for number in (0, 2):
        assert fields(owner.post(path, {**KEY, "key": shop.key, "last_number": number})) == {
            "last_number": "not_the_last"
        }
    refused = owner.post(path, {**KEY, "last_number": 1})
    told = problem(refused, 422, "refused_by_kra")
    assert told["kra"]["code"] and [one["field"] for one in told["fields"]] == ["key"]
    assert "given-earlier" not in refused.content.decode()


def test_a_key_is_not_taken_on_trust_while_kra_is_away(owner: Caller) -> None:
    problem(owner.post("/api/device/AMANI-00/key/", KEY), 503, "kra_unreachable")


def test_a_number_that_would_go_back_is_a_conflict(other: tuple[Shop, Caller]) -> None:
    shop, owner = other
    Lane.objects.update(next_number=100)
    told = {**KEY, "key": shop.key, "last_number": 1}
    problem(owner.post(f"/api/device/{shop.device}/key/", told), 409, "lane_in_use")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"key": ""}, {"key": "wrong_form"}),
        ({"key": "line\nbreak"}, {"key": "wrong_form"}),
        ({"control_unit": "X" * 19}, {"control_unit": "wrong_form"}),
        ({"machine_code": "X" * 12}, {"machine_code": "wrong_form"}),
        ({"last_number": -1}, {"last_number": "too_small"}),
        ({"last_number": 1.5}, {"last_number": "not_whole_number"}),
        ({"last_number": 10**30}, {"last_number": "too_large"}),
    ],
)
def test_each_wrong_field_of_a_key_is_named(owner: Caller, change: dict[str, Any], wrong: dict[str, str]) -> None:
    response = owner.post("/api/device/AMANI-00/key/", {**KEY, **change})
    assert fields(response) == wrong
    assert "given-earlier" not in response.content.decode()


# Replacing and retiring


def test_a_device_is_replaced_and_the_old_one_retires_when_the_new_one_is_active(owner: Caller, kra: Simulator) -> None:
    kra.approve("P051234567X", "00", "AMANI-00B")
    assert owner.post(INIT, {}).status_code == 200
    response = owner.post("/api/device/AMANI-00/replace/", {"serial": "AMANI-00B"})
    assert response.status_code == 201
    assert (response.json()["status"], response.json()["replaces"]) == ("waiting", "AMANI-00")
    assert owner.get("/api/device/AMANI-00/status/").json()["status"] == "active"
    assert owner.post(INIT, {"device": "AMANI-00B"}).json()["status"] == "active"
    old = owner.get("/api/device/AMANI-00/status/").json()
    assert (old["status"], old["health"]["state"]) == ("retired", "not_active")
    assert old["retired_at"]
    problem(owner.post("/api/device/AMANI-00/replace/", {"serial": "X"}), 409, "device_not_ready")
    problem(owner.post("/api/device/AMANI-00B/replace/", {"serial": "AMANI-00"}), 409, "serial_taken")


def test_a_device_is_retired_with_a_reason_and_a_second_time_nothing_changes(owner: Caller, amani: Onboarded) -> None:
    path = "/api/device/AMANI-00/retire/"
    assert fields(owner.post(path, {})) == {"reason": "missing"}
    first = owner.post(path, {"reason": "sold"})
    assert (first.status_code, first.json()["status"]) == (200, "retired")
    assert owner.post(path, {"reason": "again"}).json() == first.json()
    event = Event.objects.get(name="device.retired")
    assert (event.subject, event.data["reason"]) == (amani.device.public_id, "sold")


def test_a_device_is_not_retired_while_its_branch_has_documents_waiting(owner: Caller, amani: Onboarded) -> None:
    make_active(amani.device)
    Job.objects.create(lane=amani.device.lane, kind="invoice", document_id=1)
    problem(owner.post("/api/device/AMANI-00/retire/", {"reason": "sold"}), 409, "lane_in_use")


@pytest.mark.parametrize("verb", ["replace", "retire"])
def test_replacing_and_retiring_are_for_owners_and_managers_of_the_company(amani: Onboarded, verb: str) -> None:
    body = {"serial": "NEW"} if verb == "replace" else {"reason": "sold"}
    for role in (Role.CASHIER, Role.ACCOUNTANT, Role.VIEWER, Role.REVENUE_OFFICER):
        caller = Caller(key_with(amani.company, role)[1])
        problem(caller.post(f"/api/device/AMANI-00/{verb}/", body), 403, "role_not_allowed")
    stranger = make_stranger().device
    caller = Caller(key_with(amani.company, Role.MANAGER)[1])
    for named in (str(stranger.public_id), stranger.serial, str(uuid.uuid4())):
        problem(caller.post(f"/api/device/{named}/{verb}/", body), 404, "not_found")
    stranger.refresh_from_db()
    assert stranger.status == "waiting" and Device.objects.count() == 2


def test_the_health_of_a_device_tells_how_long_it_may_go_on(owner: Caller, amani: Onboarded) -> None:
    make_active(amani.device)
    now = timezone.now()
    Device.objects.update(kind="vscu", last_contact_at=now - timedelta(hours=13), silence="no answer", latency_ms=40)
    Device.objects.update(clock_offset_seconds=-90)
    health = owner.get("/api/device/AMANI-00/status/").json()["health"]
    assert health == {
        "state": "silent",
        "silence": "no answer",
        "silent_hours": 13.0,
        "offline_hours_left": 11.0,
        "latency_ms": 40,
        "clock_difference_seconds": -90,
        "clock": "off",
    }
    Device.objects.update(kind="oscu", last_contact_at=now, silence="", clock_offset_seconds=400)
    health = owner.get("/api/device/AMANI-00/status/").json()["health"]
    assert (health["state"], health["offline_hours_left"], health["clock"]) == ("well", None, "wrong")
