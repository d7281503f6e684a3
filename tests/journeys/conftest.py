"""A gateway that many stories share, each with a company of its own; and one for stories that break it."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import servers
from tests.gateway import SUGAR, Gateway, Shop
from tests.gateway import gateway as running_gateway
from tests.journeys.house import House, open_house


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory, simulator_process: servers.Simulator) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with ExitStack() as stack:
        url = os.environ["DATABASE_URL"]
        fresh = (
            f"sqlite:///{folder / 'gateway.sqlite3'}"
            if url.startswith("sqlite")
            else stack.enter_context(servers.postgres_database(url))
        )
        yield stack.enter_context(running_gateway(folder, fresh, simulator_process))


@pytest.fixture
def shop(shared_gateway: Gateway, simulator: servers.Simulator) -> Shop:
    """A new company on the shared gateway."""
    return shared_gateway.onboard(simulator)


@pytest.fixture
def vscu_shop(shared_gateway: Gateway, simulator: servers.Simulator) -> Shop:
    """A shop whose control unit stands beside the till and cannot be asked what it signed."""
    pin = f"P{time.time_ns() // 1000 % 10**9:09d}V"
    simulator.approve(pin, "00", f"JAR-{pin}", kind="vscu")
    answer = shared_gateway.call(
        "POST",
        "/api/onboard/",
        {
            "company": {"pin": pin, "name": "Jar Stores"},
            "branch": {"code": "00", "name": "Head office"},
            "device": {"serial": f"JAR-{pin}", "device_type": "vscu"},
        },
    )
    assert answer.status == 201 and answer.body["device"]["status"] == "active", answer
    ids = {name: answer.body[name]["id"] for name in ("device", "company")}
    shop = Shop(shared_gateway, answer.body["api_key"]["key"], pin, "00", **ids)
    shop.register([SUGAR])
    return shop


@pytest.fixture
def own_gateway(tmp_path: Path, database_url: str, simulator: servers.Simulator) -> Iterator[Gateway]:
    """A gateway that the test may kill."""
    with running_gateway(tmp_path, database_url, simulator) as running:
        yield running


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, simulator_process: servers.Simulator) -> Iterator[House]:
    """A gateway with somebody of every kind in it, for who asks what each of them may."""
    folder = tmp_path_factory.mktemp("house")
    with ExitStack() as stack:
        url = os.environ["DATABASE_URL"]
        fresh = (
            f"sqlite:///{folder / 'gateway.sqlite3'}"
            if url.startswith("sqlite")
            else stack.enter_context(servers.postgres_database(url))
        )
        yield stack.enter_context(open_house(folder, fresh, simulator_process))
