"""Amani Stores with an active device."""

from typing import Any

import pytest


@pytest.fixture
def amani(db: None, settings: Any) -> Any:
    """Amani Stores. No test here may reach KRA: sandbox devices speak to a simulator, and that is nowhere."""
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = "http://127.0.0.1:9/oscu/etims-api"
    from tests.tenants.factories import make_active, make_company

    made = make_company()
    make_active(made.device)
    return made


@pytest.fixture
def device(amani: Any) -> Any:
    return amani.device
