"""A company's people who have a place in it: who they are, another role, taking them out."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from gateway.api.invitations import actor_in, managed_company
from gateway.api.keys import RoleName
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem
from gateway.api.request import EitherRequest, either_key, must, the_company
from gateway.api.shapes import Body, Moment
from gateway.audit.services import record
from gateway.tenants.models import Company, Member
from gateway.tenants.people import change_role, list_members, remove_member, status_of
from gateway.tenants.rights import Right

router = Router(tags=["people"])


class MemberChange(Body):
    """The whole of it: an end that is left out is none."""

    role: RoleName
    access_until: Moment | None = Field(
        None, description="When their access ends; needed for a revenue officer, at most 366 days ahead."
    )


class MemberOut(Schema):
    """A person's place in the company. `status`: active, ended (`access_until` is past) or switched_off."""

    id: UUID
    email: str
    name: str | None
    role: str
    status: Literal["active", "ended", "switched_off"]
    access_until: datetime | None


class MembersIn(Schema):
    """Which people, and how many at once."""

    role: RoleName | None = None
    limit: Limit = 50
    cursor: Cursor = None


class MembersOut(Schema):
    """A page, in the order in which they came. `next` is the cursor of the following page, null at the end."""

    members: list[MemberOut]
    next: str | None


@router.get(
    "/companies/{id}/members/",
    response=MembersOut,
    auth=either_key,
    operation_id="list_members",
    summary="List people",
)
def all_members(request: EitherRequest, id: str, wanted: Query[MembersIn]) -> dict[str, Any]:
    """Everybody with a place in the company. Who is invited and has not come yet is in the list of invitations."""
    company = the_company(request.auth, id)
    must(request.auth, Right.MANAGE_PEOPLE)
    only_these(request, MembersIn)
    page = list_members(company, role=wanted.role, limit=wanted.limit, cursor=wanted.cursor)
    return {"members": [_out(row) for row in page.members], "next": page.next}


@router.put(
    "/companies/{id}/members/{member}/",
    response=MemberOut,
    auth=either_key,
    operation_id="change_member",
    summary="Change a person's role",
)
def change(request: EitherRequest, id: str, member: str, body: MemberChange) -> dict[str, Any]:
    """Give somebody another role, with an end or without. It holds from their next click on.

    Nobody gives more rights than they have, and the last owner cannot step down.
    """
    found = _find(managed_company(request.auth, id), member)
    changed = change_role(
        found,
        role=body.role,
        ends_at=body.access_until,
        by=actor_in(request.auth),
        now=timezone.now(),
        journal=record,
    )
    return _out(changed)


@router.post(
    "/companies/{id}/members/{member}/remove/",
    response=MemberOut,
    auth=either_key,
    operation_id="remove_member",
    summary="Take a person out",
)
def remove(request: EitherRequest, id: str, member: str) -> dict[str, Any]:
    """Take somebody out of the company; from their next click on they see nothing of it.

    Shows the place they had. Their account and their places elsewhere stay. The last owner cannot be taken out.
    """
    found = _find(managed_company(request.auth, id), member)
    shown = _out(found)
    remove_member(found, by=actor_in(request.auth), now=timezone.now(), journal=record)
    return shown


def _find(company: Company, id: str) -> Member:
    try:
        found = (
            Member.objects.select_related("user", "company").filter(company=company, user__public_id=UUID(id)).first()
        )
    except ValueError:
        found = None
    if found is None:
        raise Problem("not_found", "Nobody with this id has a place in the company.")
    return found


def _out(row: Member) -> dict[str, Any]:
    return {
        "id": row.user.public_id,
        "email": row.user.email,
        "name": row.user.name or None,
        "role": row.role,
        "status": status_of(row, now=timezone.now()),
        "access_until": row.expires_at,
    }
