"""The columns of an item file: what people may call them, and what their cells mean."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from gateway.catalog.judging import ItemRow, Wrong
from gateway.catalog.sheets import BadFile, without_guard
from gateway.lib.spelling import closest


class Column(NamedTuple):
    """A column of the template: the field of ItemRow, its title, other titles that are taken, an example."""

    field: str
    title: str
    also: tuple[str, ...]
    example: str
    needed: bool = False


COLUMNS = (
    Column("code", "Code", ("item code", "own code", "sku", "product code"), "SUGAR-1KG", needed=True),
    Column("name", "Name", ("item name", "description", "product name"), "Brown sugar 1 kg", needed=True),
    Column("item_class", "Item class", ("class", "classification", "item class code"), "5016150302", needed=True),
    Column("tax_type", "Tax letter", ("tax type", "tax", "tax class", "vat letter"), "B"),
    Column("product_type", "Goods or service", ("product type", "type", "item type"), "goods"),
    Column("packaging_unit", "Packaging unit", ("packaging", "package", "package unit"), "BG"),
    Column("quantity_unit", "Quantity unit", ("unit", "unit of measure", "uom", "unit of quantity"), "U"),
    Column("price", "Price with tax", ("price", "unit price", "selling price", "usual price"), "168.00"),
    Column("barcode", "Barcode", ("ean", "bar code", "upc"), "6161100000017"),
    Column("origin_country", "Country of origin", ("origin country", "country", "origin"), "KE"),
    Column("kra_code", "KRA code", ("item code at kra",), ""),
)
TITLES = {column.field: column.title for column in COLUMNS}
# Columns that our result files add: a corrected result file can be uploaded as it is
RESULT_TITLES = ("Row", "Outcome", "KRA item code", "Wrong column", "What is wrong")
_FIELDS = {name: column.field for column in COLUMNS for name in (column.title.lower(), *column.also)}
_FIELDS |= {column.field.replace("_", " "): column.field for column in COLUMNS}
_IGNORED = {title.lower() for title in RESULT_TITLES}
_PRODUCT_WORDS = {"good": "goods", "services": "service", "raw material": "raw_material", "product": "goods"}
_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", re.ASCII)
_MOST_PRICE = Decimal("9999999999999.99")


def fields_of(header: Sequence[Any]) -> list[str | None]:
    """What each column of a file is; None for those that are left out. Raises BadFile, naming every column amiss."""
    found: list[str | None] = []
    wrong: list[str] = []
    for cell in header:
        title = " ".join(text_of(cell).replace("_", " ").replace("*", " ").split())
        field = _FIELDS.get(title.lower())
        if field is None and title and title.lower() not in _IGNORED:
            meant = closest(title, _FIELDS)
            hint = f" Did you mean “{TITLES[_FIELDS[meant]]}”?" if meant else ""
            wrong.append(f"There is no column “{title[:60]}”.{hint}")
        if field is not None and field in found:
            wrong.append(f"The column “{TITLES[field]}” stands there twice.")
        found.append(field)
    missing = [column.title for column in COLUMNS if column.needed and column.field not in found]
    if missing:
        wrong.append(f"The first row must name the columns; missing: {', '.join(missing)}.")
    if wrong:
        raise BadFile(" ".join(wrong[:10]))
    return found


def text_of(cell: Any) -> str:
    """A cell as the text that people see in it."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        # Excel shows 15 digits; what lies behind them is the machine's
        return format(Decimal(format(cell, ".15g")), "f") if cell == cell and abs(cell) < 1e18 else str(cell)
    return without_guard(str(cell).strip())


def row_of(fields: Sequence[str | None], cells: Sequence[Any]) -> tuple[ItemRow, list[Wrong]]:
    """The item that a row describes, as far as it can be read, and the cells that cannot."""
    told: dict[str, Any] = {"code": "", "name": "", "item_class": ""}
    wrongs: list[Wrong] = []
    for field, cell in zip(fields, cells, strict=False):
        if field is None:
            continue
        text = text_of(cell)
        if isinstance(cell, date | datetime | time):
            words = "Excel has made a date of this cell; format the column as text and type the value again."
            wrongs.append(Wrong(field, "not_text", words))
        elif isinstance(cell, str) and text in {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!"}:
            wrongs.append(Wrong(field, "not_text", f"The cell holds Excel's error {text}."))
        elif field == "price":
            _read_price(text, told, wrongs)
        elif text:
            told[field] = _plain(field, text)
    return ItemRow(**told), wrongs


def _plain(field: str, text: str) -> str:
    match field:
        case "tax_type" | "packaging_unit" | "quantity_unit" | "origin_country":
            return text.upper()
        case "product_type":
            word = text.lower()
            return _PRODUCT_WORDS.get(word, word.replace(" ", "_"))
    return text


def _read_price(text: str, told: dict[str, Any], wrongs: list[Wrong]) -> None:
    if not text:
        return
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite():
        words = "Give a number with a point, such as 650.00; no currency, no letters."
        wrongs.append(Wrong("price", "not_a_number", words))
    elif price < 0:
        wrongs.append(Wrong("price", "negative", "Must not be negative."))
    elif price > _MOST_PRICE:
        words = "An amount has at most 13 digits before the decimal point."
        wrongs.append(Wrong("price", "amount_too_large", words))
    elif price != price.quantize(Decimal("0.01")):
        wrongs.append(Wrong("price", "too_many_decimals", "An amount has at most two decimal places."))
    else:
        told["price"] = price.quantize(Decimal("0.01"))
