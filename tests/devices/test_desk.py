"""Who speaks for a branch: what is remembered for two seconds never hides a device that has become active."""

import asyncio
import uuid
from typing import Any

import pytest

from gateway.devices.desk import Desk
from gateway.lanes.store import Statement


@pytest.fixture(autouse=True)
def simulator_somewhere(settings: Any) -> None:
    settings.KRA_SANDBOX_PROFILE, settings.KRA_SANDBOX_BASE_URL = "simulator", "http://127.0.0.1:1"


class Rows:
    """The devices of one company as the database has them, and how often it was asked."""

    def __init__(self, **statuses: str) -> None:
        self.statuses, self.asked = statuses, 0

    async def read(self, statement: Statement, params: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked += 1
        rows = [row(index, branch[1:], status) for index, (branch, status) in enumerate(self.statuses.items())]
        if "devices" in params:
            return [one | {"asked": one["id"]} for one in rows if one["id"] in params["devices"]]
        return rows


def row(index: int, branch: str, status: str) -> dict[str, Any]:
    more = {
        "environment": "sandbox",
        "kind": "oscu",
        "profile": "simulator",
        "base_url": "",
        "serial": f"AMANI-{index}",
    }
    return {"id": index, "company_id": 1, "public_id": uuid.uuid4(), "branch_code": branch, "status": status, **more}


def speaker(desk: Desk, branch: str | None = None) -> str | None:
    seat = asyncio.run(desk.speaker(1, "sandbox", branch=branch))
    return seat.row["branch_code"] if seat else None


def test_the_branchs_own_device_speaks_for_it_and_the_head_offices_for_the_company() -> None:
    rows = Rows(b01="active", b00="active", b02="retired")
    desk = Desk(rows.read)
    assert [speaker(desk, "01"), speaker(desk, "00"), speaker(desk)] == ["01", "00", "00"]
    assert rows.asked == 1
    assert [speaker(desk, "02"), speaker(desk, "03")] == [None, None]
    assert speaker(Desk(Rows(b01="active", b00="waiting").read)) == "01"


def test_a_device_speaks_from_the_moment_in_which_it_is_active() -> None:
    rows = Rows(b00="active", b01="waiting")
    desk = Desk(rows.read)
    assert (speaker(desk), speaker(desk, "01")) == ("00", None)
    assert asyncio.run(desk.seat(1)).is_active is False
    rows.statuses["b01"] = "active"
    assert asyncio.run(desk.seat(1)).is_active
    assert speaker(desk, "01") == "01"
