"""Kenyan shillings as exact decimals with two places. Never a float: a float has already lost a cent."""

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

ZERO = Decimal("0.00")

_CENT = Decimal("0.01")
_CONTEXT = Context(prec=60, rounding=ROUND_HALF_UP)


def money(value: str | int | Decimal) -> Decimal:
    """The exact amount in KES with two places. Raises ValueError for more places, for no number, for a float."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("an amount is text, a whole number or a Decimal")
    try:
        exact = Decimal(value)
        rounded = _CONTEXT.quantize(exact, _CENT)
    except InvalidOperation:
        raise ValueError("not an amount of money") from None
    if not rounded.is_finite() or rounded != exact:
        raise ValueError("an amount has at most two decimal places")
    return rounded


def round_money(value: Decimal) -> Decimal:
    """The amount in KES rounded half up to two places (KRA TIS spec v2.0; 0.005 becomes 0.01)."""
    return _CONTEXT.quantize(value, _CENT)
