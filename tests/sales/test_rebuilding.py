"""A sale that KRA refused because a rate may have changed, when the rates do not come."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.kra.errors import Busy
from gateway.sales import rebuilding
from gateway.sales.rebuilding import Rebuilding


@pytest.mark.parametrize("error", [Busy("codes", "KRA is busy"), RuntimeError("the device is gone")])
def test_the_refusal_stands_whatever_keeps_the_rates_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fetch(device_id: int) -> None:
        raise error

    nobody: Any = None  # none of them is asked
    seat: Any = SimpleNamespace(row={"id": 7, "company_id": 1, "environment": "sandbox"})
    monkeypatch.setattr(rebuilding, "_fetch_codes", fetch)
    assert asyncio.run(Rebuilding(nobody, nobody, nobody).rebuilt(1, seat)) is None
    assert ("the device is gone" in caplog.text) == (not isinstance(error, Busy))
