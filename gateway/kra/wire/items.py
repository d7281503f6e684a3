"""Items on the wire (OSCU specification v2.0 §3.3.3, VSCU §3.3.4)."""

from decimal import Decimal
from typing import Any

from gateway.kra.documents import Credentials, ItemDocument, RegisteredItem
from gateway.kra.profiles import Profile
from gateway.kra.wire.fields import (
    amount,
    code,
    cut,
    encode,
    flag,
    operator,
    optional_code,
    optional_cut,
    quantity,
    records,
    required_text,
    text,
    yes_no,
)
from gateway.lib.money import ZERO

_SERIAL_DIGITS = 7
_HEAD = b'{"itemCd":"'


def item_code(document: ItemDocument, serial: int, profile: Profile) -> str:
    """Country, product type, packaging unit, quantity unit, serial: `KE2NTTU0000012`.

    Raises ValueError when the serial has more than 7 digits or the code more than 20 characters. Units of one or three
    letters are padded as the profile says; two-letter units are the safe choice everywhere.
    """
    if not 0 < serial < 10**_SERIAL_DIGITS:
        raise ValueError("an item serial is between 1 and 9999999")
    return code(f"{_prefix(document, profile)}{serial:0{_SERIAL_DIGITS}}", 20, "item_code")


def item_body(document: ItemDocument, credentials: Credentials, profile: Profile) -> bytes:
    """Everything of an item but the serial of its code, which is the first key; complete when the code is known.

    Over-long names are cut, codes never. Raises ValueError for a code that is too long or a missing name.
    """
    group_prices = (*document.group_prices, *[ZERO] * 5)[:5]
    fields: dict[str, Any] = {
        "itemCd": code(document.code, 20, "code") if document.code else _prefix(document, profile),
        "tin": credentials.pin,
        "bhfId": credentials.branch,
        "itemClsCd": code(document.item_class, 10, "item_class"),
        "itemTyCd": document.product_type,
        "itemNm": cut(document.name, 200, "name"),
        "itemStdNm": optional_cut(document.standard_name, 200),
        "orgnNatCd": code(document.country, 5, "country"),
        "pkgUnitCd": code(document.packaging_unit, 5, "packaging_unit"),
        "qtyUnitCd": code(document.quantity_unit, 5, "quantity_unit"),
        "taxTyCd": document.tax_class,
        "btchNo": optional_code(document.batch_number, 10, "batch_number"),
        "bcd": optional_code(document.barcode, 20, "barcode"),
        "dftPrc": document.default_price,
        **{f"grpPrcL{level}": price for level, price in enumerate(group_prices, 1)},
        "addInfo": optional_cut(document.additional_info, 7),
        "sftyQty": quantity(document.safety_quantity or ZERO, profile.quantity_decimals),
        "isrcAplcbYn": yes_no(document.insurance_applies),
        "useYn": yes_no(document.in_use),
        **operator(document.operator_id, document.operator_name),
    }
    return encode(fields)


def item_with_number(body: bytes, serial: int) -> bytes:
    """The stored body with the 7-digit serial at the end of its item code."""
    if not 0 < serial < 10**_SERIAL_DIGITS:
        raise ValueError("an item serial is between 1 and 9999999")
    end = body.index(b'"', len(_HEAD))
    return b"%s%07d%s" % (body[:end], serial, body[end:])


def component_body(
    item_code: str,
    component_code: str,
    amount_used: Decimal,
    credentials: Credentials,
    profile: Profile,
    operator_id: str,
    operator_name: str,
) -> bytes:
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "itemCd": code(item_code, 20, "item_code"),
            "cpstItemCd": code(component_code, 20, "component_code"),
            "cpstQty": quantity(amount_used, profile.quantity_decimals),
            **operator(operator_id, operator_name),
        }
    )


def read_items(data: Any) -> list[RegisteredItem]:
    """The items of a list answer."""
    return [
        RegisteredItem(
            code=required_text(record, "itemCd"),
            item_class=text(record, "itemClsCd", "itemClCd"),
            product_type=text(record, "itemTyCd"),
            name=text(record, "itemNm"),
            standard_name=text(record, "itemStdNm"),
            country=text(record, "orgnNatCd"),
            packaging_unit=text(record, "pkgUnitCd"),
            quantity_unit=text(record, "qtyUnitCd"),
            tax_class=text(record, "taxTyCd"),
            batch_number=text(record, "btchNo"),
            barcode=text(record, "bcd"),
            registering_branch=text(record, "regBhfId"),
            default_price=amount(record, "dftPrc"),
            insurance_applies=flag(record, "isrcAplcbYn"),
            modified_by_authority=flag(record, "rraModYn", "KRAModYn"),
            in_use=flag(record, "useYn"),
        )
        for record in records(data, "itemList")
    ]


def _prefix(document: ItemDocument, profile: Profile) -> str:
    units = "".join(_padded(unit, profile) for unit in (document.packaging_unit, document.quantity_unit))
    return f"{document.country}{document.product_type}{units}"


def _padded(unit: str, profile: Profile) -> str:
    return profile.unit_padding + unit if len(unit) % 2 else unit
