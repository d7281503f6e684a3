"""Keys that were given earlier: entered by hand, with the number that KRA stands at."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.devices.activation import SENTENCES
from gateway.devices.escrow import EnteredKey
from gateway.devices.keys import KeyRefused, NotTheLastNumber, enter_key
from gateway.devices.models import Device
from gateway.devices.queries import credentials_for
from gateway.devices.services import BranchHasActiveDevice, DeviceNotReady, LaneInUse, add_device
from gateway.kra.errors import NotSent
from gateway.lanes.models import Attempt, Job, Lane
from tests.devices.kra_ends import refusing
from tests.kra.simulated import Shop, playing
from tests.servers import Simulator
from tests.tenants.factories import make_active, make_company

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


async def _three_sales(shop: Shop) -> Shop:
    for _ in range(3):
        await shop.sell()
    return shop


@pytest.fixture
def other(kra: Simulator) -> Shop:
    """Another system that has activated a device of this PIN, and signed three invoices with it."""
    return playing(kra, "oscu_direct", _three_sales)


def device_of(other: Shop, **changes: Any) -> Device:
    return make_company(**{"pin": other.pin, "serial": other.device, **changes}).device


def entered(device: Device, key: str, last_number: int = 3, **changes: Any) -> Device:
    told = {"at": NOW, "key": key, "control_unit_id": "KRACU0100000001", "machine_code": "WIS00000001", "device_id": ""}
    return enter_key(device=device, entered=EnteredKey(**{**told, **changes}), last_number=last_number, now=NOW)


def test_an_existing_key_is_entered_by_hand_and_the_numbers_go_on(other: Shop) -> None:
    device = entered(device_of(other), other.key)
    assert (device.status, device.control_unit_id) == ("active", "KRACU0100000001")
    assert credentials_for(Device.objects.get(pk=device.pk)).key == other.key
    assert Lane.objects.get(pk=device.lane_id).next_number == 4
    event = Event.objects.get(name="device.key_entered")
    assert (event.data["last_number"], event.data["checked_at_kra"]) == (3, True)
    assert other.key not in str(list(Event.objects.values())) + str(list(Attempt.objects.values()))
    assert [row.operation for row in Attempt.objects.order_by("id")] == ["invoice_details"] * 2


def test_a_number_that_is_not_kras_last_one_is_refused_before_anything_is_kept(other: Shop) -> None:
    device = device_of(other)
    with pytest.raises(NotTheLastNumber, match="no invoice number 4"):
        entered(device, other.key, 4)
    with pytest.raises(NotTheLastNumber, match="number 3 of this branch already"):
        entered(device, other.key, 2)
    with pytest.raises(NotTheLastNumber, match="number 1 of this branch already"):
        entered(device, other.key, 0)
    device.refresh_from_db()
    assert (device.status, device.sealed_key) == ("waiting", None)


def test_a_key_that_kra_does_not_take_is_refused(other: Shop) -> None:
    device = device_of(other)
    with pytest.raises(KeyRefused):
        entered(device, "not-the-key")
    device.refresh_from_db()
    assert device.status == "waiting"


def test_while_kra_is_away_no_key_is_taken_on_trust(other: Shop, point_at: Callable[[str], None]) -> None:
    point_at(refusing())
    with pytest.raises(NotSent):
        entered(device_of(other), other.key)
    assert Device.objects.get().status == "waiting"


def test_a_key_can_be_entered_after_a_lost_answer_but_not_while_kra_is_asked(other: Shop) -> None:
    device = device_of(other)
    Device.objects.filter(pk=device.pk).update(status="activating", activation_sent_at=NOW)
    with pytest.raises(DeviceNotReady):
        entered(device, other.key)
    Device.objects.filter(pk=device.pk).update(problem=SENTENCES["lost"])
    assert entered(device, other.key).status == "active"


def test_numbers_never_go_back(other: Shop) -> None:
    device = device_of(other)
    Lane.objects.filter(pk=device.lane_id).update(next_number=50)
    with pytest.raises(LaneInUse):
        entered(device, other.key)
    device.refresh_from_db()
    assert device.status == "waiting"


def test_numbers_do_not_move_while_a_document_is_on_its_way(other: Shop) -> None:
    device = device_of(other)
    Job.objects.create(lane=device.lane, kind="invoice", document_id=1, state="started")
    with pytest.raises(LaneInUse):
        entered(device, other.key)


@pytest.mark.parametrize("status", ["active", "retired"])
def test_a_device_that_needs_no_key_takes_none(kra: Simulator, status: str) -> None:
    device = make_company().device
    Device.objects.filter(pk=device.pk).update(status=status)
    with pytest.raises(DeviceNotReady):
        entered(device, "given-earlier")
    assert not kra.requests()


def test_a_branch_that_has_an_active_device_takes_no_second_key(kra: Simulator) -> None:
    made = make_company()
    make_active(made.device)
    second = add_device(company=made.company, branch=made.branch, environment="sandbox", serial="AMANI-00B")
    with pytest.raises(BranchHasActiveDevice):
        entered(second, "given-earlier")
    assert not kra.requests()


def test_a_vscu_keeps_its_own_key_and_only_tells_where_it_stands(kra: Simulator) -> None:
    device = make_company(kind="vscu").device
    with pytest.raises(DeviceNotReady, match="its own key"):
        entered(device, "given-earlier")
    device = entered(device, "", 41)
    assert (device.status, device.sealed_key, device.lane.next_number) == ("active", None, 42)
    assert Event.objects.get(name="device.key_entered").data["checked_at_kra"] is False
    assert not kra.requests()
