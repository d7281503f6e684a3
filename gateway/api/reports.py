"""Closing the day: X, Z and PLU reports, cash in the drawer, and when a day closes by itself."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpResponse
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem, field, invalid
from gateway.api.request import ApiRequest, active_company, must
from gateway.api.shapes import Amount, Body, BranchCode, Day, Reference, Remark, ShortName
from gateway.lanes.models import Lane
from gateway.lib.cursor import read_place, write_place
from gateway.reports.cash import list_cash_movements, move_cash
from gateway.reports.closing import describe, find_lane, list_z_reports, seller_of, take_z_report, x_report
from gateway.reports.day_ends import day_ends, set_day_end
from gateway.reports.models import CashMovement, ZReport
from gateway.reports.plu import ItemSold, plu_report
from gateway.reports.printing import plu_pieces, printed, report_pieces, total_of
from gateway.sales.receipts.forms import CONTENT_TYPES, FILE_ENDINGS, Form, form
from gateway.sales.receipts.labels import Label
from gateway.stock.services import plain_quantity
from gateway.tenants.models import Company
from gateway.tenants.rights import Right

router = Router(tags=["reports"])
PRINTED = {
    "responses": {
        200: {
            "content": {
                "application/pdf": {"schema": {"type": "string", "format": "binary"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "text/plain": {"schema": {"type": "string"}},
            }
        }
    }
}


def _above_zero(amount: Any) -> Any:
    if amount <= 0:
        raise PydanticCustomError("not_positive", "Must be above zero.")
    return amount


class ZIn(Body):
    branch: BranchCode | None = Field(None, description="May be left out by a company with one branch.")
    day: Day | None = Field(None, description="The day to close; today when left out.")


class CashIn(Body):
    reference: Reference = Field(description="Your own number of this movement. The same number is the same movement.")
    branch: BranchCode | None = Field(None, description="May be left out by a company with one branch.")
    kind: Literal["opening", "deposit", "withdrawal"] = Field(
        description="opening: the float a day begins with. deposit: put in later. withdrawal: taken out."
    )
    amount: Annotated[Amount, AfterValidator(_above_zero)]
    remark: Remark = ""
    cashier: ShortName = ""


class DayEndIn(Body):
    branch: BranchCode | None = Field(None, description="All branches when left out.")
    automatic: bool
    hour: int = Field(
        0, ge=0, le=23, description="0: at midnight, the day that has ended. Else the same day at that hour, Nairobi."
    )


class FormQuery(Schema):
    """A report is data, or a document to print, which is kept for the electronic journal."""

    format: Literal["json", "pdf", "escpos", "text"] = "json"
    paper: Literal["a4", "80mm", "58mm"] | None = Field(
        None, description="pdf: a4 (usual) or 80mm; escpos and text: 80mm (usual) or 58mm."
    )


class XQuery(FormQuery):
    branch: BranchCode | None = None


class ZQuery(Schema):
    branch: BranchCode | None = None
    since: Day | None = None
    until: Day | None = None
    limit: Limit = 50
    cursor: Cursor = None


class PluQuery(FormQuery):
    from_: Day = Field(alias="from", description="First day.")
    to: Day = Field(description="Last day, at most 31 days on.")
    branch: BranchCode | None = Field(None, description="All branches together when left out.")
    limit: Limit = 200
    cursor: Cursor = None


class CashQuery(Schema):
    branch: BranchCode | None = None
    limit: Limit = 50
    cursor: Cursor = None


class SumOut(Schema):
    count: int
    amount: str
    tax: str


class AmountTaxOut(Schema):
    amount: str
    tax: str


class LetterOut(Schema):
    net: str
    tax: str
    amount: str


class ByLetterOut(Schema):
    """`rate` is null for a letter that was not used."""

    tax_type: str
    rate: str | None
    sales: LetterOut
    credit_notes: LetterOut


class ByGroupOut(Schema):
    """`group` is the first two digits of the items' class."""

    group: str
    name: str
    sales: AmountTaxOut
    credit_notes: AmountTaxOut


class MeansOut(Schema):
    method: str
    name: str
    sales: str
    credit_notes: str


class SidesOut(Schema):
    sales: str
    credit_notes: str


class ItemsOut(Schema):
    """Lines."""

    sales: int
    credit_notes: int


class CountOut(Schema):
    count: int
    amount: str


class CopiesOut(Schema):
    """Handed out since the last Z, of sales (CS) and of credit notes (CC, below zero)."""

    CS: CountOut
    CC: CountOut


class TrainingOut(Schema):
    TS: CountOut
    TC: CountOut


class ProformaOut(Schema):
    PS: CountOut


class IncompleteOut(Schema):
    """What did not become a receipt: `open` were still on their way at the close, and count when they are signed."""

    count: int
    refused: CountOut
    cancelled: CountOut
    open: CountOut


class DrawerOut(Schema):
    """`in_drawer` = opening + deposits - withdrawals + sales - credit notes paid in cash."""

    opening: str
    deposits: CountOut
    withdrawals: CountOut
    sales: str
    credit_notes: str
    in_drawer: str


class TotalsSoFarOut(Schema):
    sales: SumOut
    credit_notes: SumOut


class UnitOut(Schema):
    serial: str
    control_unit: str


class SellerOut(Schema):
    name: str
    pin: str
    branch_code: str
    branch_name: str
    address: str
    city: str
    devices: list[UnitOut]


class SoftwareOut(Schema):
    name: str
    version: str


class FiguresOut(Schema):
    """Amounts in KES with 2 decimals, above zero for credit notes too; `net` is sales less credit notes."""

    seller: SellerOut
    software: SoftwareOut
    currency: str
    sales: SumOut
    credit_notes: SumOut
    net: AmountTaxOut
    by_tax_type: list[ByLetterOut]
    by_group: list[ByGroupOut]
    payments: list[MeansOut]
    discounts: SidesOut
    other_reductions: str
    items: ItemsOut
    copies: CopiesOut
    training: TrainingOut
    proforma: ProformaOut
    incomplete: IncompleteOut
    cash: DrawerOut
    late_numbers: list[int] = Field(description="Documents of ours that another report's numbers had a gap for.")
    cumulative: TotalsSoFarOut = Field(description="All Z reports of the branch so far, and this one.")


class ReportOut(Schema):
    """`first_number` and `last_number` are KRA's, null when nothing was signed."""

    branch: str
    environment: str
    day: date
    opened_at: datetime
    closed_at: datetime
    first_number: int | None
    last_number: int | None
    figures: FiguresOut


class XOut(ReportOut):
    next_z_number: int


class ZOut(ReportOut):
    id: UUID
    number: int
    made_at: datetime
    made_by: str


class ZBrief(Schema):
    """One of the list; the whole report is under its id."""

    id: UUID
    number: int
    branch: str
    day: date
    opened_at: datetime
    closed_at: datetime
    sales: SumOut
    credit_notes: SumOut
    net: AmountTaxOut


class ZListOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    z_reports: list[ZBrief]
    next: str | None


class ItemSoldOut(Schema):
    """`unit_price` is that of the last sale; `remaining` is null where no stock is kept."""

    item_code: str
    name: str
    tax_type: str
    rate: str
    unit_price: str
    sold: str
    sold_amount: str
    credited: str
    credited_amount: str
    remaining: str | None


class PluOut(Schema):
    items: list[ItemSoldOut]
    next: str | None


class CashOut(Schema):
    """`z_number` is the report that counts it, null until that is taken."""

    id: UUID
    reference: str
    branch: str
    kind: str
    amount: str
    remark: str
    cashier: str
    made_at: datetime
    made_by: str
    z_number: int | None


class CashListOut(Schema):
    cash_movements: list[CashOut]
    next: str | None


class DayEndOut(Schema):
    branch: str
    automatic: bool
    hour: int


class DayEndsOut(Schema):
    branches: list[DayEndOut]


@router.get("/reports/x/", response=XOut, operation_id="get_x_report", summary="X report", openapi_extra=PRINTED)
def x(request: ApiRequest, wanted: Query[XQuery]) -> Any:
    """What a branch did since its last Z report. Nothing is kept, and nothing begins anew."""
    must(request.auth, Right.READ)
    only_these(request, XQuery)
    lane = _lane(request, wanted.branch)
    report = x_report(lane)
    return report if wanted.format == "json" else _printed(request, lane, wanted, report)


@router.post("/reports/z/", response={201: ZOut}, operation_id="take_z_report", summary="Close the day")
def take_z(request: ApiRequest, body: ZIn) -> Status[dict[str, Any]]:
    """Take the Z report of a branch, once for each day. It covers everything since the one before.

    What is signed after it counts in the next. A day that is over closes at its midnight, and only after the days
    before it.
    """
    must(request.auth, Right.CLOSE_DAY)
    lane = _lane(request, body.branch)
    return Status(201, describe(take_z_report(lane, by=request.auth.actor, day=body.day)))


@router.get("/reports/z/", response=ZListOut, operation_id="list_z_reports", summary="List Z reports")
def z_reports(request: ApiRequest, wanted: Query[ZQuery]) -> dict[str, Any]:
    """The days that were closed, newest first."""
    must(request.auth, Right.READ)
    only_these(request, ZQuery)
    rows, following = list_z_reports(
        request.auth.company_id,
        request.auth.environment,
        branch=wanted.branch,
        since=wanted.since,
        until=wanted.until,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"z_reports": [_brief(report) for report in rows], "next": following}


@router.get("/reports/z/{id}/", response=ZOut, operation_id="get_z_report", summary="A Z report", openapi_extra=PRINTED)
def z_report(request: ApiRequest, id: UUID, wanted: Query[FormQuery]) -> Any:
    """The report as it was taken; it never changes."""
    must(request.auth, Right.READ)
    only_these(request, FormQuery)
    found = _find(request, id)
    report = describe(found)
    return report if wanted.format == "json" else _printed(request, found.lane, wanted, report)


@router.get(
    "/reports/plu/", response=PluOut, operation_id="get_plu_report", summary="PLU report", openapi_extra=PRINTED
)
def plu(request: ApiRequest, wanted: Query[PluQuery]) -> Any:
    """What was sold of each item in an interval by the control unit's clock, and what is left of it now.

    As data it has pages; a document to print is whole, and of one branch.
    """
    must(request.auth, Right.READ)
    if unknown := sorted(request.GET.keys() - {"from", "to", "branch", "limit", "cursor", "format", "paper"}):
        raise invalid(field(name, "unknown_field", "There is no such filter.") for name in unknown)
    if wanted.format != "json":
        return _printed_plu(request, wanted)
    skip = read_place(wanted.cursor)
    items = plu_report(_lanes(request, wanted.branch), first_day=wanted.from_, last_day=wanted.to)
    page = items[skip : skip + wanted.limit]
    following = write_place(skip + wanted.limit) if len(items) > skip + wanted.limit else None
    return {"items": [_sold(item) for item in page], "next": following}


@router.post(
    "/cash-movements/",
    response={200: CashOut, 201: CashOut},
    operation_id="move_cash",
    summary="Cash put in or taken out",
)
def cash(request: ApiRequest, body: CashIn) -> Status[dict[str, Any]]:
    """Note cash that went into or out of a branch's drawer without a sale. It counts in the next X and Z report."""
    must(request.auth, Right.CLOSE_DAY)
    active_company(request.auth)
    moved = move_cash(
        _lane(request, body.branch),
        kind=body.kind,
        amount=body.amount,
        reference=body.reference,
        remark=body.remark,
        cashier=body.cashier,
        by=request.auth.actor,
    )
    return Status(200 if moved.replayed else 201, _movement(moved.movement))


@router.get("/cash-movements/", response=CashListOut, operation_id="list_cash_movements", summary="List cash movements")
def cash_movements(request: ApiRequest, wanted: Query[CashQuery]) -> dict[str, Any]:
    """Cash put in and taken out, newest first."""
    must(request.auth, Right.READ)
    only_these(request, CashQuery)
    rows, following = list_cash_movements(
        request.auth.company_id,
        request.auth.environment,
        branch=wanted.branch,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"cash_movements": [_movement(one) for one in rows], "next": following}


@router.get("/reports/day-end/", response=DayEndsOut, operation_id="get_day_ends", summary="When days close themselves")
def get_day_ends(request: ApiRequest) -> dict[str, Any]:
    """Whether, and at which hour, each branch closes its day by itself."""
    must(request.auth, Right.READ)
    only_these(request)
    return _day_ends(request.auth.company_id)


@router.put("/reports/day-end/", response=DayEndsOut, operation_id="set_day_end", summary="Close days automatically")
def put_day_end(request: ApiRequest, body: DayEndIn) -> dict[str, Any]:
    """Say whether, and at which hour, a branch closes its day by itself. A day that somebody closed stays closed."""
    must(request.auth, Right.MANAGE_BRANCHES)
    set_day_end(
        company=Company.objects.get(pk=request.auth.company_id),
        branch=body.branch,
        is_automatic=body.automatic,
        hour=body.hour,
        by=request.auth.actor,
    )
    return _day_ends(request.auth.company_id)


def _lane(request: ApiRequest, branch: str | None) -> Lane:
    auth = request.auth
    return find_lane(auth.company_id, auth.environment, branch, device=auth.device)


def _lanes(request: ApiRequest, branch: str | None) -> list[Lane]:
    if branch is not None or request.auth.device is not None:
        return [_lane(request, branch)]
    lanes = Lane.objects.filter(
        company_id=request.auth.company_id, environment=request.auth.environment, series=Lane.Series.INVOICE
    )
    return list(lanes.order_by("branch"))


def _printed(request: ApiRequest, lane: Lane, wanted: FormQuery, report: dict[str, Any]) -> HttpResponse:
    made = form(wanted.format, wanted.paper)
    name = f"Z-{report['number']}" if "number" in report else "X"
    content = printed(
        report_pieces(report),
        lane=lane,
        label=Label.Z_REPORT if "number" in report else Label.X_REPORT,
        wanted=made,
        actor=request.auth.actor,
        reference=name,
        total=Decimal(report["figures"]["net"]["amount"]),
    )
    return _file(content, made, f"{name}-{report['day']}")


def _printed_plu(request: ApiRequest, wanted: PluQuery) -> HttpResponse:
    made, lane = form(wanted.format, wanted.paper), _lane(request, wanted.branch)
    items = plu_report([lane], first_day=wanted.from_, last_day=wanted.to)
    content = printed(
        plu_pieces(
            items,
            seller=seller_of(lane),
            environment=lane.environment,
            first_day=wanted.from_,
            last_day=wanted.to,
        ),
        lane=lane,
        label=Label.PLU_REPORT,
        wanted=made,
        actor=request.auth.actor,
        reference=f"PLU {wanted.from_} {wanted.to}",
        total=total_of(items),
        table=items,
    )
    return _file(content, made, f"PLU-{wanted.from_}-{wanted.to}")


def _file(content: bytes, made: Form, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type=CONTENT_TYPES[made.format])
    response["Content-Disposition"] = f'inline; filename="{name}.{FILE_ENDINGS[made.format]}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _find(request: ApiRequest, public_id: UUID) -> ZReport:
    found = (
        ZReport.objects.select_related("lane")
        .filter(company_id=request.auth.company_id, environment=request.auth.environment, public_id=public_id)
        .first()
    )
    if found is None:
        raise Problem("not_found", "There is no such Z report.")
    return found


def _brief(report: ZReport) -> dict[str, Any]:
    names = ("id", "number", "branch", "day", "opened_at", "closed_at")
    described = describe(report)
    return {name: described[name] for name in names} | {
        name: report.figures[name] for name in ("sales", "credit_notes", "net")
    }


def _sold(item: ItemSold) -> dict[str, Any]:
    return {
        "item_code": item.code,
        "name": item.name,
        "tax_type": item.tax_type,
        "rate": item.rate,
        "unit_price": str(item.unit_price),
        "sold": plain_quantity(item.sold),
        "sold_amount": str(item.sold_amount),
        "credited": plain_quantity(item.credited),
        "credited_amount": str(item.credited_amount),
        "remaining": None if item.remaining is None else plain_quantity(item.remaining),
    }


def _movement(one: CashMovement) -> dict[str, Any]:
    return {
        "id": one.public_id,
        "reference": one.reference,
        "branch": one.lane.branch,
        "kind": one.kind,
        "amount": str(one.amount),
        "remark": one.remark,
        "cashier": one.cashier,
        "made_at": one.made_at,
        "made_by": one.made_by,
        "z_number": one.z_report.number if one.z_report else None,
    }


def _day_ends(company_id: int) -> dict[str, Any]:
    return {
        "branches": [
            {"branch": code, "automatic": end.is_automatic, "hour": end.hour} for code, end in day_ends(company_id)
        ]
    }
