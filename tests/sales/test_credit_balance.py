"""Parts of a sale, whatever they are and in whatever order, add up to it and never exceed it, to the cent."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.kra.codes import DEFAULT_RATES, TaxClass
from gateway.kra.tax import AmountProfile, LineIn, TaxInputError, figures
from gateway.sales.credit_balance import Balance, CannotTake, Taken, Wish, summed
from gateway.simulator.amounts import check_amounts
from gateway.simulator.answers import Refusal

RATES = {letter.value: rate for letter, rate in DEFAULT_RATES.items()}


def sale(lines: list[LineIn], profile: AmountProfile, *, with_tax: bool = True) -> dict[str, Any]:
    """The figures column of a sale of these lines."""
    done = figures(lines, rates=DEFAULT_RATES, profile=profile, prices_include_tax=with_tax)
    rows = [
        {
            "line": place,
            "quantity": str(line.quantity),
            "tax_type": line.tax_class.value,
            **{name: str(getattr(row, name)) for name in row.__struct_fields__},
        }
        for place, (line, row) in enumerate(zip(lines, done.lines, strict=True), start=1)
    ]
    rates = {letter.value: str(rate) for letter, rate in DEFAULT_RATES.items()}
    return {"profile": profile.value, "rates": rates, "lines": rows}


def note(taken: list[Taken]) -> dict[str, Any]:
    """What of a credit note's figures the balance reads."""
    names = ("quantity", "total", "tax")
    parts = [{"line": part.line, **{name: str(getattr(part, name)) for name in names}} for part in taken]
    return {"credited": parts}


def told(taken: list[Taken], sold: dict[str, Any]) -> dict[str, Any]:
    """A credit note in KRA's names, as far as the simulator works it out again."""
    letters = {row["line"]: row["tax_type"] for row in sold["lines"]}
    lines = [(TaxClass(letters[part.line]), quantity, row) for part in taken for quantity, row in part.lines]
    sums = summed([(letter, row) for letter, _, row in lines])
    return {
        "itemList": [
            {
                "taxTyCd": letter.value, "qty": quantity, "prc": row.unit_price, "splyAmt": row.supply,
                "dcRt": row.discount_rate, "dcAmt": row.discount, "taxblAmt": row.taxable, "taxAmt": row.tax,
                "totAmt": row.total,
            }
            for letter, quantity, row in lines
        ],
        **{f"taxblAmt{letter.value}": amount for letter, amount in sums.taxable.items()},
        **{f"taxAmt{letter.value}": amount for letter, amount in sums.tax.items()},
        "totTaxblAmt": sums.total_taxable, "totTaxAmt": sums.total_tax, "totAmt": sums.total,
    }  # fmt: skip


def take(sold: dict[str, Any], notes: list[dict[str, Any]], *wishes: Wish) -> list[Taken]:
    balance = Balance(sold, notes)
    return [balance.take(wish, quantity_decimals=2) for wish in wishes or balance.rest()]


SUGAR = [LineIn(Decimal(3), Decimal("19.99"), TaxClass.STANDARD)]


def test_three_single_ones_make_up_the_three_and_cost_what_each_cost() -> None:
    sold = sale(SUGAR, AmountProfile.INCLUSIVE_NET_BASE)
    notes: list[dict[str, Any]] = []
    taxes = []
    for _ in range(3):
        taken = take(sold, notes, Wish(1, quantity=Decimal(1)))
        assert [part.total for part in taken] == [Decimal("19.99")]
        check_amounts(told(taken, sold), RATES, ("inclusive_net_base",))
        taxes.append(taken[0].tax)
        notes.append(note(taken))
    assert sum(taxes) == Decimal("8.27") and Balance(sold, notes).total == Balance(sold, notes).tax == 0
    with pytest.raises(CannotTake, match="in full"):
        take(sold, notes, Wish(1, quantity=Decimal(1)))


def test_the_whole_of_a_line_is_credited_as_it_was_sold() -> None:
    sold = sale([LineIn(Decimal("0.2"), Decimal(33600), TaxClass.STANDARD, Decimal(25))], AmountProfile.EXCLUSIVE)
    ((taken,),) = [take(sold, [])]
    ((quantity, row),) = taken.lines
    assert quantity == Decimal("0.2")
    assert {name: str(getattr(row, name)) for name in row.__struct_fields__}.items() <= sold["lines"][0].items()


def test_money_off_leaves_the_goods_and_the_rest_comes_back_with_them() -> None:
    sold = sale([LineIn(Decimal(1), Decimal(50000), TaxClass.STANDARD)], AmountProfile.INCLUSIVE_NET_BASE)
    (off,) = take(sold, [], Wish(1, amount=Decimal("100.00")))
    ((quantity, row),) = off.lines
    assert [off.quantity, off.total, quantity, row.unit_price] == [Decimal(0), Decimal(100), Decimal(1), Decimal(100)]
    (back,) = take(sold, [note([off])], Wish(1, quantity=Decimal(1)))
    assert [back.quantity, back.total, off.tax + back.tax] == [Decimal(1), Decimal(49900), Decimal("6896.55")]


@pytest.mark.parametrize(
    ("wish", "field", "code", "says"),
    [
        (Wish(2), "line", "unknown_line", "no line 2; it has 1"),
        (Wish(1, quantity=Decimal(4)), "quantity", "more_than_left", "59.97 for 3 is left"),
        (Wish(1, amount=Decimal("59.98")), "amount", "more_than_left", "59.97 for 3 is left"),
        (Wish(1, quantity=Decimal("0.125")), "quantity", "too_many_decimals", "or 3, which is left"),
    ],
)
def test_more_than_is_left_is_refused_with_what_is(wish: Wish, field: str, code: str, says: str) -> None:
    with pytest.raises(CannotTake, match=says) as refused:
        take(sale(SUGAR, AmountProfile.INCLUSIVE_NET_BASE), [], wish)
    assert (refused.value.field, refused.value.code) == (field, code)


def test_so_few_cents_that_kra_could_not_be_told_the_rest_are_refused() -> None:
    sold = sale([LineIn(Decimal(1), Decimal("0.10"), TaxClass.STANDARD)], AmountProfile.INCLUSIVE_NET_BASE)
    notes: list[dict[str, Any]] = []
    for _ in range(3):
        try:
            notes.append(note(take(sold, notes, Wish(1, amount=Decimal("0.03")))))
        except CannotTake as refused:
            assert refused.code == "cannot_be_split" and "is left to credit" in refused.message
            break
    last = take(sold, notes)
    check_amounts(told(last, sold), RATES, ("inclusive_net_base",))
    assert Balance(sold, [*notes, note(last)]).tax == 0


prices = st.decimals("0.01", "20000", places=2)
lines = st.builds(
    LineIn,
    st.one_of(st.integers(1, 40).map(Decimal), st.decimals("0.01", "30", places=2)),
    prices,
    st.sampled_from(list(TaxClass)),
    st.none() | st.decimals("0", "99", places=2),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(lines, min_size=1, max_size=5),
    st.sampled_from(list(AmountProfile)),
    st.booleans(),
    st.data(),
)
def test_any_parts_in_any_order_make_up_the_sale_and_never_more(
    sold_lines: list[LineIn], profile: AmountProfile, with_tax: bool, data: st.DataObject
) -> None:
    try:
        sold = sale(sold_lines, profile, with_tax=with_tax)
    except TaxInputError:
        assume(False)
    try:  # KRA would not take every sale of a few cents
        check_amounts(told(take(sold, []), sold), RATES, (profile.value,))
    except Refusal:
        assume(False)
    notes: list[dict[str, Any]] = []
    for _ in range(data.draw(st.integers(0, 12), "how many notes")):
        if notes and data.draw(st.integers(0, 5), "a note is refused") == 0:
            notes.pop(data.draw(st.integers(0, len(notes) - 1), "which"))
        number = data.draw(st.integers(1, len(sold_lines)), "line")
        left = Balance(sold, notes).left[number]
        if data.draw(st.booleans(), "by quantity"):
            most = int(left.quantity * 100)
            wish = Wish(number, quantity=Decimal(data.draw(st.integers(1, max(1, most)), "quantity")) / 100)
        else:
            most = int(left.total * 100)
            wish = Wish(number, amount=Decimal(data.draw(st.integers(1, max(1, most)), "amount")) / 100)
        try:
            taken = take(sold, notes, wish)
        except CannotTake:
            continue
        check_amounts(told(taken, sold), RATES, (profile.value,))
        notes.append(note(taken))
        after = Balance(sold, notes)
        assert all(min(one.quantity, one.total, one.tax) >= 0 for one in after.left.values()), after.left
        for letter in after.by_letter().values():
            assert min(letter.total, letter.tax) >= 0
    if (rest := take(sold, notes)) and sum(part.total for part in rest):
        notes.append(note(rest))
        is_fine = all(tax_is_told(part) for part in rest)
        if is_fine:
            check_amounts(told(rest, sold), RATES, (profile.value,))
    assert Balance(sold, notes).total == Balance(sold, notes).tax == 0


def tax_is_told(part: Taken) -> bool:
    """Whether the part is above the few cents whose tax cannot be told to KRA as it is."""
    return part.total >= Decimal("0.60")
