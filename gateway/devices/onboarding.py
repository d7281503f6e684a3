"""A taxpayer's first day: company, branch, device, owner and first key, all or none."""

from dataclasses import dataclass
from typing import NamedTuple

from django.db import transaction

from gateway.audit.services import record
from gateway.devices.models import Device
from gateway.devices.services import add_device
from gateway.devices.stages import begin
from gateway.lib.clock import utc_now
from gateway.tenants.invitations import invite
from gateway.tenants.models import ApiKey, Branch, Company, OperatorRole, Role
from gateway.tenants.people import Actor
from gateway.tenants.services import add_branch, add_member, make_api_key, onboard_company


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The person who owns the company's account; without a password they are invited by mail."""

    email: str
    name: str
    password: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a taxpayer must tell to be onboarded. `pin` as in `P051234567X`, `branch_code` two digits."""

    pin: str
    name: str
    email: str
    phone: str
    plan: str
    branch_code: str
    branch_name: str
    address: str
    city: str
    serial: str
    kind: str
    base_url: str
    environment: str
    owner: Owner | None = None
    organisation_id: int | None = None  # of the reseller that onboards it


class Onboarded(NamedTuple):
    company: Company
    branch: Branch
    device: Device
    api_key: ApiKey
    key_text: str  # shown once, kept nowhere


@transaction.atomic
def onboard(application: Application, *, actor: str = "") -> Onboarded:
    """Make all that a taxpayer needs; the device is not activated yet.

    Raises `tenants.services.PinTaken`, `devices.services.SerialTaken`, `devices.queries.WrongProfile`; then nothing is
    kept. A second call with the same PIN is PinTaken and changes nothing.
    """
    company = onboard_company(
        pin=application.pin,
        name=application.name,
        email=application.email,
        phone=application.phone,
        plan=application.plan,
        organisation_id=application.organisation_id,
    )
    record(company, "company.onboarded", subject=company.public_id, actor=actor, pin=company.pin)
    begin(company, application.environment, by=actor)
    branch = add_branch(
        company,
        code=application.branch_code,
        name=application.branch_name,
        address=application.address,
        city=application.city,
    )
    device = add_device(
        company=company,
        branch=branch,
        environment=application.environment,
        serial=application.serial,
        kind=application.kind,
        base_url=application.base_url,
        actor=actor,
    )
    if owner := application.owner:
        _bring_in(company, owner, actor=actor)
    key, text = make_api_key(company, application.environment, Role.OWNER, name="Made at onboarding")
    record(
        company,
        "api_key.made",
        subject=company.public_id,
        environment=application.environment,
        actor=actor,
        prefix=key.prefix,
        role=key.role,
    )
    return Onboarded(company, branch, device, key, text)


def _bring_in(company: Company, owner: Owner, *, actor: str) -> None:
    if owner.password is not None:
        add_member(company, email=owner.email, name=owner.name, role=Role.OWNER, password=owner.password)
        return
    invite(
        company,
        email=owner.email,
        name=owner.name,
        role=Role.OWNER,
        by=Actor(OperatorRole.ADMIN, actor),  # whoever may onboard a company gives it its first owner
        now=utc_now(),
        journal=record,
    )
