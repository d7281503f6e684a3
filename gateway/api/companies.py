"""Companies as the staff sees them, and each company as it sees itself."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Query, Router, Schema
from pydantic import Field

from gateway.api.auth import Principal
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import field, invalid
from gateway.api.request import EitherRequest, StaffRequest, either_key, must, staff_key, the_company
from gateway.api.shapes import Body, EnvironmentName, Pin, PlanName, Reason, ShortName
from gateway.audit.services import record
from gateway.tenants.companies import Filter, companies_of, list_companies, set_company_status
from gateway.tenants.models import Company
from gateway.tenants.rights import Right

router = Router(tags=["companies"])
StatusName = Literal["active", "suspended", "closed"]


class CompanyDetail(Schema):
    """A taxpayer. `status`: active; suspended or closed, then no new documents are taken."""

    id: UUID
    pin: str
    name: str
    status: str
    plan: str
    email: str | None
    phone: str | None
    reseller: str | None = Field(description="Who looks after it; null for the integrator itself.")
    onboarded_at: datetime


class CompaniesIn(Schema):
    """Which companies, and how many at once."""

    status: StatusName | None = None
    plan: PlanName | None = None
    pin: Pin | None = None
    name: ShortName | None = Field(None, description="Any part of the name, in small or large letters.")
    environment: EnvironmentName | None = Field(None, description="Only companies with a device there.")
    limit: Limit = 50
    cursor: Cursor = None


class CompaniesOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    companies: list[CompanyDetail]
    next: str | None


class StatusIn(Body):
    status: StatusName
    reason: Reason = Field("", description="Why; needed to suspend or close. It is kept in the journal.")


def company_out(company: Company) -> dict[str, Any]:
    """The company as callers see it."""
    return {
        "id": company.public_id,
        "pin": company.pin,
        "name": company.name,
        "status": company.status,
        "plan": company.plan,
        "email": company.contact_email or None,
        "phone": company.contact_phone or None,
        "reseller": company.organisation.name if company.organisation else None,
        "onboarded_at": company.created_at,
    }


@router.get(
    "/companies/", response=CompaniesOut, auth=staff_key, operation_id="list_companies", summary="List companies"
)
def companies(request: StaffRequest, wanted: Query[CompaniesIn]) -> dict[str, Any]:
    """The companies that the staff sees, newest first; a reseller's staff sees only its own."""
    must(request.auth, Right.READ_COMPANIES)
    only_these(request, CompaniesIn)
    page = list_companies(
        companies_of(request.auth.organisation_id),
        Filter(
            status=wanted.status,
            plan=wanted.plan,
            pin=wanted.pin,
            name=wanted.name or None,
            environment=wanted.environment,
        ),
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"companies": [company_out(company) for company in page.companies], "next": page.next}


@router.get(
    "/companies/{id}/", response=CompanyDetail, auth=either_key, operation_id="get_company", summary="See a company"
)
def company(request: EitherRequest, id: str) -> dict[str, Any]:
    """One company: your own, or for the staff any that it sees."""
    found = the_company(request.auth, id)
    must(request.auth, Right.READ if isinstance(request.auth, Principal) else Right.READ_COMPANIES)
    return company_out(found)


@router.put(
    "/companies/{id}/status/",
    response=CompanyDetail,
    auth=staff_key,
    operation_id="set_company_status",
    summary="Suspend, close or reactivate a company",
)
def status(request: StaffRequest, id: str, body: StatusIn) -> dict[str, Any]:
    """Let a company's new documents be taken or not. Within two seconds every process knows it.

    Suspended or closed: new sales get 403 and nothing of them is kept; known references are answered as before, and
    what was kept already is still signed. The same status again changes nothing.
    """
    found = the_company(request.auth, id)
    must(request.auth, Right.SET_COMPANY_STATUS)
    if body.status != "active" and not body.reason:
        raise invalid([field("reason", "missing", "Say why: the company's owner will ask.")])
    return company_out(
        set_company_status(
            found,
            status=Company.Status(body.status),
            reason=body.reason,
            actor=request.auth.actor,
            journal=record,
        )
    )
