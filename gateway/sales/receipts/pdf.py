"""Receipts and slips as PDF: on a roll of 80 mm, or on A4."""

import io
from collections.abc import Iterable, Sequence
from functools import lru_cache

from reportlab.lib.utils import ImageReader

from gateway.lib.paper import A4, ROLL_80, Column, Sheet, pdf
from gateway.sales.receipts import qr
from gateway.sales.receipts.document import (
    CREDIT_NOTE_SENTENCE,
    ReceiptDocument,
    amount,
    plain,
)
from gateway.sales.receipts.logos import NO_LOGOS, Logos
from gateway.sales.receipts.roll import (
    Centred,
    Code,
    Gap,
    Marks,
    Notice,
    Paragraph,
    Piece,
    Place,
    Row,
    Rule,
    TaxTable,
    pieces,
)

_CODE_SIDE = {"a4": 34.0, "80mm": 40.0}  # millimetres, quiet zone included: modules of 0.6 mm and more
_LINES = (Column(9), Column(2.2), Column(2.8, "right"), Column(2, "right"), Column(3.6, "right"))
_RATES = (Column(1), Column(1.4, "right"), Column(1.2, "right"))


def receipt_pdf(documents: Iterable[ReceiptDocument], *, paper: str, title: str, logos: Logos = NO_LOGOS) -> bytes:
    """A PDF file of documents, each on a page of its own; `paper` is "a4" or "80mm". The same every time."""
    draw = _a4 if paper == "a4" else _roll
    language = "en"
    if isinstance(documents, Sequence) and documents:
        language = documents[0].language.value
    return pdf((draw(document, logos) for document in documents), title=title, language=language)


# On a roll


def _roll(document: ReceiptDocument, logos: Logos) -> Sheet:
    sheet = Sheet(ROLL_80, watermark=_watermark(document))
    for piece in pieces(document):
        put(sheet, piece, logos)
    return sheet


def put(sheet: Sheet, piece: Piece, logos: Logos = NO_LOGOS) -> None:
    """Put one piece on a sheet."""
    size = sheet.paper.size
    match piece:
        case Place.KRA_LOGO:
            _logo(sheet, logos.kra, height=12, keeps_place=True)
        case Place.COMPANY_LOGO:
            _logo(sheet, logos.company, height=18, keeps_place=False)
        case Centred(text, strong):
            sheet.text(text, align="centre", bold=strong, size=size * 1.35 if strong else size)
        case Row(name, value, strong, indent):
            sheet.row(name, value, bold=strong, size=size * 1.1 if strong else size, indent=indent * 1.2)
        case Paragraph(text, small):
            sheet.text(text, size=size * 0.9 if small else size)
        case Rule():
            sheet.rule()
        case Gap():
            sheet.gap(1.5)
        case Marks(texts):
            sheet.gap(1)
            sheet.notice("\n".join(texts), size=size * 1.35)
            sheet.gap(1.5)
        case Notice(text):
            sheet.gap(1.5)
            sheet.notice(text, size=size * 2.25)
            sheet.gap(0.5)
        case TaxTable(heads, rows):
            sheet.cells(heads, _RATES, bold=True)
            for row in rows:
                sheet.cells((row.rate, amount(row.taxable), amount(row.tax)), _RATES)
        case Code(content, link, words):
            sheet.gap(1)
            sheet.code(qr.matrix(content), side=_CODE_SIDE["80mm"])
            if link:
                sheet.text(words, align="centre", size=size * 0.9)


def _logo(sheet: Sheet, content: bytes, *, height: float, keeps_place: bool) -> None:
    if content:
        sheet.picture(_image(content), width=sheet.width * 0.7, height=height)
        sheet.gap(2)
    elif keeps_place:
        sheet.gap(height)


# On A4


def _a4(document: ReceiptDocument, logos: Logos) -> Sheet:
    sheet = Sheet(A4, watermark=_watermark(document))
    if document.is_slip:
        for piece in pieces(document):
            put(sheet, piece, logos)
        return sheet
    if document.marks:
        sheet.notice("\n".join(document.marks), size=11)
        sheet.gap(3)
    _a4_head(sheet, document, logos)
    _a4_lines(sheet, document)
    with sheet.together():
        _a4_sums(sheet, document)
    with sheet.together():
        _a4_blocks(sheet, document)
    if document.bottom_message:
        sheet.gap(4)
        sheet.text(document.bottom_message, align="centre")
    if document.marks:
        sheet.gap(3)
        sheet.notice("\n".join(document.marks), size=11)
    return sheet


def _a4_head(sheet: Sheet, document: ReceiptDocument, logos: Logos) -> None:
    """The company at the left with its logo, KRA's logo at the right; then the title and the buyer."""
    half = sheet.width * 0.62
    with sheet.beside() as right:
        if logos.company:
            sheet.picture(_image(logos.company), width=half, height=20, align="left")
            sheet.gap(2)
        sheet.text(document.seller.name, size=14, bold=True, width=half)
        seller = document.seller
        place = ", ".join(part for part in (seller.address, seller.city) if part)
        for text in (seller.branch, place, f"PIN: {seller.pin}"):
            if text:
                sheet.text(text, width=half)
        right()
        if logos.kra:
            sheet.picture(_image(logos.kra), width=sheet.width - half - 5, height=20, align="right")
        else:
            sheet.gap(20)
    sheet.gap(4)
    sheet.text(document.title, align="centre", size=17, bold=True)
    if document.is_credit_note:
        sheet.text(CREDIT_NOTE_SENTENCE, align="centre", bold=True)
        sheet.gap(1)
        if document.original_invoice_number:
            sheet.text(f"ORIGINAL CU INVOICE NO.#: {document.original_invoice_number}", align="centre")
    if document.top_message:
        sheet.text(document.top_message, align="centre")
    sheet.gap(3)
    if document.buyer_pin:
        sheet.text(f"Buyer PIN: {document.buyer_pin}")
    if document.buyer_name:
        sheet.text(f"{document.words.buyer_name} {document.buyer_name}")
    if document.notice:
        sheet.gap(3)
        sheet.notice(document.notice, size=22)
        sheet.gap(2)


def _a4_lines(sheet: Sheet, document: ReceiptDocument) -> None:
    words = document.words
    sheet.gap(2)
    for note in document.notes:
        sheet.text(note, size=7.5)
    sheet.rule()
    sheet.cells((words.description, "", words.unit_price, words.quantity, words.amount), _LINES, bold=True)
    sheet.rule()
    for line in document.lines:
        kind = words.service if line.is_service else words.goods
        sheet.cells(
            (
                line.description,
                kind,
                f"{amount(line.unit_price)} x",
                plain(line.quantity),
                f"{amount(line.amount)}{line.designation}",
            ),
            _LINES,
        )
        if reduction := document.reduction(line):
            sheet.row(*reduction, indent=4)
        sheet.gap(0.8)
    sheet.rule()


def _a4_sums(sheet: Sheet, document: ReceiptDocument) -> None:
    """Tax table and payment at the left, totals at the right."""
    words = document.words
    with sheet.beside() as right:
        left_width = sheet.width * 0.46
        with sheet.narrowed(0, left_width):
            sheet.cells((words.rate, words.taxable, "VAT"), _RATES, bold=True)
            for row in document.tax_table:
                sheet.cells((row.rate, amount(row.taxable), amount(row.tax)), _RATES)
            sheet.gap(3)
            for payment in document.payments:
                sheet.row(payment.means, amount(payment.amount))
            sheet.row("ITEMS NUMBER", str(document.items_number))
        right()
        with sheet.narrowed(sheet.width * 0.54, sheet.width * 0.46):
            for name, value in document.sums:
                strong = name == "TOTAL"
                sheet.row(name, value, bold=strong, size=10.5 if strong else 0)
    if document.official_notice:
        sheet.gap(3)
        sheet.notice(document.official_notice, size=22)
    sheet.gap(3)
    sheet.rule()


def _a4_blocks(sheet: Sheet, document: ReceiptDocument) -> None:
    """The two blocks at the left, the QR code at the right."""
    side = _CODE_SIDE["a4"]
    with sheet.beside() as right:
        with sheet.narrowed(0, sheet.width - side - 10):
            if document.control_unit:
                sheet.text("SCU INFORMATION", bold=True)
                for name, value in document.unit_rows:
                    sheet.row(name, value)
                sheet.gap(2.5)
            sheet.text("TIS INFORMATION", bold=True)
            for name, value in document.source_rows:
                sheet.row(name, value)
        right()
        if document.qr_content:
            with sheet.narrowed(sheet.width - side, side):
                sheet.code(qr.matrix(document.qr_content), side=side)
                if document.link:
                    sheet.text(document.check_words, align="centre", size=7)


def _watermark(document: ReceiptDocument) -> str:
    return document.notice or (document.marks[0].partition(" \N{EN DASH}")[0] if document.marks else "")


@lru_cache(maxsize=32)
def _image(content: bytes) -> ImageReader:
    return ImageReader(io.BytesIO(content))
