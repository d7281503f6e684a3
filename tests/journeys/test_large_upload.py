"""A shop brings in its whole catalogue as one workbook."""

import json
import time
from typing import Any

import pytest

from tests.bench.plant import resident_mb
from tests.catalog.test_sheets import workbook
from tests.gateway import Gateway, Shop
from tests.servers import Simulator

ROWS = 10_000
MOST_MB = 300
WRONG: dict[int, list[Any]] = {
    7: ["SKU-5", "Item 5", "999", 5],
    5000: ["SKU-4998", "", "5016150900", "many"],
}  # by row of the sheet
pytestmark = [pytest.mark.slow, pytest.mark.only_on("sqlite")]


def sheet() -> bytes:
    rows: list[list[Any]] = [[f"SKU-{row - 2}", f"Item {row - 2}", "5016150900", row] for row in range(2, ROWS + 2)]
    return workbook(
        ["Code", "Name", "Item class", "Price"], *(WRONG.get(row, cells) for row, cells in enumerate(rows, 2))
    )


def upload(shop: Shop, content: bytes) -> Any:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="catalogue.xlsx"\r\n\r\n'
        + content
        + b"\r\n--x--"
    )
    kept = shop.call("POST", "/api/items/uploads/", body, **{"Content-Type": "multipart/form-data; boundary=x"})
    assert kept.status == 202, kept
    return kept.body


def followed(shop: Shop, upload_id: str) -> list[Any]:
    """What a person who waits for the end is shown, the last of it being the end."""
    seen: list[Any] = []
    while not seen or seen[-1]["status"] not in {"done", "failed"}:
        assert len(seen) < 600, seen[-1]
        time.sleep(0.2)
        seen.append(shop.call("GET", f"/api/items/uploads/{upload_id}/").body)
    return seen


def test_ten_thousand_items_come_in_with_progress_and_again_without_harm(
    own_gateway: Gateway, simulator: Simulator
) -> None:
    shop, content = own_gateway.onboard(simulator), sheet()
    first = followed(shop, upload(shop, content)["id"])
    assert first[-1]["rows"] == {"total": ROWS, "read": ROWS, "taken": ROWS - 2, "unchanged": 0, "wrong": 2}
    assert len({one["rows"]["read"] for one in first}) > 2, "nothing was to be seen of its progress"
    result = shop.call("GET", f"{first[-1]['result_url']}?format=csv&only_wrong=true").body
    assert [line.split(",")[0] for line in result.splitlines()[1:]] == [str(row) for row in WRONG]
    assert "999" in result and "Name" in result and "Price" in result
    again = followed(shop, upload(shop, content)["id"])[-1]
    assert again["rows"] == {"total": ROWS, "read": ROWS, "taken": 0, "unchanged": ROWS - 2, "wrong": 2}
    assert resident_mb(own_gateway.child.process.pid, "VmHWM") < MOST_MB, json.dumps(again)
