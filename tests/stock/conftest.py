"""Shops that keep stock, with a process that sells for them, on a database of each module's own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.lanes.conftest import url as url
from tests.servers import Simulator

if TYPE_CHECKING:
    from tests.lanes.shops import Counter, Street

LATE_SECONDS = 1.0


@pytest.fixture
def shops(url: str, django_db_blocker: Any, simulator: Simulator, settings: Any) -> "Iterator[Street]":
    from tests.lanes.bench import pointed_at
    from tests.lanes.shops import street

    with django_db_blocker.unblock(), pointed_at(url), street(simulator, settings, late_seconds=LATE_SECONDS) as made:
        made.start_process()
        yield made


@pytest.fixture
def counter(shops: "Street") -> "Counter":
    (opened,) = shops.open_company("00")
    shops.register_items()
    return opened
