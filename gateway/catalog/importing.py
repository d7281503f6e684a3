"""Take over the items that KRA has of a company already, from another system or from before."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from gateway.audit.services import record
from gateway.catalog.judging import PRODUCT_WORDS
from gateway.catalog.models import Item
from gateway.catalog.queries import item_classes
from gateway.catalog.services import locked_lane
from gateway.devices.asking import ask_kra, keep_attempts
from gateway.devices.models import Device
from gateway.kra.codes import TaxClass
from gateway.kra.documents import RegisteredItem
from gateway.lanes.models import Lane
from gateway.lib.money import ZERO

# Ours end with a letter of a unit and seven digits; codes that others have filled with zeros say nothing about a series
_SERIAL = re.compile(r"[A-Z]{2}[1-3][A-Z0-9]{2,9}[A-Z]([0-9]{7})")


class Skipped(NamedTuple):
    """An item of KRA's that could not be taken over, and why."""

    kra_code: str
    reason: str


class Imported(NamedTuple):
    """How many items were new, known already, and of the new ones retired; and the next serial of item codes."""

    imported: int
    known: int
    retired: int
    skipped: list[Skipped]
    next_serial: int


def import_items(*, device: Device, now: datetime, actor: str) -> Imported:
    """Ask KRA for all items of the company, and keep those that we do not know, under KRA's code as their own.

    What we know stays as it is. The serial of the next item code goes on after the highest one that KRA has. A second
    time finds nothing new. Raises DeviceNotReady, KraError.
    """
    rows, _, exchange = ask_kra(device, lambda client, credentials: client.list_items(credentials), kind="item_list")
    keep_attempts(device, [exchange], kind="item_list", with_answer=False)
    environment = str(device.environment)
    with transaction.atomic():
        lane = locked_lane(device.company, environment)
        own = Item.objects.filter(company=device.company, environment=environment)
        known = set(own.exclude(kra_code="").values_list("kra_code", flat=True))
        taken = set(own.values_list("code", flat=True))
        skipped: list[Skipped] = []
        new = list(_new_items(device, rows, known, taken, skipped, now))
        Item.objects.bulk_create(new, batch_size=500)
        highest = max((int(found[1]) for row in rows if (found := _SERIAL.fullmatch(row.code))), default=0)
        if highest >= lane.next_number:
            lane.next_number = highest + 1
            Lane.objects.filter(pk=lane.pk).update(next_number=lane.next_number)
        result = Imported(
            imported=len(new),
            known=sum(row.code in known for row in rows),
            retired=sum(item.status == Item.Status.RETIRED for item in new),
            skipped=skipped,
            next_serial=lane.next_number,
        )
        if new:
            record(
                device.company,
                "items.imported",
                subject=device.public_id,
                environment=environment,
                actor=actor,
                imported=result.imported,
                next_serial=result.next_serial,
            )
    return result


def _new_items(
    device: Device,
    rows: Iterable[RegisteredItem],
    known: set[str],
    taken: set[str],
    skipped: list[Skipped],
    now: datetime,
) -> Iterator[Item]:
    rows = list(rows)
    classes = item_classes(str(device.environment), (row.item_class for row in rows))
    for row in rows:
        if row.code in known:
            continue
        known_class = classes.get(row.item_class)
        letter = row.tax_class or (known_class.tax_type if known_class else "")
        if row.code in taken:
            skipped.append(Skipped(row.code, "Another item of yours has this code as its own."))
        elif letter not in set(TaxClass):
            skipped.append(Skipped(row.code, "KRA does not say its tax letter."))
        elif row.product_type not in PRODUCT_WORDS:
            skipped.append(Skipped(row.code, f"KRA has it as the product type {row.product_type or 'nothing'}."))
        else:
            taken.add(row.code)
            yield Item(
                company=device.company,
                environment=device.environment,
                code=row.code,
                kra_code=row.code,
                name=row.name.replace("\x00", "")[:200] or row.code,
                tax_type=letter,
                item_class=row.item_class[:10],
                product_type=row.product_type,
                origin_country=row.country[:2] or "KE",
                packaging_unit=row.packaging_unit[:5] or "NT",
                quantity_unit=row.quantity_unit[:5] or "U",
                price=max(row.default_price, ZERO),
                barcode=row.barcode[:20],
                status=Item.Status.REGISTERED if row.in_use else Item.Status.RETIRED,
                updated_at=now,
            )
