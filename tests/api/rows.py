"""Invoices as the engine leaves them, without an engine."""

from typing import Any

from gateway.devices.models import Device
from gateway.lanes.models import Job
from gateway.sales.models import Invoice
from tests.sales.receipt_rows import make_simulated_row, make_waiting_row


def make_invoice(device: Device, reference: str, *, status: str = "signed", **changes: Any) -> Invoice:
    """An invoice of a device; one that waits has its job in the lane."""
    row = make_simulated_row() if status == "signed" else make_waiting_row(status, environment="sandbox")
    columns = {name: value for name, value in row.items() if name not in {"id", "public_id", "device_public_id"}}
    numbered = {"number": Invoice.objects.count() + 1} if status == "signed" else {}
    made = {
        **columns,
        **numbered,
        "company_id": device.company_id,
        "environment": device.environment,
        "device": device,
        "lane_id": device.lane_id,
        "reference": reference,
        "content_hash": "v1:0",
        "content": {},
        "body": "{}",
        "tag": "rvp:0",
        "total": "0.00",
        "total_tax": "0.00",
        **changes,
    }
    invoice = Invoice.objects.create(**made)
    if status in {"queued", "sending", "unknown"}:
        state = "queued" if status == "queued" else "started"
        Job.objects.create(lane_id=device.lane_id, kind="invoice", document_id=invoice.pk, state=state)
    return invoice
