"""Whose rows a page may see. (What the API may see, its key decides.)"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from gateway.tenants.companies import company_ids_of
from gateway.tenants.isolation import enter, everything, nothing
from gateway.tenants.models import Member, Staff, User


class PageScope:
    """Middleware: a person sees the companies they belong to, staff see those of their organisation, strangers none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith("/api/"):
            return self._get_response(request)
        with nothing():
            if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User):
                enter(companies_seen_by(request.user))
            return self._get_response(request)


def companies_seen_by(user: User) -> list[int] | None:
    """Row ids of the companies that a person belongs to now; None for all."""
    if user.is_superuser:
        return None
    if (staff := Staff.objects.select_related("organisation").filter(user=user).first()) is not None:
        return company_ids_of(None if staff.organisation.sees_all else staff.organisation_id)
    with everything():
        mine = Member.objects.filter(user=user).exclude(expires_at__lte=timezone.now())
        return list(mine.values_list("company_id", flat=True))
