"""The electronic journal: every document that was printed or handed out, and files of it."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from django.db.models import Sum
from django.http import StreamingHttpResponse
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem
from gateway.api.request import ApiRequest, must
from gateway.api.shapes import Body, BranchCode, Day, Difference, Pin, Reference
from gateway.reports.journal import Filter, content_of, find_printed, list_exports, list_printed, queue_export, shown
from gateway.reports.models import JournalExport
from gateway.tenants.models import Company
from gateway.tenants.rights import Right

router = Router(tags=["electronic journal"])
LabelWord = Literal["NS", "NC", "CS", "CC", "TS", "TC", "PS", "X", "Z", "PLU"]
_TYPES = {"csv": "text/csv; charset=utf-8", "text": "text/plain; charset=utf-8"}


class JournalQuery(Schema):
    branch: BranchCode | None = None
    label: LabelWord | None = None
    number: int | None = Field(None, ge=1, le=2**53, description="KRA's number of the invoice.")
    reference: Reference | None = None
    buyer_pin: Pin | None = None
    amount: Difference | None = Field(None, description="As printed: below zero on credit notes.")
    since: Day | None = Field(None, description="First day on which it was printed.")
    until: Day | None = Field(None, description="Last day on which it was printed.")
    limit: Limit = 50
    cursor: Cursor = None


class ExportIn(Body):
    first_day: Day
    last_day: Day
    format: Literal["csv", "text"] = Field("csv", description="text: each document as it was printed.")
    branch: BranchCode | None = Field(None, description="All branches when left out.")
    label: LabelWord | None = None


class ExportsQuery(Schema):
    limit: Limit = 20
    cursor: Cursor = None


class PrintedOut(Schema):
    """`number` and `cu_invoice_number` are null for what has no invoice. `sha256` is of the bytes that went out."""

    id: UUID
    printed_at: datetime
    branch: str
    label: str
    number: int | None
    cu_invoice_number: str | None
    reference: str
    buyer_pin: str
    buyer_name: str
    total: str | None
    channel: str
    format: str
    paper: str
    language: str
    actor: str
    sha256: str


class PrintedTextOut(PrintedOut):
    text: str = Field(description="What stood on it.")


class JournalOut(Schema):
    documents: list[PrintedOut]
    next: str | None


class ExportOut(Schema):
    """`status`: waiting, writing, done, failed (`problem` says why). `total` is null until they were counted."""

    id: UUID
    first_day: date
    last_day: date
    branch: str | None
    label: str | None
    format: str
    status: str
    problem: str | None
    written: int
    total: int | None
    created_at: datetime
    finished_at: datetime | None
    file_url: str


class ExportsOut(Schema):
    exports: list[ExportOut]
    next: str | None


@router.get("/journal/", response=JournalOut, operation_id="list_journal", summary="The electronic journal")
def journal(request: ApiRequest, wanted: Query[JournalQuery]) -> dict[str, Any]:
    """Every document that was printed or handed out, newest first: originals, copies, training, proforma, reports."""
    must(request.auth, Right.READ)
    only_these(request, JournalQuery)
    rows, following = list_printed(
        request.auth.company_id,
        request.auth.environment,
        Filter(
            branch=wanted.branch,
            label=wanted.label,
            number=wanted.number,
            reference=wanted.reference,
            buyer_pin=wanted.buyer_pin,
            amount=wanted.amount,
            first_day=wanted.since,
            last_day=wanted.until,
        ),
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"documents": [shown(row) for row in rows], "next": following}


@router.post(
    "/journal/exports/", response={202: ExportOut}, operation_id="export_journal", summary="Take the journal out"
)
def export(request: ApiRequest, body: ExportIn) -> Status[dict[str, Any]]:
    """Have the journal of up to 366 days written into a file, in the background. The file is kept for 30 days."""
    must(request.auth, Right.EXPORT)
    made = queue_export(
        company=Company.objects.get(pk=request.auth.company_id),
        environment=request.auth.environment,
        first_day=body.first_day,
        last_day=body.last_day,
        format=body.format,
        branch=body.branch,
        label=body.label,
        by=request.auth.actor,
    )
    return Status(202, _export(made))


@router.get("/journal/exports/", response=ExportsOut, operation_id="list_journal_exports", summary="List exports")
def exports(request: ApiRequest, wanted: Query[ExportsQuery]) -> dict[str, Any]:
    """The files that were asked for, newest first."""
    must(request.auth, Right.EXPORT)
    only_these(request, ExportsQuery)
    rows, following = list_exports(
        request.auth.company_id, request.auth.environment, limit=wanted.limit, cursor=wanted.cursor
    )
    return {"exports": [_export(row) for row in rows], "next": following}


@router.get(
    "/journal/exports/{uuid:id}/", response=ExportOut, operation_id="get_journal_export", summary="How far a file is"
)
def one_export(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """How many documents have been written, of how many."""
    must(request.auth, Right.EXPORT)
    only_these(request)
    return _export(_find_export(request, id))


@router.get("/journal/exports/{uuid:id}/file/", operation_id="get_journal_file", summary="The file of an export")
def file(request: ApiRequest, id: UUID) -> StreamingHttpResponse:
    """The file, once it is whole; until then 409 `not_finished`."""
    must(request.auth, Right.EXPORT)
    only_these(request)
    found = _find_export(request, id)
    if found.finished_at is None:
        raise Problem("not_finished", "The file is still being written.", headers={"Retry-After": "5"})
    if found.problem:
        raise Problem("not_found", f"There is no file: it could not be written. {found.problem}")
    response = StreamingHttpResponse(content_of(found), content_type=_TYPES[found.format])
    suffix = "csv" if found.format == "csv" else "txt"
    name = f"journal-{found.first_day}-{found.last_day}.{suffix}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


@router.get("/journal/{uuid:id}/", response=PrintedTextOut, operation_id="get_printed", summary="A printed document")
def printed(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """One document of the journal, with what stood on it."""
    must(request.auth, Right.READ)
    only_these(request)
    row = find_printed(request.auth.company_id, request.auth.environment, id)
    if row is None:
        raise Problem("not_found", "There is no such document.")
    return {**shown(row), "text": row.text}


def _find_export(request: ApiRequest, id: UUID) -> JournalExport:
    own = JournalExport.objects.filter(company_id=request.auth.company_id, environment=request.auth.environment)
    found = own.filter(public_id=id).first()
    if found is None:
        raise Problem("not_found", "There is no such export.")
    return found


def _export(row: JournalExport) -> dict[str, Any]:
    written = row.parts.aggregate(documents=Sum("documents"))["documents"]
    return {
        "id": row.public_id,
        "first_day": row.first_day,
        "last_day": row.last_day,
        "branch": row.branch or None,
        "label": row.label or None,
        "format": row.format,
        "status": _status(row),
        "problem": row.problem or None,
        "written": written or 0,
        "total": row.documents_total,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "file_url": f"/api/journal/exports/{row.public_id}/file/",
    }


def _status(row: JournalExport) -> str:
    if row.finished_at:
        return "failed" if row.problem else "done"
    return "waiting" if row.documents_total is None else "writing"
