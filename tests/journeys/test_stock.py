"""Goods from customs to the shelf, sold, returned, bought, moved and made, over a KRA that compares stock."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest

from tests import servers
from tests.gateway import ROOT, Gateway, Shop
from tests.gateway import gateway as running_gateway
from tests.stock.yard import kra_balances

pytestmark = pytest.mark.needs_database

ITEMS = [
    {"code": code, "name": code.title(), "tax_type": "B", "item_class": "5016150900", "quantity_unit": unit, **more}
    for code, unit, more in [
        ("PHONE", "NO", {"price": "15000.00"}),
        ("SUGAR", "KG", {"price": "160.00"}),
        ("GIFT", "NO", {"price": "16000.00"}),
    ]
]
FAULTS = [
    ("stock_io_save", "answer_lost", 2),
    ("stock_io_save", "request_lost", 1),
    ("stock_master_save", "answer_lost", 1),
    ("purchase_save", "answer_lost", 1),
    ("import_item_update", "answer_lost", 1),
]
SECOND_BRANCH = """
from gateway.tenants.models import Company
from gateway.tenants.services import add_branch
from gateway.devices.services import add_device
company = Company.objects.get(pin={pin!r})
branch = add_branch(company, code="01", name="Market", address="", city="Nairobi")
add_device(company=company, branch=branch, environment="sandbox", serial={serial!r})
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, simulator_process: servers.Simulator) -> Iterator[Gateway]:
    """A gateway that reaches KRA over GavaConnect, where a late message lands within two seconds."""
    folder = tmp_path_factory.mktemp("stock")
    settings = {
        "KRA_APP_CONSUMER_KEY": "sim-consumer",
        "KRA_APP_CONSUMER_SECRET": "sim-secret",
        "KRA_APP_ID": "app-1",
        "KRA_SANDBOX_PROFILE": "simulator_gavaconnect",
        "KRA_SANDBOX_BASE_URL": f"{simulator_process.url}/gavaconnect/etims-oscu/api/v1",
        "ENGINE_LATE_SECONDS": "2",
    }
    with ExitStack() as stack:
        url = os.environ["DATABASE_URL"]
        sqlite_url = f"sqlite:///{folder / 'gateway.sqlite3'}"
        fresh = sqlite_url if url.startswith("sqlite") else stack.enter_context(servers.postgres_database(url))
        yield stack.enter_context(running_gateway(folder, fresh, simulator_process, **settings))


@pytest.fixture
def shop(gateway: Gateway, simulator: servers.Simulator) -> Shop:
    """A company with a head office and a market stall."""
    made = gateway.onboard(simulator)
    made.register(ITEMS)
    serial = f"{made.pin}-01"
    simulator.approve(made.pin, "01", serial)
    script = SECOND_BRANCH.format(pin=made.pin, serial=serial)
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", script], cwd=ROOT, env=gateway.environment, check=True
    )
    answer = made.call("POST", "/api/device/init/", {"device": serial})
    assert answer.body["status"] == "active", answer
    return made


def ok(answer: Any) -> Any:
    assert answer.status < 300, answer
    return answer.body


def until(done: Callable[[], Any], *, seconds: float = 40) -> Any:
    """What `done` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, "it did not come to its end"
        time.sleep(0.1)
    return found


def all_told(shop: Shop) -> bool:
    """Whether KRA was told of everything that moved."""
    rows = ok(shop.call("GET", "/api/stock/movements/?limit=200"))["movements"]
    assert not [row for row in rows if row["status"] == "refused"], rows
    return all(row["status"] == "done" for row in rows)


def ours(shop: Shop) -> dict[tuple[str, str], Decimal]:
    rows = ok(shop.call("GET", "/api/stock/balances/"))["balances"]
    for row in rows:
        parts = [Decimal(row[name]) for name in ("opening", "received", "issued", "quantity")]
        assert parts[0] + parts[1] - parts[2] == parts[3]
    return {(row["branch"], row["item_code"]): Decimal(row["quantity"]) for row in rows}


def theirs(shop: Shop, simulator: servers.Simulator) -> dict[tuple[str, str], Decimal]:
    """What KRA's own record of movements adds up to."""
    items = ok(shop.call("POST", "/api/integration/items/sync/", {"items": ITEMS}))["items"]
    codes = {item["kra_code"]: item["code"] for item in items}
    return {
        (branch, codes[kra_code]): quantity
        for branch in ("00", "01")
        for kra_code, quantity in kra_balances(simulator, shop.pin, branch).items()
    }


@pytest.mark.parametrize("broken", [False, True], ids=["all well", "answers lost"])
def test_stock_is_opening_plus_in_minus_out_in_the_gateway_at_kra_and_on_paper(
    shop: Shop, simulator: servers.Simulator, broken: bool
) -> None:
    for operation, fault, times in FAULTS if broken else []:
        simulator.fault(operation, fault, times=times, pin=shop.pin)
    paper: dict[tuple[str, str], Decimal] = {("00", "SUGAR"): Decimal(20)}

    # opening
    opening = {"reference": "OPEN-1", "branch": "00", "lines": [{"item_code": "SUGAR", "quantity": 20}]}
    assert shop.call("POST", "/api/stock/opening/", opening).status == 201

    # an import is approved, and its goods come in
    assert ok(shop.call("POST", "/api/imports/fetch/"))["new"] == 3
    lines = ok(shop.call("GET", "/api/imports/"))["imports"]
    phones = next(line for line in lines if line["name"] == "SMARTPHONES")
    path = f"/api/imports/{phones['id']}/"
    assert shop.call("POST", f"{path}approve/", {"item_code": "PHONE", "branch": "00"}).status == 202
    until(lambda: ok(shop.call("GET", path))["status"] == "confirmed")
    paper["00", "PHONE"] = Decimal(400)
    again = shop.call("POST", f"{path}approve/", {"item_code": "PHONE", "branch": "00"})
    assert (again.status, again.body["code"]) == (409, "already_decided")

    # sold at once: the sale waits until KRA knows the goods, and then the stock follows
    sold = shop.sell(
        "POS-1",
        wait=0,
        device=shop.device,
        lines=[{"item_code": "PHONE", "quantity": "3", "unit_price": "15000.00"}],
        payments=[{"method": "cash", "amount": "45000.00"}],
    )
    assert sold.status in (201, 202), sold
    document = sold.body if sold.status == 201 else shop.settled(sold.body["id"], seconds=40)
    assert document["status"] == "signed", document
    paper["00", "PHONE"] -= 3

    # one is brought back
    back = {"reference": "BACK-1", "branch": "00", "reason": "return_in"}
    ok(shop.call("POST", "/api/stock/adjustments/", {**back, "lines": [{"item_code": "PHONE", "quantity": 1}]}))
    paper["00", "PHONE"] += 1

    # a supplier's invoice is matched to a bill and accepted: 4 bags of 50 kg
    bill = {"reference": "BILL-1", "supplier_pin": "P000000101S", "invoice_number": 1, "amount": "29000.00"}
    ok(shop.call("POST", "/api/purchases/bills/", {**bill, "dated_on": "2026-11-20"}))
    assert ok(shop.call("POST", "/api/purchases/fetch/"))["new"] == 2
    [bags] = ok(shop.call("GET", "/api/purchases/?matched=true"))["purchases"]
    assert bags["bill"] == "BILL-1"
    path = f"/api/purchases/{bags['id']}/"
    mapped = {"branch": "00", "lines": [{"line": 1, "item_code": "SUGAR", "factor": 50}]}
    assert shop.call("POST", f"{path}accept/", mapped).status == 202
    confirmed = until(lambda: (row := ok(shop.call("GET", path)))["status"] == "confirmed" and row)
    assert confirmed["number"] == 1
    paper["00", "SUGAR"] += 200

    # to the market
    transfer = {"reference": "MOVE-1", "from_branch": "00", "to_branch": "01"}
    ok(shop.call("POST", "/api/stock/transfers/", {**transfer, "lines": [{"item_code": "PHONE", "quantity": 10}]}))
    paper["00", "PHONE"] -= 10
    paper["01", "PHONE"] = Decimal(10)

    # gifts are made of a phone and half a kilogram of sugar
    until(lambda: all_told(shop))
    recipe = {"components": [{"item_code": "PHONE", "quantity": 1}, {"item_code": "SUGAR", "quantity": "0.5"}]}
    ok(shop.call("PUT", "/api/stock/recipes/GIFT/", recipe))
    made = {"reference": "MAKE-1", "branch": "00", "item_code": "GIFT", "quantity": 4}
    ok(shop.call("POST", "/api/stock/production/", made))
    paper["00", "PHONE"] -= 4
    paper["00", "SUGAR"] -= 2
    paper["00", "GIFT"] = Decimal(4)

    until(lambda: all_told(shop))
    assert ours(shop) == theirs(shop, simulator) == paper
    assert ok(shop.call("GET", "/api/stock/drift/"))["items"] == []
    if broken:
        felt = {fault for row in simulator.requests(pin=shop.pin) for fault in row["faults"]}
        assert {"answer_lost", "request_lost"} <= felt


def test_more_than_there_is_cannot_be_sold_where_kra_compares_stock(shop: Shop) -> None:
    opening = {"reference": "OPEN-1", "branch": "00", "lines": [{"item_code": "SUGAR", "quantity": 2}]}
    ok(shop.call("POST", "/api/stock/opening/", opening))
    until(lambda: all_told(shop))
    lines = [{"item_code": "SUGAR", "quantity": "3", "unit_price": "116.00"}]
    paid = [{"method": "cash", "amount": "348.00"}]
    sold = shop.sell("POS-1", device=shop.device, lines=lines, payments=paid)
    assert (sold.status, sold.body["fields"][0]["code"]) == (422, "insufficient_stock")


def test_a_sale_says_that_it_waits_for_stock_to_be_told(shop: Shop, simulator: servers.Simulator) -> None:
    simulator.fault("stock_io_save", "http_status", times=4, status=503, pin=shop.pin)
    opening = {"reference": "OPEN-1", "branch": "00", "lines": [{"item_code": "SUGAR", "quantity": 2}]}
    ok(shop.call("POST", "/api/stock/opening/", opening))
    sold = shop.sell("POS-1", wait=1, device=shop.device)
    assert sold.status == 202 and sold.body["waiting"] is not None
    told = until(lambda: (row := shop.status(sold.body["id"])["waiting"]) is None or ("SUGAR" in row["reason"] and row))
    assert told is not True and "first" in told["reason"]
    assert shop.settled(sold.body["id"], seconds=40)["status"] == "signed"
