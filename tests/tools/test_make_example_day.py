"""The example day: made by a program, and a day that KRA's rules allow."""

import json
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.kra.codes import DEFAULT_RATES, TaxClass
from gateway.kra.tax import AmountProfile, LineIn, figures
from gateway.simulator.classes import item_classes
from tools.make_example_day import EXAMPLES, day

DAY = EXAMPLES / "supermarket-day.jsonl"
ITEMS = json.loads(Path(EXAMPLES / "items.json").read_text(encoding="utf-8"))["items"]
SALES = [json.loads(line) for line in DAY.read_text(encoding="utf-8").splitlines()]
CATALOGUE = {item["code"]: item for item in ITEMS}


def test_the_file_is_what_its_program_makes():
    assert DAY.read_text(encoding="utf-8") == day(ITEMS)


def test_every_item_has_a_class_that_allows_its_tax_letter():
    classes = item_classes()
    for item in ITEMS:
        assert classes[item["item_class"]].tax in {None, item["tax_type"]}, item["code"]


def test_codes_and_barcodes_name_one_item_each():
    barcodes = [item["barcode"] for item in ITEMS if "barcode" in item]
    assert len(CATALOGUE) == len(ITEMS)
    assert len(set(barcodes)) == len(barcodes)
    for code in barcodes:  # EAN-13
        assert sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(code)) % 10 == 0


def test_the_day_shows_what_tills_send():
    lines = [line for sale in SALES for line in sale["lines"]]
    letters = Counter(CATALOGUE[line["item_code"]]["tax_type"] for line in lines)
    assert len(SALES) == 300
    assert set(letters) == {"A", "B", "C", "D", "E"}
    assert any("discount_percent" in line for line in lines)
    assert any("discount_amount" in line for line in lines)
    assert any("." in line["quantity"] for line in lines)
    assert any(CATALOGUE[line["item_code"]]["product_type"] == "service" for line in lines)
    assert any("pin" in sale.get("customer", {}) for sale in SALES)
    assert any("payments" in sale for sale in SALES)
    assert {sale["payment_method"] for sale in SALES if "payment_method" in sale} >= {"cash", "mobile_money", "card"}


def test_sales_are_in_the_order_of_the_day_with_a_reference_each():
    moments = [datetime.fromisoformat(sale["issued_at"]) for sale in SALES]
    assert moments == sorted(moments)
    assert len({sale["reference"] for sale in SALES}) == len(SALES)
    assert {moment.isoformat()[:10] for moment in moments} == {"2026-11-20"}


@pytest.mark.parametrize("sale", [sale for sale in SALES if "totals" in sale], ids=lambda sale: sale["reference"])
def test_totals_that_the_till_gives_are_those_that_the_gateway_works_out(sale):
    lines = [
        LineIn(
            Decimal(line["quantity"]),
            Decimal(line["unit_price"]),
            TaxClass(CATALOGUE[line["item_code"]]["tax_type"]),
            Decimal(line["discount_percent"]) if "discount_percent" in line else None,
            Decimal(line["discount_amount"]) if "discount_amount" in line else None,
        )
        for line in sale["lines"]
    ]
    result = figures(lines, rates=DEFAULT_RATES, profile=AmountProfile.INCLUSIVE_NET_BASE, prices_include_tax=True)
    assert sale["totals"] == {"amount": str(result.total), "tax": str(result.total_tax)}
    if "payments" in sale:
        assert sum(Decimal(payment["amount"]) for payment in sale["payments"]) == result.total
