"""What was handed out, kept: the electronic journal is read from it, and so are the counts of copies in X and Z."""

import hashlib
from decimal import Decimal

from gateway.sales.models import PrintedDocument
from gateway.sales.receipts.labels import Label


def printed_document(
    *,
    company_id: int,
    environment: str,
    branch: str,
    label: Label,
    text: str,
    content: bytes,
    channel: PrintedDocument.Channel,
    format: str,
    actor: str,
    paper: str = "",
    language: str = "en",
    invoice_id: int | None = None,
    reference: str = "",
    total: Decimal | None = None,
) -> PrintedDocument:
    """The row of a document that is handed out now, to be saved in the transaction that hands it out.

    `text` is what stands on it, `content` the bytes that go out. `total` in KES as printed: a credit
    note's is below zero.
    """
    return PrintedDocument(
        company_id=company_id,
        environment=environment,
        branch=branch,
        invoice_id=invoice_id,
        label=label,
        reference=reference,
        total=total,
        channel=channel,
        format=format,
        paper=paper,
        language=language,
        actor=actor[:100],
        text=text,
        sha256=hashlib.sha256(content).hexdigest(),
    )
