"""The devices of a company: adding them, listing them, and what a company still lacks."""

from typing import Any, Literal

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from gateway.api.auth import Principal
from gateway.api.devices import DeviceOut, device_out
from gateway.api.environment import PointOut, environment_of, points_out
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.onboarding import BranchIn, DeviceIn
from gateway.api.problems import Problem
from gateway.api.request import EitherRequest, either_key, must, must_be_active, the_company
from gateway.api.shapes import EnvironmentName
from gateway.audit.services import record
from gateway.catalog.going_live import setting_up
from gateway.catalog.reference import activate_and_fetch
from gateway.devices.models import Device
from gateway.devices.queries import list_devices
from gateway.devices.services import BranchHasActiveDevice, add_device
from gateway.devices.stages import check_open
from gateway.tenants.companies import open_branch
from gateway.tenants.models import Branch, Company
from gateway.tenants.rights import Right

router = Router(tags=["devices"])


class DeviceNew(DeviceIn):
    """A further device. Its branch is made if the company has none with this code."""

    branch: BranchIn = BranchIn()
    environment: EnvironmentName | None = Field(
        None, description="A company's key makes devices in its own; an operator's, left out, in the company's default."
    )
    activate: bool = Field(True, description="Activate it at KRA at once. False: it waits, for a key entered by hand.")


class DevicesIn(Schema):
    """Which devices, and how many at once."""

    status: Literal["waiting", "activating", "active", "trouble", "retired"] | None = None
    environment: EnvironmentName | None = Field(None, description="A company's key sees its own only.")
    limit: Limit = 50
    cursor: Cursor = None


class DevicesOut(Schema):
    """A page, in the order in which they were added. `next` is the cursor of the following page, null at the end."""

    devices: list[DeviceOut]
    next: str | None


class ChecklistIn(Schema):
    environment: EnvironmentName | None = Field(
        None, description="Left out: that of the key, for an operator key the company's default."
    )


class ChecklistOut(Schema):
    environment: str
    done: bool
    checklist: list[PointOut]


@router.post(
    "/companies/{id}/devices/",
    response={201: DeviceOut},
    auth=either_key,
    operation_id="add_device",
    summary="Add a device to a company",
)
def add(request: EitherRequest, id: str, body: DeviceNew) -> Status[dict[str, Any]]:
    """Add a device, in a branch that is there or is made, and activate it at KRA.

    Should KRA refuse or be away the device is kept all the same: `problem` says what to do, and
    `POST /api/device/init/` tries again. A branch that has an active device gets a new one by replacing it.
    """
    company = the_company(request.auth, id)
    must(request.auth, Right.MANAGE_DEVICES)
    must_be_active(request.auth, company)
    if isinstance(request.auth, Principal) and request.auth.device is not None:
        raise Problem("role_not_allowed", "A key that is bound to a device adds no other.")
    environment = environment_of(request, company, body.environment)
    check_open(company, environment)
    device = add_device(
        company=company,
        branch=_branch(request, company, environment, body),
        environment=environment,
        serial=body.serial,
        kind=body.device_type,
        base_url=body.base_url,
        actor=request.auth.actor,
    )
    if body.activate:
        device = activate_and_fetch(device=device, now=timezone.now(), actor=request.auth.actor)
    return Status(201, device_out(device))


@router.get(
    "/integration/companies/{id}/devices/",
    response=DevicesOut,
    auth=either_key,
    operation_id="list_devices",
    summary="List the devices of a company",
)
def devices(request: EitherRequest, id: str, wanted: Query[DevicesIn]) -> dict[str, Any]:
    """The company's devices, retired ones too, in the order in which they were added."""
    company = the_company(request.auth, id)
    must(request.auth, Right.READ if isinstance(request.auth, Principal) else Right.READ_COMPANIES)
    only_these(request, DevicesIn)
    seen = Device.objects.filter(company=company)
    if isinstance(request.auth, Principal):
        seen = seen.filter(environment=environment_of(request, company, wanted.environment))
        if request.auth.device is not None:
            seen = seen.filter(public_id=request.auth.device)
    elif wanted.environment is not None:
        seen = seen.filter(environment=wanted.environment)
    rows, following = list_devices(seen, status=wanted.status, limit=wanted.limit, cursor=wanted.cursor)
    return {"devices": [device_out(device) for device in rows], "next": following}


@router.get(
    "/companies/{id}/checklist/",
    response=ChecklistOut,
    auth=either_key,
    operation_id="get_checklist",
    summary="What a company still lacks",
)
def checklist(request: EitherRequest, id: str, wanted: Query[ChecklistIn]) -> dict[str, Any]:
    """What it takes until a sale is signed, from the company to its first receipt, and how far each point is."""
    company = the_company(request.auth, id)
    must(request.auth, Right.READ if isinstance(request.auth, Principal) else Right.READ_COMPANIES)
    only_these(request, ChecklistIn)
    environment = environment_of(request, company, wanted.environment)
    points = setting_up(company, environment)
    return {
        "environment": environment,
        "done": all(point.done for point in points),
        "checklist": points_out(points),
    }


def _branch(request: EitherRequest, company: Company, environment: str, body: DeviceNew) -> Branch:
    """The branch that is named, made if need be. Raises BranchHasActiveDevice before anything is made."""
    found = Branch.objects.filter(company=company, code=body.branch.code).first()
    if found is None:
        must(request.auth, Right.MANAGE_BRANCHES)
        facts = {"name": body.branch.name, "address": body.branch.address, "city": body.branch.city}
        return open_branch(company, code=body.branch.code, facts=facts, actor=request.auth.actor, journal=record)
    signs = Device.objects.filter(branch=found, environment=environment, status=Device.Status.ACTIVE)
    if body.activate and signs.exists():
        raise BranchHasActiveDevice(found.code)
    return found
