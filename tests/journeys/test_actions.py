"""Owners take sales back or ask again, operators hold lanes and settle doubts, while the gateway is at work."""

import json
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gateway import ROOT, Answer, Shop, ledger_of
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database


def act(shop: Shop, public_id: str, action: str) -> Answer:
    return shop.call("POST", f"/api/integration/transactions/{public_id}/{action}/")


def lane_of(shop: Shop) -> str:
    return f"sandbox/{shop.pin}/{shop.branch}/invoice"


def lanes(shop: Shop, *words: str, fails: bool = False, **settings: str) -> str:
    """`manage.py lanes …` in a process of its own, as an operator runs it; what it says."""
    ended = subprocess.run(
        [sys.executable, "manage.py", "lanes", *words],
        cwd=ROOT,
        env={**shop.gateway.environment, **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert bool(ended.returncode) == fails, ended
    return ended.stderr if fails else ended.stdout


def until(shop: Shop, public_id: str, *, status: str, reason: str = "") -> Any:
    """The document once it has that status and, where one is given, waits for that reason."""
    deadline = time.monotonic() + 60
    while True:
        document = shop.status(public_id)
        waits = (document["waiting"] or {}).get("reason", "")
        if (document["status"] == status and reason in waits) or time.monotonic() > deadline:
            assert document["status"] == status and reason in waits, document
            return document
        time.sleep(0.05)


def until_let_go(shop: Shop) -> None:
    """Wait until the lane is held and the turn that was running then has ended."""
    deadline = time.monotonic() + 60
    while not _is_let_go(shop):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_let_go(shop: Shop) -> bool:
    wanted = f"pin = '{shop.pin}' AND series = 'invoice' AND hold_reason <> '' AND owner IS NULL"
    sql = f"SELECT count(*) FROM lanes_lane WHERE {wanted}"
    url = shop.gateway.database_url
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            return bool(database.execute(sql).fetchone()[0])
    with psycopg.connect(url) as server:
        return bool(server.execute(sql.encode()).fetchone()[0])  # type: ignore[index]


def in_doubt(shop: Shop, simulator: Simulator, fault: str) -> str:
    """A sale whose answer is missing, while KRA cannot be asked either, and its lane held; the sale's id."""
    simulator.fault("sales_save", fault, times=1, pin=shop.pin)
    simulator.fault("invoice_details", "http_status", pin=shop.pin)
    public_id: str = shop.sell("POS-1", wait=0).body["id"]
    until(shop, public_id, status="unknown")
    lanes(shop, "hold", lane_of(shop), "--reason", "KRA cannot be asked", "--by", "wanjiru")
    until_let_go(shop)
    return public_id


# Withdrawn


def test_a_withdrawn_sale_never_reaches_kra_and_the_next_one_gets_its_number(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "delay", seconds=1.5, times=1, pin=shop.pin)
    first, second, third = (shop.sell(f"POS-{n}", wait=0).body["id"] for n in (1, 2, 3))
    withdrawn = act(shop, second, "cancel")
    assert withdrawn.status == 200 and withdrawn.body["status"] == "cancelled", withdrawn
    assert withdrawn.body["receipt"] is None and withdrawn.body["number"] is None
    assert act(shop, second, "cancel").body == withdrawn.body
    assert shop.settled(first)["number"] == 1 and shop.settled(third)["number"] == 2
    assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "POS-3")]


def test_a_withdrawn_sale_keeps_its_reference_for_ever(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "delay", seconds=1, times=1, pin=shop.pin)
    shop.sell("POS-1", wait=0)
    act(shop, shop.sell("POS-2", wait=0).body["id"], "cancel")
    again = shop.sell("POS-2")
    assert (again.status, again.body["status"], again.headers["idempotency-replayed"]) == (200, "cancelled", "true")
    assert shop.sell("POS-2", remark="other").body["code"] == "reference_reused"
    assert shop.sell("POS-3").body["number"] == 2


def test_a_till_that_waits_hears_at_once_that_its_sale_was_withdrawn(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "delay", seconds=15, times=1, pin=shop.pin)
    first = shop.sell("POS-1", wait=0).body["id"]
    with ThreadPoolExecutor(1) as till:
        waiting = till.submit(shop.sell, "POS-2", wait=50)
        deadline = time.monotonic() + 12
        while not (known := shop.call("GET", "/api/invoices/?reference=POS-2").body["invoices"]):
            assert time.monotonic() < deadline
        assert act(shop, known[0]["id"], "cancel").status == 200
        answer = waiting.result(timeout=60)
    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    assert shop.status(first)["status"] == "sending"  # it heard long before its turn would have come


def test_a_sale_whose_turn_has_begun_cannot_be_withdrawn_any_more(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "delay", seconds=5, times=1, pin=shop.pin)
    public_id = shop.sell("POS-1", wait=0).body["id"]
    late = act(shop, public_id, "cancel")
    assert (late.status, late.body["code"], late.body["invoice"]["status"]) == (409, "too_late", "sending")
    assert late.headers["content-type"] == "application/problem+json" and "it is with KRA" in late.body["detail"]
    signed = shop.settled(public_id)
    late = act(shop, public_id, "cancel")
    assert late.status == 409 and late.body["invoice"] == signed and "credit note" in late.body["detail"]


def test_a_sale_is_either_withdrawn_or_signed_however_close_the_race(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "delay", seconds=0.02, pin=shop.pin)
    with ThreadPoolExecutor(20) as people:
        posted = list(people.map(lambda n: shop.sell(f"POS-{n}", wait=0).body, range(60)))
        answers = list(people.map(lambda sale: act(shop, sale["id"], "cancel"), posted))
    settled = [shop.settled(sale["id"], seconds=60) for sale in posted]
    for answer, document in zip(answers, settled, strict=True):
        assert (answer.status, document["status"]) in {(200, "cancelled"), (409, "signed")}, (answer, document)
    signed = sorted((one["number"], one["reference"]) for one in settled if one["status"] == "signed")
    assert [number for number, _ in signed] == list(range(1, len(signed) + 1))
    assert ledger_of(simulator, shop) == signed and 0 < len(signed) < 60


def test_many_people_withdrawing_one_sale_withdraw_it_once(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "delay", seconds=8, times=1, pin=shop.pin)
    shop.sell("POS-1", wait=0)
    public_id = shop.sell("POS-2", wait=0).body["id"]
    with ThreadPoolExecutor(20) as people:
        answers = list(people.map(lambda _: act(shop, public_id, "cancel"), range(20)))
    assert {(answer.status, answer.body["status"]) for answer in answers} == {(200, "cancelled")}


# Asked again


def test_a_refused_sale_is_asked_again_unchanged_and_signed(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "result_code", code="910", times=1, pin=shop.pin)
    refused = shop.sell("POS-1").body
    assert refused["status"] == "refused"
    assert shop.sell("POS-2").body["number"] == 1
    again = act(shop, refused["id"], "retry")
    assert again.status in {200, 202}, again
    assert again.body["revision"] == 1 and again.body["reference"] == "POS-1"
    if again.status == 202:
        assert again.headers["location"].endswith(f"/{refused['id']}/status/") and again.headers["retry-after"]
    signed = shop.settled(refused["id"])
    assert (signed["status"], signed["number"], signed["problem"]) == ("signed", 2, None)
    sent = [json.loads(row["body"]) for row in simulator.requests(operation="sales_save", pin=shop.pin)]
    assert len(sent) == 3 and {**sent[0], "invcNo": 2} == sent[2]
    late = act(shop, refused["id"], "retry")
    assert (late.status, late.body["code"], late.body["invoice"]) == (409, "not_refused", signed)


def test_asking_again_many_times_queues_it_once(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "result_code", code="910", times=1, pin=shop.pin)
    refused = shop.sell("POS-1").body["id"]
    simulator.fault("sales_save", "delay", seconds=1.5, times=1, pin=shop.pin)
    shop.sell("POS-2", wait=0)
    with ThreadPoolExecutor(12) as people:
        answers = list(people.map(lambda _: act(shop, refused, "retry"), range(12)))
    assert {answer.status for answer in answers} == {202}
    assert shop.settled(refused)["number"] == 2
    assert ledger_of(simulator, shop) == [(1, "POS-2"), (2, "POS-1")]


def test_asked_again_and_withdrawn_before_its_turn(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "result_code", code="910", times=1, pin=shop.pin)
    refused = shop.sell("POS-1").body["id"]
    simulator.fault("sales_save", "delay", seconds=1.5, times=1, pin=shop.pin)
    shop.sell("POS-2", wait=0)
    assert act(shop, refused, "retry").status == 202
    assert act(shop, refused, "cancel").body["status"] == "cancelled"
    assert act(shop, refused, "retry").body["code"] == "not_refused"


# Who may


def test_a_stranger_finds_no_such_document_and_a_key_is_needed(shop: Shop, simulator: Simulator) -> None:
    stranger = shop.gateway.onboard(simulator)
    public_id = shop.sell("POS-1").body["id"]
    for action in ("retry", "cancel"):
        path = f"/api/integration/transactions/{public_id}/{action}/"
        answer = stranger.call("POST", path)
        assert (answer.status, answer.body["code"]) == (404, "not_found") and "invoice" not in answer.body
        assert shop.gateway.call("POST", path).body["code"] == "key_missing"
        assert shop.call("GET", path).status == 405
        assert act(shop, "no-uuid", action).status == 404


# Held and released


def test_while_a_lane_is_held_sales_are_kept_and_told_why_and_a_release_signs_them(
    shop: Shop, simulator: Simulator
) -> None:
    assert "is held" in lanes(shop, "hold", lane_of(shop), "--reason", "stock is being counted", "--by", "wanjiru")
    began = time.monotonic()
    kept = shop.sell("POS-1", wait=30)
    assert kept.status == 202 and "stock is being counted" in kept.body["waiting"]["reason"]
    assert time.monotonic() - began < 25 and ledger_of(simulator, shop) == []  # not the 30 s that it may wait
    listed = lanes(shop, "list", "--held", "--company", shop.pin)
    assert lane_of(shop) in listed and "stock is being counted" in listed
    assert "goes on" in lanes(shop, "release", lane_of(shop), "--by", "wanjiru")
    assert shop.settled(kept.body["id"])["number"] == 1
    assert "No lane" in lanes(shop, "list", "--company", shop.pin)


def test_a_hold_during_a_turn_lets_the_turn_end_and_stops_the_sales_behind_it(shop: Shop, simulator: Simulator) -> None:
    """Twelve turns of five seconds: the command meets one of them, however long it takes to start."""
    simulator.fault("sales_save", "delay", seconds=5, pin=shop.pin)
    kept = [shop.sell(f"POS-{number}", wait=0).body["id"] for number in range(1, 13)]
    said = lanes(shop, "hold", lane_of(shop), "--reason", "the till is checked")
    assert "once the turn that is running has ended" in said
    until_let_go(shop)
    documents = [shop.status(public_id) for public_id in kept]
    numbers = [document["number"] for document in documents if document["status"] == "signed"]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) < 12
    behind = documents[len(numbers)]
    assert behind["status"] == "queued" and "the till is checked" in behind["waiting"]["reason"]
    simulator.clear_faults()
    lanes(shop, "release", lane_of(shop))
    assert [shop.settled(public_id)["number"] for public_id in kept] == list(range(1, 13))


# Doubts


def test_a_sale_kra_has_is_signed_by_hand_with_kras_receipt(shop: Shop, simulator: Simulator, tmp_path: Path) -> None:
    public_id = in_doubt(shop, simulator, "answer_lost")
    (held,) = simulator.ledger(pin=shop.pin)
    receipt = {
        "number": held["number"],
        "receipt_number": held["receipt_number"],
        "total_receipt_number": held["receipt_number"],
        "internal_data": held["internal_data"],
        "signature": held["signature"],
        "signed_at": held["signed_at"],
        "control_unit_id": shop.call("GET", f"/api/device/{shop.device}/status/").body["control_unit"],
    }
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps({**receipt, "number": 2}), encoding="utf-8")
    assert "number 2" in lanes(shop, "resolve", lane_of(shop), "--signed", str(file), "--yes", fails=True)
    file.write_text(json.dumps(receipt), encoding="utf-8")
    assert "POS-1 is signed" in lanes(shop, "resolve", lane_of(shop), "--signed", str(file), "--yes")
    signed = shop.status(public_id)
    assert signed["status"] == "signed" and signed["receipt"]["recovered"]
    assert signed["receipt"]["signature"] == held["signature"]
    assert shop.sell("POS-2").body["number"] == 2
    assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "POS-2")]


def test_a_number_kra_holds_is_never_given_back(shop: Shop, simulator: Simulator) -> None:
    public_id = in_doubt(shop, simulator, "answer_lost")
    give_back = ("resolve", lane_of(shop), "--give-back", "--yes")
    assert "too early" in lanes(shop, *give_back, fails=True)
    assert "KRA must be asked first" in lanes(shop, *give_back, fails=True, ENGINE_LATE_SECONDS="0")
    simulator.clear_faults()
    assert "KRA holds an invoice under number 1" in lanes(shop, *give_back, fails=True, ENGINE_LATE_SECONDS="0")
    assert shop.status(public_id)["status"] == "unknown"
    lanes(shop, "release", lane_of(shop))
    assert shop.settled(public_id)["receipt"]["recovered"]


def test_a_sale_kra_does_not_have_is_given_back_and_may_be_asked_again(shop: Shop, simulator: Simulator) -> None:
    public_id = in_doubt(shop, simulator, "request_lost")
    simulator.clear_faults()
    said = lanes(shop, "resolve", lane_of(shop), "--give-back", "--yes", ENGINE_LATE_SECONDS="0")
    assert "POS-1 is refused" in said
    refused = shop.status(public_id)
    assert refused["problem"]["code"] == "given_back" and refused["number"] is None
    assert shop.sell("POS-2").body["number"] == 1
    assert act(shop, public_id, "retry").status in {200, 202}
    assert shop.settled(public_id)["number"] == 2
    assert ledger_of(simulator, shop) == [(1, "POS-2"), (2, "POS-1")]


def test_a_sale_is_sent_again_only_after_kra_was_asked(shop: Shop, simulator: Simulator) -> None:
    public_id = in_doubt(shop, simulator, "answer_lost")
    simulator.clear_faults()
    assert "looked up at KRA" in lanes(shop, "resolve", lane_of(shop), "--resend", "--yes")
    assert shop.settled(public_id)["receipt"]["recovered"]
    assert len(simulator.requests(operation="sales_save", pin=shop.pin)) == 1


def test_a_vscu_that_lost_the_sale_signs_it_when_a_person_has_it_sent_again(
    vscu_shop: Shop, simulator: Simulator
) -> None:
    shop = vscu_shop
    assert shop.sell("POS-0").body["number"] == 1
    simulator.fault("sales_save", "request_lost", times=1, pin=shop.pin)
    public_id = shop.sell("POS-1", wait=0).body["id"]
    behind = shop.sell("POS-2", wait=0).body["id"]
    until(shop, public_id, status="unknown")
    until_let_go(shop)
    assert "control unit's own list" in lanes(shop, "list", "--held", "--company", shop.pin)
    assert lanes(shop, "release", lane_of(shop))
    until_let_go(shop)
    assert len(simulator.requests(operation="sales_save", pin=shop.pin)) == 2  # a release alone sends nothing
    assert "is sent once more" in lanes(shop, "resolve", lane_of(shop), "--resend", "--yes")
    assert shop.settled(public_id)["number"] == 2 and shop.settled(behind)["number"] == 3
    assert ledger_of(simulator, shop) == [(1, "POS-0"), (2, "POS-1"), (3, "POS-2")]


def test_a_vscu_that_has_the_sale_already_holds_the_lane_again(vscu_shop: Shop, simulator: Simulator) -> None:
    shop = vscu_shop
    simulator.fault("sales_save", "answer_lost", times=1, pin=shop.pin)
    public_id = shop.sell("POS-1", wait=0).body["id"]
    until(shop, public_id, status="unknown")
    until_let_go(shop)
    lanes(shop, "resolve", lane_of(shop), "--resend", "--yes")
    until_let_go(shop)
    assert shop.status(public_id)["status"] == "unknown"
    assert len(simulator.requests(operation="sales_save", pin=shop.pin)) == 2
    assert ledger_of(simulator, shop) == [(1, "POS-1")]
