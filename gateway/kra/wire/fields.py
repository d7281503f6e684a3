"""How single values travel: reading leniently what KRA sends, writing strictly what KRA accepts.

Widths: OSCU and VSCU specifications v2.0 §3.3. Reading takes a number as text, trims blanks, and treats null as absent.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

import msgspec

from gateway.lib.clock import from_stamp

_CONTEXT = Context(prec=60, rounding=ROUND_HALF_UP)
_CENT = Decimal("0.01")
_MOST_DIGITS = 18  # the specifications allow 38, no database column and no real number has them
_STEPS = {places: Decimal(1).scaleb(-places) for places in range(5)}

encode = msgspec.json.Encoder(decimal_format="number").encode


class Unreadable(ValueError):
    """KRA said success, but what must be there is missing or makes no sense. Says which field, never its value."""


def text(record: dict[str, Any], *names: str) -> str:
    """The first of these that has a value, as text without blanks around it; "" if none has."""
    for name in names:
        value = record.get(name)
        if value is not None and (trimmed := str(value).strip()):
            return trimmed
    return ""


def required_text(record: dict[str, Any], *names: str) -> str:
    if found := text(record, *names):
        return found
    raise Unreadable(f"{names[0]} is missing")


def decimal(record: dict[str, Any], *names: str) -> Decimal:
    """The number as KRA gave it, not rounded; 0 if absent."""
    found = text(record, *names)
    if not found:
        return Decimal(0)
    try:
        number = Decimal(found)
    except InvalidOperation:
        raise Unreadable(f"{names[0]} is not a number") from None
    if not number.is_finite() or number.adjusted() >= _MOST_DIGITS:
        raise Unreadable(f"{names[0]} is not a number")
    return number


def amount(record: dict[str, Any], *names: str) -> Decimal:
    """An amount as given, shown with at least two decimals; more are kept, for amounts are stored as received."""
    number = decimal(record, *names)
    exponent = number.as_tuple().exponent
    return _CONTEXT.quantize(number, _CENT) if isinstance(exponent, int) and exponent > -2 else number


def integer(record: dict[str, Any], *names: str) -> int:
    number = optional_integer(record, *names)
    if number is None:
        raise Unreadable(f"{names[0]} is missing")
    return number


def optional_integer(record: dict[str, Any], *names: str) -> int | None:
    if not text(record, *names):
        return None
    number = decimal(record, *names)
    if number != number.to_integral_value():
        raise Unreadable(f"{names[0]} is not a whole number")
    return int(number)


def moment(record: dict[str, Any], *names: str) -> datetime:
    """An aware moment in UTC from any of KRA's time forms."""
    try:
        return from_stamp(required_text(record, *names))
    except ValueError as error:
        raise error if isinstance(error, Unreadable) else Unreadable(f"{names[0]} is not a time") from None


def optional_moment(record: dict[str, Any], *names: str) -> datetime | None:
    return moment(record, *names) if text(record, *names) else None


def flag(record: dict[str, Any], *names: str) -> bool:
    return text(record, *names).upper() == "Y"


def records(data: Any, name: str) -> list[dict[str, Any]]:
    """The named list of an answer. Raises Unreadable if it is not there: absence is 001, never a missing list."""
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise Unreadable(f"{name} is missing")
    return found


def lines_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    return records(record, "itemList") if record.get("itemList") is not None else []


def code(value: str, width: int, name: str) -> str:
    """A code as it is. Raises ValueError when it is empty or too long: a cut code is another code."""
    if not 0 < len(value) <= width:
        raise ValueError(f"{name} must have 1 to {width} characters")
    return value


def optional_code(value: str | None, width: int, name: str) -> str | None:
    return code(value, width, name) if value else None


def cut(value: str, width: int, name: str) -> str:
    """A free text, cut to what KRA keeps. Raises ValueError when nothing is left."""
    if trimmed := value.strip()[:width].rstrip():
        return trimmed
    raise ValueError(f"{name} must not be empty")


def optional_cut(value: str | None, width: int) -> str | None:
    return (value.strip()[:width].rstrip() or None) if value else None


def quantity(value: Decimal, places: int = 2) -> Decimal:
    """A quantity with the decimals the wire carries, half up; `tax.figures` has refused what this would change."""
    return _CONTEXT.quantize(value, _STEPS[places])


def operator(user_id: str, name: str) -> dict[str, str]:
    """Who made and who last changed a record: KRA wants all four fields, and for us they are one."""
    user_id, name = code(user_id, 20, "operator_id"), cut(name, 60, "operator_name")
    return {"regrId": user_id, "regrNm": name, "modrId": user_id, "modrNm": name}


def yes_no(value: bool) -> str:
    return "Y" if value else "N"


def our_path(names: Iterable[str]) -> str | None:
    """A path of wire names in our words, joined by dots; None for no names. An unknown name stays as KRA wrote it."""
    return ".".join(_OUR_WORDS.get(name, name) for name in names) or None


_OUR_WORDS = {
    "tin": "pin",
    "bhfId": "branch",
    "dvcSrlNo": "device_serial",
    "lastReqDt": "changed_since",
    "trdInvcNo": "reference",
    "invcNo": "number",
    "orgInvcNo": "original_number",
    "custTin": "buyer_pin",
    "custNm": "buyer_name",
    "custMblNo": "buyer_phone",
    "custBhfId": "counterparty_branch",
    "salesTyCd": "transaction_type",
    "rcptTyCd": "kind",
    "pmtTyCd": "payment_method",
    "salesSttsCd": "sale_status",
    "cfmDt": "issued_at",
    "salesDt": "sale_date",
    "stockRlsDt": "stock_released_at",
    "rfdDt": "credited_at",
    "rfdRsnCd": "reason",
    "totItemCnt": "line_count",
    "totTaxblAmt": "total_taxable",
    "totTaxAmt": "total_tax",
    "totAmt": "total",
    "taxRt": "rates",
    "remark": "remark",
    "regrId": "operator_id",
    "regrNm": "operator_name",
    "modrId": "operator_id",
    "modrNm": "operator_name",
    "receipt": "receipt",
    "rptNo": "report_number",
    "trdeNm": "trade_name",
    "adrs": "address",
    "topMsg": "top_message",
    "btmMsg": "bottom_message",
    "itemList": "lines",
    "itemSeq": "line_number",
    "itemCd": "item_code",
    "itemClsCd": "item_class",
    "itemNm": "name",
    "itemStdNm": "standard_name",
    "itemTyCd": "product_type",
    "orgnNatCd": "country",
    "bcd": "barcode",
    "btchNo": "batch_number",
    "pkgUnitCd": "packaging_unit",
    "pkg": "package_count",
    "qtyUnitCd": "quantity_unit",
    "qty": "quantity",
    "prc": "unit_price",
    "dftPrc": "default_price",
    "splyAmt": "supply",
    "dcRt": "discount_rate",
    "dcAmt": "discount",
    "taxTyCd": "tax_class",
    "taxblAmt": "taxable",
    "taxAmt": "tax",
    "sarNo": "number",
    "orgSarNo": "original_number",
    "sarTyCd": "reason",
    "rsdQty": "remaining_quantity",
    "spplrTin": "supplier_pin",
    "spplrNm": "supplier_name",
    "spplrInvcNo": "supplier_invoice_number",
    "cpstItemCd": "component_item_code",
    "cpstQty": "component_quantity",
}
_OUR_WORDS |= {
    f"{wire}{letter}": f"{ours}.{letter}"
    for letter in "ABCDE"
    for wire, ours in (("taxblAmt", "taxable"), ("taxAmt", "tax"), ("taxRt", "rates"))
}
