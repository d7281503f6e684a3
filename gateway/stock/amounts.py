"""What goods that move are worth, in the terms in which a connection profile wants it said."""

from collections.abc import Mapping
from decimal import Decimal

from gateway.kra.codes import TaxClass
from gateway.kra.profiles import Profile
from gateway.kra.tax import LineFigures, LineIn, figures


def goods_amounts(
    quantity: Decimal, unit_price: Decimal, letter: TaxClass, profile: Profile, rates: Mapping[TaxClass, Decimal]
) -> LineFigures:
    """The amounts of one line at a unit price with tax (KES). Raises `kra.tax.TaxInputError`."""
    made = figures(
        [LineIn(quantity, unit_price, letter)],
        rates=rates,
        profile=profile.amount_profile,
        prices_include_tax=True,
        quantity_decimals=profile.quantity_decimals,
    )
    return made.lines[0]
