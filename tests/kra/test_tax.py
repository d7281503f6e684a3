import io
import tokenize
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kra import tax
from gateway.kra.codes import DEFAULT_RATES, TaxClass
from gateway.kra.tax import AmountProfile, LineIn, TaxInputError, figures

NET_BASE, GROSS_BASE, EXCLUSIVE = AmountProfile

# letter, quantity, price with tax, discount percent, supply, discount, total, net, tax
VECTORS = [
    ("B", "1", "100.00", "0", "100.00", "0.00", "100.00", "86.21", "13.79"),
    ("B", "3", "19.99", "0", "59.97", "0.00", "59.97", "51.70", "8.27"),
    ("B", "0.2", "33600.00", "25", "6720.00", "1680.00", "5040.00", "4344.83", "695.17"),
    ("B", "5", "60.00", "0", "300.00", "0.00", "300.00", "258.62", "41.38"),
    ("B", "7", "0.99", "0", "6.93", "0.00", "6.93", "5.97", "0.96"),
    ("A", "1", "1000.00", "0", "1000.00", "0.00", "1000.00", "1000.00", "0.00"),
    ("E", "10", "216.50", "0", "2165.00", "0.00", "2165.00", "2004.63", "160.37"),
]


def line(quantity="1", price="100.00", letter="B", percent=None, amount=None):
    return LineIn(
        Decimal(quantity),
        Decimal(price),
        TaxClass(letter),
        None if percent is None else Decimal(percent),
        None if amount is None else Decimal(amount),
    )


def work_out(*lines, profile=NET_BASE, with_tax=True, **more):
    return figures(lines, rates=DEFAULT_RATES, profile=profile, prices_include_tax=with_tax, **more)


@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("profile", [NET_BASE, GROSS_BASE])
def test_inclusive_profiles_give_kras_vectors(vector, profile):
    letter, quantity, price, percent, supply, discount, total, net, tax_amount = vector
    row = work_out(line(quantity, price, letter, percent), profile=profile).lines[0]
    taxable = net if profile is NET_BASE else total
    shown = (row.unit_price, row.supply, row.discount, row.taxable, row.tax, row.total, row.net)
    assert tuple(map(str, shown)) == (price, supply, discount, taxable, tax_amount, total, net)
    assert row.discount_rate == Decimal(percent)


@pytest.mark.parametrize("vector", VECTORS)
def test_exclusive_leaves_what_the_customer_pays(vector):
    letter, quantity, price, percent, supply, _, total, net, tax_amount = vector
    row = work_out(line(quantity, price, letter, percent), profile=EXCLUSIVE).lines[0]
    divisor = 1 + DEFAULT_RATES[TaxClass(letter)] / 100
    assert (str(row.total), str(row.taxable), str(row.net), str(row.tax)) == (total, net, net, tax_amount)
    assert row.supply == tax._quantize(Decimal(supply) / divisor, Decimal("0.01"))
    assert row.unit_price == tax._quantize(Decimal(price) / divisor, Decimal("0.01"))
    assert row.discount == row.supply - row.taxable


# letter, quantity, net price, discount percent, supply, discount, taxable, tax, total
@pytest.mark.parametrize(
    ("letter", "quantity", "price", "percent", "supply", "discount", "taxable", "tax_amount", "total"),
    [
        ("B", "1", "100.00", None, "100.00", "0.00", "100.00", "16.00", "116.00"),
        ("B", "3", "19.99", None, "59.97", "0.00", "59.97", "9.60", "69.57"),
        ("B", "2", "50.00", "10", "100.00", "10.00", "90.00", "14.40", "104.40"),
        ("E", "1", "0.99", None, "0.99", "0.00", "0.99", "0.08", "1.07"),
        ("D", "4", "25.00", None, "100.00", "0.00", "100.00", "0.00", "100.00"),
    ],
)
def test_exclusive_adds_the_tax_to_net_prices(
    letter, quantity, price, percent, supply, discount, taxable, tax_amount, total
):
    row = work_out(line(quantity, price, letter, percent), profile=EXCLUSIVE, with_tax=False).lines[0]
    shown = (row.unit_price, row.supply, row.discount, row.taxable, row.tax, row.total, row.net)
    assert tuple(map(str, shown)) == (price, supply, discount, taxable, tax_amount, total, taxable)


@pytest.mark.parametrize("profile", [NET_BASE, GROSS_BASE])
def test_net_prices_become_gross_prices_first_and_everything_follows(profile):
    row = work_out(line("3", "19.99", percent="10"), profile=profile, with_tax=False).lines[0]
    assert (str(row.unit_price), str(row.supply), str(row.discount)) == ("23.19", "69.57", "6.96")
    assert (str(row.total), str(row.net), str(row.tax)) == ("62.61", "53.97", "8.64")


def test_three_rounded_lines_are_not_one_line():
    three = work_out(*[line("1", "33.33")] * 3)
    one = work_out(line("1", "99.99"))
    assert (str(three.taxable[TaxClass.STANDARD]), str(three.total_tax)) == ("86.19", "13.80")
    assert (str(one.taxable[TaxClass.STANDARD]), str(one.total_tax)) == ("86.20", "13.79")
    assert three.total == one.total


def test_all_five_letters_are_always_there():
    amounts = work_out(line())
    for table in (amounts.taxable, amounts.tax, amounts.net):
        assert list(table) == list(TaxClass)
        assert str(table[TaxClass.NON_VAT]) == "0.00"


def test_a_discount_amount_shows_its_rate():
    row = work_out(line("3", "100.00", amount="100.00")).lines[0]
    assert (str(row.discount), str(row.discount_rate), str(row.total)) == ("100.00", "33.33", "200.00")


def test_a_net_discount_amount_keeps_its_share_when_prices_become_gross():
    row = work_out(line("1", "100.00", amount="10.00"), with_tax=False).lines[0]
    assert (str(row.supply), str(row.discount), str(row.total)) == ("116.00", "11.60", "104.40")
    free = work_out(line("100", "0.03", amount="3.00"), with_tax=False).lines[0]
    assert str(free.total) == "0.00"


def test_a_free_line_is_free_in_every_profile():
    for profile in AmountProfile:
        for with_tax in (True, False):
            amounts = work_out(line("2", "0.00"), line("2", "50.00", percent="100"), profile=profile, with_tax=with_tax)
            assert str(amounts.total) == "0.00"


def test_rounding_never_shows_as_a_discount_nobody_gave():
    row = work_out(line("0.5", "0.01"), profile=EXCLUSIVE).lines[0]
    assert str(row.discount) == "0.00"


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        (line("0"), "quantity", "out_of_range"),
        (line("-1"), "quantity", "out_of_range"),
        (line("100000000000"), "quantity", "out_of_range"),
        (line("1.2345"), "quantity", "too_many_decimals"),
        (line("0.005", "100.00"), "quantity", "rounding_changes_amount"),
        (line("0.004", "1.00"), "quantity", "rounding_changes_amount"),
        (line("NaN"), "quantity", "not_a_number"),
        (line("Infinity"), "quantity", "out_of_range"),
        (line("1", "-0.01"), "unit_price", "negative"),
        (line("1", "1.001"), "unit_price", "too_many_decimals"),
        (line("1", "1e60"), "unit_price", "not_a_number"),
        (line("1", "sNaN"), "unit_price", "not_a_number"),
        (line("2", "9999999999999999.00"), "unit_price", "amount_too_large"),
        (line(percent="100.01"), "discount_percent", "out_of_range"),
        (line(percent="-1"), "discount_percent", "out_of_range"),
        (line(percent="1.555"), "discount_percent", "too_many_decimals"),
        (line(percent="NaN"), "discount_percent", "not_a_number"),
        (line(amount="100.01"), "discount_amount", "larger_than_line"),
        (line(amount="-0.01"), "discount_amount", "negative"),
        (line(amount="0.001"), "discount_amount", "too_many_decimals"),
        (line(amount="NaN"), "discount_amount", "not_a_number"),
        (line(percent="5", amount="1.00"), "discount_amount", "two_discounts"),
    ],
)
def test_impossible_lines_are_refused_by_name(wrong, field, code):
    with pytest.raises(TaxInputError) as refusal:
        work_out(line(), wrong)
    assert (refusal.value.line, refusal.value.field, refusal.value.code) == (1, field, code)
    assert str(refusal.value).startswith("line 2: ")


def test_a_document_has_lines_and_a_total_that_fits():
    with pytest.raises(TaxInputError) as empty:
        work_out()
    assert (empty.value.line, empty.value.code) == (None, "line_count")
    with pytest.raises(TaxInputError) as many:
        work_out(*[line()] * 1000)
    assert many.value.code == "line_count"
    with pytest.raises(TaxInputError) as large:
        work_out(*[line("1", "9000000000000000.00")] * 2)
    assert (large.value.field, large.value.code) == ("total", "amount_too_large")


def test_three_decimals_of_a_quantity_pass_where_the_wire_carries_them_or_the_money_stays():
    assert str(work_out(line("1.125", "8.00"), quantity_decimals=3).total) == "9.00"
    assert str(work_out(line("2.001", "1.00")).total) == "2.00"


def test_a_float_never_gets_in():
    with pytest.raises(TypeError):
        work_out(LineIn(1.5, Decimal("1.00"), TaxClass.STANDARD))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        work_out(LineIn(Decimal(1), 1.5, TaxClass.STANDARD))  # type: ignore[arg-type]


def test_the_source_of_tax_has_no_float():
    source = Path(tax.__file__).read_text()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NUMBER:
            assert not set(token.string.lower()) & set(".ej"), token.line
        assert not (token.type == tokenize.NAME and token.string == "float"), token.line


prices = st.decimals(min_value=0, max_value=10**7, places=2)
quantities = st.decimals(min_value=Decimal("0.01"), max_value=10**4, places=2)
discounts = st.one_of(
    st.tuples(st.none(), st.none()),
    st.tuples(st.decimals(min_value=0, max_value=100, places=2), st.none()),
)
lines_in = st.builds(
    lambda quantity, price, letter, discount: LineIn(quantity, price, letter, *discount),
    quantities,
    prices,
    st.sampled_from(TaxClass),
    discounts,
)


@given(st.lists(lines_in, min_size=1, max_size=8), st.sampled_from(AmountProfile), st.booleans())
def test_lines_letters_and_header_agree_to_the_cent(lines, profile, with_tax):
    amounts = work_out(*lines, profile=profile, with_tax=with_tax)
    rows = amounts.lines
    for letter in TaxClass:
        mine = [row for given_line, row in zip(lines, rows, strict=True) if given_line.tax_class is letter]
        assert amounts.taxable[letter] == sum(row.taxable for row in mine)
        assert amounts.tax[letter] == sum(row.tax for row in mine)
        assert amounts.net[letter] == sum(row.net for row in mine)
    assert amounts.total_taxable == sum(amounts.taxable.values())
    assert amounts.total_tax == sum(amounts.tax.values())
    assert amounts.total == sum(row.total for row in rows)
    assert sum(amounts.net.values()) + amounts.total_tax == amounts.total
    if profile is GROSS_BASE:
        assert amounts.total_taxable == amounts.total
    for row in rows:
        assert row.net + row.tax == row.total
        assert row.discount >= 0
        values = [getattr(row, name) for name in row.__struct_fields__]
        assert all(type(value) is Decimal and value.as_tuple().exponent == -2 for value in values)
        if profile is not EXCLUSIVE:
            assert row.supply - row.discount == row.total


def agree(row):
    """KRA's check of a discount: it is its percentage of the line, or the percentage is the discount's."""
    cents, hundred = Decimal("0.01"), Decimal(100)
    of_the_line = tax._quantize(row.supply * row.discount_rate / hundred, cents)
    return row.discount == of_the_line or row.discount_rate == tax._quantize(row.discount * hundred / row.supply, cents)


@given(quantities, prices, st.sampled_from(TaxClass), st.data(), st.sampled_from(AmountProfile), st.booleans())
def test_a_discount_and_its_percentage_agree_as_they_are_sent(quantity, price, letter, data, profile, with_tax):
    supply = tax._quantize(quantity * price, Decimal("0.01"))
    percent, amount = data.draw(
        st.one_of(
            st.tuples(st.decimals(min_value=0, max_value=100, places=2), st.none()),
            st.tuples(st.none(), st.decimals(min_value=0, max_value=supply, places=2)),
        )
    )
    given_line = LineIn(quantity, price, letter, percent, amount)
    assert agree(work_out(given_line, profile=profile, with_tax=with_tax).lines[0])


@pytest.mark.parametrize(("quantity", "amount"), [("1", "3.41"), ("0.5", "13.07")])
def test_the_percentage_of_a_net_discount_is_that_of_the_gross_amounts(quantity, amount):
    assert agree(work_out(line(quantity, "33.33", amount=amount), with_tax=False).lines[0])


@given(lines_in)
def test_what_the_customer_pays_is_the_same_in_every_profile(given_line):
    totals = {work_out(given_line, profile=profile).total for profile in AmountProfile}
    nets = {work_out(given_line, profile=profile).lines[0].net for profile in (NET_BASE, EXCLUSIVE)}
    assert len(totals) == len(nets) == 1


@given(quantities, prices, st.sampled_from(TaxClass), st.data(), st.sampled_from(AmountProfile), st.booleans())
def test_a_discount_amount_is_taken_off_and_never_more_than_the_line(quantity, price, letter, data, profile, with_tax):
    supply = tax._quantize(quantity * price, Decimal("0.01"))
    amount = data.draw(st.decimals(min_value=0, max_value=supply, places=2))
    row = work_out(LineIn(quantity, price, letter, None, amount), profile=profile, with_tax=with_tax).lines[0]
    assert 0 <= row.discount <= row.supply
    assert 0 <= row.discount_rate <= 100
    if with_tax and profile is not EXCLUSIVE:
        assert row.discount == amount
