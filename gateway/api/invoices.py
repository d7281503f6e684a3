"""The list of a company's invoices."""

from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal

from django.conf import settings
from ninja import Query, Router, Schema
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.request import ApiRequest, must
from gateway.api.shapes import ItemCode, Serial
from gateway.devices.queries import find_device
from gateway.lib.clock import NAIROBI
from gateway.sales.answers import answer
from gateway.sales.queries import Filter, list_invoices
from gateway.tenants.rights import Right

router = Router(tags=["invoices"])
_YEARS = range(2000, 2101)


def _moment(*, end_of_day: bool) -> Any:
    """A day in Nairobi (its first moment, or the first after it) or a moment; without a zone it is Nairobi's."""

    def read(value: Any) -> datetime | None:
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise PydanticCustomError(
                "not_a_time", "Must be a day such as 2026-11-20 or a moment such as 2026-11-20T09:30:00+03:00."
            ) from None
        if moment.year not in _YEARS:
            raise PydanticCustomError("not_a_time", "Must lie between the years 2000 and 2100.")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=NAIROBI)
        whole_day = end_of_day and len(value) <= len("2026-11-20") and moment.time() == time()
        return moment + timedelta(days=1) if whole_day else moment

    return read


_MOMENT = {"type": "string", "examples": ["2026-11-20", "2026-11-20T09:30:00+03:00"]}
From = Annotated[datetime, BeforeValidator(_moment(end_of_day=False)), WithJsonSchema(_MOMENT)]
To = Annotated[datetime, BeforeValidator(_moment(end_of_day=True)), WithJsonSchema(_MOMENT)]


class InvoicesIn(Schema):
    """Which invoices, and how many at once."""

    status: Literal["queued", "sending", "unknown", "signed", "refused", "cancelled"] | None = None
    kind: Literal["sale", "credit_note"] | None = None
    device: Serial | None = Field(None, description="Id or serial of a device.")
    reference: ItemCode | None = Field(None, description="Your own number of the document, exactly.")
    issued_from: From | None = Field(None, description="A day in Kenya, or a moment; included.")
    issued_to: To | None = Field(None, description="A day in Kenya, which is included, or a moment, which is not.")
    limit: Limit = 50
    cursor: Cursor = None


class InvoicesOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    invoices: list[dict[str, Any]]
    next: str | None


@router.get("/invoices/", response=InvoicesOut, operation_id="list_invoices", summary="List invoices")
def invoices(request: ApiRequest, wanted: Query[InvoicesIn]) -> dict[str, Any]:
    """A company's invoices, newest first. Pages neither repeat nor skip an invoice while new ones arrive.

    Asked for a time of issue, the latest issued come first.
    """
    principal = request.auth
    must(principal, Right.READ)
    only_these(request, InvoicesIn)
    device_id = None
    if wanted.device is not None or principal.device is not None:
        named = wanted.device or str(principal.device)
        device_id = find_device(principal.company_id, principal.environment, named, only=principal.device).pk
    page = list_invoices(
        principal.company_id,
        principal.environment,
        Filter(
            status=wanted.status,
            kind=wanted.kind,
            device_id=device_id,
            reference=wanted.reference,
            issued_from=wanted.issued_from,
            issued_before=wanted.issued_to,
        ),
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    secret = settings.SECRET_KEY.encode()
    shown = [answer(row, system_url=settings.SYSTEM_URL, secret=secret) for row in page.rows]
    return {"invoices": shown, "next": page.next}
