"""What an item is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from gateway.audit.services import record
from gateway.catalog.models import Item
from gateway.kra.codes import ProductType
from gateway.lanes.models import Lane
from gateway.lanes.services import lane_for, queue_job
from gateway.stock.models import Component
from gateway.stock.services import StockRefused, Wrong
from gateway.tenants.models import Company

JOB_KIND = "component"
_SERVICE = ProductType.SERVICE.value


@dataclass(frozen=True, slots=True)
class PartIn:
    item_code: str
    quantity: Decimal  # for one unit of the product


@dataclass(frozen=True, slots=True)
class Recipe:
    item: Item
    parts: list[Component]


def read_recipe(company_id: int, environment: str, item_code: str) -> Recipe | None:
    """An item's recipe; None when there is no such item."""
    item = Item.objects.filter(company_id=company_id, environment=environment, code=item_code).first()
    if item is None:
        return None
    return Recipe(item, list(item.components.select_related("component").order_by("component__code")))


@transaction.atomic
def set_recipe(*, company: Company, environment: str, item_code: str, parts: Sequence[PartIn], by: str) -> Recipe:
    """Replace what an item is made of, and queue what is new or changed for KRA. The same again changes nothing.

    Raises StockRefused. KRA has no way to take a component back: one that is left out is only forgotten here.
    """
    items = {
        item.code: item
        for item in Item.objects.select_for_update(no_key=True)
        .filter(company=company, environment=environment, code__in=[item_code, *(part.item_code for part in parts)])
        .order_by("pk")
    }
    wrongs = _wrong_parts(items, item_code, parts)
    if wrongs:
        raise StockRefused(wrongs)
    item = items[item_code]
    before = {part.component_id: part for part in item.components.all()}
    lane = lane_for(company, environment=environment, branch="", series=Lane.Series.ITEM)
    kept = set()
    for part in parts:
        component = items[part.item_code]
        kept.add(component.pk)
        known = before.get(component.pk)
        if known is not None and known.quantity == part.quantity and known.problem is None:
            continue
        made, _ = Component.objects.update_or_create(
            item=item, component=component, defaults={"quantity": part.quantity, "told_at": None, "problem": None}
        )
        queue_job(lane, kind=JOB_KIND, document_id=made.pk)
    Component.objects.filter(item=item).exclude(component__in=kept).delete()
    record(
        company,
        "recipe.changed",
        subject=item.public_id,
        environment=environment,
        actor=by,
        item=item.code,
        components={part.item_code: str(part.quantity) for part in parts},
    )
    recipe = read_recipe(company.pk, environment, item_code)
    assert recipe is not None
    return recipe


def _wrong_parts(items: dict[str, Item], item_code: str, parts: Sequence[PartIn]) -> list[Wrong]:
    wrongs: list[Wrong] = []
    product = items.get(item_code)
    if product is None:
        return [Wrong("code", "unknown_item", f"{item_code} is not registered.")]
    if product.product_type == _SERVICE:
        return [Wrong("code", "not_goods", f"{item_code} is a service; it is not made of goods.")]
    seen: set[str] = set()
    for place, part in enumerate(parts):
        field, item = f"components[{place}].item_code", items.get(part.item_code)
        if item is None:
            wrongs.append(Wrong(field, "unknown_item", f"{part.item_code} is not registered."))
        elif item.product_type == _SERVICE:
            wrongs.append(Wrong(field, "not_goods", f"{part.item_code} is a service."))
        elif part.item_code == item_code:
            wrongs.append(Wrong(field, "made_of_itself", f"{item_code} cannot be made of itself."))
        elif part.item_code in seen:
            wrongs.append(Wrong(field, "duplicate", f"{part.item_code} stands here twice."))
        elif not (item.kra_code and product.kra_code):
            wrongs.append(Wrong(field, "item_not_registered", "KRA has not registered both items yet; wait for it."))
        seen.add(part.item_code)
    return wrongs
