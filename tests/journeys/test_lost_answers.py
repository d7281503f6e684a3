"""KRA is slow, goes away and loses answers; the shop's sales are signed once, in order, all the same."""

import subprocess
import sys

import pytest

from tests.gateway import Gateway, Shop, ledger_of
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database


def test_a_lost_answer_is_recovered_with_the_receipt_kra_gave(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "answer_lost", times=1, pin=shop.pin)
    answer = shop.sell("POS-1")
    assert answer.body["status"] == "signed" and answer.body["receipt"]["recovered"]
    (recorded,) = [row for row in simulator.ledger() if row["pin"] == shop.pin]
    assert recorded["signature"] == answer.body["receipt"]["signature"]


def test_a_lost_request_is_sent_again_with_the_same_bytes(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "request_lost", times=1, pin=shop.pin)
    answer = shop.sell("POS-1", wait=20)
    assert answer.body["status"] == "signed" and not answer.body["receipt"]["recovered"]
    assert ledger_of(simulator, shop) == [(1, "POS-1")]
    sent = [row["body"] for row in simulator.requests() if "SalesOsdc" in row["path"] and shop.pin in str(row["body"])]
    assert len(sent) == 2 and sent[0] == sent[1]


def test_later_sales_wait_until_the_missing_answer_is_settled(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "answer_lost", times=1, pin=shop.pin)
    first = shop.sell("POS-1", wait=0)
    second = shop.sell("POS-2", wait=20)
    third = shop.sell("POS-3", wait=20)
    for number, answer in enumerate([first, second, third], start=1):
        assert shop.settled(answer.body["id"])["number"] == number
    assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "POS-2"), (3, "POS-3")]


def test_a_duplicate_code_on_the_first_try_is_no_proof_and_is_looked_up(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "result_code", code="994", times=1, pin=shop.pin)
    answer = shop.sell("POS-1", wait=20)
    assert answer.body["status"] == "signed" and answer.body["number"] == 1
    assert ledger_of(simulator, shop) == [(1, "POS-1")]


def test_a_number_taken_by_another_system_is_noted_and_passed_over(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "number_taken", times=1, pin=shop.pin)
    answer = shop.sell("POS-1", wait=20)
    assert answer.body["status"] == "signed" and answer.body["number"] == 2
    assert [number for number, _ in ledger_of(simulator, shop)] == [1, 2]


@pytest.mark.parametrize("fault", ["html_page", "connection_reset", "truncated_json", "empty_answer", "recorded_late"])
def test_an_unreadable_answer_is_never_taken_for_a_yes_or_a_no(shop: Shop, simulator: Simulator, fault: str) -> None:
    parameters = {"seconds": 0.5} if fault == "recorded_late" else {}
    simulator.fault("sales_save", fault, times=1, pin=shop.pin, **parameters)
    answer = shop.sell("POS-1", wait=20)
    assert answer.body["status"] == "signed"
    assert ledger_of(simulator, shop) == [(1, "POS-1")]


def test_a_sale_taken_before_a_kill_is_signed_after_the_restart(own_gateway: Gateway, simulator: Simulator) -> None:
    shop = own_gateway.onboard(simulator)
    simulator.fault("sales_save", "delay", seconds=3, times=1, pin=shop.pin)
    kept = [shop.sell(f"POS-{n}", wait=0).body["id"] for n in range(1, 6)]
    own_gateway.kill()
    own_gateway.start_again()
    numbers = [shop.settled(public_id, seconds=30)["number"] for public_id in kept]
    assert numbers == [1, 2, 3, 4, 5]
    assert ledger_of(simulator, shop) == [(n, f"POS-{n}") for n in range(1, 6)]


def test_a_second_gateway_on_the_same_file_is_turned_away(own_gateway: Gateway) -> None:
    if not own_gateway.database_url.startswith("sqlite"):
        return
    second = subprocess.run(
        [sys.executable, "manage.py", "serve", "--port", "0"],
        env=own_gateway.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode != 0 and "Another gateway already uses" in second.stderr
