"""Sales and credit notes on the wire (OSCU and VSCU specifications v2.0 §3.3.6.1; look-ups as observed on OSCU)."""

from collections.abc import Mapping
from typing import Any

from gateway.kra.codes import TaxClass
from gateway.kra.documents import Credentials, FoundInvoice, FoundLine, SaleDocument, SaleLine, Signature
from gateway.kra.profiles import Flavour, Profile
from gateway.kra.wire.fields import (
    Unreadable,
    amount,
    code,
    cut,
    decimal,
    encode,
    integer,
    lines_of,
    moment,
    optional_code,
    optional_cut,
    optional_integer,
    quantity,
    records,
    required_text,
    text,
)
from gateway.lib.clock import to_stamp14

_A, _B, _C, _D, _E = TaxClass
_REMARK_WIDTH = 400
GAP = "~item-"  # so begins what stands for an item code that is not known yet
_GAP_IN_BODY = f'"itemCd":"{GAP}'
_FIRST_REPORT = b'"rptNo":1,'


def sale_body(document: SaleDocument, credentials: Credentials, profile: Profile) -> bytes:
    """Everything of a sale but its number, the same bytes for the same document.

    Over-long names and messages are cut, codes never. Raises ValueError for a code that is too long, a missing name, or
    a credit note that lacks its original, its reason or its date.
    """
    is_credit_note = document.kind == "credit_note"
    if is_credit_note and not (document.original_number and document.reason and document.credited_at):
        raise ValueError("a credit note needs original_number, reason and credited_at")
    amounts = document.figures
    taxable, tax, rates = amounts.taxable, amounts.tax, document.rates
    issued_at = to_stamp14(document.issued_at)
    buyer_pin = optional_code(document.buyer_pin or profile.walk_in_pin, 11, "buyer_pin")
    operator_id = code(document.operator_id, 20, "operator_id")
    operator_name = cut(document.operator_name, 60, "operator_name")
    receipt: dict[str, Any] = {"custTin": buyer_pin, "custMblNo": optional_cut(document.buyer_phone, 20)}
    if profile.flavour is Flavour.VSCU:
        receipt["rptNo"] = 1  # `with_number` says which
    else:
        receipt["rcptPbctDt"] = issued_at
    receipt["trdeNm"] = optional_cut(document.trade_name, 20)
    receipt["adrs"] = optional_cut(document.address, 200)
    receipt["topMsg"] = optional_cut(document.top_message, 20)
    receipt["btmMsg"] = optional_cut(document.bottom_message, 20)
    receipt["prchrAcptcYn"] = "N"
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "trdInvcNo": code(document.reference, 50, "reference"),
            "orgInvcNo": document.original_number if is_credit_note else 0,
            "custTin": buyer_pin,
            "custNm": optional_cut(document.buyer_name, 60) or profile.walk_in_name,
            "salesTyCd": "N",
            "rcptTyCd": "R" if is_credit_note else "S",
            "pmtTyCd": document.payment_method,
            "salesSttsCd": "02",
            "cfmDt": issued_at,
            "salesDt": issued_at[:8],
            "stockRlsDt": issued_at,
            "cnclReqDt": None,
            "cnclDt": None,
            "rfdDt": to_stamp14(document.credited_at) if is_credit_note and document.credited_at else None,
            "rfdRsnCd": document.reason if is_credit_note else None,
            "totItemCnt": len(document.lines),
            "taxblAmtA": taxable[_A],
            "taxblAmtB": taxable[_B],
            "taxblAmtC": taxable[_C],
            "taxblAmtD": taxable[_D],
            "taxblAmtE": taxable[_E],
            "taxRtA": rates[_A],
            "taxRtB": rates[_B],
            "taxRtC": rates[_C],
            "taxRtD": rates[_D],
            "taxRtE": rates[_E],
            "taxAmtA": tax[_A],
            "taxAmtB": tax[_B],
            "taxAmtC": tax[_C],
            "taxAmtD": tax[_D],
            "taxAmtE": tax[_E],
            "totTaxblAmt": amounts.total_taxable,
            "totTaxAmt": amounts.total_tax,
            "totAmt": amounts.total,
            "prchrAcptcYn": "N",
            "remark": _remark(document),
            "regrId": operator_id,
            "regrNm": operator_name,
            "modrId": operator_id,
            "modrNm": operator_name,
            "receipt": receipt,
            "itemList": [_line(line, place, profile) for place, line in enumerate(document.lines, 1)],
        }
    )


def with_number(body: bytes, number: int, *, report: int = 1) -> bytes:
    """The stored body with the invoice number as its first key: the one way a number gets into a document.

    `report` is the number of the Z report that it belongs to, for a VSCU; other bodies have no place for it. A quote
    within a text is escaped, so the key is found only where it is one.
    """
    if report != 1:
        body = body.replace(_FIRST_REPORT, b'"rptNo":%d,' % report, 1)
    return b'{"invcNo":%d,' % number + body[1:]


def gap(place: int) -> str:
    """What stands for the item code of a line whose item has none yet. KRA's codes begin with letters."""
    return f"{GAP}{place}~"


def has_gaps(body: str) -> bool:
    """Whether item codes are missing in a stored body, which then may not be sent."""
    return _GAP_IN_BODY in body


def with_item_codes(body: str, codes: Mapping[str, str]) -> str:
    """The stored body with item codes in the place of its gaps. In a text a quotation mark is escaped: none is hit."""
    for place, item_code in codes.items():
        body = body.replace(f'"itemCd":"{place}"', f'"itemCd":"{code(item_code, 20, "item_code")}"')
    return body


def read_signature(data: Any) -> Signature:
    """What the control unit gave. Raises Unreadable when a part is missing: then no receipt may be printed."""
    if not isinstance(data, dict):
        raise Unreadable("data is missing")
    return Signature(
        receipt_number=integer(data, "curRcptNo", "rcptNo"),
        total_receipt_number=integer(data, "totRcptNo"),
        internal_data=required_text(data, "intrlData"),
        signature=required_text(data, "rcptSign"),
        signed_at=moment(data, "sdcDateTime", "vsdcRcptPbctDate", "VSCURcptPbctDate"),
        control_unit_id=text(data, "sdcId") or None,
        machine_code=text(data, "mrcNo") or None,
    )


def read_invoices(data: Any) -> list[FoundInvoice]:
    """The sales and credit notes of a look-up. Raises Unreadable when the list or what identifies one is missing."""
    return [_found(record) for record in records(data, "salesList")]


def _line(line: SaleLine, place: int, profile: Profile) -> dict[str, Any]:
    amounts = line.figures
    sent = quantity(line.quantity, profile.quantity_decimals)
    return {
        "itemSeq": place,
        "itemCd": code(line.item_code, 20, "item_code"),
        "itemClsCd": code(line.item_class, 10, "item_class"),
        "itemNm": cut(line.name, 200, "name"),
        "bcd": optional_code(line.barcode, 20, "barcode"),
        "pkgUnitCd": code(line.packaging_unit, 5, "packaging_unit"),
        "pkg": 1 if profile.package_rule == "one" else sent,
        "qtyUnitCd": code(line.quantity_unit, 5, "quantity_unit"),
        "qty": sent,
        "prc": amounts.unit_price,
        "splyAmt": amounts.supply,
        "dcRt": amounts.discount_rate,
        "dcAmt": amounts.discount,
        "isrccCd": None,
        "isrccNm": None,
        "isrcRt": None,
        "isrcAmt": None,
        "taxTyCd": line.tax_class,
        "taxblAmt": amounts.taxable,
        "taxAmt": amounts.tax,
        "totAmt": amounts.total,
    }


def _remark(document: SaleDocument) -> str | None:
    tag = document.tag
    if not tag:
        return optional_cut(document.remark, _REMARK_WIDTH)
    if len(tag) > 40 or " " in tag:
        raise ValueError("a tag has up to 40 characters and no blanks")
    words = optional_cut(document.remark, _REMARK_WIDTH - len(tag) - 1)
    return f"{words} {tag}" if words else tag


def _found(record: dict[str, Any]) -> FoundInvoice:
    receipt = record.get("receipt")
    return FoundInvoice(
        number=integer(record, "invcNo"),
        kind="credit_note" if required_text(record, "rcptTyCd") == "R" else "sale",
        original_number=optional_integer(record, "orgInvcNo") or None,
        buyer_pin=text(record, "custTin"),
        buyer_name=text(record, "custNm"),
        confirmed_at=moment(record, "cfmDt"),
        total=amount(record, "totAmt"),
        total_tax=amount(record, "totTaxAmt"),
        line_count=integer(record, "totItemCnt"),
        lines=[
            FoundLine(text(line, "itemCd"), decimal(line, "qty"), amount(line, "prc"), amount(line, "totAmt"))
            for line in lines_of(record)
        ],
        remark=text(record, "remark"),
        signature=read_signature(receipt),
    )
