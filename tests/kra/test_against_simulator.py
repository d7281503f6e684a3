"""Every operation over every way to KRA, against the simulator: one journey a way, and what KRA says afterwards."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.kra.branch_documents import BranchCustomer, BranchUser, Insurance
from gateway.kra.calls import branches, purchases, stock
from gateway.kra.client import Client
from gateway.kra.codes import DEFAULT_RATES, CreditNoteReason, ImportStatus, Registration, StockReason, TaxClass
from gateway.kra.documents import Exchange
from gateway.kra.errors import NotOffered
from gateway.kra.operations import operations, path_of
from gateway.kra.profiles import Flavour, simulator
from gateway.kra.stock_documents import ImportDecision, PurchaseDocument, PurchaseLine
from tests.kra.simulated import BUYER, BUYER_NAME, CLASS, WAYS, Shop, connected
from tests.servers import Simulator

NOT_OFFERED = {"vscu": {"taxpayer_info", "branch_customer_list", "sales_list", "invoice_details"}}
NOW = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)
MATRIX = [(way, operation) for way in WAYS for operation in operations()]

CUSTOMER = BranchCustomer(number="C1", pin=BUYER, name=BUYER_NAME)
USER = BranchUser(user_id="wkamau", name="Wanjiru Kamau", password="not-ours")
INSURANCE = Insurance(code="JUB01", name="Jubilee Health", rate=10)


@dataclass
class Journey:
    """What happened over one way: the exchange of each operation, what it brought, the requests that KRA saw."""

    exchanges: dict[str, Exchange] = field(default_factory=dict)
    brought: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, NotOffered] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)

    async def step(self, name: str, call: Callable[[], Any]) -> Any:
        """Call, and remember the exchange (the last part of what a call gives) and what it brought."""
        try:
            given = await call()
        except NotOffered as error:
            self.refused[name] = error
            return None
        exchange = given if isinstance(given, Exchange) else given[-1]
        self.exchanges[name] = exchange
        self.brought[name] = None if isinstance(given, Exchange) else given[0]
        return self.brought[name]


async def travel(kra: Simulator, way: str, client: Client, pin: str) -> Journey:
    """Each operation once, in an order in which each of them can succeed."""
    made = Journey()
    shop, other = Shop(kra, way, client, pin), Shop(kra, way, client, pin, branch="01")
    kra.approve(pin, "00", shop.device, shop.kind)
    kra.approve(pin, "01", other.device, other.kind)
    raw = await client.initialize_device(pin, "00", shop.device)
    made.exchanges["device_init"] = raw.exchange
    made.brought["device_init"] = client.read_activation(raw, client.profile.flavour)
    shop.key = made.brought["device_init"].key
    await other.activate()
    who = shop.credentials

    await made.step("code_list", lambda: client.code_list(who))
    await made.step("item_class_list", lambda: client.item_classes(who))
    await made.step("branch_list", lambda: branches.list_branches(client, who))
    await made.step("notice_list", lambda: branches.list_notices(client, who))
    await made.step("customer_pin_lookup", lambda: branches.find_taxpayer(client, who, BUYER))
    await made.step("taxpayer_info", lambda: branches.taxpayer_info(client, who))
    await made.step("branch_customer_save", lambda: branches.save_customer(client, who, CUSTOMER))
    await made.step("branch_customer_list", lambda: branches.list_customers(client, who))
    await made.step("branch_user_save", lambda: branches.save_user(client, who, USER))
    await made.step("branch_insurance_save", lambda: branches.save_insurance(client, who, INSURANCE))

    await shop.register("Sugar")
    await shop.register("Repair", service=True)
    await made.step("item_save", lambda: shop.register("Hamper"))
    await made.step("item_list", lambda: client.list_items(who))
    await made.step("stock_io_save", lambda: shop.move("Sugar", 10))
    sugar, hamper = shop.codes["Sugar"], shop.codes["Hamper"]
    ten = Decimal(10)
    await made.step("stock_master_save", lambda: stock.save_balance(client, who, item_code=sugar, remaining=ten))
    await shop.move("Sugar", 3, StockReason.TRANSFER_OUT, counterparty_pin=pin, counterparty_branch="01")
    await made.step("stock_move_list", lambda: stock.list_transfers(client, other.credentials))
    await made.step(
        "item_composition_save",
        lambda: stock.save_component(client, who, item_code=hamper, component_code=sugar, quantity=Decimal(1)),
    )

    imports = await made.step("import_item_list", lambda: purchases.list_imports(client, who))
    decision = ImportDecision(
        task_code=imports[0].task_code,
        declaration_date=imports[0].declaration_date,
        line_number=imports[0].line_number,
        hs_code=imports[0].hs_code,
        item_code=sugar,
        item_class=CLASS,
        status=ImportStatus.APPROVED,
    )
    await made.step("import_item_update", lambda: purchases.decide_import(client, who, decision))
    made.brought["imports after"] = (await purchases.list_imports(client, who))[0]

    await made.step("sales_save", lambda: shop.sell(buyer_pin=BUYER, buyer_name=BUYER_NAME))
    credit: dict[str, Any] = {
        "kind": "credit_note",
        "reference": "CN-1",
        "buyer_pin": BUYER,
        "buyer_name": BUYER_NAME,
        "original_number": 1,
        "reason": CreditNoteReason.REFUND,
        "credited_at": NOW,
    }
    await made.step("credit note", lambda: shop.sell(**credit))
    await made.step("invoice_details", lambda: client.find_invoice(who, 1))
    await made.step("sales_list", lambda: client.list_sales(who))

    listed = await made.step("purchase_sales_list", lambda: purchases.list_supplier_sales(client, who))
    document = purchase(shop, listed[0])
    body = purchases.with_number(purchases.purchase_body(client.profile, document, who), 1)
    await made.step("purchase_save", lambda: purchases.save_purchase(client, who, body, 1))
    made.brought["purchases after"] = (await purchases.list_supplier_sales(client, who))[0]
    made.requests = kra.requests(pin=pin)
    return made


def purchase(shop: Shop, listed: Any) -> PurchaseDocument:
    """A purchase typed in; its confirmation from the list is certification's business."""
    amounts = shop.amounts()
    line = PurchaseLine(
        item_code=shop.codes["Sugar"],
        item_class=CLASS,
        name="Sugar",
        packaging_unit="NT",
        quantity_unit="NO",
        quantity=Decimal(2),
        packages=Decimal(1),
        tax_class=TaxClass.STANDARD,
        figures=amounts.lines[0],
    )
    return PurchaseDocument(
        purchased_on=date(2026, 11, 20),
        confirmed_at=NOW,
        lines=[line],
        figures=amounts,
        rates=DEFAULT_RATES,
        registration=Registration.MANUAL,
        supplier_pin=listed.supplier_pin,
        supplier_name=listed.supplier_name,
        supplier_branch=listed.supplier_branch,
        supplier_invoice_number=listed.supplier_invoice_number,
        warehoused_at=NOW,
    )


@pytest.fixture(scope="module")
def journeys(simulator_process: Simulator) -> dict[str, Journey]:
    simulator_process.reset()

    async def run() -> dict[str, Journey]:
        made = {}
        for place, way in enumerate(WAYS):
            async with connected(simulator_process, way) as client:
                made[way] = await travel(simulator_process, way, client, f"P60000000{place}X")
        return made

    return asyncio.run(run())


def test_the_same_journey_sends_the_same_bytes(journeys: dict[str, Journey], simulator_process: Simulator) -> None:
    """Each document of each operation, built a second time, is byte for byte the first: what a retry relies on."""
    first = {way: [(row["operation"], row["body"]) for row in made.requests] for way, made in journeys.items()}
    simulator_process.reset()

    async def again(way: str, pin: str) -> list[tuple[str, str]]:
        async with connected(simulator_process, way) as client:
            made = await travel(simulator_process, way, client, pin)
            return [(row["operation"], row["body"]) for row in made.requests]

    for place, way in enumerate(WAYS):
        second = asyncio.run(again(way, f"P60000000{place}X"))
        assert {operation for operation, _ in second} >= set(operations()) - NOT_OFFERED.get(way, set())
        assert second == first[way], way


@pytest.mark.parametrize(("way", "operation"), MATRIX, ids=lambda value: str(value))
def test_each_operation_works_over_each_way_that_has_it(journeys: dict[str, Journey], way: str, operation: str) -> None:
    made = journeys[way]
    if operation in NOT_OFFERED.get(way, ()):
        assert made.refused[operation].code == "not_offered"
        assert not [row for row in made.requests if row["operation"] == operation]
        return
    exchange = made.exchanges[operation]
    assert exchange.outcome == ("unread" if operation == "device_init" else "done")
    flavour, paths = WAYS[way]
    profile = simulator(flavour, "http://kra.invalid", paths=paths)
    asked = [row for row in made.requests if row["operation"] == operation]
    assert {row["flavour"] for row in asked} == {flavour}
    where = profile.base_url.removeprefix("http://kra.invalid") + str(path_of(operation, profile))
    assert {row["path"] for row in asked} == {where}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_saved_is_read_back(journeys: dict[str, Journey], way: str) -> None:
    found = journeys[way].brought
    assert {row.name for row in found["item_list"]} == {"Sugar", "Repair", "Hamper"}
    assert [row.code for row in found["branch_list"]] == ["00", "01"]
    assert found["customer_pin_lookup"].name == BUYER_NAME
    assert len(found["item_class_list"]) > 5000 and len(found["code_list"]) > 10
    (transfer,) = found["stock_move_list"]
    assert (transfer.sender_branch, transfer.lines[0].quantity) == ("00", 3)
    assert [row.status for row in found["imports after"]].count(ImportStatus.APPROVED) == 1
    assert len(found["purchases after"]) == len(found["purchase_sales_list"]) - 1
    if way != "vscu":
        (customer,) = found["branch_customer_list"]
        assert (customer.number, customer.pin) == ("C1", BUYER)
        assert found["taxpayer_info"].name


@pytest.mark.parametrize("way", WAYS)
def test_a_sale_and_its_credit_note_are_signed_in_one_series(journeys: dict[str, Journey], way: str) -> None:
    found = journeys[way].brought
    sale, credit = found["sales_save"], found["credit note"]
    assert (sale.receipt_number, credit.receipt_number) == (1, 2)
    assert sale.signature != credit.signature and len(sale.signature) == 16 and len(sale.internal_data) == 26
    if way == "vscu":
        assert sale.control_unit_id.startswith("SIM")
        return
    looked_up = found["invoice_details"]
    assert (looked_up.number, looked_up.kind, looked_up.signature.signature) == (1, "sale", sale.signature)
    assert looked_up.tag.startswith("rvp:") and looked_up.total == Decimal("232.00")
    assert [(row.number, row.kind) for row in found["sales_list"]] == [(1, "sale"), (2, "credit_note")]


@pytest.mark.parametrize("way", WAYS)
def test_only_an_oscu_gets_a_key_and_no_exchange_shows_it(journeys: dict[str, Journey], way: str) -> None:
    made = journeys[way]
    key = made.brought["device_init"].key
    assert bool(key) is (WAYS[way][0] is not Flavour.VSCU)
    if key:
        assert key not in "".join(repr(exchange) for exchange in made.exchanges.values())
    assert "not-ours" not in repr(made.exchanges["branch_user_save"])
