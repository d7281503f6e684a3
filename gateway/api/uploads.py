"""Files of items: sent, followed while they are taken in, and what became of each row."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpResponse
from ninja import File, Query, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from gateway.api.items import have_lists
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem
from gateway.api.request import ApiRequest, active_company, must
from gateway.catalog.models import Upload
from gateway.catalog.sheets import CONTENT_TYPES, write_csv, write_xlsx
from gateway.catalog.uploads import find_upload, item_statuses, keep_upload, list_uploads, result_rows, template_rows
from gateway.tenants.rights import Right

router = Router(tags=["items"])


class RowsOut(Schema):
    """How many rows; `total` is null until the file has been read through once."""

    total: int | None
    read: int
    taken: int = Field(description="New or changed.")
    unchanged: int = Field(description="Known and the same, or retired.")
    wrong: int = Field(description="Not taken: see the result file.")


class AtKraOut(Schema):
    """How many of the file's items stand how at KRA by now."""

    waiting: int
    registered: int
    refused: int
    retired: int


class UploadOut(Schema):
    """`status`: waiting, reading, done, failed (`problem` says why)."""

    id: UUID
    file_name: str
    status: str
    problem: str | None
    rows: RowsOut
    items: AtKraOut
    created_at: datetime
    finished_at: datetime | None
    result_url: str


class UploadsOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    uploads: list[UploadOut]
    next: str | None


class UploadsQuery(Schema):
    limit: Limit = 20
    cursor: Cursor = None


class FileQuery(Schema):
    format: Literal["csv", "xlsx"] = "xlsx"


class ResultQuery(FileQuery):
    only_wrong: bool = Field(False, description="Only the rows that were not taken.")


@router.post(
    "/items/uploads/", response={202: UploadOut}, operation_id="upload_items", summary="Upload a file of items"
)
def upload(request: ApiRequest, file: File[UploadedFile]) -> Status[dict[str, Any]]:
    """Take in a CSV or XLSX file of up to 50 000 rows and 10 MB, in the background.

    Its first row names the columns, as the template does. A wrong row is not taken, and the others are. Uploading the
    same file again changes nothing.
    """
    must(request.auth, Right.MANAGE_ITEMS)
    company = active_company(request.auth)
    have_lists(company, request, None)
    kept = keep_upload(
        company=company,
        environment=request.auth.environment,
        file_name=(file.name or "").replace("\x00", ""),
        content=file.read(),
        actor=request.auth.actor,
    )
    return Status(202, _out(kept))


@router.get("/items/uploads/", response=UploadsOut, operation_id="list_uploads", summary="List uploads of items")
def uploads(request: ApiRequest, wanted: Query[UploadsQuery]) -> dict[str, Any]:
    """The files that were uploaded in the last three months, newest first."""
    must(request.auth, Right.READ)
    only_these(request, UploadsQuery)
    principal = request.auth
    found, following = list_uploads(
        principal.company_id, principal.environment, limit=wanted.limit, cursor=wanted.cursor
    )
    return {"uploads": [_out(one) for one in found], "next": following}


@router.get("/items/uploads/template/", operation_id="get_upload_template", summary="An empty file of items")
def template(request: ApiRequest, wanted: Query[FileQuery]) -> HttpResponse:
    """The columns, with an example in the second row."""
    must(request.auth, Right.READ)
    only_these(request, FileQuery)
    return _file(template_rows(), wanted.format, "items-template")


@router.get("/items/uploads/{uuid:id}/", response=UploadOut, operation_id="get_upload", summary="How far an upload is")
def one(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """How many rows have been read, taken and found wrong, and how the items stand at KRA."""
    must(request.auth, Right.READ)
    only_these(request)
    return _out(_find(request, id))


@router.get(
    "/items/uploads/{uuid:id}/result/", operation_id="get_upload_result", summary="What became of each row of a file"
)
def result(request: ApiRequest, id: UUID, wanted: Query[ResultQuery]) -> HttpResponse:
    """The file again, row by row, with what became of it and why. Corrected, it can be uploaded."""
    must(request.auth, Right.READ)
    only_these(request, ResultQuery)
    found = _find(request, id)
    return _file(result_rows(found, only_wrong=wanted.only_wrong), wanted.format, f"items-result-{found.pk}")


def _find(request: ApiRequest, id: UUID) -> Upload:
    found = find_upload(request.auth.company_id, request.auth.environment, id)
    if found is None:
        raise Problem("not_found", "There is no such upload.")
    return found


def _file(rows: Any, kind: Literal["csv", "xlsx"], name: str) -> HttpResponse:
    content = write_csv(rows) if kind == "csv" else write_xlsx(rows, title="Items")
    response = HttpResponse(content, content_type=CONTENT_TYPES[kind])
    response["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _out(upload: Upload) -> dict[str, Any]:
    counts = {"taken": upload.rows_taken, "unchanged": upload.rows_unchanged, "wrong": upload.rows_wrong}
    return {
        "id": upload.public_id,
        "file_name": upload.file_name,
        "status": upload.status,
        "problem": upload.problem or None,
        "rows": {"total": upload.rows_total, "read": sum(counts.values()), **counts},
        "items": item_statuses(upload),
        "created_at": upload.created_at,
        "finished_at": upload.finished_at,
        "result_url": f"/api/items/uploads/{upload.public_id}/result/",
    }
