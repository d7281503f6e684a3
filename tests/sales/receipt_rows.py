"""Rows of sales_invoice as the hot route and Django read them, worked out by the product's own arithmetic."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gateway.kra.codes import DEFAULT_RATES, TaxClass
from gateway.kra.tax import AmountProfile, LineIn, figures

RECEIPT_URL = "https://etims.kra.go.ke/common/link/etims/receipt/indexEtimsReceiptData?Data="
SANDBOX_RECEIPT_URL = RECEIPT_URL.replace("etims.", "etims-sbx.", 1)
SIGNATURE = "QUII27MATATSHFRB"
INTERNAL_DATA = "EAHSAV6ECUUXSY6PCCJYAUP6MI"
PUBLIC_ID = uuid.UUID("0b2f4c1e-7a53-4d0e-9a7e-5a3c1f0d9b21")
DEVICE_ID = uuid.UUID("6d1c9b60-3a0f-4f64-8d3c-0c8f3f7f2a11")

Sold = tuple[str, str, str, str, str, str | None]  # name, letter, product type, quantity, price, discount percent

FIVE_LETTERS: list[Sold] = [
    ("Fresh milk 500ml", "A", "2", "4", "65.00", None),
    ("Beef fillet by weight", "B", "2", "0.2", "33600.00", "25"),
    ("Maize flour 2kg", "C", "2", "3", "210.00", None),
    ("County parking levy", "D", "2", "1", "50.00", None),
    ("Kerosene", "E", "2", "10", "216.50", None),
    ("Knife sharpening", "B", "3", "1", "300.00", None),
]


def figures_of(
    sold: Sequence[Sold] = FIVE_LETTERS,
    *,
    payments: Sequence[tuple[str, str]] = (),
    profile: AmountProfile = AmountProfile.INCLUSIVE_NET_BASE,
    prices_include_tax: bool = True,
) -> dict[str, Any]:
    """The figures column of a sale."""
    lines = [
        LineIn(Decimal(quantity), Decimal(price), TaxClass(letter), Decimal(percent) if percent else None)
        for _, letter, _, quantity, price, percent in sold
    ]
    done = figures(
        lines, rates=DEFAULT_RATES, profile=profile, prices_include_tax=prices_include_tax, quantity_decimals=3
    )
    return {
        "profile": profile.value,
        "prices_include_tax": prices_include_tax,
        "currency": "KES",
        "exchange_rate": None,
        "rates": {letter.value: f"{rate.normalize():f}" for letter, rate in DEFAULT_RATES.items()},
        "lines": [
            {
                "line": index,
                "item_code": f"SKU-{index}",
                "kra_code": f"KE{kind}NTTU{index:07}",
                "item_class": "5016150900",
                "name": name,
                "product_type": kind,
                "packaging_unit": "NT",
                "quantity_unit": "TU",
                "barcode": None,
                "quantity": quantity,
                "tax_type": letter,
                "unit_price": str(row.unit_price),
                "supply": str(row.supply),
                "discount_rate": str(row.discount_rate),
                "discount": str(row.discount),
                "net": str(row.net),
                "taxable": str(row.taxable),
                "tax": str(row.tax),
                "total": str(row.total),
            }
            for index, ((name, letter, kind, quantity, _, _), row) in enumerate(
                zip(sold, done.lines, strict=True), start=1
            )
        ],
        "net": {letter.value: str(value) for letter, value in done.net.items()},
        "tax": {letter.value: str(value) for letter, value in done.tax.items()},
        "taxable": {letter.value: str(value) for letter, value in done.taxable.items()},
        "total": str(done.total),
        "total_tax": str(done.total_tax),
        "total_net": str(done.total - done.total_tax),
        "discount": str(sum((row.discount for row in done.lines), Decimal("0.00"))),
        "payments": [
            {"method": method, "amount": amount} for method, amount in payments or [("cash", str(done.total))]
        ],
    }


def make_snapshot(**changes: Any) -> dict[str, Any]:
    """The snapshot column: a shop in Nairobi, on a real control unit."""
    return {
        "company": "Amani Stores Ltd",
        "pin": "P051234567X",
        "branch_code": "00",
        "branch_name": "Head office",
        "address": "Moi Avenue 12",
        "city": "Nairobi",
        "top_message": "Karibu sana",
        "bottom_message": "Thank you, come again",
        "device_serial": "AMANI-01",
        "environment": "production",
        "simulated": False,
        "receipt_url": RECEIPT_URL,
        "buyer_pin": "P052222222Z",
        "buyer_name": "Baraka Hotels Ltd",
        "cashier": "Wanjiru",
        "remark": None,
    } | changes


def make_row(**changes: Any) -> dict[str, Any]:
    """A signed sale of production, as the ORM's `values()` gives it; `snapshot=` may name only what differs."""
    snapshot = make_snapshot(**changes.pop("snapshot", {}))
    row = {
        "id": 7,
        "public_id": PUBLIC_ID,
        "device_public_id": DEVICE_ID,
        "kind": "sale",
        "reference": "POS-1",
        "environment": "production",
        "revision": 1,
        "status": "signed",
        "issued_at": datetime(2026, 11, 20, 8, 9, 30, tzinfo=UTC),
        "accepted_at": datetime(2026, 11, 20, 8, 9, 31, 250000, tzinfo=UTC),
        "figures": figures_of(payments=[("cash", "5000.00"), ("mobile_money", "3445.00")]),
        "snapshot": snapshot,
        "buyer_pin": snapshot["buyer_pin"] or "",
        "buyer_name": snapshot["buyer_name"] or "",
        "number": 152,
        "problem": None,
        "receipt_number": 14,
        "total_receipt_number": 15,
        "internal_data": INTERNAL_DATA,
        "signature": SIGNATURE,
        "signed_at": datetime(2026, 11, 20, 21, 9, 32, tzinfo=UTC),
        "control_unit_id": "KRACU0100000001",
        "machine_code": "WIS01006230",
        "recovered": False,
    }
    return row | changes


UNSIGNED = {
    "number": None,
    "receipt_number": None,
    "total_receipt_number": None,
    "internal_data": "",
    "signature": "",
    "signed_at": None,
    "control_unit_id": "",
    "machine_code": "",
}


def make_waiting_row(status: str = "queued", **changes: Any) -> dict[str, Any]:
    """A sale that is not signed."""
    return make_row(**UNSIGNED | {"status": status} | changes)


def make_simulated_row(**changes: Any) -> dict[str, Any]:
    """A sale that the simulator signed in the sandbox."""
    snapshot = {
        "environment": "sandbox",
        "simulated": True,
        "receipt_url": "http://127.0.0.1:8100/common/link/etims/receipt/indexEtimsReceiptData?Data=",
    } | changes.pop("snapshot", {})
    return make_row(**{"environment": "sandbox", "snapshot": snapshot, "control_unit_id": "SIMCU0100000001"} | changes)


def make_credit_note_row(**changes: Any) -> dict[str, Any]:
    """A signed credit note over the whole of that sale."""
    snapshot = {"original_cu_invoice_number": "KRACU0100000001/14"} | changes.pop("snapshot", {})
    return make_row(**{"kind": "credit_note", "reference": "CN-1", "number": 153, "snapshot": snapshot} | changes)
