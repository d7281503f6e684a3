"""Purchases and imports on the wire (OSCU and VSCU specifications v2.0 §3.3.5, §3.3.7)."""

from typing import Any

from gateway.kra.codes import TaxClass
from gateway.kra.documents import Credentials
from gateway.kra.profiles import Profile
from gateway.kra.stock_documents import ImportDecision, ImportedItem, PurchaseDocument, PurchaseLine, SupplierSale
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
    optional_moment,
    quantity,
    records,
    required_text,
    text,
)
from gateway.kra.wire.stock import read_line
from gateway.lib.clock import to_date8, to_stamp14


def purchase_body(document: PurchaseDocument, credentials: Credentials, profile: Profile) -> bytes:
    """Everything of a purchase but its number. ValueError for a code too long, a missing name, no line."""
    if not document.lines:
        raise ValueError("a purchase has at least one line")
    amounts = document.figures
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "spplrTin": optional_code(document.supplier_pin, 11, "supplier_pin"),
            "orgInvcNo": document.original_number,
            "spplrBhfId": optional_code(document.supplier_branch, 2, "supplier_branch"),
            "spplrNm": optional_cut(document.supplier_name, 60),
            "spplrInvcNo": document.supplier_invoice_number,
            "spplrSdcId": optional_code(document.supplier_control_unit_id, 18, "supplier_control_unit_id"),
            "regTyCd": document.registration,
            "pchsTyCd": "N",
            "rcptTyCd": document.receipt_type,
            "pmtTyCd": document.payment_method,
            "pchsSttsCd": "02",
            "cfmDt": to_stamp14(document.confirmed_at),
            "pchsDt": to_date8(document.purchased_on),
            "wrhsDt": to_stamp14(document.warehoused_at) if document.warehoused_at else None,
            "cnclReqDt": None,
            "cnclDt": None,
            "rfdDt": to_stamp14(document.credited_at) if document.credited_at else None,
            "totItemCnt": len(document.lines),
            **{f"taxblAmt{letter}": amounts.taxable[letter] for letter in TaxClass},
            **{f"taxRt{letter}": document.rates[letter] for letter in TaxClass},
            **{f"taxAmt{letter}": amounts.tax[letter] for letter in TaxClass},
            "totTaxblAmt": amounts.total_taxable,
            "totTaxAmt": amounts.total_tax,
            "totAmt": amounts.total,
            "remark": optional_cut(document.remark, 400),
            **operator(document.operator_id, document.operator_name),
            "itemList": [_line(line, place, profile) for place, line in enumerate(document.lines, 1)],
        }
    )


def read_supplier_sales(data: Any) -> list[SupplierSale]:
    return [
        SupplierSale(
            supplier_pin=required_text(record, "spplrTin"),
            supplier_name=text(record, "spplrNm"),
            supplier_branch=text(record, "spplrBhfId"),
            supplier_invoice_number=integer(record, "spplrInvcNo"),
            supplier_control_unit_id=text(record, "spplrSdcId"),
            supplier_machine_code=text(record, "spplrMrcNo"),
            receipt_type=text(record, "rcptTyCd"),
            payment_method=text(record, "pmtTyCd"),
            confirmed_at=optional_moment(record, "cfmDt"),
            sale_date=text(record, "salesDt"),
            stock_released_at=optional_moment(record, "stockRlsDt"),
            line_count=optional_integer(record, "totItemCnt") or 0,
            taxable={letter: amount(record, f"taxblAmt{letter}") for letter in TaxClass},
            rates={letter: decimal(record, f"taxRt{letter}") for letter in TaxClass},
            tax={letter: amount(record, f"taxAmt{letter}") for letter in TaxClass},
            total_taxable=amount(record, "totTaxblAmt"),
            total_tax=amount(record, "totTaxAmt"),
            total=amount(record, "totAmt"),
            remark=text(record, "remark"),
            lines=[read_line(line) for line in lines_of(record)],
        )
        for record in records(data, "saleList")
    ]


def read_imports(data: Any) -> list[ImportedItem]:
    return [
        ImportedItem(
            task_code=required_text(record, "taskCd"),
            declaration_date=text(record, "dclDe"),
            line_number=integer(record, "itemSeq"),
            declaration_number=text(record, "dclNo"),
            hs_code=text(record, "hsCd"),
            name=text(record, "itemNm"),
            status=text(record, "imptItemsttsCd", "imptItemSttsCd"),
            origin_country=text(record, "orgnNatCd"),
            export_country=text(record, "exptNatCd"),
            packages=decimal(record, "pkg"),
            packaging_unit=text(record, "pkgUnitCd"),
            quantity=decimal(record, "qty"),
            quantity_unit=text(record, "qtyUnitCd"),
            gross_weight=decimal(record, "totWt"),
            net_weight=decimal(record, "netWt"),
            supplier_name=text(record, "spplrNm"),
            agent_name=text(record, "agntNm"),
            foreign_amount=amount(record, "invcFcurAmt"),
            currency=text(record, "invcFcurCd"),
            exchange_rate=decimal(record, "invcFcurExcrt"),
        )
        for record in records(data, "itemList")
    ]


def import_body(decision: ImportDecision, credentials: Credentials) -> bytes:
    """The decision on an imported line; KRA's sandbox wants a remark, so one is always sent."""
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "taskCd": code(decision.task_code, 50, "task_code"),
            "dclDe": code(decision.declaration_date, 8, "declaration_date"),
            "itemSeq": decision.line_number,
            "hsCd": code(decision.hs_code, 17, "hs_code"),
            "itemClsCd": code(decision.item_class, 10, "item_class"),
            "itemCd": code(decision.item_code, 20, "item_code"),
            "imptItemSttsCd": decision.status,
            "remark": cut(decision.remark.strip() or decision.status.word, 400, "remark"),
            "modrId": code(decision.operator_id, 20, "operator_id"),
            "modrNm": cut(decision.operator_name, 60, "operator_name"),
        }
    )


def _line(line: PurchaseLine, place: int, profile: Profile) -> dict[str, Any]:
    amounts = line.figures
    return {
        "itemSeq": place,
        "itemCd": code(line.item_code, 20, "item_code"),
        "itemClsCd": code(line.item_class, 10, "item_class"),
        "itemNm": cut(line.name, 200, "name"),
        "bcd": optional_code(line.barcode, 20, "barcode"),
        "spplrItemClsCd": optional_code(line.supplier_item_class, 10, "supplier_item_class"),
        "spplrItemCd": optional_code(line.supplier_item_code, 20, "supplier_item_code"),
        "spplrItemNm": optional_cut(line.supplier_item_name, 200),
        "pkgUnitCd": code(line.packaging_unit, 5, "packaging_unit"),
        "pkg": quantity(line.packages, profile.quantity_decimals),
        "qtyUnitCd": code(line.quantity_unit, 5, "quantity_unit"),
        "qty": quantity(line.quantity, profile.quantity_decimals),
        "prc": amounts.unit_price,
        "splyAmt": amounts.supply,
        "dcRt": amounts.discount_rate,
        "dcAmt": amounts.discount,
        "taxblAmt": amounts.taxable,
        "taxTyCd": line.tax_class,
        "taxAmt": amounts.tax,
        "totAmt": amounts.total,
        "itemExprDt": to_date8(line.expires_on) if line.expires_on else None,
    }
