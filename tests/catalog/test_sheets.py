import io
import zipfile
from datetime import date, datetime, time
from typing import Any

import openpyxl
import pytest

from gateway.catalog.sheets import BadFile, kind_of, read_rows, write_csv, write_xlsx

MADE_A_DATE = datetime.combine(date(2026, 1, 2), time())


def workbook(*rows: list[Any]) -> bytes:
    book, made = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(made)
    return made.getvalue()


def csv_rows(content: bytes | str) -> list[list[str]]:
    return [cells for _, cells in read_rows(content.encode() if isinstance(content, str) else content, "csv")]


@pytest.mark.parametrize(
    "content",
    [
        "Code,Name\r\nA,Sugar\r\n",
        "Code;Name\nA;Sugar\n",
        "Code\tName\nA\tSugar",
        "Code|Name\nA|Sugar",
        '"Code","Name"\n"A","Sugar"\n',
        "Code,Name\n\n\nA,Sugar\n,\n",
        b"\xef\xbb\xbfCode,Name\nA,Sugar\n",
        "Code,Name\nA,Sugar\n".encode("utf-16"),
    ],
)
def test_every_usual_kind_of_csv_is_read(content: bytes | str) -> None:
    assert csv_rows(content) == [["Code", "Name"], ["A", "Sugar"]]


def test_quotes_delimiters_and_line_ends_inside_a_cell_stay() -> None:
    assert csv_rows('Code;Name\nA;"Sugar; ""brown""\n1 kg"\n')[1] == ["A", 'Sugar; "brown"\n1 kg']
    assert csv_rows('"Name, long","Code"\nSugar,A\n')[0] == ["Name, long", "Code"]


def test_what_windows_writes_as_csv_is_read() -> None:
    assert csv_rows("Code,Name\nA,Café\n".encode("cp1252"))[1] == ["A", "Café"]


def test_rows_have_the_number_that_excel_shows() -> None:
    assert [number for number, _ in read_rows(b"Code\n\nA\n\n\nB\n", "csv")] == [1, 3, 6]
    content = workbook(["Code"], [], ["A"])
    assert list(read_rows(content, "xlsx")) == [(1, ["Code"]), (3, ["A"])]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_nothing_is_cut_off_in_silence(kind: Any) -> None:
    def table(*rows: list[str]) -> bytes:
        return workbook(*rows) if kind == "xlsx" else "\n".join(",".join(row) for row in rows).encode()

    assert list(read_rows(table(["Code"], *[[]] * 5000, ["A"]), kind)) == [(1, ["Code"]), (5002, ["A"])]
    assert list(read_rows(table(["Code"] + [""] * 100, ["A"]), kind)) == [(1, ["Code"]), (2, ["A"])]
    with pytest.raises(BadFile, match="Row 2 has more than 40 columns"):
        list(read_rows(table(["Code"], ["A"] * 41), kind))


def test_a_workbook_is_read_with_its_values() -> None:
    content = workbook(["Code", "Price"], ["A", 160.1], [12, MADE_A_DATE])
    assert kind_of(content) == "xlsx"
    assert list(read_rows(content, "xlsx"))[1:] == [(2, ["A", 160.1]), (3, [12, MADE_A_DATE])]


@pytest.mark.parametrize("content", [b"%PDF-1.7", b"\xd0\xcf\x11\xe0old excel", b"\x89PNG"])
def test_what_is_no_table_is_told(content: bytes) -> None:
    with pytest.raises(BadFile, match="no CSV and no XLSX"):
        kind_of(content)


def archive(**parts: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name.replace("__", "/"), content)
    return made.getvalue()


@pytest.mark.parametrize("content", [b"PK\x03\x04broken", archive(a=b"b"), workbook(["Code"])[:-200]])
def test_a_broken_workbook_is_told(content: bytes) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        list(read_rows(content, "xlsx"))


def test_a_workbook_that_unpacks_to_too_much_is_not_unpacked() -> None:
    bomb = archive(**{"xl__sharedStrings.xml": b"0" * (30 << 20)})
    assert len(bomb) < 100_000
    with pytest.raises(BadFile, match="unpacks"):
        list(read_rows(bomb, "xlsx"))


def test_zero_bytes_and_endless_rows_are_told() -> None:
    with pytest.raises(BadFile, match="zero bytes"):
        csv_rows(b"Code\x00,Name\n")
    with pytest.raises(BadFile, match="50000 rows"):
        csv_rows("A\n" * 50_002)
    with pytest.raises(BadFile, match="cannot be read as CSV"):
        csv_rows("A\n" + "x" * 200_000)


DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1"]


@pytest.mark.parametrize("cell", DANGEROUS)
def test_no_cell_of_a_result_is_a_formula(cell: str) -> None:
    (row,) = csv_rows(write_csv([[cell]]))
    assert row[0].startswith("'")
    sheet = openpyxl.load_workbook(io.BytesIO(write_xlsx([["Title"], [cell]], title="Items"))).active
    assert sheet["A2"].data_type == "s"


def test_a_csv_opens_in_excel_with_its_letters() -> None:
    assert write_csv([["Café"]]).startswith(b"\xef\xbb\xbf")
