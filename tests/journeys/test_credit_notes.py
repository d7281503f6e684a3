"""Money is given back: the real gateway, a real port, and KRA's ledger says how much."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest

from tests.gateway import Gateway, Shop, ledger_of
from tests.journeys.notes import credit, credit_in_parts, credited_at_kra, note, path, sold, sold_at_kra, wrong
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

SERVICE = {"code": "GRIND", "name": "Grinding", "tax_type": "B", "item_class": "5016150900", "product_type": "service"}
MILK = {"code": "MILK", "name": "Fresh milk", "tax_type": "A", "item_class": "9901300000"}


def test_a_sale_is_credited_in_parts_and_the_two_are_linked_both_ways(shop: Shop, simulator: Simulator) -> None:
    buyer = {"pin": "P052222222Z", "name": "Baraka Hotels Ltd"}
    sale = sold(
        shop, customer=buyer, lines=[{"item_code": "SUGAR", "quantity": 3, "unit_price": "19.99"}], payments=None
    )
    assert (sale["credited"], sale["left"], sale["credit_notes"], sale["original"]) == ("0.00", "59.97", [], None)
    parts = [{"line": 1, "quantity": 1}]
    first = credit(shop, sale, "CN-1", lines=parts, reason="damaged", remark="Bag was torn")
    assert first.status == 201, first
    made = first.body
    assert (made["kind"], made["status"], made["number"], made["totals"]["amount"]) == (
        "credit_note",
        "signed",
        2,
        "19.99",
    )
    assert made["original"] == {"id": sale["id"], "reference": "POS-1", "number": 1}
    assert made["credit"] == {
        "reason": "damaged",
        "remark": "Bag was torn",
        "received_by": "Achieng Otieno",
        "warnings": [],
    }
    assert made["buyer"] == sale["buyer"]
    again = credit(shop, sale, "CN-1", lines=parts, reason="damaged", remark="Bag was torn")
    assert (again.status, again.headers["idempotency-replayed"], again.body) == (200, "true", made)
    assert credit(shop, sale, "CN-1", lines=parts).body["code"] == "reference_reused"
    second = shop.call("POST", "/api/integration/credit-notes/", note("CN-2", original_reference="POS-1", lines=parts))
    assert second.status == 201, second
    assert wrong(credit(shop, sale, "CN-3", lines=[{"line": 1, "quantity": 2}])) == [
        ("lines[0].quantity", "more_than_left")
    ]
    rest = credit(shop, sale, "CN-3")
    assert rest.status == 201 and rest.body["totals"]["amount"] == "19.99", rest
    full = credit(shop, sale, "CN-4")
    assert wrong(full) == [("lines", "nothing_left")] and "0.00 is left" in full.body["detail"]
    now = shop.status(sale["id"])
    assert (now["credited"], now["left"]) == ("59.97", "0.00")
    assert [(one["reference"], one["status"], one["number"]) for one in now["credit_notes"]] == [
        ("CN-1", "signed", 2),
        ("CN-2", "signed", 3),
        ("CN-3", "signed", 4),
    ]
    assert credited_at_kra(simulator, shop, 1) == sold_at_kra(simulator, shop, 1)
    sent = json.loads(simulator.requests(operation="sales_save", pin=shop.pin)[1]["body"])
    assert (sent["rcptTyCd"], sent["orgInvcNo"], sent["rfdRsnCd"], sent["custTin"], sent["custNm"]) == (
        "R",
        1,
        "03",
        "P052222222Z",
        "Baraka Hotels Ltd",
    )
    assert len(sent["rfdDt"]) == 14 and sent["remark"].startswith("Bag was torn rvp:")
    page = shop.call("GET", path(sale) + "?limit=2").body
    assert [one["reference"] for one in page["credit_notes"]] == ["CN-3", "CN-2"]
    nothing = {"amount": "0.00", "tax": "0.00"}
    assert page["left"] == {**nothing, "by_tax_type": {"B": nothing}, "lines": []}
    assert page["credited"] == {"amount": "59.97", "tax": sale["totals"]["tax"]}
    older = shop.call("GET", path(sale) + f"?limit=2&cursor={page['next']}").body
    assert [one["reference"] for one in older["credit_notes"]] == ["CN-1"] and older["next"] is None
    listed = shop.call("GET", "/api/invoices/?kind=credit_note").body["invoices"]
    assert [one["original"]["reference"] for one in listed] == ["POS-1"] * 3
    text = shop.gateway.call("GET", made["receipt"]["url"].removeprefix(shop.gateway.url)[:-1] + ".txt").body
    assert "CREDIT NOTE" in text and f"{sale['receipt']['cu_invoice_number']} NS" in text.replace("\n", " ")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"reason": "because"}, [("reason", "unknown_value")]),
        ({"received_by": " "}, [("received_by", "blank")]),
        ({"received_by": "x" * 61}, [("received_by", "too_long")]),
        ({"reference": " CN"}, [("reference", "blank")]),
        ({"remark": "a\u0007b"}, [("remark", "not_printable")]),
        ({"cashier": "x" * 61}, [("cashier", "too_long")]),
        ({"payment_method": "gold"}, [("payment_method", "unknown_value")]),
        ({"device": "ANOTHER"}, [("device", "other_device")]),
        ({"original_reference": "POS-9"}, [("original_reference", "other_sale")]),
        ({"issued_at": "2026-11-20T10:00:00"}, [("issued_at", "no_time_zone")]),
        ({"issued_at": "2026-11-19T10:00:00+03:00"}, [("issued_at", "before_the_sale")]),
        ({"issued_at": "2099-11-19T10:00:00+03:00"}, [("issued_at", "in_the_future")]),
        ({"issued_at": "9999-12-31T23:59:59-14:00"}, [("issued_at", "in_the_future")]),
        ({"issued_at": "0001-01-01T00:00:00+14:00"}, [("issued_at", "too_old")]),
        ({"lines": []}, [("lines", "too_few")]),
        ({"lines": [{"line": 1}] * 1000}, [("lines", "too_many")]),
        ({"lines": [{"line": 1}, {"line": 1}]}, [("lines[1].line", "duplicate")]),
        ({"lines": [{"line": "1"}]}, [("lines[0].line", "not_whole_number")]),
        ({"lines": [{"quantity": 1}]}, [("lines[0].line", "missing")]),
        ({"lines": [{"line": 1, "qty": 1}]}, [("lines[0].qty", "unknown_field")]),
        ({"lines": [{"line": 7}]}, [("lines[0].line", "unknown_line")]),
        ({"lines": [{"line": 1, "quantity": 1, "amount": 1}]}, [("lines[0].amount", "two_ways")]),
        ({"lines": [{"line": 1, "quantity": 0}]}, [("lines[0].quantity", "out_of_range")]),
        ({"lines": [{"line": 1, "quantity": "0.125"}]}, [("lines[0].quantity", "too_many_decimals")]),
        ({"lines": [{"line": 1, "amount": "0.001"}]}, [("lines[0].amount", "too_many_decimals")]),
        ({"lines": [{"line": 1, "amount": -1}]}, [("lines[0].amount", "negative")]),
        ({"lines": [{"line": 1, "amount": 0}]}, [("lines[0].amount", "out_of_range")]),
        ({"lines": [{"line": 1, "amount": "232.01"}]}, [("lines[0].amount", "more_than_left")]),
        (
            {"lines": [{"line": 1, "amount": 1, "goods_returned": True}]},
            [("lines[0].goods_returned", "amount_returns_no_goods")],
        ),
    ],
)
def test_every_mistake_is_named_by_field(mistaken: tuple[Shop, Any], changes: Any, fields: Any) -> None:
    shop, sale = mistaken
    assert wrong(shop.call("POST", path(sale), note("CN-1") | changes)) == fields
    assert shop.status(sale["id"])["left"] == "232.00"


@pytest.fixture(scope="module")
def mistaken(shared_gateway: Gateway, simulator_process: Simulator) -> tuple[Shop, Any]:
    """A shop with a sale that nobody manages to credit."""
    shop = shared_gateway.onboard(simulator_process)
    return shop, sold(shop)


def test_a_note_of_a_note_of_nothing_and_of_a_strangers_sale(
    shared_gateway: Gateway, shop: Shop, simulator: Simulator
) -> None:
    sale = sold(shop)
    first = credit(shop, sale, lines=[{"line": 1, "quantity": 1}]).body
    assert wrong(credit(shop, first, "CN-2")) == [("original", "is_credit_note")]
    by_reference = "/api/integration/credit-notes/"
    assert wrong(shop.call("POST", by_reference, note("CN-2"))) == [("original_reference", "missing")]
    assert shop.call("POST", by_reference, note("CN-2", original_reference="POS-9")).status == 404
    assert shop.call("POST", path({"id": "x"}), note()).status == 404
    assert shop.call("POST", path(sale), b"{").body["code"] == "not_json"
    assert shop.call("GET", path(sale) + "?page=2").body["fields"][0]["code"] == "unknown_field"
    assert shop.call("GET", path(sale) + "?limit=0").body["fields"][0]["code"] == "out_of_range"
    assert shop.call("GET", path(sale) + "?cursor=x").body["code"] == "bad_cursor"
    assert shop.call("DELETE", path(sale)).status == 405
    stranger = shared_gateway.onboard(simulator)
    assert credit(stranger, sale).status == stranger.call("GET", path(sale)).status == 404
    assert stranger.call("POST", by_reference, note(original_reference="POS-1")).status == 404
    assert shop.sell("CN-1").body["code"] == "reference_reused"
    assert shop.call("POST", path(sale), note("POS-1")).body["code"] == "reference_reused"


def test_a_note_waits_behind_its_sale_and_is_written_when_that_is_signed(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "delay", seconds=2, times=1, pin=shop.pin)
    sale = shop.sell("POS-1", wait=0).body
    waiting = credit(shop, sale, wait=0)
    assert waiting.status == 202 and waiting.body["status"] == "queued", waiting
    assert waiting.headers["location"].endswith(f"/{waiting.body['id']}/status/")
    assert shop.status(sale["id"])["left"] == "0.00"
    signed = shop.settled(waiting.body["id"])
    assert (signed["status"], signed["number"], signed["original"]["number"]) == ("signed", 2, 1)
    assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "CN-1")]
    assert credited_at_kra(simulator, shop, 1) == sold_at_kra(simulator, shop, 1)


def test_when_its_sale_is_refused_or_withdrawn_the_note_is_too(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "delay", seconds=2, times=1, pin=shop.pin)
    first = shop.sell("POS-1", wait=0).body
    second = shop.sell("POS-2", wait=0).body
    of_second = credit(shop, second, "CN-2", wait=0).body
    assert shop.call("POST", f"/api/integration/transactions/{second['id']}/cancel/").status == 200
    refused = shop.settled(of_second["id"])
    assert (refused["status"], refused["problem"]["code"]) == ("refused", "original_not_signed")
    assert "withdrawn" in refused["problem"]["detail"]
    simulator.fault("sales_save", "delay", seconds=1, times=1, pin=shop.pin)
    simulator.fault("sales_save", "result_code", code="910", times=1, pin=shop.pin)
    third = shop.sell("POS-3", wait=0).body
    of_third = credit(shop, third, "CN-3", wait=0).body
    assert shop.settled(third["id"])["status"] == "refused"
    refused = shop.settled(of_third["id"])
    assert refused["status"] == "refused" and "KRA refused it" in refused["problem"]["detail"], refused
    assert wrong(credit(shop, third, "CN-4")) == [("original", "original_refused")]
    assert wrong(credit(shop, second, "CN-4")) == [("original", "original_cancelled")]
    again = shop.call("POST", f"/api/integration/transactions/{of_third['id']}/retry/")
    assert (again.status, again.body["code"]) == (409, "not_creditable")
    assert shop.call("POST", f"/api/integration/transactions/{third['id']}/retry/").status in {200, 202}
    assert shop.settled(third["id"])["number"] == 2
    assert shop.call("POST", f"/api/integration/transactions/{of_third['id']}/retry/").status in {200, 202}
    assert shop.settled(of_third["id"])["number"] == 3
    assert shop.settled(first["id"])["number"] == 1
    assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "POS-3"), (3, "CN-3")]


def test_a_refused_note_frees_what_it_took_and_is_corrected_or_asked_again(shop: Shop, simulator: Simulator) -> None:
    sale = sold(shop)
    simulator.fault("sales_save", "result_code", code="910", times=1, pin=shop.pin)
    refused = credit(shop, sale)
    assert refused.status == 422 and refused.body["status"] == "refused", refused
    assert shop.status(sale["id"])["left"] == "232.00"
    part = credit(shop, sale, "CN-2", lines=[{"line": 1, "quantity": 1}])
    assert part.status == 201, part
    again = shop.call("POST", f"/api/integration/transactions/{refused.body['id']}/retry/")
    assert (again.status, again.body["code"]) == (409, "not_creditable") and "116.00" in again.body["detail"]
    corrected = credit(shop, sale, lines=[{"line": 1, "quantity": 1}])
    assert corrected.status == 201 and corrected.body["revision"] == 2, corrected
    assert shop.status(sale["id"])["left"] == "0.00"
    assert credited_at_kra(simulator, shop, 1) == sold_at_kra(simulator, shop, 1)


def test_a_withdrawn_note_frees_what_it_took(shop: Shop, simulator: Simulator) -> None:
    sale = sold(shop)
    simulator.fault("sales_save", "delay", seconds=2, times=1, pin=shop.pin)
    shop.sell("POS-2", wait=0)
    waiting = credit(shop, sale, wait=0).body
    assert wrong(credit(shop, sale, "CN-2")) == [("lines", "nothing_left")]
    gone = shop.call("POST", f"/api/integration/transactions/{waiting['id']}/cancel/")
    assert gone.status == 200 and gone.body["status"] == "cancelled", gone
    assert credit(shop, sale, "CN-2", wait=20).body["status"] == "signed"
    assert credited_at_kra(simulator, shop, 1) == sold_at_kra(simulator, shop, 1)


@pytest.mark.parametrize("fault", ["answer_lost", "request_lost", "recorded_late", "html_page"])
def test_a_lost_answer_about_a_note_is_recovered(shop: Shop, simulator: Simulator, fault: str) -> None:
    sale = sold(shop)
    more = {"seconds": 0.5} if fault == "recorded_late" else {}
    simulator.fault("sales_save", fault, times=1, pin=shop.pin, **more)
    answer = credit(shop, sale, wait=20)
    assert answer.body["status"] == "signed", answer
    if fault in {"answer_lost", "request_lost"}:
        assert answer.body["receipt"]["recovered"] == (fault == "answer_lost")
    assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "CN-1")]


def test_a_sale_is_credited_in_two_parts_over_a_vscu(vscu_shop: Shop, simulator: Simulator) -> None:
    credit_in_parts(vscu_shop, simulator, sold(vscu_shop))
    assert {row["flavour"] for row in simulator.requests(pin=vscu_shop.pin, operation="sales_save")} == {"vscu"}


def test_returned_goods_go_back_into_stock(shop: Shop, simulator: Simulator) -> None:
    shop.register([SERVICE])
    opening = {
        "reference": "OPEN-1",
        "branch": "00",
        "lines": [{"item_code": "SUGAR", "quantity": "10", "unit_price": "100"}],
    }
    assert shop.call("POST", "/api/stock/opening/", opening).status == 201
    sale = sold(
        shop,
        lines=[
            {"item_code": "SUGAR", "quantity": 3, "unit_price": "116"},
            {"item_code": "GRIND", "quantity": 1, "unit_price": "50"},
        ],
        payments=None,
    )
    lines = [{"line": 1, "quantity": 2}, {"line": 2, "quantity": 1}]
    assert credit(shop, sale, "CN-1", lines=lines, goods_returned=True).status == 201
    assert credit(shop, sale, "CN-2", lines=[{"line": 1, "amount": 10}]).status == 201
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        (row,) = shop.call("GET", "/api/stock/balances/").body["balances"]
        moves = [one for one in simulator.ledger(kind="stock_movement") if one["pin"] == shop.pin]
        if len(moves) == 3:
            break
        time.sleep(0.1)
    assert Decimal(row["quantity"]) == 9, row
    back = moves[-1]["body"]
    assert (back["sarTyCd"], [line["qty"] for line in back["itemList"]]) == ("03", [2])


def test_an_old_sale_warns_and_then_needs_the_staffs_word(shared_gateway: Gateway, shop: Shop) -> None:
    month_ago = sold(shop, "OLD-1", issued_at="2026-06-10T10:00:00+03:00")
    answer = credit(shop, month_ago, "CN-1")
    assert answer.status == 201, answer
    (warning,) = answer.body["credit"]["warnings"]
    assert warning["code"] == "credit_ends_soon" and "10 December 2026" in warning["message"]
    old = sold(shop, "OLD-2", issued_at="2026-04-10T10:00:00+03:00")
    late = credit(shop, old, "CN-2")
    assert wrong(late) == [("original", "too_late_to_credit")] and "10 October 2026" in late.body["detail"]
    staff = shared_gateway.manage("create_operator_key", f"{shop.pin.lower()}@integrator.example", "--role", "support")
    allow = f"/api/companies/{shop.company}/late-credits/"
    body = {"sale": old["id"], "reason": "Settled in court on 3 November 2026"}
    allowed = shared_gateway.call("POST", allow, body, key=staff)
    assert allowed.status == 200 and allowed.body["reason"] == body["reason"], allowed
    assert shared_gateway.call("POST", allow, {**body, "reason": "Other"}, key=staff).body == allowed.body
    missing = shared_gateway.call("POST", allow, {**body, "sale": shop.device}, key=staff)
    assert missing.body["fields"][0]["code"] == "unknown_sale"
    assert shop.call("POST", allow, body).status == 403
    granted = credit(shop, old, "CN-2")
    assert granted.status == 201 and granted.body["credit"]["warnings"][0]["code"] == "credited_late", granted
    events = shop.call("GET", "/api/logs/?code=invoice.late_credit_allowed").body
    assert "Settled in court" in json.dumps(events)


def test_a_replaced_device_credits_what_the_old_one_sold(shop: Shop, simulator: Simulator) -> None:
    sale = sold(shop)
    old = f"SERIAL-{shop.pin}-00"
    simulator.approve(shop.pin, "00", f"NEW-{shop.pin}")
    assert shop.call("POST", f"/api/device/{old}/replace/", {"serial": f"NEW-{shop.pin}"}).status == 201
    assert shop.call("POST", "/api/device/init/", {"device": f"NEW-{shop.pin}"}).body["status"] == "active"
    time.sleep(2.1)  # seats are remembered so long
    made = credit(shop, sale, wait=20).body
    assert (made["status"], made["number"]) == ("signed", 2) and made["device"] != sale["device"]


def test_a_note_taken_before_a_kill_is_signed_after_the_restart(own_gateway: Gateway, simulator: Simulator) -> None:
    shop = own_gateway.onboard(simulator)
    simulator.fault("sales_save", "delay", seconds=3, times=1, pin=shop.pin)
    sale = shop.sell("POS-1", wait=0).body
    waiting = credit(shop, sale, wait=0).body
    own_gateway.kill()
    own_gateway.start_again()
    assert shop.settled(waiting["id"])["number"] == 2
    assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "CN-1")]
    assert wrong(credit(shop, sale, "CN-2")) == [("lines", "nothing_left")]
