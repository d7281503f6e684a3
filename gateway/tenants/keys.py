"""Giving API keys away, rotating and ending them, and noting when they were used.

Nobody gives, rotates or ends a key that reaches further than they do themselves. The journal stands above this room:
whoever calls these hands it in as `journal`, so that no change goes unrecorded.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import transaction
from django.db.models import Q, QuerySet

from gateway.lib.cursor import BadCursor
from gateway.tenants.models import ApiKey, Company, OperatorRole, Role
from gateway.tenants.rights import rights_of
from gateway.tenants.services import make_api_key

MOST_OVERLAP = timedelta(days=7)
NOTED_EVERY = timedelta(minutes=1)


class Journal(Protocol):
    """`audit.services.record`, as this room may call it."""

    def __call__(
        self, company: Company, name: str, *, subject: uuid.UUID, environment: str, actor: str, **data: Any
    ) -> object: ...


@dataclass(frozen=True, slots=True)
class Giver:
    """Whoever gives or ends keys: a role, how the journal names them, and how far the key reaches they speak with.

    None is no limit. One of the staff has none, and may give every role.
    """

    role: str
    name: str
    environment: str | None = None
    device: uuid.UUID | None = None
    expires_at: datetime | None = None


class ReachesFurther(Exception):
    """The key would, or does, reach further than the one that asks for it; the text says how."""


class KeyEnded(Exception):
    """The key has expired, is revoked or has a successor already; the text says which."""


class ExpiryWrong(Exception):
    """The key's end lies behind us, or a revenue officer's has none; the text says which."""


@transaction.atomic
def give_key(
    company: Company,
    *,
    environment: str,
    role: Role,
    by: Giver,
    now: datetime,
    journal: Journal,
    name: str = "",
    device: uuid.UUID | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key of the company and its text, which is kept nowhere: show it once.

    Raises ReachesFurther, ExpiryWrong.
    """
    if expires_at is None and role == Role.REVENUE_OFFICER:
        raise ExpiryWrong("A revenue officer looks for a limited time: say when it ends.")
    if expires_at is not None and expires_at <= now:
        raise ExpiryWrong("The end must lie ahead.")
    _must_reach(by, environment=environment, role=role, device=device, expires_at=expires_at)
    key, text = make_api_key(company, environment, role, name=name, device=device, expires_at=expires_at)
    _tell(journal, key, "api_key.made", by, label=name, device=str(device or "") or None)
    return key, text


@transaction.atomic
def rotate_key(
    key: ApiKey, *, overlap: timedelta, by: Giver, now: datetime, journal: Journal
) -> tuple[ApiKey, ApiKey, str]:
    """The old key, which ends after the overlap, its successor with the same reach, and the successor's text.

    A key has one successor. Raises ReachesFurther, KeyEnded.
    """
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("company").get(pk=key.pk)
    _must_reach(by, environment=key.environment, role=key.role, device=key.device, expires_at=key.expires_at)
    if (ended := status_of(key, now=now)) != "active":
        raise KeyEnded(f"the key {key.prefix}… is {ended}")
    made, text = make_api_key(
        key.company, key.environment, Role(key.role), name=key.name, device=key.device, expires_at=key.expires_at
    )
    ends_at = now + min(overlap, MOST_OVERLAP)
    key.replaced_by = made
    key.expires_at = ends_at if key.expires_at is None else min(key.expires_at, ends_at)
    key.save(update_fields=["replaced_by", "expires_at"])
    _tell(journal, key, "api_key.rotated", by, successor=made.prefix, ends_at=key.expires_at.isoformat())
    return key, made, text


@transaction.atomic
def revoke_key(key: ApiKey, *, by: Giver, now: datetime, journal: Journal) -> ApiKey:
    """End a key at once; every process stops taking it within two seconds. A second call changes nothing.

    A successor goes on. Raises ReachesFurther.
    """
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("company").get(pk=key.pk)
    _must_reach(by, environment=key.environment, role=key.role, device=key.device, expires_at=None, ends=True)
    if key.revoked_at is None:
        key.revoked_at = now
        key.save(update_fields=["revoked_at"])
        _tell(journal, key, "api_key.revoked", by)
    return key


def status_of(key: ApiKey, *, now: datetime) -> str:
    """active, rotated (good until its end, a successor is there), expired or revoked."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "active" if key.replaced_by_id is None else "rotated"


def list_keys(
    keys: QuerySet[ApiKey], *, status: str | None, now: datetime, limit: int, cursor: str | None
) -> tuple[list[ApiKey], str | None]:
    """A page of these keys, newest first, and the cursor of the next. Raises BadCursor for one of another list."""
    if cursor is not None:
        after = keys.filter(prefix=cursor).values_list("pk", flat=True).first()
        if after is None:
            raise BadCursor(cursor)
        keys = keys.filter(pk__lt=after)
    is_good = Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now))
    wanted = {
        None: Q(),
        "active": is_good & Q(replaced_by=None),
        "rotated": is_good & ~Q(replaced_by=None),
        "expired": Q(revoked_at=None, expires_at__lte=now),
        "revoked": ~Q(revoked_at=None),
    }[status]
    rows = list(keys.filter(wanted).order_by("-pk")[: limit + 1])
    return rows[:limit], rows[limit - 1].prefix if len(rows) > limit else None


def note_uses(key_ids: Iterable[int], *, now: datetime) -> None:
    """Write down that these keys were used; a key that was noted within the last minute is left as it is."""
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - NOTED_EVERY)
    ApiKey.objects.filter(stale, pk__in=list(key_ids)).update(last_used_at=now)


def _must_reach(
    by: Giver,
    *,
    environment: str,
    role: str,
    device: uuid.UUID | None,
    expires_at: datetime | None,
    ends: bool = False,
) -> None:
    """Raises ReachesFurther. Who ends a key (`ends`) needs its rights and place, not its length of life."""
    if by.role in set(OperatorRole):
        return
    if more := rights_of(role) - rights_of(by.role):
        raise ReachesFurther(f"A key with the role {by.role} cannot do this to one that may {', '.join(sorted(more))}.")
    if by.environment is not None and environment != by.environment:
        raise ReachesFurther(f"A key of the {by.environment} environment reaches no other.")
    if by.device is not None and device != by.device:
        raise ReachesFurther("A key that is bound to a device reaches only keys of that device.")
    if not ends and by.expires_at is not None and (expires_at is None or expires_at > by.expires_at):
        raise ReachesFurther(f"A key that ends on {by.expires_at:%Y-%m-%d} makes none that lives longer.")


def _tell(journal: Journal, key: ApiKey, name: str, by: Giver, **data: Any) -> None:
    told = {"prefix": key.prefix, "role": str(key.role), **data}
    journal(
        key.company,
        name,
        subject=key.company.public_id,
        environment=key.environment,
        actor=by.name,
        **{word: value for word, value in told.items() if value},
    )
