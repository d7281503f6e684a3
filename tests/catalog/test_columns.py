from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalog.columns import COLUMNS, RESULT_TITLES, fields_of, row_of, text_of
from gateway.catalog.sheets import BadFile


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (["Code", "Name", "Item class"], ["code", "name", "item_class"]),
        (["ITEM_CODE", " description ", "Class*"], ["code", "name", "item_class"]),
        (["name", "", "sku", "classification", None], ["name", None, "code", "item_class", None]),
        ([column.title for column in COLUMNS], [column.field for column in COLUMNS]),
        (["Row", "Code", "Name", "Item class", *RESULT_TITLES[1:]], [None, "code", "name", "item_class", *[None] * 4]),
    ],
)
def test_columns_are_known_by_plain_words(header: list[Any], fields: list[str | None]) -> None:
    assert fields_of(header) == fields


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["Code", "Name"], "missing: Item class"),
        (["Code", "Name", "Item class", "Colour"], "no column “Colour”"),
        (["Code", "Name", "Item class", "Prise"], "Did you mean “Price with tax”"),
        (["Code", "SKU", "Name", "Item class"], "stands there twice"),
    ],
)
def test_a_column_amiss_is_named(header: list[Any], words: str) -> None:
    with pytest.raises(BadFile, match=words):
        fields_of(header)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (12, "12"),
        (12.0, "12"),
        (5016150900.0, "5016150900"),
        (160.1, "160.1"),
        (0.1 + 0.2, "0.3"),
        (6161100000017.0, "6161100000017"),
        ("  A ", "A"),
        ("'=1", "=1"),
        ("'tis", "'tis"),
        (True, "True"),
        (float("nan"), "nan"),
        (1e300, "1e+300"),
    ],
)
def test_a_cell_is_what_people_see_in_it(cell: Any, text: str) -> None:
    assert text_of(cell) == text


FIELDS = ["code", "name", "item_class", "price", "product_type", "quantity_unit", None]


def test_a_row_becomes_an_item() -> None:
    row, wrongs = row_of(FIELDS, [12, "Sugar", 5016150900, "1,160.5", "Raw material", "kg", "note"])
    assert wrongs == []
    assert (row.code, row.item_class, row.price) == ("12", "5016150900", Decimal("1160.50"))
    assert (row.product_type, row.quantity_unit, row.packaging_unit) == ("raw_material", "KG", "NT")


@pytest.mark.parametrize(
    ("cells", "field", "code"),
    [
        ([date(2026, 1, 2), "Sugar", "5"], "code", "not_text"),
        (["A", "#N/A", "5"], "name", "not_text"),
        (["A", "Sugar", "5", "KES 10"], "price", "not_a_number"),
        (["A", "Sugar", "5", "160,50"], "price", "not_a_number"),
        (["A", "Sugar", "5", "NaN"], "price", "not_a_number"),
        (["A", "Sugar", "5", -1], "price", "negative"),
        (["A", "Sugar", "5", "1.005"], "price", "too_many_decimals"),
        (["A", "Sugar", "5", "1e30"], "price", "amount_too_large"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(cells: list[Any], field: str, code: str) -> None:
    _, wrongs = row_of(FIELDS, cells)
    assert [(wrong.field, wrong.code) for wrong in wrongs] == [(field, code)]
