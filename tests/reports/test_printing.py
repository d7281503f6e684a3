"""Reports on paper: every content of the specification in each form, nothing cut, and kept for the journal."""

import io
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pypdf import PdfReader

from gateway.catalog.models import Code
from gateway.lanes.models import Lane
from gateway.reports.cash import move_cash
from gateway.reports.closing import describe, seller_of, take_z_report, x_report
from gateway.reports.plu import plu_report
from gateway.reports.printing import plu_pieces, printed, report_pieces, total_of
from gateway.sales.models import PrintedDocument
from gateway.sales.receipts.forms import form
from gateway.sales.receipts.labels import Label
from tests.reports.test_closing import FRIDAY, document, line, nairobi, opened
from tests.sales.escpos_reader import read_escpos
from tests.tenants.factories import make_company

pytestmark = pytest.mark.django_db
FORMS = [("pdf", "a4"), ("pdf", "80mm"), ("text", "80mm"), ("text", "58mm"), ("escpos", "80mm"), ("escpos", "58mm")]
ON_A_Z = (
    "SANDBOX",
    "Amani Stores Ltd",
    "PIN: P051234567X",
    "Z DAILY REPORT",
    "REPORT NO. 1",
    "DAY 20/11/2026",
    "FROM 16/11/2026 09:00:00",
    "TO 20/11/2026 18:00:00",
    "INVOICE NUMBERS 1 - 3",
    "SALES (NS)",
    "NUMBER 2",
    "TOTAL 274.00",
    "TAX 24.00",
    "DISCOUNTS 4.00",
    "GROUP 12 50.00",
    "EX 50.00 0.00",
    "16% 100.00 16.00",
    "8% 100.00 8.00",
    "Non-VAT 0.00 0.00",
    "CASH 166.00",
    "MOBILE MONEY 108.00",
    "CREDIT NOTES (NC)",
    "TOTAL -58.00",
    "16% -50.00 -8.00",
    "CASH -58.00",
    "NET TOTAL 216.00",
    "NET TAX 16.00",
    "COPIES (CS) 0 0.00",
    "TRAINING (TS) 0 0.00",
    "PROFORMA (PS) 0 0.00",
    "OTHER REDUCTIONS 0.00",
    "INCOMPLETE SALES 1",
    "OPENING DEPOSIT 2,000.00",
    "WITHDRAWALS 1 -120.50",
    "IN DRAWER 1,987.50",
    "CUMULATIVE TOTALS",
    "TIS INFORMATION",
    "SOFTWARE Revpay Connect eTIMS Gateway",
    "CU ID SIMCU0100000001",
)


@pytest.fixture
def lane() -> Lane:
    lane = opened(make_company().device)
    document(lane, nairobi(20, 9), line("B", 11600, discount=400), line("A", 5000, item="SALT", group="12"))
    document(lane, nairobi(20, 10), line("E", 10800), pay="mobile_money")
    document(lane, nairobi(20, 11), line("B", 5800), kind="credit_note")
    document(lane, nairobi(20, 12), status="refused")
    move_cash(lane, kind="opening", amount=Decimal(2000), reference="C-1", by="k", now=nairobi(20, 8))
    move_cash(lane, kind="withdrawal", amount=Decimal("120.50"), reference="C-3", by="k", now=nairobi(20, 9))
    return lane


def read(content: bytes, format: str) -> str:
    """What stands on it, blanks and line breaks as one blank each."""
    match format:
        case "pdf":
            text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)
        case "escpos":
            text = read_escpos(content).text
        case _:
            text = content.decode()
    return " ".join(text.split())


def print_report(lane: Lane, report: dict[str, Any], format: str, paper: str) -> bytes:
    is_z = "number" in report
    return printed(
        report_pieces(report),
        lane=lane,
        label=Label.Z_REPORT if is_z else Label.X_REPORT,
        wanted=form(format, paper),
        actor="key:owner",
        reference="Z-1" if is_z else "X",
        total=Decimal("216.00"),
    )


@pytest.mark.parametrize(("format", "paper"), FORMS)
def test_a_z_report_has_every_content_on_every_paper_and_is_kept(lane: Lane, format: str, paper: str) -> None:
    report = take_z_report(lane, by="k", now=nairobi(20, 18))
    content = print_report(lane, describe(report), format, paper)
    text = read(content, format)
    assert [words for words in ON_A_Z if words not in text] == []
    kept = PrintedDocument.objects.get()
    assert (kept.label, kept.reference, kept.total, kept.format) == ("Z", "Z-1", Decimal("216.00"), format)
    assert "Z DAILY REPORT" in kept.text and max(map(len, kept.text.splitlines())) <= 42


@pytest.mark.parametrize(("format", "paper"), FORMS)
def test_a_discount_that_no_float_can_hold_can_be_printed(lane: Lane, format: str, paper: str) -> None:
    document(lane, nairobi(20, 13), line("B", 11600, discount=6490))
    x = read(print_report(lane, x_report(lane, now=nairobi(20, 18)), format, paper), format)
    z = read(print_report(lane, describe(take_z_report(lane, by="k", now=nairobi(20, 18))), format, paper), format)
    assert "DISCOUNTS 68.90" in x and "DISCOUNTS 68.90" in z


@pytest.mark.parametrize(("format", "paper"), FORMS)
def test_a_z_report_that_kept_a_discount_as_a_float_had_it_can_be_printed(lane: Lane, format: str, paper: str) -> None:
    report = take_z_report(lane, by="k", now=nairobi(20, 18))
    report.figures["discounts"] = {"sales": "68.90000000000000568434188608", "credit_notes": "0.1000000000000000055"}
    told = describe(report)
    assert told["figures"]["discounts"] == {"sales": "68.90", "credit_notes": "0.10"}
    text = read(print_report(lane, told, format, paper), format)
    assert "DISCOUNTS 68.90" in text and "DISCOUNTS -0.10" in text


def test_an_empty_day_prints_the_rates_as_receipts_do() -> None:
    lane = opened(make_company().device)
    text = read(print_report(lane, x_report(lane, now=nairobi(20, 18)), "text", "80mm"), "text")
    table = "Rate Taxable VAT EX 0.00 0.00 16% 0.00 0.00 0% 0.00 0.00 Non-VAT 0.00 0.00 8% 0.00 0.00"
    assert text.count(table) == 2


def test_a_letter_that_nothing_used_has_the_rate_that_kra_gave_last(lane: Lane) -> None:
    Code.objects.create(
        environment="sandbox", code_class="04", code="C", name="C", value="2.50", valid_from=nairobi(1, 0)
    )
    text = read(print_report(lane, x_report(lane, now=nairobi(20, 18)), "text", "80mm"), "text")
    assert text.count("2.5% 0.00 0.00") == 2 and "16% 100.00 16.00" in text


def test_an_x_report_says_that_it_is_one_and_has_no_number(lane: Lane) -> None:
    text = read(print_report(lane, x_report(lane, now=nairobi(20, 18)), "text", "80mm"), "text")
    assert "X DAILY REPORT" in text and "REPORT NO." not in text and "NET TOTAL 216.00" in text


def test_no_line_is_wider_than_the_paper(lane: Lane) -> None:
    document(lane, nairobi(20, 13), line("B", 999_999_999_999_99))
    report = x_report(lane, now=nairobi(20, 18))
    for paper, width in (("80mm", 42), ("58mm", 32)):
        lines = print_report(lane, report, "text", paper).decode().splitlines()
        assert max(map(len, lines)) <= width
        assert any("999,999,999,999.99" in one or "1,000,000,000" in one for one in lines)


@pytest.mark.parametrize(("format", "paper"), FORMS)
def test_a_plu_report_names_each_item_on_every_paper(lane: Lane, format: str, paper: str) -> None:
    items = plu_report([lane], first_day=FRIDAY, last_day=FRIDAY)
    pieces = plu_pieces(items, seller=seller_of(lane), environment="sandbox", first_day=FRIDAY, last_day=FRIDAY)
    content = printed(
        pieces,
        lane=lane,
        label=Label.PLU_REPORT,
        wanted=form(format, paper),
        actor="key:owner",
        reference="PLU",
        total=total_of(items),
        table=items,
    )
    text = read(content, format)
    for words in ("PLU REPORT", "20/11/2026 - 20/11/2026", "SALT", "SUGAR", "50.00", "TOTAL 216.00"):
        assert words in text, words


def test_a_plu_report_of_a_quiet_interval_says_so(lane: Lane) -> None:
    day = date(2026, 12, 1)
    pieces = plu_pieces([], seller=seller_of(lane), environment="production", first_day=day, last_day=day)
    content = printed(
        pieces,
        lane=lane,
        label=Label.PLU_REPORT,
        wanted=form("pdf", "a4"),
        actor="k",
        reference="PLU",
        total=Decimal(0),
    )
    text = read(content, "pdf")
    assert "Nothing was sold in this interval." in text and "SANDBOX" not in text
