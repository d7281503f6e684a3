"""Receipts and slips as plain text, for terminals, text printers and logs of what was handed out.

No line is wider than asked for, counted in cells of a terminal. Names are wrapped; an amount is never cut or wrapped:
where it has no room beside its name it stands on a line of its own. KRA's logo comes before the first line, from the
printer's memory.
"""

import unicodedata
from collections.abc import Iterable, Iterator

from gateway.sales.receipts import qr
from gateway.sales.receipts.document import (
    CREDIT_NOTE_SENTENCE,
    ControlUnit,
    Line,
    ReceiptDocument,
    Source,
    TaxRow,
    amount,
    plain,
)

DEFAULT_WIDTH = 42  # 80 mm paper with the usual font
LEAST_WIDTH = 32  # 58 mm paper; the widest amount in brackets and its name fit

_TABLE_NAME = len("Non-VAT")


def receipt_text(document: ReceiptDocument, *, width: int = DEFAULT_WIDTH, with_qr: bool = False) -> str:
    """The document as lines of at most `width` cells, ending with a line break. Raises ValueError below 32.

    A QR code that is wider than the paper is replaced by the address it stands for.
    """
    if width < LEAST_WIDTH:
        raise ValueError(f"a receipt is at least {LEAST_WIDTH} characters wide")
    lines = _receipt(document, width, with_qr) if document.control_unit else _slip(document, width)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _receipt(document: ReceiptDocument, width: int, with_qr: bool) -> Iterator[str]:
    assert document.control_unit is not None
    rule = "-" * width
    yield from _marks(document, width)
    yield from _seller(document, width)
    yield ""
    yield from _centred(document.title, width)
    if document.is_credit_note:
        yield from _centred(CREDIT_NOTE_SENTENCE, width)
        yield from _row("ORIGINAL CU INVOICE NO.#:", document.original_invoice_number, width)
    if document.top_message:
        yield from _centred(document.top_message, width)
    yield from _buyer(document, width)
    yield rule
    yield from _lines(document, width)
    yield rule
    yield from _credit_totals(document, width) if document.is_credit_note else _totals(document, width)
    yield rule
    for payment in document.payments:
        yield from _row(payment.means, amount(payment.amount), width)
    yield from _row("ITEMS NUMBER", str(document.items_number), width)
    yield rule
    yield from _tax_table(document.tax_table, width)
    yield rule
    yield from _control_unit(document.control_unit, width)
    yield from _code(document, width, with_qr)
    yield rule
    yield from _source(document.source, width)
    if document.bottom_message:
        yield ""
        yield from _centred(document.bottom_message, width)
    yield from _marks(document, width)


def _slip(document: ReceiptDocument, width: int) -> Iterator[str]:
    rule = "-" * width
    yield from _marks(document, width)
    yield from _centred(document.seller.name, width)
    yield from _centred(document.title, width)
    for sentence in document.explanation:
        yield from wrap(sentence, width)
    yield rule
    yield from _row("Reference:", document.source.reference, width)
    yield from _row("Date:", f"{document.source.issued_at:%d/%m/%Y %H:%M:%S}", width)
    yield rule
    for note in document.notes:
        yield from wrap(note, width)
    for line in document.lines:
        yield from wrap(line.description, width)
        yield from _row(f"  {amount(line.unit_price)} x {plain(line.quantity)}", amount(line.amount), width)
        yield from _discount(line, document.is_credit_note, width)
    yield rule
    yield from _row("AMOUNT (KES)", amount(document.total), width)
    yield from _marks(document, width)


def _marks(document: ReceiptDocument, width: int) -> Iterator[str]:
    if not document.marks:
        return
    yield "*" * width
    for mark in document.marks:
        yield from _centred(mark, width)
    yield "*" * width


def _seller(document: ReceiptDocument, width: int) -> Iterator[str]:
    seller = document.seller
    place = ", ".join(part for part in (seller.address, seller.city) if part)
    for text in (seller.name, seller.branch, place, f"PIN: {seller.pin}"):
        if text:
            yield from _centred(text, width)


def _buyer(document: ReceiptDocument, width: int) -> Iterator[str]:
    if document.buyer_pin:
        yield from _row("Buyer PIN:", document.buyer_pin, width)
    if document.buyer_name:
        yield from _row("Buyer name:", document.buyer_name, width)


def _lines(document: ReceiptDocument, width: int) -> Iterator[str]:
    for note in document.notes:
        yield from wrap(note, width)
    for line in document.lines:
        yield from wrap(f"{line.description} [{'service' if line.is_service else 'goods'}]", width)
        price = f"  {amount(line.unit_price)} x {plain(line.quantity)}"
        yield from _row(price, f"{amount(line.amount)}{line.designation}", width)
        yield from _discount(line, document.is_credit_note, width)


def _discount(line: Line, is_credit_note: bool, width: int) -> Iterator[str]:
    if not line.discount:
        return
    if is_credit_note:
        yield from _row("  Price reduction", f"-{plain(line.discount_percent)}%", width)
    else:
        yield from _row(f"  Discount -{plain(line.discount_percent)}%", f"({amount(line.discount)})", width)


def _totals(document: ReceiptDocument, width: int) -> Iterator[str]:
    awarded = f"({amount(document.total_discount)})" if document.total_discount else amount(document.total_discount)
    yield from _row("TOTAL BEFORE DISCOUNT", amount(document.total_before_discount), width)
    yield from _row("TOTAL DISCOUNT AWARDED", awarded, width)
    yield from _row("TOTAL EXEMPT", amount(document.total_exempt), width)
    yield from _row("SUB TOTAL", amount(document.sub_total), width)
    yield from _row("VAT", amount(document.vat), width)
    yield from _row("TOTAL", amount(document.total), width)


def _credit_totals(document: ReceiptDocument, width: int) -> Iterator[str]:
    yield from _row("TOTAL", amount(document.total), width)
    for letter in document.letter_totals:
        yield from _row(f"TOTAL {letter.name}", amount(letter.total), width)
        yield from _row(f"TOTAL TAX {letter.letter}", amount(letter.tax), width)
    yield from _row("TOTAL TAX", amount(document.vat), width)


def _tax_table(rows: Iterable[TaxRow], width: int) -> Iterator[str]:
    """Three columns; where one amount is too wide for its column, every rate gets lines of its own."""
    table = [(row.rate, amount(row.taxable), amount(row.tax)) for row in rows]
    column = (width - _TABLE_NAME) // 2 - 1
    if any(len(cell) > column for row in table for cell in row[1:]):
        for rate, taxable, tax in table:
            yield from _row(f"{rate} taxable", taxable, width)
            yield from _row(f"{rate} VAT", tax, width)
        return
    for rate, taxable, tax in (("Rate", "Taxable", "VAT"), *table):
        yield f"{rate:<{_TABLE_NAME}} {taxable:>{column}} {tax:>{width - _TABLE_NAME - column - 2}}"


def _control_unit(unit: ControlUnit, width: int) -> Iterator[str]:
    yield from _centred("SCU INFORMATION", width)
    yield from _row(f"Date: {unit.signed_at:%d/%m/%Y}", f"Time: {unit.signed_at:%H:%M:%S}", width)
    yield from _row("CU ID:", unit.unit_id, width)
    if unit.invoice_number:
        yield from _row("CU INVOICE NO.:", unit.invoice_number, width)
    yield from _row("RECEIPT COUNTER:", unit.counter, width)
    if unit.internal_data:
        yield from _row("INTERNAL DATA:", unit.internal_data, width)
    yield from _row("RECEIPT SIGNATURE:", unit.signature, width)


def _code(document: ReceiptDocument, width: int, with_qr: bool) -> Iterator[str]:
    drawn = qr.half_blocks(document.qr_content, width) if with_qr and document.qr_content else None
    if drawn:
        left = " " * ((width - len(drawn[0])) // 2)
        yield ""
        yield from (left + line for line in drawn)
    elif document.link:
        yield "Check it at the simulator:" if document.is_simulated else "Check it at KRA:"
        yield from wrap(document.link, width)


def _source(source: Source, width: int) -> Iterator[str]:
    yield from _centred("TIS INFORMATION", width)
    if source.number is not None:
        yield from _row("RECEIPT NUMBER:", str(source.number), width)
    yield from _row("REFERENCE:", source.reference, width)
    yield from _row(f"Date: {source.issued_at:%d/%m/%Y}", f"Time: {source.issued_at:%H:%M:%S}", width)
    if source.cashier:
        yield from _row("Served by:", source.cashier, width)
    if source.remark:
        yield from wrap(f"Remark: {source.remark}", width)


# Lines of a fixed width


def cells(text: str) -> int:
    """How wide a terminal shows it: two cells for wide letters, none for accents that combine."""
    return sum(_cells(letter) for letter in text)


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, broken at spaces; a longer word is broken where the line ends."""
    lines, line, room = [], "", width
    for word in text.split():
        need = cells(word) + (1 if line else 0)
        if need <= room:
            line, room = (f"{line} {word}" if line else word), room - need
            continue
        if line:
            lines.append(line)
        line, room = "", width
        for letter in word:
            if _cells(letter) > room:
                lines.append(line)
                line, room = "", width
            line, room = line + letter, room - _cells(letter)
    return [*lines, line] if line else lines


def _cells(letter: str) -> int:
    if unicodedata.category(letter) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in {"W", "F"} else 1


def _centred(text: str, width: int) -> Iterator[str]:
    for line in wrap(text, width):
        yield " " * ((width - cells(line)) // 2) + line


def _row(left: str, right: str, width: int) -> Iterator[str]:
    """Name at the left, value at the right; on two lines or more where they do not fit beside each other."""
    gap = width - cells(left) - cells(right)
    if gap >= 1:
        yield left + " " * gap + right
        return
    indent = left[: len(left) - len(left.lstrip())]
    for line in wrap(left, width - len(indent)):
        yield indent + line
    for line in wrap(right, width):
        yield " " * (width - cells(line)) + line
