"""A device that falls silent, or comes back, is told of once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from gateway.audit.models import Event
from gateway.devices.activation import activate_device
from gateway.devices.contact import sync_device_status
from gateway.devices.models import Device
from gateway.lanes.models import Lane
from tests.devices.kra_ends import refusing
from tests.servers import Simulator
from tests.tenants.factories import PIN, STRANGER_PIN, make_company, make_stranger

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def kra(simulator: Simulator, settings: LazySettings) -> Simulator:
    point_at(settings, simulator.url)
    return simulator


def point_at(settings: LazySettings, url: str) -> None:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = f"{url}/oscu/etims-api"
    settings.KRA_SANDBOX_RECEIPT_URL = ""


@pytest.fixture
def device(kra: Simulator) -> Device:
    kra.approve(PIN, "00", "AMANI-00")
    return activate_device(device=make_company().device, now=NOW)


def told(device: Device) -> list[tuple[str, Any]]:
    events = Event.objects.filter(subject=device.public_id, name__in=["device.silent", "device.back"]).order_by("id")
    return [(event.name, event.data.get("hours")) for event in events]


def after(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def test_a_device_that_kra_answers_was_in_contact_just_now(device: Device, kra: Simulator) -> None:
    asked = len(kra.requests())
    assert sync_device_status(now=after(1)) == 1
    device.refresh_from_db()
    assert device.last_contact_at == after(1)
    assert len(kra.requests()) == asked + 1
    assert kra.ledger() == [] and told(device) == []


def test_the_question_is_about_the_last_number_that_kra_accepted(device: Device, kra: Simulator) -> None:
    Lane.objects.filter(pk=device.lane_id).update(next_number=8)
    sync_device_status(now=after(1))
    assert '"invcNo":7' in str(kra.requests()[-1]).replace(" ", "").replace("'", '"').replace('\\\\"', '"')


def test_silence_is_told_at_12_hours_and_at_20_and_the_return_once(
    device: Device, kra: Simulator, settings: LazySettings
) -> None:
    point_at(settings, refusing())
    for hours in (1, 11.9, 12, 12.25, 19.9, 20, 21, 40):
        assert sync_device_status(now=after(hours)) == 0
    assert told(device) == [("device.silent", 12), ("device.silent", 20)]
    point_at(settings, kra.url)
    assert sync_device_status(now=after(41)) == sync_device_status(now=after(42)) == 1
    assert told(device)[2:] == [("device.back", None)]
    point_at(settings, refusing())
    sync_device_status(now=after(54))
    assert told(device)[3:] == [("device.silent", 12)]


def test_a_gateway_that_was_off_for_a_day_tells_the_longer_silence_only(device: Device, settings: LazySettings) -> None:
    point_at(settings, refusing())
    sync_device_status(now=after(30))
    assert told(device) == [("device.silent", 20)]


def test_a_refusal_of_a_document_proves_that_the_line_works_but_trouble_with_the_device_does_not(
    device: Device, kra: Simulator
) -> None:
    kra.fault("invoice_details", "result_code", code="910", times=1)
    assert sync_device_status(now=after(13)) == 1
    kra.fault("invoice_details", "result_code", code="901", times=1)
    assert sync_device_status(now=after(26)) == 0
    assert told(device) == [("device.silent", 12)]
    device.refresh_from_db()
    assert device.status == "active"  # what to do about it is decided where documents are sent


def test_only_active_devices_are_asked_for(device: Device, kra: Simulator) -> None:
    kra.approve(STRANGER_PIN, "00", "STRANGER-00")
    waiting = make_stranger().device
    assert sync_device_status(now=after(1)) == 1
    waiting.refresh_from_db()
    assert waiting.last_contact_at is None


def test_many_devices_at_a_host_that_is_away_are_not_all_waited_for(device: Device, settings: LazySettings) -> None:
    for number in range(30):
        more = make_company(pin=f"P06{number:07d}X", serial=f"SERIAL-{number}").device
        Device.objects.filter(pk=more.pk).update(
            status="active", activated_at=NOW, last_contact_at=NOW, sealed_key=None, control_unit_id="SIMCU"
        )
    point_at(settings, refusing())
    began = datetime.now(UTC)
    assert sync_device_status(now=after(12)) == 0
    assert datetime.now(UTC) - began < timedelta(seconds=20)
    assert Event.objects.filter(name="device.silent").count() == 31


def test_without_any_device_nothing_is_done() -> None:
    assert sync_device_status(now=NOW) == 0


def test_how_fast_kra_answers_and_how_its_clock_differs_is_noted(device: Device, kra: Simulator) -> None:
    kra.clock(advance_seconds=90)
    sync_device_status(now=after(1))
    device.refresh_from_db()
    assert (device.checked_at, device.silence) == (after(1), "")
    assert device.latency_ms is not None and device.latency_ms < 10_000
    assert device.clock_offset_seconds is not None and 80 <= device.clock_offset_seconds <= 95


def test_why_a_device_is_silent_is_noted_and_its_last_contact_stays(device: Device, settings: LazySettings) -> None:
    sync_device_status(now=after(1))
    point_at(settings, refusing())
    sync_device_status(now=after(2))
    device.refresh_from_db()
    assert (device.last_contact_at, device.checked_at) == (after(1), after(2))
    assert device.silence


def test_a_vscu_that_has_lost_its_own_line_to_kra_is_silent_though_it_answers_us(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00", kind="vscu")
    vscu = activate_device(device=make_company(kind="vscu").device, now=NOW)
    assert sync_device_status(now=after(1)) == 1
    kra.fault("*", "vscu_offline")
    for hours in (2, 13, 14, 21, 22):
        assert sync_device_status(now=after(hours)) == 0
    assert told(vscu) == [("device.silent", 12), ("device.silent", 20)]
    vscu.refresh_from_db()
    assert vscu.last_contact_at == after(1)
    kra.clear_faults()
    assert sync_device_status(now=after(23)) == 1
    assert told(vscu)[-1] == ("device.back", None)


def test_a_key_that_does_not_open_is_told_as_the_reason_of_the_silence(device: Device) -> None:
    Device.objects.filter(pk=device.pk).update(sealed_key=b"broken")
    assert sync_device_status(now=after(1)) == 0
    device.refresh_from_db()
    assert "sealed" in device.silence
