"""KRA's codes as words, and its code tables as shipped (`data/codes.json`; used until class lists have been fetched).

Source: code tables of the OSCU and VSCU specifications v2.0, checked against the list KRA serves.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import msgspec

_DATA = Path(__file__).parent / "data"


class TaxClass(StrEnum):
    """Class 04, the tax letters. Not in the order one would guess: A is exempt, B the standard rate."""

    EXEMPT = "A"
    STANDARD = "B"
    ZERO_RATED = "C"
    NON_VAT = "D"
    REDUCED = "E"


class ReceiptType(StrEnum):
    """Class 37: what a sales document is."""

    SALE = "S"
    CREDIT_NOTE = "R"


class PurchaseReceiptType(StrEnum):
    """Class 38: what a purchase document is."""

    PURCHASE = "P"
    CREDIT_NOTE = "R"


class _Worded(StrEnum):
    """A code with the plain word that our API uses for it: the lower-case member name."""

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> Self:
        """The code of a plain word such as `mobile_money`. Raises ValueError for a word that names none."""
        try:
            return cls[word.upper()]
        except KeyError:
            raise ValueError(f"{word!r} is none of {', '.join(member.word for member in cls)}") from None


class PaymentMethod(_Worded):
    """Class 07."""

    CASH = "01"
    CREDIT = "02"
    CASH_CREDIT = "03"
    CHEQUE = "04"
    CARD = "05"
    MOBILE_MONEY = "06"
    OTHER = "07"


class ProductType(_Worded):
    """Class 24, third character of an item code. Services have no stock."""

    RAW_MATERIAL = "1"
    FINISHED_PRODUCT = "2"
    SERVICE = "3"


class CreditNoteReason(_Worded):
    """Class 32. The OSCU specification lists 01 to 06 only; KRA's live list has all thirteen."""

    MISSING_QUANTITY = "01"
    MISSING_ITEM = "02"
    DAMAGED = "03"
    WASTED = "04"
    RAW_MATERIAL_SHORTAGE = "05"
    REFUND = "06"
    WRONG_BUYER_PIN = "07"
    WRONG_BUYER_NAME = "08"
    WRONG_AMOUNT = "09"
    WRONG_QUANTITY = "10"
    WRONG_ITEM = "11"
    WRONG_TAX_CLASS = "12"
    OTHER = "13"


class StockReason(_Worded):
    """Class 12: why stock moved. 01 to 06 go in, 11 to 16 go out."""

    IMPORT_IN = "01"
    PURCHASE_IN = "02"
    RETURN_IN = "03"
    TRANSFER_IN = "04"
    PRODUCED_IN = "05"
    ADJUSTMENT_IN = "06"
    SALE_OUT = "11"
    RETURN_OUT = "12"
    TRANSFER_OUT = "13"
    CONSUMED_OUT = "14"
    DISCARDED_OUT = "15"
    ADJUSTMENT_OUT = "16"

    @property
    def is_in(self) -> bool:
        return self.value[0] == "0"


class ImportStatus(_Worded):
    """Class 26."""

    UNSENT = "1"
    WAITING = "2"
    APPROVED = "3"
    CANCELLED = "4"


class Registration(_Worded):
    """Class 31: taken from a list that KRA supplied, or typed in."""

    FROM_LIST = "A"
    MANUAL = "M"


class ShippedCode(msgspec.Struct, frozen=True):
    """One code of a shipped table; `rate` in percent for class 04, `fits_item_code` for the unit classes 10 and 17."""

    code: str
    name: str
    meaning: str = ""
    rate: int | None = None
    fits_item_code: bool = True


def code_class(number: str) -> Mapping[str, ShippedCode]:
    """The shipped codes of a class such as "17", by code. Raises KeyError for a class that is not shipped."""
    return _tables()[number]


def shipped_classes() -> list[str]:
    """The numbers of the classes that are shipped."""
    return sorted(_tables())


def is_code(number: str, code: str) -> bool:
    """Whether a class lists the code. A class that is not shipped lists none."""
    return code in _tables().get(number, ())


@cache
def _tables() -> dict[str, Mapping[str, ShippedCode]]:
    raw: dict[str, Any] = msgspec.json.decode((_DATA / "codes.json").read_bytes())
    return {
        number: MappingProxyType(
            {code.code: code for code in msgspec.convert(table["codes"], list[ShippedCode], strict=True)}
        )
        for number, table in raw["classes"].items()
    }


# Percent. Used until class 04 has been fetched: KRA's own list is the authority, and sandboxes differ on E.
DEFAULT_RATES: Mapping[TaxClass, Decimal] = MappingProxyType(
    {letter: Decimal(code_class("04")[letter].rate or 0).quantize(Decimal("0.01")) for letter in TaxClass}
)
