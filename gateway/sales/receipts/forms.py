"""The forms in which a document is handed out: which papers each knows, and how it is drawn in one."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.sales.receipts.document import ReceiptDocument
from gateway.sales.receipts.html import receipt_html
from gateway.sales.receipts.languages import Language
from gateway.sales.receipts.logos import NO_LOGOS, Logos
from gateway.sales.receipts.text import DEFAULT_WIDTH, LEAST_WIDTH, receipt_text

# The papers of each form, the usual one first
PAPERS: Mapping[str, tuple[str, ...]] = {
    "pdf": ("a4", "80mm"),
    "escpos": ("80mm", "58mm"),
    "html": (),
    "text": ("80mm", "58mm"),
    "json": (),
}
CONTENT_TYPES = {
    "pdf": "application/pdf",
    "escpos": "application/octet-stream",
    "html": "text/html; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}
FILE_ENDINGS = {"pdf": "pdf", "escpos": "bin", "html": "html", "text": "txt"}


class NoSuchPaper(Exception):
    """The form does not come on that paper; the text says which there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a document is wanted. `width` is that of text, in letters; 0 follows from the paper."""

    format: str = "pdf"
    paper: str = ""
    language: Language = Language.ENGLISH
    opens_drawer: bool = False
    width: int = 0
    with_qr: bool = False


def form(format: str, paper: str | None = None, **more: Any) -> Form:
    """A form on the named paper, or on the usual one of its format. Raises NoSuchPaper."""
    papers = PAPERS[format]
    if paper and paper not in papers:
        has = f"comes on {' or '.join(papers)}" if papers else "has no paper"
        raise NoSuchPaper(f"{format} {has}.")
    return Form(format=format, paper=paper or (papers[0] if papers else ""), **more)


def drawn(document: ReceiptDocument, wanted: Form, logos: Logos = NO_LOGOS) -> bytes:
    """The document in a form, ready to be sent, printed or kept."""
    match wanted.format:
        case "html":
            return receipt_html(document, logos=logos).encode()
        case "text":
            width = wanted.width or (LEAST_WIDTH if wanted.paper == "58mm" else DEFAULT_WIDTH)
            return receipt_text(document, width=width, with_qr=wanted.with_qr).encode()
        case "escpos":
            from gateway.sales.receipts.escpos import receipt_escpos  # Pillow: who prints nothing need not have it

            return receipt_escpos(document, paper=wanted.paper, logos=logos, opens_drawer=wanted.opens_drawer)
    from gateway.sales.receipts.pdf import receipt_pdf  # reportlab costs 0.4 s and 20 MB, which a till can do without

    title = f"{document.title} {document.control_unit.invoice_number if document.control_unit else ''}".strip()
    return receipt_pdf([document], paper=wanted.paper, title=title, logos=logos)


def as_data(document: ReceiptDocument) -> dict[str, Any]:
    """The document as plain data: amounts as text with two decimals, times with Nairobi's offset."""
    data: dict[str, Any] = _data(document)
    return {**data, "notice": document.notice, "official_notice": document.official_notice, "is_slip": document.is_slip}


def _data(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_data(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: _data(getattr(value, one.name)) for one in fields_of(value)}
    return value
