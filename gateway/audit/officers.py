"""What a revenue officer opens is written into the journal, each time, before it is shown (TIS specification v2.0)."""

from collections.abc import Mapping

from gateway.audit.services import record
from gateway.lib.masking import masked
from gateway.tenants.models import Company, Role

MOST_TEXT = 300  # characters of a path or of a filter that are kept


def note_opening(
    *,
    company_id: int,
    role: str,
    actor: str,
    environment: str = "",
    method: str,
    path: str,
    query: Mapping[str, str] | None = None,
) -> None:
    """Write down what an officer asks for; of everybody else nothing."""
    if role != Role.REVENUE_OFFICER:
        return
    record(
        Company(pk=company_id),
        "officer.opened",
        environment=environment,
        actor=actor,
        method=method,
        path=masked(path[:MOST_TEXT]),
        query={name[:50]: masked(value[:MOST_TEXT].replace("\x00", "")) for name, value in (query or {}).items()},
    )
