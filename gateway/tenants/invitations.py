"""Invitations by mail: a link that gives its reader a place in a company, once, within some days.

To give a company its first owner, call `invite` with the role owner (onboarding does so for an owner without a
password). What changes is recorded in the journal that the caller hands in; see `tenants.people`.

The mail goes out when the transaction has committed. A mail server that is down loses nothing: `sent_at` stays empty,
and `resend` tries again.
"""

import hashlib
import logging
import secrets
import smtplib
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string
from django.utils import timezone

from gateway.tenants.keys import Journal
from gateway.tenants.models import Company, Invitation, Member, Role, User
from gateway.tenants.pages import newest_first, page
from gateway.tenants.people import Actor, actor_of, check_access_end, current_members, must_give

ACCEPT_PATH = "/account/invitation/"
_log = logging.getLogger(__name__)


class AlreadyMember(Exception):
    """The person has a place in the company; change their role instead."""


class AlreadyInvited(Exception):
    """An invitation to this address is open; send that one again, or revoke it."""


class InvitationClosed(Exception):
    """It was accepted or revoked; nothing can be done with it any more."""


class InvitationUnknown(Exception):
    """No open invitation has this token: mistyped, used, revoked, replaced by a newer mail, or too old."""


class OtherPerson(Exception):
    """The invitation is for somebody else than the person who is signed in."""


class PasswordNeeded(Exception):
    """A person without a password must set one to join."""


@transaction.atomic
def invite(
    company: Company,
    *,
    email: str,
    role: str,
    by: Actor,
    now: datetime,
    journal: Journal,
    name: str = "",
    access_until: datetime | None = None,
) -> Invitation:
    """Hold a place in the company for the owner of a mail address, and send them the link.

    Raises people.NotAllowed, people.BadAccessEnd, AlreadyMember, and AlreadyInvited while an invitation is open.
    """
    must_give(by, role)
    check_access_end(role, access_until, now=now)
    email = User.objects.normalize_email(email).lower()
    if current_members(now=now).filter(company=company, user__email=email).exists():
        raise AlreadyMember(email)
    open_invitations(company).filter(email=email, expires_at__lte=now).update(revoked_at=now)  # too old to be used
    token = _new_token()
    try:
        with transaction.atomic():
            invitation = Invitation.objects.create(
                company=company,
                email=email,
                name=name,
                role=role,
                access_until=access_until,
                digest=_digest(token),
                invited_by=by.name,
                expires_at=now + timedelta(days=settings.INVITATION_DAYS),
            )
    except IntegrityError:
        raise AlreadyInvited(email) from None
    _note(invitation, "member.invited", by.name, journal)
    transaction.on_commit(lambda: _send(invitation, token))
    return invitation


@transaction.atomic
def resend(invitation: Invitation, *, by: Actor, now: datetime, journal: Journal) -> Invitation:
    """Send a new link, good for some days from now; the one before stops opening.

    Raises people.NotAllowed, people.BadAccessEnd, InvitationClosed.
    """
    invitation = _locked(invitation)
    must_give(by, invitation.role)
    check_access_end(invitation.role, invitation.access_until, now=now)
    token = _new_token()
    invitation.digest, invitation.sent_at = _digest(token), None
    invitation.expires_at = now + timedelta(days=settings.INVITATION_DAYS)
    invitation.save(update_fields=["digest", "sent_at", "expires_at"])
    _note(invitation, "invitation.resent", by.name, journal)
    transaction.on_commit(lambda: _send(invitation, token))
    return invitation


@transaction.atomic
def revoke(invitation: Invitation, *, by: Actor, now: datetime, journal: Journal) -> Invitation:
    """Make the link stop opening. Raises people.NotAllowed, InvitationClosed."""
    invitation = _locked(invitation)
    must_give(by, invitation.role)
    invitation.revoked_at = now
    invitation.save(update_fields=["revoked_at"])
    _note(invitation, "invitation.revoked", by.name, journal)
    return invitation


def open_invitations(company: Company) -> QuerySet[Invitation]:
    """The company's invitations that were neither accepted nor revoked; some may be too old to be used."""
    return Invitation.objects.filter(company=company, accepted_at=None, revoked_at=None)


class Page(NamedTuple):
    """Invitations, newest first, and the cursor of the next page, None at the end."""

    invitations: list[Invitation]
    next: str | None


def list_invitations(company: Company, *, limit: int, cursor: str | None = None) -> Page:
    """A page of all invitations of a company. Raises lib.cursor.BadCursor for a cursor that this list has not given."""
    return Page(*page(newest_first(Invitation.objects.filter(company=company), cursor), limit))


def status_of(invitation: Invitation, *, now: datetime) -> Literal["open", "too_old", "accepted", "revoked"]:
    """What became of an invitation."""
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at:
        return "revoked"
    return "open" if invitation.expires_at > now else "too_old"


def find_open(token: str, *, now: datetime) -> Invitation:
    """The invitation that a link opens. Raises InvitationUnknown."""
    found = (
        Invitation.objects.select_related("company")
        .filter(digest=_digest(token), accepted_at=None, revoked_at=None, expires_at__gt=now)
        .exclude(access_until__lte=now)
        .exclude(company__status=Company.Status.CLOSED)
        .first()
    )
    if found is None:
        raise InvitationUnknown
    return found


def invited_person(invitation: Invitation) -> User | None:
    """Who has the invited address already; None for somebody new."""
    return User.objects.filter(email=invitation.email).first()


@transaction.atomic
def accept(
    token: str, *, now: datetime, journal: Journal, user: User | None = None, name: str = "", password: str = ""
) -> Member:
    """Take the place that an invitation holds; the link is used up.

    Whoever has a password already must be the one who is signed in (`user`); whoever has none sets name and password.
    Raises InvitationUnknown, OtherPerson, PasswordNeeded.
    """
    try:
        invitation = _locked(find_open(token, now=now))
    except InvitationClosed:  # by a second click, at this moment
        raise InvitationUnknown from None
    if invitation.digest != _digest(token):  # sent again, at this moment
        raise InvitationUnknown
    person = invited_person(invitation)
    if user is not None and user != person:
        raise OtherPerson(invitation.email)
    if person is None or not person.has_usable_password():
        person = _with_password(person, invitation, name=name, password=password)
    elif user is None:
        raise OtherPerson(invitation.email)
    member = current_members(now=now).filter(user=person, company=invitation.company).first()
    if member is None:  # or one whose time was over
        member, _ = Member.objects.update_or_create(
            user=person,
            company=invitation.company,
            defaults={"role": invitation.role, "expires_at": invitation.access_until},
        )
    invitation.accepted_at = now
    invitation.save(update_fields=["accepted_at"])
    journal(
        invitation.company,
        "member.joined",
        subject=person.public_id,
        environment="",
        actor=actor_of(person),
        person=person.email,
        role=member.role,
        invitation=str(invitation.public_id),
        invited_by=invitation.invited_by,
    )
    return member


def _with_password(person: User | None, invitation: Invitation, *, name: str, password: str) -> User:
    if not password:
        raise PasswordNeeded(invitation.email)
    if person is None:
        return User.objects.create_user(invitation.email, password, name=name or invitation.name)
    person.set_password(password)
    person.name = name or person.name
    person.save(update_fields=["password", "name"])
    return person


def _locked(invitation: Invitation) -> Invitation:
    """The invitation, while nobody else uses or changes it. Raises InvitationClosed when it is used up or revoked."""
    locked = Invitation.objects.select_for_update(no_key=True).get(pk=invitation.pk)
    if locked.accepted_at or locked.revoked_at:
        raise InvitationClosed(locked.email)
    return locked


def _note(invitation: Invitation, name: str, actor: str, journal: Journal) -> None:
    journal(
        invitation.company,
        name,
        subject=invitation.public_id,
        environment="",
        actor=actor,
        person=invitation.email,
        role=invitation.role,
        access_until=invitation.access_until.isoformat() if invitation.access_until else None,
        expires_at=invitation.expires_at.isoformat(),
    )


def _send(invitation: Invitation, token: str) -> None:
    told = {
        "invitation": invitation,
        "company": invitation.company,
        "role": Role(invitation.role).label.lower(),
        "link": f"{settings.SYSTEM_URL}{ACCEPT_PATH}{token}/",
        "installation": settings.COMPANY_NAME,
        "support": settings.SUPPORT_EMAIL,
        "days": settings.INVITATION_DAYS,
    }
    mail = EmailMultiAlternatives(
        subject=f"Your place at {invitation.company.name}",
        body=render_to_string("tenants/invitation.txt", told),
        to=[invitation.email],
    )
    mail.attach_alternative(render_to_string("tenants/invitation.html", told), "text/html")
    try:
        mail.send()
    except (OSError, smtplib.SMTPException) as error:  # the invitation is kept; its list says that no mail went out
        _log.warning("the mail of invitation %s did not go out: %s", invitation.public_id, type(error).__name__)
        return
    invitation.sent_at = timezone.now()
    Invitation.objects.filter(Q(pk=invitation.pk) & Q(digest=invitation.digest)).update(sent_at=invitation.sent_at)


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
