"""A gateway that many stories share, each with a company of its own; and one for stories that break it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import servers
from tests.gateway import Gateway, Shop
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
