import json
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.kra import codes
from gateway.kra.codes import (
    DEFAULT_RATES,
    CreditNoteReason,
    ImportStatus,
    PaymentMethod,
    ProductType,
    PurchaseReceiptType,
    ReceiptType,
    Registration,
    StockReason,
    TaxClass,
    code_class,
    is_code,
)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("04", TaxClass),
        ("07", PaymentMethod),
        ("12", StockReason),
        ("24", ProductType),
        ("26", ImportStatus),
        ("31", Registration),
        ("32", CreditNoteReason),
        ("37", ReceiptType),
        ("38", PurchaseReceiptType),
    ],
)
def test_each_code_of_a_class_has_a_word_and_no_word_lacks_a_code(number, words):
    assert {str(word) for word in words} == set(code_class(number))


def test_words_lead_to_codes_and_back():
    assert PaymentMethod.from_word("mobile_money") is PaymentMethod.MOBILE_MONEY
    assert [method.word for method in PaymentMethod] == [
        "cash",
        "credit",
        "cash_credit",
        "cheque",
        "card",
        "mobile_money",
        "other",
    ]
    with pytest.raises(ValueError, match="mobile_money"):
        PaymentMethod.from_word("mpesa")


def test_the_direction_of_stock_is_in_the_reason():
    table = json.loads((Path(codes.__file__).parent / "data" / "codes.json").read_text())["classes"]["12"]["codes"]
    for row in table:
        assert StockReason(row["code"]).is_in is (row["direction"] == "in")
        assert StockReason(row["code"]).word.endswith(f"_{row['direction']}")


def test_codes_are_looked_up_in_their_class():
    assert is_code("17", "NT") and not is_code("17", "U") and is_code("10", "U")
    assert not is_code("99", "NT")
    assert code_class("17")["NT"].name and not code_class("10")["U"].fits_item_code
    with pytest.raises(KeyError):
        code_class("99")


def test_the_shipped_rates_are_percent_with_two_places():
    assert {letter.value: str(rate) for letter, rate in DEFAULT_RATES.items()} == {
        "A": "0.00",
        "B": "16.00",
        "C": "0.00",
        "D": "0.00",
        "E": "8.00",
    }
    assert all(type(rate) is Decimal for rate in DEFAULT_RATES.values())
