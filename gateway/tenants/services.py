"""Making companies, their branches and owners, and the keys with which systems speak for them.

The journal stands above this room, so whoever calls these records the event, in the same transaction.
"""

import hashlib
import secrets
import string
import uuid
from datetime import datetime

from django.db import IntegrityError, transaction

from gateway.tenants.models import ApiKey, Branch, Company, Environment, Member, OperatorKey, OperatorRole, Role, User
from gateway.tenants.vault import make_data_key

PREFIX_LENGTH = 16  # what is kept of a key in the clear
_ENVIRONMENT_MARKS = {Environment.SANDBOX: "rvp_sbx", Environment.PRODUCTION: "rvp_live"}
_OPERATOR_MARK = "rvp_ops"
_READABLE = string.ascii_lowercase + string.digits


class PinTaken(Exception):
    """A company with this PIN exists already; a taxpayer is onboarded once."""


@transaction.atomic
def onboard_company(*, pin: str, name: str, email: str = "", phone: str = "", plan: str = "standard") -> Company:
    """A new company with its data key. Raises PinTaken for a PIN that is known, in whatever status."""
    try:
        with transaction.atomic():
            company = Company.objects.create(
                pin=pin, name=name, contact_email=email, contact_phone=phone, **({"plan": plan} if plan else {})
            )
    except IntegrityError:
        raise PinTaken(pin) from None
    make_data_key(company)
    return company


def add_branch(company: Company, *, code: str, name: str = "", address: str = "", city: str = "") -> Branch:
    """The company's branch with this two-digit code; made on first use, found unchanged after."""
    return Branch.objects.get_or_create(
        company=company, code=code, defaults={"name": name, "address": address, "city": city}
    )[0]


def add_member(
    company: Company,
    *,
    email: str,
    name: str,
    role: Role,
    password: str | None = None,
    expires_at: datetime | None = None,
) -> Member:
    """Give a person a place in the company. A known e-mail address keeps its person, name and password."""
    email = User.objects.normalize_email(email).lower()
    user = User.objects.filter(email=email).first() or User.objects.create_user(email, password, name=name)
    return Member.objects.get_or_create(user=user, company=company, defaults={"role": role, "expires_at": expires_at})[
        0
    ]


def make_api_key(
    company: Company,
    environment: str,
    role: Role,
    *,
    name: str = "",
    device: uuid.UUID | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is kept nowhere: show it once. `device` binds it to one device's public id."""
    text = _new_key(_ENVIRONMENT_MARKS[Environment(environment)])
    key = ApiKey.objects.create(
        company=company,
        environment=environment,
        role=role,
        name=name,
        device=device,
        expires_at=expires_at,
        prefix=text[:PREFIX_LENGTH],
        digest=_digest(text),
    )
    return key, text


@transaction.atomic
def make_operator_key(
    *, email: str, role: OperatorRole = OperatorRole.ADMIN, name: str = "", expires_at: datetime | None = None
) -> tuple[OperatorKey, str]:
    """A new key of one of the integrator's own staff, and its text; the person is made, or made staff, if need be."""
    email = User.objects.normalize_email(email).lower()
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, None, is_staff=True)
    elif not user.is_staff:
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    text = _new_key(_OPERATOR_MARK)
    key = OperatorKey.objects.create(
        user=user, role=role, name=name, expires_at=expires_at, prefix=text[:PREFIX_LENGTH], digest=_digest(text)
    )
    return key, text


def _new_key(mark: str) -> str:
    readable = "".join(secrets.choice(_READABLE) for _ in range(8))
    return f"{mark}_{readable}_{secrets.token_urlsafe(32)}"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
