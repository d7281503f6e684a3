"""The door that every request passes: from where it comes, how large its headers are, and how often it asks.

Limits are counted per API key and per address, and for wrong keys per address. Without Redis each process counts for
itself, with plain additions; with Redis all count together, and when it is slow or away each counts for itself again.
A limit never refuses a key that works because somebody beside it sends wrong ones: a shop has one address for all its
tills.
"""

import asyncio
import hashlib
import logging
import math
import time
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
SHARED_SECONDS = 0.05  # the longest that a request waits for Redis
REST_SECONDS = 5.0  # after Redis failed, each process counts for itself so long
GOOD_SECONDS = 30.0  # a key that worked is taken for good so long, wrong keys from its address notwithstanding
MOST_REMEMBERED = 20_000
UNCOUNTED = frozenset({"/health/", "/metrics"})  # probes; both are cheap and say nothing of anybody

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
    patience_seconds: float = SHARED_SECONDS
    _windows: dict[str, Window] = field(default_factory=dict)
    _redis: "Redis | None" = None
    _rests_until: float = 0.0

    def __post_init__(self) -> None:
        rates = {"key": self.key, "address": self.address, "wrong": self.wrong}
        self._windows = {kind: Window(rate.seconds) for kind, rate in rates.items() if rate is not None}

    @property
    def is_shared(self) -> bool:
        """Whether to ask Redis now."""
        return bool(self.redis_url) and time.monotonic() >= self._rests_until

    def count(self, asked: Iterable[tuple[str, Rate | None, bytes, int]]) -> Over | None:
        """Count in this process; the first limit that is passed. Each is (kind, rate, id, how many more)."""
        now = time.time()
        over = None
        for kind, rate, id, times in asked:
            # by its hash, so that no key lies about in memory; `times` 0 only asks whether one more would pass
            if rate is not None and self._windows[kind].add(hash(id), now=now, times=times) > rate.most - (not times):
                over = over or _over(kind, rate, now)
        return over

    async def count_together(self, asked: list[tuple[str, Rate | None, bytes, int]]) -> Over | None:
        """The same, counted with all other processes in one message to Redis; here alone if that fails."""
        now = time.time()
        wanted = [(kind, rate, id, times) for kind, rate, id, times in asked if rate is not None]
        try:
            client = self._client()
            async with asyncio.timeout(self.patience_seconds):
                pipe = client.pipeline(transaction=False)
                for kind, rate, id, times in wanted:
                    name = f"gateway:limit:{kind}:{hashlib.sha256(id).hexdigest()[:32]}:{int(now // rate.seconds)}"
                    pipe.incrby(name, times)
                    pipe.expire(name, rate.seconds + 1)
                counts = (await pipe.execute())[::2]
        except Exception as error:  # whatever the client raises: it does not work, and a sale must not wait for it
            log.warning("limits are counted in each process alone, Redis does not answer: %s", type(error).__name__)
            self._rests_until = time.monotonic() + REST_SECONDS
            await self.close()
            return self.count(asked)
        for (kind, rate, _, times), count in zip(wanted, counts, strict=True):
            if count > rate.most - (not times):
                return _over(kind, rate, now)
        return None

    async def close(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
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
        over = await limits.count_together(asked) if limits.is_shared else limits.count(asked)
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
            limits, asked = self._limits, [("wrong", self._limits.wrong, address, 1)]
            _ = await limits.count_together(asked) if limits.is_shared else limits.count(asked)
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
