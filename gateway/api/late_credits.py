"""What the staff may allow: a credit note after its time."""

import uuid
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Router, Schema
from pydantic import AfterValidator, Field, StringConstraints

from gateway.api.problems import Problem, field, invalid
from gateway.api.request import StaffRequest, must, staff_key, the_company
from gateway.api.shapes import Body, plain_line
from gateway.sales.crediting import NotCreditable, allow_late_credit
from gateway.sales.models import Invoice
from gateway.tenants.rights import Right

router = Router(tags=["companies"])

_Line = StringConstraints(strip_whitespace=True, min_length=1, max_length=200)
Reason = Annotated[str, _Line, AfterValidator(plain_line)]


class LateCreditIn(Body):
    """Which sale may be credited although its time is over, and why."""

    sale: UUID = Field(description="The id of the sale's document.")
    reason: Reason = Field(description="Kept in the journal, and told with each credit note.")


class LateCreditOut(Schema):
    """What was allowed first; it stays."""

    sale: UUID
    reference: str
    reason: str
    allowed_by: str
    allowed_at: datetime


@router.post(
    "/companies/{id}/late-credits/",
    response=LateCreditOut,
    auth=staff_key,
    operation_id="allow_late_credit",
    summary="Allow a credit note after its time",
)
def allow(request: StaffRequest, id: str, body: LateCreditIn) -> dict[str, Any]:
    """Let a sale be credited after the months in which it could be; a second call changes nothing."""
    company = the_company(request.auth, id)
    must(request.auth, Right.ALLOW_LATE_CREDITS)
    sale = Invoice.objects.filter(company=company, public_id=uuid.UUID(str(body.sale))).first()
    if sale is None:
        raise invalid([field("sale", "unknown_sale", "This company has no such sale.")])
    try:
        allowed = allow_late_credit(company=company, sale=sale, reason=body.reason, actor=request.auth.actor)
    except NotCreditable as error:
        raise Problem("not_creditable", error.message) from None
    allowed.refresh_from_db()
    return {
        "sale": sale.public_id,
        "reference": sale.reference,
        "reason": allowed.reason,
        "allowed_by": allowed.actor,
        "allowed_at": allowed.allowed_at,
    }
