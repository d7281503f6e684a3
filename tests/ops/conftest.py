"""A demo that many tests share: gateway and simulated KRA on SQLite, Amani Stores with a dozen items and one sale."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.ops import demo
from gateway.ops.children import free_port
from tests.servers import Simulator


@dataclass(frozen=True)
class Played:
    """A demo after its first sale: what it said, and what it found wrong."""

    demo: demo.Demo
    said: list[str]
    wrong: list[str]
    simulator: Simulator


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("demo")
    fresh = demo.Demo(folder, f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
    said: list[str] = []
    with demo.only_one(folder), ExitStack() as servers:
        demo.start(fresh, servers, say=said.append)
        ready, wrong = demo.play(fresh, say=said.append)
        yield Played(ready, said, wrong, Simulator(ready.simulator, folder / "simulator.log"))


@pytest.fixture
def shop(played: Played) -> Iterator[Played]:
    """The same with no fault switched on, before and after."""
    played.simulator.clear_faults()
    yield played
    played.simulator.clear_faults()


@pytest.fixture
def ledger_size(shop: Played) -> Any:
    """How many sales the simulated KRA has recorded by now."""
    return lambda: len(shop.simulator.ledger())
