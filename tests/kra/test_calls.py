import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.kra.branch_documents import BranchCustomer, BranchUser, Insurance
from gateway.kra.calls import branches, purchases, stock
from gateway.kra.client import Client
from gateway.kra.codes import DEFAULT_RATES, ImportStatus, Registration, StockReason, TaxClass
from gateway.kra.errors import Busy, Drift, Duplicate, NotOffered
from gateway.kra.operations import operations, path_of
from gateway.kra.profiles import Flavour, profile, simulator
from gateway.kra.sessions import open_session
from gateway.kra.stock_documents import ImportDecision, PurchaseDocument, PurchaseLine, StockDocument, StockLine
from gateway.kra.tax import AmountProfile, LineIn, figures
from tests.kra.samples import ISSUED, SHOP
from tests.kra.servers import answered, serving
from tests.kra.spec import SPEC, check, example_answer

SUGAR = figures(
    [LineIn(Decimal(2), Decimal("1160.00"), TaxClass.STANDARD)],
    rates=DEFAULT_RATES,
    profile=AmountProfile.INCLUSIVE_NET_BASE,
    prices_include_tax=True,
)
MOVEMENT = StockDocument(
    reason=StockReason.SALE_OUT,
    occurred_on=date(2026, 3, 1),
    counterparty_pin="A012345678Z",
    counterparty_name="EXAMPLE BUYER LTD",
    counterparty_branch="00",
    operator_id="cashier1",
    operator_name="Till One",
    lines=[
        StockLine(
            item_code="KE2NTTU0000001",
            item_class="5016150900",
            name="Brown sugar 1kg",
            packaging_unit="NT",
            quantity_unit="TU",
            quantity=Decimal(2),
            tax_class=TaxClass.STANDARD,
            figures=SUGAR.lines[0],
        )
    ],
)
PURCHASE = PurchaseDocument(
    purchased_on=date(2026, 3, 1),
    confirmed_at=datetime(2026, 3, 1, 9, 0, tzinfo=UTC),
    figures=SUGAR,
    rates=DEFAULT_RATES,
    supplier_pin="A012345678Z",
    supplier_name="EXAMPLE SUPPLIER LTD",
    supplier_branch="00",
    supplier_invoice_number=2,
    warehoused_at=ISSUED,
    lines=[
        PurchaseLine(
            item_code="KE2NTTU0000001",
            item_class="5016150900",
            name="Brown sugar 1kg",
            packaging_unit="NT",
            quantity_unit="TU",
            quantity=Decimal(2),
            packages=Decimal(2),
            tax_class=TaxClass.STANDARD,
            figures=SUGAR.lines[0],
            supplier_item_code="KE2NTTU0000009",
            supplier_item_class="5016150900",
            supplier_item_name="Sugar",
            expires_on=date(2027, 3, 1),
        )
    ],
)
DECISION = ImportDecision(
    task_code="2231943",
    declaration_date="01022026",
    line_number=1,
    hs_code="20055900000",
    item_code="KE2NTTU0000001",
    item_class="5016150900",
    status=ImportStatus.APPROVED,
)


@asynccontextmanager
async def connected(reply, flavour=Flavour.OSCU_DIRECT):
    async with serving(reply) as server, open_session() as session:
        yield Client(simulator(flavour, server.origin), session=session), server


def ask(call, *args, data=None, code="000", **more):
    """The result of a call against a server with one answer, and the request it saw."""

    async def run():
        async with connected(lambda request: answered(code, data)) as (client, server):
            return await call(client, SHOP, *args, **more), server.requests[-1]

    return asyncio.run(run())


async def move(client, credentials):
    body = stock.with_stock_number(stock.stock_body(client, MOVEMENT, credentials), 10)
    return await stock.save_movement(client, credentials, body, 10)


async def buy(client, credentials):
    body = purchases.with_number(purchases.purchase_body(client.profile, PURCHASE, credentials), 1)
    return await purchases.save_purchase(client, credentials, body, 1)


async def balance(client, credentials):
    return await stock.save_balance(client, credentials, item_code="KE2NTTU0000001", remaining=Decimal(98))


async def component(client, credentials):
    return await stock.save_component(
        client, credentials, item_code="KE2NTTU0000003", component_code="KE2NTTU0000001", quantity=Decimal("0.5")
    )


CUSTOMER = BranchCustomer(number="CUST00001", pin="A012345678Z", name="EXAMPLE BUYER LTD", phone="0700000000")
USER = BranchUser(user_id="cashier1", name="Till One", password="PLANTED-password")
INSURANCE = Insurance(code="INS001", name="EXAMPLE INSURANCE", rate=20)

WRITES: dict[str, tuple[Any, list[Any]]] = {
    "stock_io_save": (move, []),
    "stock_master_save": (balance, []),
    "item_composition_save": (component, []),
    "purchase_save": (buy, []),
    "import_item_update": (purchases.decide_import, [DECISION]),
    "branch_customer_save": (branches.save_customer, [CUSTOMER]),
    "branch_user_save": (branches.save_user, [USER]),
    "branch_insurance_save": (branches.save_insurance, [INSURANCE]),
}
LOOK_UPS = {
    "branch_list": branches.list_branches,
    "notice_list": branches.list_notices,
    "branch_customer_list": branches.list_customers,
    "stock_move_list": stock.list_transfers,
    "purchase_sales_list": purchases.list_supplier_sales,
    "import_item_list": purchases.list_imports,
    "sales_list": Client.list_sales,
    "item_list": Client.list_items,
    "code_list": Client.code_list,
    "item_class_list": Client.item_classes,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_fits_the_field_table_of_the_specification(name):
    call, args = WRITES[name]
    exchange, request = ask(call, *args)
    assert exchange.outcome == "done" and exchange.operation == name
    assert request.target.endswith(SPEC[name]["paths"]["oscu"])
    check(SPEC[name]["request"]["fields"], json.loads(request.body, parse_float=Decimal))


@pytest.mark.parametrize("name", LOOK_UPS)
def test_the_published_example_of_a_look_up_is_read(name):
    (rows, server_time, exchange), request = ask(LOOK_UPS[name], data=example_answer(name))
    assert rows and server_time == datetime(2026, 3, 1, 7, 15, 30, tzinfo=UTC)
    assert exchange.outcome == "done" and request.target.endswith(SPEC[name]["paths"]["oscu"])
    check(SPEC[name]["request"]["fields"], request.json)


@pytest.mark.parametrize("name", LOOK_UPS)
def test_nothing_found_is_an_empty_list_and_a_missing_list_is_not(name):
    (rows, server_time, exchange), _ = ask(LOOK_UPS[name], code="001")
    assert rows == [] and server_time and exchange.outcome == "empty"
    answers: list = [None, {}, [], "x", {"itemList": None}]
    for data in answers:
        with pytest.raises(Busy) as raised:
            ask(LOOK_UPS[name], data=data)
        assert raised.value.code == "unreadable" and raised.value.exchange


def test_every_operation_has_its_method():
    others = {"device_init", "sales_save", "invoice_details", "item_save", "customer_pin_lookup", "taxpayer_info"}
    assert set(operations()) == set(WRITES) | set(LOOK_UPS) | others
    for name, entry in SPEC.items():
        assert operations()[name].is_write is entry["mutates_kra_state"]


@pytest.mark.parametrize("name", ["oscu_direct_sandbox", "gavaconnect_sandbox", "vscu_sandbox"])
def test_every_path_is_the_one_of_its_flavour(name):
    known = profile(name)
    for operation in operations():
        assert path_of(operation, known) == SPEC[operation]["paths"][known.paths]


def test_the_integrator_names_are_used_but_for_the_one_that_keeps_nothing():
    known = profile("gavaconnect_sandbox", paths="gava_integrator")
    assert path_of("sales_save", known) == "/sendSalesTransaction"
    assert path_of("stock_io_save", known) == "/insert/stockIO"
    assert path_of("import_item_update", known) == "/updateImportItem"


@pytest.mark.parametrize(
    "call",
    [branches.taxpayer_info, branches.list_customers, Client.list_sales],
)
def test_what_vscu_does_not_offer_is_not_sent(call):
    async def run():
        async with connected(lambda request: answered(), Flavour.VSCU) as (client, server):
            with pytest.raises(NotOffered):
                await call(client, SHOP)
            assert not server.requests

    asyncio.run(run())


def test_a_taxpayer_is_found_by_pin_or_not_at_all():
    (found, _), request = ask(branches.find_taxpayer, "A012345678Z", data=example_answer("customer_pin_lookup"))
    assert found.pin == "A012345678Z" and request.json["custmTin"] == "A012345678Z"
    assert ask(branches.find_taxpayer, "A012345678Z", code="001")[0][0] is None
    assert ask(branches.find_taxpayer, "P000000000X", data=example_answer("customer_pin_lookup"))[0][0] is None
    (info, _), _ = ask(branches.taxpayer_info, data={"info": {"taxprNm": "EXAMPLE ", "vatTyCd": "1"}})
    assert (info.name, info.vat_type) == ("EXAMPLE", "1")
    assert ask(branches.taxpayer_info, code="001")[0][0] is None


def test_a_movement_says_what_the_published_example_says():
    example = SPEC["stock_io_save"]["examples"]["request"]["both"]
    _, request = ask(move)
    assert request.body.startswith(b'{"sarNo":10,')
    assert json.loads(request.body, parse_float=Decimal) == json.loads(json.dumps(example), parse_float=Decimal)


def test_a_movement_sent_twice_is_told_apart_from_one_out_of_order():
    with pytest.raises(Duplicate):
        ask(move, code="994")

    async def run():
        message = "Invalid sarNo: Expected: 11 but found: 10"
        async with connected(lambda request: answered("910", message=message)) as (client, _):
            with pytest.raises(Drift) as raised:
                await move(client, SHOP)
            assert raised.value.expected == 11 and raised.value.exchange
            assert raised.value.exchange.number == 10

    asyncio.run(run())


def test_what_a_supplier_declared_is_kept_as_received():
    line = {"itemSeq": 1, "itemCd": "X", "qty": "2.125", "prc": 1160.005, "splyAmt": "2000", "totAmt": 2320}
    record = {"spplrTin": "A012345678Z", "spplrInvcNo": "7", "totAmt": 2320.1, "taxRtB": "16", "itemList": [line]}
    ((sale,), _, _), _ = ask(purchases.list_supplier_sales, data={"saleList": [record]})
    assert (str(sale.total), str(sale.rates[TaxClass.STANDARD]), sale.confirmed_at) == ("2320.10", "16", None)
    (kept,) = sale.lines
    assert (str(kept.quantity), str(kept.unit_price), str(kept.supply)) == ("2.125", "1160.005", "2000.00")


def test_an_import_status_is_read_in_both_spellings():
    for spelling in ("imptItemsttsCd", "imptItemSttsCd"):
        record = {"taskCd": "1", "dclDe": "-1", "itemSeq": 1, spelling: "2"}
        ((item,), _, _), _ = ask(purchases.list_imports, data={"itemList": [record]})
        assert (item.status, item.declaration_date) == ("2", "-1")


def test_an_import_is_never_decided_without_a_remark():
    _, request = ask(purchases.decide_import, DECISION)
    assert request.json["remark"] == "approved" and "regrId" not in request.json


def test_a_password_is_masked():
    exchange, request = ask(branches.save_user, USER)
    assert request.json["pwd"] == "PLANTED-password"
    assert "PLANTED" not in repr(exchange) + repr(USER)


@pytest.mark.parametrize(
    ("call", "args"),
    [
        (branches.save_insurance, [Insurance(code="X", name="Y", rate=101)]),
        (branches.save_customer, [BranchCustomer(number="1234567890", pin="A012345678Z", name="Jane")]),
        (branches.save_customer, [BranchCustomer(number="1", pin="A012345678Z", name=" ")]),
    ],
)
def test_what_kra_cannot_take_is_refused_before_it_is_sent(call, args):
    with pytest.raises(ValueError):
        ask(call, *args)


def test_documents_without_lines_are_refused():
    known = profile("oscu_direct_sandbox")
    client = Client(known, session=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        stock.stock_body(
            client, StockDocument(reason=StockReason.SALE_OUT, occurred_on=date(2026, 3, 1), lines=[]), SHOP
        )
    with pytest.raises(ValueError):
        empty = PurchaseDocument(
            purchased_on=date(2026, 3, 1),
            confirmed_at=ISSUED,
            lines=[],
            figures=SUGAR,
            rates=DEFAULT_RATES,
            registration=Registration.MANUAL,
        )
        purchases.purchase_body(client.profile, empty, SHOP)
