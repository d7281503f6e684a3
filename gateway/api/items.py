"""Items: what a company sells, registered at KRA."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from gateway.api.headers import wait_seconds
from gateway.api.request import ApiRequest, active_company, must
from gateway.api.shapes import (
    Amount,
    Barcode,
    Body,
    ClassCode,
    CountryCode,
    ItemCode,
    KraItemCode,
    Name,
    Serial,
    TaxLetter,
    UnitCode,
)
from gateway.catalog.judging import ItemRow
from gateway.catalog.queries import has_item_classes
from gateway.catalog.reference import ensure_reference_data
from gateway.catalog.services import Outcome, SyncedItem, sync_items, wait_for_items
from gateway.devices.models import Device
from gateway.devices.queries import find_device
from gateway.devices.services import DeviceNotReady
from gateway.tenants.models import Company
from gateway.tenants.rights import Right

router = Router(tags=["items"])
MOST_ROWS = 1000


class ItemIn(Body):
    """An item. `code` is your own and names the item for ever; KRA's code is made when it is registered."""

    code: ItemCode
    name: Name
    item_class: ClassCode = Field(description="KRA's item class, e.g. 5016150900.")
    tax_type: TaxLetter = Field(
        default="",
        description="A exempt, B standard, C zero rated, D not VAT, E reduced. Left out: the item class's letter.",
    )
    product_type: Literal["goods", "service", "raw_material"] = "goods"
    packaging_unit: UnitCode = "NT"
    quantity_unit: UnitCode = "U"
    price: Amount = Field("0.00", validate_default=True, description="Usual price with tax.")
    barcode: Barcode = ""
    origin_country: CountryCode = "KE"
    kra_code: KraItemCode = Field(
        default="", description="KRA's code of an item that was imported from KRA's list, to give it your own code."
    )


class ItemsIn(Body):
    items: Annotated[list[ItemIn], Field(min_length=1, max_length=MOST_ROWS)]
    device: Serial | None = Field(None, description="Id or serial; may be left out.")


class KraOut(Schema):
    code: str
    message: str


class ItemProblem(Schema):
    """Why KRA refused an item."""

    code: str
    detail: str
    kra: KraOut | None = None


class SyncedOut(Schema):
    """`status`: registered, waiting, refused, unchanged (registered before and the same), retired (left alone)."""

    id: UUID
    code: str
    status: str
    kra_code: str | None
    problem: ItemProblem | None


class Summary(Schema):
    registered: int
    waiting: int
    refused: int
    unchanged: int
    retired: int


class ItemsOut(Schema):
    items: list[SyncedOut]
    summary: Summary


def sync(request: ApiRequest, body: ItemsIn) -> dict[str, Any]:
    """Take the items, register the new and changed ones at KRA, and say how each of them stands.

    All rows are taken or none: one wrong row refuses the request with 422, naming `items[3].tax_type`. Sending the same
    items again is harmless. The header `Prefer: wait=N` (0 to 55 seconds, 10 when left out) says how long to wait for
    KRA; what still waits then is registered later by itself, in order.
    """
    must(request.auth, Right.MANAGE_ITEMS)
    company = active_company(request.auth)
    have_lists(company, request, body.device)
    synced = sync_items(
        company=company,
        environment=request.auth.environment,
        rows=[ItemRow(**row.model_dump()) for row in body.items],
        now=timezone.now(),
    )
    return _out(wait_for_items(synced, seconds=wait_seconds(request.headers.get("Prefer"))))


router.post(
    "/integration/items/sync/", response=ItemsOut, operation_id="sync_items", summary="Register items (long path)"
)(sync)
router.post("/item/sync/", response=ItemsOut, operation_id="sync_items_short", summary="Register items")(sync)


def have_lists(company: Company, request: ApiRequest, named: str | None) -> None:
    """KRA's classification must be here to judge items by; a device that has never fetched it does so now.

    Raises DeviceUnknown, DeviceNotReady, KraError.
    """
    environment = request.auth.environment
    try:
        device = speaking_device(company, request, named)
    except DeviceNotReady:
        device = None
    if device is not None and device.status == Device.Status.ACTIVE:
        ensure_reference_data(device, now=timezone.now())
    if not has_item_classes(environment):
        raise DeviceNotReady("activate a device first, KRA's item classes come with it")


def speaking_device(company: Company, request: ApiRequest, named: str | None) -> Device:
    """The device that asks KRA: the one named, or the company's active one, the head office's before others.

    Raises DeviceUnknown, and DeviceNotReady when no active one is there.
    """
    environment = request.auth.environment
    if named is not None:
        return find_device(company.pk, environment, named, only=request.auth.device)
    devices = Device.objects.select_related("company", "branch", "lane").filter(
        company=company, environment=environment, status=Device.Status.ACTIVE
    )
    device = devices.order_by("branch__code").first()
    if device is None:
        raise DeviceNotReady("no device of the company is active")
    return device


def _out(synced: list[SyncedItem]) -> dict[str, Any]:
    return {
        "items": [
            {
                "id": item.public_id,
                "code": item.code,
                "status": outcome,
                "kra_code": item.kra_code or None,
                "problem": item.problem,
            }
            for item, outcome in synced
        ],
        "summary": {word: sum(outcome is word for _, outcome in synced) for word in Outcome},
    }
