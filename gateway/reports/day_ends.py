"""When a company's branches close their day by themselves."""

from typing import Any

from django.db import transaction

from gateway.audit.services import record
from gateway.reports.closing import BranchUnknown
from gateway.reports.models import DayEnd
from gateway.tenants.models import Branch, Company


def day_ends(company_id: int) -> list[tuple[str, DayEnd]]:
    """How each branch of a company ends its day, by its code: as set for it, for the company, or as usual."""
    known = {end.branch_id: end for end in DayEnd.objects.filter(company_id=company_id)}
    usual = known.get(None) or DayEnd(company_id=company_id)
    branches = Branch.objects.filter(company_id=company_id).order_by("code").values_list("pk", "code")
    return [(code, known.get(pk, usual)) for pk, code in branches]


@transaction.atomic
def set_day_end(*, company: Company, branch: str | None, is_automatic: bool, hour: int, by: str) -> None:
    """Say whether and when a branch closes its day by itself; without a branch, all branches, whatever they had.

    Raises BranchUnknown.
    """
    found = None
    if branch is not None:
        found = Branch.objects.filter(company=company, code=branch).first()
        if found is None:
            raise BranchUnknown(branch)
    ends = DayEnd.objects.filter(company=company)
    before = _shown(ends.filter(branch=found).first())
    if found is None:
        ends.exclude(branch=None).delete()
    after = {"is_automatic": is_automatic, "hour": hour}
    DayEnd.objects.update_or_create(company=company, branch=found, defaults=after)
    record(company, "day_end.set", actor=by, before=before, after=after, branch=branch)


def _shown(end: DayEnd | None) -> dict[str, Any] | None:
    return None if end is None else {"is_automatic": end.is_automatic, "hour": end.hour}
