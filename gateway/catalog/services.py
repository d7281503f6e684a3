"""Taking a company's items: each row is judged in plain words, and what is new or changed is queued for KRA."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from django.db import transaction
from django.db.models.functions import Coalesce, Now

from gateway.catalog.models import Item, ItemClass
from gateway.catalog.queries import COUNTRY_CLASS, PACKAGING_UNIT_CLASS, QUANTITY_UNIT_CLASS, item_classes, known_codes
from gateway.kra.codes import ProductType, TaxClass
from gateway.lanes import local
from gateway.lanes.models import Job, Lane
from gateway.lanes.services import lane_for
from gateway.tenants.models import Company

JOB_KIND = "item"
PRODUCT_TYPES = {
    "goods": ProductType.FINISHED_PRODUCT,
    "service": ProductType.SERVICE,
    "raw_material": ProductType.RAW_MATERIAL,
}
POLL_SECONDS = 0.05
_SENT_TO_KRA = (
    "name",
    "tax_type",
    "item_class",
    "product_type",
    "origin_country",
    "packaging_unit",
    "quantity_unit",
    "price",
    "barcode",
)
_IN_THE_CODE = ("product_type", "origin_country", "packaging_unit", "quantity_unit")  # KRA's item code is made of these


class Outcome(StrEnum):
    REGISTERED = "registered"
    WAITING = "waiting"
    REFUSED = "refused"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """One item as its company describes it. `product_type` is a word of PRODUCT_TYPES, `price` KES with 2 decimals.

    `tax_type` may be empty where KRA's item class says the letter.
    """

    code: str
    name: str
    item_class: str
    tax_type: str = ""
    product_type: str = "goods"
    packaging_unit: str = "NT"
    quantity_unit: str = "U"
    price: Decimal = Decimal("0.00")
    barcode: str = ""
    origin_country: str = "KE"


class RowProblem(NamedTuple):
    """What is wrong with one field of one row (counted from 0)."""

    row: int
    field: str
    code: str
    message: str


class RowsRefused(Exception):
    """Some rows cannot be taken as they are; nothing of the request was written."""

    def __init__(self, problems: list[RowProblem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class ItemInFlight(Exception):
    """An item that would change is being registered at this moment; nothing of the request was written."""

    def __init__(self, codes: list[str]) -> None:
        super().__init__(", ".join(codes))
        self.codes = codes


class SyncedItem(NamedTuple):
    item: Item
    outcome: Outcome


def sync_items(*, company: Company, environment: str, rows: Sequence[ItemRow], now: datetime) -> list[SyncedItem]:
    """Keep the company's items and queue the new and changed ones for registration at KRA, in the order of the rows.

    All rows or none. An item that is registered and unchanged is left alone; one that KRA refused is asked again. A
    change of product type, country or units makes a new item code at KRA, where codes are never used again.
    Raises RowsRefused, ItemInFlight. After the commit the items' lane is woken.
    """
    wanted = _judged(environment, rows)
    with transaction.atomic():
        lane = lane_for(company, environment=environment, branch="", series=Lane.Series.ITEM)
        Lane.objects.select_for_update().get(pk=lane.pk)
        known = {
            item.code: item
            for item in Item.objects.select_for_update().filter(
                company=company, environment=environment, code__in=[row.code for row in wanted]
            )
        }
        items = [known.get(row.code) or Item(company=company, environment=environment, code=row.code) for row in wanted]
        to_register = [item for item, row in zip(items, wanted, strict=True) if _take(item, row)]
        _refuse_in_flight(to_register)
        _save(to_register, now)
        _queue(lane, to_register)
    fresh = {id(item) for item in to_register}
    return [
        SyncedItem(item, Outcome.WAITING if id(item) in fresh or not _is_registered(item) else Outcome.UNCHANGED)
        for item in items
    ]


_PATIENT = threading.BoundedSemaphore(2)  # of the four threads that Django has


def wait_for_items(synced: Sequence[SyncedItem], *, seconds: float) -> list[SyncedItem]:
    """How the items stand once none of them waits any more, or the time is up. Looks every 50 ms; no transaction.

    Only a few may wait at once, for each holds one of the few threads that all companies share; the others are told at
    once how their items stand.
    """
    if not _PATIENT.acquire(blocking=False):
        return _wait_until(0.0, synced)
    try:
        return _wait_until(time.monotonic() + seconds, synced)
    finally:
        _PATIENT.release()


def _wait_until(until: float, synced: Sequence[SyncedItem]) -> list[SyncedItem]:
    waiting = [item.pk for item, outcome in synced if outcome is Outcome.WAITING]
    while waiting and Item.objects.filter(pk__in=waiting, status=Item.Status.WAITING).exists():
        if time.monotonic() >= until:
            break
        time.sleep(POLL_SECONDS)
    now_known = Item.objects.in_bulk(waiting)
    return [
        SyncedItem(now_known[row.item.pk], _OUTCOMES[now_known[row.item.pk].status])
        if row.item.pk in now_known
        else row
        for row in synced
    ]


_OUTCOMES: dict[str, Outcome] = {
    Item.Status.WAITING: Outcome.WAITING,
    Item.Status.REGISTERED: Outcome.REGISTERED,
    Item.Status.REFUSED: Outcome.REFUSED,
    Item.Status.RETIRED: Outcome.UNCHANGED,
}


def _is_registered(item: Item) -> bool:
    return item.status == Item.Status.REGISTERED


# Judging the rows


def _judged(environment: str, rows: Sequence[ItemRow]) -> list[ItemRow]:
    """The rows with their tax letters filled in. Raises RowsRefused with every problem of every row."""
    classes = item_classes(environment, (row.item_class for row in rows))
    units = known_codes(environment, QUANTITY_UNIT_CLASS)
    packagings = known_codes(environment, PACKAGING_UNIT_CLASS)
    countries = known_codes(environment, COUNTRY_CLASS)
    problems = list(_twice(rows))
    judged = []
    for index, row in enumerate(rows):
        found = list(_about(row, classes.get(row.item_class), units, packagings, countries))
        problems += [RowProblem(index, *problem) for problem in found]
        item_class = classes.get(row.item_class)
        letter = row.tax_type or (item_class.tax_type if item_class else "")
        judged.append(replace(row, tax_type=letter))
    if problems:
        raise RowsRefused(sorted(problems))
    return judged


def _about(
    row: ItemRow,
    item_class: ItemClass | None,
    units: Mapping[str, str],
    packagings: Mapping[str, str],
    countries: Mapping[str, str],
) -> Iterator[tuple[str, str, str]]:
    """What is wrong with one row: field, code, sentence."""
    if item_class is None or not item_class.in_use:
        yield (
            "item_class",
            "unknown_code",
            f"KRA's classification has no item class {row.item_class} in use; choose one from KRA's list.",
        )
    if row.tax_type and row.tax_type not in set(TaxClass):
        yield "tax_type", "unknown_code", f"{row.tax_type} is no tax letter; the letters are A, B, C, D and E."
    elif item_class is not None and item_class.tax_type:
        if row.tax_type not in {"", item_class.tax_type}:
            yield (
                "tax_type",
                "contradicts_class",
                f"KRA puts item class {item_class.code} ({item_class.name}) under tax letter {item_class.tax_type}, "
                f"the item says {row.tax_type}. Correct the letter, or choose the item class that fits.",
            )
    elif not row.tax_type:
        yield "tax_type", "missing", "KRA's item class does not say the tax letter, so the item must: A, B, C, D or E."
    if row.product_type not in PRODUCT_TYPES:
        yield "product_type", "unknown_value", f"Must be one of {', '.join(PRODUCT_TYPES)}."
    if row.quantity_unit not in units:
        yield "quantity_unit", "unknown_code", f"KRA has no quantity unit {row.quantity_unit}; U is unit, KG kilogram."
    if row.packaging_unit not in packagings:
        yield (
            "packaging_unit",
            "unknown_code",
            f"KRA has no packaging unit {row.packaging_unit}; NT means without packaging.",
        )
    if row.origin_country not in countries:
        yield "origin_country", "unknown_code", f"{row.origin_country} is no country code; Kenya is KE."


def _twice(rows: Sequence[ItemRow]) -> Iterator[RowProblem]:
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        if row.code in first:
            yield RowProblem(index, "code", "duplicate", f"Item {row.code} is in items[{first[row.code]}] already.")
        else:
            first[row.code] = index


# Keeping and queueing


def _take(item: Item, row: ItemRow) -> bool:
    """Put the row into the item; whether KRA must hear of it."""
    before = {name: getattr(item, name) for name in _SENT_TO_KRA}
    for name in _SENT_TO_KRA:
        setattr(item, name, getattr(row, name))
    item.product_type = PRODUCT_TYPES[row.product_type].value
    changed = {name for name in _SENT_TO_KRA if getattr(item, name) != before[name]}
    if not item._state.adding and not changed and item.status in {Item.Status.REGISTERED, Item.Status.WAITING}:
        return False
    if changed & set(_IN_THE_CODE):
        item.kra_code = ""
    item.status = Item.Status.WAITING
    item.problem = None
    item.body = ""
    return True


def _refuse_in_flight(items: Sequence[Item]) -> None:
    known = {item.pk: item.code for item in items if not item._state.adding}
    jobs = Job.objects.filter(kind=JOB_KIND, state=Job.State.STARTED, document_id__in=known)
    if started := list(jobs.values_list("document_id", flat=True)):
        raise ItemInFlight(sorted(known[pk] for pk in started))


def _save(items: Sequence[Item], now: datetime) -> None:
    for item in items:
        item.updated_at = now
    changed = [item for item in items if not item._state.adding]
    Item.objects.bulk_create([item for item in items if item._state.adding], batch_size=500)
    fields = [*_SENT_TO_KRA, "kra_code", "status", "problem", "body", "updated_at"]
    Item.objects.bulk_update(changed, fields, batch_size=200)


def _queue(lane: Lane, items: Sequence[Item]) -> None:
    """The items at the end of the lane, in their order; those still waiting for their turn keep their place."""
    if not items:
        return
    pks = [item.pk for item in items]
    Job.objects.filter(kind=JOB_KIND, document_id__in=pks, state=Job.State.CLOSED).delete()
    Job.objects.bulk_create(
        [Job(lane=lane, kind=JOB_KIND, document_id=pk) for pk in pks], ignore_conflicts=True, batch_size=500
    )
    Lane.objects.filter(pk=lane.pk).update(due_at=Coalesce("due_at", Now()))
    transaction.on_commit(lambda: local.wake(lane.pk))
