"""What KRA knows of others, and tells everybody: PINs, the company's branches at KRA, notices."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field, TypeAdapter, ValidationError

from gateway.api.items import speaking_device
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem, field, invalid
from gateway.api.request import ApiRequest, active_company, must
from gateway.api.shapes import Pin
from gateway.catalog.lookups import (
    FRESH,
    NoticeUnknown,
    branches_at_kra,
    list_notices,
    look_up_pin,
    read_notice,
)
from gateway.devices.models import Device
from gateway.devices.services import DeviceNotReady
from gateway.lib.cursor import read_place, write_place
from gateway.tenants.rights import Right

router = Router(tags=["lookups"])
_pin: TypeAdapter[str] = TypeAdapter(Pin)
_STATUS = {"A": "active", "D": "inactive", "": None}
_BRANCH_STATUS = {"01": "open", "02": "closed", "": None}


class PinQuery(Schema):
    max_age: Annotated[int, Field(ge=0, le=31_536_000)] = Field(
        int(FRESH.total_seconds()), description="Seconds; an older answer is asked for again. A week when left out."
    )


class PinOut(Schema):
    """`is_known` false: KRA has no such PIN. `is_fresh` false: KRA cannot be asked now, this is what it said before."""

    pin: str
    is_known: bool
    name: str | None
    status: str | None = Field(description="active, inactive, or KRA's code.")
    county: str | None
    sub_county: str | None
    locality: str | None
    location: str | None
    asked_at: datetime
    age_seconds: int
    is_fresh: bool


class BranchOut(Schema):
    code: str
    name: str
    status: str | None = Field(description="open, closed, or KRA's code.")
    county: str
    sub_county: str
    locality: str
    location: str
    is_head_office: bool
    fetched_at: datetime


class BranchesOut(Schema):
    branches: list[BranchOut]


class NoticesQuery(Schema):
    unread: bool = Field(False, description="Only those that the company has not read yet.")
    limit: Limit = 20
    cursor: Cursor = None


class NoticeOut(Schema):
    number: int
    title: str
    body: str
    url: str | None
    published_at: datetime | None
    is_read: bool


class NoticesOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    notices: list[NoticeOut]
    next: str | None


@router.get("/lookups/pin/{pin}/", response=PinOut, operation_id="look_up_pin", summary="Who a PIN belongs to")
def pin(request: ApiRequest, pin: str, wanted: Query[PinQuery]) -> dict[str, Any]:
    """What KRA says about a taxpayer, kept for a week. A PIN that KRA does not know is answered too."""
    must(request.auth, Right.READ)
    only_these(request, PinQuery)
    company = active_company(request.auth)
    device: Device | None
    try:
        device = speaking_device(company, request, None)
    except DeviceNotReady:
        device = None
    now = timezone.now()
    found = look_up_pin(
        company=company,
        environment=request.auth.environment,
        device=device,
        pin=_valid(pin),
        now=now,
        fresh=timedelta(seconds=wanted.max_age),
    )
    row = found.row
    words = {name: getattr(row, name) or None for name in ("name", "county", "sub_county", "locality", "location")}
    return {
        **words,
        "pin": row.pin,
        "is_known": row.is_known,
        "status": _STATUS.get(row.status, row.status),
        "asked_at": row.asked_at,
        "age_seconds": max(int((now - row.asked_at).total_seconds()), 0),
        "is_fresh": found.is_fresh,
    }


@router.get(
    "/lookups/branches/", response=BranchesOut, operation_id="list_kra_branches", summary="The branches that KRA knows"
)
def branches(request: ApiRequest) -> dict[str, Any]:
    """The company's branches as KRA has them on its books; fetched when a device is activated, and every night."""
    must(request.auth, Right.READ)
    only_these(request)
    plain = ("code", "name", "county", "sub_county", "locality", "location", "is_head_office", "fetched_at")
    rows = branches_at_kra(request.auth.company_id, request.auth.environment)
    return {
        "branches": [
            {**{name: getattr(row, name) for name in plain}, "status": _BRANCH_STATUS.get(row.status, row.status)}
            for row in rows
        ]
    }


@router.get("/notices/", response=NoticesOut, operation_id="list_notices", summary="List KRA's notices")
def notices(request: ApiRequest, wanted: Query[NoticesQuery]) -> dict[str, Any]:
    """What KRA announced, fetched every night and kept. `unread=true` shows what the company has not read yet."""
    must(request.auth, Right.READ)
    only_these(request, NoticesQuery)
    before = read_place(wanted.cursor) if wanted.cursor is not None else None
    rows, following = list_notices(
        request.auth.company_id, request.auth.environment, unread=wanted.unread, limit=wanted.limit, before=before
    )
    plain = ("number", "title", "body", "published_at", "is_read")
    return {
        "notices": [{**{name: getattr(row, name) for name in plain}, "url": row.url or None} for row in rows],
        "next": None if following is None else write_place(following),
    }


@router.post(
    "/notices/{int:number}/read/", response=NoticeOut, operation_id="read_notice", summary="Mark a notice read"
)
def read(request: ApiRequest, number: int) -> dict[str, Any]:
    """The company has read it; it is not shown as unread again. A second time changes nothing."""
    must(request.auth, Right.MANAGE_ITEMS)
    company = active_company(request.auth)
    try:
        row = read_notice(
            company=company, environment=request.auth.environment, number=number, actor=request.auth.actor
        )
    except NoticeUnknown:
        raise Problem("not_found", "There is no such notice.") from None
    plain = ("number", "title", "body", "published_at")
    return {**{name: getattr(row, name) for name in plain}, "url": row.url or None, "is_read": True}


def _valid(text: str) -> str:
    try:
        return _pin.validate_python(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise invalid([field("pin", str(first["type"]), str(first["msg"]))]) from None
