"""Inviting a company's people by mail."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from gateway.api.auth import Operator, Principal
from gateway.api.keys import RoleName
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem
from gateway.api.request import EitherRequest, either_key, must, must_be_active, the_company
from gateway.api.shapes import Body, Moment, PersonName, RequiredEmail
from gateway.audit.services import record
from gateway.tenants import invitations
from gateway.tenants.models import Company, Invitation
from gateway.tenants.people import Actor
from gateway.tenants.rights import Right

router = Router(tags=["people"])


class InvitationIn(Body):
    email: RequiredEmail = Field(description="Who is invited; they get the link by mail.")
    role: RoleName = "viewer"
    name: PersonName | None = None
    access_until: Moment | None = Field(
        None, description="When their access ends; needed for a revenue officer, at most 366 days ahead."
    )


class InvitationOut(Schema):
    """A place that is held for somebody. The link stands in the mail only."""

    id: UUID
    email: str
    name: str | None
    role: str
    status: Literal["open", "too_old", "accepted", "revoked"]
    access_until: datetime | None
    invited_at: datetime
    sent_at: datetime | None = Field(description="When the mail went out; null: it did not, so send it again.")
    expires_at: datetime


class InvitationsIn(Schema):
    """How many at once."""

    limit: Limit = 50
    cursor: Cursor = None


class InvitationsOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    invitations: list[InvitationOut]
    next: str | None


@router.post(
    "/companies/{id}/invitations/",
    response={201: InvitationOut},
    auth=either_key,
    operation_id="invite",
    summary="Invite somebody",
)
def invite(request: EitherRequest, id: str, body: InvitationIn) -> Status[dict[str, Any]]:
    """Hold a place for somebody and send them a link by mail, which works once, within seven days.

    Nobody gives more rights than they have.
    """
    company = managed_company(request.auth, id)
    made = invitations.invite(
        company,
        email=body.email,
        name=body.name or "",
        role=body.role,
        access_until=body.access_until,
        by=actor_in(request.auth),
        now=timezone.now(),
        journal=record,
    )
    return Status(201, _out(made))


@router.get(
    "/companies/{id}/invitations/",
    response=InvitationsOut,
    auth=either_key,
    operation_id="list_invitations",
    summary="List invitations",
)
def all_invitations(request: EitherRequest, id: str, wanted: Query[InvitationsIn]) -> dict[str, Any]:
    """All invitations of a company, whatever became of them, newest first."""
    company = the_company(request.auth, id)
    must(request.auth, Right.MANAGE_PEOPLE)
    only_these(request, InvitationsIn)
    page = invitations.list_invitations(company, limit=wanted.limit, cursor=wanted.cursor)
    return {"invitations": [_out(row) for row in page.invitations], "next": page.next}


@router.post(
    "/companies/{id}/invitations/{invitation}/resend/",
    response=InvitationOut,
    auth=either_key,
    operation_id="resend_invitation",
    summary="Send an invitation again",
)
def resend(request: EitherRequest, id: str, invitation: str) -> dict[str, Any]:
    """Send a new link, good for seven days from now; the one before stops working."""
    found = _find(managed_company(request.auth, id), invitation)
    return _out(invitations.resend(found, by=actor_in(request.auth), now=timezone.now(), journal=record))


@router.post(
    "/companies/{id}/invitations/{invitation}/revoke/",
    response=InvitationOut,
    auth=either_key,
    operation_id="revoke_invitation",
    summary="Revoke an invitation",
)
def revoke(request: EitherRequest, id: str, invitation: str) -> dict[str, Any]:
    """Make an invitation's link stop working."""
    found = _find(managed_company(request.auth, id), invitation)
    return _out(invitations.revoke(found, by=actor_in(request.auth), now=timezone.now(), journal=record))


def managed_company(caller: Principal | Operator, id: str) -> Company:
    """The company, for who changes its people."""
    company = the_company(caller, id)
    must(caller, Right.MANAGE_PEOPLE)
    must_be_active(caller, company)
    return company


def _find(company: Company, id: str) -> Invitation:
    try:
        found = Invitation.objects.filter(company=company, public_id=UUID(id)).first()
    except ValueError:
        found = None
    if found is None:
        raise Problem("not_found", "There is no such invitation.")
    return found


def actor_in(caller: Principal | Operator) -> Actor:
    """How the services know whoever speaks."""
    return Actor(role=caller.role, name=caller.actor)


def _out(row: Invitation) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "email": row.email,
        "name": row.name or None,
        "role": row.role,
        "status": invitations.status_of(row, now=timezone.now()),
        "access_until": row.access_until,
        "invited_at": row.created_at,
        "sent_at": row.sent_at,
        "expires_at": row.expires_at,
    }
