from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sales.receipts.document import amount, receipt_document
from gateway.sales.receipts.text import LEAST_WIDTH, cells, receipt_text, wrap
from tests.sales.receipt_rows import figures_of, make_credit_note_row, make_row, make_waiting_row

WIDTHS = st.integers(LEAST_WIDTH, 120)
NAMES = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="日本語 é́ńﬀ\u0301\u200d👩 abc<>&", max_size=60),
    st.text(alphabet="abcdefgh", min_size=80, max_size=200),
)
SOLD = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from("ABCDE"),
        st.sampled_from("123"),
        st.integers(1, 9_999).map(str),
        st.decimals(Decimal("0.00"), Decimal("999999999.99"), places=2).map(str),
        st.sampled_from([None, "5", "33.33", "100"]),
    ),
    min_size=1,
    max_size=5,
)
ROWS = st.sampled_from([make_row, make_credit_note_row, make_waiting_row])


@given(sold=SOLD, name=NAMES, width=WIDTHS, make=ROWS, with_qr=st.booleans(), simulated=st.booleans())
def test_no_line_is_wider_than_the_paper_and_no_amount_is_cut(sold, name, width, make, with_qr, simulated):
    names = {"company": name, "buyer_name": name, "remark": name, "address": name, "simulated": simulated}
    document = receipt_document(make(figures=figures_of(sold), snapshot=names, reference=name[:50]))
    lines = receipt_text(document, width=width, with_qr=with_qr).splitlines()
    assert all(cells(line) <= width for line in lines)
    # each amount stands whole on one line
    words = {word for line in lines for word in line.split()}
    for line in document.lines:
        assert {amount(line.unit_price), amount(line.amount)} <= {word.rstrip("ABCDEX-") for word in words} | words
    assert amount(document.total) in words
    if document.control_unit:
        assert all({amount(row.taxable), amount(row.tax)} <= words for row in document.tax_table)


def test_the_largest_amounts_kra_takes_fit_the_narrowest_paper():
    largest = "9999999999999999.99"
    figures = figures_of([("Refinery", "A", "2", "1", "100.00", None)], payments=[("cash", largest)])
    figures["lines"][0] |= {
        "unit_price": largest,
        "supply": largest,
        "discount": largest,
        "quantity": "99999999999.999",
    }
    figures |= {"total": largest, "total_tax": largest, "total_net": largest, "discount": largest}
    figures["net"] = figures["tax"] = dict.fromkeys("ABCDE", largest)
    text = receipt_text(receipt_document(make_row(figures=figures)), width=LEAST_WIDTH)
    assert max(map(len, text.splitlines())) <= LEAST_WIDTH
    assert "9,999,999,999,999,999.99A-EX" in text and "(9,999,999,999,999,999.99)" in text
    assert "Non-VAT VAT\n" in text and "99,999,999,999.999" in text


def test_paper_narrower_than_a_receipt_is_refused():
    with pytest.raises(ValueError, match="at least 32"):
        receipt_text(receipt_document(make_row()), width=31)


@given(st.text(max_size=300), WIDTHS)
def test_wrapping_loses_nothing_but_spaces(text, width):
    assert "".join("".join(wrap(text, width)).split()) == "".join(text.split())


def test_wide_letters_count_for_the_cells_they_take():
    assert [cells(text) for text in ("abc", "日本", "é", "")] == [3, 4, 1, 0]
    assert wrap("日本語日本語", 4) == ["日本", "語日", "本語"]
