"""Every call leaves a line in the log of calls, soon after it was answered."""

import time
from typing import Any

from tests.gateway import Shop


def calls(shop: Shop, last: str) -> list[dict[str, Any]]:
    """All calls, newest first, when one of `last` is among them."""
    for _ in range(100):
        found: list[dict[str, Any]] = shop.call("GET", "/api/logs/?kind=api&limit=200").body["entries"]
        if any(last in row["text"] for row in found):
            return found
        time.sleep(0.2)
    raise AssertionError(found)


def test_a_sale_its_mistake_and_its_repeat_stand_in_the_log(shop: Shop) -> None:
    signed = shop.sell("POS-1")
    shop.sell("POS-1")
    wrong = shop.post({"reference": "POS-2"})
    shop.status(signed.body["id"])
    shop.call("GET", "/api/invoices/?secret=hidden")
    found = [row for row in reversed(calls(shop, "/api/invoices/")) if "logs" not in row["text"]][-5:]
    assert [(row["details"]["status"], row["code"]) for row in found] == [
        (201, None),
        (200, None),
        (422, wrong.body["code"]),
        (200, None),
        (422, "invalid"),
    ]
    assert found[0]["subject"] == found[1]["subject"] == found[3]["subject"] == signed.body["id"]
    assert found[2]["request_id"] == wrong.headers["x-request-id"]
    assert all(row["actor"] == shop.key[:16] and row["address"] == "127.0.0.1" for row in found)
    assert "hidden" not in str(found)


def test_an_event_tells_from_where_it_was_asked(shop: Shop) -> None:
    entries = shop.call("GET", "/api/logs/?code=device.activated").body["entries"]
    assert [(row["address"], bool(row["request_id"])) for row in entries] == [("127.0.0.1", True)]
