import uuid
from decimal import Decimal
from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.catalog.models import Item, ItemClass
from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Job, Lane
from gateway.tenants.models import Role
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.servers import Simulator
from tests.tenants.factories import key_with, make_stranger

pytestmark = pytest.mark.django_db
PATH = "/api/items/"


@pytest.fixture(autouse=True)
def classes(db: None) -> None:
    for code, letter in [("5016150900", "B"), ("5022110100", "C")]:
        ItemClass.objects.create(environment="sandbox", code=code, name=f"Class {code}", level=5, tax_type=letter)


def make_item(amani: Onboarded, code: str = "SUGAR", **changes: Any) -> Item:
    made: dict[str, Any] = {
        "company": amani.company,
        "environment": "sandbox",
        "code": code,
        "name": "Brown sugar 1kg",
        "tax_type": "B",
        "item_class": "5016150900",
        "quantity_unit": "KG",
        "price": Decimal("160.00"),
        "status": "registered",
        "kra_code": f"KE2NTKG{Item.objects.count() + 1:07d}",
    }
    return Item.objects.create(**{**made, **changes})


def path_of(item: Item, action: str = "") -> str:
    return f"{PATH}{item.public_id}/{action}"


# The list


def codes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item["code"] for item in answer.json()["items"]]


def test_no_items_are_an_empty_list(owner: Caller) -> None:
    assert owner.get(PATH).json() == {"items": [], "next": None}


def test_an_item_is_shown_in_plain_words(owner: Caller, amani: Onboarded) -> None:
    item = make_item(amani, barcode="6161100000001")
    [shown] = owner.get(PATH).json()["items"]
    assert shown == owner.get(path_of(item)).json()
    assert shown.pop("updated_at")
    assert shown == {
        "id": str(item.public_id),
        "code": "SUGAR",
        "kra_code": "KE2NTKG0000001",
        "name": "Brown sugar 1kg",
        "item_class": "5016150900",
        "tax_type": "B",
        "product_type": "goods",
        "packaging_unit": "NT",
        "quantity_unit": "KG",
        "price": "160.00",
        "barcode": "6161100000001",
        "origin_country": "KE",
        "status": "registered",
        "problem": None,
    }


def test_pages_neither_repeat_nor_skip_while_items_arrive(owner: Caller, amani: Onboarded) -> None:
    for number in range(7):
        make_item(amani, f"SKU-{number}")
    first = owner.get(PATH, {"limit": 3}).json()
    make_item(amani, "SKU-00")
    second = owner.get(PATH, {"limit": 3, "cursor": first["next"]}).json()
    third = owner.get(PATH, {"limit": 3, "cursor": second["next"]}).json()
    seen = [item["code"] for page in (first, second, third) for item in page["items"]]
    assert seen == [f"SKU-{number}" for number in range(7)]
    assert third["next"] is None


def test_items_are_found_by_words_and_narrowed(owner: Caller, amani: Onboarded) -> None:
    make_item(amani, "A1", barcode="616110")
    make_item(amani, "A2", name="White sugar", tax_type="C", status="waiting")
    make_item(amani, "A3", name="Repair", product_type="3", item_class="5022110100")
    assert codes(owner.get(PATH, {"q": "SUGAR brown"})) == ["A1"]
    assert codes(owner.get(PATH, {"q": "6161"})) == ["A1"]
    assert codes(owner.get(PATH, {"q": "sugar"})) == ["A1", "A2"]
    assert codes(owner.get(PATH, {"q": "100%"})) == []
    assert codes(owner.get(PATH, {"status": "waiting"})) == ["A2"]
    assert codes(owner.get(PATH, {"tax_type": "C"})) == ["A2"]
    assert codes(owner.get(PATH, {"product_type": "service"})) == ["A3"]
    assert codes(owner.get(PATH, {"item_class": "5022110100"})) == ["A3"]
    assert codes(owner.get(PATH, {"code": "A2"})) == ["A2"]
    assert codes(owner.get(PATH, {"barcode": "616110"})) == ["A1"]
    assert codes(owner.get(PATH, {"kra_code": "KE2NTKG0000003"})) == ["A3"]


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"status": "sold"}, {"status": "unknown_value"}),
        ({"limit": "201"}, {"limit": "too_large"}),
        ({"stauts": "waiting"}, {"stauts": "unknown_field"}),
        ({"q": "a\x00"}, {"q": "not_printable"}),
    ],
)
def test_a_wrong_filter_is_named(owner: Caller, query: dict[str, str], wrong: dict[str, str]) -> None:
    assert fields(owner.get(PATH, query)) == wrong


def test_a_strangers_items_are_not_there(owner: Caller, amani: Onboarded) -> None:
    stranger = make_stranger()
    theirs = make_item(stranger)
    assert codes(owner.get(PATH)) == []
    problem(owner.get(path_of(theirs)), 404, "not_found")
    for action in ("retire/", "restore/"):
        problem(owner.post(path_of(theirs, action), {}), 404, "not_found")
    problem(owner.send("PATCH", path_of(theirs), {"name": "Mine"}), 404, "not_found")
    problem(owner.get(path_of(theirs)), 404, "not_found")
    problem(owner.get(PATH, {"cursor": Caller(stranger.key_text).get(PATH).json()["next"] or "x"}), 422, "bad_cursor")
    problem(owner.get(f"/api/integration/companies/{stranger.company.public_id}/items/"), 404, "not_found")


def test_the_long_path_names_the_company_of_the_key(owner: Caller, amani: Onboarded) -> None:
    make_item(amani)
    assert codes(owner.get(f"/api/integration/companies/{amani.company.public_id}/items/")) == ["SUGAR"]


# Changing


def test_a_changed_price_is_kept_told_and_sent_to_kra_again(owner: Caller, amani: Onboarded) -> None:
    item = make_item(amani)
    changed = owner.send("PATCH", path_of(item), {"price": "170.00"}).json()
    assert (changed["price"], changed["status"], changed["kra_code"]) == ("170.00", "waiting", "KE2NTKG0000001")
    assert Job.objects.get().document_id == item.pk
    event = Event.objects.get(name="item.changed")
    assert (event.before, event.after) == ({"price": "160.00"}, {"price": "170.00"})
    assert event.actor == f"key:owner:{amani.api_key.prefix}"


def test_the_same_again_changes_nothing(owner: Caller, amani: Onboarded) -> None:
    item = make_item(amani)
    assert owner.send("PATCH", path_of(item), {"name": item.name}).json()["status"] == "registered"
    assert not Job.objects.exists()
    assert not Event.objects.filter(name="item.changed").exists()


def test_put_gives_defaults_to_what_is_left_out(owner: Caller, amani: Onboarded) -> None:
    item = make_item(amani)
    changed = owner.send("PUT", path_of(item), {"name": "Sugar", "item_class": "5016150900"}).json()
    assert (changed["quantity_unit"], changed["price"], changed["kra_code"]) == ("U", "0.00", None)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, {"(body)": "missing"}),
        ({"tax_type": "C"}, {"tax_type": "contradicts_class"}),
        ({"item_class": "1"}, {"item_class": "unknown_code"}),
        ({"name": ""}, {"name": "blank"}),
        ({"name": None}, {"name": "missing"}),
        ({"price": None}, {"price": "missing"}),
        ({"price": "x"}, {"price": "not_a_number"}),
        ({"code": "OTHER"}, {"code": "unknown_field"}),
    ],
)
def test_a_wrong_change_is_named(owner: Caller, amani: Onboarded, change: Any, wrong: dict[str, str]) -> None:
    item = make_item(amani)
    assert fields(owner.send("PATCH", path_of(item), change)) == wrong
    item.refresh_from_db()
    assert (item.name, item.status) == ("Brown sugar 1kg", "registered")


def test_an_item_that_is_with_kra_now_is_a_conflict(owner: Caller, amani: Onboarded) -> None:
    item = make_item(amani, status="waiting")
    lane = Lane.objects.create(company=amani.company, environment="sandbox", pin="P051234567X", series="item")
    Job.objects.create(lane=lane, kind="item", document_id=item.pk, state="started")
    problem(owner.send("PATCH", path_of(item), {"price": "1.00"}), 409, "item_in_flight")
    problem(owner.post(path_of(item, "retire/"), {}), 409, "item_in_flight")


# Retiring


def test_a_retired_item_is_told_to_kra_and_left_alone_until_it_is_restored(owner: Caller, amani: Onboarded) -> None:
    item = make_item(amani)
    assert owner.post(path_of(item, "retire/"), {}).json()["status"] == "retired"
    assert owner.post(path_of(item, "retire/"), {}).json()["status"] == "retired"
    assert Job.objects.get().document_id == item.pk
    problem(owner.send("PATCH", path_of(item), {"price": "1.00"}), 409, "item_retired")
    row = {"code": "SUGAR", "name": "Sugar", "item_class": "5016150900", "quantity_unit": "KG"}
    synced = owner.post("/api/item/sync/", {"items": [row]}, Prefer="wait=0").json()
    assert (synced["items"][0]["status"], synced["summary"]["retired"]) == ("retired", 1)
    assert owner.post(path_of(item, "restore/"), {}).json()["status"] == "waiting"
    names = Event.objects.filter(subject=item.public_id).order_by("id").values_list("name", flat=True)
    assert list(names) == ["item.retired", "item.restored"]


def test_an_item_that_kra_never_had_is_retired_without_telling_kra(owner: Caller, amani: Onboarded) -> None:
    row = {"code": "SUGAR", "name": "Sugar", "item_class": "5016150900"}
    owner.post("/api/item/sync/", {"items": [row]}, Prefer="wait=0")
    assert owner.post(path_of(Item.objects.get(), "retire/"), {}).json()["status"] == "retired"
    assert Job.objects.get().state == "closed"


# KRA's list


def kras_item(code: str, **changes: Any) -> dict[str, Any]:
    return {"code": code, "name": f"Item {code}", "item_class": "5016150900", "quantity_unit": "KG", **changes}


@pytest.fixture
def with_history(owner: Caller, kra: Simulator, amani: Onboarded) -> None:
    """Another system has registered three items of the company at KRA, and retired one."""
    assert owner.post("/api/device/init/", {}).status_code == 200
    amani.device.refresh_from_db()
    from gateway.devices.asking import ask_kra
    from gateway.kra.codes import ProductType, TaxClass
    from gateway.kra.documents import ItemDocument

    for serial, in_use in [(1, True), (2, True), (41, False)]:
        document = ItemDocument(
            code=f"KE2NTKG{serial:07d}",
            item_class="5016150900",
            name=f"Old item {serial}",
            product_type=ProductType.FINISHED_PRODUCT,
            packaging_unit="NT",
            quantity_unit="KG",
            tax_class=TaxClass.STANDARD,
            default_price=Decimal("10.00"),
            in_use=in_use,
        )
        ask_kra(
            amani.device,
            lambda client, credentials, document=document: client.save_item(  # type: ignore[misc]
                credentials, client.item_body(document, credentials)
            ),
            kind="item",
        )


@pytest.mark.usefixtures("with_history")
def test_items_that_kra_has_are_taken_over_once(owner: Caller, amani: Onboarded) -> None:
    done = owner.post(f"{PATH}import/", {}).json()
    assert done == {"imported": 3, "retired": 1, "known": 0, "skipped": [], "next_serial": 42}
    assert codes(owner.get(PATH, {"status": "registered"})) == ["KE2NTKG0000001", "KE2NTKG0000002"]
    assert Lane.objects.get(series="item").next_number == 42
    again = owner.post(f"{PATH}import/", {}).json()
    assert (again["imported"], again["known"], again["next_serial"]) == (0, 3, 42)
    assert not Job.objects.exists()


@pytest.mark.usefixtures("with_history")
def test_an_imported_item_gets_its_companys_own_code(owner: Caller) -> None:
    owner.post(f"{PATH}import/", {})
    row = {**kras_item("SUGAR", name="Old item 1"), "price": "10.00", "kra_code": "KE2NTKG0000001"}
    [synced] = owner.post("/api/item/sync/", {"items": [row]}, Prefer="wait=0").json()["items"]
    assert (synced["code"], synced["kra_code"]) == ("SUGAR", "KE2NTKG0000001")
    assert codes(owner.get(PATH)) == ["KE2NTKG0000002", "KE2NTKG0000041", "SUGAR"]
    unknown = {**row, "code": "X", "kra_code": "KE2NTKG0000099"}
    assert fields(owner.post("/api/item/sync/", {"items": [unknown]})) == {"items[0].kra_code": "unknown_code"}
    other = {**row, "code": "X"}
    assert fields(owner.post("/api/item/sync/", {"items": [other]})) == {"items[0].kra_code": "code_taken"}


def test_without_an_active_device_kras_list_cannot_be_asked_for(owner: Caller) -> None:
    problem(owner.post(f"{PATH}import/", {}), 409, "device_not_ready")


@pytest.mark.usefixtures("with_history")
def test_when_kra_does_not_answer_nothing_is_taken_over(owner: Caller, kra: Simulator) -> None:
    kra.fault("item_list", "http_status", status=503, times=1)
    problem(owner.post(f"{PATH}import/", {}), 503, "kra_unreachable")
    assert not Item.objects.exists()


# Rights


@pytest.mark.parametrize("role", [Role.CASHIER, Role.ACCOUNTANT, Role.VIEWER])
def test_all_may_look_and_only_owners_and_managers_change(amani: Onboarded, role: Role) -> None:
    item = make_item(amani)
    caller = Caller(key_with(amani.company, role)[1])
    assert caller.get(PATH).status_code == caller.get(path_of(item)).status_code == 200
    problem(caller.send("PATCH", path_of(item), {"price": "1"}), 403, "role_not_allowed")
    problem(caller.send("PUT", path_of(item), {"name": "x", "item_class": "1"}), 403, "role_not_allowed")
    for path in (path_of(item, "retire/"), path_of(item, "restore/"), f"{PATH}import/"):
        problem(caller.post(path, {}), 403, "role_not_allowed")


def test_what_does_not_exist_is_not_there(owner: Caller) -> None:
    problem(owner.get(f"{PATH}{uuid.uuid4()}/"), 404, "not_found")
    problem(owner.get(f"{PATH}SUGAR/"), 404, "not_found")
    problem(owner.ask("DELETE", PATH), 405, "method_not_allowed")
