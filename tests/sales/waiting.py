"""Amani's invoices between till and receipt, and the lane that stands still for one of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.devices.models import Device
from gateway.lanes.models import Job, Lane
from gateway.sales.models import Invoice
from tests.api.rows import make_invoice

HELD = "The control unit did not answer, and it cannot be asked what it signed."
REFUSAL = {"code": "refused_by_kra", "detail": "KRA says no.", "fields": [], "kra": {"code": "910", "message": "no"}}


def make_refused(device: Device, reference: str = "POS-1", **changes: Any) -> Invoice:
    """An invoice that KRA refused, its job closed."""
    invoice = make_invoice(device, reference, status="refused", number=None, problem=REFUSAL, **changes)
    Job.objects.create(
        lane_id=device.lane_id, kind="invoice", document_id=invoice.pk, state="closed", turn=1, last_error="no"
    )
    return invoice


def make_queued(device: Device, reference: str = "POS-1") -> Invoice:
    """An invoice that waits its turn."""
    return make_invoice(device, reference, status="queued", number=None, problem=None)


def make_doubtful(
    device: Device, reference: str = "POS-1", *, number: int = 1, sent_seconds_ago: float = 600
) -> Invoice:
    """An invoice whose answer is missing, and its lane held for it."""
    unanswered_at = datetime.now(UTC) - timedelta(seconds=sent_seconds_ago)
    invoice = make_invoice(
        device, reference, status="unknown", number=number, unanswered_at=unanswered_at, problem=None
    )
    Job.objects.filter(document_id=invoice.pk).update(turn=2, number=number)
    Lane.objects.filter(pk=device.lane_id).update(
        hold_reason=HELD, held_at=unanswered_at, next_number=number, failures=3
    )
    return invoice


def job_of(invoice: Invoice) -> Job:
    return Job.objects.get(kind="invoice", document_id=invoice.pk)


def lane_of(invoice: Invoice) -> Lane:
    return Lane.objects.get(pk=invoice.lane_id)
