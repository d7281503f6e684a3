"""What a route is handed: who asks, and whether they may."""

import contextlib
import uuid

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from gateway.api.auth import Operator, Principal, digest_of, find_operator, find_principal, key_in, note_caller
from gateway.api.problems import Problem
from gateway.audit.officers import note_opening
from gateway.lib.origin import origin
from gateway.tenants.companies import companies_of, company_ids_of
from gateway.tenants.isolation import enter
from gateway.tenants.keys import note_uses
from gateway.tenants.models import Company, OperatorRole
from gateway.tenants.rights import RIGHTS, Right, may
from gateway.tenants.services import PREFIX_LENGTH


class ApiRequest(HttpRequest):
    """A request whose caller is known."""

    auth: Principal


class StaffRequest(HttpRequest):
    """A request with an operator key."""

    auth: Operator


class EitherRequest(HttpRequest):
    """A request with a company's key or an operator key."""

    auth: Principal | Operator


ANYBODY = Operator(email="open onboarding", role=OperatorRole.SUPPORT)


def company_key(request: HttpRequest) -> Principal:
    """Who speaks with a company's key. Raises Problem 401 when no valid key was sent."""
    now, key = timezone.now(), _key(request)
    enter(None)  # until the key has said whose rows may be seen
    principal = find_principal(digest_of(key), now=now)
    if principal is None:
        enter([])
        raise _unknown()
    enter([principal.company_id])
    note_caller(principal)
    if not principal.use_is_noted:
        note_uses([principal.key_id], now=now)
    note_opening(
        company_id=principal.company_id,
        role=principal.role,
        actor=principal.actor,
        environment=principal.environment,
        method=request.method or "",
        path=request.path,
        query=request.GET.dict(),
    )
    return principal


def staff_key(request: HttpRequest) -> Operator:
    """Who of the staff speaks. Raises Problem 401 without a valid key, 403 for the key of a company."""
    caller = either_key(request)
    if isinstance(caller, Principal):
        raise Problem("operator_needed", "This key belongs to a company; this needs an operator key.")
    return caller


def either_key(request: HttpRequest) -> Principal | Operator:
    """Who speaks, a company or the staff. Raises Problem 401 when no valid key was sent."""
    operator = find_operator(digest_of(_key(request)), now=timezone.now())
    if operator is None:
        return company_key(request)
    enter(company_ids_of(operator.organisation_id))
    origin().key_prefix = _key(request)[:PREFIX_LENGTH]
    return operator


def operator_key(request: HttpRequest) -> Operator:
    """Which of the integrator's staff speaks; anybody where OPEN_ONBOARDING is set.

    Raises Problem 401 without a valid key, 403 for the key of a company.
    """
    enter(None)  # a new company is nobody's yet
    if settings.OPEN_ONBOARDING and request.headers.get("Authorization") is None:
        return ANYBODY
    digest, now = digest_of(_key(request)), timezone.now()
    if operator := find_operator(digest, now=now):
        origin().key_prefix = _key(request)[:PREFIX_LENGTH]
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


def the_company(caller: Principal | Operator, id: str) -> Company:
    """The company with this public id, if it is the caller's own, or one that the staff sees.

    Raises Problem 404 for every other.
    """
    if isinstance(caller, Principal):
        seen = Company.objects.select_related("organisation").filter(pk=caller.company_id)
    else:
        seen = companies_of(caller.organisation_id)
    with contextlib.suppress(ValueError):
        if company := seen.filter(public_id=uuid.UUID(id)).first():
            return company
    raise Problem("not_found", "There is no such company.")


def must_be_active(caller: Principal | Operator, company: Company) -> None:
    """Raises Problem 403 when a company whose documents are not taken asks for itself; the staff may go on."""
    if isinstance(caller, Principal) and company.status != Company.Status.ACTIVE:
        raise Problem("company_not_active", f"The company is {company.status}.")


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
