import re
from typing import Any

import pytest
from django.urls import resolve

from gateway.api.capabilities import DEVICE_CALLS
from gateway.api.main import HOT_ROUTES
from gateway.api.openapi import schema
from gateway.devices.onboarding import Onboarded
from gateway.kra.operations import operations
from gateway.tenants.models import Role
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.tenants.factories import key_with, make_stranger

pytestmark = pytest.mark.django_db
PATH = "/api/integration/capabilities/"
EXAMPLES = {"uuid": "034e61f8-8a7e-4b9f-a258-70d6758a0c5f", "int": "1", "str": "x"}


@pytest.fixture
def told(owner: Caller) -> Any:
    answer = owner.get(PATH)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_every_route_that_is_told_exists_and_every_route_is_told(told: Any) -> None:
    listed = {(route["method"].lower(), route["path"]) for route in told["routes"]}
    described = {(method, path) for path, ways in schema()["paths"].items() for method in ways}
    assert listed == described
    hot = {"/api/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route) for route in HOT_ROUTES}
    for _, path in listed - {("get", "/health/")}:
        if path in hot:
            continue
        for example in EXAMPLES.values():
            match = resolve(re.sub(r"\{[^}]+\}", example, path))
            if match.func.__name__ != "no_such_path":
                break
        else:
            pytest.fail(f"{path} leads nowhere")


def test_a_device_can_what_its_flavour_offers(owner: Caller, amani: Onboarded, settings: Any) -> None:
    assert set(DEVICE_CALLS.values()) <= set(operations())
    [device] = owner.get(PATH).json()["devices"]
    assert (device["serial"], device["flavour"], device["is_simulated"]) == ("AMANI-00", "oscu_direct", True)
    assert set(device["can"]) == set(DEVICE_CALLS)
    assert (device["works_offline"], device["needs_stock_first"]) == (False, False)
    amani.device.kind, amani.device.profile = "vscu", "simulator"
    amani.device.save()
    [device] = owner.get(PATH).json()["devices"]
    assert (device["flavour"], device["works_offline"]) == ("vscu", True)
    assert "recover_lost_answers" not in device["can"]
    amani.device.profile = "nonsense"
    amani.device.save()
    [device] = owner.get(PATH).json()["devices"]
    assert (device["flavour"], device["can"]) == (None, [])


def test_a_key_learns_whose_it_is_and_may_ask_for_that_company(owner: Caller, amani: Onboarded, told: Any) -> None:
    company = amani.company
    assert told["company"] == {"id": str(company.public_id), "pin": company.pin, "name": company.name}
    assert owner.get(f"/api/companies/{told['company']['id']}/").json()["pin"] == company.pin
    stranger = make_stranger()
    assert Caller(stranger.key_text).get(PATH).json()["company"]["id"] == str(stranger.company.public_id)


def test_words_rates_and_limits_are_those_that_apply(told: Any) -> None:
    assert "mobile_money" in told["payment_methods"]
    assert told["tax_rates"]["B"] == "16.00"
    assert told["limits"]["lines_of_a_sale"] == 999
    assert told["limits"]["bytes_of_a_file"] > told["limits"]["bytes_of_a_request"] == 1_048_576
    assert "manage_items" in told["rights"]


def test_what_becomes_of_new_items_and_of_goods_that_are_not_there_is_told(owner: Caller, settings: Any) -> None:
    told = owner.get(PATH).json()
    assert (told["unknown_items"], told["allow_negative_stock"]) == ("register", True)
    settings.ITEMS_UNKNOWN = "refuse"
    owner.put("/api/stock/policy/", {"allow_negative_stock": False})
    told = owner.get(PATH).json()
    assert (told["unknown_items"], told["allow_negative_stock"]) == ("refuse", False)


def test_each_company_sees_its_own_devices_and_each_key_its_own_rights(owner: Caller, amani: Onboarded) -> None:
    stranger = Caller(make_stranger().key_text).get(PATH).json()
    assert [device["serial"] for device in stranger["devices"]] == ["STRANGER-00"]
    viewer = Caller(key_with(amani.company, Role.VIEWER)[1]).get(PATH).json()
    assert (viewer["role"], "sell" in viewer["rights"]) == ("viewer", False)
    assert fields(owner.get(PATH, {"x": "1"})) == {"x": "unknown_field"}
    problem(Caller(None).get(PATH), 401, "key_missing")
