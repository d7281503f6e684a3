"""Stock movements and balances on the wire (OSCU and VSCU specifications v2.0 §3.3.8)."""

from decimal import Decimal
from typing import Any

from gateway.kra.documents import Credentials
from gateway.kra.profiles import Profile
from gateway.kra.stock_documents import ListedLine, StockDocument, StockLine, Transfer
from gateway.kra.wire.fields import (
    amount,
    code,
    cut,
    decimal,
    encode,
    integer,
    lines_of,
    operator,
    optional_code,
    optional_cut,
    optional_integer,
    quantity,
    records,
    text,
)
from gateway.lib.clock import to_date8
from gateway.lib.money import ZERO


def stock_body(document: StockDocument, credentials: Credentials, profile: Profile) -> bytes:
    """Everything of a movement but its number. ValueError for a code too long, a missing name, no line."""
    if not document.lines:
        raise ValueError("a stock movement has at least one line")
    rows = [line.figures for line in document.lines]
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "orgSarNo": document.original_number,
            "regTyCd": document.registration,
            "custTin": optional_code(document.counterparty_pin, 11, "counterparty_pin"),
            "custNm": optional_cut(document.counterparty_name, 100),
            "custBhfId": optional_code(document.counterparty_branch, 2, "counterparty_branch"),
            "sarTyCd": document.reason,
            "ocrnDt": to_date8(document.occurred_on),
            "totItemCnt": len(rows),
            "totTaxblAmt": sum((row.taxable for row in rows), ZERO),
            "totTaxAmt": sum((row.tax for row in rows), ZERO),
            "totAmt": sum((row.total for row in rows), ZERO),
            "remark": optional_cut(document.remark, 400),
            **operator(document.operator_id, document.operator_name),
            "itemList": [_line(line, place, profile) for place, line in enumerate(document.lines, 1)],
        }
    )


def with_stock_number(body: bytes, number: int) -> bytes:
    """The stored body with the number of the movement as its first key."""
    return b'{"sarNo":%d,' % number + body[1:]


def balance_body(
    item_code: str, remaining: Decimal, credentials: Credentials, profile: Profile, operator_id: str, operator_name: str
) -> bytes:
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "itemCd": code(item_code, 20, "item_code"),
            "rsdQty": quantity(remaining, profile.quantity_decimals),
            **operator(operator_id, operator_name),
        }
    )


def read_transfers(data: Any) -> list[Transfer]:
    return [
        Transfer(
            sender_pin=text(record, "custTin"),
            sender_branch=text(record, "custBhfId"),
            number=integer(record, "sarNo"),
            occurred_on=text(record, "ocrnDt"),
            line_count=optional_integer(record, "totItemCnt") or 0,
            total_taxable=amount(record, "totTaxblAmt"),
            total_tax=amount(record, "totTaxAmt"),
            total=amount(record, "totAmt"),
            remark=text(record, "remark"),
            lines=[read_line(line) for line in lines_of(record)],
        )
        for record in records(data, "stockList")
    ]


def read_line(record: dict[str, Any]) -> ListedLine:
    """A line of any listed document, as received."""
    return ListedLine(
        number=optional_integer(record, "itemSeq") or 0,
        item_code=text(record, "itemCd"),
        item_class=text(record, "itemClsCd", "itemClCd"),
        name=text(record, "itemNm"),
        barcode=text(record, "bcd"),
        packaging_unit=text(record, "pkgUnitCd"),
        packages=decimal(record, "pkg"),
        quantity_unit=text(record, "qtyUnitCd"),
        quantity=decimal(record, "qty"),
        unit_price=amount(record, "prc"),
        supply=amount(record, "splyAmt"),
        discount_rate=decimal(record, "dcRt"),
        discount=amount(record, "dcAmt", "totDcAmt"),
        tax_class=text(record, "taxTyCd"),
        taxable=amount(record, "taxblAmt"),
        tax=amount(record, "taxAmt", "totTaxAmt"),
        total=amount(record, "totAmt"),
        expires_on=text(record, "itemExprDt"),
    )


def _line(line: StockLine, place: int, profile: Profile) -> dict[str, Any]:
    amounts = line.figures
    sent = quantity(line.quantity, profile.quantity_decimals)
    return {
        "itemSeq": place,
        "itemCd": code(line.item_code, 20, "item_code"),
        "itemClsCd": code(line.item_class, 10, "item_class"),
        "itemNm": cut(line.name, 200, "name"),
        "bcd": optional_code(line.barcode, 20, "barcode"),
        "pkgUnitCd": code(line.packaging_unit, 5, "packaging_unit"),
        "pkg": sent if profile.stock_package_rule == "quantity" else 1,
        "qtyUnitCd": code(line.quantity_unit, 5, "quantity_unit"),
        "qty": sent,
        "itemExprDt": to_date8(line.expires_on) if line.expires_on else None,
        "prc": amounts.unit_price,
        "splyAmt": amounts.supply,
        "totDcAmt": amounts.discount,
        "taxblAmt": amounts.taxable,
        "taxTyCd": line.tax_class,
        "taxAmt": amounts.tax,
        "totAmt": amounts.total,
    }
