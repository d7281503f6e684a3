from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lib.money import ZERO, money, round_money


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [("1.5", "1.50"), (7, "7.00"), (Decimal("19.99"), "19.99"), ("-3", "-3.00"), ("1e2", "100.00"), ("2.000", "2.00")],
)
def test_an_amount_is_exact_and_has_two_places(given_value, expected):
    assert str(money(given_value)) == expected


@pytest.mark.parametrize("wrong", ["0.001", "abc", "", "NaN", "Infinity", 0.1, True, None, "1e70"])
def test_what_is_no_amount_is_refused(wrong):
    with pytest.raises(ValueError):
        money(wrong)


@pytest.mark.parametrize(
    ("exact", "rounded"), [("0.005", "0.01"), ("0.0049", "0.00"), ("2.675", "2.68"), ("-0.005", "-0.01")]
)
def test_half_a_cent_is_rounded_up(exact, rounded):
    assert str(round_money(Decimal(exact))) == rounded


@given(st.decimals(min_value=-(10**16), max_value=10**16, places=2))
def test_an_amount_stays_what_it_is(amount):
    assert money(amount) == amount == round_money(amount)


def test_zero_shows_two_places():
    assert str(ZERO) == "0.00"
