"""Sheets as PDF, read back by programs that are not ours."""

import io

import pytest
import segno
from pypdf import PdfReader

from gateway.lib.paper import A4, MM, ROLL_80, Column, Sheet, _Text, legible, pdf, width_of, wrap
from tests.sales.pictures import draw_pdf, read_png

REGULAR = "Paper"


def pages(*sheets: Sheet) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf(sheets, title="Test"))).pages]


def test_letters_beyond_ascii_are_shown_and_can_be_read_back():
    sheet = Sheet(ROLL_80)
    sheet.text("Ñandú café → Žižka Ωμέγα Київ € ₦ ½")
    assert "Ñandú café → Žižka Ωμέγα Київ € ₦ ½" in pages(sheet)[0]


def test_a_letter_that_the_font_lacks_is_shown_as_one_that_says_so():
    sheet = Sheet(ROLL_80)
    sheet.row("Soko 市場 🦁", "1.00")
    (text,) = pages(sheet)
    assert "Soko \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}" in text
    assert legible("cafe\N{COMBINING ACUTE ACCENT}") == "café"


def test_a_roll_is_as_long_as_what_stands_on_it():
    short, long = Sheet(ROLL_80), Sheet(ROLL_80)
    for sheet, lines in ((short, 3), (long, 300)):
        for number in range(lines):
            sheet.row(f"Line {number}", "1.00")
    file = PdfReader(io.BytesIO(pdf([short, long], title="Two")))
    heights = [float(page.mediabox.height) for page in file.pages]
    assert len(heights) == 2 and heights[0] < 60 and heights[1] > 2000
    assert {round(float(page.mediabox.width) / MM) for page in file.pages} == {80}
    assert "Line 299" in file.pages[1].extract_text()


def test_a4_goes_on_on_the_next_page_and_numbers_them():
    sheet = Sheet(A4)
    for number in range(200):
        sheet.row(f"Line {number}", "1.00")
    texts = pages(sheet)
    assert len(texts) > 1
    for number, text in enumerate(texts, start=1):
        assert f"{number} / {len(texts)}" in text
    assert [text for text in texts if "Line 199" in text] == texts[-1:]


def test_what_belongs_together_is_not_torn_apart():
    sheet = Sheet(A4)
    for _ in range(60):  # of the 70 that a page holds
        sheet.text("Before")
    with sheet.together():
        for number in range(20):
            sheet.row(f"Kept {number}", "1.00")
    sheet.text("After")
    first, second = pages(sheet)
    assert "Kept" not in first and second.count("Kept") == 20 and "After" in second


def test_nothing_stands_outside_of_the_paper():
    for paper in (A4, ROLL_80):
        sheet = Sheet(paper)
        sheet.row("A name that is far too long to stand beside " * 4, "(9,999,999,999,999,999.99)")
        sheet.cells(["Mississippi" * 20, "2", "9,999,999,999.99"], [Column(5), Column(1), Column(2, "right")])
        sheet.text("x" * 500, align="centre", size=20, bold=True)
        left, right = paper.margin * MM, (paper.width - paper.margin) * MM
        texts = [thing for page in sheet._pages for thing in page if isinstance(thing, _Text)]
        assert texts
        for one in texts:
            assert one.x >= left - 0.01 and one.x + width_of(one.text, one.font, one.size) <= right + 0.01


@pytest.mark.parametrize("text", ["one two three four", "Wherearethespacesinthisword", "Ñandú 市場 ok"])
def test_wrapping_loses_nothing_but_spaces(text):
    lines = wrap(text, REGULAR, 8, 40)
    assert len(lines) > 1 and "".join("".join(lines).split()) == legible("".join(text.split()))
    assert all(width_of(line, REGULAR, 8) <= 40 for line in lines)


def test_the_same_sheets_make_the_same_bytes():
    def made() -> bytes:
        sheet = Sheet(ROLL_80, watermark="COPY")
        sheet.row("Tea", "100.00B")
        return pdf([sheet], title="Receipt", author="Amani", language="sw")

    assert made() == made() and b" object at 0x" not in made()


def test_a_code_is_read_from_the_page_with_a_watermark_behind_it(tmp_path, pdf_program):
    sheet = Sheet(ROLL_80, watermark="COPY")
    for _ in range(10):
        sheet.text("Something above")
    sheet.code([bytes(row) for row in segno.make_qr("https://example.org/1", mask=4).matrix], side=30)
    sheet.notice("THIS IS NOT AN OFFICIAL RECEIPT", size=16)
    (picture,) = draw_pdf(pdf_program, pdf([sheet], title="Code"), tmp_path)
    assert read_png(picture) == "https://example.org/1"
