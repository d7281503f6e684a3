"""Reports as PDF: on a roll of 80 mm, or on A4."""

from collections.abc import Sequence

from gateway.lib.paper import A4, ROLL_80, Column, Sheet, pdf
from gateway.lib.software import NAME
from gateway.reports.plu import ItemSold
from gateway.sales.receipts.document import amount, clean, plain
from gateway.sales.receipts.pdf import put
from gateway.sales.receipts.roll import Paragraph, Piece, Row

_MARGIN, _WIDTH = 35.0, 110.0  # millimetres of A4: a name and its figure stand near each other
_ITEMS = (
    Column(2.4),
    Column(6),
    Column(2.2, "right"),
    Column(1.4),
    Column(1.8, "right"),
    Column(2.6, "right"),
    Column(1.9, "right"),
)


def report_pdf(roll: Sequence[Piece], *, paper: str, table: Sequence[ItemSold], title: str) -> bytes:
    """A report as a PDF file; `paper` is "a4" or "80mm". On A4 the items of a PLU report stand in a table."""
    sheet = Sheet(A4 if paper == "a4" else ROLL_80)
    if paper != "a4":
        for piece in roll:
            put(sheet, piece)
    elif not table:
        with sheet.narrowed(_MARGIN, _WIDTH):
            for piece in roll:
                put(sheet, piece)
    else:
        _with_table(sheet, roll, table)
    return pdf([sheet], title=title, author=NAME)


def _with_table(sheet: Sheet, roll: Sequence[Piece], items: Sequence[ItemSold]) -> None:
    """The pieces that are about single items give way to a table of them."""
    places = [place for place, piece in enumerate(roll) if _is_of_an_item(piece)]
    for piece in roll[: places[0]]:
        put(sheet, piece)
    sheet.cells(("Code", "Name", "Unit price", "Rate", "Quantity", "Amount", "Remaining"), _ITEMS, bold=True)
    sheet.rule()
    for item in items:
        cells = (
            clean(item.code),
            clean(item.name),
            amount(item.unit_price),
            f"{item.tax_type} {item.rate}%",
            plain(item.sold - item.credited),
            amount(item.sold_amount - item.credited_amount),
            "" if item.remaining is None else plain(item.remaining),
        )
        sheet.cells(cells, _ITEMS)
    for piece in roll[places[-1] + 1 :]:
        put(sheet, piece)


def _is_of_an_item(piece: Piece) -> bool:
    return isinstance(piece, Paragraph) or (isinstance(piece, Row) and piece.indent > 0)
