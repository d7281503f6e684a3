"""Customers, users and insurers that a branch registers with KRA."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import AfterValidator, Field, StringConstraints

from gateway.api.items import speaking_device
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem
from gateway.api.request import ApiRequest, active_company, must
from gateway.api.shapes import Address, Body, Phone, Pin, Serial, plain_line
from gateway.catalog.kra_records import find_record, list_records, register_record
from gateway.catalog.models import KraRecord
from gateway.kra.errors import Refused, plain
from gateway.tenants.rights import Right

router = Router(tags=["records at KRA"])
_text = AfterValidator(plain_line)
CustomerNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=9), _text]
UserId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20), _text]
InsurerCode = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10), _text]
NeededName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60), _text]
InsurerName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), _text]
ShortEmail = Annotated[str, StringConstraints(strip_whitespace=True, max_length=50), _text]
Device = Annotated[Serial | None, Field(description="Id or serial of the branch's device; may be left out.")]


class CustomerIn(Body):
    """A customer. Its number is your own; the same number again changes it."""

    number: CustomerNumber
    pin: Pin
    name: NeededName
    address: Address | None = None
    phone: Phone | None = None
    email: ShortEmail | None = None
    in_use: bool = True
    device: Device = None


class UserIn(Body):
    """Somebody who works with the branch's control unit, by name. KRA's demand for a password is met with one that
    nobody knows."""

    user_id: UserId
    name: NeededName
    address: Address | None = None
    contact: Phone | None = None
    in_use: bool = True
    device: Device = None


class InsurerIn(Body):
    """An insurer that a pharmacy bills."""

    code: InsurerCode
    name: InsurerName
    rate: Annotated[int, Field(ge=0, le=100)] = Field(description="Whole percent that the insurer pays.")
    in_use: bool = True
    device: Device = None


class CustomerOut(Schema):
    id: UUID
    branch: str
    number: str
    pin: str
    name: str
    address: str | None
    phone: str | None
    email: str | None
    in_use: bool
    sent_at: datetime = Field(description="When KRA took it last.")


class UserOut(Schema):
    id: UUID
    branch: str
    user_id: str
    name: str
    address: str | None
    contact: str | None
    in_use: bool
    sent_at: datetime = Field(description="When KRA took it last.")


class InsurerOut(Schema):
    id: UUID
    branch: str
    code: str
    name: str
    rate: int
    in_use: bool
    sent_at: datetime = Field(description="When KRA took it last.")


class CustomersOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    customers: list[CustomerOut]
    next: str | None


class UsersOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    users: list[UserOut]
    next: str | None


class InsurersOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    insurers: list[InsurerOut]
    next: str | None


class RecordsQuery(Schema):
    limit: Limit = 50
    cursor: Cursor = None


_KEYS = {KraRecord.Kind.CUSTOMER: "number", KraRecord.Kind.USER: "user_id", KraRecord.Kind.INSURER: "code"}


@router.post(
    "/customers/",
    response={200: CustomerOut, 201: CustomerOut},
    operation_id="register_customer",
    summary="Register a customer with KRA",
)
def customer(request: ApiRequest, body: CustomerIn) -> Status[dict[str, Any]]:
    """201 when KRA took it, 200 when it had it like this before. The same again is harmless."""
    return _register(request, KraRecord.Kind.CUSTOMER, body.model_dump())


@router.get("/customers/", response=CustomersOut, operation_id="list_customers", summary="List registered customers")
def customers(request: ApiRequest, wanted: Query[RecordsQuery]) -> dict[str, Any]:
    """The customers that were registered here, newest first."""
    return _list(request, KraRecord.Kind.CUSTOMER, "customers", wanted)


@router.get("/customers/{uuid:id}/", response=CustomerOut, operation_id="get_customer", summary="One customer")
def one_customer(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """A customer as KRA took it last."""
    return _one(request, KraRecord.Kind.CUSTOMER, id)


@router.post(
    "/kra-users/",
    response={200: UserOut, 201: UserOut},
    operation_id="register_user",
    summary="Register a user with KRA",
)
def user(request: ApiRequest, body: UserIn) -> Status[dict[str, Any]]:
    """201 when KRA took it, 200 when it had it like this before. The same again is harmless."""
    return _register(request, KraRecord.Kind.USER, body.model_dump())


@router.get("/kra-users/", response=UsersOut, operation_id="list_users", summary="List registered users")
def users(request: ApiRequest, wanted: Query[RecordsQuery]) -> dict[str, Any]:
    """The users that were registered here, newest first."""
    return _list(request, KraRecord.Kind.USER, "users", wanted)


@router.post(
    "/insurers/",
    response={200: InsurerOut, 201: InsurerOut},
    operation_id="register_insurer",
    summary="Register an insurer with KRA",
)
def insurer(request: ApiRequest, body: InsurerIn) -> Status[dict[str, Any]]:
    """201 when KRA took it, 200 when it had it like this before. The same again is harmless."""
    return _register(request, KraRecord.Kind.INSURER, body.model_dump())


@router.get("/insurers/", response=InsurersOut, operation_id="list_insurers", summary="List registered insurers")
def insurers(request: ApiRequest, wanted: Query[RecordsQuery]) -> dict[str, Any]:
    """The insurers that were registered here, newest first."""
    return _list(request, KraRecord.Kind.INSURER, "insurers", wanted)


def _register(request: ApiRequest, kind: KraRecord.Kind, data: dict[str, Any]) -> Status[dict[str, Any]]:
    must(request.auth, Right.MANAGE_ITEMS)
    company = active_company(request.auth)
    device = speaking_device(company, request, data.pop("device"))
    key = data.pop(_KEYS[kind])
    try:
        row, was_sent = register_record(
            device=device, kind=kind, key=key, data=data, now=timezone.now(), actor=request.auth.actor
        )
    except Refused as error:
        raise Problem("refused_by_kra", plain(error), kra={"code": error.code, "message": error.message}) from None
    return Status(201 if was_sent else 200, _out(row))


def _list(request: ApiRequest, kind: KraRecord.Kind, name: str, wanted: RecordsQuery) -> dict[str, Any]:
    must(request.auth, Right.READ)
    only_these(request, RecordsQuery)
    principal = request.auth
    rows, following = list_records(
        principal.company_id, principal.environment, kind, limit=wanted.limit, cursor=wanted.cursor
    )
    return {name: [_out(row) for row in rows], "next": following}


def _one(request: ApiRequest, kind: KraRecord.Kind, id: UUID) -> dict[str, Any]:
    must(request.auth, Right.READ)
    only_these(request)
    row = find_record(request.auth.company_id, request.auth.environment, kind, id)
    if row is None:
        raise Problem("not_found", "There is no such record.")
    return _out(row)


def _out(row: KraRecord) -> dict[str, Any]:
    key = _KEYS[KraRecord.Kind(row.kind)]
    return {**row.data, key: row.key, "id": row.public_id, "branch": row.branch, "sent_at": row.sent_at}
