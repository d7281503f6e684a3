"""Tills of each flavour, ready to sell."""

import pytest

from tests.servers import Simulator
from tests.simulator.till import Kra, Till

FLAVOURS = ("oscu_direct", "gavaconnect", "vscu")


@pytest.fixture
def simulator(simulator_process: Simulator) -> Kra:
    """This worker's simulator, as on the first day."""
    kra = Kra(simulator_process.url)
    kra.reset()
    return kra


@pytest.fixture
def till(simulator: Kra) -> Till:
    """A till on the direct host."""
    return Till(simulator, "oscu_direct").start()


@pytest.fixture
def gava(simulator: Kra) -> Till:
    """A till behind the API gateway."""
    return Till(simulator, "gavaconnect", pin="P000000222A").start()


@pytest.fixture
def jar(simulator: Kra) -> Till:
    """A till beside its own VSCU."""
    return Till(simulator, "vscu", pin="P000000333B").start()


@pytest.fixture(params=FLAVOURS)
def any_till(request: pytest.FixtureRequest, simulator: Kra) -> Till:
    """The same story on each flavour."""
    return Till(simulator, request.param).start()
