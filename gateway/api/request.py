"""What a route is handed: who asks, and whether they may."""

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from gateway.api.auth import Operator, Principal, digest_of, find_operator, find_principal, key_in
from gateway.api.problems import Problem
from gateway.tenants.models import Company, OperatorRole
from gateway.tenants.rights import RIGHTS, Right, may


class ApiRequest(HttpRequest):
    """A request whose caller is known."""

    auth: Principal


class OnboardRequest(HttpRequest):
    """A request of somebody who may onboard companies."""

    auth: Operator


ANYBODY = Operator(email="open onboarding", role=OperatorRole.SUPPORT)


def company_key(request: HttpRequest) -> Principal:
    """Who speaks with a company's key. Raises Problem 401 when no valid key was sent."""
    principal = find_principal(digest_of(_key(request)), now=timezone.now())
    if principal is None:
        raise _unknown()
    return principal


def operator_key(request: HttpRequest) -> Operator:
    """Which of the integrator's staff speaks; anybody where OPEN_ONBOARDING is set.

    Raises Problem 401 without a valid key, 403 for the key of a company.
    """
    if settings.OPEN_ONBOARDING and request.headers.get("Authorization") is None:
        return ANYBODY
    digest, now = digest_of(_key(request)), timezone.now()
    if operator := find_operator(digest, now=now):
        return operator
    if find_principal(digest, now=now) is not None:
        if settings.OPEN_ONBOARDING:
            return ANYBODY
        raise Problem("operator_needed", "This key belongs to a company; onboarding needs an operator key.")
    raise _unknown()


def must(caller: Principal | Operator, right: Right) -> None:
    """Raises Problem 403 when the caller's role does not have the right; the detail names the roles that have it."""
    if may(caller.role, right):
        return
    roles, staff = RIGHTS[right].roles, RIGHTS[right].operators
    if isinstance(caller, Principal) and not roles:
        raise Problem("operator_needed", "This key belongs to a company; this needs an operator key.")
    allowed = ", ".join(sorted(roles if isinstance(caller, Principal) else staff)) or "a key of the company itself"
    raise Problem("role_not_allowed", f"The key has the role {caller.role}; this needs one of: {allowed}.")


def active_company(principal: Principal) -> Company:
    """The company of the key. Raises Problem 403 when its documents are not taken."""
    if not principal.is_active:
        raise Problem("company_not_active", f"The company is {principal.company_status}.")
    return Company.objects.get(pk=principal.company_id)


def _key(request: HttpRequest) -> str:
    key = key_in(request.headers.get("Authorization"))
    if key is None:
        raise Problem("key_missing", "The Authorization header with an API key is missing.")
    return key


def _unknown() -> Problem:
    return Problem("key_unknown", "The API key is unknown, revoked or expired.")
