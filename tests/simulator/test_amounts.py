"""The arithmetic of a document: the vectors of the rules, three profiles, and nothing that is a cent off."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.amounts import LETTERS, check_amounts, check_rates
from gateway.simulator.answers import Refusal

RATES = {"A": Decimal(0), "B": Decimal(16), "C": Decimal(0), "D": Decimal(0), "E": Decimal(8)}
CENT = Decimal("0.01")
# letter, qty, prc, dcRt, splyAmt, dcAmt, totAmt, taxblAmt, taxAmt (inclusive_net_base)
VECTORS = [
    ("B", "1", "100.00", "0", "100.00", "0.00", "100.00", "86.21", "13.79"),
    ("B", "3", "19.99", "0", "59.97", "0.00", "59.97", "51.70", "8.27"),
    ("B", "0.2", "33600.00", "25", "6720.00", "1680.00", "5040.00", "4344.83", "695.17"),
    ("B", "5", "60.00", "0", "300.00", "0.00", "300.00", "258.62", "41.38"),
    ("B", "7", "0.99", "0", "6.93", "0.00", "6.93", "5.97", "0.96"),
    ("A", "1", "1000.00", "0", "1000.00", "0.00", "1000.00", "1000.00", "0.00"),
    ("E", "10", "216.50", "0", "2165.00", "0.00", "2165.00", "2004.63", "160.37"),
]
NAMES = ("taxTyCd", "qty", "prc", "dcRt", "splyAmt", "dcAmt", "totAmt", "taxblAmt", "taxAmt")


def line(*values: str) -> dict[str, Any]:
    return {"taxTyCd": values[0]} | {name: Decimal(value) for name, value in zip(NAMES[1:], values[1:], strict=True)}


def document(lines: list[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {"itemList": lines}
    for letter in LETTERS:
        own = [row for row in lines if row["taxTyCd"] == letter]
        made["taxRt" + letter] = RATES[letter]
        made["taxblAmt" + letter] = sum((row["taxblAmt"] for row in own), Decimal(0))
        made["taxAmt" + letter] = sum((row["taxAmt"] for row in own), Decimal(0))
    made["totTaxblAmt"] = sum((row["taxblAmt"] for row in lines), Decimal(0))
    made["totTaxAmt"] = sum((row["taxAmt"] for row in lines), Decimal(0))
    made["totAmt"] = sum((row["totAmt"] for row in lines), Decimal(0))
    return made


@pytest.mark.parametrize("vector", VECTORS)
def test_the_vectors_of_the_rules_are_accepted(vector: tuple[str, ...]) -> None:
    check_amounts(document([line(*vector)]), RATES, ["inclusive_net_base"])
    gross = line(*vector) | {"taxblAmt": Decimal(vector[6])}
    check_amounts(document([gross]), RATES, ["inclusive_gross_base"])


def test_all_vectors_on_one_invoice_add_up() -> None:
    check_amounts(document([line(*vector) for vector in VECTORS]), RATES, ["inclusive_net_base"])


@pytest.mark.parametrize("name", ["splyAmt", "dcAmt", "taxblAmt", "taxAmt", "totAmt"])
@pytest.mark.parametrize("off", [CENT, -CENT])
def test_a_line_that_is_a_cent_off_is_refused_with_the_expected_value(name: str, off: Decimal) -> None:
    wrong = line(*VECTORS[2])
    wrong[name] += off
    with pytest.raises(Refusal) as refused:
        check_amounts(document([wrong]), RATES, ["inclusive_net_base"])
    assert "on item 1: expected" in refused.value.reason


@pytest.mark.parametrize(
    "name", ["taxblAmtA", "taxAmtB", "taxblAmtC", "taxAmtD", "taxblAmtE", "totTaxblAmt", "totTaxAmt", "totAmt"]
)
def test_a_total_that_is_a_cent_off_is_refused(name: str) -> None:
    wrong = document([line(*vector) for vector in VECTORS])
    wrong[name] += CENT
    with pytest.raises(Refusal) as refused:
        check_amounts(wrong, RATES, ["inclusive_net_base"])
    assert refused.value.path == (name,)


def test_three_lines_are_the_sum_of_rounded_lines_and_not_the_rounded_sum() -> None:
    one = line("B", "1", "33.33", "0", "33.33", "0", "33.33", "28.73", "4.60")
    check_amounts(document([one, one, one]), RATES, ["inclusive_net_base"])
    wrong = document([one, one, one]) | {"taxblAmtB": Decimal("86.20"), "taxAmtB": Decimal("13.79")}
    with pytest.raises(Refusal):
        check_amounts(wrong, RATES, ["inclusive_net_base"])


def test_a_given_discount_may_show_the_rate_it_comes_to() -> None:
    given_amount = line("B", "3", "100.00", "3.33", "300.00", "10.00", "290.00", "250.00", "40.00")
    check_amounts(document([given_amount]), RATES, ["inclusive_net_base"])
    without_rate = given_amount | {"dcRt": Decimal(0)}
    check_amounts(document([without_rate]), RATES, ["inclusive_net_base"])


@pytest.mark.parametrize("letter", LETTERS)
def test_a_rate_that_is_not_todays_is_refused(letter: str) -> None:
    wrong = document([line(*VECTORS[0])])
    wrong["taxRt" + letter] += 1
    with pytest.raises(Refusal) as refused:
        check_rates(wrong, RATES)
    assert f"taxRt{letter} failed: expected" in refused.value.reason


@given(
    st.lists(
        st.tuples(
            st.sampled_from(LETTERS),
            st.decimals("0.01", "9999.99", places=2),
            st.decimals("0.01", "99999.99", places=2),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_net_prices_from_gross_ones_are_accepted_whatever_their_rounding(
    sold: list[tuple[str, Decimal, Decimal]],
) -> None:
    """What a client of the direct host does: gross total to net, net to a unit price of 2 decimals."""
    lines = []
    for letter, quantity, gross in sold:
        total = (quantity * gross).quantize(CENT, ROUND_HALF_UP)
        net = (total * 100 / (100 + RATES[letter])).quantize(CENT, ROUND_HALF_UP)
        price = (gross * 100 / (100 + RATES[letter])).quantize(CENT, ROUND_HALF_UP)
        lines.append(
            {"taxTyCd": letter, "qty": quantity, "prc": price, "dcRt": 0, "dcAmt": Decimal(0), "splyAmt": net}
            | {"taxblAmt": net, "taxAmt": total - net, "totAmt": total}
        )
    check_amounts(document(lines), RATES, ["exclusive"])


def test_the_slack_of_net_prices_is_no_wider_than_their_rounding() -> None:
    right = line("B", "10", "86.21", "0", "862.07", "0", "1000.00", "862.07", "137.93")
    check_amounts(document([right]), RATES, ["exclusive"])
    wrong = right | {"splyAmt": Decimal("862.00"), "taxblAmt": Decimal("862.00"), "taxAmt": Decimal("138.00")}
    with pytest.raises(Refusal):
        check_amounts(document([wrong]), RATES, ["exclusive"])


def test_profiles_do_not_pass_for_one_another() -> None:
    net_base = document([line(*VECTORS[0])])
    for other in ("inclusive_gross_base", "exclusive"):
        with pytest.raises(Refusal):
            check_amounts(net_base, RATES, [other])
    check_amounts(net_base, RATES, ["exclusive", "inclusive_net_base"])
