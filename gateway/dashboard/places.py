"""Which companies the person who is signed in may see; every page of a company starts here."""

import uuid
from dataclasses import dataclass
from functools import cached_property

from django.http import Http404, HttpRequest
from django.utils import timezone

from gateway.audit.officers import note_opening
from gateway.tenants.models import Company, Member, Role, User
from gateway.tenants.people import Actor, actor_of, current_members
from gateway.tenants.rights import RIGHTS, Right, may


@dataclass(frozen=True)
class Place:
    """Somebody's place in one company."""

    member: Member

    @property
    def company(self) -> Company:
        return self.member.company

    @property
    def role(self) -> Role:
        return Role(self.member.role)

    @property
    def actor(self) -> Actor:
        """How services know whoever acts from this place."""
        return Actor(role=self.member.role, name=actor_of(self.member.user))

    def may(self, right: Right) -> bool:
        return may(self.member.role, right)

    @cached_property
    def may_manage_people(self) -> bool:
        return self.may(Right.MANAGE_PEOPLE)

    @cached_property
    def allowed(self) -> list[str]:
        """What the role may do, in words."""
        return [grant.words for right, grant in RIGHTS.items() if self.may(right)]


def person(request: HttpRequest) -> User:
    """Who is signed in; call it only behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user


def places(user: User) -> list[Place]:
    """All of somebody's places that hold now, by company name."""
    found = current_members(now=timezone.now()).filter(user=user).select_related("company", "user")
    return [Place(member) for member in found.order_by("company__name", "pk")]


def find_place(request: HttpRequest, company: uuid.UUID) -> Place:
    """The place in a company of whoever is signed in; what an officer of the revenue opens is written down.

    Raises Http404 for a company they have no place in, as for one that is not there.
    """
    found = current_members(now=timezone.now()).filter(user=person(request), company__public_id=company)
    member = found.select_related("company", "user").first()
    if member is None:
        raise Http404
    place = Place(member)
    note_opening(
        company_id=place.company.pk,
        role=place.role,
        actor=place.actor.name,
        method=request.method or "",
        path=request.path,
        query=request.GET.dict(),
    )
    return place
