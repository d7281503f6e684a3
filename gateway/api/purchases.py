"""Purchases: what suppliers told KRA, the company's own bills, and the decision about each."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.request import ApiRequest, active_company, must
from gateway.api.shapes import (
    Amount,
    Body,
    BranchCode,
    Day,
    ItemCode,
    Pin,
    Quantity,
    Reference,
    Remark,
    RequiredShortName,
    ShortName,
)
from gateway.kra.codes import PaymentMethod
from gateway.lib.clock import NAIROBI
from gateway.purchases.fetching import fetch_purchases, missing_suppliers
from gateway.purchases.models import Bill, SupplierInvoice
from gateway.purchases.queries import list_bills, list_purchases
from gateway.purchases.services import Bought, Mapping, accept_purchase, declare_purchase, post_bill, reject
from gateway.tenants.rights import Right

router = Router(tags=["purchases"])
StatusWord = Literal["open", "accepted", "unknown", "confirmed", "rejected", "refused", "gone"]


class PurchasesIn(Schema):
    status: StatusWord | None = None
    supplier_pin: Pin | None = None
    matched: bool | None = Field(None, description="Only those with a bill of yours, or only those without.")
    limit: Limit = 50
    cursor: Cursor = None


class BillsIn(Schema):
    matched: bool | None = None
    supplier_pin: Pin | None = None
    limit: Limit = 50
    cursor: Cursor = None


class MissingIn(Schema):
    days: Annotated[int, Field(ge=0, le=366, description="How many days a supplier has time.")] = 7


class BillIn(Body):
    """A supplier's bill as you have it in your books."""

    reference: Reference
    supplier_pin: Pin
    supplier_name: ShortName = ""
    invoice_number: Annotated[int, Field(ge=1, le=10**15, description="The supplier's, as it stands on the receipt.")]
    amount: Amount = Field(description="With tax.")
    dated_on: Day


class BoughtIn(Body):
    item_code: ItemCode
    quantity: Quantity
    unit_price: Amount = Field(description="With tax.")


class PurchaseIn(Body):
    """A purchase whose supplier told KRA nothing, as it stands on the supplier's paper."""

    reference: Reference
    supplier_name: RequiredShortName
    supplier_pin: Pin | None = Field(None, description="Left out when the supplier has none.")
    invoice_number: Annotated[int, Field(ge=1, le=10**15)] | None = Field(None, description="The supplier's.")
    purchased_on: Day
    branch: BranchCode = Field("00", description="Where the goods are.")
    payment_method: Literal["cash", "credit", "cash_credit", "cheque", "card", "mobile_money", "other"] = "cash"
    lines: Annotated[list[BoughtIn], Field(min_length=1, max_length=999)]


class MappingIn(Body):
    line: Annotated[int, Field(ge=1, le=999, description="The number of the supplier's line.")]
    item_code: ItemCode
    factor: Quantity = Field(1, validate_default=True, description="How many of yours are in one of theirs.")


class AcceptIn(Body):
    branch: BranchCode = Field("00", description="Where the goods are.")
    lines: Annotated[list[MappingIn], Field(min_length=1, max_length=999)]


class RejectIn(Body):
    remark: Remark = ""


class ListedLine(Schema):
    line: int
    name: str
    supplier_item_code: str
    item_class: str
    quantity: str
    quantity_unit: str
    unit_price: str
    tax_type: str
    tax: str
    total: str


class PurchaseOut(Schema):
    """`number` is ours in KRA's series of purchases. Amounts are as the supplier sent them, or as you typed them.

    `reference` is yours, of a purchase that you declared; null for what suppliers told KRA.
    """

    id: UUID
    reference: str | None
    status: StatusWord
    supplier_pin: str
    supplier_name: str
    supplier_branch: str
    invoice_number: int | None
    sold_on: date | None
    total: str
    bill: str | None
    number: int | None
    lines: list[ListedLine]
    decision: dict[str, Any] | None
    problem: dict[str, Any] | None
    listed_at: datetime


class PurchasesOut(Schema):
    purchases: list[PurchaseOut]
    next: str | None


class BillOut(Schema):
    """`purchase` is the supplier's invoice that agrees with it, null while the supplier has told KRA of none."""

    id: UUID
    reference: str
    supplier_pin: str
    supplier_name: str
    invoice_number: int
    amount: str
    dated_on: date
    purchase: UUID | None


class BillsOut(Schema):
    bills: list[BillOut]
    next: str | None


class MissingOut(Schema):
    bills: list[BillOut]


class FetchedOut(Schema):
    sent: int = Field(description="Rows that KRA sent.")
    new: int = Field(description="Those that were not known.")


@router.get("/purchases/", response=PurchasesOut, operation_id="list_purchases", summary="What suppliers told KRA")
def purchases(request: ApiRequest, wanted: Query[PurchasesIn]) -> dict[str, Any]:
    """Invoices that suppliers issued to you, newest first."""
    must(request.auth, Right.READ)
    only_these(request, PurchasesIn)
    page = list_purchases(
        request.auth.company_id,
        request.auth.environment,
        status=wanted.status,
        supplier_pin=wanted.supplier_pin,
        matched=wanted.matched,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"purchases": [_purchase(row) for row in page.rows], "next": page.next}


@router.post(
    "/purchases/",
    response={200: PurchaseOut, 202: PurchaseOut},
    operation_id="declare_purchase",
    summary="Declare a purchase",
)
def declare(request: ApiRequest, body: PurchaseIn) -> Status[dict[str, Any]]:
    """Tell KRA of a purchase that its supplier did not transmit. When KRA has recorded it, the goods come into stock.

    What KRA lists already is accepted instead. While KRA refuses it, it may be posted corrected.
    """
    must(request.auth, Right.MANAGE_PURCHASES)
    told = body.model_dump(exclude={"lines", "supplier_pin", "payment_method"})
    invoice, known = declare_purchase(
        company=active_company(request.auth),
        environment=request.auth.environment,
        supplier_pin=body.supplier_pin or "",
        payment_method=PaymentMethod.from_word(body.payment_method),
        bought=[Bought(line.item_code, line.quantity, line.unit_price) for line in body.lines],
        now=timezone.now(),
        by=request.auth.actor,
        **told,
    )
    return Status(200 if known else 202, _purchase(invoice))


@router.post(
    "/purchases/fetch/",
    response=FetchedOut,
    operation_id="fetch_purchases",
    summary="Ask KRA for suppliers' invoices now",
)
def fetch(request: ApiRequest) -> dict[str, int]:
    """Bring the list up to date now; it is done every half hour anyway."""
    must(request.auth, Right.MANAGE_PURCHASES)
    return fetch_purchases(active_company(request.auth), request.auth.environment)._asdict()


@router.post(
    "/purchases/bills/", response={200: BillOut, 201: BillOut}, operation_id="post_bill", summary="Post a bill"
)
def bill(request: ApiRequest, body: BillIn) -> Status[dict[str, Any]]:
    """Tell a bill of your own books; it is matched by supplier, number and amount."""
    must(request.auth, Right.MANAGE_PURCHASES)
    kept, known = post_bill(
        company=active_company(request.auth), environment=request.auth.environment, **body.model_dump()
    )
    return Status(200 if known else 201, _bill(kept))


@router.get("/purchases/bills/", response=BillsOut, operation_id="list_bills", summary="Your own bills")
def bills(request: ApiRequest, wanted: Query[BillsIn]) -> dict[str, Any]:
    """Bills that were posted, newest first."""
    must(request.auth, Right.READ)
    only_these(request, BillsIn)
    page = list_bills(
        request.auth.company_id,
        request.auth.environment,
        matched=wanted.matched,
        supplier_pin=wanted.supplier_pin,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"bills": [_bill(row) for row in page.rows], "next": page.next}


@router.get(
    "/purchases/missing/",
    response=MissingOut,
    operation_id="missing_suppliers",
    summary="Suppliers who told KRA nothing",
)
def missing(request: ApiRequest, wanted: Query[MissingIn]) -> dict[str, Any]:
    """Bills so many days old that no supplier has transmitted, oldest first: at most 1000."""
    must(request.auth, Right.READ)
    only_these(request, MissingIn)
    today = timezone.now().astimezone(NAIROBI).date()
    found = missing_suppliers(request.auth.company_id, request.auth.environment, days=wanted.days, today=today)
    return {"bills": [_bill(row) for row in found]}


@router.get("/purchases/{id}/", response=PurchaseOut, operation_id="get_purchase", summary="One supplier's invoice")
def purchase(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """One supplier's invoice as it stands."""
    must(request.auth, Right.READ)
    only_these(request)
    return _purchase(_find(request, id))


@router.post(
    "/purchases/{id}/accept/", response={202: PurchaseOut}, operation_id="accept_purchase", summary="Accept an invoice"
)
def accept(request: ApiRequest, id: UUID, body: AcceptIn) -> Status[dict[str, Any]]:
    """Accept the lines that are named, each as one of your items; the others are left out.

    KRA is told in the company's series of purchases. When it has recorded the purchase, the goods come into stock.
    """
    must(request.auth, Right.MANAGE_PURCHASES)
    active_company(request.auth)
    accepted = accept_purchase(
        invoice=_find(request, id),
        branch=body.branch,
        mappings=[Mapping(line.line, line.item_code, line.factor) for line in body.lines],
        now=timezone.now(),
        by=request.auth.actor,
    )
    return Status(202, _purchase(accepted))


@router.post(
    "/purchases/{id}/reject/", response=PurchaseOut, operation_id="reject_purchase", summary="Reject an invoice"
)
def refuse(request: ApiRequest, id: UUID, body: RejectIn) -> dict[str, Any]:
    """Say that it is not yours. Nothing is sent to KRA, and it can still be accepted later."""
    must(request.auth, Right.MANAGE_PURCHASES)
    active_company(request.auth)
    return _purchase(reject(_find(request, id), remark=body.remark, by=request.auth.actor))


def _find(request: ApiRequest, public_id: UUID) -> SupplierInvoice:
    found = (
        SupplierInvoice.objects.select_related("company", "bill")
        .filter(company_id=request.auth.company_id, environment=request.auth.environment, public_id=public_id)
        .first()
    )
    if found is None:
        raise Http404
    return found


def _purchase(row: SupplierInvoice) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "reference": row.reference or None,
        "status": row.status,
        "supplier_pin": row.supplier_pin,
        "supplier_name": row.supplier_name,
        "supplier_branch": row.supplier_branch,
        "invoice_number": row.invoice_number,
        "sold_on": row.sold_on,
        "total": str(row.total),
        "bill": row.bill.reference if row.bill else None,
        "number": row.number,
        "lines": [
            {
                "line": line["number"],
                "name": line["name"],
                "supplier_item_code": line["item_code"],
                "item_class": line["item_class"],
                "quantity": line["quantity"],
                "quantity_unit": line["quantity_unit"],
                "unit_price": line["unit_price"],
                "tax_type": line["tax_class"],
                "tax": line["tax"],
                "total": line["total"],
            }
            for line in row.document["lines"]
        ],
        "decision": row.decision,
        "problem": row.problem,
        "listed_at": row.listed_at,
    }


def _bill(row: Bill) -> dict[str, Any]:
    listed = getattr(row, "listed", None)
    return {
        "id": row.public_id,
        "reference": row.reference,
        "supplier_pin": row.supplier_pin,
        "supplier_name": row.supplier_name,
        "invoice_number": row.invoice_number,
        "amount": str(row.amount),
        "dated_on": row.dated_on,
        "purchase": listed.public_id if listed else None,
    }
