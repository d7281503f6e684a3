"""Receipts and slips as one self-contained page: for a phone first, printed on 80 mm paper or on A4.

The page loads nothing: its style and the QR code stand inside it, and `CONTENT_SECURITY_POLICY` allows no more.
"""

import base64
import hashlib
from pathlib import Path

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from gateway.sales.receipts import qr
from gateway.sales.receipts.document import (
    CREDIT_NOTE_SENTENCE,
    NOT_OFFICIAL,
    Line,
    ReceiptDocument,
    amount,
    plain,
)
from gateway.sales.receipts.labels import ReceiptType
from gateway.sales.receipts.logos import NO_LOGOS, Logos

_STYLE = (Path(__file__).parent.parent / "templates" / "sales" / "receipt.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def receipt_html(
    document: ReceiptDocument, *, logos: Logos = NO_LOGOS, is_view: bool = False, pdf_action: str = ""
) -> str:
    """The page of a receipt or a slip.

    `is_view`: it is only looked at, and no original goes out with it, so on paper it says that it is a copy.
    `pdf_action` is where its button asks for the PDF file; without one there is no button.
    """
    only_in_print = is_view and document.type is ReceiptType.NORMAL and not document.is_slip
    notice = ReceiptType.COPY.value if only_in_print else document.notice
    context = {
        "document": document,
        "words": document.words,
        "style": mark_safe(_STYLE),
        "notice": notice,
        "official_notice": NOT_OFFICIAL if notice else "",
        "only_in_print": "in-print" if only_in_print else "",
        "watermark": _watermark(document, notice),
        "place": [part for part in (document.seller.address, document.seller.city) if part],
        "lines": [_line(line, document) for line in document.lines],
        "total": amount(document.total),
    }
    if document.is_slip:
        return render_to_string("sales/slip.html", context)
    context |= {
        "kra_logo": data_address(logos.kra),
        "company_logo": data_address(logos.company),
        "credit_note_sentence": CREDIT_NOTE_SENTENCE,
        "payments": [(payment.means, amount(payment.amount)) for payment in document.payments],
        "tax_table": [(row.rate, amount(row.taxable), amount(row.tax)) for row in document.tax_table],
        "unit": document.control_unit,
        "coded": {document.control_unit.internal_data, document.control_unit.signature}
        if document.control_unit
        else (),
        "qr": mark_safe(qr.svg(document.qr_content, document.words.qr_code)) if document.qr_content else "",
        "pdf_action": pdf_action,
    }
    return render_to_string("sales/receipt.html", context)


def missing_html() -> str:
    """The page for a link that opens nothing."""
    return render_to_string("sales/missing.html", {"style": mark_safe(_STYLE)})


def data_address(picture: bytes) -> str:
    """A PNG or JPEG file as an address that stands inside the page; empty without a picture."""
    if not picture:
        return ""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _watermark(document: ReceiptDocument, notice: str) -> list[str]:
    """Rows of words for the background, more than the page is long; what is below its end does not show."""
    rows = ["   ".join([text] * 5) for text in (*filter(None, [notice]), *document.marks)]
    return rows * (20 + len(document.lines))


def _line(line: Line, document: ReceiptDocument) -> dict[str, str]:
    reduction = document.reduction(line) or ("", "")
    percent_beside = document.is_credit_note and reduction[0]
    return {
        "description": line.description,
        "kind": document.words.service if line.is_service else document.words.goods,
        "unit_price": amount(line.unit_price),
        "quantity": plain(line.quantity),
        "amount": amount(line.amount),
        "designation": line.designation,
        "reduction": " ".join(reduction) if percent_beside else reduction[0],
        "discount": "" if percent_beside else reduction[1],
    }
