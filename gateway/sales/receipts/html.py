"""Receipts and slips as one self-contained page: for a phone first, printed on 80 mm paper or on A4.

The page loads nothing: its style and the QR code stand inside it, and `CONTENT_SECURITY_POLICY` allows no more.
"""

import base64
import hashlib
from pathlib import Path

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from gateway.sales.receipts import qr
from gateway.sales.receipts.document import CREDIT_NOTE_SENTENCE, Line, ReceiptDocument, amount, plain

_STYLE = (Path(__file__).parent.parent / "templates" / "sales" / "receipt.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def receipt_html(document: ReceiptDocument) -> str:
    """The page of a receipt or a slip."""
    context = {
        "document": document,
        "style": mark_safe(_STYLE),
        "watermark": _watermark(document),
        "place": [part for part in (document.seller.address, document.seller.city) if part],
        "lines": [_line(line, document.is_credit_note) for line in document.lines],
        "total": amount(document.total),
    }
    if not document.control_unit:
        return render_to_string("sales/slip.html", context)
    context |= {
        "credit_note_sentence": CREDIT_NOTE_SENTENCE,
        "totals": _credit_totals(document) if document.is_credit_note else _totals(document),
        "payments": [(payment.means, amount(payment.amount)) for payment in document.payments],
        "tax_table": [(row.rate, amount(row.taxable), amount(row.tax)) for row in document.tax_table],
        "unit": document.control_unit,
        "qr": mark_safe(qr.svg(document.qr_content, "QR code of this invoice")) if document.qr_content else "",
    }
    return render_to_string("sales/receipt.html", context)


def missing_html() -> str:
    """The page for a link that opens nothing."""
    return render_to_string("sales/missing.html", {"style": mark_safe(_STYLE)})


def _watermark(document: ReceiptDocument) -> list[str]:
    """Rows of marks for the background, more than the page is long; what is below its end does not show."""
    rows = ["   ".join([mark] * 5) for mark in document.marks]
    return rows * (20 + len(document.lines))


def _line(line: Line, is_credit_note: bool) -> dict[str, str]:
    reduction = f"{'Price reduction' if is_credit_note else 'Discount'} -{plain(line.discount_percent)}%"
    return {
        "description": line.description,
        "kind": "service" if line.is_service else "goods",
        "unit_price": amount(line.unit_price),
        "quantity": plain(line.quantity),
        "amount": amount(line.amount),
        "designation": line.designation,
        "reduction": reduction if line.discount else "",
        "discount": "" if not line.discount or is_credit_note else f"({amount(line.discount)})",
    }


def _totals(document: ReceiptDocument) -> list[tuple[str, str]]:
    discount = amount(document.total_discount)
    return [
        ("TOTAL BEFORE DISCOUNT", amount(document.total_before_discount)),
        ("TOTAL DISCOUNT AWARDED", f"({discount})" if document.total_discount else discount),
        ("TOTAL EXEMPT", amount(document.total_exempt)),
        ("SUB TOTAL", amount(document.sub_total)),
        ("VAT", amount(document.vat)),
        ("TOTAL", amount(document.total)),
    ]


def _credit_totals(document: ReceiptDocument) -> list[tuple[str, str]]:
    rows = [("TOTAL", amount(document.total))]
    for letter in document.letter_totals:
        rows += [(f"TOTAL {letter.name}", amount(letter.total)), (f"TOTAL TAX {letter.letter}", amount(letter.tax))]
    return [*rows, ("TOTAL TAX", amount(document.vat))]
