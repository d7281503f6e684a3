"""What a company still lacks, in words its owner understands, and its way from the sandbox into production."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models.functions import Coalesce, Now

from gateway.audit.models import Event
from gateway.audit.services import record
from gateway.catalog.models import Item, PinLookup
from gateway.catalog.reference import has_reference_data
from gateway.catalog.services import JOB_KIND, locked_lane
from gateway.devices.models import Device, Stage
from gateway.devices.queries import WrongProfile, profile_for, profile_name_for
from gateway.devices.stages import move, stage_of
from gateway.lanes import local
from gateway.lanes.models import Job, Lane
from gateway.tenants.invitations import open_invitations
from gateway.tenants.models import Company, Environment, Member, Role

_BATCH = 500
_NOT_COPIED = {"id", "public_id", "environment", "kra_code", "status", "problem", "body", "updated_at"}


class Point(NamedTuple):
    """One point of a checklist; `detail` says what is there, or what to do. A `warning` stops nothing."""

    step: str
    done: bool
    detail: str
    warning: str | None = None


class NotReadyToGoLive(Exception):
    """Production stays closed: `unmet` are the points that are missing."""

    def __init__(self, unmet: Sequence[Point]) -> None:
        super().__init__("; ".join(point.detail for point in unmet))
        self.unmet = list(unmet)


class Switched(NamedTuple):
    stage: Stage
    is_changed: bool
    copied_items: int


def setting_up(company: Company, environment: str) -> list[Point]:
    """What an environment of a company needs until it sells, in the order in which it is done."""
    devices = Device.objects.select_related("branch", "lane").filter(company=company, environment=environment)
    in_use = list(devices.exclude(status=Device.Status.RETIRED).order_by("pk"))
    active = [device for device in in_use if device.status == Device.Status.ACTIVE]
    has_lists = any(has_reference_data(device) for device in active)
    return [
        _company(company)._replace(warning=_doubt_of_pin(company, environment)),
        _owner(company),
        _devices(in_use, active),
        Point(
            "reference_data",
            has_lists,
            "KRA's codes, tax rates and item classes are here."
            if has_lists
            else "KRA's lists are fetched when a device is active.",
        ),
        _items(company, environment),
        _first_sale(company, environment, "Send a sale: POST /api/sales/"),
    ]


def going_live(company: Company) -> list[Point]:
    """What must be so before production opens to a company. All of it can be seen in the sandbox and the settings."""
    sandbox = Device.objects.filter(company=company, environment=Environment.SANDBOX, status=Device.Status.ACTIVE)
    has_device = sandbox.exists()
    return [
        _company(company),
        _owner(company),
        Point(
            "sandbox_device",
            has_device,
            "A device is active in the sandbox." if has_device else "Activate a device in the sandbox.",
        ),
        _items(company, Environment.SANDBOX),
        _first_sale(company, Environment.SANDBOX, "Sign a sale in the sandbox and look at its receipt."),
        _production_connection(),
    ]


@transaction.atomic
def switch_environment(company: Company, *, to: str, now: datetime, actor: str = "") -> Switched:
    """Make the other environment the company's default. The one that it is already changes nothing.

    Production opens only when every point of `going_live` is met; once open it stays so. With it go the items that it
    lacks, as waiting to be registered; people belong to the company and are there already. Nothing else is copied:
    no device, key, number, document or API key. Raises NotReadyToGoLive, and then nothing is changed.
    """
    stage = Stage.objects.select_for_update().get(pk=stage_of(company).pk)
    if stage.environment == to:
        return Switched(stage, is_changed=False, copied_items=0)
    opens = to == Environment.PRODUCTION and stage.opened_at is None
    if opens and (unmet := [point for point in going_live(company) if not point.done]):
        raise NotReadyToGoLive(unmet)
    before = stage.environment
    move(stage, to, now=now, by=actor)
    copied = copy_items(company, now=now) if to == Environment.PRODUCTION else 0
    record(
        company,
        "environment.switched",
        subject=company.public_id,
        environment=to,
        actor=actor,
        before={"environment": str(before)},
        after={"environment": str(to)},
        opened_production=opens,
        copied_items=copied,
    )
    return Switched(stage, is_changed=True, copied_items=copied)


@transaction.atomic
def copy_items(company: Company, *, now: datetime) -> int:
    """Put the sandbox's items that production lacks there, waiting to be registered; how many.

    What production has under the same code is left as it is, so a second call copies nothing.
    """
    lane = locked_lane(company, Environment.PRODUCTION)
    known = set(Item.objects.filter(company=company, environment=Environment.PRODUCTION).values_list("code", flat=True))
    sandbox = Item.objects.filter(company=company, environment=Environment.SANDBOX).exclude(status=Item.Status.RETIRED)
    columns = [field.attname for field in Item._meta.concrete_fields if field.attname not in _NOT_COPIED]
    fresh = [
        Item(environment=Environment.PRODUCTION, updated_at=now, **row)
        for row in sandbox.order_by("pk").values(*columns)
        if row["code"] not in known
    ]
    Item.objects.bulk_create(fresh, batch_size=_BATCH)
    Job.objects.bulk_create([Job(lane=lane, kind=JOB_KIND, document_id=item.pk) for item in fresh], batch_size=_BATCH)
    if fresh:
        Lane.objects.filter(pk=lane.pk).update(due_at=Coalesce("due_at", Now()))
        transaction.on_commit(lambda: local.wake(lane.pk))
    return len(fresh)


def _company(company: Company) -> Point:
    active = company.status == Company.Status.ACTIVE
    detail = f"{company.name} is active." if active else f"The company is {company.status}; ask the integrator."
    return Point("company", active, detail)


def _doubt_of_pin(company: Company, environment: str) -> str | None:
    """What KRA said about the company's PIN (asked at the first activation), where it does not fit its name."""
    found = PinLookup.objects.filter(company=company, environment=environment, pin=company.pin).first()
    if found is None:
        return None
    if not found.is_known:
        return f"KRA does not know the PIN {company.pin}. Check it before you sell."
    if _plain_name(found.name) == _plain_name(company.name):
        return None
    return f"KRA has the PIN {company.pin} as {found.name}. Check that it is the PIN of {company.name}."


def _plain_name(name: str) -> list[str]:
    """A name as two people may write it differently: without case, dots, and the word for its legal form."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.casefold()).split()
    return [word for word in words if word not in {"ltd", "limited"}]


def _owner(company: Company) -> Point:
    owner = Member.objects.filter(company=company, role=Role.OWNER, user__is_active=True).order_by("pk").first()
    if owner is None:
        invited = open_invitations(company).filter(role=Role.OWNER).order_by("pk").first()
        if invited is not None:
            return Point("owner", False, f"{invited.email} is invited and has not accepted yet.")
        return Point("owner", False, "Nobody owns the account yet: invite the owner by mail.")
    return Point("owner", True, f"{owner.user.name or owner.user.email} owns the account.")


def _devices(in_use: Sequence[Device], active: Sequence[Device]) -> Point:
    if not in_use:
        return Point("device", False, "Add a device with the serial that KRA approved.")
    missing = [device for device in in_use if device not in active]
    if not missing:
        units = ", ".join(device.control_unit_id or device.serial for device in active)
        return Point("device", True, f"Control unit {units}.")
    first = missing[0]
    detail = first.problem or "Not activated yet: POST /api/device/init/"
    return Point("device", False, detail if len(in_use) == 1 else f"{first.serial}: {detail}")


def _items(company: Company, environment: str) -> Point:
    registered = Item.objects.filter(company=company, environment=environment, status=Item.Status.REGISTERED).count()
    detail = f"Items registered at KRA: {registered}." if registered else "Send your items: POST /api/item/sync/"
    return Point("items", bool(registered), detail)


def _first_sale(company: Company, environment: str, what_to_do: str) -> Point:
    signed = Event.objects.filter(company=company, environment=environment, name="invoice.signed").exists()
    return Point("first_sale", signed, "A sale is signed." if signed else what_to_do)


def _production_connection() -> Point:
    kind = Device.Kind.OSCU
    name = profile_name_for(Environment.PRODUCTION, kind)
    try:
        profile_for(Device(environment=Environment.PRODUCTION, kind=kind, profile=name))
    except WrongProfile as error:
        return Point("production_connection", False, f"The integrator must set up KRA's production: {error}.")
    return Point("production_connection", True, "The connection to KRA's production is set up.")
