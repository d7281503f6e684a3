"""Who did what, and what was said to KRA."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Query, Router, Schema
from pydantic import Field

from gateway.api.auth import Principal
from gateway.api.invoices import From, To
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem, field, invalid
from gateway.api.request import EitherRequest, either_key, must, the_company
from gateway.api.shapes import EnvironmentName, ItemCode, Serial, ShortName
from gateway.devices.queries import find_device
from gateway.reports.logs import Filter, list_logs
from gateway.tenants.rights import Right

router = Router(tags=["logs"])


class LogsIn(Schema):
    """Which entries, and how many at once."""

    company: str | None = Field(None, max_length=36, description="Staff only: id of a company.")
    environment: EnvironmentName | None = Field(None, description="Staff only; a key sees its own.")
    kind: Literal["api", "kra", "event"] | None = Field(
        None, description="Calls to this API, messages to KRA, or events of the journal; left out: all, by time."
    )
    device: Serial | None = Field(None, description="Id or serial of a device.")
    code: ShortName | None = Field(
        None, description="Code of a problem, result code of KRA, or name of an event such as `invoice.refused`."
    )
    severity: Literal["info", "notice", "warning", "critical"] | None = None
    date_from: From | None = Field(None, description="A day in Kenya, or a moment; included.")
    date_to: To | None = Field(None, description="A day in Kenya, which is included, or a moment, which is not.")
    reference: ItemCode | None = Field(None, description="Your own number of a document, exactly.")
    subject: UUID | None = Field(None, description="Id of a document, a device or whatever an event is about.")
    bodies: bool = Field(False, description="Show what was said to KRA and what it answered, secrets masked.")
    limit: Limit = 50
    cursor: Cursor = None


class Entry(Schema):
    """One thing that happened. `details` differs by kind."""

    kind: Literal["api", "kra", "event"]
    at: datetime
    severity: str
    code: str | None
    text: str
    subject: UUID | None
    actor: str | None
    address: str | None
    request_id: str | None
    environment: str | None
    details: dict[str, Any]


class LogsOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    entries: list[Entry]
    next: str | None


@router.get("/logs/", response=LogsOut, auth=either_key, operation_id="list_logs", summary="See what happened")
def logs(request: EitherRequest, wanted: Query[LogsIn]) -> dict[str, Any]:
    """Calls to the API, messages to KRA and events of the journal, newest first, with secrets masked.

    A company sees its own; the staff names one, and the integrator's own staff sees without one what is about the
    installation.
    """
    caller = request.auth
    must(caller, Right.READ_JOURNAL)
    only_these(request, LogsIn)
    company_id, environment, bound = _whose(caller, wanted)
    device = None
    if wanted.device is not None or bound is not None:
        if company_id is None or not environment:
            raise invalid(
                [field("environment", "missing", "To ask for a device, say whose, and in which environment.")]
            )
        device = find_device(company_id, environment, wanted.device or str(bound), only=bound)
    page = list_logs(
        company_id,
        environment,
        Filter(
            kind=wanted.kind,
            device=device,
            code=wanted.code,
            severity=wanted.severity,
            since=wanted.date_from,
            before=wanted.date_to,
            reference=wanted.reference,
            subject=wanted.subject,
            bodies=wanted.bodies,
        ),
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"entries": page.entries, "next": page.next}


def _whose(caller: Any, wanted: LogsIn) -> tuple[int | None, str, UUID | None]:
    """The company (None: the installation), the environment ("" for both) and the only device the caller may see."""
    if isinstance(caller, Principal):
        if wanted.company is not None:
            the_company(caller, wanted.company)
        if wanted.environment not in {None, caller.environment}:
            raise Problem("not_found", f"This key belongs to the {caller.environment}.")
        return caller.company_id, caller.environment, caller.device
    if wanted.company is not None:
        return the_company(caller, wanted.company).pk, wanted.environment or "", None
    if caller.organisation_id is not None:
        raise invalid([field("company", "missing", "Say which company.")])
    return None, "", None
