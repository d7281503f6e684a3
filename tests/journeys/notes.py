"""Credit notes as a till posts them, and what KRA holds against a sale."""

from collections import Counter
from decimal import Decimal
from typing import Any

from tests.gateway import Answer, Shop, ledger_of
from tests.servers import Simulator


def path(sale: Any) -> str:
    return f"/api/integration/transactions/{sale['id']}/credit-notes/"


def note(reference: str = "CN-1", **changes: Any) -> dict[str, Any]:
    return {"reference": reference, "reason": "refund", "received_by": "Achieng Otieno", **changes}


def credit(shop: Shop, sale: Any, reference: str = "CN-1", *, wait: int = 10, **changes: Any) -> Answer:
    return shop.call("POST", path(sale), note(reference, **changes), Prefer=f"wait={wait}")


def sold(shop: Shop, reference: str = "POS-1", **changes: Any) -> Any:
    answer = shop.sell(reference, wait=20, **changes)
    assert answer.status == 201, answer
    return answer.body


def wrong(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 422 and answer.body["code"] == "invalid", answer
    return [(one["field"], one["code"]) for one in answer.body["fields"]]


def credit_in_parts(shop: Shop, simulator: Simulator, sale: Any) -> None:
    """Credit a piece of the only line of a first sale, then the rest of it; nothing is left for a third note."""
    assert credit(shop, sale, "CN-1", wait=20, lines=[{"line": 1, "quantity": 1}]).status == 201
    part, whole = (ask(simulator, shop, 1) for ask in (credited_at_kra, sold_at_kra))
    assert 0 < part["document"] < whole["document"] and 0 < part["tax of document"] < whole["tax of document"]
    rest = credit(shop, sale, "CN-2", wait=20)
    assert (rest.status, rest.body["original"]["number"], rest.body["number"]) == (201, 1, 3), rest
    third = credit(shop, sale, "CN-3", lines=[{"line": 1, "amount": "0.01"}])
    assert wrong(third) == [("lines", "nothing_left")] and "0.00 is left" in third.body["detail"]
    assert credited_at_kra(simulator, shop, 1) == whole
    assert ledger_of(simulator, shop) == [(1, sale["reference"]), (2, "CN-1"), (3, "CN-2")]
    sent = [row["body"] for row in simulator.ledger(pin=shop.pin) if row["kind"] == "credit_note"]
    assert [(body["rcptTyCd"], body["orgInvcNo"], body["rfdRsnCd"]) for body in sent] == [("R", 1, "06")] * 2
    now = shop.status(sale["id"])
    assert (now["left"], [one["number"] for one in now["credit_notes"]]) == ("0.00", [2, 3])


Amounts = Counter[str]  # in cents, each with the tax in it apart


def sold_at_kra(simulator: Simulator, shop: Shop, number: int) -> Amounts:
    """What KRA has of a sale: as a whole, by item code and by tax letter."""
    return _amounts(row for row in simulator.ledger(pin=shop.pin) if row["number"] == number)


def credited_at_kra(simulator: Simulator, shop: Shop, number: int) -> Amounts:
    """The same of all the credit notes that KRA has against a sale."""
    return _amounts(row for row in simulator.ledger(pin=shop.pin) if row["original"] == number)


def _amounts(rows: Any) -> Amounts:
    sums: Amounts = Counter()
    for row in rows:
        body = row["body"]
        parts = [("document", body["totAmt"], body["totTaxAmt"])]
        parts += [(line["itemCd"], line["totAmt"], line["taxAmt"]) for line in body["itemList"]]
        parts += [(line["taxTyCd"], line["totAmt"], line["taxAmt"]) for line in body["itemList"]]
        for name, total, tax in parts:
            sums[name] += cents(total)
            sums[f"tax of {name}"] += cents(tax)
    return sums


def cents(amount: Any) -> int:
    """KES as whole cents."""
    return int(Decimal(str(amount)) * 100)
