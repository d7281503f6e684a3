"""A company's people: who has a place, who is invited, and the changes its owners make."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from gateway.audit.services import record
from gateway.dashboard.forms import ChangeRoleForm, InviteForm, last_day
from gateway.dashboard.places import Place, find_place, person
from gateway.tenants import invitations
from gateway.tenants.invitations import AlreadyInvited, AlreadyMember, InvitationClosed
from gateway.tenants.models import Invitation, Member
from gateway.tenants.people import BadAccessEnd, LastOwner, NotAllowed, change_role, remove_member

PAGE = 25


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def people(request: HttpRequest, company: uuid.UUID) -> HttpResponse:
    """Everybody with a place in the company and every open invitation; POST invites somebody."""
    place = _managed_place(request, company)
    form = InviteForm(request.POST or None, place=place)
    if request.method == "POST" and form.is_valid() and _invite(request, place, form):
        return redirect("people", company)
    now = timezone.now()
    members = Member.objects.filter(company=place.company).select_related("user").order_by("pk")
    return render(
        request,
        "dashboard/people.html",
        {
            "place": place,
            "company": place.company,
            "form": form,
            "members": Paginator(members, PAGE).get_page(request.GET.get("page")),
            "invitations": invitations.open_invitations(place.company).order_by("-pk")[: PAGE * 4],
            "now": now,
        },
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def member(request: HttpRequest, company: uuid.UUID, member: uuid.UUID) -> HttpResponse:
    """One member's role; POST changes it."""
    place = _managed_place(request, company)
    found = _member(place, member)
    now = timezone.now()
    known = {"role": found.role, "until": found.expires_at and last_day(found.expires_at)}
    form = ChangeRoleForm(request.POST or None, place=place, initial=known)
    if request.method == "POST" and form.is_valid():
        try:
            change_role(
                found, role=form.cleaned_data["role"], ends_at=form.ends_at(), by=place.actor, now=now, journal=record
            )
        except BadAccessEnd as error:
            form.add_error("until", str(error))
        except (NotAllowed, LastOwner) as error:
            form.add_error("role", str(error))
        except Member.DoesNotExist:
            return _gone(request, place, found)
        else:
            messages.success(request, f"{found.user.email} is {found.get_role_display().lower()} now.")
            return redirect("people", company)
    told = {"place": place, "company": place.company, "form": form, "member": found}
    return render(request, "dashboard/member.html", told)


@login_required
@require_POST
def remove(request: HttpRequest, company: uuid.UUID, member: uuid.UUID) -> HttpResponse:
    """Take a member out of the company."""
    place = _managed_place(request, company)
    found = _member(place, member)
    try:
        remove_member(found, by=place.actor, now=timezone.now(), journal=record)
    except (NotAllowed, LastOwner) as error:
        messages.error(request, str(error))
        return redirect("member", company, member)
    except Member.DoesNotExist:
        return _gone(request, place, found)
    messages.success(request, f"{found.user.email} has no place here any more.")
    return redirect("home") if found.user == person(request) else redirect("people", company)


@login_required
@require_POST
def resend(request: HttpRequest, company: uuid.UUID, invitation: uuid.UUID) -> HttpResponse:
    """Send an invitation's mail again, with a new link."""
    place = _managed_place(request, company)
    found = _invitation(place, invitation)
    try:
        found = invitations.resend(found, by=place.actor, now=timezone.now(), journal=record)
    except (NotAllowed, BadAccessEnd) as error:
        messages.error(request, str(error))
    except InvitationClosed:
        messages.error(request, f"The invitation of {found.email} was used or revoked meanwhile.")
    else:
        _tell_about_mail(request, found)
    return redirect("people", company)


@login_required
@require_POST
def revoke(request: HttpRequest, company: uuid.UUID, invitation: uuid.UUID) -> HttpResponse:
    """Make an invitation's link stop opening."""
    place = _managed_place(request, company)
    found = _invitation(place, invitation)
    try:
        invitations.revoke(found, by=place.actor, now=timezone.now(), journal=record)
    except NotAllowed as error:
        messages.error(request, str(error))
    except InvitationClosed:
        messages.error(request, f"The invitation of {found.email} was used or revoked meanwhile.")
    else:
        messages.success(request, f"The link that {found.email} got opens nothing any more.")
    return redirect("people", company)


def _gone(request: HttpRequest, place: Place, member: Member) -> HttpResponse:
    """Somebody else took the member out in this moment."""
    messages.error(request, f"{member.user.email} was taken out meanwhile.")
    return redirect("people", place.company.public_id)


def _invite(request: HttpRequest, place: Place, form: InviteForm) -> bool:
    told = form.cleaned_data
    try:
        made = invitations.invite(
            place.company,
            email=told["email"],
            name=told["name"],
            role=told["role"],
            access_until=form.ends_at(),
            by=place.actor,
            now=timezone.now(),
            journal=record,
        )
    except AlreadyMember:
        form.add_error("email", "This person has a place here already: change their role in the list.")
    except AlreadyInvited:
        form.add_error("email", "This person is invited already: send the invitation again from the list.")
    except BadAccessEnd as error:
        form.add_error("until", str(error))
    except NotAllowed as error:
        form.add_error("role", str(error))
    else:
        _tell_about_mail(request, made)
        return True
    return False


def _tell_about_mail(request: HttpRequest, invitation: Invitation) -> None:
    if invitation.sent_at:
        messages.success(request, f"We sent {invitation.email} a link. It opens for {settings.INVITATION_DAYS} days.")
    else:
        messages.error(
            request,
            f"{invitation.email} is invited, but the mail could not be sent just now. Send it again in a few minutes.",
        )


def _managed_place(request: HttpRequest, company: uuid.UUID) -> Place:
    """The signed-in person's place, when it lets them manage people. Raises Http404, PermissionDenied."""
    place = find_place(request, company)
    if not place.may_manage_people:
        raise PermissionDenied("Only an owner manages a company's people.")
    return place


def _member(place: Place, member: uuid.UUID) -> Member:
    found = (
        Member.objects.select_related("user", "company").filter(company=place.company, user__public_id=member).first()
    )
    if found is None:
        raise Http404
    return found


def _invitation(place: Place, invitation: uuid.UUID) -> Invitation:
    found = Invitation.objects.select_related("company").filter(company=place.company, public_id=invitation).first()
    if found is None:
        raise Http404
    return found
