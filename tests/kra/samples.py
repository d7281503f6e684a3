"""Documents to send, with good defaults."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gateway.kra.codes import DEFAULT_RATES, ProductType, TaxClass
from gateway.kra.documents import Credentials, ItemDocument, SaleDocument, SaleLine
from gateway.kra.tax import AmountProfile, LineIn, figures

KEY = "PLANTED+SECRET/KEY=="
SHOP = Credentials("P051234567X", "00", KEY, "GATEWAY-TEST-0001")
ISSUED = datetime(2026, 3, 1, 7, 15, 0, tzinfo=UTC)

SIGNED = {
    "curRcptNo": "15",
    "totRcptNo": "17",
    "intrlData": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "rcptSign": "ABCDEFGH23456723",
    "sdcDateTime": "20260301101531",
}


def make_sale(
    lines: int = 1, *, profile: AmountProfile = AmountProfile.INCLUSIVE_NET_BASE, **changes: Any
) -> SaleDocument:
    """A sale of sugar at 1 160.00 with tax."""
    basket = [LineIn(Decimal(2), Decimal("1160.00"), TaxClass.STANDARD)] * lines
    amounts = figures(basket, rates=DEFAULT_RATES, profile=profile, prices_include_tax=True)
    rows = [
        SaleLine(
            item_code="KE2NTTU0000001",
            item_class="5016150900",
            name="Brown sugar 1kg",
            packaging_unit="NT",
            quantity_unit="TU",
            quantity=line.quantity,
            tax_class=line.tax_class,
            figures=row,
        )
        for line, row in zip(basket, amounts.lines, strict=True)
    ]
    values: dict[str, Any] = {
        "kind": "sale",
        "reference": "INV-2026-000123",
        "issued_at": ISSUED,
        "lines": rows,
        "figures": amounts,
        "rates": DEFAULT_RATES,
        "tag": "rv:0123456789abcdef",
        **changes,
    }
    return SaleDocument(**values)


def make_item(**changes: Any) -> ItemDocument:
    values: dict[str, Any] = {
        "item_class": "5016150900",
        "name": "Brown sugar 1kg",
        "product_type": ProductType.FINISHED_PRODUCT,
        "packaging_unit": "NT",
        "quantity_unit": "TU",
        "tax_class": TaxClass.STANDARD,
        "default_price": Decimal("1160.00"),
        **changes,
    }
    return ItemDocument(**values)
