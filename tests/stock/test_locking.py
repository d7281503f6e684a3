"""Many hands at one branch's goods: nobody overlooks another, and nobody locks another out."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from gateway.devices.models import Device
from gateway.kra.codes import StockReason
from gateway.lanes.actions import lock_lane
from gateway.lanes.models import Lane
from gateway.sales.actions import retry_invoice
from gateway.sales.doubts import find_doubt, sign_by_hand
from gateway.sales.models import Invoice
from gateway.stock.models import Balance
from gateway.stock.services import set_policy, transfer_stock
from gateway.tenants.models import Company
from tests.lanes.shops import Counter, Street, in_thread
from tests.sales.test_doubts import receipt
from tests.sales.waiting import make_doubtful
from tests.stock.yard import TODAY, adds_up, balance, book, both_have, goods, lane_of, open_stock, reported, sell

pytestmark = pytest.mark.needs_database
MEANWHILE_SECONDS = 0.7


class Busy:
    """Something that holds its locks for a while; others come when it has them."""

    def __init__(self) -> None:
        self._has_begun = threading.Event()

    def hold(self, first: Callable[[], Any], then: Callable[[], Any] = lambda: None) -> None:
        with transaction.atomic():
            first()
            self._has_begun.set()
            threading.Event().wait(MEANWHILE_SECONDS)
            then()

    def meanwhile(self, work: Callable[[], Any]) -> Any:
        assert self._has_begun.wait(10)
        return work()


def ask_again(shops: Street, counter: Counter, invoice: Invoice) -> None:
    retry_invoice(company_id=counter.company_id, environment="sandbox", public_id=invoice.public_id, actor="key:owner")


def correct(shops: Street, counter: Counter, invoice: Invoice) -> None:
    """Post it again with other content: less of it than there was when this was judged."""
    sale = counter.sale(invoice.reference, 9)
    work = shops.processes[0].till.record_sale(sale, caller=counter.caller, kind=None, wait_seconds=0)
    asyncio.run_coroutine_threadsafe(work, shops.runner.get_loop()).result(20)


@pytest.mark.parametrize("again", [ask_again, correct])
def test_a_refused_sale_that_comes_again_sees_the_goods_that_are_going_out(
    shops: Street, counter: Counter, again: Callable[..., None]
) -> None:
    company = Company.objects.get(pk=counter.company_id)
    set_policy(company=company, environment="sandbox", allow_negative_stock=False, by="key:owner")
    shops.kill(shops.processes[0])
    shops.start_process()  # which knows nothing yet of what the company allows
    open_stock(shops, counter, 10)
    shops.fault(counter, "sales_save", "result_code", code="910")
    refused = sell(shops, counter, "POS-1", 10)
    assert refused.status == "refused"
    busy = Busy()
    shops.at_once(
        in_thread(lambda: busy.hold(lambda: book(counter, StockReason.DISCARDED_OUT, 4, "BROKEN-1"))),
        in_thread(lambda: busy.meanwhile(lambda: again(shops, counter, refused))),
    )
    ended = Invoice.objects.filter(pk=refused.pk, status__in=["refused", "signed"])
    assert shops.work_until(ended.exists, seconds=15)
    assert (ended.get().problem or {}).get("code") == "insufficient_stock"
    reported(shops, counter)
    both_have(shops, counter, 6)
    adds_up(counter)


def test_a_transfer_and_an_engine_do_not_lock_each_other_out(shops: Street) -> None:
    """The lane of the branch with the higher code is the older one."""
    shop, market = shops.open_company("00", "01")
    shops.register_items()
    open_stock(shops, market, 5)
    open_stock(shops, shop, 100)
    company, busy = Company.objects.get(pk=shop.company_id), Busy()
    shops.at_once(
        in_thread(lambda: busy.hold(lambda: lock_lane(lane_of(market).pk), lambda: lock_lane(lane_of(shop).pk))),
        in_thread(
            lambda: busy.meanwhile(
                lambda: transfer_stock(
                    company=company,
                    environment="sandbox",
                    from_branch="00",
                    to_branch="01",
                    reference="MOVE-1",
                    goods=[goods(20)],
                    occurred_on=TODAY,
                    by="test",
                )
            )
        ),
    )
    reported(shops, shop)
    reported(shops, market)
    both_have(shops, shop, 80)
    both_have(shops, market, 25)


def test_a_sale_signed_by_hand_and_an_engine_do_not_lock_each_other_out(shops: Street, counter: Counter) -> None:
    open_stock(shops, counter, 100)
    device = Device.objects.get(serial=counter.device)
    invoice, seen = make_doubtful(device), receipt(control_unit_id=device.control_unit_id)
    Invoice.objects.filter(pk=invoice.pk).update(figures={"lines": [{"item_code": "SUGAR", "quantity": "2"}]})
    stock, busy = lane_of(counter), Busy()
    balances = Balance.objects.filter(lane=stock)
    shops.at_once(
        in_thread(
            lambda: busy.hold(lambda: lock_lane(stock.pk), lambda: balances.update(kra_quantity=F("kra_quantity")))
        ),
        in_thread(
            lambda: busy.meanwhile(
                lambda: sign_by_hand(find_doubt(Lane.objects.get(pk=invoice.lane_id)), seen, actor="operator:w")
            )
        ),
    )
    assert balance(counter).quantity == 98
