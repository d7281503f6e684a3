"""Making companies, their branches and owners, and the keys with which systems speak for them.

The journal stands above this room, so whoever calls these records the event, in the same transaction.
"""

import hashlib
import secrets
import string
import uuid
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from gateway.tenants.models import (
    ApiKey,
    Branch,
    Company,
    Environment,
    Member,
    OperatorKey,
    OperatorRole,
    Organisation,
    Role,
    Staff,
    User,
)
from gateway.tenants.rights import rights_of
from gateway.tenants.vault import make_data_key

PREFIX_LENGTH = 16  # what is kept of a key in the clear
_ENVIRONMENT_MARKS = {Environment.SANDBOX: "rvp_sbx", Environment.PRODUCTION: "rvp_live"}
_OPERATOR_MARK = "rvp_ops"
_READABLE = string.ascii_lowercase + string.digits


class PinTaken(Exception):
    """A company with this PIN exists already; a taxpayer is onboarded once."""


class WorksElsewhere(Exception):
    """The person is on the staff of another organisation already; the text names it."""


class KeyAbovePerson(Exception):
    """An operator key would have rights that its person does not have."""


@transaction.atomic
def onboard_company(
    *,
    pin: str,
    name: str,
    email: str = "",
    phone: str = "",
    plan: str = "standard",
    organisation_id: int | None = None,
) -> Company:
    """A new company with its data key; `organisation_id` is the reseller's that looks after it.

    Raises PinTaken for a PIN that is known, in whatever status.
    """
    try:
        with transaction.atomic():
            company = Company.objects.create(
                pin=pin,
                name=name,
                contact_email=email,
                contact_phone=phone,
                organisation_id=organisation_id,
                **({"plan": plan} if plan else {}),
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
def add_staff(*, email: str, role: OperatorRole, reseller: str = "") -> Staff:
    """A person's place on the integrator's own staff, or on a reseller's; whatever is missing is made.

    Somebody who has the place already keeps their role. Raises WorksElsewhere.
    """
    email = User.objects.normalize_email(email).lower()
    user = User.objects.filter(email=email).first() or User.objects.create_user(email, None)
    if reseller:
        organisation = Organisation.objects.get_or_create(name=reseller)[0]
    else:
        organisation = Organisation.objects.get_or_create(sees_all=True, defaults={"name": settings.COMPANY_NAME})[0]
    staff = Staff.objects.get_or_create(user=user, defaults={"organisation": organisation, "role": role})[0]
    if staff.organisation != organisation:
        raise WorksElsewhere(f"{email} is on the staff of {staff.organisation}")
    if organisation.sees_all and not user.is_staff:
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    return staff


@transaction.atomic
def make_operator_key(
    *,
    email: str,
    role: OperatorRole | None = None,
    reseller: str = "",
    name: str = "",
    expires_at: datetime | None = None,
) -> tuple[OperatorKey, str]:
    """A new key of somebody on the staff, and its text; the person, their place and the reseller are made if need be.

    Without a role the key has the person's, who is an admin when new. Raises WorksElsewhere, KeyAbovePerson.
    """
    staff = add_staff(email=email, role=role or OperatorRole.ADMIN, reseller=reseller)
    role = role or OperatorRole(staff.role)
    if not rights_of(role) <= rights_of(staff.role):
        raise KeyAbovePerson(f"{staff.user} has the role {staff.role}, a key with the role {role} could do more")
    text = _new_key(_OPERATOR_MARK)
    key = OperatorKey.objects.create(
        user=staff.user, role=role, name=name, expires_at=expires_at, prefix=text[:PREFIX_LENGTH], digest=_digest(text)
    )
    return key, text


def _new_key(mark: str) -> str:
    readable = "".join(secrets.choice(_READABLE) for _ in range(8))
    return f"{mark}_{readable}_{secrets.token_urlsafe(32)}"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
