"""The lane of a company's items, and what can stand in its way, for tests."""

import contextlib
import time
from collections.abc import Iterator
from decimal import Decimal

from gateway.audit.models import Event
from gateway.catalog.judging import ItemRow
from gateway.catalog.models import Item
from gateway.catalog.services import sync_items
from gateway.devices.hosts import Host
from gateway.devices.models import Device
from gateway.lanes.actions import release_lane
from gateway.lanes.models import Lane
from gateway.lib.clock import utc_now
from gateway.tenants.models import Company
from tests.lanes.shops import Counter, Street

DEVICES_TO_OPEN = 5
FLOUR = ItemRow(code="FLOUR", name="Flour 2kg", item_class="5016150900", tax_type="B", price=Decimal("210.00"))


def sync(shops: Street, counter: Counter, row: ItemRow = FLOUR) -> Item:
    """Post an item; it is not waited for."""
    company = Company.objects.get(pk=counter.company_id)
    shops.do(lambda: sync_items(company=company, environment="sandbox", rows=[row], now=utc_now()))
    return Item.objects.get(company=company, code=row.code)


def lane_of_items(counter: Counter) -> Lane:
    return Lane.objects.get(pin=counter.pin, series=Lane.Series.ITEM)


def is_held(shops: Street, counter: Counter) -> Lane:
    """Let everybody work until the lane is held."""
    assert shops.work_until(lambda: lane_of_items(counter).hold_reason, seconds=5), lane_of_items(counter).rest_reason
    return lane_of_items(counter)


def told_of_hold(counter: Counter) -> list[Event]:
    return list(Event.objects.filter(company_id=counter.company_id, name="lane.held"))


def release(shops: Street, counter: Counter) -> None:
    shops.do(lambda: release_lane(lane_of_items(counter).pk, actor="operator:wanjiru"))


def messages(shops: Street, counter: Counter, operation: str) -> int:
    """How often KRA was sent this."""
    return len(shops.simulator.requests(pin=counter.pin, operation=operation))


@contextlib.contextmanager
def key_unreadable(shops: Street, counter: Counter) -> Iterator[None]:
    """The device's key does not open until the block ends, as under another master key."""
    device = Device.objects.get(serial=counter.device)
    sealed = device.sealed_key
    assert sealed is not None
    Device.objects.filter(pk=device.pk).update(sealed_key=bytes(sealed)[:-1] + bytes([bytes(sealed)[-1] ^ 1]))
    begin_anew(shops)
    yield
    Device.objects.filter(pk=device.pk).update(sealed_key=sealed)
    begin_anew(shops)


def begin_anew(shops: Street) -> None:
    """Another process, which remembers nothing of the devices."""
    shops.kill(shops.processes[0])
    shops.start_process()


def host(shops: Street, counter: Counter) -> Host:
    """The KRA host of the company's device, as the process sees it."""
    desk = shops.processes[0].desk
    (seat,) = shops.run(desk.of_company(counter.company_id, "sandbox"))
    return desk.host(seat)


def open_breaker(shops: Street, counter: Counter) -> None:
    """KRA does not answer anybody, as far as this process knows."""
    for device in range(-DEVICES_TO_OPEN, 0):
        host(shops, counter).breaker.failed(device, time.monotonic())
