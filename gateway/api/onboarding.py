"""A taxpayer's first day."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from gateway.api.devices import BranchOut, DeviceOut, device_out
from gateway.api.environment import PointOut, points_out
from gateway.api.request import StaffRequest, must, operator_key
from gateway.api.shapes import (
    Address,
    Body,
    BranchCode,
    Email,
    EnvironmentName,
    Name,
    PersonName,
    Phone,
    Pin,
    PlanName,
    RequiredEmail,
    Serial,
    ShortName,
    WebAddress,
)
from gateway.catalog.going_live import setting_up
from gateway.catalog.reference import activate_and_fetch
from gateway.devices.models import Device
from gateway.devices.onboarding import Application, Onboarded, Owner, onboard
from gateway.tenants.rights import Right

router = Router(tags=["onboarding"])


def _password(text: str) -> str:
    try:
        validate_password(text)
    except ValidationError as error:
        raise PydanticCustomError("weak_password", "{why}", {"why": " ".join(error.messages)}) from None
    return text


class CompanyIn(Body):
    pin: Pin
    name: Name
    email: Email = ""
    phone: Phone = ""


class BranchIn(Body):
    """A place of business. What is left out is filled from KRA's answer to the activation."""

    code: BranchCode = Field(default="00", description="KRA's two digits; 00 is the head office.")
    name: ShortName = ""
    address: Address = ""
    city: ShortName = ""


class DeviceIn(Body):
    serial: Serial = Field(description="The serial that KRA approved for this PIN and branch.")
    device_type: Literal["oscu", "vscu"] = "oscu"
    base_url: WebAddress = Field(
        default="", description="VSCU only: where the taxpayer's own control unit program listens."
    )


class OwnerIn(Body):
    email: RequiredEmail
    name: PersonName
    password: Annotated[str, StringConstraints(max_length=200), AfterValidator(_password)] | None = Field(
        None, description="Left out: the owner gets an invitation by mail and chooses one."
    )


class OnboardIn(Body):
    company: CompanyIn
    branch: BranchIn = BranchIn()
    device: DeviceIn
    environment: EnvironmentName | None = Field(None, description="Left out: the installation's default.")
    plan: PlanName = "standard"
    owner: OwnerIn | None = None


class CompanyOut(Schema):
    id: UUID
    pin: str
    name: str
    status: str
    plan: str


class KeyOut(Schema):
    """An API key. `key` is shown this once and kept nowhere."""

    key: str
    prefix: str
    role: str
    environment: str


class OnboardOut(Schema):
    company: CompanyOut
    branch: BranchOut
    device: DeviceOut
    api_key: KeyOut
    checklist: list[PointOut] = Field(description="What it takes until a sale is signed.")


@router.post(
    "/onboard/", response={201: OnboardOut}, auth=operator_key, operation_id="onboard", summary="Onboard a company"
)
def onboard_company(request: StaffRequest, body: OnboardIn) -> Status[dict[str, Any]]:
    """Make a company with its branch, device and first API key, and activate the device at KRA.

    The key is shown in this answer and never again. Should KRA refuse the activation the company is kept all the same:
    `device.problem` and the checklist say what to do, `POST /api/device/init/` tries again.
    """
    must(request.auth, Right.ONBOARD)
    made = onboard(_application(body, request.auth.organisation_id), actor=request.auth.actor)
    device = activate_and_fetch(device=made.device, now=timezone.now(), actor=request.auth.actor)
    return Status(201, _out(made, device))


def _application(body: OnboardIn, organisation_id: int | None) -> Application:
    return Application(
        pin=body.company.pin,
        name=body.company.name,
        email=body.company.email,
        phone=body.company.phone,
        plan=body.plan,
        organisation_id=organisation_id,
        branch_code=body.branch.code,
        branch_name=body.branch.name,
        address=body.branch.address,
        city=body.branch.city,
        serial=body.device.serial,
        kind=body.device.device_type,
        base_url=body.device.base_url,
        environment=body.environment or settings.KRA_ENVIRONMENT,
        owner=Owner(email=body.owner.email, name=body.owner.name, password=body.owner.password) if body.owner else None,
    )


def _out(made: Onboarded, device: Device) -> dict[str, Any]:
    shown = device_out(device)
    return {
        "company": {
            "id": made.company.public_id,
            "pin": made.company.pin,
            "name": made.company.name,
            "status": made.company.status,
            "plan": made.company.plan,
        },
        "branch": shown["branch"],
        "device": shown,
        "api_key": {
            "key": made.key_text,
            "prefix": made.api_key.prefix,
            "role": made.api_key.role,
            "environment": made.api_key.environment,
        },
        "checklist": points_out(setting_up(made.company, device.environment)),
    }
