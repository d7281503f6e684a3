"""Sandbox and production: where a company stands, what it lacks to go live, and whether KRA can be reached."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from gateway.api.auth import Principal
from gateway.api.lists import only_these
from gateway.api.problems import Problem, field, invalid
from gateway.api.request import EitherRequest, either_key, must, must_be_active, the_company
from gateway.api.shapes import Body, EnvironmentName, Serial
from gateway.catalog.going_live import Point, going_live, setting_up, switch_environment
from gateway.catalog.models import Item
from gateway.devices.connectivity import TooManyTests, try_connections
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile, find_device, profile_for, profile_name_for
from gateway.devices.stages import stage_of
from gateway.kra.operations import operations, path_of
from gateway.tenants.models import ApiKey, Company, Environment
from gateway.tenants.rights import Right

router = Router(tags=["environment"])


class PointOut(Schema):
    """One point of a checklist."""

    step: str
    done: bool
    detail: str = Field(description="What is there, or what to do.")
    warning: str | None = Field(None, description="What looks wrong and stops nothing.")


class EnvironmentOut(Schema):
    """What a company has in one environment."""

    environment: str
    is_default: bool
    is_open: bool = Field(description="Production is closed until the company goes live.")
    devices: int
    active_devices: int
    items: int
    registered_items: int
    api_keys: int
    checklist: list[PointOut] = Field(description="What it takes until a sale is signed there.")


class GoLiveOut(Schema):
    is_ready: bool
    checklist: list[PointOut]


class StatusOut(Schema):
    """`key` is the environment of the key that asks; null for an operator key."""

    company: UUID
    key: str | None
    default: str
    production_open_since: datetime | None
    environments: list[EnvironmentOut]
    go_live: GoLiveOut


class OfCompany(Schema):
    company: str | None = Field(None, description="Id of the company; operator keys must name it.")


class SwitchIn(Body):
    environment: EnvironmentName
    company: str | None = Field(None, description="Id of the company; operator keys must name it.")


class SwitchOut(Schema):
    """`changed` is false when the environment was the default already; then nothing was done."""

    environment: str
    changed: bool
    copied_items: int = Field(description="Items that now wait to be registered in production.")
    checklist: list[PointOut] = Field(description="What the environment needs until a sale is signed there.")


class EndpointOut(Schema):
    operation: str
    path: str


class ConnectionOut(Schema):
    """How devices of one kind reach KRA. `problem` says why they cannot."""

    environment: str
    device_type: str
    profile: str
    flavour: str | None
    base_url: str | None = Field(description="Of a VSCU this is the default; each device may have its own.")
    receipt_url: str | None
    endpoints: list[EndpointOut]
    problem: str | None


class EndpointsOut(Schema):
    connections: list[ConnectionOut]


class ConnectivityIn(Body):
    device: Serial | None = Field(None, description="Id or serial; left out: KRA and every VSCU of the company.")
    environment: EnvironmentName | None = Field(None, description="For operator keys; left out: the company's default.")
    company: str | None = Field(None, description="Id of the company; operator keys must name it.")


class ReachedOut(Schema):
    """`outcome`: reachable, slow, no_answer, refused, unknown_host, wrong_certificate or not_set_up."""

    device: UUID | None = Field(description="The device, or null for KRA's own host.")
    device_type: str
    profile: str
    host: str | None
    outcome: str
    detail: str
    duration_ms: int | None
    http_status: int | None
    clock_difference_seconds: int | None = Field(description="The host's clock minus ours.")


class ConnectivityOut(Schema):
    environment: str
    results: list[ReachedOut]


def environment_of(request: EitherRequest, company: Company, wanted: str | None) -> str:
    """The environment that is meant; for the staff, who have none of their own, the company's default.

    Raises Problem 422 when a company's key names the other one: it reaches only its own.
    """
    if not isinstance(request.auth, Principal):
        return wanted or stage_of(company).environment
    if wanted is not None and wanted != request.auth.environment:
        message = f"This key belongs to {request.auth.environment}; use one of the other environment."
        raise invalid([field("environment", "other_environment", message)])
    return request.auth.environment


def points_out(points: list[Point]) -> list[dict[str, Any]]:
    """A checklist as callers see it."""
    return [point._asdict() for point in points]


@router.get(
    "/environment/status/",
    response=StatusOut,
    auth=either_key,
    operation_id="get_environment",
    summary="Sandbox and production of a company",
)
def status(request: EitherRequest, wanted: Query[OfCompany]) -> dict[str, Any]:
    """Which environment the key speaks for, what each has, and what is missing to go live."""
    only_these(request, OfCompany)
    company = _company(request, wanted.company)
    must(request.auth, Right.READ if isinstance(request.auth, Principal) else Right.READ_COMPANIES)
    stage, points = stage_of(company), going_live(company)
    return {
        "company": company.public_id,
        "key": request.auth.environment if isinstance(request.auth, Principal) else None,
        "default": stage.environment,
        "production_open_since": stage.opened_at,
        "environments": [
            {
                **_counts(company, environment),
                "is_default": stage.environment == environment,
                "is_open": environment == Environment.SANDBOX or stage.opened_at is not None,
            }
            for environment in Environment.values
        ],
        "go_live": {"is_ready": all(point.done for point in points), "checklist": points_out(points)},
    }


@router.post(
    "/environment/switch/",
    response=SwitchOut,
    auth=either_key,
    operation_id="switch_environment",
    summary="Go live, or back to the sandbox",
)
def switch(request: EitherRequest, body: SwitchIn) -> dict[str, Any]:
    """Make the other environment the company's default. A second call changes nothing.

    Production opens only when the go-live checklist is met; else 409 with what is missing in `unmet`. The items of the
    sandbox are copied, to be registered once a device is active there. Devices, keys, numbers, documents and API keys
    are not: a production device is added with `POST /api/companies/{id}/devices/`, and its key comes from an operator.
    What runs in either environment goes on in any case.
    """
    company = _company(request, body.company)
    must(request.auth, Right.SWITCH_ENVIRONMENT)
    must_be_active(request.auth, company)
    done = switch_environment(company, to=body.environment, now=timezone.now(), actor=request.auth.actor)
    return {
        "environment": done.stage.environment,
        "changed": done.is_changed,
        "copied_items": done.copied_items,
        "checklist": points_out(setting_up(company, body.environment)),
    }


@router.get(
    "/environment/kra-endpoints/",
    response=EndpointsOut,
    auth=either_key,
    operation_id="list_kra_endpoints",
    summary="Where KRA is reached",
)
def endpoints(request: EitherRequest) -> dict[str, Any]:
    """For each environment and kind of device: the connection profile, its host, and the path of each operation."""
    only_these(request)
    must(request.auth, Right.READ if isinstance(request.auth, Principal) else Right.READ_COMPANIES)
    pairs = [(environment, kind) for environment in Environment.values for kind in Device.Kind.values]
    return {"connections": [_connection(environment, kind) for environment, kind in pairs]}


@router.post(
    "/environment/test-connectivity/",
    response=ConnectivityOut,
    auth=either_key,
    operation_id="test_connectivity",
    summary="Whether KRA can be reached",
)
def test_connectivity(request: EitherRequest, body: ConnectivityIn) -> dict[str, Any]:
    """Knock at KRA's host and at the company's VSCUs. No sale is sent, no key is shown, nothing is changed.

    Answers within some 8 seconds. Only hosts of the connection profiles and the VSCU addresses of the company's own
    devices are tried.
    """
    company = _company(request, body.company)
    must(request.auth, Right.MANAGE_DEVICES)
    environment = environment_of(request, company, body.environment)
    bound = request.auth.device if isinstance(request.auth, Principal) else None
    device = None
    if body.device or bound:
        device = find_device(company.pk, environment, body.device, only=bound)
    try:
        results = try_connections(company, environment, device=device)
    except TooManyTests:
        raise Problem(
            "busy", "Other connections are being tested at this moment.", headers={"Retry-After": "10"}
        ) from None
    return {
        "environment": environment,
        "results": [
            {
                "device": one.device.public_id if one.device else None,
                "device_type": one.kind,
                "profile": one.profile,
                "host": one.probe.host if one.probe else None,
                "outcome": one.probe.outcome if one.probe else "not_set_up",
                "detail": one.probe.detail if one.probe else one.problem,
                "duration_ms": one.probe.duration_ms if one.probe else None,
                "http_status": one.probe.http_status if one.probe else None,
                "clock_difference_seconds": one.probe.clock_difference_seconds if one.probe else None,
            }
            for one in results
        ],
    }


def _company(request: EitherRequest, wanted: str | None) -> Company:
    """The company that is meant: the key's own, or the one an operator names. Raises Problem 404, 422."""
    if wanted is None:
        if not isinstance(request.auth, Principal):
            raise invalid([field("company", "missing", "An operator key must say which company, by its id.")])
        wanted = str(request.auth.company_public_id)
    return the_company(request.auth, wanted)


def _counts(company: Company, environment: str) -> dict[str, Any]:
    devices = Device.objects.filter(company=company, environment=environment).exclude(status=Device.Status.RETIRED)
    items = Item.objects.filter(company=company, environment=environment).exclude(status=Item.Status.RETIRED)
    return {
        "environment": environment,
        "devices": devices.count(),
        "active_devices": devices.filter(status=Device.Status.ACTIVE).count(),
        "items": items.count(),
        "registered_items": items.filter(status=Item.Status.REGISTERED).count(),
        "api_keys": ApiKey.objects.filter(company=company, environment=environment, revoked_at=None).count(),
        "checklist": points_out(setting_up(company, environment)),
    }


def _connection(environment: str, kind: str) -> dict[str, Any]:
    name = profile_name_for(environment, kind)
    shown: dict[str, Any] = {"environment": environment, "device_type": kind, "profile": name, "problem": None}
    try:
        how = profile_for(Device(environment=environment, kind=kind, profile=name))
    except WrongProfile as error:
        return {**shown, "flavour": None, "base_url": None, "receipt_url": None, "endpoints": [], "problem": str(error)}
    paths = {operation: path_of(operation, how) for operation in operations()}
    return {
        **shown,
        "profile": how.name,
        "flavour": how.flavour,
        "base_url": how.base_url,
        "receipt_url": how.receipt_url,
        "endpoints": [{"operation": operation, "path": path} for operation, path in paths.items() if path],
    }
