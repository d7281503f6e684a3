import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kra.wire import basics, branches, fields, items, purchases, sales, stock
from gateway.kra.wire.fields import Unreadable
from tests.kra.spec import SPEC

READERS = [
    sales.read_signature,
    sales.read_invoices,
    items.read_items,
    basics.read_code_classes,
    basics.read_item_classes,
    branches.read_branches,
    branches.read_customers,
    branches.read_notices,
    branches.read_taxpayers,
    branches.read_taxpayer_info,
    purchases.read_imports,
    purchases.read_supplier_sales,
    stock.read_transfers,
]
NAMES = sorted({name for entry in SPEC.values() for name in json.dumps(entry["response"]).split('"') if name.isalnum()})
values = st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=20)
rows = st.dictionaries(st.sampled_from(NAMES), values | st.lists(st.dictionaries(st.sampled_from(NAMES), values)))
answers = values | st.dictionaries(st.sampled_from(NAMES), rows | st.lists(rows, max_size=3))


@given(st.sampled_from(READERS), answers)
def test_whatever_kra_sends_is_read_or_called_unreadable(reader, data):
    try:
        reader(data)
    except Unreadable as error:
        assert str(error)


@given(rows)
def test_an_activation_is_read_or_called_unreadable(info):
    try:
        basics.read_activation({"data": {"info": info}})
    except Unreadable as error:
        assert str(error)


@pytest.mark.parametrize(("given_value", "kept"), [("1.5", "1.50"), (3, "3.00"), ("1.005", "1.005"), (None, "0.00")])
def test_an_amount_is_kept_as_received(given_value, kept):
    assert str(fields.amount({"x": given_value}, "x")) == kept


def test_a_refused_field_is_told_in_our_words():
    assert fields.our_path(["itemList", "taxblAmt"]) == "lines.taxable"
    assert fields.our_path(["unheardOf"]) == "unheardOf"
    assert fields.our_path([]) is None
