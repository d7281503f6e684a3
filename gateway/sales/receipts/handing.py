"""Handing documents out: the original once, copies from then on, and a row of each for the journal.

What decides is the gateway's own row, not what the caller kept: an original that was lost on its way is a copy the next
time (TIS specification v2.0: only one original may be printed).
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from gateway.lanes.stored import json_value
from gateway.sales.models import Invoice, Logo, PrintedDocument
from gateway.sales.receipts.document import ReceiptDocument, receipt_document
from gateway.sales.receipts.forms import CONTENT_TYPES, FILE_ENDINGS, Form, drawn
from gateway.sales.receipts.labels import ORIGINALS, ReceiptType
from gateway.sales.receipts.languages import Language
from gateway.sales.receipts.logos import Logos, logo_file
from gateway.sales.receipts.printed import printed_document
from gateway.sales.receipts.text import receipt_text


@dataclass(frozen=True, slots=True)
class Handed:
    """What is handed out: the bytes, what they are, and of which document."""

    content: bytes
    content_type: str
    file_name: str
    document: ReceiptDocument


@transaction.atomic
def hand_out(
    invoice_id: int, wanted: Form, *, channel: PrintedDocument.Channel, actor: str, as_copy: bool = False
) -> Handed:
    """The document of an invoice in a form, and its row in the journal: the original if nobody had it yet, else a copy.

    The invoice's lock decides between two who ask at once. `as_copy` leaves the original to somebody else. An invoice
    that is not signed gives the provisional slip, as often as it is asked for.
    """
    Invoice.objects.select_for_update(of=("self",), no_key=True).get(pk=invoice_id)
    row = viewable(Invoice.objects.filter(pk=invoice_id)).get()
    is_signed = row["status"] == Invoice.Status.SIGNED
    is_copy = is_signed and (as_copy or row["was_handed_out"])
    document = receipt_document(row, type=ReceiptType.COPY if is_copy else ReceiptType.NORMAL, language=wanted.language)
    content = drawn(document, wanted, logos_of(row))
    if is_signed:
        in_journal(row, document, content, wanted, channel=channel, actor=actor, invoice_id=invoice_id).save()
    return handed(content, wanted, document)


def viewable(invoices: QuerySet[Invoice]) -> QuerySet[Any, Any]:
    """Rows of invoices with what a view needs besides: `was_handed_out` and the company's `logo`."""
    original = PrintedDocument.objects.filter(invoice=OuterRef("pk"), label__in=ORIGINALS)
    return invoices.annotate(was_handed_out=Exists(original), logo=F("company__logo__content")).values()


def in_journal(
    row: Mapping[str, Any],
    document: ReceiptDocument,
    content: bytes,
    wanted: Form,
    *,
    channel: PrintedDocument.Channel,
    actor: str,
    invoice_id: int | None,
) -> PrintedDocument:
    """The journal's row of a document that is handed out, not saved yet."""
    return printed_document(
        company_id=row["company_id"],
        environment=row["environment"],
        branch=json_value(row["snapshot"])["branch_code"],
        label=document.label,
        text=receipt_text(document),
        content=content,
        channel=channel,
        format=wanted.format,
        paper=wanted.paper,
        language=wanted.language,
        actor=actor,
        invoice_id=invoice_id,
        reference=row["reference"],
        total=document.total,
    )


def handed(content: bytes, wanted: Form, document: ReceiptDocument) -> Handed:
    """A drawn document with the name of its file: what every system can store of its reference."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", document.source.reference).strip("-.") or "document"
    kind = "slip" if document.is_slip else document.label.lower()
    return Handed(content, CONTENT_TYPES[wanted.format], f"{name}-{kind}.{FILE_ENDINGS[wanted.format]}", document)


def logos_of(row: Mapping[str, Any]) -> Logos:
    """The logos for a row of `viewable`."""
    return Logos(kra=logo_file(settings.KRA_LOGO), company=bytes(row["logo"] or b""))


def logos_of_company(company_id: int) -> Logos:
    """The logos of a company's documents."""
    content = Logo.objects.filter(company_id=company_id).values_list("content", flat=True).first()
    return Logos(kra=logo_file(settings.KRA_LOGO), company=bytes(content or b""))


def printed_counts(invoice_id: int) -> dict[str, Any]:
    """When the original of an invoice was handed out, null before, and how many copies since."""
    printed = PrintedDocument.objects.filter(invoice_id=invoice_id)
    original = printed.filter(label__in=ORIGINALS).values_list("printed_at", flat=True).first()
    return {"original_at": original, "copies": printed.exclude(label__in=ORIGINALS).count()}


def find_invoice(
    company_id: int, environment: str, public_id: uuid.UUID, device: uuid.UUID | None
) -> tuple[int, Mapping[str, Any]] | None:
    """A company's invoice with its row of `viewable`; of a caller bound to a device only what that one posted."""
    invoices = Invoice.objects.filter(company_id=company_id, environment=environment, public_id=public_id)
    if device is not None:
        invoices = invoices.filter(device__public_id=device)
    row = viewable(invoices).first()
    return (row["id"], row) if row else None


def seen(row: Mapping[str, Any], language: Language = Language.ENGLISH) -> ReceiptDocument:
    """The document as a look at it shows it: as a copy once the original is with somebody. Nothing is handed out."""
    is_copy = row["status"] == Invoice.Status.SIGNED and row["was_handed_out"]
    return receipt_document(row, type=ReceiptType.COPY if is_copy else ReceiptType.NORMAL, language=language)
