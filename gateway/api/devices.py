"""Devices: activating them at KRA, and how they stand."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import AfterValidator, Field, StringConstraints

from gateway.api.auth import Principal
from gateway.api.errors import answer_problem
from gateway.api.problems import KraAnswer, Problem
from gateway.api.request import EitherRequest, either_key, must, must_be_active
from gateway.api.shapes import Body, Serial, WebAddress, plain_line
from gateway.catalog.reference import activate_and_fetch, has_reference_data
from gateway.devices.escrow import EnteredKey
from gateway.devices.health import health_of
from gateway.devices.keys import enter_key
from gateway.devices.models import Device
from gateway.devices.queries import find_device, find_seen_device, last_message
from gateway.devices.services import replace_device, retire_device
from gateway.tenants.companies import companies_of
from gateway.tenants.rights import Right

router = Router(tags=["devices"])


class BranchOut(Schema):
    code: str
    name: str


class DeviceProblem(Schema):
    """Why a device does not sign: KRA's code or our word, and a sentence for its owner."""

    code: str
    detail: str


class HealthOut(Schema):
    """How well the device reaches KRA; it is asked every 15 minutes."""

    state: str = Field(description="not_active, well, or silent: its newest question was not answered.")
    silence: str | None = Field(description="Why it was not answered.")
    silent_hours: float | None = Field(description="Hours since KRA's last answer. People are told at 12 and at 20.")
    offline_hours_left: float | None = Field(
        description="VSCU only: hours until the unit stops giving numbers, 24 after its last contact with KRA."
    )
    latency_ms: int | None
    clock_difference_seconds: int | None = Field(description="KRA's clock minus ours.")
    clock: str | None = Field(description="right, off (more than a minute) or wrong (more than five).")


class DeviceOut(Schema):
    """A control unit. `status`: waiting, activating, active, trouble or retired."""

    id: UUID
    serial: str
    device_type: str
    environment: str
    branch: BranchOut
    status: str
    problem: DeviceProblem | None
    control_unit: str | None
    machine_code: str | None
    taxpayer_name: str | None
    simulated: bool = Field(description="Signed by the simulator: its receipts are no tax invoices.")
    reference_data: bool = Field(description="Whether KRA's code and item class lists have been fetched.")
    activated_at: datetime | None
    retired_at: datetime | None
    replaces: str | None = Field(description="Serial of the device that it replaces, once it is active.")
    last_contact_at: datetime | None
    health: HealthOut


class ActivateIn(Body):
    """Which device; it may be left out when the company has only one. An operator key names it by its id."""

    device: Serial | None = Field(None, description="Id or serial of the device.")
    again: bool = Field(
        False,
        description="Send the activation once more after KRA refused it or its answer was lost. Only after KRA has "
        "approved or reset the device: KRA gives the key once.",
    )


class KeyIn(Body):
    """The key of a device that was activated elsewhere, as KRA gave it."""

    key: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[!-~]{1,255}$")] = Field(
        "", description="The communication key; left out for a VSCU, which keeps its own. It is never shown again."
    )
    control_unit: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9]{1,18}$")]
    machine_code: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9]{0,11}$")] = ""
    device_id: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[!-~]{0,20}$")] = Field(
        "", description="The id that KRA gave the device, if you know it."
    )
    last_number: Annotated[int, Field(ge=0, le=9_999_999_999)] = Field(
        description="The last invoice number that KRA has accepted from this branch; 0 for none."
    )
    last_stock_number: Annotated[int, Field(ge=0, le=9_999_999_999)] = Field(
        0, description="The last stock movement (sarNo) that KRA has recorded of this branch."
    )
    last_purchase_number: Annotated[int, Field(ge=0, le=9_999_999_999)] = Field(
        0, description="The last purchase that KRA has recorded; only branch 00 has purchases."
    )


class ReplaceIn(Body):
    """The new device that takes over the branch."""

    serial: Serial = Field(description="The serial that KRA approved for the same PIN and branch.")
    base_url: WebAddress = Field("", description="VSCU only; left out: where the old one listened.")


class RetireIn(Body):
    reason: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(plain_line)
    ] = Field(description="Why, for the journal.")


def device_out(device: Device) -> dict[str, Any]:
    """The device as callers see it."""
    health = health_of(device, now=timezone.now())
    return {
        "id": device.public_id,
        "serial": device.serial,
        "device_type": device.kind,
        "environment": device.environment,
        "branch": {"code": device.branch.code, "name": device.branch.name},
        "status": device.status,
        "problem": {"code": device.problem_code, "detail": device.problem} if device.problem else None,
        "control_unit": device.control_unit_id or None,
        "machine_code": device.machine_code or None,
        "taxpayer_name": device.taxpayer_name or None,
        "simulated": device.control_unit_id.startswith("SIM") or device.profile.startswith("simulator"),
        "reference_data": has_reference_data(device),
        "activated_at": device.activated_at,
        "retired_at": device.retired_at,
        "replaces": device.replaces.serial if device.replaces else None,
        "last_contact_at": device.last_contact_at,
        "health": {**health._asdict(), "silence": health.silence or None},
    }


def _find(request: EitherRequest, wanted: str | None) -> Device:
    """The device that is meant, among those that the caller sees. Raises DeviceUnknown, DeviceUnclear."""
    caller = request.auth
    if isinstance(caller, Principal):
        return find_device(caller.company_id, caller.environment, wanted, only=caller.device)
    return find_seen_device(companies_of(caller.organisation_id), wanted)


def _kra_said(device: Device) -> KraAnswer | None:
    """KRA's own words in its newest answer to the activation, if it spoke."""
    if not device.problem_code.isdigit():
        return None
    return {"code": device.problem_code, "message": last_message(device)}


@router.post(
    "/device/init/",
    response={200: DeviceOut, 202: DeviceOut},
    auth=either_key,
    operation_id="activate_device",
    summary="Activate a device",
)
def activate(request: EitherRequest, body: ActivateIn) -> Status[dict[str, Any]] | HttpResponse:
    """Activate a device at KRA, or show how far its activation is; never sends it twice by itself.

    200: active. 202: sent, and KRA's answer is not here yet, or was lost (see `problem`). 422: KRA refused it.
    503: nothing was sent.
    """
    must(request.auth, Right.MANAGE_DEVICES)
    device = _find(request, body.device)
    must_be_active(request.auth, device.company)
    device = activate_and_fetch(device=device, now=timezone.now(), actor=request.auth.actor, again=body.again)
    out = device_out(device)
    if device.status in {Device.Status.ACTIVE, Device.Status.RETIRED}:
        return Status(200, out)
    if device.status == Device.Status.ACTIVATING or not device.problem:
        return Status(202, out)
    shown = DeviceOut.model_validate(out).model_dump()
    code = "kra_unreachable" if device.status == Device.Status.WAITING else "refused_by_kra"
    return answer_problem(request, Problem(code, device.problem, kra=_kra_said(device), extra={"device": shown}))


@router.get(
    "/device/{device}/status/",
    response=DeviceOut,
    auth=either_key,
    operation_id="get_device",
    summary="How a device stands",
)
def status(request: EitherRequest, device: str) -> dict[str, Any]:
    """How a device stands; `device` is its id or serial, for an operator key its id."""
    must(request.auth, Right.READ if isinstance(request.auth, Principal) else Right.READ_COMPANIES)
    return device_out(_find(request, device))


@router.post(
    "/device/{device}/key/",
    response=DeviceOut,
    auth=either_key,
    operation_id="enter_key",
    summary="Enter an existing key",
)
def key(request: EitherRequest, device: str, body: KeyIn) -> dict[str, Any]:
    """Make a device active with the key that KRA gave earlier, when it was activated elsewhere or the answer was lost.

    The branch's numbers go on after `last_number`. For an OSCU KRA is asked first whether it takes the key, has an
    invoice with this number, and none after it; a VSCU has no such look-up, there the number is taken as told. The key
    is never shown again. The other two numbers are taken as told. If the device replaces another, that one is retired.
    """
    must(request.auth, Right.MANAGE_DEVICES)
    found = _find(request, device)
    must_be_active(request.auth, found.company)
    return device_out(
        enter_key(
            device=found,
            entered=EnteredKey(
                at=timezone.now(),
                key=body.key,
                control_unit_id=body.control_unit,
                machine_code=body.machine_code,
                device_id=body.device_id,
            ),
            last_number=body.last_number,
            last_stock_number=body.last_stock_number,
            last_purchase_number=body.last_purchase_number,
            now=timezone.now(),
            actor=request.auth.actor,
        )
    )


@router.post(
    "/device/{device}/replace/",
    response={201: DeviceOut},
    auth=either_key,
    operation_id="replace_device",
    summary="Replace a device",
)
def replace(request: EitherRequest, device: str, body: ReplaceIn) -> Status[dict[str, Any]]:
    """Add the device that takes over from this one. It waits; activate it, or enter its key.

    Until it is active the old one goes on. In the moment that it is, the old one is retired, the branch's numbers go
    on, and documents that wait are signed by the new one. Both are of one kind; to change it, retire the old one first.
    """
    must(request.auth, Right.MANAGE_DEVICES)
    old = _find(request, device)
    must_be_active(request.auth, old.company)
    new = replace_device(device=old, serial=body.serial, base_url=body.base_url, actor=request.auth.actor)
    return Status(201, device_out(new))


@router.post(
    "/device/{device}/retire/",
    response=DeviceOut,
    auth=either_key,
    operation_id="retire_device",
    summary="Retire a device",
)
def retire(request: EitherRequest, device: str, body: RetireIn) -> dict[str, Any]:
    """Let a device sign no more, for good. The branch's next device goes on with its numbers.

    Not while documents of its branch wait: let them be signed, or replace the device instead.
    """
    must(request.auth, Right.MANAGE_DEVICES)
    found = _find(request, device)
    return device_out(retire_device(device=found, reason=body.reason, now=timezone.now(), actor=request.auth.actor))
