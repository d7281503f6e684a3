"""A branch that keeps stock, the services that move it, and what KRA counts, for tests."""

import json
from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

from gateway.catalog.models import Item
from gateway.kra.codes import StockReason
from gateway.lanes.models import Lane
from gateway.sales.models import Invoice
from gateway.stock.models import Balance, Entry, Movement
from gateway.stock.services import Booked, Goods, move_stock
from gateway.tenants.models import Company
from tests.lanes.shops import Counter, Street

TODAY = date(2026, 11, 20)
PRICE = Decimal("116.55")


def goods(quantity: str | int, code: str = "SUGAR") -> Goods:
    return Goods(code, Decimal(quantity), PRICE)


def book(counter: Counter, reason: StockReason, quantity: str | int, reference: str, **more: Any) -> Booked:
    """Move sugar in the counter's branch, here and now."""
    more.setdefault("goods", [goods(quantity)])
    return move_stock(
        company=Company.objects.get(pk=counter.company_id),
        environment="sandbox",
        branch=counter.branch,
        reason=reason,
        reference=reference,
        occurred_on=TODAY,
        by="test",
        **more,
    )


def move(
    shops: Street, counter: Counter, reason: StockReason, quantity: str | int, reference: str, **more: Any
) -> Booked:
    """Move sugar in the counter's branch while everybody works."""
    return shops.do(lambda: book(counter, reason, quantity, reference, **more))


def sell(shops: Street, counter: Counter, reference: str, quantity: int = 2) -> Invoice:
    (heard,) = shops.post(shops.processes[0], (counter, counter.sale(reference, quantity)), wait_seconds=10)
    assert not isinstance(heard, Exception), heard
    return Invoice.objects.get(company_id=counter.company_id, reference=reference)


def open_stock(shops: Street, counter: Counter, quantity: str | int = 100) -> Booked:
    """The branch begins with so much sugar, and KRA knows of it."""
    booked = move(shops, counter, StockReason.ADJUSTMENT_IN, quantity, f"OPEN-{counter.branch}", is_opening=True)
    reported(shops, counter)
    return booked


def balance(counter: Counter, code: str = "SUGAR") -> Balance:
    return Balance.objects.get(lane__pin=counter.pin, lane__branch=counter.branch, item__code=code)


def lane_of(counter: Counter) -> Lane:
    return Lane.objects.get(pin=counter.pin, branch=counter.branch, series="stock")


def reported(shops: Street, counter: Counter, *, seconds: float = 15) -> None:
    """Let everybody work until KRA was told of every movement of the branch."""
    waiting = Movement.objects.filter(lane__pin=counter.pin, lane__branch=counter.branch).exclude(
        status__in=["done", "refused", "local"]
    )
    assert shops.work_until(lambda: not waiting.exists(), seconds=seconds), list(
        waiting.values("cause", "status", "problem", "lane__hold_reason")
    )


def at_kra(shops: Street, counter: Counter, code: str = "SUGAR") -> Decimal:
    """What KRA counts of an item in the branch: the sum of the movements in its own ledger."""
    kra_code = Item.objects.get(company_id=counter.company_id, code=code).kra_code
    return kra_balances(shops.simulator, counter.pin, counter.branch)[kra_code]


def kra_balances(simulator: Any, pin: str, branch: str) -> dict[str, Decimal]:
    """What the movements that KRA recorded add up to, by KRA's item code."""
    counted: dict[str, Decimal] = defaultdict(Decimal)
    for row in simulator.ledger(pin=pin, branch=branch, kind="all"):
        if row["kind"] != "stock_movement":
            continue
        body = json.loads(row["body"], parse_float=Decimal) if isinstance(row["body"], str) else row["body"]
        sign = 1 if body["sarTyCd"] < "10" else -1
        for line in body["itemList"]:
            counted[line["itemCd"]] += sign * Decimal(str(line["qty"]))
    return counted


def both_have(shops: Street, counter: Counter, quantity: int) -> None:
    """The gateway's ledger and KRA's agree on so much sugar."""
    assert balance(counter).quantity == at_kra(shops, counter) == Decimal(quantity)


def adds_up(counter: Counter) -> None:
    """Stock is opening + in - out, and the ledger's entries say the same (I14)."""
    for kept in Balance.objects.filter(lane__pin=counter.pin):
        entries = list(Entry.objects.filter(balance=kept).values_list("change", "movement__is_opening"))
        assert kept.quantity == kept.opening + kept.received - kept.issued
        assert kept.quantity == sum((change for change, _ in entries), Decimal(0))
        assert kept.opening == sum((change for change, is_opening in entries if is_opening), Decimal(0))
        assert kept.issued == -sum((change for change, _ in entries if change < 0), Decimal(0))
