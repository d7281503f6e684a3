"""Amani Stores, its owner's key, and a KRA. Models are imported late: this file is read before Django is set up."""

from typing import Any

import pytest

from tests.servers import Simulator


@pytest.fixture(autouse=True)
def no_real_kra(settings: Any) -> None:
    """No test of these rooms may reach KRA: sandbox devices speak to a simulator, and that is nowhere."""
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = "http://127.0.0.1:9/oscu/etims-api"


@pytest.fixture
def kra(simulator: Simulator, settings: Any) -> Simulator:
    """The simulator, where sandbox devices find it, with Amani's device approved."""
    settings.KRA_SANDBOX_BASE_URL = f"{simulator.url}/oscu/etims-api"
    settings.KRA_SANDBOX_RECEIPT_URL = f"{simulator.url}/common/link/etims/receipt/indexEtimsReceiptData?Data="
    simulator.approve("P051234567X", "00", "AMANI-00")
    return simulator


@pytest.fixture
def amani(request: pytest.FixtureRequest) -> Any:
    """Amani Stores with a device that waits, an owner's key in `key_text`."""
    if "transactional_db" not in request.fixturenames:
        request.getfixturevalue("db")
    from tests.tenants.factories import make_company

    return make_company()


@pytest.fixture
def owner(amani: Any) -> Any:
    """Amani's owner, calling."""
    from tests.api.caller import Caller

    return Caller(amani.key_text)


@pytest.fixture
def stranger(amani: Any) -> Any:
    """Another taxpayer, with an owner's key in `key_text`."""
    from tests.tenants.factories import make_stranger

    return make_stranger()


@pytest.fixture
def admin(db: None) -> Any:
    """An admin of the integrator's own staff, calling."""
    from tests.api.caller import Caller
    from tests.tenants.factories import operator_key_text

    return Caller(operator_key_text())
