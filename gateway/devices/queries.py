"""Which device is meant, over which connection profile it speaks to KRA, and with which credentials."""

import contextlib
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from django.conf import settings
from django.db.models import QuerySet

from gateway.devices.models import Device
from gateway.kra.documents import AppCredentials, Credentials
from gateway.kra.fence import is_inside
from gateway.kra.options import without_gateway
from gateway.kra.profiles import Flavour, Profile, allowed, host_of, profile, reaches, simulator
from gateway.kra.sessions import open_session
from gateway.lanes.models import Attempt
from gateway.tenants.models import Company, Environment
from gateway.tenants.pages import oldest_first, page
from gateway.tenants.vault import device_key_aad, open_for


class Spoken(Protocol):
    """What says how a device is spoken for: a `Device`, or as much of its row."""

    @property
    def environment(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def profile(self) -> str: ...
    @property
    def base_url(self) -> str: ...


SIMULATOR_PROFILES = {"simulator": Flavour.OSCU_DIRECT, **{f"simulator_{flavour}": flavour for flavour in Flavour}}


class WrongProfile(Exception):
    """The device's connection profile does not exist, does not fit its environment, or would reach a forbidden host."""


class WrongAddress(WrongProfile):
    """The address given for the device's own control unit program is none, or one that it must not be reached at."""


class DeviceUnknown(Exception):
    """The company has no such device in this environment."""


class DeviceUnclear(Exception):
    """No device was named and the company has several."""


def find_device(company_id: int, environment: str, wanted: str | None, *, only: uuid.UUID | None = None) -> Device:
    """The company's device with this id or serial; its only one that is not retired when none is named.

    `only` is the device a key is bound to. Raises DeviceUnknown (also for another company's device), DeviceUnclear.
    """
    devices = Device.objects.select_related("company", "branch", "lane", "replaces").filter(
        company_id=company_id, environment=environment
    )
    if only is not None:
        devices = devices.filter(public_id=only)
    if wanted:
        wanted = wanted.replace("\x00", "")  # in no serial, and PostgreSQL refuses to be asked for it
        try:
            found = devices.filter(public_id=uuid.UUID(wanted)).first()
        except ValueError:
            found = None
        if found := found or devices.filter(serial=wanted).first():
            return found
        raise DeviceUnknown("there is no such device")
    candidates = list(devices.exclude(status=Device.Status.RETIRED)[:2])
    if not candidates:
        raise DeviceUnknown("this company has no device yet")
    if len(candidates) > 1:
        raise DeviceUnclear("this company has several devices")
    return candidates[0]


def find_seen_device(companies: QuerySet[Company], wanted: str | None) -> Device:
    """A device of one of these companies by its id: what the staff sees. Raises DeviceUnknown, DeviceUnclear."""
    if not wanted:
        raise DeviceUnclear("the device must be named by its id")
    devices = Device.objects.select_related("company", "branch", "lane", "replaces").filter(company__in=companies)
    with contextlib.suppress(ValueError):
        if found := devices.filter(public_id=uuid.UUID(wanted)).first():
            return found
    raise DeviceUnknown("there is no such device")


def list_devices(
    devices: QuerySet[Device], *, status: str | None, limit: int, cursor: str | None
) -> tuple[list[Device], str | None]:
    """A page of these devices in the order of their making, and the cursor of the next. Raises BadCursor."""
    devices = oldest_first(devices, cursor)
    if status is not None:
        devices = devices.filter(status=status)
    return page(devices.select_related("company", "branch", "lane", "replaces"), limit)


def profile_name_for(environment: str, kind: str) -> str:
    """The name of the profile that a new device of this environment and kind gets."""
    sandbox = environment == Environment.SANDBOX
    chosen: str = settings.KRA_SANDBOX_PROFILE if sandbox else settings.KRA_PROD_PROFILE
    if kind == Device.Kind.VSCU and chosen not in SIMULATOR_PROFILES:
        return "vscu_sandbox" if sandbox else "vscu_production"
    return chosen


def profile_for(device: Spoken) -> Profile:
    """How to reach KRA for this device.

    Raises WrongProfile when the profile is unknown or is one that documents of the device's environment must not
    travel over: production devices reach production hosts and nothing else, all others stay away from them.
    """
    if device.environment == Environment.SANDBOX:
        chosen, base_url = settings.KRA_SANDBOX_PROFILE, settings.KRA_SANDBOX_BASE_URL
        receipt_url = settings.KRA_SANDBOX_RECEIPT_URL
    else:
        chosen, base_url, receipt_url = settings.KRA_PROD_PROFILE, settings.KRA_PROD_BASE_URL, ""
    if device.profile != chosen:  # the settings have moved on since this device was added
        base_url = receipt_url = ""
    if device.base_url:
        check_address(device.base_url)
    found = _profile_for(
        device.profile,
        str(device.environment),
        str(device.kind),
        device.base_url,
        base_url,
        receipt_url,
        _options_of(device, chosen),
    )
    if found.flavour is Flavour.GAVACONNECT and app_credentials() is None:
        raise WrongProfile(
            "GavaConnect needs the credentials of an app: KRA_APP_CONSUMER_KEY, KRA_APP_CONSUMER_SECRET, KRA_APP_ID"
        )
    return found


def check_address(base_url: str) -> None:
    """Raises WrongAddress for what is no plain address, or lies where no VSCU is: outside of VSCU_NETWORKS.

    A company tells us its VSCU's address, so it must not lead into our own network. A name is looked at each time that
    it is resolved (`session_for`).
    """
    host, parts = host_of(base_url), urlsplit(base_url)
    if not host or parts.username is not None or any(mark in base_url for mark in "?#\\"):
        raise WrongAddress("the address of a VSCU is http:// or https://, a host, a port and perhaps a path")
    try:
        inside = is_inside(host.strip("[]"), settings.VSCU_NETWORKS)
    except ValueError:
        return
    if not inside:
        raise WrongAddress(f"no VSCU may be reached at {host}: it lies outside of VSCU_NETWORKS")


def session_for(profile: Profile) -> aiohttp.ClientSession:
    """A session for a client of this profile. To be made on the loop that uses it and closed by who made it."""
    return open_session(only=settings.VSCU_NETWORKS if profile.flavour is Flavour.VSCU else None)


def app_credentials() -> AppCredentials | None:
    """Those of this installation's app at GavaConnect; None unless all three are set."""
    given = (settings.KRA_APP_CONSUMER_KEY, settings.KRA_APP_CONSUMER_SECRET, settings.KRA_APP_ID)
    return AppCredentials(*given) if all(given) else None


def app_for(profile: Profile) -> AppCredentials | None:
    """What a client of this profile shows of the app: GavaConnect wants it, and nobody else gets to see it."""
    return app_credentials() if profile.flavour is Flavour.GAVACONNECT else None


def credentials_for(device: Device) -> Credentials:
    """With what the device speaks to KRA. The key is empty until the device is active, and on VSCU.

    Raises `lib.crypto.SealBroken` when the stored key does not open.
    """
    key = ""
    if device.sealed_key is not None:
        key = open_for(device.company, device_key_aad(device.public_id), device.sealed_key).decode()
    return Credentials(
        pin=device.company.pin,
        branch=device.branch.code,
        key=key,
        device_serial=device.serial,
        base_url=device.base_url,
    )


def last_message(device: Device) -> str:
    """What KRA said, in its own words, in the newest message about the device's activation."""
    attempts = Attempt.objects.filter(kind="device", document_id=device.pk)
    return attempts.order_by("-id").values_list("message", flat=True).first() or ""


def _options_of(device: Spoken, chosen: str) -> tuple[tuple[str, str | int], ...]:
    """The options of the settings, as far as they are meant for this device."""
    sandbox = device.environment == Environment.SANDBOX
    options: dict[str, str | int] = settings.KRA_SANDBOX_OPTIONS if sandbox else settings.KRA_PROD_OPTIONS
    if device.kind == Device.Kind.VSCU:
        options = without_gateway(options)
    elif device.profile != chosen:
        options = {}
    return tuple(sorted(options.items()))


@lru_cache(maxsize=256)
def _profile_for(
    name: str,
    environment: str,
    kind: str,
    device_url: str,
    base_url: str,
    receipt_url: str,
    options: tuple[tuple[str, str | int], ...],
) -> Profile:
    overrides = {**dict(options), **({"receipt_url": receipt_url} if receipt_url else {})}
    try:
        if name in SIMULATOR_PROFILES:
            found = _simulator(name, kind, base_url, overrides)
        else:
            own_url = base_url if kind == Device.Kind.OSCU else ""
            found = profile(name, **overrides, **({"base_url": own_url} if own_url else {}))
    except KeyError:
        raise WrongProfile(f"there is no connection profile {name!r}") from None
    except ValueError as error:
        raise WrongProfile(str(error)) from None
    if not allowed(found, environment):
        raise WrongProfile(f"a {environment} device may not use the connection profile {name!r}")
    if (found.flavour is Flavour.VSCU) != (kind == Device.Kind.VSCU):
        raise WrongProfile(f"the connection profile {name!r} is not for {kind.upper()} devices")
    if device_url and kind != Device.Kind.VSCU:
        raise WrongAddress("only a VSCU has an address of its own")
    if device_url and not reaches(found, device_url):
        raise WrongAddress(f"a {environment} device may not be reached at {device_url}")
    return found


def _simulator(name: str, kind: str, base_url: str, overrides: Mapping[str, str | int]) -> Profile:
    if not base_url:
        raise WrongProfile("the simulator's address is not set: KRA_SANDBOX_BASE_URL")
    if kind == Device.Kind.VSCU:
        return simulator(Flavour.VSCU, _origin(base_url), **overrides)
    return simulator(SIMULATOR_PROFILES[name], _origin(base_url), base_url=base_url, **overrides)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
