"""The devices of a process that signs: who they are, which connection they use, and their keys while they are needed.

Rows are read through the engine's store and forgotten after two seconds, so a change made anywhere is seen that soon.
"""

import time
import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from gateway.devices.hosts import Host
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile, app_for, profile_for, session_for
from gateway.kra.client import Client
from gateway.kra.documents import Credentials
from gateway.kra.profiles import Flavour, Profile
from gateway.lanes.store import Read, Statement
from gateway.lanes.stored import id_value
from gateway.lib.remembered import Remembered
from gateway.tenants.models import HEAD_OFFICE
from gateway.tenants.vault import device_key_aad, open_wrapped

FORGET_SECONDS = 2.0


_COLUMNS = """
d.id, d.public_id, d.company_id, d.environment, d.kind, d.serial, d.profile, d.base_url, d.lane_id, d.status, d.problem,
d.sealed_key, d.control_unit_id, d.machine_code, b.code AS branch_code, b.name AS branch_name, b.address, b.city,
b.top_message, b.bottom_message, c.pin, c.name AS company_name, c.status AS company_status,
c.public_id AS company_public_id, k.wrapped AS data_key, COALESCE(sp.allow_negative_stock, true) AS negative_stock
"""
_BESIDE = """
JOIN tenants_branch b ON b.id = d.branch_id JOIN tenants_company c ON c.id = d.company_id
LEFT JOIN tenants_datakey k ON k.company_id = d.company_id
LEFT JOIN stock_policy sp ON sp.company_id = d.company_id AND sp.environment = d.environment
"""
# A retired device's documents are carried by the one of its kind that signs for the branch now, if there is one
_SPEAKS = f"""
SELECT o.id AS asked, {_COLUMNS} FROM devices_device o JOIN devices_device d ON d.id = COALESCE((
    SELECT s.id FROM devices_device s
    WHERE o.status = 'retired' AND s.branch_id = o.branch_id AND s.environment = o.environment
        AND s.lane_id = o.lane_id AND s.kind = o.kind AND s.status = 'active' LIMIT 1), o.id)
{_BESIDE} WHERE o.id {{in_devices}}
"""
BY_ID = Statement(  # of several devices each one's speaker
    name="device_by_id",
    postgres=_SPEAKS.format(in_devices="= ANY(%(devices)s)"),
    sqlite=(_SPEAKS.format(in_devices="IN (SELECT value FROM json_each(:devices))"),),
)
OF_COMPANY = Statement(  # of several companies
    name="devices_of_company",
    postgres=f"""
SELECT {_COLUMNS} FROM devices_device d {_BESIDE}
JOIN unnest(%(companies)s::bigint[], %(environments)s::text[]) AS asked(company_id, environment)
ON d.company_id = asked.company_id AND d.environment = asked.environment ORDER BY d.id
""",
    sqlite=(
        f"""
SELECT {_COLUMNS} FROM devices_device d {_BESIDE} JOIN json_each(:companies) asked
ON d.company_id = asked.value AND d.environment = json_extract(:environments, asked.fullkey) ORDER BY d.id
""",
    ),
)


@dataclass(frozen=True, slots=True)
class Seat:
    """A device ready to be spoken for; `row` holds the columns of `_COLUMNS`."""

    row: dict[str, Any]
    public_id: uuid.UUID
    names: tuple[str, str]  # by which a till may call it: its id as we write it, and its serial
    profile: Profile

    @property
    def is_active(self) -> bool:
        return bool(self.row["status"] == Device.Status.ACTIVE)


_CompanyKey = tuple[int, str]  # company and environment


class Desk:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # of VSCUs and of the rest
        self._clients: dict[Profile, Client] = {}
        self.hosts: dict[str, Host] = {}
        self._seats = Remembered(self._read_seats, seconds=FORGET_SECONDS)
        self._companies = Remembered(self._read_companies, seconds=FORGET_SECONDS)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    async def seat(self, device_id: int) -> Seat:
        """One device, or the one that carries its documents since it was retired.

        Raises LookupError when it does not exist.
        """
        seat = await self._seats.get(device_id)
        if not seat.is_active:  # it may just have been activated
            seat = (await self._seats.afresh([device_id]))[device_id]
        return seat

    async def of_company(self, company_id: int, environment: str, *, afresh: bool = False) -> list[Seat]:
        """All devices of a company in an environment, retired ones too, in order of their making.

        `afresh`: read now, for who looked in vain in what is remembered.
        """
        key = (company_id, environment)
        return (await self._companies.afresh([key]))[key] if afresh else await self._companies.get(key)

    async def speaker(self, company_id: int, environment: str, *, branch: str | None = None) -> Seat | None:
        """The active device that speaks for a branch, or for the whole company: the head office's, else any.

        None when there is none, now.
        """
        for afresh in (False, True):
            seats = [seat for seat in await self.of_company(company_id, environment, afresh=afresh) if seat.is_active]
            if branch is not None:
                seats = [seat for seat in seats if seat.row["branch_code"] == branch]
            if seats:
                return min(seats, key=lambda seat: seat.row["branch_code"] != HEAD_OFFICE)
        return None

    async def _read_seats(self, devices: list[int]) -> dict[int, Seat | Exception]:
        rows = await self._read(BY_ID, {"devices": devices})
        return dict(zip((row.pop("asked") for row in rows), _seats(rows), strict=True))

    async def _read_companies(self, keys: list[_CompanyKey]) -> dict[_CompanyKey, list[Seat] | Exception]:
        began = time.monotonic()
        companies, environments = (list(column) for column in zip(*keys, strict=True))
        rows = await self._read(OF_COMPANY, {"companies": companies, "environments": environments})
        found: dict[_CompanyKey, list[Seat] | Exception] = {key: [] for key in keys}
        for row, seat in zip(rows, _seats(rows), strict=True):
            key = (row["company_id"], row["environment"])
            seats = found[key]
            if isinstance(seat, Exception):
                found[key] = seat
            elif not isinstance(seats, Exception):
                seats.append(seat)
                if row["status"] != Device.Status.RETIRED:  # whose documents another device may carry
                    self._seats.keep(row["id"], seat, since=began)
        return found

    def client(self, seat: Seat) -> Client:
        """The client of the device's connection; one a profile, connections kept."""
        client = self._clients.get(seat.profile)
        if client is None:
            is_vscu = seat.profile.flavour is Flavour.VSCU
            if is_vscu not in self._sessions:
                self._sessions[is_vscu] = session_for(seat.profile)
            client = self._clients[seat.profile] = Client(
                seat.profile, session=self._sessions[is_vscu], app=app_for(seat.profile)
            )
        return client

    def host(self, seat: Seat) -> Host:
        """The KRA host that the device speaks to, with its breaker."""
        name = urlsplit(seat.row["base_url"] or seat.profile.base_url).netloc
        return self.hosts.setdefault(name, Host(name))

    def identity(self, seat: Seat) -> Credentials:
        """Whom the device speaks for, without its key: enough to write a body, not to send it."""
        row = seat.row
        return Credentials(pin=row["pin"], branch=row["branch_code"], key="", device_serial=row["serial"])

    def credentials(self, seat: Seat) -> Credentials:
        """What the device shows to KRA. The key is opened for this use and kept nowhere.

        Raises lib.crypto.SealBroken when the stored key does not open.
        """
        row = seat.row
        key = ""
        if row["sealed_key"] is not None and row["data_key"] is not None:
            company_id = id_value(row["company_public_id"])
            key = open_wrapped(row["data_key"], company_id, device_key_aad(seat.public_id), row["sealed_key"]).decode()
        return Credentials(
            pin=row["pin"],
            branch=row["branch_code"],
            key=key,
            device_serial=row["serial"],
            base_url=row["base_url"],
        )


class _Connection(NamedTuple):
    """What of a device's row says how it is spoken for (`queries.Spoken`)."""

    environment: str
    kind: str
    profile: str
    base_url: str


def _seats(rows: list[dict[str, Any]]) -> list[Seat | Exception]:
    """The devices of the rows; in the place of one whose settings or address are wrong, what is wrong."""
    profiles: dict[_Connection, Profile | Exception] = {}
    found: list[Seat | Exception] = []
    for row in rows:
        connection = _Connection(row["environment"], row["kind"], row["profile"], row["base_url"])
        profile = profiles.get(connection)
        if profile is None:
            try:
                profile = profile_for(connection)
            except WrongProfile as error:
                profile = error
            profiles[connection] = profile
        if isinstance(profile, Exception):
            found.append(profile)
        else:
            public_id = id_value(row["public_id"])
            found.append(Seat(row, public_id, (str(public_id), row["serial"]), profile))
    return found
