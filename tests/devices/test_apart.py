"""Test traffic reaches no production host, production devices nothing else, and a VSCU's address no other service."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import LazySettings

from gateway.devices.activation import activate_device
from gateway.devices.models import Device
from gateway.devices.queries import WrongAddress, WrongProfile, check_address, profile_for, session_for
from gateway.devices.services import add_device
from gateway.kra.client import Client
from gateway.kra.documents import Credentials
from gateway.kra.errors import KraError, NotOffered, NotSent
from gateway.kra.fence import read_networks
from gateway.kra.profiles import Flavour, Profile, allowed, profile, simulator
from gateway.lib.clock import utc_now
from tests.tenants.factories import go_live, make_active, make_company

PRODUCTION_HOSTS = ("etims-api.kra.go.ke", "api.kra.go.ke", "etims.kra.go.ke")


class Host:
    """A server that listens where a host is said to be, and counts who comes and what they bring."""

    def __init__(self) -> None:
        self.visits = 0
        self.bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.visits += 1
                self.bytes += len(connection.recv(65536))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Names(AbstractResolver):
    """Every name leads to this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def production() -> Iterator[Host]:
    """KRA's production, as far as names go."""
    host = Host()
    yield host
    host.close()


def speak(how: Profile, credentials: Credentials) -> KraError:
    """How one sale over a profile ends, where every name leads to this machine."""

    async def run() -> KraError:
        connector = aiohttp.TCPConnector(resolver=Names())
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(KraError) as caught:
                await Client(how, session=session).call("sales_save", credentials, b"{}")
            return caught.value

    return asyncio.run(run())


def test_the_listening_host_sees_whoever_may_come(production: Host) -> None:
    real = profile("oscu_direct_production", base_url=f"http://{PRODUCTION_HOSTS[0]}:{production.port}/etims-api")
    speak(real, Credentials("P051234567X", "00", "key"))
    assert production.visits == 1 and production.bytes > 0


@pytest.mark.parametrize("host", [*PRODUCTION_HOSTS, "ETIMS-API.KRA.GO.KE", "etims-api.kra.go.ke."])
def test_no_byte_of_a_sandbox_or_simulator_reaches_a_production_host(production: Host, host: str) -> None:
    url = f"http://{host}:{production.port}/etims-api"
    for name in ("oscu_direct_sandbox", "gavaconnect_sandbox", "vscu_sandbox"):
        with pytest.raises(ValueError, match="must not reach"):
            profile(name, base_url=url)
    for flavour in Flavour:
        with pytest.raises(ValueError, match="must not reach"):
            simulator(flavour, "http://127.0.0.1:9", base_url=url)
    for vscu in (profile("vscu_sandbox"), simulator(Flavour.VSCU, "http://127.0.0.1:9")):
        assert isinstance(speak(vscu, Credentials("P051234567X", "00", "", base_url=url)), NotOffered)
    assert (production.visits, production.bytes) == (0, 0)


@pytest.mark.parametrize("environment", ["sandbox", "production"])
@pytest.mark.parametrize("used", ["oscu_direct_sandbox", "oscu_direct_production", "simulator"])
@pytest.mark.django_db
def test_a_device_speaks_only_over_profiles_of_its_environment(
    settings: LazySettings, environment: str, used: str
) -> None:
    settings.KRA_SANDBOX_BASE_URL = settings.KRA_PROD_BASE_URL = ""
    settings.KRA_PROD_PROFILE = settings.KRA_SANDBOX_PROFILE = used
    if used == "simulator":
        settings.KRA_SANDBOX_BASE_URL = settings.KRA_PROD_BASE_URL = "http://127.0.0.1:9/oscu/etims-api"
    fits = (environment == "production") == (used == "oscu_direct_production")
    made = make_company(environment="sandbox" if used != "oscu_direct_production" else "production")
    go_live(made.company)
    if fits:
        assert allowed(profile_for(Device(environment=environment, profile=used, kind="oscu")), environment)
        return
    with pytest.raises(WrongProfile):  # when it is made
        add_device(company=made.company, branch=made.branch, environment=environment, serial="OTHER")
    Device.objects.filter(pk=made.device.pk).update(environment=environment)  # by hand, in the database
    with pytest.raises(WrongProfile):  # when it speaks
        activate_device(device=made.device, now=utc_now())
    with pytest.raises(WrongProfile):
        profile_for(make_active(Device.objects.get(pk=made.device.pk)))


# Addresses of VSCUs


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254",  # where clouds tell their secrets
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]:8088",
        "http://[fe80::1]:8088",
        "http://0.0.0.0:8088",
        "http://8.8.8.8",
        "http://224.0.0.1",
        "http://192.168.1.20:8088/?x=",  # the rest of our path would be a query
        "http://192.168.1.20:8088/#",
        "http://192.168.1.20:8088\\@8.8.8.8/",
        "http://somebody@192.168.1.20:8088",
        "ftp://192.168.1.20",
        "nonsense",
    ],
)
def test_no_vscu_is_at_such_an_address(address: str) -> None:
    with pytest.raises(WrongAddress):
        check_address(address)
    with pytest.raises(WrongAddress):
        profile_for(Device(environment="sandbox", profile="vscu_sandbox", kind="vscu", base_url=address))


@pytest.mark.parametrize(
    "address", ["http://192.168.1.20:8088", "http://10.8.0.7:8088/shop-3", "http://localhost:8088", "https://vscu.shop"]
)
def test_a_vscu_in_the_shop_or_in_its_vpn_may_be_reached(address: str) -> None:
    assert profile_for(Device(environment="sandbox", profile="vscu_sandbox", kind="vscu", base_url=address)).base_url


def test_an_installation_for_many_can_leave_out_its_own_network(settings: LazySettings) -> None:
    settings.VSCU_NETWORKS = read_networks(["10.8.0.0/16"])
    check_address("http://10.8.3.4:8088")
    for own in ("http://127.0.0.1:6379", "http://192.168.1.20:8088", "http://10.9.0.1"):
        with pytest.raises(WrongAddress):
            check_address(own)


def test_a_name_that_leads_outside_of_the_networks_is_not_connected_to(
    settings: LazySettings, production: Host
) -> None:
    async def ask(host: str) -> KraError:
        address = f"http://{host}:{production.port}"
        async with session_for(profile("vscu_sandbox")) as session:
            with pytest.raises(KraError) as caught:
                client = Client(profile("vscu_sandbox"), session=session)
                await client.code_list(Credentials("P051234567X", "00", "", base_url=address))
            return caught.value

    settings.VSCU_NETWORKS = read_networks(["10.8.0.0/16"])
    assert isinstance(asyncio.run(ask("localhost")), NotSent)
    for odd in ("127.1", "2130706433", "0x7f000001"):  # ways to write an address that no list of names foresees
        asyncio.run(ask(odd))
    assert production.visits == 0
    settings.VSCU_NETWORKS = read_networks(["127.0.0.0/8"])
    asyncio.run(ask("localhost"))
    assert production.visits == 1
