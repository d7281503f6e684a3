"""Each line of the TIS specification's receipt, held against the text and against the page."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from gateway.kra.tax import AmountProfile
from gateway.sales.receipts.document import receipt_document
from gateway.sales.receipts.html import CONTENT_SECURITY_POLICY, missing_html, receipt_html
from gateway.sales.receipts.text import receipt_text
from tests.sales.receipt_rows import (
    RECEIPT_URL,
    SIGNATURE,
    figures_of,
    make_credit_note_row,
    make_row,
    make_simulated_row,
    make_waiting_row,
)


class Page(HTMLParser):
    """What a reader of the page gets to read, in order, and which tags there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if self._hidden or tag in {"style", "title"} or ("aria-hidden", "true") in attrs:
            self._hidden += tag in {"style", "title", "div", "span"}

    def handle_endtag(self, tag):
        if self._hidden and tag in {"style", "title", "div", "span"}:
            self._hidden -= 1

    def handle_data(self, data):
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return squeeze("".join(self.words))


def squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def shown(row):
    """The text at 80 columns and the words of the page, each in one line."""
    document = receipt_document(row)
    return squeeze(receipt_text(document, width=80)), Page(receipt_html(document)).text


BOTH = pytest.mark.parametrize("form", ["text", "page"])


def form_of(row, form):
    return shown(row)[0 if form == "text" else 1]


# Rules of the TIS specification v2.0 for a normal sale, in its order: each entry must stand after the one before it
NORMAL_SALE = {
    "text": [
        "Amani Stores Ltd",
        "Moi Avenue 12, Nairobi",
        "PIN: P051234567X",
        "TAX INVOICE",
        "Karibu sana",
        "Buyer PIN: P052222222Z",
        "Buyer name: Baraka Hotels Ltd",
        "Fresh milk 500ml [goods] 65.00 x 4 260.00A-EX",
        "Beef fillet by weight [goods] 33,600.00 x 0.2 6,720.00B",
        "Discount -25% (1,680.00)",
        "Maize flour 2kg [goods] 210.00 x 3 630.00C",
        "County parking levy [goods] 50.00 x 1 50.00D",
        "Kerosene [goods] 216.50 x 10 2,165.00E",
        "Knife sharpening [service] 300.00 x 1 300.00B",
        "TOTAL BEFORE DISCOUNT 10,125.00",
        "TOTAL DISCOUNT AWARDED (1,680.00)",
        "TOTAL EXEMPT 260.00",
        "SUB TOTAL 7,548.08",
        "VAT 896.92",
        "TOTAL 8,445.00",
        "CASH 5,000.00",
        "MOBILE MONEY 3,445.00",
        "ITEMS NUMBER 6",
        "Rate Taxable VAT",
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
    ],
}
NORMAL_SALE["page"] = [
    re.sub(r"\[(goods|service)\]", r"\1", line).replace("Rate Taxable VAT", "RateTaxableVAT")
    for line in NORMAL_SALE["text"]
]


def stripped(text: str) -> str:
    return text.replace(" ", "")


@BOTH
def test_a_normal_sale_shows_every_line_that_kra_asks_for_in_kra_s_order(form):
    rest = stripped(form_of(make_row(), form))
    for line in NORMAL_SALE[form]:
        before, found, rest = rest.partition(stripped(line))
        assert found, f"{line!r} is missing after {before[-80:]!r}"


def test_the_page_keeps_the_place_of_kra_s_logo_before_everything_else():
    html = receipt_html(receipt_document(make_row()))
    assert html.index('data-place="kra-logo"') < html.index("Amani Stores Ltd")


def test_the_qr_code_stands_between_the_control_unit_s_block_and_ours():
    html = receipt_html(receipt_document(make_row()))
    assert html.index("SCU INFORMATION") < html.index("<svg ") < html.index("TIS INFORMATION")
    text = receipt_text(receipt_document(make_row()), with_qr=True)
    assert text.index("SCU INFORMATION") < text.index("█") < text.index("TIS INFORMATION")


@BOTH
@pytest.mark.parametrize("profile", list(AmountProfile))
def test_the_tax_table_shows_net_amounts_whatever_the_profile(form, profile):
    figures = figures_of([("Tea", "B", "2", "1", "100.00", None)], profile=profile)
    assert "16%86.2113.79" in stripped(form_of(make_row(figures=figures), form))


@BOTH
def test_all_five_rates_are_printed_for_a_sale_that_uses_one(form):
    text = stripped(form_of(make_row(figures=figures_of([("Tea", "B", "2", "1", "100.00", None)])), form))
    assert "EX0.000.0016%86.2113.790%0.000.00Non-VAT0.000.008%0.000.00" in text


@BOTH
def test_the_rates_are_those_the_sale_was_worked_out_with(form):
    figures = figures_of([("Tea", "B", "2", "1", "100.00", None)])
    figures["rates"] |= {"B": "14.00", "E": "0"}
    text = stripped(form_of(make_row(figures=figures), form))
    assert "14%86.2113.79" in text and "Non-VAT0.000.000%0.000.00" in text


@BOTH
def test_prices_without_vat_are_said_to_be_without_vat_and_add_up_to_the_sub_total(form):
    figures = figures_of(
        [("Tea", "B", "2", "2", "100.00", "10")], profile=AmountProfile.EXCLUSIVE, prices_include_tax=False
    )
    text = stripped(form_of(make_row(figures=figures), form))
    assert "PriceswithoutVAT" in text
    assert (
        "TOTALBEFOREDISCOUNT200.00TOTALDISCOUNTAWARDED(20.00)TOTALEXEMPT0.00SUBTOTAL180.00VAT28.80TOTAL208.80" in text
    )


@BOTH
def test_a_discount_given_as_an_amount_shows_its_percentage(form):
    figures = figures_of([("Tea", "B", "2", "3", "100.00", None)])
    figures["lines"][0] |= {"discount": "20.00", "discount_rate": "0.00"}
    figures["discount"] = "20.00"
    assert "Discount-6.67%(20.00)" in stripped(form_of(make_row(figures=figures), form))


@BOTH
def test_no_discount_no_buyer_and_no_messages_leave_no_empty_lines_behind(form):
    quiet = {"buyer_pin": None, "buyer_name": None, "top_message": "", "bottom_message": "", "cashier": None}
    text = form_of(make_row(snapshot=quiet, figures=figures_of([("Tea", "B", "2", "1", "100.00", None)])), form)
    assert "Buyer" not in text and "Discount" not in text and "Served by" not in text and "None" not in text
    assert "TOTALDISCOUNTAWARDED0.00" in stripped(text)


@BOTH
def test_foreign_currency_is_named_with_its_rate_beside_shillings(form):
    figures = figures_of() | {"currency": "USD", "exchange_rate": "129.50"}
    assert "All amounts in KES" in form_of(make_row(figures=figures), form)
    assert "USD1=KES129.5" in stripped(form_of(make_row(figures=figures), form))


# Which receipts are real


@BOTH
def test_a_real_receipt_carries_no_mark(form):
    assert "NOT A TAX INVOICE" not in form_of(make_row(), form)


@BOTH
def test_a_simulated_receipt_is_marked_at_both_ends(form):
    text = form_of(make_simulated_row(), form)
    assert text.count("SIMULATED – NOT A TAX INVOICE") == 2  # noqa: RUF001
    assert text.index("SIMULATED") < text.index("Amani Stores Ltd")
    assert "Check it at the simulator" in text and "Check it at KRA" not in text


@BOTH
@pytest.mark.parametrize("environment", ["sandbox", "", "Production"])
def test_whatever_is_not_plainly_production_is_marked_as_sandbox(form, environment):
    assert form_of(make_row(environment=environment), form).count("SANDBOX – NOT A TAX INVOICE") == 2  # noqa: RUF001


@BOTH
def test_a_simulated_control_unit_gives_itself_away_in_production_too(form):
    assert "SIMULATED" in form_of(make_row(control_unit_id="SIMCU0100000001"), form)


def test_the_page_s_title_and_background_carry_the_mark():
    html = receipt_html(receipt_document(make_simulated_row()))
    assert "SIMULATED" in html.partition("<title>")[2].partition("</title>")[0]
    assert html.partition('class="watermark"')[2].count("SIMULATED") > 20


# Credit notes


@BOTH
def test_a_credit_note_names_its_original_and_is_negative_throughout(form):
    text = form_of(make_credit_note_row(), form)
    rest = stripped(text)
    for line in (
        "CREDIT NOTE",
        "CREDIT NOTE IS APPROVED ONLY FOR ORIGINAL SALES RECEIPT",
        "ORIGINAL CU INVOICE NO.#: KRACU0100000001/14 NS",
        "33,600.00 x 0.2 -5,040.00B",
        "Price reduction -25%",
        "TOTAL -8,445.00",
        "TOTAL A-EX -260.00",
        "TOTAL B-16.00% -5,340.00",
        "TOTAL TAX B -736.55",
        "TOTAL TAX E -160.37",
        "TOTAL TAX -896.92",
        "CASH -5,000.00",
        "16% -4,603.45 -736.55",
        "CU INVOICE NO.: KRACU0100000001/14 NC",
        "RECEIPT COUNTER: 14/15 NC",
    ):
        _, found, rest = rest.partition(stripped(line))
        assert found, f"{line!r} is missing"
    assert "TAX INVOICE" not in text and not re.search(r"(?<!C)-0\.00", text) and "TOTAL BEFORE DISCOUNT" not in text


def test_a_credit_note_without_its_original_s_number_is_not_printed():
    with pytest.raises(ValueError, match="original"):
        receipt_document(make_credit_note_row(snapshot={"original_cu_invoice_number": ""}))


# What is not signed

SLIPS = ["queued", "sending", "unknown", "refused", "cancelled"]
ANY_WORD_OF_A_RECEIPT = re.compile(r"receipt|scu\b|tis\b|signature|cu id|\bVAT\b|\bPIN\b|KRACU|QUII", re.IGNORECASE)


@BOTH
@pytest.mark.parametrize("status", SLIPS)
def test_an_unsigned_sale_gives_a_slip_that_cannot_pass_for_a_receipt(form, status):
    for row in (make_waiting_row(status), make_row(status=status)):  # even if a row had its fiscal columns
        text = form_of(row, form)
        assert text.count("NOT A TAX INVOICE") >= 2
        assert text.count("TAX INVOICE") == text.count("NOT A TAX INVOICE")
        assert "PROVISIONAL SLIP" in text and "8,445.00" in text and "POS-1" in text
        assert not ANY_WORD_OF_A_RECEIPT.search(text)
        assert ("NOT YET FISCALISED" in text) == (status != "cancelled")


@pytest.mark.parametrize("status", SLIPS)
def test_a_slip_has_no_qr_code_and_no_link_even_if_asked(status):
    document = receipt_document(make_row(status=status), offline_code=True)
    text, html = receipt_text(document, with_qr=True), receipt_html(document)
    assert document.qr_content is None and document.link is None and document.control_unit is None
    assert "█" not in text and "http" not in text
    assert "<svg" not in html and "href" not in html and SIGNATURE not in html and "receipt" not in html.lower()


@BOTH
def test_an_unknown_sale_is_called_neither_signed_nor_failed(form):
    row = make_waiting_row("unknown", problem={"code": "x", "detail": "KRA refused it"})
    text = form_of(row, form)
    assert "Sent to KRA. No answer came; we are asking KRA what it has." in text
    assert not re.search(r"signed|refused|failed|not accepted", text, re.IGNORECASE)


@BOTH
def test_a_refused_sale_shows_the_reason(form):
    problem = {
        "code": "refused_by_kra",
        "detail": "KRA does not know item SKU-2.",
        "fields": [{"field": "lines[1].item_code", "code": "910", "message": "not registered"}],
        "kra": {"code": "910", "message": "Request parameter error"},
    }
    text = form_of(make_waiting_row("refused", problem=problem), form)
    for sentence in (
        "Not accepted. KRA does not know item SKU-2.",
        "lines[1].item_code: not registered",
        "KRA's answer: 910 Request parameter error",
    ):
        assert stripped(sentence) in stripped(text)


@BOTH
def test_a_slip_of_the_sandbox_says_that_too(form):
    assert "SANDBOX" in form_of(make_waiting_row(environment="sandbox"), form)


# Names are only names


NASTY = "<script>alert(\"1\")</script> & 'Söns' \x1b[31m\u202e{{ document }}\nTOTAL 0.00"


@pytest.mark.parametrize("make", [make_row, make_waiting_row])
def test_names_are_shown_as_text_and_never_become_markup(make):
    names = dict.fromkeys(
        ("company", "branch_name", "address", "city", "top_message", "bottom_message", "cashier", "remark"), NASTY
    )
    row = make(
        reference=NASTY,
        figures=figures_of([(NASTY, "B", "2", "1", "100.00", None)]),
        snapshot=names | {"buyer_name": NASTY, "buyer_pin": NASTY},
    )
    html = receipt_html(receipt_document(row))
    assert "<script" not in html and "&lt;script&gt;" in html and "{{ document }}" in html
    text = receipt_text(receipt_document(row))
    for shape in (html, text):
        assert not any(character in shape for character in "\x1b\u202e")


# The page itself


@pytest.mark.parametrize("make", [make_row, make_simulated_row, make_credit_note_row, make_waiting_row])
def test_the_page_loads_nothing_and_runs_nothing(make):
    page = Page(receipt_html(receipt_document(make())))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "form", "object"}
    assert not any(name == "style" or name.startswith("on") for _, attributes in page.tags for name in attributes)
    html = receipt_html(receipt_document(make()))
    assert "url(" not in html and "@import" not in html


def test_the_policy_allows_the_page_s_own_style_and_nothing_else():
    for html in (receipt_html(receipt_document(make_row())), missing_html()):
        style = html.partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}';" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none';")


def test_the_page_can_be_read_aloud():
    page = Page(receipt_html(receipt_document(make_row())))
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags if tag in {"h1", "h2"}] == ["h1", "h2", "h2"]
    tables = sum(tag == "table" for tag, _ in page.tags)
    assert tables == sum(tag == "caption" for tag, _ in page.tags) == 4
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"] == ["QR code of this invoice"]


def test_the_page_links_to_kra_without_telling_kra_where_the_reader_came_from():
    page = Page(receipt_html(receipt_document(make_row())))
    links = [attributes for tag, attributes in page.tags if tag == "a"]
    assert links == [{"href": f"{RECEIPT_URL}P051234567X00{SIGNATURE}", "rel": "noreferrer noopener"}]
