"""Taking a company's items: each row is judged in plain words, and what is new or changed is queued for KRA."""

import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Now

from gateway.audit.services import record
from gateway.catalog.judging import PRODUCT_TYPES, PRODUCT_WORDS, ItemRow, RowProblem, RowsRefused, judge_all
from gateway.catalog.models import Item
from gateway.lanes import local
from gateway.lanes.models import Job, Lane
from gateway.lanes.services import lane_for
from gateway.tenants.models import Company

JOB_KIND = "item"
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
    RETIRED = "retired"


class ItemInFlight(Exception):
    """An item that would change is being registered at this moment; nothing of the request was written."""

    def __init__(self, codes: list[str]) -> None:
        super().__init__(", ".join(codes))
        self.codes = codes


class ItemUnknown(Exception):
    """The company has no such item in this environment."""


class ItemRetired(Exception):
    """The item is no longer sold; it must be brought back before it can be changed."""


class SyncedItem(NamedTuple):
    item: Item
    outcome: Outcome


def sync_items(*, company: Company, environment: str, rows: Sequence[ItemRow], now: datetime) -> list[SyncedItem]:
    """Keep the company's items and queue the new and changed ones for registration at KRA, in the order of the rows.

    All rows or none. An item that is registered and unchanged is left alone, and so is one that was retired; one that
    KRA refused is asked again. A change of product type, country or units makes a new item code at KRA, where codes are
    never used again. Raises RowsRefused, ItemInFlight. After the commit the items' lane is woken.
    """
    return keep_items(company=company, environment=environment, rows=judge_all(environment, rows), now=now)


@transaction.atomic
def keep_items(*, company: Company, environment: str, rows: Sequence[ItemRow], now: datetime) -> list[SyncedItem]:
    """The same for rows that were judged already; each code stands there once. Raises RowsRefused, ItemInFlight."""
    lane = locked_lane(company, environment)
    own = Item.objects.select_for_update().filter(company=company, environment=environment)
    known = {item.code: item for item in own.filter(code__in=[row.code for row in rows])}
    _name_imported(own, known, rows)
    items = [known.get(row.code) or Item(company=company, environment=environment, code=row.code) for row in rows]
    to_register = [
        item for item, row in zip(items, rows, strict=True) if item.status != Item.Status.RETIRED and _take(item, row)
    ]
    _refuse_in_flight(to_register)
    _save(to_register, now)
    _queue(lane, to_register)
    fresh = {id(item) for item in to_register}
    return [
        SyncedItem(item, Outcome.WAITING if id(item) in fresh else _OUTCOMES_UNTOUCHED[item.status]) for item in items
    ]


@transaction.atomic
def add_items(*, company: Company, environment: str, rows: Sequence[ItemRow], now: datetime) -> None:
    """Keep and queue those of the judged rows that the company does not have yet; what it has is not touched."""
    locked_lane(company, environment)
    own = Item.objects.filter(company=company, environment=environment, code__in=[row.code for row in rows])
    known = set(own.values_list("code", flat=True))
    new = [row for row in rows if row.code not in known]
    keep_items(company=company, environment=environment, rows=new, now=now)


def change_item(
    *, company: Company, environment: str, public_id: uuid.UUID, changes: Mapping[str, Any], actor: str, now: datetime
) -> Item:
    """Change some fields of an item (those of ItemRow, but for its codes); KRA is told if it must hear of it.

    Nothing is written when nothing changes. Raises ItemUnknown, ItemRetired, RowsRefused, ItemInFlight.
    """
    with transaction.atomic():
        locked_lane(company, environment)
        item = _find(company, environment, public_id)
        if item.status == Item.Status.RETIRED:
            raise ItemRetired(item.code)
        before = described(item)
        row = ItemRow(**{**before, **changes, "code": item.code})
        (synced,) = sync_items(company=company, environment=environment, rows=[row], now=now)
        after = described(synced.item)
        if differing := {name for name in after if after[name] != before[name]}:
            _tell(
                synced.item,
                "item.changed",
                actor,
                before={name: str(before[name]) for name in sorted(differing)},
                after={name: str(after[name]) for name in sorted(differing)},
            )
        return synced.item


@transaction.atomic
def retire_item(*, company: Company, environment: str, public_id: uuid.UUID, actor: str, now: datetime) -> Item:
    """Sell an item no more; KRA is told if it knows it. A second time changes nothing.

    Sales that wait for its registration are let go, to be refused. Raises ItemUnknown; ItemInFlight while it is being
    registered.
    """
    waiting = Job.objects.exclude(state=Job.State.CLOSED).filter(
        waits_for__kind=JOB_KIND,
        waits_for__document_id__in=Item.objects.filter(company=company, public_id=public_id).values("pk"),
    )
    lane, *waiting_lanes = _locked_lanes(company, environment, waiting.values_list("lane_id", flat=True))
    item = _find(company, environment, public_id)
    if item.status == Item.Status.RETIRED:
        return item
    _refuse_in_flight([item])
    item.status, item.problem, item.updated_at = Item.Status.RETIRED, None, now
    item.save(update_fields=["status", "problem", "updated_at"])
    if item.kra_code:
        _queue(lane, [item])
    else:
        Job.objects.filter(kind=JOB_KIND, document_id=item.pk).update(state=Job.State.CLOSED, last_error="retired")
        _wake(waiting_lanes)
    _tell(item, "item.retired", actor)
    return item


@transaction.atomic
def restore_item(*, company: Company, environment: str, public_id: uuid.UUID, actor: str, now: datetime) -> Item:
    """Sell a retired item again, under its old code at KRA. A second time changes nothing.

    Raises ItemUnknown; ItemInFlight while KRA is being told that it was retired.
    """
    lane = locked_lane(company, environment)
    item = _find(company, environment, public_id)
    if item.status != Item.Status.RETIRED:
        return item
    _refuse_in_flight([item])
    item.status, item.problem, item.updated_at = Item.Status.WAITING, None, now
    item.save(update_fields=["status", "problem", "updated_at"])
    _queue(lane, [item])
    _tell(item, "item.restored", actor)
    return item


def described(item: Item) -> dict[str, Any]:
    """An item as the fields of its ItemRow."""
    told = {name: getattr(item, name) for name in ("code", *_SENT_TO_KRA)}
    return {**told, "product_type": PRODUCT_WORDS[item.product_type]}


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
    Item.Status.RETIRED: Outcome.RETIRED,
}
_OUTCOMES_UNTOUCHED = {**_OUTCOMES, Item.Status.REGISTERED: Outcome.UNCHANGED}


def locked_lane(company: Company, environment: str) -> Lane:
    """The lane of the company's item codes, locked: before any of its items, as the engine does."""
    return _locked_lanes(company, environment, [])[0]


def _locked_lanes(company: Company, environment: str, others: Iterable[int]) -> list[Lane]:
    """The lane of the company's item codes and after it the others, all locked in the engine's order."""
    own = lane_for(company, environment=environment, branch="", series=Lane.Series.ITEM)
    lanes = Lane.objects.select_for_update(no_key=True).filter(pk__in={own.pk, *others})
    return sorted(lanes.order_by("pk"), key=lambda lane: lane.pk != own.pk)


def _find(company: Company, environment: str, public_id: uuid.UUID) -> Item:
    items = Item.objects.select_for_update(no_key=True).filter(company=company, environment=environment)
    item = items.filter(public_id=public_id).first()
    if item is None:
        raise ItemUnknown(public_id)
    item.company = company
    return item


def _tell(item: Item, name: str, actor: str, **data: Any) -> None:
    record(
        item.company,
        name,
        subject=item.public_id,
        environment=item.environment,
        actor=actor,
        code=item.code,
        kra_code=item.kra_code,
        **data,
    )


def _name_imported(own: QuerySet[Item], known: dict[str, Item], rows: Sequence[ItemRow]) -> None:
    """Give items that came from KRA's list under KRA's code their company's own code. Raises RowsRefused."""
    wanted = {row.kra_code: index for index, row in enumerate(rows) if row.kra_code}
    if not wanted:
        return
    imported = {item.kra_code: item for item in own.filter(kra_code__in=wanted)}
    problems: list[RowProblem] = []
    for kra_code, index in wanted.items():
        row, item = rows[index], imported.get(kra_code)
        if item is None:
            words = f"There is no item with KRA's code {kra_code}; import KRA's list first."
            problems.append(RowProblem(index, "kra_code", "unknown_code", words))
        elif item.code != row.code:
            if item.code != item.kra_code or row.code in known:
                words = f"KRA's code {kra_code} belongs to the item {item.code}."
                problems.append(RowProblem(index, "kra_code", "code_taken", words))
            else:
                item.code = row.code
                item.save(update_fields=["code"])
                known[row.code] = item
    if problems:
        raise RowsRefused(problems)


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
    _wake([lane])


def _wake(lanes: Sequence[Lane]) -> None:
    pks = [lane.pk for lane in lanes]
    Lane.objects.filter(pk__in=pks).update(due_at=Coalesce("due_at", Now()))

    def wake() -> None:
        for pk in pks:
            local.wake(pk)

    transaction.on_commit(wake)
