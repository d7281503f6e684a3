"""Each line of the specification's receipts (TIS v2.0), in each form in which a receipt is handed out."""

import io
import re

import pytest
from PIL import Image
from pypdf import PdfReader

from gateway.sales.receipts.document import receipt_document
from gateway.sales.receipts.escpos import WIDTHS, receipt_escpos
from gateway.sales.receipts.forms import NoSuchPaper, as_data, form
from gateway.sales.receipts.html import receipt_html
from gateway.sales.receipts.labels import ReceiptType
from gateway.sales.receipts.languages import WORDS, Language, Words
from gateway.sales.receipts.logos import Logos
from gateway.sales.receipts.pdf import receipt_pdf
from gateway.sales.receipts.text import receipt_text
from tests.sales.escpos_reader import read_escpos
from tests.sales.pictures import draw_pdf, read_png
from tests.sales.receipt_rows import (
    RECEIPT_URL,
    SIGNATURE,
    figures_of,
    make_credit_note_row,
    make_row,
    make_simulated_row,
    make_waiting_row,
)
from tests.sales.test_receipt_text_and_html import Page

QR = f"{RECEIPT_URL}P051234567X00{SIGNATURE}"
FORMS = ("text", "page", "pdf 80mm", "pdf a4", "escpos 80mm", "escpos 58mm")
IN_KRA_S_ORDER = tuple(form for form in FORMS if form != "pdf a4")  # A4 has two columns


def shown(form_name, row, **more) -> str:
    """All words of a document in a form, without blanks and brackets around goods and service."""
    document = receipt_document(row, **more)
    kind, _, paper = form_name.partition(" ")
    match kind:
        case "text":
            text = receipt_text(document)
        case "page":
            text = Page(receipt_html(document)).text
        case "pdf":
            text = pdf_text(receipt_pdf([document], paper=paper, title="Test"))
        case _:
            text = read_escpos(receipt_escpos(document, paper=paper)).text
    return re.sub(r"\[(\w+)\]", r"\1", re.sub(r"\s", "", text))


def pdf_text(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def pdf_sizes(content: bytes) -> list[tuple[str, float]]:
    """Each piece of text of a PDF file with the size of its letters."""
    found: list[tuple[str, float]] = []
    for page in PdfReader(io.BytesIO(content)).pages:
        page.extract_text(visitor_text=lambda text, cm, tm, font, size: found.append((text.strip(), size)))
    return [one for one in found if one[0]]


# 6.2, in KRA's order
SALE = (
    "Amani Stores Ltd",
    "Head office (00)",
    "Moi Avenue 12, Nairobi",
    "PIN: P051234567X",
    "TAX INVOICE",
    "Karibu sana",
    "Buyer PIN: P052222222Z",
    "Buyer name: Baraka Hotels Ltd",
    "Fresh milk 500ml goods 65.00 x 4 260.00A-EX",
    "Beef fillet by weight goods 33,600.00 x 0.2 6,720.00B",
    "Discount -25% (1,680.00)",
    "Maize flour 2kg goods 210.00 x 3 630.00C",
    "County parking levy goods 50.00 x 1 50.00D",
    "Kerosene goods 216.50 x 10 2,165.00E",
    "Knife sharpening service 300.00 x 1 300.00B",
    "TOTAL BEFORE DISCOUNT 10,125.00",
    "TOTAL DISCOUNT AWARDED (1,680.00)",
    "TOTAL EXEMPT 260.00",
    "SUB TOTAL 7,548.08",
    "VAT 896.92",
    "TOTAL 8,445.00",
    "CASH 5,000.00",
    "MOBILE MONEY 3,445.00",
    "ITEMS NUMBER 6",
    "EX 260.00 0.00",
    "16% 4,603.45 736.55",
    "0% 630.00 0.00",
    "Non-VAT 50.00 0.00",
    "8% 2,004.63 160.37",
    "SCU INFORMATION",
    "Date: 21/11/2026 Time: 00:09:32",
    "CU ID: KRACU0100000001",
    "CU INVOICE NO.: KRACU0100000001/14 NS",
    "RECEIPT COUNTER: 14/15 NS",
    "INTERNAL DATA: EAHS-AV6E-CUUX-SY6P-CCJY-AUP6-MI",
    "RECEIPT SIGNATURE: QUII-27MA-TATS-HFRB",
    "TIS INFORMATION",
    "RECEIPT NUMBER: 152",
    "REFERENCE: POS-1",
    "Date: 20/11/2026 Time: 11:09:30",
    "Thank you, come again",
)
# 6.3: what differs on a credit note
CREDIT_NOTE = (
    "PIN: P051234567X",
    "CREDIT NOTE",
    "CREDIT NOTE IS APPROVED ONLY FOR ORIGINAL SALES RECEIPT",
    "ORIGINAL CU INVOICE NO.#: KRACU0100000001/14 NS",
    "Buyer PIN: P052222222Z",
    "33,600.00 x 0.2 -5,040.00B",
    "Price reduction -25%",
    "300.00 x 1 -300.00B",
    "TOTAL -8,445.00",
    "TOTAL A-EX -260.00",
    "TOTAL TAX A 0.00",
    "TOTAL B-16.00% -5,340.00",
    "TOTAL TAX B -736.55",
    "TOTAL C-0.00% -630.00",
    "TOTAL D-Non-VAT -50.00",
    "TOTAL E-8.00% -2,165.00",
    "TOTAL TAX E -160.37",
    "TOTAL TAX -896.92",
    "CASH -5,000.00",
    "MOBILE MONEY -3,445.00",
    "16% -4,603.45 -736.55",
    "CU INVOICE NO.: KRACU0100000001/14 NC",
    "RECEIPT COUNTER: 14/15 NC",
)
# 6.4: below the header and above the items; below the totals
OF_NO_ORIGINAL = ("{word}", "Fresh milk 500ml", "TOTAL 8,445.00", "THIS IS NOT AN OFFICIAL RECEIPT", "ITEMS NUMBER 6")


def holds(text: str, lines: tuple[str, ...], *, in_order: bool) -> None:
    rest = text
    for line in lines:
        before, found, after = rest.partition(re.sub(r"\s", "", line))
        assert found, f"{line!r} is missing after {before[-80:]!r}"
        if in_order:
            rest = after


@pytest.mark.parametrize("form_name", FORMS)
def test_a_sale_shows_every_line_that_kra_asks_for(form_name):
    lines = tuple(line for line in SALE if not (form_name == "pdf a4" and line in ("SUB TOTAL", "x")))
    holds(shown(form_name, make_row()), lines, in_order=form_name in IN_KRA_S_ORDER)


@pytest.mark.parametrize("form_name", FORMS)
def test_a_credit_note_shows_what_differs(form_name):
    text = shown(form_name, make_credit_note_row())
    holds(text, CREDIT_NOTE, in_order=form_name in IN_KRA_S_ORDER)
    assert "TAXINVOICE" not in text and "TOTALBEFOREDISCOUNT" not in text
    assert not re.search(r"(?<!\d)-0\.00(?!%)", text.replace("C-0.00%", ""))


@pytest.mark.parametrize("form_name", FORMS)
@pytest.mark.parametrize("type", [ReceiptType.COPY, ReceiptType.TRAINING, ReceiptType.PROFORMA])
def test_whatever_is_no_original_says_so_above_the_items_and_below_the_totals(form_name, type):
    row = make_row() if type is ReceiptType.COPY else make_waiting_row()
    text = shown(form_name, row, type=type)
    in_order = form_name in IN_KRA_S_ORDER
    if form_name == "pdf 80mm":  # the watermark stands behind everything and is read first
        text = text[text.index("PIN:P051234567X") :]
    holds(text, tuple(line.format(word=type) for line in OF_NO_ORIGINAL), in_order=in_order)
    assert "THISISNOTANOFFICIALRECEIPT" not in shown(form_name, make_row())


@pytest.mark.parametrize("form_name", FORMS)
def test_a_copy_has_the_original_s_data_and_its_own_label(form_name):
    copy = shown(form_name, make_row(), type=ReceiptType.COPY)
    holds(copy, ("CU INVOICE NO.: KRACU0100000001/14 CS", "RECEIPT COUNTER: 14/15 CS"), in_order=False)
    holds(copy, tuple(line for line in SALE if "NS" not in line), in_order=False)
    note = shown(form_name, make_credit_note_row(), type=ReceiptType.COPY)
    holds(
        note,
        ("COPY", "KRACU0100000001/14 CC", "14/15 CC", "ORIGINAL CU INVOICE NO.#: KRACU0100000001/14 NS"),
        in_order=False,
    )


@pytest.mark.parametrize("form_name", FORMS)
@pytest.mark.parametrize("type", [ReceiptType.TRAINING, ReceiptType.PROFORMA])
def test_training_and_proforma_carry_no_signature_no_number_and_no_code(form_name, type):
    for row in (make_waiting_row(), make_row()):  # even if a row had been signed
        text = shown(form_name, row, type=type)
        for word in ("SCUINFORMATION", "QUII", "KRACU", "RECEIPTNUMBER", "TAXINVOICE", "etims.kra", "NOTYETFISCALISED"):
            assert word not in text, word
        assert "TISINFORMATION" in text and "REFERENCE:POS-1" in text
    html = receipt_html(receipt_document(make_row(), type=type))
    assert "<svg" not in html
    assert not read_escpos(receipt_escpos(receipt_document(make_row(), type=type), paper="80mm")).codes


@pytest.mark.parametrize("form_name", FORMS)
def test_a_sale_that_waits_gives_a_slip_in_every_form(form_name):
    text = shown(form_name, make_waiting_row("queued"))
    assert text.count("NOTATAXINVOICE") >= 2 and "PROVISIONALSLIP" in text and "8,445.00" in text
    assert not re.search(r"TAXINVOICE(?<!NOTATAXINVOICE)|SCU|TIS|PIN:|KRACU|QUII|VAT", text)


@pytest.mark.parametrize("form_name", FORMS)
def test_a_simulated_receipt_is_marked_in_every_form(form_name):
    assert shown(form_name, make_simulated_row()).count("SIMULATED–NOTATAXINVOICE") == 2  # noqa: RUF001


# Twice as large as the amounts, and the watermark


@pytest.mark.parametrize("paper", ["a4", "80mm"])
def test_on_paper_the_notices_are_twice_as_large_as_any_amount(paper):
    document = receipt_document(make_row(), type=ReceiptType.COPY)
    sizes = pdf_sizes(receipt_pdf([document], paper=paper, title="Test"))
    largest = max(size for text, size in sizes if re.search(r"\d\.\d\d", text))
    notices = {text: size for text, size in sizes if text == "COPY" or "OFFICIAL" in text}
    assert len(notices) >= 2 and min(notices.values()) >= 2 * largest


@pytest.mark.parametrize("paper", list(WIDTHS))
def test_a_thermal_printer_prints_the_notices_twice_as_large(paper):
    printed = read_escpos(receipt_escpos(receipt_document(make_row(), type=ReceiptType.COPY), paper=paper))
    large = " ".join(text.strip() for text, size, _ in printed.lines if size == 2)
    assert large == "COPY THIS IS NOT AN OFFICIAL RECEIPT"


@pytest.mark.parametrize(("type", "times"), [(ReceiptType.NORMAL, 0), (ReceiptType.COPY, 2)])
def test_a_copy_has_a_watermark_and_an_original_has_none(type, times):
    document = receipt_document(make_row(), type=type)
    for paper in ("a4", "80mm"):
        sizes = pdf_sizes(receipt_pdf([document], paper=paper, title="Test"))
        watermarks = [text for text, size in sizes if size > 40 and text == "COPY"]
        assert len(watermarks) >= times and bool(watermarks) == bool(times)
    assert ('class="watermark"' in receipt_html(document)) == bool(times)


# The QR code


@pytest.mark.parametrize("paper", ["a4", "80mm"])
@pytest.mark.parametrize("type", [ReceiptType.NORMAL, ReceiptType.COPY])
def test_the_code_is_read_from_the_printed_page(tmp_path, pdf_program, paper, type):
    document = receipt_document(make_row(), type=type)
    (picture,) = draw_pdf(pdf_program, receipt_pdf([document], paper=paper, title="Test"), tmp_path)
    assert read_png(picture) == QR


@pytest.mark.parametrize("paper", list(WIDTHS))
def test_a_thermal_printer_is_given_the_same_code(paper):
    assert read_escpos(receipt_escpos(receipt_document(make_row()), paper=paper)).codes == [QR]


# Thermal printers


def test_no_line_is_wider_than_the_paper():
    rows = (make_row(), make_credit_note_row(), make_simulated_row(), make_waiting_row("refused"))
    for paper, width in WIDTHS.items():
        for row in rows:
            for type in (ReceiptType.NORMAL, ReceiptType.COPY):
                for text, size, _ in read_escpos(receipt_escpos(receipt_document(row, type=type), paper=paper)).lines:
                    assert len(text) * size <= width, text


def test_the_paper_is_cut_and_the_drawer_opens_only_when_asked():
    document = receipt_document(make_row())
    printed = read_escpos(receipt_escpos(document, paper="80mm"))
    assert printed.is_cut and not printed.drawer_opened
    assert read_escpos(receipt_escpos(document, paper="80mm", opens_drawer=True)).drawer_opened


def test_letters_that_a_printer_lacks_lose_their_accents_before_they_are_lost():
    row = make_row(snapshot={"buyer_name": "Ñandú café → Žižka 市"})
    assert "Ñandú café > Žižka ?" in read_escpos(receipt_escpos(receipt_document(row), paper="80mm")).text
    row = make_row(snapshot={"buyer_name": "Mũrang'a Ŝiomõ"})
    assert "Murang'a Siomõ" in read_escpos(receipt_escpos(receipt_document(row), paper="80mm")).text


def test_letters_beyond_ascii_stand_on_the_pdf():
    row = make_row(snapshot={"buyer_name": "Ñandú café → Mũrang'a 市"})
    text = pdf_text(receipt_pdf([receipt_document(row)], paper="80mm", title="Test"))
    assert "Ñandú café → Mũrang'a \N{REPLACEMENT CHARACTER}" in text


# Logos


def picture(width: int, height: int, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), "black").save(out, "PNG")
    return out.getvalue()


def test_logos_stand_at_the_head_in_every_form_with_pictures():
    logos = Logos(kra=picture(300, 100), company=picture(900, 300, "RGBA"))
    document = receipt_document(make_row())
    html = receipt_html(document, logos=logos)
    assert html.count('src="data:image/png;base64,') == 2 and html.index("data:image") < html.index("Amani Stores")
    for paper in ("a4", "80mm"):
        (page,) = PdfReader(io.BytesIO(receipt_pdf([document], paper=paper, title="Test", logos=logos))).pages
        assert len(page.images) == 2
    for paper, dots in (("58mm", 384), ("80mm", 576)):
        pictures = read_escpos(receipt_escpos(document, paper=paper, logos=logos)).pictures
        assert len(pictures) == 2 and all(wide <= dots and high <= 160 for wide, high in pictures)


# Languages


def test_both_languages_have_all_words_and_their_own():
    for name in Words.__slots__:
        words = [getattr(WORDS[language], name) for language in Language]
        assert all(words), name
        assert len(set(words)) == 2, name


@pytest.mark.parametrize("form_name", FORMS)
def test_kiswahili_changes_our_words_and_leaves_those_of_the_law(form_name):
    text = shown(form_name, make_row(), language=Language.SWAHILI, type=ReceiptType.COPY)
    for word in ("bidhaa", "huduma", "Punguzo-25%", "Jinalamnunuzi:", "Umehudumiwana:", "Kiwango"):
        assert word in text, word
    for word in (
        "TAXINVOICE",
        "COPY",
        "THISISNOTANOFFICIALRECEIPT",
        "TOTALBEFOREDISCOUNT",
        "SCUINFORMATION",
        "BuyerPIN:",
    ):
        assert word in text, word
    slip = shown(form_name, make_waiting_row("queued"), language=Language.SWAHILI)
    assert "HATIYAMUDA" in slip and "NOTATAXINVOICE" in slip and "inasubiri" in slip


# The rest


def test_the_snapshot_decides_and_the_same_row_gives_the_same_bytes():
    row = make_row(snapshot={"company": "Old Name Ltd"})
    first, second = (receipt_pdf([receipt_document(row)], paper="80mm", title="Test") for _ in range(2))
    assert first == second and "Old Name Ltd" in pdf_text(first)


def test_a_long_sale_goes_on_on_the_next_page_of_a4():
    figures = figures_of([(f"Article {number}", "B", "2", "1", "100.00", None) for number in range(150)])
    content = receipt_pdf([receipt_document(make_row(figures=figures))], paper="a4", title="Test")
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    assert len(pages) > 2 and "Article 149" in "".join(pages) and f"{len(pages)} / {len(pages)}" in pages[-1]


def test_the_document_as_data_has_text_amounts_and_local_times():
    data = as_data(receipt_document(make_row(), type=ReceiptType.COPY))
    assert (data["type"], data["label"], data["total"]) == ("COPY", "CS", "8445.00")
    assert data["control_unit"]["signed_at"] == "2026-11-21T00:09:32+03:00"
    assert data["lines"][1]["discount"] == "1680.00" and data["notice"] == "COPY" and data["qr_content"] == QR


@pytest.mark.parametrize(("format", "paper"), [("pdf", "58mm"), ("escpos", "a4"), ("html", "a4"), ("json", "80mm")])
def test_a_form_does_not_come_on_a_paper_that_it_does_not_know(format, paper):
    with pytest.raises(NoSuchPaper):
        form(format, paper)
