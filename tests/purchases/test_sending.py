"""Purchases and imports from KRA's list to the shelf, when all is well and when answers are lost."""

import os
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.kra.codes import PaymentMethod
from gateway.lanes.actions import NotPossible, release_lane
from gateway.lanes.models import Attempt, Job, Lane
from gateway.lib.clock import utc_now
from gateway.purchases.doubts import find_purchase_doubt, give_back, note_recorded
from gateway.purchases.fetching import fetch_imports, fetch_purchases, missing_suppliers
from gateway.purchases.models import Bill, ImportedItem, SupplierInvoice
from gateway.purchases.services import (
    AlreadyDecided,
    BillReused,
    Bought,
    Mapping,
    PurchaseReused,
    accept_purchase,
    decide_import,
    declare_purchase,
    post_bill,
    reject,
)
from gateway.stock.models import Balance
from gateway.stock.services import StockRefused
from gateway.tenants.models import Company
from tests.catalog.item_lane import key_unreadable, open_breaker
from tests.lanes.bench import fresh_database, pointed_at
from tests.lanes.shops import Counter, Street, street
from tests.servers import Simulator
from tests.stock.yard import at_kra, balance, reported

pytestmark = pytest.mark.needs_database
BY = "key:owner"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock(), fresh_database(os.environ["DATABASE_URL"], tmp_path_factory.mktemp("db")) as made:
        yield made


@pytest.fixture
def shops(url: str, django_db_blocker: Any, simulator: Simulator, settings: Any) -> Iterator[Street]:
    with django_db_blocker.unblock(), pointed_at(url), street(simulator, settings, late_seconds=1.0) as made:
        made.start_process()
        yield made


@pytest.fixture
def counter(shops: Street) -> Counter:
    (opened,) = shops.open_company("00")
    shops.register_items()
    return opened


@pytest.fixture
def company(counter: Counter) -> Company:
    return Company.objects.get(pk=counter.company_id)


def sugar_invoice(shops: Street, company: Company) -> SupplierInvoice:
    """The wholesaler's invoice of 4 bags of 50 kg, as KRA lists it."""
    shops.do(lambda: fetch_purchases(company, "sandbox"))
    return SupplierInvoice.objects.get(company=company, supplier_pin="P000000101S")


def accept(shops: Street, invoice: SupplierInvoice, *mappings: Mapping) -> SupplierInvoice:
    chosen = mappings or (Mapping(1, "SUGAR", Decimal(50)),)
    return shops.do(lambda: accept_purchase(invoice=invoice, branch="00", mappings=chosen, now=utc_now(), by=BY))


def settled(shops: Street, row: Any, status: str = "confirmed") -> Any:
    def done() -> bool:
        row.refresh_from_db()
        return bool(row.status == status)

    assert shops.work_until(done, seconds=15), (row.status, row.problem)
    return row


def purchases_at_kra(shops: Street, counter: Counter) -> list[tuple[int, str]]:
    rows = shops.simulator.ledger(pin=counter.pin, kind="purchase")
    return [(row["number"], row["reference"]) for row in rows]


def test_what_is_fetched_twice_is_kept_once(shops: Street, company: Company) -> None:
    assert shops.do(lambda: fetch_purchases(company, "sandbox")).new == 2
    assert shops.do(lambda: fetch_purchases(company, "sandbox")).new == 0
    assert shops.do(lambda: fetch_imports(company, "sandbox")).new == 3
    assert shops.do(lambda: fetch_imports(company, "sandbox")).new == 0
    assert SupplierInvoice.objects.filter(company=company).count() == 2
    tried = Attempt.objects.filter(company=company, kind__in=["purchases", "imports"])
    assert {one.kind for one in tried} == {"purchases", "imports"}
    assert {(one.outcome, one.answer) for one in tried} == {("done", "")}  # the lists are kept in tables


@pytest.mark.parametrize("lost", ["", "answer_lost", "request_lost"])
def test_an_accepted_purchase_is_recorded_once_and_its_goods_come_in(
    shops: Street, counter: Counter, company: Company, lost: str
) -> None:
    invoice = sugar_invoice(shops, company)
    if lost:
        shops.fault(counter, "purchase_save", lost)
    accept(shops, invoice)
    assert settled(shops, invoice).number == 1
    reported(shops, counter)
    assert purchases_at_kra(shops, counter) == [(1, "P000000101S/00/1")]
    assert balance(counter).quantity == at_kra(shops, counter) == Decimal(200)
    assert Lane.objects.get(pin=counter.pin, series="purchase").next_number == 2


def test_a_purchase_that_kra_refuses_brings_no_goods_and_can_be_accepted_again(
    shops: Street, counter: Counter, company: Company
) -> None:
    invoice = sugar_invoice(shops, company)
    shops.fault(counter, "purchase_save", "result_code", code="910")
    accept(shops, invoice)
    settled(shops, invoice, "refused")
    assert not Balance.objects.filter(company=company).exists()
    accept(shops, invoice)
    assert settled(shops, invoice).number == 1


def test_a_purchase_is_decided_once(shops: Street, company: Company) -> None:
    invoice = sugar_invoice(shops, company)
    assert shops.do(lambda: reject(invoice, remark="not ours", by=BY)).status == "rejected"
    accept(shops, invoice)
    with pytest.raises(AlreadyDecided):
        accept(shops, invoice)


@pytest.mark.parametrize(
    ("mappings", "wrong"),
    [
        ([Mapping(7, "SUGAR")], {"lines[0].line": "unknown_line"}),
        ([Mapping(1, "SALT")], {"lines[0].item_code": "unknown_item"}),
        ([Mapping(1, "SUGAR"), Mapping(1, "SUGAR")], {"lines[1].line": "duplicate"}),
    ],
)
def test_a_wrong_mapping_is_named_by_field(
    shops: Street, company: Company, mappings: list[Mapping], wrong: dict[str, str]
) -> None:
    with pytest.raises(StockRefused) as refused:
        accept(shops, sugar_invoice(shops, company), *mappings)
    assert {one.field: one.code for one in refused.value.wrongs} == wrong


def declare(shops: Street, company: Company, **changes: Any) -> tuple[SupplierInvoice, bool]:
    told: dict[str, Any] = {"reference": "BUY-1", "supplier_pin": "", "supplier_name": "Wanjiru farm"}
    told |= {"invoice_number": None, "purchased_on": date(2026, 11, 20), "payment_method": PaymentMethod.CASH}
    told |= {"branch": "00", "bought": [Bought("SUGAR", Decimal(20), Decimal("120.00"))], "now": utc_now(), "by": BY}
    return shops.do(lambda: declare_purchase(company=company, environment="sandbox", **{**told, **changes}))


@pytest.mark.parametrize("lost", ["", "request_lost"])
def test_a_typed_purchase_is_recorded_once_and_its_goods_come_in(
    shops: Street, counter: Counter, company: Company, lost: str
) -> None:
    if lost:
        shops.fault(counter, "purchase_save", lost)
    purchase, known = declare(shops, company)
    assert not known
    assert declare(shops, company) == (purchase, True)
    assert settled(shops, purchase).number == 1
    reported(shops, counter)
    assert len(purchases_at_kra(shops, counter)) == 1
    assert balance(counter).quantity == at_kra(shops, counter) == Decimal(20)
    assert declare(shops, company) == (purchase, True)
    with pytest.raises(PurchaseReused):
        declare(shops, company, supplier_name="Somebody else")


def held(shops: Street, counter: Counter) -> Lane:
    def is_held() -> bool:
        return Lane.objects.filter(pin=counter.pin, series="purchase").exclude(hold_reason="").exists()

    assert shops.work_until(is_held, seconds=20)
    return Lane.objects.get(pin=counter.pin, series="purchase")


def shows(shops: Street, row: Any, code: str) -> Any:
    """Let everybody work until the decision shows this problem."""

    def does() -> bool:
        row.refresh_from_db()
        return bool((row.problem or {}).get("code") == code)

    assert shops.work_until(does, seconds=5), (row.status, row.problem)
    return row


def decide_beans(shops: Street, company: Company) -> ImportedItem:
    """Approve an imported line; it is not waited for."""
    shops.do(lambda: fetch_imports(company, "sandbox"))
    beans = ImportedItem.objects.get(company=company, name="BAKED BEANS")
    decided: dict[str, Any] = {"item_code": "SUGAR", "branch": "00", "factor": Decimal("0.5"), "unit_price": None}
    return shops.do(lambda: decide_import(imported=beans, approved=True, remark="", now=utc_now(), by=BY, **decided))


@pytest.mark.parametrize("operation", ["purchase_save", "import_item_update"])
def test_a_decision_whose_lane_is_held_shows_why(
    shops: Street, counter: Counter, company: Company, operation: str
) -> None:
    invoice = sugar_invoice(shops, company)
    shops.fault(counter, operation, "result_code", code="901")
    row = accept(shops, invoice) if operation == "purchase_save" else decide_beans(shops, company)
    lane = held(shops, counter)
    row.refresh_from_db()
    assert row.status == "accepted" and row.problem is not None
    assert (row.problem["code"], row.problem["detail"]) == ("held", lane.hold_reason)
    assert Event.objects.get(company=company, name="lane.held").subject == row.public_id
    shops.do(lambda: release_lane(lane.pk, actor="operator"))
    assert settled(shops, row).problem is None


@pytest.mark.parametrize("operation", ["purchase_save", "import_item_update"])
def test_a_decision_that_waits_for_kra_shows_why(
    shops: Street, counter: Counter, company: Company, operation: str
) -> None:
    invoice = sugar_invoice(shops, company)
    shops.fault(counter, operation, "rate_limited", times=50, retry_after=0)
    row = accept(shops, invoice) if operation == "purchase_save" else decide_beans(shops, company)
    assert shows(shops, row, "kra_away").status == "accepted"
    shops.simulator.clear_faults()
    assert settled(shops, row).problem is None


def test_a_purchase_behind_an_open_breaker_shows_why(shops: Street, counter: Counter, company: Company) -> None:
    invoice = sugar_invoice(shops, company)
    open_breaker(shops, counter)
    accept(shops, invoice)
    assert "does not answer anybody" in shows(shops, invoice, "kra_away").problem["detail"]
    assert settled(shops, invoice).problem is None


def test_a_purchase_sent_by_a_process_that_died_stays_in_doubt_when_the_key_does_not_open(
    shops: Street, counter: Counter, company: Company
) -> None:
    """Given back, its number would be free, and the purchase declared a second time under the next."""
    shops.fault(counter, "purchase_save", "delay", seconds=5, when="after")
    purchase, _ = declare(shops, company)
    assert shops.work_until(lambda: len(purchases_at_kra(shops, counter)) == 1, seconds=5)
    with key_unreadable(shops, counter):
        assert "cannot be opened" in held(shops, counter).hold_reason
        purchase.refresh_from_db()
        job = Job.objects.get(kind="purchase", document_id=purchase.pk)
        assert (purchase.status, job.state, job.number) == ("unknown", "started", 1)
    shops.do(lambda: release_lane(held(shops, counter).pk, actor="operator"))
    doubt = find_purchase_doubt(held(shops, counter))
    shops.do(lambda: note_recorded(doubt, actor="operator"))
    assert settled(shops, purchase).number == 1 and len(purchases_at_kra(shops, counter)) == 1


@pytest.mark.parametrize("decide", [note_recorded, give_back])
def test_a_person_decides_whether_kra_has_a_typed_purchase_whose_answer_was_lost(
    shops: Street, counter: Counter, company: Company, decide: Any
) -> None:
    shops.fault(counter, "purchase_save", "answer_lost")
    purchase, _ = declare(shops, company)
    doubt = find_purchase_doubt(held(shops, counter))
    assert len(purchases_at_kra(shops, counter)) == 1
    assert doubt.purchase == purchase
    shops.do(lambda: decide(doubt, actor="operator"))
    with pytest.raises(NotPossible):
        shops.do(lambda: decide(doubt, actor="operator"))
    purchase.refresh_from_db()
    if decide is note_recorded:
        assert (purchase.status, purchase.number) == ("confirmed", 1)
        reported(shops, counter)
        assert balance(counter).quantity == at_kra(shops, counter) == Decimal(20)
        assert Lane.objects.get(pin=counter.pin, series="purchase").next_number == 2
    else:
        assert (purchase.status, (purchase.problem or {})["code"]) == ("refused", "given_back")
        assert not Balance.objects.filter(company=company).exists()
        corrected, known = declare(shops, company, supplier_name="Wanjiru's farm")
        assert (corrected, known) == (purchase, False)
        assert settled(shops, purchase).number == 2


def test_what_kra_lists_is_accepted_and_not_declared(shops: Street, company: Company) -> None:
    sugar_invoice(shops, company)
    with pytest.raises(StockRefused) as refused:
        declare(shops, company, supplier_pin="P000000101S", invoice_number=1)
    assert [(one.field, one.code) for one in refused.value.wrongs] == [("invoice_number", "known_already")]
    purchase, _ = declare(shops, company, supplier_pin="P000000777S", invoice_number=1)
    with pytest.raises(AlreadyDecided):
        accept(shops, purchase)


def test_a_bill_finds_its_invoice_by_supplier_number_and_amount(shops: Street, company: Company) -> None:
    def post(reference: str, amount: str, **more: Any) -> Bill:
        told: dict[str, Any] = {"supplier_pin": "P000000101S", "supplier_name": "", "invoice_number": 1, **more}
        return post_bill(
            company=company,
            environment="sandbox",
            reference=reference,
            amount=Decimal(amount),
            dated_on=date(2026, 11, 1),
            **told,
        )[0]

    before = post("B-1", "29000.00")
    other = post("B-2", "29000.01")
    invoice = sugar_invoice(shops, company)
    assert invoice.bill == before
    assert post("B-1", "29000.00") == before
    with pytest.raises(BillReused):
        post("B-1", "29000.02")
    later = missing_suppliers(company.pk, "sandbox", days=7, today=date(2026, 11, 20))
    assert later == [other]
    soon = date(2026, 11, 1) + timedelta(days=6)
    assert missing_suppliers(company.pk, "sandbox", days=7, today=soon) == []


@pytest.mark.parametrize("lost", ["", "answer_lost"])
def test_an_approved_import_comes_in_in_our_own_unit(
    shops: Street, counter: Counter, company: Company, lost: str
) -> None:
    shops.do(lambda: fetch_imports(company, "sandbox"))
    beans = ImportedItem.objects.get(company=company, name="BAKED BEANS")
    if lost:
        shops.fault(counter, "import_item_update", lost)
    decided: dict[str, Any] = {"item_code": "SUGAR", "branch": "00", "factor": Decimal("0.5"), "unit_price": None}
    shops.do(lambda: decide_import(imported=beans, approved=True, remark="", now=utc_now(), by=BY, **decided))
    settled(shops, beans)
    reported(shops, counter)
    assert balance(counter).quantity == at_kra(shops, counter) == Decimal("9973")
    with pytest.raises(AlreadyDecided):
        shops.do(lambda: decide_import(imported=beans, approved=True, remark="", now=utc_now(), by=BY, **decided))


def test_a_rejected_import_brings_nothing(shops: Street, company: Company) -> None:
    shops.do(lambda: fetch_imports(company, "sandbox"))
    beans = ImportedItem.objects.get(company=company, name="BAKED BEANS")
    decided: dict[str, Any] = {"item_code": "SUGAR", "branch": "00", "factor": Decimal(1), "unit_price": None}
    shops.do(lambda: decide_import(imported=beans, approved=False, remark="", now=utc_now(), by=BY, **decided))
    settled(shops, beans, "rejected")
    assert not Balance.objects.filter(company=company).exists()
