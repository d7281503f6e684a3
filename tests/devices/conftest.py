"""A KRA for the devices of these tests. Models are imported late: this file is read before Django is set up."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.servers import Simulator


@pytest.fixture
def point_at(settings: Any) -> Callable[[str], None]:
    """Send sandbox devices to a server of the test's own."""

    def point(url: str) -> None:
        settings.KRA_SANDBOX_PROFILE = "simulator"
        settings.KRA_SANDBOX_BASE_URL = f"{url}/oscu/etims-api"
        settings.KRA_SANDBOX_RECEIPT_URL = f"{url}/common/link/etims/receipt/indexEtimsReceiptData?Data="

    return point


@pytest.fixture
def kra(simulator: Simulator, point_at: Callable[[str], None]) -> Simulator:
    """The simulator, where sandbox devices find it."""
    point_at(simulator.url)
    return simulator
