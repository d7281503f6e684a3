"""Receipts and slips as plain text, for terminals, text printers and the journal of what was handed out.

No line is wider than asked for, counted in cells of a terminal. Names are wrapped; an amount is never cut or wrapped:
where it has no room beside its name it stands on a line of its own. KRA's logo comes before the first line, from the
printer's memory. Text knows one size of letters: what has to be twice as large elsewhere stands in a frame.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import partial

from gateway.sales.receipts import qr
from gateway.sales.receipts.document import ReceiptDocument, amount
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

DEFAULT_WIDTH = 42  # 80 mm paper with the usual font
LEAST_WIDTH = 32  # 58 mm paper; the widest amount in brackets and its name fit

_TABLE_NAME = len("Non-VAT")


def receipt_text(document: ReceiptDocument, *, width: int = DEFAULT_WIDTH, with_qr: bool = False) -> str:
    """The document as lines of at most `width` cells, ending with a line break. Raises ValueError below 32.

    A QR code that is wider than the paper is replaced by the address it stands for.
    """
    if width < LEAST_WIDTH:
        raise ValueError(f"a receipt is at least {LEAST_WIDTH} characters wide")
    return roll_text(pieces(document), width=width, with_qr=with_qr)


def roll_text(roll: Iterable[Piece], *, width: int = DEFAULT_WIDTH, with_qr: bool = False) -> str:
    """Whatever runs down a roll as lines of at most `width` cells, ending with a line break."""
    shown = partial(lines_of, width=width, with_qr=with_qr)
    return "".join(f"{line.rstrip()}\n" for piece in roll for line in shown(piece))


def lines_of(piece: Piece, *, width: int, with_qr: bool = False) -> Iterator[str]:
    """One piece of a receipt as lines."""
    match piece:
        case Centred(text):
            yield from centred(text, width)
        case Row(name, value, _, indent):
            yield from row(" " * indent + name, value, width)
        case Paragraph(text):
            yield from wrap(text, width)
        case Rule():
            yield "-" * width
        case Gap():
            yield ""
        case Marks(texts):
            yield "*" * width
            for text in texts:
                yield from centred(text, width)
            yield "*" * width
        case Notice(text):
            yield "=" * width
            yield from centred(text, width)
            yield "=" * width
        case TaxTable():
            yield from _tax_table(piece, width)
        case Code():
            yield from _code(piece, width, with_qr)
        case Place():
            pass


def _tax_table(table: TaxTable, width: int) -> Iterator[str]:
    """Three columns; where one amount is too wide for its column, every rate gets lines of its own."""
    rows = [(one.rate, amount(one.taxable), amount(one.tax)) for one in table.rows]
    column = (width - _TABLE_NAME) // 2 - 1
    if any(len(cell) > column for one in (table.heads, *rows) for cell in one[1:]):
        for rate, taxable, tax in rows:
            yield from row(f"{rate} {table.heads[1].lower()}", taxable, width)
            yield from row(f"{rate} {table.heads[2]}", tax, width)
        return
    for rate, taxable, tax in (table.heads, *rows):
        yield f"{rate:<{_TABLE_NAME}} {taxable:>{column}} {tax:>{width - _TABLE_NAME - column - 2}}"


def _code(code: Code, width: int, with_qr: bool) -> Iterator[str]:
    drawn = qr.half_blocks(code.content, width) if with_qr else None
    if drawn:
        left = " " * ((width - len(drawn[0])) // 2)
        yield ""
        yield from (left + line for line in drawn)
    elif code.link:
        yield f"{code.words}:"
        yield from wrap(code.link, width)


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


def centred(text: str, width: int) -> Iterator[str]:
    """The text in the middle, on as many lines as it needs."""
    for line in wrap(text, width):
        yield " " * ((width - cells(line)) // 2) + line


def row(left: str, right: str, width: int) -> Iterator[str]:
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
