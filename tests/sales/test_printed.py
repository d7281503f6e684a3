"""What was handed out is kept, and of each document there is one original."""

import pytest
from django.db import IntegrityError, transaction

from gateway.sales.models import Invoice, PrintedDocument
from gateway.sales.receipts.labels import Label
from gateway.sales.receipts.printed import printed_document
from tests.sales.receipt_rows import make_row
from tests.sales.shelves import make_shop, store

pytestmark = pytest.mark.django_db


def row(invoice: Invoice, label: Label) -> PrintedDocument:
    return printed_document(
        company_id=invoice.company_id,
        environment=invoice.environment,
        branch="00",
        label=label,
        text="TAX INVOICE\n",
        content=b"%PDF",
        channel=PrintedDocument.Channel.API,
        format="pdf",
        actor="key rvp_1",
        invoice_id=invoice.pk,
        reference=invoice.reference,
        total=invoice.total,
    )


def test_a_document_has_one_original_and_any_number_of_copies():
    invoice = store(make_shop(), make_row())
    row(invoice, Label.NORMAL_SALE).save()
    with pytest.raises(IntegrityError), transaction.atomic():
        row(invoice, Label.NORMAL_SALE).save()
    for _ in range(3):
        row(invoice, Label.COPY_SALE).save()
    assert sorted(PrintedDocument.objects.values_list("label", flat=True)) == ["CS", "CS", "CS", "NS"]


def test_every_label_has_words_and_fits_its_column():
    assert all(label.words and len(label) <= 3 for label in Label)
