"""Reading and writing the tables that people make in Excel and the like: CSV and XLSX, row by row, with little memory.

A file comes from a stranger. What it unpacks to is limited, formulas are read as the value they had, and what goes back
into a file can be no formula.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

Kind = Literal["csv", "xlsx"]
MOST_FILE_BYTES = 10 * 1024 * 1024
MOST_ROWS = 50_000
MOST_COLUMNS = 40
MOST_UNPACKED_BYTES = 80 * 1024 * 1024
MOST_TEXTS_BYTES = 24 * 1024 * 1024  # of the table of texts, which is read whole
CONTENT_TYPES: dict[Kind, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_DELIMITERS = ",;\t|"
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class BadFile(Exception):
    """The file is no table that can be read; the text says why, in plain words."""


def kind_of(content: bytes) -> Kind:
    """XLSX or CSV, by what is in the file, whatever it is called. Raises BadFile for what is certainly neither."""
    if content.startswith(b"PK\x03\x04"):
        return "xlsx"
    if content.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8")):
        raise BadFile("This is no CSV and no XLSX file. In Excel: save as Excel Workbook (.xlsx) or CSV UTF-8.")
    return "csv"


def read_rows(content: bytes, kind: Kind) -> Iterator[tuple[int, list[Any]]]:
    """The rows that are not empty, cut after their last cell, with the number that Excel shows. CSV has only text.

    Raises BadFile, also in the middle.
    """
    count = 0
    for number, cells in enumerate(_xlsx(content) if kind == "xlsx" else _csv(content), 1):
        row = list(cells)
        while row and (row[-1] is None or (isinstance(row[-1], str) and not row[-1].strip())):
            row.pop()
        if not row:
            continue
        if len(row) > MOST_COLUMNS:
            raise BadFile(
                f"Row {number} has more than {MOST_COLUMNS} columns; take out those that say nothing of an item."
            )
        count += 1
        if count > MOST_ROWS + 1:
            raise BadFile(f"A file may have at most {MOST_ROWS} rows; make several of it.")
        yield number, row


def write_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV file that Excel opens as it is: UTF-8 with its mark, and no cell that could be a formula."""
    text = io.StringIO()
    csv.writer(text).writerows([_harmless(cell) for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace")


def write_xlsx(rows: Iterable[Sequence[str]], *, title: str) -> bytes:
    """An XLSX file of one sheet, all cells text, the first row bold and fixed."""
    import xlsxwriter  # only files need it

    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"constant_memory": True, "in_memory": False}) as book:
        sheet = book.add_worksheet(title[:31])
        text, bold = book.add_format({"num_format": "@"}), book.add_format({"bold": True})
        sheet.set_column(0, MOST_COLUMNS, 18, text)
        sheet.freeze_panes(1, 0)
        for at, row in enumerate(rows):
            for column, cell in enumerate(row):
                sheet.write_string(at, column, cell[:32_000], bold if at == 0 else text)
    return made.getvalue()


def without_guard(text: str) -> str:
    """A cell without the apostrophe that `write_csv` puts before what could be a formula."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_STARTS_A_FORMULA) else text


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_STARTS_A_FORMULA) else cell


def _csv(content: bytes) -> Iterator[list[str]]:
    text = _decoded(content)
    if "\x00" in text:
        raise BadFile("The file has zero bytes in it; save it as CSV UTF-8.")
    head = text[: 64 * 1024]
    delimiter = _delimiter(head)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    try:
        yield from reader
    except csv.Error as error:
        raise BadFile(f"The file cannot be read as CSV near line {reader.line_num}: {error}.") from None


def _delimiter(head: str) -> str:
    """What most often stands in the first line that says something, outside of quotes."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    if first.lower().startswith("sep=") and len(first) == 5:
        return first[4]
    bare = "".join(part for at, part in enumerate(first.split('"')) if at % 2 == 0)
    return max(_DELIMITERS, key=bare.count) if any(one in bare for one in _DELIMITERS) else ","


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        with suppress(UnicodeDecodeError):
            return content.decode("utf-16")
    with suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig")
    return content.decode("cp1252", "replace")  # what Excel writes as plain CSV


def _xlsx(content: bytes) -> Iterator[Sequence[Any]]:
    import openpyxl  # costs 0.2 s and some MB, and most processes never read a workbook

    unreadable = BadFile("The workbook cannot be read. Open it in Excel and save it anew as .xlsx, without a password.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            texts = sum(part.file_size for part in parts if part.filename.lower().endswith("sharedstrings.xml"))
            if sum(part.file_size for part in parts) > MOST_UNPACKED_BYTES or texts > MOST_TEXTS_BYTES:
                raise BadFile("The workbook unpacks to far too much; take out pictures and other sheets.")
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    except BadFile:
        raise
    except Exception:  # zip, XML, missing parts: openpyxl raises whatever comes along
        raise unreadable from None
    try:
        sheet = book.active or (book.worksheets[0] if book.worksheets else None)
        if sheet is None or not hasattr(sheet, "reset_dimensions"):
            raise unreadable
        sheet.reset_dimensions()  # what the file says of its own size may be wrong
        yield from sheet.iter_rows(values_only=True, max_col=MOST_COLUMNS + 1)
    except BadFile:
        raise
    except GeneratorExit:
        raise
    except Exception:
        raise unreadable from None
    finally:
        book.close()
