"""Who is speaking: the company and environment behind an API key, or one of the integrator's own staff."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import F

from gateway.tenants.models import ApiKey, Company, OperatorKey, OperatorRole, Role

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
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The company that owns a key, and what the key may do. `device` is the only device it may use, None for any."""

    company_id: int
    company_public_id: uuid.UUID
    company_status: str
    environment: str
    role: Role
    device: uuid.UUID | None

    @property
    def is_active(self) -> bool:
        """Whether the company's documents are taken at all."""
        return self.company_status == Company.Status.ACTIVE

    @property
    def actor(self) -> str:
        """How the journal names whoever spoke."""
        return f"key:{self.role}"


@dataclass(frozen=True, slots=True)
class Operator:
    """One of the integrator's staff; `email` names them in the journal."""

    email: str
    role: OperatorRole

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


def principal_from_row(row: Mapping[str, Any], *, now: datetime) -> Principal | None:
    """The principal of an API key's row (PRINCIPAL_COLUMNS); None when the key is revoked or has expired.

    Ids may be UUIDs or hex text and times datetimes or ISO text, as the two databases give them.
    """
    expires_at = _moment(row["expires_at"])
    if row["revoked_at"] is not None or (expires_at is not None and expires_at <= now):
        return None
    return Principal(
        company_id=row["company_id"],
        company_public_id=_uuid(row["company_public_id"]),
        company_status=row["company_status"],
        environment=row["environment"],
        role=Role(row["role"]),
        device=None if row["device"] is None else _uuid(row["device"]),
    )


def find_principal(digest: str, *, now: datetime) -> Principal | None:
    """Whose key has this digest; None for a key that is unknown, revoked or expired."""
    columns = {name: F(path) for name, path in PRINCIPAL_COLUMNS.items() if name != path}
    row = ApiKey.objects.filter(digest=digest).values(*(PRINCIPAL_COLUMNS.keys() - columns), **columns).first()
    return None if row is None else principal_from_row(row, now=now)


def find_operator(digest: str, *, now: datetime) -> Operator | None:
    """Which of the integrator's staff has a key with this digest; None when it is unknown, revoked or expired."""
    key = OperatorKey.objects.select_related("user").filter(digest=digest, revoked_at=None).first()
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        return None
    if not (key.user.is_active and key.user.is_staff):
        return None
    return Operator(email=key.user.email, role=OperatorRole(key.role))


def _uuid(value: uuid.UUID | str) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def _moment(value: datetime | str | None) -> datetime | None:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
