"""Whether an item can be taken as it is described: every wrong field of every row, in plain words."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from gateway.catalog.models import ItemClass
from gateway.catalog.queries import COUNTRY_CLASS, PACKAGING_UNIT_CLASS, QUANTITY_UNIT_CLASS, item_classes, known_codes
from gateway.kra.codes import ProductType, TaxClass

PRODUCT_TYPES = {
    "goods": ProductType.FINISHED_PRODUCT,
    "service": ProductType.SERVICE,
    "raw_material": ProductType.RAW_MATERIAL,
}
PRODUCT_WORDS = {code.value: word for word, code in PRODUCT_TYPES.items()}
MOST_LETTERS = {"code": 50, "name": 200, "item_class": 10, "barcode": 20, "kra_code": 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """One item as its company describes it. `product_type` is a word of PRODUCT_TYPES, `price` KES with 2 decimals.

    `tax_type` may be empty where KRA's item class says the letter. `kra_code` names an item that was imported from
    KRA's list under that code, to give it the company's own code.
    """

    code: str
    name: str
    item_class: str
    tax_type: str = ""
    product_type: str = "goods"
    packaging_unit: str = "NT"
    quantity_unit: str = "U"
    price: Decimal = Decimal("0.00")
    barcode: str = ""
    origin_country: str = "KE"
    kra_code: str = ""


class Wrong(NamedTuple):
    """What is wrong with one field of a row."""

    field: str
    code: str
    message: str


class Judged(NamedTuple):
    """A row with its tax letter filled in, and what is wrong with it."""

    row: ItemRow
    wrongs: list[Wrong]


class RowProblem(NamedTuple):
    """What is wrong with one field of one row (counted from 0)."""

    row: int
    field: str
    code: str
    message: str


class RowsRefused(Exception):
    """Some rows cannot be taken as they are; nothing of the request was written."""

    def __init__(self, problems: list[RowProblem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


def judge(environment: str, rows: Sequence[ItemRow]) -> list[Judged]:
    """Each row for itself: what of it KRA's lists, or common sense, do not allow."""
    classes = item_classes(environment, (row.item_class for row in rows))
    lists = _Lists(
        known_codes(environment, QUANTITY_UNIT_CLASS),
        known_codes(environment, PACKAGING_UNIT_CLASS),
        known_codes(environment, COUNTRY_CLASS),
    )
    return [_judged(row, classes.get(row.item_class), lists) for row in rows]


def judge_all(environment: str, rows: Sequence[ItemRow]) -> list[ItemRow]:
    """The rows with their tax letters filled in. Raises RowsRefused with every problem of every row."""
    judged = judge(environment, rows)
    problems = list(_twice(rows))
    problems += [RowProblem(index, *wrong) for index, one in enumerate(judged) for wrong in one.wrongs]
    if problems:
        raise RowsRefused(sorted(problems))
    return [one.row for one in judged]


class _Lists(NamedTuple):
    units: Mapping[str, str]
    packagings: Mapping[str, str]
    countries: Mapping[str, str]


def _judged(row: ItemRow, item_class: ItemClass | None, lists: _Lists) -> Judged:
    wrongs = [*_about_texts(row), *_about_class(row, item_class), *_about_codes(row, lists)]
    letter = row.tax_type or (item_class.tax_type if item_class else "")
    return Judged(replace(row, tax_type=letter), wrongs)


def _about_texts(row: ItemRow) -> Iterator[Wrong]:
    for field, most in MOST_LETTERS.items():
        text: str = getattr(row, field)
        if field in {"code", "name", "item_class"} and not text.strip():
            yield Wrong(field, "blank", "This must not be empty.")
        elif len(text) > most:
            yield Wrong(field, "too_long", f"Must have at most {most} characters.")
        elif any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text):
            yield Wrong(field, "not_printable", "Must be one line without control characters.")


def _about_class(row: ItemRow, item_class: ItemClass | None) -> Iterator[Wrong]:
    if row.item_class.strip() and (item_class is None or not item_class.in_use):
        yield Wrong(
            "item_class",
            "unknown_code",
            f"KRA's classification has no item class {row.item_class[:20]} in use; choose one from KRA's list.",
        )
    if row.tax_type and row.tax_type not in set(TaxClass):
        words = f"{row.tax_type[:10]} is no tax letter; the letters are A, B, C, D and E."
        yield Wrong("tax_type", "unknown_code", words)
    elif item_class is not None and item_class.tax_type:
        if row.tax_type not in {"", item_class.tax_type}:
            yield Wrong(
                "tax_type",
                "contradicts_class",
                f"KRA puts item class {item_class.code} ({item_class.name}) under tax letter {item_class.tax_type}, "
                f"the item says {row.tax_type}. Correct the letter, or choose the item class that fits.",
            )
    elif not row.tax_type:
        words = "KRA's item class does not say the tax letter, so the item must: A, B, C, D or E."
        yield Wrong("tax_type", "missing", words)


def _about_codes(row: ItemRow, lists: _Lists) -> Iterator[Wrong]:
    if row.product_type not in PRODUCT_TYPES:
        yield Wrong("product_type", "unknown_value", f"Must be one of {', '.join(PRODUCT_TYPES)}.")
    if row.quantity_unit not in lists.units:
        words = f"KRA has no quantity unit {row.quantity_unit[:20]}; U is unit, KG kilogram."
        yield Wrong("quantity_unit", "unknown_code", words)
    if row.packaging_unit not in lists.packagings:
        words = f"KRA has no packaging unit {row.packaging_unit[:20]}; NT means without packaging."
        yield Wrong("packaging_unit", "unknown_code", words)
    if row.origin_country not in lists.countries:
        yield Wrong("origin_country", "unknown_code", f"{row.origin_country[:20]} is no country code; Kenya is KE.")


def _twice(rows: Sequence[ItemRow]) -> Iterator[RowProblem]:
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        if row.code in first:
            yield RowProblem(index, "code", "duplicate", f"Item {row.code} is in items[{first[row.code]}] already.")
        else:
            first[row.code] = index
