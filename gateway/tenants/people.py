"""A company's people: who they are, what they may do, changing their role, taking them out.

The journal stands above this room. Whoever calls these hands it in as `journal`, so that no change goes unrecorded.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet

from gateway.lib.cursor import BadCursor, read_cursor, write_cursor
from gateway.tenants.keys import Journal
from gateway.tenants.models import Company, Member, OperatorRole, Role, User
from gateway.tenants.rights import Right, may, rights_of

MOST_DAYS = 366  # of access with an end, as a revenue officer has


class Actor(NamedTuple):
    """Who acts: a role, of the company or of the integrator's staff, and how the journal names them."""

    role: str
    name: str


class NotAllowed(Exception):
    """The role may not do this to people; the text says why."""


class LastOwner(Exception):
    """The company would be left without an owner who can act; nothing was changed."""


class BadAccessEnd(Exception):
    """The day on which access ends is missing, past or too far away; the text says which."""


def actor_of(user: User) -> str:
    """How the journal names a person: by address, or by id when the address is too long for it."""
    named = f"person:{user.email}"
    return named if len(named) <= 100 else f"person:{user.public_id}"


def current_members(*, now: datetime) -> QuerySet[Member]:
    """Everybody's places in companies that hold at this moment."""
    return Member.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), user__is_active=True)


def may_give(actor: Actor, role: str) -> bool:
    """Whether somebody may give a role: those who manage people, and in a company nobody more than they have."""
    if not may(actor.role, Right.MANAGE_PEOPLE):
        return False
    return actor.role in set(OperatorRole) or rights_of(role) <= rights_of(actor.role)


def must_give(actor: Actor, role: str) -> None:
    """Raises NotAllowed when somebody may not give a role, or change a person who has it."""
    if not may_give(actor, role):
        raise NotAllowed(f"The role {actor.role} may not make anybody {Role(role).label.lower()}, or change one.")


def check_access_end(role: str, ends_at: datetime | None, *, now: datetime) -> None:
    """Raises BadAccessEnd: a revenue officer's access must end, anybody's may, within 366 days from now."""
    if ends_at is None:
        if role == Role.REVENUE_OFFICER:
            raise BadAccessEnd("A revenue officer looks for a limited time: say when it ends.")
        return
    if not now < ends_at <= now + timedelta(days=MOST_DAYS):
        raise BadAccessEnd(f"The end must lie ahead, and at most {MOST_DAYS} days.")


class Page(NamedTuple):
    """Members in the order in which they came, and the cursor of the next page, None at the end."""

    members: list[Member]
    next: str | None


def list_members(company: Company, *, role: str | None, limit: int, cursor: str | None = None) -> Page:
    """A page of a company's people. Raises lib.cursor.BadCursor for a cursor that this list has not given."""
    rows = Member.objects.filter(company=company)
    if cursor is not None:
        after = rows.filter(user__public_id=read_cursor(cursor)).values_list("pk", flat=True).first()
        if after is None:
            raise BadCursor(cursor)
        rows = rows.filter(pk__gt=after)
    if role is not None:
        rows = rows.filter(role=role)
    page = list(rows.select_related("user").order_by("pk")[: limit + 1])
    return Page(page[:limit], write_cursor(page[limit - 1].user.public_id) if len(page) > limit else None)


def status_of(member: Member, *, now: datetime) -> Literal["active", "ended", "switched_off"]:
    """Whether somebody's place holds; the staff can switch an account off."""
    if not member.user.is_active:
        return "switched_off"
    return "active" if member.expires_at is None or member.expires_at > now else "ended"


@transaction.atomic
def change_role(
    member: Member, *, role: str, ends_at: datetime | None, by: Actor, now: datetime, journal: Journal
) -> Member:
    """Give a member another role, with an end or without. The same role and end again changes and records nothing.

    Raises NotAllowed, BadAccessEnd, LastOwner when nobody would be left to manage the company, and Member.DoesNotExist
    for who was taken out a moment ago.
    """
    member = _locked(member)
    must_give(by, member.role)
    must_give(by, role)
    check_access_end(role, ends_at, now=now)
    if (member.role, member.expires_at) == (role, ends_at):
        return member
    if role != Role.OWNER or ends_at is not None:
        _must_leave_an_owner(member, now=now)
    before = _facts(member)
    member.role, member.expires_at = role, ends_at
    member.save(update_fields=["role", "expires_at"])
    journal(
        member.company,
        "member.changed",
        subject=member.user.public_id,
        environment="",
        actor=by.name,
        person=member.user.email,
        before=before,
        after=_facts(member),
    )
    return member


@transaction.atomic
def remove_member(member: Member, *, by: Actor, now: datetime, journal: Journal) -> None:
    """Take a person out of a company; from the next request on they see nothing of it.

    Raises NotAllowed, LastOwner when nobody would be left to manage the company, and Member.DoesNotExist for who was
    taken out a moment ago.
    """
    member = _locked(member)
    must_give(by, member.role)
    _must_leave_an_owner(member, now=now)
    journal(
        member.company,
        "member.removed",
        subject=member.user.public_id,
        environment="",
        actor=by.name,
        person=member.user.email,
        before=_facts(member),
        after=None,
    )
    member.delete()


def _locked(member: Member) -> Member:
    """The member, while the company's people change one at a time. Raises Member.DoesNotExist when it has gone."""
    Company.objects.select_for_update(no_key=True).get(pk=member.company_id)
    return Member.objects.select_related("user", "company").get(pk=member.pk)


def _must_leave_an_owner(member: Member, *, now: datetime) -> None:
    if member.role != Role.OWNER or member.expires_at is not None:
        return
    owners = current_members(now=now).filter(company=member.company_id, role=Role.OWNER, expires_at=None)
    if not owners.exclude(pk=member.pk).exists():
        raise LastOwner(f"{member.user.email} is the last owner of {member.company.name}.")


def _facts(member: Member) -> dict[str, Any]:
    return {"role": member.role, "access_until": member.expires_at.isoformat() if member.expires_at else None}
