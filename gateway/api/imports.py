"""Imports: what customs declared, and the decision about each line."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.request import ApiRequest, active_company, must
from gateway.api.shapes import Amount, Body, BranchCode, ItemCode, Quantity, Remark
from gateway.purchases.fetching import fetch_imports
from gateway.purchases.models import ImportedItem
from gateway.purchases.queries import list_imports
from gateway.purchases.services import decide_import
from gateway.tenants.rights import Right

router = Router(tags=["imports"])
StatusWord = Literal["open", "accepted", "unknown", "confirmed", "rejected", "refused", "gone"]


class ImportsIn(Schema):
    status: StatusWord | None = None
    limit: Limit = 50
    cursor: Cursor = None


class ApproveIn(Body):
    item_code: ItemCode
    branch: BranchCode = Field("00", description="Where the goods are.")
    factor: Quantity = Field(1, validate_default=True, description="How many of yours are in one of the declaration's.")
    unit_price: Amount | None = Field(None, description="What one of yours is worth; the declared value when left out.")
    remark: Remark = ""


class RejectIn(Body):
    item_code: ItemCode = Field(description="KRA wants an item named for a rejected line too.")
    remark: Remark = ""


class ImportOut(Schema):
    id: UUID
    status: StatusWord
    task_code: str
    declaration_date: str
    declaration_number: str
    line_number: int
    hs_code: str
    name: str
    origin_country: str
    supplier_name: str
    quantity: str
    quantity_unit: str
    packages: str
    foreign_amount: str
    currency: str
    exchange_rate: str
    item_code: str | None
    decision: dict[str, Any] | None
    problem: dict[str, Any] | None
    listed_at: datetime


class ImportsOut(Schema):
    imports: list[ImportOut]
    next: str | None


class FetchedOut(Schema):
    sent: int
    new: int


@router.get("/imports/", response=ImportsOut, operation_id="list_imports", summary="What customs declared")
def imports(request: ApiRequest, wanted: Query[ImportsIn]) -> dict[str, Any]:
    """Lines of customs declarations, newest first."""
    must(request.auth, Right.READ)
    only_these(request, ImportsIn)
    page = list_imports(
        request.auth.company_id,
        request.auth.environment,
        status=wanted.status,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"imports": [_import(row) for row in page.rows], "next": page.next}


@router.post(
    "/imports/fetch/", response=FetchedOut, operation_id="fetch_imports", summary="Ask KRA for declarations now"
)
def fetch(request: ApiRequest) -> dict[str, int]:
    """Bring the list up to date now; it is done every half hour anyway."""
    must(request.auth, Right.MANAGE_PURCHASES)
    return fetch_imports(active_company(request.auth), request.auth.environment)._asdict()


@router.get("/imports/{id}/", response=ImportOut, operation_id="get_import", summary="One imported line")
def imported(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """One imported line as it stands."""
    must(request.auth, Right.READ)
    only_these(request)
    return _import(_find(request, id))


@router.post(
    "/imports/{id}/approve/", response={202: ImportOut}, operation_id="approve_import", summary="Approve a line"
)
def approve(request: ApiRequest, id: UUID, body: ApproveIn) -> Status[dict[str, Any]]:
    """Take an imported line as one of your items. When KRA has recorded it, the goods come into stock."""
    return _decide(request, id, approved=True, **body.model_dump())


@router.post("/imports/{id}/reject/", response={202: ImportOut}, operation_id="reject_import", summary="Reject a line")
def reject(request: ApiRequest, id: UUID, body: RejectIn) -> Status[dict[str, Any]]:
    """Cancel an imported line at KRA; no stock comes in."""
    told: dict[str, Any] = {"branch": "00", "factor": 1, "unit_price": None, **body.model_dump()}
    return _decide(request, id, approved=False, **told)


def _decide(request: ApiRequest, public_id: UUID, **decided: Any) -> Status[dict[str, Any]]:
    must(request.auth, Right.MANAGE_PURCHASES)
    active_company(request.auth)
    row = decide_import(imported=_find(request, public_id), now=timezone.now(), by=request.auth.actor, **decided)
    return Status(202, _import(row))


def _find(request: ApiRequest, public_id: UUID) -> ImportedItem:
    found = (
        ImportedItem.objects.select_related("company", "item")
        .filter(company_id=request.auth.company_id, environment=request.auth.environment, public_id=public_id)
        .first()
    )
    if found is None:
        raise Http404
    return found


def _import(row: ImportedItem) -> dict[str, Any]:
    told = ("declaration_number", "hs_code", "origin_country", "supplier_name", "quantity", "quantity_unit", "packages")
    money = ("foreign_amount", "currency", "exchange_rate")
    return {
        "id": row.public_id,
        "status": row.status,
        "task_code": row.task_code,
        "declaration_date": row.declaration_date,
        "line_number": row.line_number,
        "name": row.name,
        **{name: str(row.document[name]) for name in (*told, *money)},
        "item_code": row.item.code if row.item else None,
        "decision": row.decision,
        "problem": row.problem,
        "listed_at": row.listed_at,
    }
