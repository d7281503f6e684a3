"""Invoices laid into the database as they are after signing, for tests of what is made from them."""

from typing import Any

from gateway.devices.models import Device
from gateway.lanes.models import Lane
from gateway.sales.models import Invoice
from gateway.tenants.models import Branch, Company


def make_shop(pin: str = "P051234567X", environment: str = "production") -> dict[str, Any]:
    """A company with one active device; what an invoice has to belong to."""
    company = Company.objects.create(pin=pin, name="Amani Stores Ltd")
    branch = Branch.objects.create(company=company, code="00", name="Head office")
    lane = Lane.objects.create(
        company=company, environment=environment, pin=pin, branch="00", series=Lane.Series.INVOICE
    )
    device = Device.objects.create(
        company=company, branch=branch, environment=environment, serial=f"AMANI-{pin}", profile="p", lane=lane
    )
    return {"company": company, "lane": lane, "device": device}


def store(shop: dict[str, Any], row: dict[str, Any]) -> Invoice:
    """Keep a row of tests.sales.receipt_rows as an invoice of the shop."""
    fields = {name: value for name, value in row.items() if name not in {"id", "device_public_id", "public_id"}}
    figures = row["figures"]
    return Invoice.objects.create(
        **shop,
        **fields,
        content_hash="v1:00",
        content={},
        body="{}",
        tag="tag",
        total=figures["total"],
        total_tax=figures["total_tax"],
    )
