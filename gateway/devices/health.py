"""How well a device reaches KRA, as of its newest question (`contact.sync_device_status` asks every 15 minutes)."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from gateway.devices.models import Device

OFFLINE_HOURS = 24  # a VSCU without contact for so long gives no more numbers (VSCU spec v2.0 §2.2)
CLOCK_OFF_SECONDS, CLOCK_WRONG_SECONDS = 60, 300


class State(StrEnum):
    NOT_ACTIVE = "not_active"
    WELL = "well"
    SILENT = "silent"


class Clock(StrEnum):
    RIGHT = "right"
    OFF = "off"
    WRONG = "wrong"


class Health(NamedTuple):
    """`silent_hours` since the last contact; `offline_hours_left` until a VSCU stops, None for an OSCU."""

    state: State
    silence: str
    silent_hours: float | None
    offline_hours_left: float | None
    latency_ms: int | None
    clock_difference_seconds: int | None
    clock: Clock | None


def health_of(device: Device, *, now: datetime) -> Health:
    """How the device stands at this moment."""
    is_active = device.status == Device.Status.ACTIVE
    since = device.last_contact_at or device.activated_at
    silent_hours = round((now - since) / timedelta(hours=1), 1) if is_active and since else None
    left = None
    if device.kind == Device.Kind.VSCU and silent_hours is not None:
        left = max(0.0, round(OFFLINE_HOURS - silent_hours, 1))
    state = State.NOT_ACTIVE
    if is_active:
        state = State.SILENT if device.silence else State.WELL
    return Health(
        state=state,
        silence=device.silence if is_active else "",
        silent_hours=silent_hours,
        offline_hours_left=left,
        latency_ms=device.latency_ms,
        clock_difference_seconds=device.clock_offset_seconds,
        clock=_clock(device.clock_offset_seconds),
    )


def _clock(offset: int | None) -> Clock | None:
    if offset is None:
        return None
    if abs(offset) > CLOCK_WRONG_SECONDS:
        return Clock.WRONG
    return Clock.OFF if abs(offset) > CLOCK_OFF_SECONDS else Clock.RIGHT
