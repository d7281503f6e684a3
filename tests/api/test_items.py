import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalog.models import Item, ItemClass
from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Job
from gateway.tenants.models import Role
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.servers import Simulator
from tests.tenants.factories import key_with, make_stranger

pytestmark = pytest.mark.django_db
PATH = "/api/integration/items/sync/"
NOW = {"Prefer": "wait=0"}
SUGAR: dict[str, Any] = {
    "code": "SUGAR",
    "name": "Brown sugar 1kg",
    "tax_type": "B",
    "item_class": "5016150900",
    "quantity_unit": "KG",
    "price": "160.00",
}


@pytest.fixture
def classes(amani: Onboarded) -> None:
    ItemClass.objects.create(environment="sandbox", code="5016150900", name="Natural sugars", level=5, tax_type="B")


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize("path", [PATH, "/api/item/sync/"])
def test_items_are_taken_and_wait_for_kra(owner: Caller, path: str) -> None:
    response = owner.post(path, {"items": [SUGAR]}, **NOW)
    assert response.status_code == 200
    [item] = response.json()["items"]
    assert item["id"] == str(Item.objects.get().public_id)
    assert {name: item[name] for name in ("code", "status", "kra_code", "problem")} == {
        "code": "SUGAR",
        "status": "waiting",
        "kra_code": None,
        "problem": None,
    }
    assert response.json()["summary"] == {"registered": 0, "waiting": 1, "refused": 0, "unchanged": 0, "retired": 0}


@pytest.mark.usefixtures("classes")
def test_registered_and_refused_items_are_told_apart(owner: Caller) -> None:
    owner.post(PATH, {"items": [SUGAR]}, **NOW)
    Item.objects.update(status="registered", kra_code="KE2NTKG0000001")
    Job.objects.update(state="closed")
    [item] = owner.post(PATH, {"items": [SUGAR]}, **NOW).json()["items"]
    assert (item["status"], item["kra_code"]) == ("unchanged", "KE2NTKG0000001")


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(
    ("price", "kept"), [(160, "160.00"), ("160.5", "160.50"), (0.1, "0.10"), ("9999999999999.99",) * 2]
)
def test_a_price_never_passes_through_a_float(owner: Caller, price: Any, kept: str) -> None:
    assert owner.post(PATH, {"items": [{**SUGAR, "price": price}]}, **NOW).status_code == 200
    assert Item.objects.get().price == Decimal(kept)


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"code": ""}, {"code": "blank"}),
        ({"code": None}, {"code": "not_text"}),
        ({"code": "x" * 51}, {"code": "too_long"}),
        ({"code": "A\tB"}, {"code": "not_printable"}),
        ({"name": "x" * 201}, {"name": "too_long"}),
        ({"tax_type": "BB"}, {"tax_type": "too_long"}),
        ({"tax_type": "Z"}, {"tax_type": "unknown_code"}),
        ({"tax_type": "A"}, {"tax_type": "contradicts_class"}),
        ({"item_class": ""}, {"item_class": "blank"}),
        ({"item_class": "5016150901"}, {"item_class": "unknown_code"}),
        ({"item_class": 5016150900}, {"item_class": "not_text"}),
        ({"product_type": "food"}, {"product_type": "unknown_value"}),
        ({"packaging_unit": "??"}, {"packaging_unit": "unknown_code"}),
        ({"quantity_unit": "KILOGRAM"}, {"quantity_unit": "too_long"}),
        ({"quantity_unit": ""}, {"quantity_unit": "blank"}),
        ({"price": -1}, {"price": "negative"}),
        ({"price": "1.005"}, {"price": "too_many_decimals"}),
        ({"price": True}, {"price": "not_a_number"}),
        ({"price": "NaN"}, {"price": "not_a_number"}),
        ({"price": "1e400"}, {"price": "amount_too_large"}),
        ({"price": 10**17}, {"price": "amount_too_large"}),
        ({"price": None}, {"price": "not_a_number"}),
        ({"barcode": "1" * 21}, {"barcode": "too_long"}),
        ({"origin_country": "Kenya"}, {"origin_country": "wrong_form"}),
        ({"origin_country": "QQ"}, {"origin_country": "unknown_code"}),
        ({"colour": "brown"}, {"colour": "unknown_field"}),
    ],
)
def test_each_wrong_field_of_a_row_is_named(owner: Caller, change: dict[str, Any], wrong: dict[str, str]) -> None:
    rows = [SUGAR, {**SUGAR, "code": "OTHER", **change}]
    named = {f"items[1].{name}": code for name, code in wrong.items()}
    assert fields(owner.post(PATH, {"items": rows}, **NOW)) == named
    assert not Item.objects.exists()


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"items": "missing"}),
        ({"items": []}, {"items": "too_few"}),
        ({"items": {}}, {"items": "not_a_list"}),
        ({"items": ["SUGAR"]}, {"items[0]": "not_an_object"}),
        ({"items": [SUGAR] * 1001}, {"items": "too_many"}),
        ({"items": [SUGAR, SUGAR]}, {"items[1].code": "duplicate"}),
        ({"items": [SUGAR], "device": 7}, {"device": "not_text"}),
    ],
)
def test_a_wrong_list_is_named(owner: Caller, body: Any, wrong: dict[str, str]) -> None:
    assert fields(owner.post(PATH, body, **NOW)) == wrong


@pytest.mark.usefixtures("classes")
def test_an_item_that_is_with_kra_now_is_a_conflict(owner: Caller) -> None:
    owner.post(PATH, {"items": [SUGAR]}, **NOW)
    Job.objects.update(state="started")
    problem(owner.post(PATH, {"items": [{**SUGAR, "name": "Other"}]}, **NOW), 409, "item_in_flight")


def test_without_kras_classes_a_device_must_be_activated_first(owner: Caller) -> None:
    problem(owner.post(PATH, {"items": [SUGAR]}, **NOW), 409, "device_not_ready")


def test_classes_that_never_came_are_fetched_when_they_are_needed(owner: Caller, kra: Simulator) -> None:
    kra.fault("item_class_list", "http_status", status=503, times=1)
    assert owner.post("/api/device/init/", {}).json()["reference_data"] is False
    assert owner.post(PATH, {"items": [SUGAR]}, **NOW).status_code == 200


def test_when_kra_does_not_give_its_classes_nothing_is_kept(owner: Caller, kra: Simulator) -> None:
    kra.fault("item_class_list", "http_status", status=503, times=2)
    owner.post("/api/device/init/", {})
    problem(owner.post(PATH, {"items": [SUGAR]}, **NOW), 503, "kra_unreachable")
    assert not Item.objects.exists()


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize("role", [Role.CASHIER, Role.ACCOUNTANT, Role.VIEWER])
def test_only_owners_and_managers_change_items(amani: Onboarded, role: Role) -> None:
    problem(Caller(key_with(amani.company, role)[1]).post(PATH, {"items": [SUGAR]}), 403, "role_not_allowed")


@pytest.mark.usefixtures("classes")
def test_a_strangers_device_is_not_there(owner: Caller) -> None:
    body = {"items": [SUGAR], "device": make_stranger().device.serial}
    problem(owner.post(PATH, body), 404, "not_found")
    assert not Item.objects.exists()


@pytest.mark.usefixtures("classes")
def test_a_strangers_items_are_not_touched(owner: Caller) -> None:
    stranger = Caller(make_stranger().key_text)
    owner.post(PATH, {"items": [SUGAR]}, **NOW)
    stranger.post(PATH, {"items": [{**SUGAR, "name": "Other"}]}, **NOW)
    assert sorted(Item.objects.values_list("name", flat=True)) == ["Brown sugar 1kg", "Other"]


def test_a_body_is_read_exactly(owner: Caller) -> None:
    text = json.dumps({"items": [{**SUGAR, "price": 0}]}).replace('"price": 0', '"price": 1160.10')
    ItemClass.objects.create(environment="sandbox", code="5016150900", name="Natural sugars", level=5)
    assert owner.post(PATH, text, **NOW).status_code == 200
    assert Item.objects.get().price == Decimal("1160.10")
