"""The arithmetic of a document, by amount profile. Written from the specification and from nothing else.

The sources disagree on what ``prc``, ``splyAmt`` and ``taxblAmt`` contain, so there are three profiles:

* inclusive_net_base    prices with VAT, ``taxblAmt`` without (GavaConnect sandbox)
* inclusive_gross_base  prices and ``taxblAmt`` with VAT (samples of both KRA specs)
* exclusive             prices and ``taxblAmt`` without, ``totAmt`` with (a production client of the direct host)

Every line is rounded half up to 2 decimals; totals are sums of rounded lines; unused letters are 0. KES throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from gateway.simulator.answers import Refusal

CENT: Final = Decimal("0.01")
HALF_CENT: Final = Decimal("0.005")
ZERO: Final = Decimal(0)
LETTERS: Final = ("A", "B", "C", "D", "E")
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_UP)

Rates = Mapping[str, Decimal]
Line = Mapping[str, Any]
Document = Mapping[str, Any]


def rounded(amount: Decimal) -> Decimal:
    """Half up to 2 decimals."""
    return _EXACT.quantize(amount, CENT)


def plain(number: Decimal) -> str:
    """A quantity as people write it: no trailing zeros, no exponent."""
    return f"{number.normalize():f}"


def check_rates(document: Document, rates: Rates) -> None:
    """The five rates must be those of the code table as it is today. Raises Refusal."""
    for letter in LETTERS:
        found = document["taxRt" + letter]
        if found != rates[letter]:
            reason = f"taxRt{letter} failed: expected {rounded(rates[letter])} but found {found}"
            raise Refusal("910", reason, path=("taxRt" + letter,))


def check_amounts(document: Document, rates: Rates, profiles: Sequence[str], *, by_letter: bool = True) -> None:
    """Lines and totals must add up under one of the profiles; the first one words the refusal. Raises Refusal.

    A stock movement has no amounts ``by_letter``, and calls a line's discount ``totDcAmt``.
    """
    first: Refusal | None = None
    for profile in profiles:
        try:
            _check_lines(document["itemList"], rates, profile, "dcAmt" if by_letter else "totDcAmt")
            _check_totals(document, by_letter=by_letter)
        except Refusal as refusal:
            first = first or refusal
        else:
            return
    assert first is not None
    raise first


def _check_lines(lines: Sequence[Line], rates: Rates, profile: str, discount: str) -> None:
    for position, line in enumerate(lines, 1):
        rate = rates[line["taxTyCd"]]
        _check_supply(line, position, discount, slack=profile == "exclusive")
        net = _EXACT.subtract(line["splyAmt"], line[discount])
        if profile == "inclusive_net_base":
            taxable = rounded(_EXACT.divide(net * 100, 100 + rate))
            _expect(line, position, "totAmt", net)
            _expect(line, position, "taxblAmt", taxable)
            _expect(line, position, "taxAmt", net - taxable)
        elif profile == "inclusive_gross_base":
            _expect(line, position, "totAmt", net)
            _expect(line, position, "taxblAmt", net)
            _expect(line, position, "taxAmt", rounded(_EXACT.divide(net * rate, 100 + rate)))
        else:
            # A sender that starts from a gross price may be a cent off the net one, and a cent off its tax; no more.
            _expect(line, position, "taxblAmt", net, slack=CENT)
            _expect(line, position, "taxAmt", rounded(line["taxblAmt"] * rate / 100), slack=CENT)
            _expect(line, position, "totAmt", _EXACT.add(line["taxblAmt"], line["taxAmt"]))


def _check_supply(line: Line, position: int, discount_name: str, *, slack: bool) -> None:
    """``splyAmt`` is quantity times price; the discount is its rate of that, or a given amount."""
    product = _EXACT.multiply(line["qty"], line["prc"])
    if slack:
        # A net price rounded to the cent is up to half a cent off per unit sold; the total it came from, and the net
        # total, were each rounded once more.
        _expect(line, position, "splyAmt", product, slack=_EXACT.multiply(line["qty"], HALF_CENT) + CENT)
    else:
        _expect(line, position, "splyAmt", rounded(product))
    supply, discount, rate = line["splyAmt"], line[discount_name], line.get("dcRt") or 0
    if rate > 100 or discount > supply:
        raise _wrong(discount_name, position, rounded(_EXACT.multiply(supply, min(rate, 100)) / 100), discount)
    if rate:
        expected = rounded(_EXACT.multiply(supply, rate) / 100)
        derived = supply and rounded(_EXACT.divide(_EXACT.multiply(discount, 100), supply))
        if discount != expected and derived != rate:
            raise _wrong(discount_name, position, expected, discount)


def _check_totals(document: Document, *, by_letter: bool) -> None:
    taxable, tax, total = dict.fromkeys(LETTERS, ZERO), dict.fromkeys(LETTERS, ZERO), ZERO
    for line in document["itemList"]:
        letter = line["taxTyCd"]
        taxable[letter] += line["taxblAmt"]
        tax[letter] += line["taxAmt"]
        total += line["totAmt"]
    for letter in LETTERS if by_letter else ():
        _expect_total(document, "taxblAmt" + letter, taxable[letter])
        _expect_total(document, "taxAmt" + letter, tax[letter])
    _expect_total(document, "totTaxblAmt", sum(taxable.values(), ZERO))
    _expect_total(document, "totTaxAmt", sum(tax.values(), ZERO))
    _expect_total(document, "totAmt", total)


def _expect(line: Line, position: int, name: str, expected: Decimal, *, slack: Decimal = ZERO) -> None:
    found = line[name]
    if found != expected and (not slack or abs(found - expected) > slack):
        raise _wrong(name, position, expected, found)


def _wrong(name: str, position: int, expected: Decimal, found: Any) -> Refusal:
    reason = f"Invalid {name} on item {position}: expected {rounded(expected)} but found {found}"
    return Refusal("910", reason, path=("itemList", name), line=0)


def _expect_total(document: Document, name: str, expected: Decimal) -> None:
    found = document[name]
    if found != expected:
        raise Refusal("910", f"Invalid {name}: expected {rounded(expected)} but found {found}", path=(name,))
