"""Storing KRA's lists so that it can be told what was valid when, and telling companies what has changed.

A row is never overwritten: when KRA says something else, the row is closed and another is opened. Documents that were
signed meanwhile keep the rates they carry; nothing here touches them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import transaction

from gateway.audit.services import record
from gateway.catalog.models import Code, ItemClass
from gateway.catalog.queries import TAX_CLASS
from gateway.kra import documents
from gateway.tenants.models import Company

BATCH = 500
MOST_TOLD = 100  # changes that one event names; it counts the others

Versioned = TypeVar("Versioned", Code, ItemClass)

_Values = dict[tuple[str, ...], tuple[Any, ...]]  # of KRA's rows: what names one, and what may differ

_CODE_KEY, _CODE_FIELDS = ("code_class", "code"), ("name", "value", "in_use")
_CLASS_KEY, _CLASS_FIELDS = ("code",), ("name", "level", "tax_type", "in_use")


class Change(NamedTuple, Generic[Versioned]):
    """A row that was valid, and the one that is now."""

    before: Versioned
    after: Versioned


def store_codes(environment: str, classes: Iterable[documents.CodeClass], *, at: datetime, now: datetime) -> int:
    """Keep code classes as KRA gave them at `at`, its clock; how many codes came.

    What differs is recorded as `code.changed`, a tax rate as `rate.changed` too, for every company with a device in the
    environment, in the same commit. A second time changes nothing.
    """
    values: _Values = {
        (group.number[:2], code.code[:5]): (code.name[:60], code.custom_values[0][:20], code.in_use and group.in_use)
        for group in classes
        for code in group.codes
    }

    def tell(changes: Sequence[Change[Code]]) -> None:
        _tell(environment, "code.changed", changes, ("code_class", *_CODE_FIELDS), at)
        for before, after in changes:
            if after.code_class == TAX_CLASS and before.value != after.value:
                rate = {"tax_type": after.code, "before": before.value, "after": after.value}
                _record(environment, "rate.changed", {**rate, "valid_from": at.isoformat()})

    _store(Code, environment, values, _CODE_KEY, _CODE_FIELDS, tell, at=at, now=now)
    return len(values)


def store_item_classes(environment: str, classes: Iterable[documents.ItemClass], *, at: datetime, now: datetime) -> int:
    """Keep the item classification as KRA gave it at `at`, its clock; how many entries came.

    What differs is recorded as `item_class.changed` for every company with a device in the environment.
    """
    values: _Values = {
        (found.code[:10],): (found.name[:200], found.level, found.tax_class[:1], found.in_use) for found in classes
    }

    def tell(changes: Sequence[Change[ItemClass]]) -> None:
        _tell(environment, "item_class.changed", changes, _CLASS_FIELDS, at)

    _store(ItemClass, environment, values, _CLASS_KEY, _CLASS_FIELDS, tell, at=at, now=now)
    return len(values)


def _store(
    model: type[Versioned],
    environment: str,
    values: _Values,
    names: Sequence[str],
    fields: Sequence[str],
    tell: Callable[[Sequence[Change[Versioned]]], None],
    *,
    at: datetime,
    now: datetime,
) -> None:
    """Write only what is new or different: the lists are the same for every company and long.

    `names` are the fields of a key of `values`. In batches that commit alone, in key order, so that two fetches at once
    neither wait long nor deadlock. What was fetched later than `now` by somebody else stands.
    """
    if not values:
        return

    def key(row: Versioned) -> tuple[str, ...]:
        return tuple(getattr(row, name) for name in names)

    columns = (*names, *fields)
    valid = model._default_manager.filter(environment=environment, valid_to=None)
    known: dict[tuple[str, ...], int] = {}
    standing: set[tuple[Any, ...]] = set()  # compared as plain values: each activation brings thousands
    for pk, *stored in valid.values_list("pk", *columns).iterator(2000):
        known[tuple(stored[: len(names)])] = pk
        standing.add(tuple(stored))
    differing: list[Versioned] = []
    for name in sorted(values):
        row: tuple[Any, ...] = name + values[name]
        if row not in standing:
            given = dict(zip(columns, row, strict=True))
            differing.append(model(environment=environment, valid_from=at, fetched_at=now, **given))
    for start in range(0, len(differing), BATCH):
        batch = differing[start : start + BATCH]
        pks = [known[key(row)] for row in batch if key(row) in known]
        with transaction.atomic():
            locked = {key(row): row for row in valid.select_for_update().filter(pk__in=pks).order_by("pk")}
            changes: list[Change[Versioned]] = []
            for after in batch:
                before = locked.get(key(after))
                if before is not None and before.fetched_at <= now:
                    changes.append(Change(before, after))
            _close(model, changes)
            opened: list[Versioned] = [row for row in batch if key(row) not in known]
            opened += [change.after for change in changes]
            model._default_manager.bulk_create(opened, ignore_conflicts=True)
            tell(changes)


def _close(model: type[Versioned], changes: Sequence[Change[Versioned]]) -> None:
    for before, after in changes:
        # KRA's clock may have been put back: a row never ends before it began
        after.valid_from = max(before.valid_from, after.valid_from)
        model._default_manager.filter(pk=before.pk).update(valid_to=after.valid_from)


def _tell(
    environment: str,
    name: str,
    changes: Sequence[Change[Versioned]],
    fields: Sequence[str],
    at: datetime,
) -> None:
    if not changes:
        return
    told = [
        {
            "code": after.code,
            "before": {field: getattr(before, field) for field in fields},
            "after": {field: getattr(after, field) for field in fields},
        }
        for before, after in changes[:MOST_TOLD]
    ]
    _record(environment, name, {"count": len(changes), "changes": told, "valid_from": at.isoformat()})


def _record(environment: str, name: str, data: Mapping[str, Any]) -> None:
    for company in Company.objects.filter(devices__environment=environment).distinct().order_by("pk"):
        record(company, name, subject=company.public_id, environment=environment, **data)
