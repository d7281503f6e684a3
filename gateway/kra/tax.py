"""Tax of a document, line by line: discount before tax, each line rounded half up, totals as sums of rounded lines.

KRA's sources disagree on what a price and a taxable amount contain, so a connection profile names one of three readings
(`AmountProfile`); the net amount of each line, which the printed tax table shows, is the same in all of them.
Sources: KRA TIS specification v2.0 (rounding), OSCU and VSCU specifications v2.0 §3.3.6.1 (fields, widths), what KRA's
integrator sandbox validates (the default profile).
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import StrEnum

import msgspec

from gateway.kra.codes import TaxClass

# Wide enough that products of the widest fields (13,2 times 18,2) are exact and that a quotient is rounded only once.
_CONTEXT = Context(prec=48, rounding=ROUND_HALF_UP)
_multiply = _CONTEXT.multiply
_divide = _CONTEXT.divide
_quantize = _CONTEXT.quantize

_ZERO = Decimal("0.00")
_CENT = Decimal("0.01")
_HUNDRED = Decimal(100)
_QUANTITY_STEP = Decimal("0.001")
_QUANTITY_LIMIT = Decimal(10) ** 11  # NUMBER(13,2)
_AMOUNT_LIMIT = Decimal(10) ** 16  # NUMBER(18,2)
_MOST_DIGITS = 20
_MOST_LINES = 999  # itemSeq has three digits

_A, _B, _C, _D, _E = TaxClass


class AmountProfile(StrEnum):
    """What price, supply and taxable amount contain on the wire."""

    INCLUSIVE_NET_BASE = "inclusive_net_base"  # price and supply with tax, taxable amount without
    INCLUSIVE_GROSS_BASE = "inclusive_gross_base"  # all three with tax
    EXCLUSIVE = "exclusive"  # all three without


class TaxInputError(ValueError):
    """A line that no tax can be worked out for. `line` counts from 0; None speaks of the whole document.

    `field` is the name in `LineIn`, `lines` or `total`; `code` is stable; `message` is for people.
    """

    def __init__(self, line: int | None, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.field = field
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line + 1}: {self.message}"


class LineIn(msgspec.Struct, frozen=True, gc=False):
    """A line as its seller says it: KES with 2 decimals, quantity with up to 3, one kind of discount or none.

    A discount amount is in the same terms as the price: with tax when prices include it.
    """

    quantity: Decimal
    unit_price: Decimal
    tax_class: TaxClass
    discount_percent: Decimal | None = None
    discount_amount: Decimal | None = None


class LineFigures(msgspec.Struct, frozen=True, gc=False):
    """The amounts of a line, KES with 2 decimals. All but `net` go on the wire as the profile wants them.

    `net` is the amount without tax after discount, whatever the profile; net + tax = total always.
    """

    unit_price: Decimal
    supply: Decimal
    discount_rate: Decimal
    discount: Decimal
    taxable: Decimal
    tax: Decimal
    total: Decimal
    net: Decimal


class Figures(msgspec.Struct, frozen=True):
    """The amounts of a document; each dict has all five letters, unused ones with 0.00."""

    lines: tuple[LineFigures, ...]
    taxable: dict[TaxClass, Decimal]
    tax: dict[TaxClass, Decimal]
    net: dict[TaxClass, Decimal]
    total_taxable: Decimal
    total_tax: Decimal
    total: Decimal


def figures(
    lines: Sequence[LineIn],
    *,
    rates: Mapping[TaxClass, Decimal],
    profile: AmountProfile,
    prices_include_tax: bool,
    quantity_decimals: int = 2,
) -> Figures:
    """Work out a document. `rates` in percent for all five letters; `quantity_decimals` is what the wire will carry.

    Prices without tax under an inclusive profile: the gross unit price is rounded first and everything follows from it.
    Prices with tax under `exclusive`: what the customer pays does not change, so the net amounts follow from the gross
    total. Raises TaxInputError for lines that cannot be: nothing sold, a discount larger than the line, an amount past
    NUMBER(18,2), more decimals than KRA keeps.
    """
    if not 0 < len(lines) <= _MOST_LINES:
        raise TaxInputError(None, "lines", "line_count", f"a document has 1 to {_MOST_LINES} lines")
    taxable = {_A: _ZERO, _B: _ZERO, _C: _ZERO, _D: _ZERO, _E: _ZERO}
    tax = taxable.copy()
    net = taxable.copy()
    total = _ZERO
    done: list[LineFigures] = []
    step = _CENT if quantity_decimals == 2 else Decimal(1).scaleb(-quantity_decimals)
    index = -1
    try:
        for index, line in enumerate(lines):
            letter = line.tax_class
            row = _line(index, line, rates[letter], profile, prices_include_tax, step)
            taxable[letter] += row.taxable
            tax[letter] += row.tax
            net[letter] += row.net
            total += row.total
            done.append(row)
    except InvalidOperation:
        raise _not_a_number(index, lines[index]) from None
    if total >= _AMOUNT_LIMIT:
        raise TaxInputError(None, "total", "amount_too_large", "the total has over 16 digits before the point")
    total_taxable = taxable[_A] + taxable[_B] + taxable[_C] + taxable[_D] + taxable[_E]
    total_tax = tax[_A] + tax[_B] + tax[_C] + tax[_D] + tax[_E]
    return Figures(tuple(done), taxable, tax, net, total_taxable, total_tax, total)


def _line(
    index: int, line: LineIn, rate: Decimal, profile: AmountProfile, prices_include_tax: bool, step: Decimal
) -> LineFigures:
    quantity = line.quantity
    price = _quantize(line.unit_price, _CENT)
    if price != line.unit_price:
        raise TaxInputError(index, "unit_price", "too_many_decimals", "a price has at most 2 decimals")
    if price < _ZERO:
        raise TaxInputError(index, "unit_price", "negative", "a price cannot be below zero")
    if not _ZERO < quantity < _QUANTITY_LIMIT:
        raise TaxInputError(index, "quantity", "out_of_range", "a quantity is above zero and has at most 11 digits")
    supply = _quantize(_multiply(quantity, price), _CENT)
    if supply >= _AMOUNT_LIMIT:
        raise TaxInputError(index, "unit_price", "amount_too_large", "the line has over 16 digits before the point")
    if _quantize(quantity, step) != quantity:
        _check_quantity(index, quantity, price, supply, step)
    if line.discount_amount is None and line.discount_percent is None:
        discount = share = _ZERO
    else:
        discount, share = _discount(index, line, supply)
    if profile is AmountProfile.EXCLUSIVE:
        if prices_include_tax:
            return _net_of_gross(price, supply, discount, share, rate)
        taxable = supply - discount
        tax = _quantize(_divide(_multiply(taxable, rate), _HUNDRED), _CENT) if rate else _ZERO
        return LineFigures(price, supply, share, discount, taxable, tax, taxable + tax, taxable)
    if not prices_include_tax and rate:
        price, supply, discount, share = _with_tax(line, price, supply, discount, rate)
    total = supply - discount
    if not rate:
        return LineFigures(price, supply, share, discount, total, _ZERO, total, total)
    if profile is AmountProfile.INCLUSIVE_NET_BASE:
        net = _quantize(_divide(total, 1 + _divide(rate, _HUNDRED)), _CENT)
        return LineFigures(price, supply, share, discount, net, total - net, total, net)
    tax = _quantize(_divide(_multiply(total, rate), _HUNDRED + rate), _CENT)
    return LineFigures(price, supply, share, discount, total, tax, total, total - tax)


def _check_quantity(index: int, quantity: Decimal, price: Decimal, supply: Decimal, step: Decimal) -> None:
    """Refuse a quantity that cannot be sent as it is: never round silently where it would change the money."""
    if _quantize(quantity, _QUANTITY_STEP) != quantity:
        raise TaxInputError(index, "quantity", "too_many_decimals", "a quantity has at most 3 decimals")
    sent = _quantize(quantity, step)
    if not sent or _quantize(_multiply(sent, price), _CENT) != supply:
        message = f"KRA keeps fewer decimals of a quantity, and rounding {quantity} to {sent} changes the amount"
        raise TaxInputError(index, "quantity", "rounding_changes_amount", message)


def _not_a_number(index: int, line: LineIn) -> TaxInputError:
    """Which part of a line is no number, or one past all bounds."""
    parts = ((name, getattr(line, name)) for name in ("quantity", "discount_percent", "discount_amount"))
    wrong = (name for name, value in parts if value is not None and not _is_bearable(value))
    return TaxInputError(index, next(wrong, "unit_price"), "not_a_number", "this is no number of a bearable size")


def _is_bearable(value: Decimal) -> bool:
    return value.is_finite() and value.adjusted() < _MOST_DIGITS


def _discount(index: int, line: LineIn, supply: Decimal) -> tuple[Decimal, Decimal]:
    percent, amount = line.discount_percent, line.discount_amount
    if percent is not None:
        if amount is not None:
            raise TaxInputError(index, "discount_amount", "two_discounts", "give a discount as percent or as amount")
        if not 0 <= percent <= 100:
            raise TaxInputError(index, "discount_percent", "out_of_range", "a discount is between 0 and 100 percent")
        share = _quantize(percent, _CENT)
        if share != percent:
            raise TaxInputError(index, "discount_percent", "too_many_decimals", "a percentage has at most 2 decimals")
        return _quantize(_divide(_multiply(supply, percent), _HUNDRED), _CENT), share
    assert amount is not None
    if amount.is_nan():
        raise InvalidOperation
    discount = _quantize(amount, _CENT)
    if discount != amount:
        raise TaxInputError(index, "discount_amount", "too_many_decimals", "a discount has at most 2 decimals")
    if discount < 0:
        raise TaxInputError(index, "discount_amount", "negative", "a discount cannot be below zero")
    if discount > supply:
        raise TaxInputError(index, "discount_amount", "larger_than_line", "a discount cannot be larger than its line")
    if not discount:
        return _ZERO, _ZERO
    return discount, _share(discount, supply)


def _share(discount: Decimal, supply: Decimal) -> Decimal:
    """A discount as percent of its line."""
    return _quantize(_divide(_multiply(discount, _HUNDRED), supply), _CENT)


def _with_tax(
    line: LineIn, price: Decimal, supply: Decimal, discount: Decimal, rate: Decimal
) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Gross price, supply, discount and its percentage of a line priced without tax; the discount keeps its share of
    the line, and its percentage is that of the rounded gross amounts, for KRA compares the two."""
    gross_price = _quantize(_divide(_multiply(price, _HUNDRED + rate), _HUNDRED), _CENT)
    gross_supply = _quantize(_multiply(line.quantity, gross_price), _CENT)
    percent = line.discount_percent
    if percent is not None:
        off = _quantize(_divide(_multiply(gross_supply, percent), _HUNDRED), _CENT)
        return gross_price, gross_supply, off, _quantize(percent, _CENT)
    if not discount:
        return gross_price, gross_supply, _ZERO, _ZERO
    off = _quantize(_divide(_multiply(discount, gross_supply), supply), _CENT)
    return gross_price, gross_supply, off, _share(off, gross_supply)


def _net_of_gross(price: Decimal, supply: Decimal, discount: Decimal, share: Decimal, rate: Decimal) -> LineFigures:
    """Net figures of a line that was priced with tax: the gross total stands, supply and discount follow from it."""
    total = supply - discount
    if not rate:
        return LineFigures(price, supply, share, discount, total, _ZERO, total, total)
    divisor = _HUNDRED + rate
    net_price = _quantize(_divide(_multiply(price, _HUNDRED), divisor), _CENT)
    net = _quantize(_divide(_multiply(total, _HUNDRED), divisor), _CENT)
    # From the rounded gross supply, so that rounding never shows as a discount nobody gave.
    net_supply = _quantize(_divide(_multiply(supply, _HUNDRED), divisor), _CENT)
    off = net_supply - net
    if share and _quantize(_divide(_multiply(net_supply, share), _HUNDRED), _CENT) != off:
        share = _share(off, net_supply)  # the percentage of the rounded amounts, for KRA compares the two
    return LineFigures(net_price, net_supply, share, off, net, total - net, total, net)
