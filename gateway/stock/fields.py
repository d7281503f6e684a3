"""Quantities as the database keeps them: whole thousandths, so that both databases add them up exactly."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    _Whole = models.BigIntegerField[Decimal | int, Decimal]
else:
    _Whole = models.BigIntegerField


class QuantityField(_Whole):
    """A quantity with up to three decimals: a Decimal in Python, a whole number of thousandths in the database.

    SQLite has no exact decimals; sums of thousandths are exact, so a CHECK can compare them.
    """

    description = "A quantity in thousandths"

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> Decimal | None:
        return None if value is None else Decimal(value).scaleb(-3)

    def to_python(self, value: Any) -> Any:
        return value if value is None or isinstance(value, Decimal) else Decimal(value)

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else thousandths(Decimal(value))


def thousandths(quantity: Decimal) -> int:
    """A quantity as the database keeps it. Raises ValueError for more than three decimals."""
    scaled = quantity.scaleb(3)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{quantity} has more than three decimals")
    return int(scaled)
