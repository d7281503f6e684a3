"""The door that every request passes: from where it comes, how large its headers are, and how often it asks.

Limits are counted per API key and per address, and for wrong keys per address. Each process counts with plain
additions, so that no request waits for anybody. With Redis they tell each other twice a second what they counted; when
it is slow or away, each counts for itself. A limit never refuses a key that works because somebody beside it sends
wrong ones: a shop has one address for all its tills.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.bodies import refuse
from gateway.lib.rates import Rate, Window

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

MOST_HEADER_BYTES = 32_768
SHARE_SECONDS = 0.5
PATIENCE_SECONDS = 2.0  # for Redis
MOST_TOLD = 1000  # counts in one message
REST_SECONDS = 5.0  # after Redis failed, each process counts for itself so long
GOOD_SECONDS = 30.0  # a key that worked is taken for good so long, wrong keys from its address notwithstanding
MOST_REMEMBERED = 20_000
UNCOUNTED = frozenset({"/health/", "/metrics"})  # probes; both are cheap and say nothing of anybody

# Adds to counts that end with their window, and gives what they are then
_ADD = """
local counts = {}
for i, name in ipairs(KEYS) do
    counts[i] = redis.call('INCRBY', name, ARGV[2 * i - 1])
    redis.call('EXPIRE', name, ARGV[2 * i])
end
return counts
"""
_WORDS = {"key": "This key", "address": "Your address", "wrong": "Your address"}


class Over(NamedTuple):
    """A limit that was passed: whose, which rate, and how many seconds until it counts anew."""

    kind: str
    rate: Rate
    seconds: int


@dataclass(slots=True)
class Limits:
    """The rates of an installation, and what was counted. `redis_url` empty: this process counts for itself."""

    key: Rate | None
    address: Rate | None
    wrong: Rate | None
    redis_url: str = ""
    patience_seconds: float = PATIENCE_SECONDS
    _windows: dict[str, Window] = field(default_factory=dict)
    _untold: Counter[tuple[str, int, bytes]] = field(default_factory=Counter)  # by kind, window and id
    _sharing: "asyncio.Task[None] | None" = None
    _redis: "Redis | None" = None
    _rests_until: float = 0.0

    def __post_init__(self) -> None:
        rates = {"key": self.key, "address": self.address, "wrong": self.wrong}
        self._windows = {kind: Window(rate.seconds) for kind, rate in rates.items() if rate is not None}

    @property
    def is_shared(self) -> bool:
        """Whether other processes are told now."""
        return bool(self.redis_url) and time.monotonic() >= self._rests_until

    def count(self, asked: Iterable[tuple[str, Rate | None, bytes, int]]) -> Over | None:
        """Count; the first limit that is passed. Each is (kind, rate, id, how many more)."""
        now = time.time()
        is_shared, over = self.is_shared, None
        for kind, rate, id, times in asked:
            if rate is None:
                continue
            window, digest = self._windows[kind], hashlib.sha256(id).digest()  # so that no key lies about in memory
            # `times` 0 only asks whether one more would pass
            if window.add(digest, now=now, times=times) > rate.most - (not times):
                over = over or _over(kind, rate, now)
            if is_shared:
                self._untold[kind, window.number(now), digest] += times
        if self._untold and (self._sharing is None or self._sharing.done()):
            self._sharing = asyncio.create_task(self._share_soon(), name="limits, shared")
        return over

    async def share(self) -> None:
        """Tell Redis what was counted here since it was told last, and learn what all have counted together."""
        told, self._untold = self._untold, Counter()
        names = list(told)
        try:
            async with asyncio.timeout(self.patience_seconds):
                for start in range(0, len(names), MOST_TOLD):
                    await self._tell(told, names[start : start + MOST_TOLD])
        except Exception as error:  # whatever the client raises: it does not work, and the tills go on
            log.warning("limits are counted in each process alone, Redis does not answer: %s", type(error).__name__)
            self._rests_until = time.monotonic() + REST_SECONDS
            await self._hang_up()

    async def close(self) -> None:
        """Tell what is untold, and hang up."""
        if self._sharing is not None:
            self._sharing.cancel()
        if self._untold and self.is_shared:
            await self.share()
        await self._hang_up()

    async def _share_soon(self) -> None:
        while self._untold:
            await asyncio.sleep(SHARE_SECONDS)
            await self.share()

    async def _tell(self, told: Counter[tuple[str, int, bytes]], names: list[tuple[str, int, bytes]]) -> None:
        keys = [f"gateway:limit:{kind}:{digest.hex()[:32]}:{number}" for kind, number, digest in names]
        values: list[int] = []
        for name in names:
            rate = getattr(self, name[0])
            values += (told[name], rate.seconds + 1)
        counts = await self._client().eval(_ADD, len(keys), *keys, *values)
        for (kind, number, digest), count in zip(names, counts, strict=True):
            since = self._untold.get((kind, number, digest), 0)  # counted while Redis was asked
            self._windows[kind].learn(digest, count + since, number=number)

    async def _hang_up(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            with contextlib.suppress(Exception):  # a sick Redis may not even let go in time
                await redis.aclose()

    def _client(self) -> "Redis":
        if self._redis is None:
            # imported here: without Redis its client would cost the embedded shape start-up time for nothing
            from redis.asyncio import Redis

            self._redis = Redis.from_url(
                self.redis_url,
                socket_timeout=self.patience_seconds,
                socket_connect_timeout=self.patience_seconds,
            )
        return self._redis


class Door:
    """Hands a request on when its headers are of a sane size and nobody asks too often; else 431 or 429."""

    def __init__(self, app: ASGIApp, *, limits: Limits, behind_proxy: bool) -> None:
        self._app = app
        self._limits = limits
        self._behind_proxy = behind_proxy
        self.turned_away = 0  # requests so far
        self._good: dict[int, float] = {}  # hashes of keys that worked, and until when they are taken for good

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key, forwarded, size = b"", b"", 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name == b"authorization":
                key = value
            elif name == b"x-forwarded-for":
                forwarded = value
        if self._behind_proxy and forwarded:
            scope["client"] = (_last_hop(forwarded), 0)
        if size + len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_HEADER_BYTES:
            self.turned_away += 1
            await refuse(scope, send, "headers_too_large", "The headers and the address have at most 32 KB together.")
            return
        if scope["path"] in UNCOUNTED:
            await self._app(scope, receive, send)
            return
        address = scope["client"][0].encode() if scope.get("client") else b""
        is_good = self._good.get(hash(key), 0.0) > time.monotonic()
        limits = self._limits
        asked = [("address", limits.address, address, 1)]
        if key:
            asked.append(("key", limits.key, key, 1))
            if not is_good:
                asked.append(("wrong", limits.wrong, address, 0))
        over = limits.count(asked)
        if over is not None:
            self.turned_away += 1
            await refuse(scope, send, "too_many_requests", _told(over), _headers(over))
        elif is_good or not key:
            await self._app(scope, receive, send)
        else:
            await self._watch(scope, receive, send, key, address)

    async def _watch(self, scope: Scope, receive: Receive, send: Send, key: bytes, address: bytes) -> None:
        """Hand on, and see from the answer whether the key was a good one."""
        status = 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, seen)
        if status == 401:
            self._limits.count([("wrong", self._limits.wrong, address, 1)])
        elif status < 400 and scope["path"].startswith("/api/") and scope["path"] != "/api/openapi.json":
            if len(self._good) >= MOST_REMEMBERED:
                self._good.clear()
            self._good[hash(key)] = time.monotonic() + GOOD_SECONDS


def _last_hop(forwarded: bytes) -> str:
    """Who spoke to our proxy: the last entry, which the proxy itself wrote; those before it anybody can make up."""
    return forwarded.rpartition(b",")[2].strip().decode("latin-1")[:45]


def _over(kind: str, rate: Rate, now: float) -> Over:
    return Over(kind, rate, max(1, math.ceil(rate.seconds - now % rate.seconds)))


def _told(over: Over) -> str:
    each = {1: "a second", 60: "a minute", 3600: "an hour"}[over.rate.seconds]
    if over.kind == "wrong":
        return f"Too many calls with wrong keys came from your address; it may send {over.rate.most} {each}."
    return f"{_WORDS[over.kind]} may call {over.rate.most} times {each}. Nothing was kept."


def _headers(over: Over) -> dict[str, str]:
    """How long to wait (RFC 9110 §10.2.3), and by which limit (draft-ietf-httpapi-ratelimit-headers)."""
    return {
        "Retry-After": str(over.seconds),
        "RateLimit-Policy": f'"{over.kind}";q={over.rate.most};w={over.rate.seconds}',
        "RateLimit": f'"{over.kind}";r=0;t={over.seconds}',
    }
