"""What the owner of an invoice may do: correct it or ask for it again while it is refused, withdraw it while it waits.

Each is one transaction that locks the lane first, as the engine does, then the job and the invoice; each writes only
what is still as it was read, and leaves an event that says who did it. So of two that act at once, one wins, whole.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from gateway.audit.services import record
from gateway.devices.models import Device
from gateway.devices.services import DeviceNotReady
from gateway.lanes import local
from gateway.lanes.actions import lock_lane, lock_lane_and_stock
from gateway.lanes.models import Job
from gateway.lanes.services import queue_job
from gateway.sales.crediting import fits_again
from gateway.sales.models import Contact, Invoice, Revision

JOB_KIND = "invoice"
ON_ITS_WAY = frozenset({Invoice.Status.QUEUED, Invoice.Status.SENDING, Invoice.Status.UNKNOWN})
CORRECTED = (
    "content_hash",
    "content",
    "figures",
    "snapshot",
    "body",
    "tag",
    "issued_at",
    "buyer_pin",
    "buyer_name",
    "total",
    "total_tax",
    "device_id",
)


class InvoiceUnknown(Exception):
    """The company has no such invoice in this environment, or the key's device did not post it."""


class NotRefused(Exception):
    """Only a refused invoice can be asked for again; `status` is what it is."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class TooLate(Exception):
    """Its turn has begun or is over, so it cannot be withdrawn; `status` is what it is."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@transaction.atomic
def correct_invoice(*, invoice_id: int, revision: int, row: Mapping[str, Any]) -> bool:
    """Replace a refused invoice by what its owner sent now, keep what it was, and queue it again.

    False when it is not refused any more or was corrected by somebody else meanwhile; then nothing is written.
    """
    invoice = _lock(*Invoice.objects.values_list("lane_id", "pk", "kind").get(pk=invoice_id))
    changed = Invoice.objects.filter(pk=invoice.pk, status=Invoice.Status.REFUSED, revision=revision).update(
        **{name: row[name] for name in CORRECTED},
        revision=revision + 1,
        status=Invoice.Status.QUEUED,
        problem=None,
        settled_at=None,
    )
    if not changed:
        return False
    Revision.objects.create(
        invoice=invoice, revision=revision, content=invoice.content, problem=invoice.problem, tag=invoice.tag
    )
    Contact.objects.filter(invoice=invoice).delete()
    if row.get("phone") or row.get("email"):
        Contact.objects.create(invoice=invoice, phone=row.get("phone") or "", email=row.get("email") or "")
    tell_of(invoice, "invoice.corrected", revision=revision + 1)
    queue_job(invoice.lane, kind=JOB_KIND, document_id=invoice.pk)
    return True


@transaction.atomic
def retry_invoice(
    *, company_id: int, environment: str, public_id: uuid.UUID, actor: str, device: uuid.UUID | None = None
) -> Invoice:
    """Queue a refused invoice again, unchanged, at the end of its lane. One that is on its way is left as it is.

    The reference, the content and the bytes for KRA stay; the number is the lane's next when its turn comes. `device`
    is the only one whose invoices the caller may touch. Raises InvoiceUnknown; NotRefused when it is signed or
    cancelled; DeviceNotReady when its device signs no more, for then it would hold the lane; NotCreditable when it is a
    credit note and what it takes of its sale is no longer there.
    """
    invoice = _find(company_id, environment, public_id, device)
    if invoice.status in ON_ITS_WAY:
        return invoice
    if invoice.status != Invoice.Status.REFUSED:
        raise NotRefused(invoice.status)
    if invoice.device.status not in (Device.Status.ACTIVE, Device.Status.TROUBLE):
        raise DeviceNotReady(f"the device {invoice.device.serial} that it was posted for is {invoice.device.status}")
    if invoice.original_id is not None:
        fits_again(invoice)
    problem = invoice.problem
    Invoice.objects.filter(pk=invoice.pk, status=Invoice.Status.REFUSED).update(
        status=Invoice.Status.QUEUED, problem=None, settled_at=None
    )
    tell_of(invoice, "invoice.retried", actor=actor, revision=invoice.revision, problem=problem)
    queue_job(invoice.lane, kind=JOB_KIND, document_id=invoice.pk)
    invoice.refresh_from_db()
    return invoice


@transaction.atomic
def cancel_invoice(
    *, company_id: int, environment: str, public_id: uuid.UUID, actor: str, device: uuid.UUID | None = None
) -> Invoice:
    """Withdraw an invoice whose turn has not begun; the lane goes on without it. A second call changes nothing.

    The lane's lock decides between this and the engine's start of the job: never both. A withdrawn invoice keeps its
    reference for ever. `device` is the only one whose invoices the caller may touch. Raises InvoiceUnknown; TooLate
    with what it is now.
    """
    invoice = _find(company_id, environment, public_id, device)
    if invoice.status == Invoice.Status.CANCELLED:
        return invoice
    jobs = Job.objects.filter(kind=JOB_KIND, document_id=invoice.pk, state=Job.State.QUEUED)
    if invoice.status != Invoice.Status.QUEUED or not jobs.update(state=Job.State.CLOSED, last_error="withdrawn"):
        raise TooLate(invoice.status)
    Invoice.objects.filter(pk=invoice.pk, status=Invoice.Status.QUEUED).update(
        status=Invoice.Status.CANCELLED, problem=None, settled_at=Now()
    )
    tell_of(invoice, "invoice.cancelled", actor=actor)
    transaction.on_commit(lambda: local.tell_from_thread(invoice.public_id))
    invoice.refresh_from_db()
    return invoice


def _find(company_id: int, environment: str, public_id: uuid.UUID, device: uuid.UUID | None) -> Invoice:
    """The company's invoice, locked, its lane before it."""
    invoices = Invoice.objects.filter(company_id=company_id, environment=environment, public_id=public_id)
    if device is not None:
        invoices = invoices.filter(device__public_id=device)
    found = invoices.values_list("lane_id", "pk", "kind").first()
    if found is None:
        raise InvoiceUnknown(public_id)
    return _lock(*found)


def _lock(lane_id: int, invoice_id: int, kind: str) -> Invoice:
    """The invoice and its lane. A sale promises goods: who takes goods out of the branch sees it, or is seen by it."""
    lane = lock_lane_and_stock(lane_id) if kind == Invoice.Kind.SALE else lock_lane(lane_id)
    invoice = Invoice.objects.select_for_update(no_key=True).get(pk=invoice_id)
    invoice.lane = lane
    return invoice


def tell_of(invoice: Invoice, name: str, *, actor: str = "", **data: Any) -> None:
    """Write into the journal what happened to an invoice; its reference is always told."""
    record(
        invoice.company,
        name,
        subject=invoice.public_id,
        environment=invoice.environment,
        actor=actor,
        reference=invoice.reference,
        **data,
    )
