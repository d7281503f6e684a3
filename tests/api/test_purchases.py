"""Purchases, bills and imports over HTTP: what is answered, what is wrong by field, who may, who decides first."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.db import connection

from gateway.catalog.models import Item
from gateway.devices.models import Device
from gateway.devices.onboarding import Onboarded
from gateway.kra import stock_documents as documents
from gateway.kra.codes import TaxClass
from gateway.lanes.models import Job
from gateway.purchases.models import Bill, ImportedItem, SupplierInvoice
from gateway.tenants.models import Company, Role
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.servers import Simulator
from tests.tenants.factories import key_with, make_active, make_stranger

pytestmark = pytest.mark.django_db
SUPPLIER = "P000000101S"
BILL: dict[str, Any] = {
    "reference": "B-1",
    "supplier_pin": SUPPLIER,
    "supplier_name": "Wholesale Ltd",
    "invoice_number": 1,
    "amount": "290.00",
    "dated_on": "2026-11-01",
}
ACCEPT: dict[str, Any] = {"branch": "00", "lines": [{"line": 1, "item_code": "SUGAR", "factor": 50}]}
APPROVE: dict[str, Any] = {"item_code": "SUGAR", "branch": "00", "factor": 10}


@pytest.fixture(autouse=True)
def shop(amani: Onboarded) -> None:
    """An active head office, and goods that KRA knows, others that it does not know yet, and a service."""
    make_active(amani.device)
    told = {"tax_type": "B", "item_class": "5016150900", "price": "100.00", "status": "registered"}
    for number, (code, kind) in enumerate([("SUGAR", "2"), ("BREAD", "2"), ("REPAIR", "3")], 1):
        kra_code = f"KE{kind}NTKG000000{number}"
        own = {"code": code, "name": code.title(), "kra_code": kra_code, "product_type": kind}
        Item.objects.create(company=amani.company, environment="sandbox", **own, **told)
    waiting = {**told, "status": "waiting"}
    Item.objects.create(company=amani.company, environment="sandbox", code="NEW", name="New", **waiting)


def line(number: int, **changes: Any) -> documents.ListedLine:
    told: dict[str, Any] = {"number": number, "item_code": f"S{number}", "item_class": "5016150900", "name": "Bag 50kg"}
    told |= {"barcode": "", "packaging_unit": "NT", "packages": Decimal(1), "quantity_unit": "U"}
    told |= {"quantity": Decimal(1), "unit_price": Decimal("145.00"), "supply": Decimal("145.00")}
    told |= {"discount_rate": Decimal(0), "discount": Decimal(0), "tax_class": "B", "taxable": Decimal("125.00")}
    told |= {"tax": Decimal("20.00"), "total": Decimal("145.00"), "expires_on": ""}
    return documents.ListedLine(**{**told, **changes})


def listed(company: Company, number: int = 1, **changes: Any) -> SupplierInvoice:
    """A supplier's invoice with two lines, as it is kept after KRA has listed it."""
    zero = dict.fromkeys(TaxClass, Decimal(0))
    sale = documents.SupplierSale(
        supplier_pin=SUPPLIER,
        supplier_name="Wholesale Ltd",
        supplier_branch="00",
        supplier_invoice_number=number,
        supplier_control_unit_id="KRACU0100000001",
        supplier_machine_code="",
        receipt_type="S",
        payment_method="01",
        confirmed_at=None,
        sale_date="20261101",
        stock_released_at=None,
        line_count=2,
        taxable=zero,
        rates=zero,
        tax=zero,
        total_taxable=Decimal("250.00"),
        total_tax=Decimal("40.00"),
        total=Decimal("290.00"),
        remark="",
        lines=[line(1), line(2, total=changes.pop("second_total", Decimal("145.00")))],
    )
    told: dict[str, Any] = {"supplier_pin": SUPPLIER, "supplier_name": "Wholesale Ltd", "supplier_branch": "00"}
    told |= {"invoice_number": number, "sold_on": date(2026, 11, 1), "total": Decimal("290.00")}
    told |= {"document": msgspec.to_builtins(sale), "company": company, "environment": "sandbox"}
    return SupplierInvoice.objects.create(**{**told, **changes})


def imported(company: Company, number: int = 1, **changes: Any) -> ImportedItem:
    """A line of a customs declaration, as it is kept after KRA has listed it."""
    fields = documents.ImportedItem.__struct_fields__
    made: dict[str, Any] = dict.fromkeys(fields, "")
    made |= {"task_code": "T-1", "declaration_date": "20261101", "line_number": number, "declaration_number": "D-1"}
    made |= {"name": "PHONE", "hs_code": "851712", "status": "2", "currency": "USD"}
    made |= {name: "2" for name in ("quantity", "packages", "foreign_amount", "exchange_rate") if name in fields}
    made |= {name: "1" for name in ("gross_weight", "net_weight") if name in fields}
    document = msgspec.to_builtins(msgspec.convert(made, documents.ImportedItem, strict=False))
    told = {"task_code": "T-1", "declaration_date": "20261101", "line_number": number, "name": "PHONE"}
    return ImportedItem.objects.create(company=company, environment="sandbox", document=document, **told, **changes)


# --- lists


@pytest.mark.parametrize(
    ("path", "name"),
    [("/api/purchases/", "purchases"), ("/api/purchases/bills/", "bills"), ("/api/imports/", "imports")],
)
def test_an_empty_list_is_an_empty_list(owner: Caller, path: str, name: str) -> None:
    assert owner.get(path).json() == {name: [], "next": None}
    assert owner.get("/api/purchases/missing/").json() == {"bills": []}


def test_the_second_page_goes_on_where_the_first_ended(owner: Caller, amani: Onboarded) -> None:
    for number in range(1, 4):
        listed(amani.company, number)
        imported(amani.company, number)
        owner.post("/api/purchases/bills/", {**BILL, "reference": f"B-{number}", "invoice_number": number + 10})
    for path, name, key in [
        ("/api/purchases/", "purchases", "invoice_number"),
        ("/api/purchases/bills/", "bills", "reference"),
        ("/api/imports/", "imports", "line_number"),
    ]:
        first = owner.get(path, {"limit": 2}).json()
        second = owner.get(path, {"limit": 2, "cursor": first["next"]}).json()
        shown = [row[key] for row in first[name] + second[name]]
        assert shown == sorted(shown, reverse=True) and len(set(shown)) == 3
        assert second["next"] is None


def test_filters_choose(owner: Caller, amani: Onboarded) -> None:
    kept = listed(amani.company, 1)
    listed(amani.company, 2, status="confirmed", supplier_pin="P000000102S")
    imported(amani.company, 1)
    imported(amani.company, 2, status="gone")
    owner.post("/api/purchases/bills/", BILL)

    def purchases(**query: Any) -> list[int]:
        return [row["invoice_number"] for row in owner.get("/api/purchases/", query).json()["purchases"]]

    assert purchases(status="open") == purchases(matched="true") == purchases(supplier_pin=SUPPLIER.lower()) == [1]
    assert purchases(status="confirmed") == purchases(matched="false") == [2]
    assert purchases(status="refused") == []
    [bill] = owner.get("/api/purchases/bills/", {"matched": "true"}).json()["bills"]
    assert bill["purchase"] == str(kept.public_id)
    assert owner.get("/api/purchases/bills/", {"matched": "false"}).json()["bills"] == []
    assert [row["line_number"] for row in owner.get("/api/imports/", {"status": "gone"}).json()["imports"]] == [2]


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"limit": 0}, {"limit": "too_small"}),
        ({"limit": 10**6}, {"limit": "too_large"}),
        ({"status": "lost"}, {"status": "unknown_value"}),
        ({"colour": "brown"}, {"colour": "unknown_field"}),
    ],
)
@pytest.mark.parametrize("path", ["/api/purchases/", "/api/imports/"])
def test_a_wrong_filter_is_named(owner: Caller, path: str, query: dict[str, Any], wrong: dict[str, str]) -> None:
    assert fields(owner.get(path, query)) == wrong
    problem(owner.get(path, {"cursor": "nonsense"}), 422, "bad_cursor")


def test_wrong_filters_of_purchases_and_bills_are_named(owner: Caller) -> None:
    assert fields(owner.get("/api/purchases/", {"supplier_pin": "123"})) == {"supplier_pin": "bad_pin"}
    assert fields(owner.get("/api/purchases/bills/", {"limit": "x"})) == {"limit": "not_whole_number"}
    assert fields(owner.get("/api/purchases/bills/", {"supplier": "x"})) == {"supplier": "unknown_field"}
    assert fields(owner.get("/api/purchases/missing/", {"days": -1})) == {"days": "too_small"}
    problem(owner.get("/api/purchases/bills/", {"cursor": "nonsense"}), 422, "bad_cursor")


# --- bills


def test_a_bill_is_kept_once(owner: Caller) -> None:
    made = owner.post("/api/purchases/bills/", BILL)
    assert (made.status_code, made.json()["purchase"], made.json()["amount"]) == (201, None, "290.00")
    again = owner.post("/api/purchases/bills/", BILL)
    assert (again.status_code, again.json()) == (200, made.json())
    problem(owner.post("/api/purchases/bills/", {**BILL, "amount": "290.01"}), 409, "reference_reused")
    assert owner.get("/api/purchases/missing/", {"days": 0}).json()["bills"] == [made.json()]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"reference": ""}, {"reference": "blank"}),
        ({"reference": "x" * 51}, {"reference": "too_long"}),
        ({"supplier_pin": "P1"}, {"supplier_pin": "bad_pin"}),
        ({"supplier_name": "x" * 61}, {"supplier_name": "too_long"}),
        ({"supplier_name": "a\nb"}, {"supplier_name": "not_printable"}),
        ({"invoice_number": 0}, {"invoice_number": "too_small"}),
        ({"invoice_number": 10**16}, {"invoice_number": "too_large"}),
        ({"invoice_number": "one"}, {"invoice_number": "not_whole_number"}),
        ({"amount": "-1"}, {"amount": "negative"}),
        ({"amount": "1.001"}, {"amount": "too_many_decimals"}),
        ({"amount": "a lot"}, {"amount": "not_a_number"}),
        ({"amount": 10**16}, {"amount": "amount_too_large"}),
        ({"dated_on": "1.11.2026"}, {"dated_on": "not_a_day"}),
        ({"colour": "brown"}, {"colour": "unknown_field"}),
    ],
)
def test_each_wrong_field_of_a_bill_is_named(owner: Caller, change: dict[str, Any], wrong: dict[str, str]) -> None:
    assert fields(owner.post("/api/purchases/bills/", {**BILL, **change})) == wrong
    assert not Bill.objects.exists()


# --- purchases


def test_an_invoice_is_accepted_once(owner: Caller, amani: Onboarded) -> None:
    path = f"/api/purchases/{listed(amani.company).public_id}/"
    assert [one["line"] for one in owner.get(path).json()["lines"]] == [1, 2]
    accepted = owner.post(f"{path}accept/", ACCEPT)
    assert (accepted.status_code, accepted.json()["status"]) == (202, "accepted")
    assert accepted.json()["decision"] == {
        "branch": "00",
        "lines": [{"line": 1, "item_code": "SUGAR", "factor": "50"}],
    }
    problem(owner.post(f"{path}accept/", ACCEPT), 409, "already_decided")
    problem(owner.post(f"{path}reject/", {}), 409, "already_decided")
    assert Job.objects.filter(kind="purchase").count() == 1
    assert owner.get(path).json()["status"] == "accepted"


def test_a_rejected_invoice_may_still_be_accepted(owner: Caller, amani: Onboarded) -> None:
    path = f"/api/purchases/{listed(amani.company).public_id}/"
    rejected = owner.post(f"{path}reject/", {"remark": "not ours"})
    assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected")
    assert rejected.json()["decision"] == {"remark": "not ours"}
    assert not Job.objects.filter(kind="purchase").exists()
    assert owner.post(f"{path}accept/", ACCEPT).status_code == 202


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"lines": []}, {"lines": "too_few"}),
        ({"branch": "Nairobi"}, {"branch": "wrong_form"}),
        ({"branch": "09"}, {"branch": "unknown_branch"}),
        ({"lines": [{"line": 0, "item_code": "SUGAR"}]}, {"lines[0].line": "too_small"}),
        ({"lines": [{"line": 7, "item_code": "SUGAR"}]}, {"lines[0].line": "unknown_line"}),
        ({"lines": [{"line": 1, "item_code": "SALT"}]}, {"lines[0].item_code": "unknown_item"}),
        ({"lines": [{"line": 1, "item_code": "NEW"}]}, {"lines[0].item_code": "item_not_registered"}),
        ({"lines": [{"line": 1, "item_code": "SUGAR", "factor": 0}]}, {"lines[0].factor": "not_positive"}),
        ({"lines": [{"line": 1, "item_code": "SUGAR", "factor": "x"}]}, {"lines[0].factor": "not_a_number"}),
        ({"lines": [{"line": 1, "item_code": "SUGAR", "factor": "0.0001"}]}, {"lines[0].factor": "too_many_decimals"}),
        ({"lines": [ACCEPT["lines"][0], ACCEPT["lines"][0]]}, {"lines[1].line": "duplicate"}),
        ({"lines": [{"item_code": "SUGAR"}]}, {"lines[0].line": "missing"}),
        ({"lines": [{"line": 1, "item_code": "SUGAR", "unit": 1}]}, {"lines[0].unit": "unknown_field"}),
        ({"colour": "brown"}, {"colour": "unknown_field"}),
    ],
)
def test_each_wrong_field_of_an_acceptance_is_named(
    owner: Caller, amani: Onboarded, change: dict[str, Any], wrong: dict[str, str]
) -> None:
    invoice = listed(amani.company)
    assert fields(owner.post(f"/api/purchases/{invoice.public_id}/accept/", {**ACCEPT, **change})) == wrong
    invoice.refresh_from_db()
    assert (invoice.status, Job.objects.filter(kind="purchase").exists()) == ("open", False)


def test_a_line_that_does_not_add_up_is_named(owner: Caller, amani: Onboarded) -> None:
    invoice = listed(amani.company, second_total=Decimal("145.01"))
    body = {"lines": [{"line": 1, "item_code": "SUGAR"}, {"line": 2, "item_code": "BREAD"}]}
    told = owner.post(f"/api/purchases/{invoice.public_id}/accept/", body)
    if told.status_code != 202:  # with one piece the price can be the total
        assert fields(told) == {"lines[1].line": "amounts_unclear"}
    changed = listed(amani.company, 2)
    changed.document["lines"][1] |= {"quantity": "3", "unit_price": "10.00", "total": "145.01"}
    changed.save()
    answer = owner.post(f"/api/purchases/{changed.public_id}/accept/", body)
    assert fields(answer) == {"lines[1].line": "amounts_unclear"}


def test_a_service_that_was_bought_brings_no_stock(owner: Caller, amani: Onboarded) -> None:
    invoice = listed(amani.company)
    body = {"lines": [{"line": 2, "item_code": "REPAIR"}]}
    assert owner.post(f"/api/purchases/{invoice.public_id}/accept/", body).status_code == 202
    invoice.refresh_from_db()
    assert invoice.booking is None


def test_without_an_active_head_office_nothing_is_decided(owner: Caller, amani: Onboarded) -> None:
    invoice, line = listed(amani.company), imported(amani.company)
    Device.objects.filter(pk=amani.device.pk).update(status="waiting")
    problem(owner.post(f"/api/purchases/{invoice.public_id}/accept/", ACCEPT), 409, "device_not_ready")
    problem(owner.post(f"/api/imports/{line.public_id}/approve/", APPROVE), 409, "device_not_ready")
    for path in ("/api/purchases/fetch/", "/api/imports/fetch/"):
        problem(owner.post(path, None), 409, "device_not_ready")
    assert not Job.objects.filter(kind__in=["purchase", "import"]).exists()


def test_when_kra_is_away_fetching_says_so(owner: Caller) -> None:
    for path in ("/api/purchases/fetch/", "/api/imports/fetch/"):
        problem(owner.post(path, None), 503, "kra_unreachable")


@pytest.mark.django_db(transaction=True)
def test_of_many_who_decide_at_once_one_wins(owner: Caller, amani: Onboarded) -> None:
    invoice, item = listed(amani.company), imported(amani.company)
    calls = [
        (f"/api/purchases/{invoice.public_id}/accept/", ACCEPT),
        (f"/api/purchases/{invoice.public_id}/reject/", {}),
        (f"/api/imports/{item.public_id}/approve/", APPROVE),
        (f"/api/imports/{item.public_id}/reject/", {"item_code": "SUGAR"}),
    ] * 2

    def decide(call: tuple[str, Any]) -> tuple[str, int]:
        try:
            return call[0], Caller(amani.key_text).post(*call).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as hands:
        told = list(hands.map(decide, calls))
    accepted = [path for path, status in told if status == 202 and "purchases" in path]
    assert len(accepted) <= 1  # a rejection may still be followed by the acceptance
    assert len([1 for path, status in told if status == 202 and "imports" in path]) == 1
    assert {status for _, status in told} <= {200, 202, 409}
    invoice.refresh_from_db()
    assert invoice.status == ("accepted" if accepted else "rejected")
    assert Job.objects.filter(kind="purchase").count() == len(accepted)
    assert Job.objects.filter(kind="import").count() == 1


DECLARED: dict[str, Any] = {
    "reference": "BUY-1",
    "supplier_name": "Wanjiru farm",
    "purchased_on": "2026-11-20",
    "lines": [{"item_code": "SUGAR", "quantity": 20, "unit_price": "116.00"}],
}


def test_a_purchase_is_declared_once(owner: Caller) -> None:
    made = owner.post("/api/purchases/", DECLARED)
    told = made.json()
    assert (made.status_code, told["status"], told["reference"], told["total"]) == (202, "accepted", "BUY-1", "2320.00")
    assert [(line["name"], line["tax"], line["total"]) for line in told["lines"]] == [("Sugar", "320.00", "2320.00")]
    again = owner.post("/api/purchases/", DECLARED)
    assert (again.status_code, again.json()) == (200, told)
    problem(owner.post("/api/purchases/", {**DECLARED, "supplier_name": "Other"}), 409, "reference_reused")
    assert Job.objects.filter(kind="purchase").count() == 1
    problem(owner.post(f"/api/purchases/{told['id']}/reject/", {}), 409, "already_decided")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"reference": " "}, {"reference": "blank"}),
        ({"supplier_name": ""}, {"supplier_name": "blank"}),
        ({"supplier_pin": "P1"}, {"supplier_pin": "bad_pin"}),
        ({"invoice_number": 0}, {"invoice_number": "too_small"}),
        ({"purchased_on": "today"}, {"purchased_on": "not_a_day"}),
        ({"branch": "09"}, {"branch": "unknown_branch"}),
        ({"payment_method": "shells"}, {"payment_method": "unknown_value"}),
        ({"lines": []}, {"lines": "too_few"}),
        ({"lines": [{**DECLARED["lines"][0], "item_code": "SALT"}]}, {"lines[0].item_code": "unknown_item"}),
        ({"lines": [{**DECLARED["lines"][0], "item_code": "NEW"}]}, {"lines[0].item_code": "item_not_registered"}),
        ({"lines": [{**DECLARED["lines"][0], "quantity": 0}]}, {"lines[0].quantity": "not_positive"}),
        ({"lines": [{**DECLARED["lines"][0], "unit_price": -1}]}, {"lines[0].unit_price": "negative"}),
        ({"colour": "brown"}, {"colour": "unknown_field"}),
    ],
)
def test_each_wrong_field_of_a_declaration_is_named(
    owner: Caller, change: dict[str, Any], wrong: dict[str, str]
) -> None:
    assert fields(owner.post("/api/purchases/", {**DECLARED, **change})) == wrong
    assert not SupplierInvoice.objects.exists()


def test_a_refused_declaration_may_be_posted_corrected(owner: Caller) -> None:
    made = owner.post("/api/purchases/", DECLARED).json()
    SupplierInvoice.objects.update(status="refused", problem={"code": "refused_by_kra"})
    Job.objects.update(state="closed")
    corrected = owner.post("/api/purchases/", {**DECLARED, "supplier_name": "Wanjiru's farm"})
    assert (corrected.status_code, corrected.json()["id"], corrected.json()["status"]) == (202, made["id"], "accepted")


# --- imports


def test_an_imported_line_is_approved_once(owner: Caller, amani: Onboarded) -> None:
    path = f"/api/imports/{imported(amani.company).public_id}/"
    assert owner.get(path).json()["status"] == "open"
    approved = owner.post(f"{path}approve/", APPROVE)
    assert (approved.status_code, approved.json()["status"], approved.json()["item_code"]) == (202, "accepted", "SUGAR")
    problem(owner.post(f"{path}approve/", APPROVE), 409, "already_decided")
    problem(owner.post(f"{path}reject/", {"item_code": "SUGAR"}), 409, "already_decided")
    assert Job.objects.filter(kind="import").count() == 1


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"item_code": "SALT"}, {"item_code": "unknown_item"}),
        ({"item_code": "NEW"}, {"item_code": "item_not_registered"}),
        ({"item_code": "REPAIR"}, {"item_code": "not_goods"}),
        ({"item_code": ""}, {"item_code": "blank"}),
        ({"branch": "09"}, {"branch": "unknown_branch"}),
        ({"branch": "x"}, {"branch": "wrong_form"}),
        ({"factor": 0}, {"factor": "not_positive"}),
        ({"factor": "1,5"}, {"factor": "not_a_number"}),
        ({"unit_price": "-1"}, {"unit_price": "negative"}),
        ({"unit_price": "1.001"}, {"unit_price": "too_many_decimals"}),
        ({"remark": "a\nb"}, {"remark": "not_printable"}),
        ({"colour": "brown"}, {"colour": "unknown_field"}),
    ],
)
def test_each_wrong_field_of_an_approval_is_named(
    owner: Caller, amani: Onboarded, change: dict[str, Any], wrong: dict[str, str]
) -> None:
    item = imported(amani.company)
    assert fields(owner.post(f"/api/imports/{item.public_id}/approve/", {**APPROVE, **change})) == wrong
    item.refresh_from_db()
    assert (item.status, Job.objects.filter(kind="import").exists()) == ("open", False)


def test_a_rejection_names_an_item(owner: Caller, amani: Onboarded) -> None:
    path = f"/api/imports/{imported(amani.company).public_id}/reject/"
    assert fields(owner.post(path, {})) == {"item_code": "missing"}
    assert fields(owner.post(path, {"item_code": "SALT"})) == {"item_code": "unknown_item"}
    assert owner.post(path, {"item_code": "SUGAR", "remark": "not ours"}).status_code == 202


# --- who may


@pytest.mark.parametrize("role", [Role.CASHIER, Role.VIEWER])
def test_only_who_keeps_the_books_decides(amani: Onboarded, role: Role) -> None:
    caller = Caller(key_with(amani.company, role)[1])
    invoice, item = listed(amani.company), imported(amani.company)
    for path, body in [
        ("/api/purchases/fetch/", None),
        ("/api/purchases/", DECLARED),
        ("/api/purchases/bills/", BILL),
        (f"/api/purchases/{invoice.public_id}/accept/", ACCEPT),
        (f"/api/purchases/{invoice.public_id}/reject/", {}),
        ("/api/imports/fetch/", None),
        (f"/api/imports/{item.public_id}/approve/", APPROVE),
        (f"/api/imports/{item.public_id}/reject/", {"item_code": "SUGAR"}),
    ]:
        problem(caller.post(path, body), 403, "role_not_allowed")
    assert len(caller.get("/api/purchases/").json()["purchases"]) == 1


def test_an_accountant_decides(amani: Onboarded) -> None:
    caller = Caller(key_with(amani.company, Role.ACCOUNTANT)[1])
    assert caller.post(f"/api/purchases/{listed(amani.company).public_id}/accept/", ACCEPT).status_code == 202
    assert caller.post(f"/api/imports/{imported(amani.company).public_id}/approve/", APPROVE).status_code == 202


def test_a_suspended_company_decides_nothing(owner: Caller, amani: Onboarded) -> None:
    invoice, item = listed(amani.company), imported(amani.company)
    Company.objects.filter(pk=amani.company.pk).update(status="suspended")
    problem(owner.post("/api/purchases/bills/", BILL), 403, "company_not_active")
    problem(owner.post(f"/api/purchases/{invoice.public_id}/accept/", ACCEPT), 403, "company_not_active")
    problem(owner.post(f"/api/purchases/{invoice.public_id}/reject/", {}), 403, "company_not_active")
    problem(owner.post(f"/api/imports/{item.public_id}/approve/", APPROVE), 403, "company_not_active")


def test_a_stranger_sees_and_decides_nothing_of_ours(owner: Caller, amani: Onboarded) -> None:
    invoice, item = listed(amani.company), imported(amani.company)
    owner.post("/api/purchases/bills/", BILL)
    stranger = Caller(make_stranger().key_text)
    assert stranger.get("/api/purchases/").json()["purchases"] == []
    assert stranger.get("/api/purchases/bills/").json()["bills"] == []
    assert stranger.get("/api/imports/").json()["imports"] == []
    for path, body in [
        (f"/api/purchases/{invoice.public_id}/accept/", ACCEPT),
        (f"/api/purchases/{invoice.public_id}/reject/", {}),
        (f"/api/imports/{item.public_id}/approve/", APPROVE),
        (f"/api/imports/{item.public_id}/reject/", {"item_code": "SUGAR"}),
    ]:
        problem(stranger.post(path, body), 404, "not_found")
    for path in (f"/api/purchases/{invoice.public_id}/", f"/api/imports/{item.public_id}/"):
        problem(stranger.get(path), 404, "not_found")
    problem(Caller(None).get("/api/purchases/"), 401, "key_missing")


def test_what_kra_lists_is_fetched_and_kept_once(owner: Caller, amani: Onboarded, kra: Simulator) -> None:
    before = datetime.now(UTC)
    Device.objects.filter(pk=amani.device.pk).update(status="waiting", sealed_key=None)
    assert owner.post("/api/device/init/", {"device": "AMANI-00"}).json()["status"] == "active"
    told = owner.post("/api/purchases/fetch/", None).json()
    assert told["sent"] == told["new"] == len(owner.get("/api/purchases/").json()["purchases"]) > 0
    assert owner.post("/api/purchases/fetch/", None).json()["new"] == 0
    told = owner.post("/api/imports/fetch/", None).json()
    assert told["sent"] == told["new"] == len(owner.get("/api/imports/").json()["imports"]) > 0
    [first, *_] = owner.get("/api/purchases/").json()["purchases"]
    assert datetime.fromisoformat(first["listed_at"]) >= before.replace(microsecond=0)
