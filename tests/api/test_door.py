"""The door, around a small application: what passes, what does not, and what a sick Redis costs."""

import asyncio
import json
import socket
import time
from hashlib import sha256
from typing import Any

import pytest

from gateway.api import door
from gateway.api.door import Door, Limits
from gateway.lib.rates import Rate
from gateway.ops.children import free_port

HOUR = 3600


class Visit:
    """One call through a door and its answer."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.client = ""


async def call(
    made: Door, *, key: str = "", address: str = "10.0.0.1", path: str = "/api/sales/", **headers: str
) -> Visit:
    visit = Visit()
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if key:
        sent.append((b"authorization", f"Token {key}".encode()))
    scope = {"type": "http", "path": path, "query_string": b"", "headers": sent, "client": (address, 5), "visit": visit}

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            visit.status = message["status"]
            visit.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            visit.body += message["body"]

    await made(scope, receive, send)
    return visit


async def shop(scope: Any, receive: Any, send: Any) -> None:
    """Answers 200, and 401 for keys that begin with `wrong`."""
    scope["visit"].client = scope["client"][0]
    key = dict(scope["headers"]).get(b"authorization", b"")
    await send({"type": "http.response.start", "status": 401 if b"wrong" in key else 200, "headers": []})
    await send({"type": "http.response.body", "body": b"shop"})


def a_door(
    *,
    key: int | None = None,
    address: int | None = None,
    wrong: int | None = None,
    redis_url: str = "",
    patience: float = 10.0,
    **more: Any,
) -> Door:
    def rate(most: int | None) -> Rate | None:
        return None if most is None else Rate(most, HOUR)

    limits = Limits(
        key=rate(key), address=rate(address), wrong=rate(wrong), redis_url=redis_url, patience_seconds=patience
    )
    return Door(shop, limits=limits, **{"behind_proxy": False, **more})


def statuses(made: Door, *calls: dict[str, Any]) -> list[int]:
    async def one_after_the_other() -> list[int]:
        found = [(await call(made, **told)).status for told in calls]
        await made._limits.close()
        return found

    return asyncio.run(one_after_the_other())


def test_without_limits_everybody_passes() -> None:
    assert statuses(a_door(), *[{"key": "k"}] * 5, {}, {"key": "wrong"}) == [200] * 6 + [401]


def test_a_key_that_asks_too_often_is_told_when_to_come_back() -> None:
    made = a_door(key=2)
    assert statuses(made, {"key": "k"}, {"key": "k"}, {"key": "k"}, {"key": "other"}, {}) == [200, 200, 429, 200, 200]
    visit = asyncio.run(call(made, key="k", x_request_id="till-7"))
    assert made.turned_away == 2
    told = json.loads(visit.body)
    assert (told["code"], told["status"], told["request_id"]) == ("too_many_requests", 429, "till-7")
    assert told["detail"] == "This key may call 2 times an hour. Nothing was kept."
    assert visit.headers["content-type"] == "application/problem+json"
    assert 1 <= int(visit.headers["retry-after"]) <= HOUR
    assert visit.headers["ratelimit-policy"] == f'"key";q=2;w={HOUR}'
    assert visit.headers["ratelimit"] == f'"key";r=0;t={visit.headers["retry-after"]}'


def test_an_address_is_counted_over_all_its_keys_and_probes_are_not() -> None:
    made = a_door(address=3)
    assert statuses(made, {"key": "a"}, {"key": "b"}, {}, {}, {"path": "/health/"}, {"path": "/metrics"}) == [
        *(200, 200, 200, 429, 200, 200)
    ]
    assert statuses(made, {"address": "10.0.0.2"}) == [200]


def test_wrong_keys_are_throttled_and_the_till_beside_them_goes_on() -> None:
    made = a_door(wrong=2)
    wrong = [{"key": f"wrong-{number}"} for number in range(4)]
    assert statuses(made, {"key": "good"}, *wrong) == [200, 401, 401, 429, 429]
    assert statuses(made, {"key": "good"}, {}) == [200, 200]
    assert statuses(made, {"key": "new"}) == [429], "a key that never worked is not looked at"
    assert statuses(made, {"key": "new", "address": "10.0.0.2"}, {"key": "new"}) == [200, 200]


def test_a_page_that_asks_for_no_key_makes_none_a_good_one() -> None:
    made = a_door(wrong=1)
    assert statuses(made, {"key": "k", "path": "/docs/"}, {"key": "k", "path": "/api/openapi.json"}) == [200, 200]
    assert statuses(made, {"key": "wrong"}, {"key": "k"}) == [401, 429]


def test_headers_have_an_end() -> None:
    made = a_door()
    assert statuses(made, {"x_long": "x" * 30_000}) == [200]
    visit = asyncio.run(call(made, x_long="x" * 33_000))
    assert (visit.status, json.loads(visit.body)["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize(
    ("behind_proxy", "forwarded", "address"),
    [
        (False, "1.2.3.4", "10.0.0.1"),
        (True, "1.2.3.4", "1.2.3.4"),
        (True, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (True, "", "10.0.0.1"),
    ],
)
def test_only_what_our_own_proxy_wrote_is_believed(behind_proxy: bool, forwarded: str, address: str) -> None:
    headers = {"x_forwarded_for": forwarded} if forwarded else {}
    visit = asyncio.run(call(a_door(behind_proxy=behind_proxy), **headers))
    assert visit.client == address


# With Redis


def test_processes_count_together_in_redis(redis_url: str) -> None:
    made, other = (a_door(key=4, wrong=2, redis_url=redis_url) for _ in range(2))
    key = f"k{time.time_ns()}"
    assert statuses(made, {"key": key}, {"key": key}) == [200, 200]
    assert statuses(other, {"key": key}) == [200]  # the next one knows of those before, for they have told each other
    assert statuses(other, {"key": key}, {"key": key}) == [200, 429]
    assert statuses(made, {"key": key}) == [200]
    assert statuses(made, {"key": key}) == [429]
    address = {"address": f"10.1.0.{time.time_ns()}"}
    assert statuses(made, {"key": f"wrong{key}", **address}) == [401]
    assert statuses(other, {"key": f"wrong-too{key}", **address}) == [401]
    assert statuses(other, {"key": f"wrong-too{key}", **address}) == [429]


def test_what_was_counted_is_told_by_itself_and_in_parts(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import Redis

    monkeypatch.setattr(door, "SHARE_SECONDS", 0.01)
    monkeypatch.setattr(door, "MOST_TOLD", 3)
    made, run = a_door(key=9, redis_url=redis_url), time.time_ns()

    async def visit() -> None:
        for number in range(10):
            await call(made, key=f"{run}-{number}")
        async with asyncio.timeout(30):
            while made._limits._untold or not made._limits._sharing.done():  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
        assert made._limits.is_shared
        await made._limits.close()

    asyncio.run(visit())
    names = [f"Token {run}-{number}".encode() for number in range(10)]
    window = int(time.time() // HOUR)
    with Redis.from_url(redis_url) as redis:
        counted = [redis.get(f"gateway:limit:key:{sha256(name).hexdigest()[:32]}:{window}") for name in names]
    assert counted == [b"1"] * 10


def test_no_key_is_written_to_redis(redis_url: str) -> None:
    from redis import Redis

    statuses(a_door(key=3, redis_url=redis_url), {"key": "plain-secret"})
    with Redis.from_url(redis_url) as redis:
        names = [name.decode() for name in redis.scan_iter("gateway:limit:*")]
        assert any(name.startswith("gateway:limit:key:") for name in names)
        assert not any("secret" in name for name in names)
        assert all(0 < redis.ttl(name) <= HOUR + 1 for name in names)


@pytest.mark.parametrize("kind", ["away", "silent"])
def test_a_sick_redis_refuses_nobody_and_is_asked_once_in_a_while(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "REST_SECONDS", 3600.0)  # longer than this test, however busy the machine is
    listener = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    listener.setblocking(False)
    if kind == "away":
        listener.close()
    port = listener.getsockname()[1] if kind == "silent" else free_port()
    try:
        made = a_door(key=3, redis_url=f"redis://127.0.0.1:{port}/0", patience=0.1)
        assert statuses(made, *[{"key": "k"}] * 3) == [200, 200, 200]
        assert statuses(made, {"key": "k"}) == [429]
        assert not made._limits.is_shared
        if kind == "silent":
            listener.accept()[0].close()
            with pytest.raises(BlockingIOError):
                listener.accept()  # nobody asked a second time
    finally:
        listener.close()
