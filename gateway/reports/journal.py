"""The electronic journal: every document that was printed or handed out, to look for one and to take all out.

TIS specification v2.0: the journal of printed documents. A row is written in the transaction that hands the document
out (`sales.receipts.printed`) and never changes. An export is written by a chore, part after part, so that it goes on
where it was when its process died.
"""

import csv
import io
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from gateway.audit.services import record
from gateway.lanes.chores import ASK_AGAIN, Beat, queue_chore
from gateway.lanes.models import Lane
from gateway.lib.clock import NAIROBI, utc_now
from gateway.reports.closing import check_branch, end_of
from gateway.reports.intervals import check_interval
from gateway.reports.models import JournalExport, JournalPart
from gateway.sales.models import Invoice, PrintedDocument
from gateway.tenants.isolation import only
from gateway.tenants.models import Company
from gateway.tenants.pages import newest_first, page

CHORE = "journal"
BATCH = 500  # documents of a part
MOST_DAYS = 366
KEPT = timedelta(days=30)
COLUMNS = (
    "printed_at",
    "branch",
    "label",
    "number",
    "cu_invoice_number",
    "reference",
    "buyer_pin",
    "buyer_name",
    "total",
    "channel",
    "format",
    "paper",
    "language",
    "actor",
    "sha256",
)
_CELL_STARTS = ("=", "+", "-", "@", "\t", "\r")  # which a spreadsheet would take for a formula


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which documents; None does not filter. Days are Nairobi's, both included. Amounts as printed, KES."""

    branch: str | None = None
    label: str | None = None
    number: int | None = None
    reference: str | None = None
    buyer_pin: str | None = None
    amount: Decimal | None = None
    first_day: date | None = None
    last_day: date | None = None


def list_printed(
    company_id: int, environment: str, wanted: Filter, *, limit: int, cursor: str | None = None
) -> tuple[list[PrintedDocument], str | None]:
    """A page of the journal, newest first, and the cursor of the next. Raises BadCursor."""
    rows = _rows(company_id, environment, wanted)
    own = PrintedDocument.objects.filter(company_id=company_id, environment=environment)
    return page(newest_first(rows, cursor, own=own).defer("text"), limit)


def find_printed(company_id: int, environment: str, public_id: uuid.UUID) -> PrintedDocument | None:
    """One document of the journal, with what stood on it."""
    return _rows(company_id, environment, Filter()).filter(public_id=public_id).first()


def shown(row: PrintedDocument) -> dict[str, Any]:
    """A document of the journal, without its text."""
    invoice = row.invoice
    has_receipt = invoice is not None and invoice.control_unit_id and invoice.receipt_number
    return {
        "id": row.public_id,
        "printed_at": row.printed_at,
        "branch": row.branch,
        "label": row.label,
        "number": invoice.number if invoice else None,
        "cu_invoice_number": f"{invoice.control_unit_id}/{invoice.receipt_number}" if invoice and has_receipt else None,
        "reference": row.reference,
        "buyer_pin": invoice.buyer_pin if invoice else "",
        "buyer_name": invoice.buyer_name if invoice else "",
        "total": None if row.total is None else str(row.total),
        "channel": row.channel,
        "format": row.format,
        "paper": row.paper,
        "language": row.language,
        "actor": row.actor,
        "sha256": row.sha256,
    }


# Taken out in a file


@transaction.atomic
def queue_export(
    *,
    company: Company,
    environment: str,
    first_day: date,
    last_day: date,
    format: str,
    by: str,
    branch: str | None = None,
    label: str | None = None,
) -> JournalExport:
    """Have the journal of some days written into a file, "csv" or "text", in the background.

    Raises IntervalBackwards, IntervalTooLong, BranchUnknown.
    """
    if branch is not None:
        check_branch(company.pk, branch)
    check_interval(first_day, last_day, most=MOST_DAYS, field="last_day")
    export = JournalExport.objects.create(
        company=company,
        environment=environment,
        first_day=first_day,
        last_day=last_day,
        branch=branch or "",
        label=label or "",
        format=format,
        asked_by=by[:100],
    )
    record(
        company,
        "export.asked",
        subject=export.public_id,
        environment=environment,
        actor=by,
        what="electronic journal",
        first_day=str(first_day),
        last_day=str(last_day),
        branch=branch,
        label=label,
        format=format,
    )
    queue_chore(CHORE, export.pk)
    return export


def write_export(export_id: int, beat: Beat) -> None:
    """Write an export, going on after the last part that was committed. Done already: nothing happens."""
    export = JournalExport.objects.filter(pk=export_id).first()
    if export is None or export.finished_at is not None:
        return
    wanted = Filter(
        branch=export.branch or None,
        label=export.label or None,
        first_day=export.first_day,
        last_day=export.last_day,
    )
    rows = _rows(export.company_id, export.environment, wanted).order_by("pk")
    if export.documents_total is None:
        export.documents_total = rows.count()
        JournalExport.objects.filter(pk=export.pk).update(documents_total=export.documents_total)
    write = _csv if export.format == "csv" else _text
    last = export.parts.order_by("-number").first()
    after, number = (last.last_id, last.number) if last else (0, 0)
    while batch := list(rows.filter(pk__gt=after)[:BATCH]):
        number, after = number + 1, batch[-1].pk
        content = zlib.compress(write(batch, with_head=number == 1).encode())
        JournalPart.objects.create(export=export, number=number, last_id=after, documents=len(batch), content=content)
        beat()
    if number == 0:
        JournalPart.objects.create(
            export=export, number=1, last_id=0, documents=0, content=zlib.compress(write([], with_head=True).encode())
        )
    JournalExport.objects.filter(pk=export.pk).update(finished_at=utc_now())


@transaction.atomic
def give_up_export(export_id: int) -> None:
    """Say that a file is not written, and drop what there is of it; one that is written stays."""
    unfinished = JournalExport.objects.filter(pk=export_id, finished_at=None)
    if unfinished.update(problem=ASK_AGAIN, finished_at=utc_now()):
        JournalPart.objects.filter(export_id=export_id).delete()


def content_of(export: JournalExport) -> Iterator[bytes]:
    """The file, part by part, UTF-8. A part is fetched when it is asked for, perhaps after the request's own scope."""
    parts = list(export.parts.order_by("number").values_list("pk", flat=True))
    return (_part(export.company_id, pk) for pk in parts)


def _part(company_id: int, pk: int) -> bytes:
    with only([company_id]):
        return zlib.decompress(bytes(JournalPart.objects.values_list("content", flat=True).get(pk=pk)))


def list_exports(
    company_id: int, environment: str, *, limit: int, cursor: str | None = None
) -> tuple[list[JournalExport], str | None]:
    """A page of a company's exports, newest first, and the cursor of the next. Raises BadCursor."""
    exports = JournalExport.objects.filter(company_id=company_id, environment=environment)
    return page(newest_first(exports, cursor), limit)


def forget_journal_exports(*, now: datetime | None = None) -> int:
    """Delete files that ended a month ago; how many. The journal stays. A second run deletes nothing."""
    old = JournalExport.objects.filter(finished_at__lt=(now or utc_now()) - KEPT)
    return old.delete()[1].get("reports.JournalExport", 0)


def _rows(company_id: int, environment: str, wanted: Filter) -> QuerySet[PrintedDocument]:
    conditions: dict[str, Any] = {
        "branch": wanted.branch,
        "label": wanted.label,
        "reference": wanted.reference,
        "total": wanted.amount,
    }
    if wanted.number is not None or wanted.buyer_pin is not None:
        conditions["invoice__in"] = _invoices(company_id, environment, wanted)
    if wanted.first_day is not None:
        conditions["printed_at__gte"] = datetime.combine(wanted.first_day, time(), tzinfo=NAIROBI)
    if wanted.last_day is not None:
        conditions["printed_at__lt"] = end_of(wanted.last_day)
    rows = PrintedDocument.objects.select_related("invoice").filter(company_id=company_id, environment=environment)
    return rows.filter(**{name: value for name, value in conditions.items() if value is not None})


def _invoices(company_id: int, environment: str, wanted: Filter) -> Any:
    """Plan: the unique key on (lane, number), or the index `invoice_buyer`."""
    invoices = Invoice.objects.filter(company_id=company_id, environment=environment)
    if wanted.number is not None:
        lanes = Lane.objects.filter(company_id=company_id, environment=environment, series=Lane.Series.INVOICE)
        invoices = invoices.filter(lane__in=list(lanes), number=wanted.number)
    if wanted.buyer_pin is not None:
        invoices = invoices.filter(buyer_pin=wanted.buyer_pin)
    return invoices.values("pk")


def _csv(rows: list[PrintedDocument], *, with_head: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    if with_head:
        writer.writerow(COLUMNS)
    for row in rows:
        told = shown(row) | {"printed_at": _moment(row.printed_at)}
        writer.writerow([_cell(name, told[name]) for name in COLUMNS])
    return out.getvalue()


def _cell(name: str, value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if name != "total" and text.startswith(_CELL_STARTS) else text


def _text(rows: list[PrintedDocument], *, with_head: bool) -> str:
    """Each document as it was printed, under a line that says when, what and by whom."""
    out = []
    for row in rows:
        out.append(f"=== {_moment(row.printed_at)} {row.label} {row.reference} {row.format} {row.actor} {row.sha256}\n")
        out.append(row.text if row.text.endswith("\n") else f"{row.text}\n")
        out.append("\n")
    return "".join(out)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(NAIROBI):%Y-%m-%d %H:%M:%S}"
