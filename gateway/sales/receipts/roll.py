"""A receipt or a slip as it runs down a roll of paper, piece by piece; text, ESC/POS and 80 mm PDF each print these.

The order is that of KRA's sample (TIS specification v2.0 pages 8 and 10).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from gateway.sales.receipts.document import CREDIT_NOTE_SENTENCE, ReceiptDocument, TaxRow, amount, plain


class Place(Enum):
    """Where a picture goes, if there is one."""

    KRA_LOGO = auto()
    COMPANY_LOGO = auto()


@dataclass(frozen=True, slots=True)
class Centred:
    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A name at the left and its value at the right; `indent` in letters."""

    name: str
    value: str
    strong: bool = False
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    pass


@dataclass(frozen=True, slots=True)
class Gap:
    pass


@dataclass(frozen=True, slots=True)
class Marks:
    """What the document is not, in a frame."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """At least twice as large as the amounts."""

    text: str


@dataclass(frozen=True, slots=True)
class TaxTable:
    heads: tuple[str, str, str]
    rows: tuple[TaxRow, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """The QR code; where it has no room, the link in words."""

    content: str
    link: str
    words: str


Piece = Place | Centred | Row | Paragraph | Rule | Gap | Marks | Notice | TaxTable | Code


def pieces(document: ReceiptDocument) -> Iterator[Piece]:
    """Everything that stands on the document, from top to bottom."""
    return _slip(document) if document.is_slip else _receipt(document)


def _receipt(document: ReceiptDocument) -> Iterator[Piece]:
    words = document.words
    if document.marks:
        yield Marks(document.marks)
    yield Place.KRA_LOGO
    yield Place.COMPANY_LOGO
    seller = document.seller
    yield Centred(seller.name, strong=True)
    place = ", ".join(part for part in (seller.address, seller.city) if part)
    for text in (seller.branch, place, f"PIN: {seller.pin}"):
        if text:
            yield Centred(text)
    yield Gap()
    yield Centred(document.title, strong=True)
    if document.is_credit_note:
        yield Centred(CREDIT_NOTE_SENTENCE)
        if document.original_invoice_number:
            yield Row("ORIGINAL CU INVOICE NO.#:", document.original_invoice_number)
    if document.top_message:
        yield Centred(document.top_message)
    if document.buyer_pin:
        yield Row("Buyer PIN:", document.buyer_pin)
    if document.buyer_name:
        yield Row(words.buyer_name, document.buyer_name)
    if document.notice:
        yield Notice(document.notice)
    yield Rule()
    yield from _lines(document)
    yield Rule()
    for name, value in document.sums:
        yield Row(name, value, strong=name == "TOTAL")
    if document.official_notice:
        yield Notice(document.official_notice)
    yield Rule()
    for payment in document.payments:
        yield Row(payment.means, amount(payment.amount))
    yield Row("ITEMS NUMBER", str(document.items_number))
    yield Rule()
    yield TaxTable((words.rate, words.taxable, "VAT"), document.tax_table)
    yield Rule()
    if document.control_unit:
        yield Centred("SCU INFORMATION", strong=True)
        for name, value in document.unit_rows:
            yield Row(name, value)
        if document.qr_content:
            yield Code(document.qr_content, document.link or "", document.check_words)
        yield Rule()
    yield Centred("TIS INFORMATION", strong=True)
    for name, value in document.source_rows:
        yield Row(name, value)
    if document.bottom_message:
        yield Gap()
        yield Centred(document.bottom_message)
    if document.marks:
        yield Marks(document.marks)


def _slip(document: ReceiptDocument) -> Iterator[Piece]:
    words = document.words
    yield Marks(document.marks)
    yield Centred(document.seller.name, strong=True)
    yield Centred(document.title, strong=True)
    for sentence in document.explanation:
        yield Paragraph(sentence)
    yield Rule()
    yield Row(words.reference, document.source.reference)
    yield Row(words.date, f"{document.source.issued_at:%d/%m/%Y %H:%M:%S}")
    yield Rule()
    yield from _lines(document)
    yield Rule()
    yield Row(words.slip_amount, amount(document.total), strong=True)
    yield Marks(document.marks)


def _lines(document: ReceiptDocument) -> Iterator[Piece]:
    """The articles; on a slip without what only a receipt says of them."""
    words, is_slip = document.words, document.is_slip
    for note in document.notes:
        yield Paragraph(note, small=True)
    for line in document.lines:
        kind = words.service if line.is_service else words.goods
        yield Paragraph(line.description if is_slip else f"{line.description} [{kind}]")
        price = f"{amount(line.unit_price)} x {plain(line.quantity)}"
        yield Row(price, f"{amount(line.amount)}{'' if is_slip else line.designation}", indent=2)
        if reduction := document.reduction(line):
            yield Row(*reduction, indent=2)
