"""The receipt's page as people meet it: on a phone, with a screen reader, printed by the browser itself."""

import io
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from pypdf import PdfReader

from gateway.sales.receipts.document import receipt_document
from gateway.sales.receipts.html import receipt_html
from gateway.sales.receipts.labels import ReceiptType
from gateway.sales.receipts.languages import Language
from tests.sales.receipt_rows import figures_of, make_credit_note_row, make_row, make_simulated_row, make_waiting_row
from tests.sales.test_receipt_forms import SALE

AXE = Path(__file__).parent.parent / "vendor" / "axe.min.js"
LONG = {"buyer_name": "W" * 60, "company": "The Very Long Name Of A Company Of Many Partners And Sons Limited"}
PAGES = {
    "sale": receipt_html(receipt_document(make_row())),
    "view": receipt_html(receipt_document(make_row()), is_view=True, pdf_action="/receipts/x.pdf"),
    "copy in Kiswahili": receipt_html(
        receipt_document(make_row(), type=ReceiptType.COPY, language=Language.SWAHILI), pdf_action="/receipts/x.pdf"
    ),
    "credit note": receipt_html(receipt_document(make_credit_note_row())),
    "proforma": receipt_html(receipt_document(make_waiting_row(), type=ReceiptType.PROFORMA)),
    "simulated": receipt_html(receipt_document(make_simulated_row(snapshot=LONG))),
    "slip": receipt_html(receipt_document(make_waiting_row("refused", problem={"detail": "KRA said no."}))),
}


@pytest.fixture(scope="module")
def chromium(browser_program: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(chromium: Browser, html: str, width: int, height: int = 800) -> Page:
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.set_content(html)
    return page


@pytest.mark.parametrize("name", list(PAGES))
def test_axe_finds_nothing_serious(chromium: Browser, name: str) -> None:
    for width in (360, 1200):
        page = opened(chromium, PAGES[name], width)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run().then(result => result.violations)")
        page.close()
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == [], found


@pytest.mark.parametrize("name", list(PAGES))
def test_nothing_sticks_out_on_any_width(chromium: Browser, name: str) -> None:
    for width, media in ((320, "screen"), (390, "screen"), (1200, "screen"), (272, "print"), (760, "print")):
        page = opened(chromium, PAGES[name], width)
        page.emulate_media(media=media)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (width, media)
        outside = page.evaluate(
            """() => [...document.querySelectorAll("td, th, dd, dt, p, h1, h2, svg, button")]
            .filter(one => !one.closest(".watermark") && one.getClientRects().length)
            .map(one => [one.getBoundingClientRect(), one.textContent])
            .filter(([at, text]) => at.left < -0.5 || at.right > innerWidth + 0.5)
            .map(([at, text]) => text)"""
        )
        page.close()
        assert outside == [], (width, media)


@pytest.mark.parametrize(("width", "height"), [("80mm", "2000mm"), ("210mm", "297mm")])
def test_the_browser_s_own_pdf_cuts_nothing(chromium: Browser, width: str, height: str) -> None:
    page = opened(chromium, PAGES["sale"], 390)
    content = page.pdf(width=width, height=height)
    page.close()
    text = "".join(one.extract_text() for one in PdfReader(io.BytesIO(content)).pages)
    squeezed = "".join(unicodedata.normalize("NFKC", text).split())  # it prints ligatures
    for line in SALE:
        for word in line.replace(" goods ", " ").replace(" service ", " ").split():
            assert word in squeezed, (line, word)


def test_a_long_sale_is_printed_by_the_browser_to_its_last_line(chromium: Browser) -> None:
    figures = figures_of([(f"Article {number}", "B", "2", "1", "100.00", None) for number in range(120)])
    page = opened(chromium, receipt_html(receipt_document(make_row(figures=figures))), 800)
    pages = PdfReader(io.BytesIO(page.pdf(width="210mm", height="297mm"))).pages
    page.close()
    text = "".join(one.extract_text() for one in pages)
    assert len(pages) > 2 and all(f"Article {number}" in text for number in range(120)) and "TIS INFORMATION" in text


def test_the_notices_are_twice_as_large_as_any_amount(chromium: Browser) -> None:
    html = receipt_html(receipt_document(make_row(), type=ReceiptType.COPY))
    for media in ("screen", "print"):
        page = opened(chromium, html, 390)
        page.emulate_media(media=media)
        size = "one => parseFloat(getComputedStyle(one).fontSize)"
        amounts = page.evaluate(f"[...document.querySelectorAll('td')].map({size})")
        notices = page.evaluate(f"[...document.querySelectorAll('.notice')].map({size})")
        page.close()
        assert len(notices) == 2 and min(notices) >= 2 * max(amounts)


def test_a_look_shows_the_receipt_and_prints_a_copy(chromium: Browser) -> None:
    page = opened(chromium, PAGES["view"], 390)
    assert page.get_by_text("THIS IS NOT AN OFFICIAL RECEIPT").is_hidden()
    assert page.get_by_role("button", name="Download as PDF").is_visible()
    assert page.locator(".watermark").is_hidden()
    page.emulate_media(media="print")
    assert page.get_by_text("THIS IS NOT AN OFFICIAL RECEIPT").is_visible()
    assert page.locator("p.notice", has_text="COPY").is_visible() and page.locator(".watermark").is_visible()
    assert page.get_by_role("button").is_hidden()
    page.close()
