"""A company that may not sell or move more than it has, and many hands that take goods out at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from gateway.devices.desk import FORGET_SECONDS
from tests.gateway import Shop, ledger_of
from tests.servers import Simulator

SUGAR = {"item_code": "SUGAR", "quantity": "1", "unit_price": "100.00"}


@pytest.fixture
def careful(shop: Shop) -> Shop:
    """A shop with 10 bags of sugar that allows no stock below zero."""
    assert shop.call("PUT", "/api/stock/policy/", {"allow_negative_stock": False}).status == 200
    body = {"reference": "OPEN", "branch": "00", "lines": [{**SUGAR, "quantity": "10"}]}
    assert shop.call("POST", "/api/stock/opening/", body).status == 201
    time.sleep(FORGET_SECONDS + 0.5)
    return shop


def take(shop: Shop, number: int) -> bool:
    """Sell one bag, or throw one away; whether it was possible."""
    if number % 3:
        answer = shop.sell(f"S-{number}", lines=[SUGAR], payments=None, wait=50)
        assert answer.status in (201, 422), answer
    else:
        body = {"reference": f"A-{number}", "branch": "00", "reason": "discarded_out", "lines": [SUGAR]}
        answer = shop.call("POST", "/api/stock/adjustments/", body)
        assert answer.status in (201, 422), answer
    if answer.status == 422:
        problem = answer.body.get("problem") or answer.body
        assert {one["code"] for one in problem["fields"]} == {"insufficient_stock"}, answer
    return answer.status == 201


def left(shop: Shop) -> Decimal:
    (row,) = shop.call("GET", "/api/stock/balances/?item_code=SUGAR").body["balances"]
    return Decimal(row["quantity"])


def test_of_many_who_take_goods_at_once_nobody_takes_what_is_not_there(careful: Shop, simulator: Simulator) -> None:
    with ThreadPoolExecutor(8) as hands:
        taken = list(hands.map(lambda number: take(careful, number), range(24)))
    assert sum(taken) == 10
    assert left(careful) == 0
    sold = [number for number, was in enumerate(taken) if was and number % 3]
    assert sorted(reference for _, reference in ledger_of(simulator, careful)) == sorted(f"S-{one}" for one in sold)


def test_what_is_promised_to_a_sale_that_waits_cannot_be_thrown_away(careful: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "http_status", status=503, times=2)
    waiting = careful.sell("S-1", lines=[{**SUGAR, "quantity": "10"}], payments=None, wait=0)
    assert waiting.status == 202
    body: dict[str, Any] = {"reference": "A-1", "branch": "00", "reason": "discarded_out", "lines": [SUGAR]}
    refused = careful.call("POST", "/api/stock/adjustments/", body)
    assert refused.status == 422, refused
    assert refused.body["fields"][0]["message"] == "There are 0 of SUGAR here, not 1."
    assert careful.settled(waiting.body["id"])["status"] == "signed"
    assert left(careful) == 0


def test_a_sale_whose_goods_went_out_before_its_turn_is_refused_and_can_be_asked_for_again(
    careful: Shop, simulator: Simulator
) -> None:
    simulator.fault("sales_save", "rate_limited", retry_after=1, times=1000)
    first = careful.sell("S-1", lines=[{**SUGAR, "quantity": "10"}], payments=None, wait=0)
    assert careful.call("PUT", "/api/stock/policy/", {"allow_negative_stock": True}).status == 200
    body: dict[str, Any] = {"reference": "A-1", "branch": "00", "reason": "discarded_out", "lines": [SUGAR]}
    assert careful.call("POST", "/api/stock/adjustments/", body).status == 201
    assert careful.call("PUT", "/api/stock/policy/", {"allow_negative_stock": False}).status == 200
    time.sleep(FORGET_SECONDS + 0.5)
    simulator.clear_faults()
    refused = careful.settled(first.body["id"])
    assert refused["problem"]["code"] == "insufficient_stock"
    assert refused["problem"]["fields"][0]["field"] == "lines[0].quantity"
    back = {**body, "reference": "A-2", "reason": "adjustment_in"}
    assert careful.call("POST", "/api/stock/adjustments/", back).status == 201
    assert careful.call("POST", f"/api/integration/transactions/{first.body['id']}/retry/").status == 202
    assert careful.settled(first.body["id"])["status"] == "signed"
