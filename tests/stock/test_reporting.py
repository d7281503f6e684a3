"""What one movement does on its way to KRA, when all is well and when answers are lost, seen from KRA's side too."""

from decimal import Decimal
from typing import Any

import pytest

from gateway.kra.codes import StockReason
from gateway.lanes.models import Job
from gateway.stock.doubts import find_stock_doubt, give_back, note_recorded, send_again
from gateway.stock.models import Balance, Movement
from tests.lanes.shops import Counter, Street
from tests.stock.yard import adds_up, at_kra, balance, both_have, lane_of, move, open_stock, reported, sell

pytestmark = pytest.mark.needs_database


def told(shops: Street, counter: Counter) -> list[str]:
    """What KRA was told about stock, in order."""
    rows = shops.simulator.requests(pin=counter.pin, branch=counter.branch)
    return [row["operation"] for row in rows if row["operation"] in {"stock_io_save", "stock_master_save"}]


def test_an_opening_is_told_as_stock_in_and_then_as_balance(shops: Street, counter: Counter) -> None:
    booked = open_stock(shops, counter, 100)
    booked.movement.refresh_from_db()
    assert (booked.movement.status, booked.movement.number) == ("done", 1)
    assert told(shops, counter) == ["stock_io_save", "stock_master_save"]
    kept = balance(counter)
    assert {kept.opening, kept.quantity, kept.kra_quantity} == {Decimal(100)}
    assert kept.told_at is not None and at_kra(shops, counter) == 100
    adds_up(counter)


def test_a_signed_sale_takes_its_goods_out_and_an_item_not_in_stock_is_left_alone(
    shops: Street, counter: Counter
) -> None:
    open_stock(shops, counter, 100)
    assert sell(shops, counter, "POS-1", 3).status == "signed"
    reported(shops, counter)
    both_have(shops, counter, 97)
    assert not Balance.objects.filter(company_id=counter.company_id, item__code="BREAD").exists()
    adds_up(counter)


def test_a_company_without_stock_tells_kra_nothing_of_stock(shops: Street, counter: Counter) -> None:
    assert sell(shops, counter, "POS-1").status == "signed"
    assert not Movement.objects.filter(company_id=counter.company_id).exists()
    assert told(shops, counter) == []


def test_a_refused_sale_moves_no_stock(shops: Street, counter: Counter) -> None:
    open_stock(shops, counter, 100)
    shops.fault(counter, "sales_save", "result_code", code="910")
    assert sell(shops, counter, "POS-1").status == "refused"
    assert balance(counter).quantity == 100


def test_a_sale_whose_answer_was_lost_takes_its_goods_out_once(shops: Street, counter: Counter) -> None:
    open_stock(shops, counter, 100)
    shops.fault(counter, "sales_save", "answer_lost")
    assert sell(shops, counter, "POS-1", 5).status == "signed"
    reported(shops, counter)
    both_have(shops, counter, 95)


def test_a_sale_does_not_wait_for_stock_that_kra_does_not_take(shops: Street, counter: Counter) -> None:
    open_stock(shops, counter, 100)
    shops.fault(counter, "stock_io_save", "http_status", times=20, status=503)
    assert sell(shops, counter, "POS-1").status == "signed"
    assert sell(shops, counter, "POS-2").status == "signed"
    shops.simulator.clear_faults()
    reported(shops, counter)
    both_have(shops, counter, 96)


@pytest.mark.parametrize("lost", ["answer_lost", "request_lost"])
def test_a_lost_answer_about_stock_is_settled_by_kras_own_balance(shops: Street, counter: Counter, lost: str) -> None:
    open_stock(shops, counter, 100)
    shops.fault(counter, "stock_io_save", lost)
    move(shops, counter, StockReason.DISCARDED_OUT, 4, "BROKEN-1")
    reported(shops, counter)
    both_have(shops, counter, 96)
    assert lane_of(counter).next_number == 3
    adds_up(counter)


def test_a_kra_that_compares_nothing_holds_the_stock_for_a_person_and_sales_go_on(
    shops: Street, counter: Counter
) -> None:
    open_stock(shops, counter, 100)
    shops.simulator.call("POST", "/_sim/settings", {"strict": False})
    shops.fault(counter, "stock_io_save", "answer_lost")
    move(shops, counter, StockReason.DISCARDED_OUT, 4, "BROKEN-1")
    assert shops.work_until(lambda: lane_of(counter).hold_reason != "", seconds=10)
    assert "stock" in lane_of(counter).hold_reason
    assert Movement.objects.get(lane=lane_of(counter), cause="own:BROKEN-1").status == "unknown"
    assert sell(shops, counter, "POS-1").status == "signed"


@pytest.mark.parametrize(
    ("decide", "lost", "left"),
    [(note_recorded, "answer_lost", 96), (send_again, "request_lost", 96), (give_back, "request_lost", 100)],
)
def test_a_person_who_looked_at_kras_portal_lets_the_stock_go_on(
    shops: Street, counter: Counter, decide: Any, lost: str, left: int
) -> None:
    open_stock(shops, counter, 100)
    shops.simulator.call("POST", "/_sim/settings", {"strict": False})
    shops.fault(counter, "stock_io_save", lost)
    move(shops, counter, StockReason.DISCARDED_OUT, 4, "BROKEN-1")
    assert shops.work_until(lambda: lane_of(counter).hold_reason != "", seconds=10)
    shops.do(lambda: decide(find_stock_doubt(lane_of(counter)), actor="operator:wanjiru"))
    reported(shops, counter)
    assert at_kra(shops, counter) == balance(counter).kra_quantity == Decimal(left)
    assert lane_of(counter).next_number == (2 if decide is give_back else 3)


def test_a_movement_that_kra_refuses_is_told_and_the_next_goes_on(shops: Street, counter: Counter) -> None:
    open_stock(shops, counter, 100)
    shops.fault(counter, "stock_io_save", "result_code", code="910")
    first = move(shops, counter, StockReason.DISCARDED_OUT, 4, "BROKEN-1").movement
    second = move(shops, counter, StockReason.DISCARDED_OUT, 5, "BROKEN-2").movement
    reported(shops, counter)
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.status == "refused" and first.problem is not None and first.problem["code"] == "refused_by_kra"
    assert (second.status, second.number) == ("done", 2)
    assert (balance(counter).quantity, balance(counter).kra_quantity) == (Decimal(91), Decimal(95))


def test_kras_own_balance_is_taken_for_what_it_says(shops: Street, counter: Counter) -> None:
    """Another system has moved our stock under numbers of its own."""
    open_stock(shops, counter, 100)
    Balance.objects.filter(lane=lane_of(counter)).update(kra_quantity=Decimal(80))
    move(shops, counter, StockReason.DISCARDED_OUT, 4, "BROKEN-1")
    reported(shops, counter)
    kept = balance(counter)
    assert kept.kra_quantity == kept.kra_said == Decimal(96)


def test_dying_after_stock_in_out_does_not_book_it_twice(shops: Street, counter: Counter) -> None:
    open_stock(shops, counter, 100)
    shops.fault(counter, "stock_io_save", "delay", seconds=0.6, when="after")
    move(shops, counter, StockReason.DISCARDED_OUT, 4, "BROKEN-1")
    shops.pass_time(0.3)
    shops.kill(shops.processes[0])
    shops.start_process()
    reported(shops, counter, seconds=40)
    both_have(shops, counter, 96)
    assert Job.objects.filter(lane=lane_of(counter)).exclude(state="closed").count() == 0
