import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sales.receipts.document import receipt_document
from gateway.sales.receipts.html import receipt_html
from gateway.sales.receipts.qr import half_blocks, matrix
from gateway.sales.receipts.text import receipt_text
from tests.sales.pictures import read_half_blocks, read_png, read_svg, screenshot
from tests.sales.receipt_rows import (
    INTERNAL_DATA,
    RECEIPT_URL,
    SANDBOX_RECEIPT_URL,
    SIGNATURE,
    make_row,
    make_simulated_row,
)

PRODUCTION = f"{RECEIPT_URL}P051234567X00{SIGNATURE}"


def svg_of(html: str) -> str:
    return "<svg" + html.partition("<svg")[2].partition("</svg>")[0]


def code_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if set(line) & set("█▀▄")]


@pytest.mark.parametrize("receipt_url", [RECEIPT_URL, SANDBOX_RECEIPT_URL, "http://127.0.0.1:8100/r?Data="])
def test_the_code_on_the_page_opens_pin_branch_and_signature_at_kra(receipt_url):
    html = receipt_html(receipt_document(make_row(snapshot={"receipt_url": receipt_url, "branch_code": "07"})))
    assert read_svg(svg_of(html)) == f"{receipt_url}P051234567X07{SIGNATURE}"


@pytest.mark.parametrize("dark_terminal", [True, False])
@pytest.mark.parametrize("width", [42, 48, 80])
@pytest.mark.parametrize("receipt_url", [RECEIPT_URL, SANDBOX_RECEIPT_URL])
def test_the_code_in_the_text_says_the_same_on_a_dark_and_on_a_light_terminal(receipt_url, width, dark_terminal):
    document = receipt_document(make_row(snapshot={"receipt_url": receipt_url}))
    code = code_of(receipt_text(document, width=width, with_qr=True))
    assert max(map(len, code)) <= width
    assert read_half_blocks(code, dark_terminal=dark_terminal) == f"{receipt_url}P051234567X00{SIGNATURE}"


def test_where_the_code_has_no_room_the_address_stands_in_its_place():
    text = receipt_text(receipt_document(make_row()), width=32, with_qr=True)
    assert half_blocks(PRODUCTION, 32) is None
    assert not code_of(text) and PRODUCTION in text.replace("\n", "")


def test_without_asking_the_text_has_the_address_and_no_code():
    text = receipt_text(receipt_document(make_row()))
    assert not code_of(text) and PRODUCTION in text.replace("\n", "")


def test_the_code_without_a_network_is_there_for_those_who_ask():
    html = receipt_html(receipt_document(make_row(), offline_code=True))
    expected = f"21112026#000932#KRACU0100000001#14#{INTERNAL_DATA}#{SIGNATURE}"
    assert read_svg(svg_of(html)) == expected
    assert PRODUCTION in html  # the link is still there to be followed


def test_a_receipt_without_a_usable_link_has_no_code_and_is_printed_all_the_same():
    document = receipt_document(make_row(signature="SHORT123"))
    assert "<svg" not in receipt_html(document) and not code_of(receipt_text(document, with_qr=True))
    assert "SHOR-T123" in receipt_html(document)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([RECEIPT_URL, SANDBOX_RECEIPT_URL, "http://127.0.0.1:8100/r?Data="]),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=16, max_size=16)
    | st.text("0123456789", min_size=1, max_size=9),
)
def test_a_code_that_is_put_together_from_others_is_the_one_that_is_made_by_itself(url, signature):
    for content in (f"{url}P051234567X00{signature}", f"{url}{signature}"):
        head, equals, tail = content.partition("Data=")
        by_itself = segno.make_qr([head + equals, tail], error="m", mask=4).matrix  # type: ignore[arg-type]
        assert list(matrix(content)) == [bytes(row) for row in by_itself]


@pytest.mark.parametrize(("make", "width"), [(make_row, 390), (make_simulated_row, 820)])
def test_the_code_is_read_from_the_page_as_a_browser_shows_it(tmp_path, browser_program, make, width):
    row = make()
    page = tmp_path / "page.html"
    page.write_text(receipt_html(receipt_document(row)), encoding="utf-8")
    picture = screenshot(browser_program, page, width=width, height=1800)
    assert read_png(picture) == f"{row['snapshot']['receipt_url']}P051234567X00{SIGNATURE}"
