"""Where somebody is signed in, and signing out there."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from gateway.dashboard.places import person
from gateway.tenants.models import BrowserSession, User
from gateway.tenants.sessions import digest_of

_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "Mac"}
_SYSTEMS |= {"CrOS": "ChromeOS", "Linux": "Linux"}


@login_required
@require_safe
@never_cache
def sessions(request: HttpRequest) -> HttpResponse:
    """The browsers in which the reader is signed in, this one first."""
    here = digest_of(request.session.session_key)
    rows = [
        {"row": row, "name": browser_name(row.browser), "is_here": row.session_key == here}
        for row in BrowserSession.objects.filter(user=person(request), expire_date__gt=timezone.now())
        .only("session_key", "browser", "address", "began_at", "seen_at")
        .order_by("-seen_at")[:100]
    ]
    rows.sort(key=lambda row: not row["is_here"])
    return render(request, "dashboard/sessions.html", {"sessions": rows})


@login_required
@require_POST
def end_session(request: HttpRequest, session: str) -> HttpResponse:
    """Sign out in one other browser."""
    ended, _ = BrowserSession.objects.filter(user=person(request), session_key=session).delete()
    if not ended:
        raise Http404
    messages.success(request, "You are signed out there.")
    return redirect("sessions")


@login_required
@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign out in every browser but this one."""
    end_other_sessions(person(request), session_key=request.session.session_key)
    messages.success(request, "You are signed out everywhere else.")
    return redirect("sessions")


def end_other_sessions(user: User, *, session_key: str | None) -> int:
    """End somebody's sessions but this one; how many. From their next request on those browsers are strangers."""
    return BrowserSession.objects.filter(user=user).exclude(session_key=digest_of(session_key)).delete()[0]


def browser_name(agent: str) -> str:
    """A browser's description of itself in two words."""
    browser = next((name for mark, name in _BROWSERS.items() if mark in agent), "A browser")
    system = next((name for mark, name in _SYSTEMS.items() if mark in agent), "")
    return f"{browser} on {system}" if system else browser
