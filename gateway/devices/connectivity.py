"""Whether KRA and a company's own control units can be reached: only they, no address comes from the caller."""

import asyncio
import threading
from typing import NamedTuple

from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile, profile_for, profile_name_for, session_for
from gateway.kra.probe import Probe, probe
from gateway.kra.profiles import Flavour, Profile
from gateway.tenants.models import Company

MOST_UNITS = 10  # that one call asks
_TURNS = threading.BoundedSemaphore(2)  # of the few threads that all companies share


class TooManyTests(Exception):
    """Others test their connection at this moment; come again in some seconds."""


class Tested(NamedTuple):
    """What was tried for a device, or for KRA itself when it is None. `problem` says why nothing could be tried."""

    device: Device | None
    kind: str
    profile: str
    probe: Probe | None
    problem: str = ""


def try_connections(company: Company, environment: str, *, device: Device | None = None) -> list[Tested]:
    """Knock at KRA's host of an environment and at the addresses of the company's own VSCUs there, all at once.

    With a device only where it speaks. No sale is sent and no credentials. Takes some 8 seconds at most; a production
    device's profile leads to production and a sandbox's never does, as for documents. Raises TooManyTests.
    """
    if not _TURNS.acquire(blocking=False):
        raise TooManyTests
    try:
        return asyncio.run(_test_all(_places(company, environment, device)))
    finally:
        _TURNS.release()


class _Place(NamedTuple):
    tested: Tested
    how: Profile | None
    url: str


def _places(company: Company, environment: str, device: Device | None) -> list[_Place]:
    if device is not None:
        return [_place(device)]
    kind = Device.Kind.OSCU
    kra = Device(environment=environment, kind=kind, profile=profile_name_for(environment, kind))
    units = Device.objects.filter(company=company, environment=environment, kind=Device.Kind.VSCU)
    own = units.exclude(status=Device.Status.RETIRED).order_by("pk")[:MOST_UNITS]
    return [_place(kra), *(_place(unit) for unit in own)]


def _place(device: Device) -> _Place:
    named = device if device.pk else None
    try:
        how = profile_for(device)
    except WrongProfile as error:
        return _Place(Tested(named, device.kind, device.profile, None, str(error)), None, "")
    own = device.base_url if how.flavour is Flavour.VSCU else ""
    return _Place(Tested(named, device.kind, how.name, None), how, own or how.base_url)


async def _test_all(places: list[_Place]) -> list[Tested]:
    async def test(place: _Place) -> Tested:
        if place.how is None:
            return place.tested
        async with session_for(place.how) as session:
            return place.tested._replace(probe=await probe(place.url, session=session))

    return list(await asyncio.gather(*(test(place) for place in places)))
