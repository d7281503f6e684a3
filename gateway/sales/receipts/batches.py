"""The receipts of a branch's day in one PDF file: begun at once, made by a chore, fetched when it is done.

The file is for the shop's own shelf: all in it are copies, and it takes nobody's original.
"""

import hashlib
import uuid
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from gateway.lanes.chores import ASK_AGAIN, Beat, queue_chore
from gateway.lib.clock import NAIROBI, utc_now
from gateway.sales.models import Invoice, PrintedDocument, ReceiptBatch
from gateway.sales.receipts.document import ReceiptDocument, receipt_document
from gateway.sales.receipts.forms import Form
from gateway.sales.receipts.handing import in_journal, logos_of_company
from gateway.sales.receipts.labels import ReceiptType
from gateway.sales.receipts.languages import Language
from gateway.tenants.models import Company
from gateway.tenants.pages import newest_first, page

CHORE = "receipt_batch"
STEP = 50  # documents between two words of progress
MOST_DOCUMENTS = 5_000
KEPT = timedelta(days=7)


@transaction.atomic
def begin_batch(
    *, company: Company, environment: str, branch: str, day: date, paper: str, language: Language, actor: str
) -> ReceiptBatch:
    """Have the receipts of a branch's day put into one file."""
    batch = ReceiptBatch.objects.create(
        company=company,
        environment=environment,
        branch=branch,
        day=day,
        paper=paper,
        language=language,
        actor=actor[:100],
    )
    queue_chore(CHORE, batch.pk)
    return batch


def make_batch(batch_id: int, beat: Beat) -> None:
    """Make the file, from its beginning; one that is made is left alone."""
    batch = ReceiptBatch.objects.filter(pk=batch_id).defer("content").first()
    if batch is None or batch.status in (ReceiptBatch.Status.DONE, ReceiptBatch.Status.FAILED):
        return
    invoices = _of_day(batch)
    total = invoices.count()
    mine = ReceiptBatch.objects.filter(pk=batch.pk)
    if total > MOST_DOCUMENTS:
        problem = f"The day has {total} receipts; a file takes at most {MOST_DOCUMENTS}."
        mine.update(status=ReceiptBatch.Status.FAILED, problem=problem, documents_total=total, finished_at=utc_now())
        return
    mine.update(status=ReceiptBatch.Status.MAKING, documents_total=total, documents_done=0)
    printed: list[PrintedDocument] = []
    wanted = Form(paper=batch.paper, language=Language(batch.language))

    def documents() -> Iterator[ReceiptDocument]:
        for row in _rows(invoices):
            document = receipt_document(row, type=ReceiptType.COPY, language=wanted.language)
            yield document
            printed.append(
                in_journal(
                    row,
                    document,
                    b"",
                    wanted,
                    channel=PrintedDocument.Channel.BATCH,
                    actor=batch.actor,
                    invoice_id=row["id"],
                )
            )
            if len(printed) % STEP == 0:
                mine.update(documents_done=len(printed))
                beat()

    content = _file(batch, documents()) if total else None
    _finish(batch, content, printed)


def _rows(invoices: QuerySet[Invoice]) -> Iterator[Any]:
    """Their rows in order. No reading is open between two steps: beside one, SQLite lets nobody write who reads."""
    ids = list(invoices.values_list("pk", flat=True))
    for start in range(0, len(ids), STEP):
        step = ids[start : start + STEP]
        rows = {row["id"]: row for row in Invoice.objects.filter(pk__in=step).values()}
        yield from (rows[pk] for pk in step)


def give_up_batch(batch_id: int) -> None:
    """Say that a file is not made; one that is made stays."""
    unfinished = ReceiptBatch.objects.filter(pk=batch_id, finished_at=None)
    unfinished.update(status=ReceiptBatch.Status.FAILED, problem=ASK_AGAIN, finished_at=utc_now())


@transaction.atomic
def _finish(batch: ReceiptBatch, content: bytes | None, printed: list[PrintedDocument]) -> None:
    """The file and the journal's rows of it, or neither."""
    sha256 = hashlib.sha256(content or b"").hexdigest()
    for one in printed:
        one.sha256 = sha256
    PrintedDocument.objects.bulk_create(printed, batch_size=500)
    ReceiptBatch.objects.filter(pk=batch.pk).update(
        status=ReceiptBatch.Status.DONE,
        content=content,
        documents_total=len(printed),
        documents_done=len(printed),
        finished_at=utc_now(),
    )


def _file(batch: ReceiptBatch, documents: Iterator[ReceiptDocument]) -> bytes:
    from gateway.sales.receipts.pdf import receipt_pdf  # reportlab costs 0.4 s and 20 MB, which a till can do without

    title = f"{batch.branch} {batch.day.isoformat()}"
    return receipt_pdf(documents, paper=batch.paper, title=title, logos=logos_of_company(batch.company_id))


def _of_day(batch: ReceiptBatch) -> QuerySet[Invoice]:
    """What was signed for the branch between two midnights in Nairobi, in the order of its numbers."""
    begins = datetime.combine(batch.day, time(), NAIROBI)
    return Invoice.objects.filter(
        company_id=batch.company_id,
        environment=batch.environment,
        lane__branch=batch.branch,
        status=Invoice.Status.SIGNED,
        signed_at__gte=begins,
        signed_at__lt=begins + timedelta(days=1),
    ).order_by("lane_id", "number")


def find_batch(company_id: int, environment: str, public_id: uuid.UUID) -> ReceiptBatch | None:
    """A company's batch, without its file."""
    found = ReceiptBatch.objects.filter(company_id=company_id, environment=environment, public_id=public_id)
    return found.defer("content").first()


def list_batches(
    company_id: int, environment: str, *, limit: int, cursor: str | None = None
) -> tuple[list[ReceiptBatch], str | None]:
    """A page of a company's batches without files, newest first, and the cursor of the next. Raises BadCursor."""
    batches = ReceiptBatch.objects.filter(company_id=company_id, environment=environment).defer("content")
    return page(newest_first(batches, cursor), limit)


def batch_file(batch: ReceiptBatch) -> bytes | None:
    """The file of a batch; None while there is none."""
    content = ReceiptBatch.objects.filter(pk=batch.pk).values_list("content", flat=True).first()
    return bytes(content) if content else None


def forget_batches(*, now: datetime | None = None) -> int:
    """Delete files that were made a week ago; they can be made again. A second run finds none."""
    return ReceiptBatch.objects.filter(finished_at__lt=(now or utc_now()) - KEPT).delete()[0]
