"""The page that an invitation's link opens: its reader sets name and password, or joins as who they are already."""

from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from gateway.audit.services import record
from gateway.dashboard.accounts import has_second_step
from gateway.dashboard.forms import JoinForm
from gateway.tenants.invitations import InvitationUnknown, OtherPerson, accept, find_open, invited_person
from gateway.tenants.isolation import everything
from gateway.tenants.models import Invitation, User

_TOKEN = "invitation"  # the session keeps the token, so that it stands in no address bar, history or log
_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@require_safe
@never_cache
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """What the mail links to: takes the token out of the address and goes on."""
    request.session[_TOKEN] = token[:100]
    return redirect("invitation")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters("password")
@everything()  # the link is the permission; whose it is stands in the row
def invitation(request: HttpRequest) -> HttpResponse:
    """Take the place that the invitation holds, or be told why not."""
    token = request.session.get(_TOKEN, "")
    try:
        found = find_open(token, now=timezone.now())
    except InvitationUnknown:
        return render(request, "dashboard/invitation_gone.html", status=404)
    known = invited_person(found)
    if known is None or not known.has_usable_password():
        return _as_somebody_new(request, found, token)
    if request.user != known:
        back = urlencode({"next": reverse("invitation")})
        sign_in = f"{reverse('account_login')}?{back}"
        if request.method == "POST" and request.user.is_authenticated:  # "that is not me": let the other one sign in
            logout(request)
            request.session[_TOKEN] = token
            return redirect(sign_in)
        return render(request, "dashboard/invitation_sign_in.html", {"invitation": found, "sign_in": sign_in})
    if request.method == "POST":
        return _join(request, found, token, user=known)
    return render(request, "dashboard/invitation_join.html", {"invitation": found})


def _as_somebody_new(request: HttpRequest, found: Invitation, token: str) -> HttpResponse:
    form = JoinForm(request.POST or None, email=found.email, initial={"name": found.name})
    if request.method == "POST" and form.is_valid():
        told = form.cleaned_data
        return _join(request, found, token, name=told["name"], password=told["password"])
    return render(request, "dashboard/invitation_new.html", {"form": form, "invitation": found})


def _join(
    request: HttpRequest, found: Invitation, token: str, *, user: User | None = None, name: str = "", password: str = ""
) -> HttpResponse:
    try:
        member = accept(token, now=timezone.now(), journal=record, user=user, name=name, password=password)
    except (InvitationUnknown, OtherPerson):
        return render(request, "dashboard/invitation_gone.html", status=404)
    request.session.pop(_TOKEN, None)
    if user is None:
        if has_second_step(member.user) or not member.user.is_active:
            return redirect("account_login")
        if request.user.is_authenticated:  # somebody else, whose session must not become this person's
            logout(request)
        login(request, member.user, backend=_BACKEND)
    return redirect("company", found.company.public_id)
