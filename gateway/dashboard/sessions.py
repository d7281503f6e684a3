"""How long somebody stays signed in: not longer than some hours in all, nor than some minutes without a request."""

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

NOTED_EVERY = timedelta(minutes=1)  # a session is written once a minute, not once a request


class SessionTimes:
    """Signs out whose session is too old or lay idle too long, and notes when and from where the others were seen."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self._noted(request)
        now = timezone.now()
        if request.user.is_authenticated and (why := why_over(request.session, now=now)):
            logout(request)
            messages.info(request, why)
            back = {"next": request.get_full_path()} if request.method == "GET" else {}
            return redirect(f"{settings.LOGIN_URL}?{urlencode(back)}" if back else settings.LOGIN_URL)
        return self._noted(request)

    def _noted(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # only when a view, or a cookie, has brought the session up: the API's requests never touch it
        if request.session.accessed and request.user.is_authenticated:
            note_session(request, now=timezone.now())
        return response


def why_over(session: dict[str, str], *, now: datetime) -> str:
    """Why a session may not go on, in a sentence for its person; empty when it may."""
    began, seen = session.get("began"), session.get("seen")
    if began and now - datetime.fromisoformat(began) > timedelta(hours=settings.SESSION_HOURS):
        return "You were signed in for a long time. Please sign in again."
    if seen and now - datetime.fromisoformat(seen) > timedelta(minutes=settings.SESSION_IDLE_MINUTES):
        return "You were away for a while, so we signed you out. Please sign in again."
    return ""


def note_session(request: HttpRequest, *, now: datetime) -> None:
    """Write into the session when it began and was last seen, from where, and with which browser."""
    session = request.session
    seen = session.get("seen")
    if "began" not in session:
        session["began"] = now.isoformat()
    elif seen and now - datetime.fromisoformat(seen) < NOTED_EVERY:
        return
    session["seen"] = now.isoformat()
    session["address"] = str(request.META.get("REMOTE_ADDR", ""))[:45]
    session["browser"] = request.headers.get("User-Agent", "")[:200]
