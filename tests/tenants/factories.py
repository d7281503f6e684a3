"""The three lasting characters: a company, its colleague in another branch, and a stranger; all with good defaults."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from gateway.devices.models import Device, Stage
from gateway.devices.onboarding import Application, Onboarded, onboard
from gateway.tenants.models import ApiKey, Company, OperatorRole, Role
from gateway.tenants.services import make_api_key, make_operator_key

PIN = "P051234567X"
STRANGER_PIN = "P059999999Z"


def make_application(**changes: Any) -> Application:
    """What Amani Stores tells when it is onboarded."""
    told: dict[str, Any] = {
        "pin": PIN,
        "name": "Amani Stores Ltd",
        "email": "owner@amani.example",
        "phone": "+254700000001",
        "plan": "standard",
        "branch_code": "00",
        "branch_name": "Head office",
        "address": "Moi Avenue 12",
        "city": "Nairobi",
        "serial": "AMANI-00",
        "kind": "oscu",
        "base_url": "",
        "environment": "sandbox",
    }
    return Application(**{**told, **changes})


def make_company(**changes: Any) -> Onboarded:
    """Amani Stores, with a device that waits for its activation, and an owner's key."""
    return onboard(make_application(**changes))


def make_stranger(**changes: Any) -> Onboarded:
    """Another taxpayer, who must see nothing of Amani Stores."""
    return make_company(**{"pin": STRANGER_PIN, "name": "Stranger Ltd", "serial": "STRANGER-00", **changes})


def make_active(device: Device, *, key: bytes = b"") -> Device:
    """The device as after an activation, without asking anybody."""
    device.status = Device.Status.ACTIVE
    device.control_unit_id = "SIMCU0100000001"
    device.sealed_key = key or None
    device.save()
    return device


def go_live(company: Company) -> None:
    """Production is open to the company, as after a switch."""
    Stage.objects.update_or_create(company=company, defaults={"environment": "production", "opened_at": timezone.now()})


def key_with(company: Company, role: Role, **more: Any) -> tuple[ApiKey, str]:
    """A key of the company's sandbox with a role; an officer's is good for a month."""
    if role == Role.REVENUE_OFFICER:
        more.setdefault("expires_at", timezone.now() + timedelta(days=30))
    return make_api_key(company, "sandbox", role, **more)


def operator_key_text(role: OperatorRole = OperatorRole.ADMIN, *, reseller: str = "") -> str:
    """The key of somebody on the staff of the integrator, or of a reseller."""
    email = f"{role}@{reseller.lower().replace(' ', '-') or 'integrator'}.example"
    return make_operator_key(email=email, role=role, reseller=reseller)[1]
