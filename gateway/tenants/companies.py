"""Companies from above: listing them, suspending and closing them, and their branches.

The journal stands above this room: whoever calls what changes something hands it in as `journal`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from gateway.tenants.isolation import everything
from gateway.tenants.keys import Journal
from gateway.tenants.models import Branch, Company
from gateway.tenants.pages import newest_first, page

_EVENTS = {
    Company.Status.ACTIVE: "company.reactivated",
    Company.Status.SUSPENDED: "company.suspended",
    Company.Status.CLOSED: "company.closed",
}


class BranchTaken(Exception):
    """The company has a branch with this code already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which companies; None does not filter. `name` is any part of it, in any case."""

    status: str | None = None
    plan: str | None = None
    pin: str | None = None
    name: str | None = None
    environment: str | None = None  # with a device there


class Page(NamedTuple):
    """Companies, newest first, and the cursor of the next page, None at the end."""

    companies: list[Company]
    next: str | None


def companies_of(organisation_id: int | None) -> QuerySet[Company]:
    """The companies that staff may see: a reseller's own, or all for None."""
    seen = Company.objects.select_related("organisation")
    return seen if organisation_id is None else seen.filter(organisation_id=organisation_id)


def company_ids_of(organisation_id: int | None) -> list[int] | None:
    """The row ids of the same companies, for `isolation.enter`; None for all."""
    if organisation_id is None:
        return None
    with everything():
        return list(companies_of(organisation_id).values_list("pk", flat=True))


def list_companies(seen: QuerySet[Company], wanted: Filter, *, limit: int, cursor: str | None = None) -> Page:
    """A page of the companies seen. Pages neither repeat nor skip one while new ones are onboarded.

    Raises BadCursor for a cursor that this list has not given, also to somebody who sees other companies.
    """
    conditions = {
        "status": wanted.status,
        "plan": wanted.plan,
        "pin": wanted.pin,
        "name__icontains": wanted.name,
        "devices__environment": wanted.environment,
    }
    chosen = {name: value for name, value in conditions.items() if value is not None}
    return Page(*page(newest_first(seen, cursor).filter(**chosen).distinct(), limit))


@transaction.atomic
def set_company_status(
    company: Company, *, status: Company.Status, reason: str, actor: str, journal: Journal
) -> Company:
    """Let a company's new documents be taken, or not; those already kept go on in every status.

    Every process sees it within two seconds. The status that it has already changes and records nothing.
    """
    company = Company.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=company.pk)
    before = company.status
    if before != status:
        company.status = status
        company.save(update_fields=["status"])
        journal(
            company,
            _EVENTS[status],
            subject=company.public_id,
            environment="",
            actor=actor,
            reason=reason,
            before={"status": str(before)},
            after={"status": str(status)},
        )
    return company


@transaction.atomic
def open_branch(company: Company, *, code: str, facts: Mapping[str, str], actor: str, journal: Journal) -> Branch:
    """A new branch of the company; `facts` are the other columns. Raises BranchTaken."""
    try:
        with transaction.atomic():
            branch = Branch.objects.create(company=company, code=code, **facts)
    except IntegrityError:
        raise BranchTaken(code) from None
    journal(
        company,
        "branch.added",
        subject=company.public_id,
        environment="",
        actor=actor,
        branch=code,
        after=_facts(branch),
    )
    return branch


@transaction.atomic
def change_branch(branch: Branch, *, facts: Mapping[str, str], actor: str, journal: Journal) -> Branch:
    """Give a branch other columns; receipts that are signed keep the old ones. No change records nothing."""
    branch = Branch.objects.select_for_update(of=("self",)).select_related("company").get(pk=branch.pk)
    before = _facts(branch)
    for name, value in facts.items():
        setattr(branch, name, value)
    if _facts(branch) != before:
        branch.save(update_fields=list(facts))
        journal(
            branch.company,
            "branch.changed",
            subject=branch.company.public_id,
            environment="",
            actor=actor,
            branch=branch.code,
            before=before,
            after=_facts(branch),
        )
    return branch


def _facts(branch: Branch) -> dict[str, str]:
    return {name: getattr(branch, name) for name in ("name", "address", "city", "top_message", "bottom_message")}
