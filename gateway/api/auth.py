"""Who is speaking: the company and environment behind an API key, or one of the integrator's own staff."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import F

from gateway.lib.origin import origin
from gateway.tenants.isolation import everything
from gateway.tenants.keys import NOTED_EVERY
from gateway.tenants.models import ApiKey, Company, OperatorKey, OperatorRole, Role
from gateway.tenants.rights import rights_of

# The columns `principal_from_row` reads, as paths from ApiKey; the hot routes select the same with their own statement.
PRINCIPAL_COLUMNS = {
    "company_id": "company_id",
    "company_public_id": "company__public_id",
    "company_status": "company__status",
    "environment": "environment",
    "role": "role",
    "device": "device",
    "expires_at": "expires_at",
    "revoked_at": "revoked_at",
    "key_id": "id",
    "prefix": "prefix",
    "last_used_at": "last_used_at",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The company that owns a key, and what the key may do. `device` is the only device it may use, None for any.

    `use_is_noted`: it was written down within the last minute that the key was used.
    """

    company_id: int
    company_public_id: uuid.UUID
    company_status: str
    environment: str
    role: Role
    device: uuid.UUID | None
    expires_at: datetime | None
    key_id: int
    prefix: str
    use_is_noted: bool

    @property
    def is_active(self) -> bool:
        """Whether the company's documents are taken at all."""
        return self.company_status == Company.Status.ACTIVE

    @property
    def actor(self) -> str:
        """How the journal names whoever spoke."""
        return f"key:{self.role}:{self.prefix}"


@dataclass(frozen=True, slots=True)
class Operator:
    """One of the staff; `email` names them in the journal.

    `organisation_id` is the reseller's whose companies they see; None for the integrator's own staff, who see all.
    """

    email: str
    role: OperatorRole
    organisation_id: int | None = None

    @property
    def actor(self) -> str:
        """How the journal names whoever spoke."""
        return f"operator:{self.email}"


def key_in(authorization: str | None) -> str | None:
    """The key of an `Authorization: Token <key>` or `Bearer <key>` header (RFC 9110 §11.4); None when there is none."""
    scheme, _, key = (authorization or "").strip().partition(" ")
    return key.strip() or None if scheme.lower() in {"token", "bearer"} else None


def digest_of(key: str) -> str:
    """SHA-256 of the whole key, hex: all that is kept of it."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def note_caller(caller: Principal) -> None:
    """Let the log of calls know whose key it was."""
    asked = origin()
    asked.company_id, asked.environment, asked.key_prefix = caller.company_id, caller.environment, caller.prefix


def principal_from_row(row: Mapping[str, Any], *, now: datetime) -> Principal | None:
    """The principal of an API key's row (PRINCIPAL_COLUMNS); None when the key is revoked or has expired.

    Ids may be UUIDs or hex text and times datetimes or ISO text, as the two databases give them.
    """
    expires_at = _moment(row["expires_at"])
    if row["revoked_at"] is not None or (expires_at is not None and expires_at <= now):
        return None
    last_used_at = _moment(row["last_used_at"])
    return Principal(
        company_id=row["company_id"],
        company_public_id=_uuid(row["company_public_id"]),
        company_status=row["company_status"],
        environment=row["environment"],
        role=Role(row["role"]),
        device=None if row["device"] is None else _uuid(row["device"]),
        expires_at=expires_at,
        key_id=row["key_id"],
        prefix=row["prefix"],
        use_is_noted=last_used_at is not None and last_used_at > now - NOTED_EVERY,
    )


def find_principal(digest: str, *, now: datetime) -> Principal | None:
    """Whose key has this digest; None for a key that is unknown, revoked or expired."""
    columns = {name: F(path) for name, path in PRINCIPAL_COLUMNS.items() if name != path}
    with everything():  # whose key it is says whose rows may be seen
        row = ApiKey.objects.filter(digest=digest).values(*(PRINCIPAL_COLUMNS.keys() - columns), **columns).first()
    return None if row is None else principal_from_row(row, now=now)


def find_operator(digest: str, *, now: datetime) -> Operator | None:
    """Who of the staff has a key with this digest; None when it is unknown, revoked, expired, or they have left."""
    keys = OperatorKey.objects.select_related("user__staff__organisation")
    key = keys.filter(digest=digest, revoked_at=None).first()
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        return None
    staff = getattr(key.user, "staff", None)
    if staff is None or not key.user.is_active or (staff.organisation.sees_all and not key.user.is_staff):
        return None
    role = key.role if rights_of(key.role) <= rights_of(staff.role) else staff.role  # the person was given less since
    return Operator(
        email=key.user.email,
        role=OperatorRole(role),
        organisation_id=None if staff.organisation.sees_all else staff.organisation_id,
    )


def _uuid(value: uuid.UUID | str) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def _moment(value: datetime | str | None) -> datetime | None:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
