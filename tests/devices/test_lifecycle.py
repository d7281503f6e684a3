"""From one device to the next: replacing and retiring, with a series that never breaks."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.devices.activation import activate_device
from gateway.devices.desk import Desk
from gateway.devices.models import Device
from gateway.devices.queries import credentials_for
from gateway.devices.services import (
    BranchHasActiveDevice,
    DeviceNotReady,
    LaneInUse,
    SerialTaken,
    add_device,
    replace_device,
    retire_device,
)
from gateway.lanes.models import Job, Lane
from gateway.wiring import build_store
from tests.servers import Simulator
from tests.tenants.factories import PIN, make_active, make_company

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def old(kra: Simulator) -> Device:
    kra.approve(PIN, "00", "AMANI-00")
    kra.approve(PIN, "00", "AMANI-00B")
    device = activate_device(device=make_company().device, now=NOW)
    Lane.objects.filter(pk=device.lane_id).update(next_number=42)
    return device


def names(device: Device) -> list[str]:
    return list(Event.objects.filter(subject=device.public_id).order_by("id").values_list("name", flat=True))


def test_the_new_device_takes_over_in_the_moment_it_is_active_and_the_numbers_go_on(old: Device) -> None:
    new = replace_device(device=old, serial="AMANI-00B")
    old.refresh_from_db()
    assert (old.status, new.status) == ("active", "waiting")
    new = activate_device(device=new, now=NOW)
    old.refresh_from_db()
    assert (old.status, old.retired_at, new.status) == ("retired", NOW, "active")
    assert new.lane == old.lane
    assert Lane.objects.get(pk=new.lane_id).next_number == 42
    assert names(new) == ["device.added", "device.activation_started", "device.replaced", "device.activated"]
    assert credentials_for(new).key != credentials_for(old).key


def test_the_old_device_goes_on_when_the_new_one_is_refused(old: Device) -> None:
    new = activate_device(device=replace_device(device=old, serial="UNKNOWN"), now=NOW)
    old.refresh_from_db()
    assert (old.status, new.status, new.problem_code) == ("active", "trouble", "901")


def test_lanes_that_stand_still_for_the_old_device_go_on_and_those_of_an_operator_do_not(old: Device) -> None:
    items = Lane.objects.create(company=old.company, environment="sandbox", pin=PIN, series="item", hold_reason="key")
    stock = Lane.objects.create(
        company=old.company,
        environment="sandbox",
        pin=PIN,
        branch="00",
        series="stock",
        hold_reason="Held by the operator: stocktaking",
    )
    elsewhere = Lane.objects.create(
        company=old.company, environment="sandbox", pin=PIN, branch="01", series="invoice", hold_reason="doubt"
    )
    Lane.objects.filter(pk=old.lane_id).update(hold_reason="KRA does not accept this device or its key.")
    activate_device(device=replace_device(device=old, serial="AMANI-00B"), now=NOW)
    held = dict(Lane.objects.exclude(hold_reason="").values_list("pk", "hold_reason"))
    assert set(held) == {stock.pk, elsewhere.pk}
    assert items.pk not in held


def test_a_device_has_one_replacement_at_a_time_and_a_retired_one_none(old: Device) -> None:
    replace_device(device=old, serial="AMANI-00B")
    with pytest.raises(DeviceNotReady, match="AMANI-00B"):
        replace_device(device=old, serial="AMANI-00C")
    retire_device(device=Device.objects.get(serial="AMANI-00B"), reason="wrong serial", now=NOW)
    with pytest.raises(SerialTaken):
        replace_device(device=old, serial="AMANI-00")
    assert replace_device(device=old, serial="AMANI-00C").replaces == old
    retire_device(device=old, reason="shop closed", now=NOW)
    with pytest.raises(DeviceNotReady):
        replace_device(device=old, serial="AMANI-00D")


def test_a_third_device_is_stopped_while_the_replacement_signs(old: Device) -> None:
    activate_device(device=replace_device(device=old, serial="AMANI-00B"), now=NOW)
    third = add_device(company=old.company, branch=old.branch, environment="sandbox", serial="AMANI-00C")
    with pytest.raises(BranchHasActiveDevice):
        activate_device(device=third, now=NOW)


def test_a_device_is_retired_once_and_the_next_goes_on_with_its_number(old: Device, kra: Simulator) -> None:
    assert retire_device(device=old, reason="moved to a VSCU", now=NOW).status == "retired"
    assert retire_device(device=old, reason="again", now=NOW).retired_at == NOW
    assert names(old).count("device.retired") == 1
    kra.approve(PIN, "00", "AMANI-V", kind="vscu")
    vscu = add_device(company=old.company, branch=old.branch, environment="sandbox", serial="AMANI-V", kind="vscu")
    vscu = activate_device(device=vscu, now=NOW)
    assert (vscu.status, vscu.lane.next_number) == ("active", 42)


def test_a_device_is_not_retired_while_documents_wait_or_kra_is_asked(old: Device) -> None:
    job = Job.objects.create(lane=old.lane, kind="invoice", document_id=1)
    with pytest.raises(LaneInUse, match="1"):
        retire_device(device=old, reason="x", now=NOW)
    job.delete()
    Device.objects.filter(pk=old.pk).update(status="activating", activation_sent_at=NOW, problem="")
    with pytest.raises(DeviceNotReady):
        retire_device(device=old, reason="x", now=NOW)


@pytest.mark.django_db(transaction=True)
def test_documents_of_a_retired_device_are_carried_by_the_one_that_took_over(settings: Any) -> None:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = "http://127.0.0.1:9/oscu/etims-api"
    made = make_company()
    first = make_active(made.device)
    second = replace_device(device=first, serial="SECOND")
    Device.objects.filter(pk=first.pk).update(status="retired")
    third = replace_device(device=make_active(second), serial="THIRD")
    Device.objects.filter(pk=second.pk).update(status="retired")
    make_active(third)
    alone = make_active(make_company(pin="P050000001A", serial="ALONE").device)
    Device.objects.filter(pk=alone.pk).update(status="retired")

    async def speakers() -> list[str]:
        store = build_store()
        await store.open()
        desk = Desk(store.read)
        try:
            return [(await desk.seat(one.pk)).row["serial"] for one in (first, second, third, alone)]
        finally:
            await desk.close()
            await store.close()

    assert asyncio.run(speakers()) == ["THIRD", "THIRD", "THIRD", "ALONE"]
