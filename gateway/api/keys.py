"""A company's API keys: made, rotated and revoked, and never shown a second time."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from gateway.api.auth import Operator, Principal
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem, field, invalid
from gateway.api.request import EitherRequest, either_key, must, must_be_active, the_company
from gateway.api.shapes import Body, EnvironmentName, Moment, Serial, ShortName
from gateway.audit.services import record
from gateway.devices.queries import find_device
from gateway.tenants.keys import Giver, give_key, list_keys, revoke_key, rotate_key, status_of
from gateway.tenants.models import ApiKey, Company, Role
from gateway.tenants.rights import Right

router = Router(tags=["keys"])
MOST_OVERLAP_SECONDS = 7 * 24 * 3600
RoleName = Literal["owner", "manager", "accountant", "cashier", "viewer", "revenue_officer"]


class KeyDetail(Schema):
    """An API key without its secret part. `status`: active, rotated (good until its end), expired or revoked."""

    prefix: str
    name: str
    role: str
    environment: str
    device: UUID | None = Field(description="The only device it may use; null for any.")
    status: str
    successor: str | None = Field(description="Prefix of the key that replaces it.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class KeyShown(KeyDetail):
    """A new key. `key` is the whole of it, shown this once and kept nowhere."""

    key: str


class KeysIn(Schema):
    """Which keys, and how many at once."""

    status: Literal["active", "rotated", "expired", "revoked"] | None = None
    limit: Limit = 50
    cursor: Cursor = None


class KeysOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    keys: list[KeyDetail]
    next: str | None


class KeyNew(Body):
    role: RoleName
    name: ShortName = Field("", description="What it is for, such as Till 3.")
    environment: EnvironmentName | None = Field(None, description="Left out: that of the key that asks.")
    device: Serial | None = Field(None, description="Id or serial of the only device it may use.")
    expires_at: Moment | None = Field(None, description="When it ends; a revenue officer's key must.")


class RotateIn(Body):
    overlap_seconds: Annotated[int, Field(ge=0, le=MOST_OVERLAP_SECONDS)] = Field(
        3600, description="How long the old key is still good."
    )


class RotatedOut(Schema):
    """The old key with its end, and its successor."""

    old: KeyDetail
    new: KeyShown


def _out(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "name": key.name,
        "role": key.role,
        "environment": key.environment,
        "device": key.device,
        "status": status_of(key, now=now),
        "successor": key.replaced_by.prefix if key.replaced_by else None,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }


def _giver(caller: Principal | Operator) -> Giver:
    if isinstance(caller, Operator):
        return Giver(role=caller.role, name=caller.actor)
    return Giver(
        role=caller.role,
        name=caller.actor,
        environment=caller.environment,
        device=caller.device,
        expires_at=caller.expires_at,
    )


def _keys_of(caller: Principal | Operator, company: Company) -> Any:
    """The company's keys that the caller may know of: a company's own key knows those of its environment."""
    keys = company.api_keys.select_related("company", "replaced_by")
    return keys.filter(environment=caller.environment) if isinstance(caller, Principal) else keys


def _managed(caller: Principal | Operator, id: str) -> Company:
    found = the_company(caller, id)
    must(caller, Right.MANAGE_KEYS)
    return found


def _named(caller: Principal | Operator, id: str, prefix: str) -> ApiKey:
    company = _managed(caller, id)
    key: ApiKey | None = _keys_of(caller, company).filter(prefix=prefix.replace("\x00", "")).first()
    if key is None:
        raise Problem("not_found", "The company has no such key.")
    return key


@router.get("/companies/{id}/keys/", response=KeysOut, auth=either_key, operation_id="list_keys", summary="List keys")
def keys(request: EitherRequest, id: str, wanted: Query[KeysIn]) -> dict[str, Any]:
    """The company's keys, newest first; a company's own key sees those of its environment."""
    company = _managed(request.auth, id)
    only_these(request, KeysIn)
    now = timezone.now()
    rows, following = list_keys(
        _keys_of(request.auth, company), status=wanted.status, now=now, limit=wanted.limit, cursor=wanted.cursor
    )
    return {"keys": [_out(key, now) for key in rows], "next": following}


@router.post(
    "/companies/{id}/keys/", response={201: KeyShown}, auth=either_key, operation_id="make_key", summary="Make a key"
)
def make(request: EitherRequest, id: str, body: KeyNew) -> Status[dict[str, Any]]:
    """A new key, shown in this answer and never again.

    It reaches no further than the key that asks: no more rights, the same environment, the same device if that one is
    bound to one, no later end.
    """
    caller = request.auth
    company = _managed(caller, id)
    must_be_active(caller, company)
    environment = body.environment or (caller.environment if isinstance(caller, Principal) else None)
    if environment is None:
        raise invalid([field("environment", "missing", "An operator key says which: sandbox or production.")])
    only = caller.device if isinstance(caller, Principal) else None
    device = None
    if body.device is not None:
        device = find_device(company.pk, environment, body.device, only=only).public_id
    now = timezone.now()
    key, text = give_key(
        company,
        environment=environment,
        role=Role(body.role),
        by=_giver(caller),
        now=now,
        journal=record,
        name=body.name,
        device=device or only,
        expires_at=body.expires_at,
    )
    return Status(201, {**_out(key, now), "key": text})


@router.post(
    "/companies/{id}/keys/{prefix}/rotate/",
    response={201: RotatedOut},
    auth=either_key,
    operation_id="rotate_key",
    summary="Rotate a key",
)
def rotate(request: EitherRequest, id: str, prefix: str, body: RotateIn) -> Status[dict[str, Any]]:
    """Replace a key by a new one that reaches as far; the old one is good for the overlap, so that tills can change."""
    key = _named(request.auth, id, prefix)
    must_be_active(request.auth, key.company)
    now = timezone.now()
    old, new, text = rotate_key(
        key, overlap=timedelta(seconds=body.overlap_seconds), by=_giver(request.auth), now=now, journal=record
    )
    return Status(201, {"old": _out(old, now), "new": {**_out(new, now), "key": text}})


@router.post(
    "/companies/{id}/keys/{prefix}/revoke/",
    response=KeyDetail,
    auth=either_key,
    operation_id="revoke_key",
    summary="Revoke a key",
)
def revoke(request: EitherRequest, id: str, prefix: str) -> dict[str, Any]:
    """End a key: within two seconds no process takes it any more. A second call changes nothing.

    Works for a suspended company too, and a key may end itself. A successor of the key goes on.
    """
    key = _named(request.auth, id, prefix)
    now = timezone.now()
    return _out(revoke_key(key, by=_giver(request.auth), now=now, journal=record), now)
