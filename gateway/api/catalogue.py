"""The items that a company has: listed, read, changed, retired, taken over from KRA's list."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.utils import timezone
from ninja import PatchDict, Query, Router, Schema
from pydantic import Field

from gateway.api.items import ItemProblem, have_lists, speaking_device
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem, invalid
from gateway.api.problems import field as problem_field
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
from gateway.catalog.importing import import_items
from gateway.catalog.judging import PRODUCT_TYPES, PRODUCT_WORDS, RowsRefused
from gateway.catalog.models import Item
from gateway.catalog.queries import ItemFilter, find_item, list_items
from gateway.catalog.services import change_item, restore_item, retire_item
from gateway.tenants.rights import Right

router = Router(tags=["items"])
ProductWord = Literal["goods", "service", "raw_material"]


class ItemsQuery(Schema):
    """Which items, and how many at once."""

    q: Name | None = Field(None, description="Words that all stand in the name, the code or the barcode.")
    code: ItemCode | None = Field(None, description="Your own code, exactly.")
    kra_code: KraItemCode | None = Field(None, description="KRA's item code, exactly.")
    barcode: Barcode | None = Field(None, description="A barcode, exactly.")
    status: Literal["waiting", "registered", "refused", "retired"] | None = None
    tax_type: Literal["A", "B", "C", "D", "E"] | None = None
    item_class: ClassCode | None = None
    product_type: ProductWord | None = None
    limit: Limit = 50
    cursor: Cursor = None


class ItemOut(Schema):
    """An item as it stands. `problem`: why KRA refused it, or what it was last asked to change of it."""

    id: UUID
    code: str
    kra_code: str | None
    name: str
    item_class: str
    tax_type: str
    product_type: str
    packaging_unit: str
    quantity_unit: str
    price: str
    barcode: str
    origin_country: str
    status: str
    problem: ItemProblem | None
    updated_at: datetime


class ItemsPageOut(Schema):
    """A page in the order of codes. `next` is the cursor of the following page, null at the end."""

    items: list[ItemOut]
    next: str | None


class ItemPut(Body):
    """All that can be said of an item but its code, which names it for ever. What is left out gets its default."""

    name: Name
    item_class: ClassCode
    tax_type: TaxLetter = ""
    product_type: ProductWord = "goods"
    packaging_unit: UnitCode = "NT"
    quantity_unit: UnitCode = "U"
    price: Amount = Field(Decimal("0.00"))
    barcode: Barcode = ""
    origin_country: CountryCode = "KE"


class ItemPatch(ItemPut):
    """Only what shall change."""


class ImportIn(Body):
    device: Serial | None = Field(None, description="Id or serial of the device that asks; may be left out.")


class SkippedOut(Schema):
    kra_code: str
    reason: str


class ImportOut(Schema):
    """How many items came that were new, of them retired ones; how many were known; which could not be taken over."""

    imported: int
    retired: int
    known: int
    skipped: list[SkippedOut]
    next_serial: int = Field(description="The serial of the next item code that KRA gets from here.")


@router.get("/items/", response=ItemsPageOut, operation_id="list_items", summary="List items")
def items(request: ApiRequest, wanted: Query[ItemsQuery]) -> dict[str, Any]:
    """A company's items by their codes. Pages neither repeat nor skip an item while others change."""
    must(request.auth, Right.READ)
    only_these(request, ItemsQuery)
    principal = request.auth
    named = wanted.product_type
    page = list_items(
        principal.company_id,
        principal.environment,
        ItemFilter(
            words=wanted.q,
            code=wanted.code,
            kra_code=wanted.kra_code,
            barcode=wanted.barcode,
            status=wanted.status,
            tax_type=wanted.tax_type,
            item_class=wanted.item_class,
            product_type=None if named is None else PRODUCT_TYPES[named].value,
        ),
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"items": [item_out(item) for item in page.items], "next": page.next}


@router.get(
    "/integration/companies/{uuid:id}/items/",
    response=ItemsPageOut,
    operation_id="list_company_items",
    summary="List a company's items",
)
def company_items(request: ApiRequest, id: UUID, wanted: Query[ItemsQuery]) -> dict[str, Any]:
    """The same list for integrations that name the company; it is the one that owns the key."""
    if id != request.auth.company_public_id:
        raise Problem("not_found", "There is no such company.")
    return items(request, wanted)


@router.post(
    "/items/import/", response=ImportOut, operation_id="import_items", summary="Take over the items that KRA has"
)
def take_over(request: ApiRequest, body: ImportIn) -> dict[str, Any]:
    """Ask KRA for all items of the company and keep those that are not known here, under KRA's codes.

    Give them your own codes later: sync them with your `code` and their `kra_code`. Nothing that is known changes.
    """
    must(request.auth, Right.MANAGE_ITEMS)
    company = active_company(request.auth)
    have_lists(company, request, body.device)
    device = speaking_device(company, request, body.device)
    done = import_items(device=device, now=timezone.now(), actor=request.auth.actor)
    return {**done._asdict(), "skipped": [one._asdict() for one in done.skipped]}


@router.get("/items/{uuid:id}/", response=ItemOut, operation_id="get_item", summary="One item")
def one(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """An item as it stands."""
    must(request.auth, Right.READ)
    only_these(request)
    item = find_item(request.auth.company_id, request.auth.environment, id)
    if item is None:
        raise Problem("not_found", "There is no such item.")
    return item_out(item)


@router.put("/items/{uuid:id}/", response=ItemOut, operation_id="replace_item", summary="Describe an item anew")
def replace(request: ApiRequest, id: UUID, body: ItemPut) -> dict[str, Any]:
    """Replace all that is said of an item. KRA hears of it by itself; meanwhile the item is `waiting`, and is sold."""
    return _change(request, id, body.model_dump())


@router.patch("/items/{uuid:id}/", response=ItemOut, operation_id="change_item", summary="Change an item")
def change(request: ApiRequest, id: UUID, body: PatchDict[ItemPatch]) -> dict[str, Any]:
    """Change some fields of an item and leave the others. What stands in KRA's item code gives it a new one."""
    if not body:
        raise invalid([problem_field("(body)", "missing", "Say what shall change.")])
    nothing = [name for name, value in body.items() if value is None]
    if nothing:
        raise invalid(problem_field(name, "missing", "Say a value, or leave the field out.") for name in nothing)
    return _change(request, id, dict(body))


@router.post("/items/{uuid:id}/retire/", response=ItemOut, operation_id="retire_item", summary="Sell an item no more")
def retire(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """New sales with it are refused, KRA is told; what was sold stays. A second time changes nothing."""
    return _act(request, id, retire_item)


@router.post("/items/{uuid:id}/restore/", response=ItemOut, operation_id="restore_item", summary="Sell an item again")
def restore(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """Bring a retired item back, under its old code at KRA. A second time changes nothing."""
    return _act(request, id, restore_item)


def _change(request: ApiRequest, id: UUID, changes: dict[str, Any]) -> dict[str, Any]:
    must(request.auth, Right.MANAGE_ITEMS)
    company = active_company(request.auth)
    try:
        item = change_item(
            company=company,
            environment=request.auth.environment,
            public_id=id,
            changes=changes,
            actor=request.auth.actor,
            now=timezone.now(),
        )
    except RowsRefused as refused:
        raise invalid(problem_field(name, code, words) for _, name, code, words in refused.problems) from None
    return item_out(item)


def _act(request: ApiRequest, id: UUID, action: Any) -> dict[str, Any]:
    must(request.auth, Right.MANAGE_ITEMS)
    company = active_company(request.auth)
    item = action(
        company=company,
        environment=request.auth.environment,
        public_id=id,
        actor=request.auth.actor,
        now=timezone.now(),
    )
    return item_out(item)


def item_out(item: Item) -> dict[str, Any]:
    """An item as ItemOut."""
    plain = ("code", "name", "item_class", "tax_type", "packaging_unit", "quantity_unit", "barcode", "origin_country")
    return {
        "id": item.public_id,
        **{name: getattr(item, name) for name in plain},
        "kra_code": item.kra_code or None,
        "product_type": PRODUCT_WORDS[item.product_type],
        "price": str(item.price),
        "status": item.status,
        "problem": item.problem,
        "updated_at": item.updated_at,
    }
