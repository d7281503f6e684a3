"""Many credit the same sale at once: whatever they wish, KRA never holds more against it than was sold, to the cent."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.gateway import Gateway, Shop
from tests.journeys.notes import cents, credit, credited_at_kra, path, sold, sold_at_kra, wrong
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

AT_ONCE = 8
CLASSES = {"A": "9901300000", "B": "5016150900", "C": "9901200000", "E": "1510150100"}  # of a tax letter each
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shop(shared_gateway: Gateway, simulator_process: Simulator) -> Shop:
    """A shop with an item of each tax letter."""
    made = shared_gateway.onboard(simulator_process)
    items = [
        {"code": letter, "name": f"Article {letter}", "tax_type": letter, "item_class": item_class}
        for letter, item_class in CLASSES.items()
    ]
    made.register(items)
    return made


sales = st.lists(
    st.fixed_dictionaries(
        {
            "item_code": st.sampled_from(sorted(CLASSES)),
            "quantity": st.integers(1, 9) | st.decimals("0.5", "9", places=2),
            "unit_price": st.decimals("20", "5000", places=2),
        },
        optional={"discount_percent": st.integers(1, 60)},
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda line: line["item_code"],
)
# The place of a line and how much of it: a share by quantity, a share by money, or all that is left
wishes = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["quantity", "amount", "rest"]), st.integers(1, 120)),
    min_size=2,
    max_size=16,
)
SUGAR = [{"item_code": "B", "quantity": 3, "unit_price": "19.99"}]  # three cost 8.27 of tax, one 2.76
TWO = [
    {"item_code": "B", "quantity": 7, "unit_price": "19.99", "discount_percent": 12},
    {"item_code": "E", "quantity": 5, "unit_price": "65.35"},
]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=sales, wanted=wishes, refusals=st.integers(0, 2))
@example(lines=SUGAR, wanted=[(0, "quantity", 34)] * 8, refusals=0)
@example(lines=SUGAR, wanted=[(0, "rest", 1)] * 8, refusals=1)
@example(lines=TWO, wanted=[(0, "amount", 10), (1, "quantity", 20), (0, "quantity", 15)] * 5, refusals=2)
def test_parts_credited_by_many_at_once_never_exceed_the_sale_and_the_rest_makes_it_up(
    shop: Shop, simulator_process: Simulator, lines: Any, wanted: Any, refusals: int
) -> None:
    story, kra = next(_numbers), simulator_process
    sale = sold(shop, f"POS-{story}", lines=plain(lines), payments=None)
    whole = sold_at_kra(kra, shop, sale["number"])
    if refusals:
        kra.fault("sales_save", "result_code", code="910", times=refusals, pin=shop.pin)
    with ThreadPoolExecutor(AT_ONCE) as people:
        asked = [
            people.submit(credit, shop, sale, f"CN-{story}-{place}", wait=0, lines=[wish(sale, *one)])
            for place, one in enumerate(wanted)
        ]
    answers = [one.result() for one in asked]
    assert {answer.status for answer in answers} <= {201, 202, 422}, answers
    kept = [shop.settled(answer.body["id"])["status"] for answer in answers if "id" in answer.body]
    kra.clear_faults()
    assert set(kept) <= {"signed", "refused"} and kept.count("refused") <= refusals
    taken = credited_at_kra(kra, shop, sale["number"])
    assert all(taken[name] <= amount for name, amount in whole.items()), (taken, whole)
    told = shop.call("GET", path(sale)).body
    assert (cents(told["credited"]["amount"]), cents(told["credited"]["tax"])) == (
        taken["document"],
        taken["tax of document"],
    )
    assert all(Decimal(line[name]) >= 0 for line in told["left"]["lines"] for name in ("quantity", "amount", "tax"))
    rest = credit(shop, sale, f"CN-{story}-rest", wait=20)
    if not cents(told["left"]["amount"]):
        assert wrong(rest) == [("lines", "nothing_left")]
    elif rest.status != 201:  # a note that KRA refused left so few cents that their tax cannot be told
        assert "refused" in kept and any(cents(line["amount"]) < 60 for line in told["left"]["lines"]), rest
        return
    assert credited_at_kra(kra, shop, sale["number"]) == whole
    assert wrong(credit(shop, sale, f"CN-{story}-more")) == [("lines", "nothing_left")]


def plain(lines: Any) -> list[dict[str, Any]]:
    return [{name: str(value) if isinstance(value, Decimal) else value for name, value in one.items()} for one in lines]


def wish(sale: Any, place: int, how: str, percent: int) -> dict[str, Any]:
    """A line of a credit note: so many percent of what was sold of it, which may be more than is left, or than all."""
    line = sale["lines"][place % len(sale["lines"])]
    if how == "rest":
        return {"line": line["line"]}
    of = Decimal(line["quantity"]) if how == "quantity" else Decimal(line["total"])
    return {"line": line["line"], how: str(max(Decimal("0.01"), (of * percent / 100).quantize(Decimal("0.01"))))}
