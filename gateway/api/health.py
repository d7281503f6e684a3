"""`/health/`: whether a sale could be kept now, and what else people should look at; `/metrics` for Prometheus.

Nothing here names a company. What is read is kept for a second and asked for once however many ask, so that a crowd of
probes costs no more than one.
"""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.cache import caches
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.auth import key_in
from gateway.devices.hosts import Host
from gateway.kra.profiles import PROFILES
from gateway.lanes.store import Statement, StoreDown, StoreRefused
from gateway.sales.services import Till

KEPT_SECONDS = 1.0
PATIENCE_SECONDS = 2.0  # for the database and for Redis; whoever takes longer is not well
FAILING_SECONDS = 5.0  # a refused commit with none that went well since speaks for so long
OLD_SECONDS = 300.0  # a queue this old needs somebody to look
MOST_COUNTED = 10_000  # jobs; beyond that the count says how many at least

# Plan: at most MOST_COUNTED entries of the index job_open, whose condition stands here word for word
JOBS = Statement(
    name="open_jobs",
    postgres="""
SELECT state, count(*) AS jobs
FROM (SELECT state FROM lanes_job WHERE NOT (state = 'closed') LIMIT %(most)s) AS open_jobs GROUP BY state
""",
    sqlite=(
        """
SELECT state, count(*) AS jobs
FROM (SELECT state FROM lanes_job WHERE NOT (state = 'closed') LIMIT :most) AS open_jobs GROUP BY state
""",
    ),
)
# Plan: the first entry of the index lane_due, the few of lane_owner, and one pass over the lanes for the held ones
LANES = Statement(
    name="lanes_waiting",
    postgres="""
SELECT EXTRACT(epoch FROM now() - LEAST(
    (SELECT min(due_at) FROM lanes_lane WHERE owner IS NULL AND hold_reason = ''),
    (SELECT min(l.due_at) FROM lanes_lane l WHERE l.owner IS NOT NULL AND l.hold_reason = ''
        AND NOT EXISTS (SELECT 1 FROM lanes_process p WHERE p.token = l.owner AND p.expires_at > now()))
    ))::float8 AS oldest_seconds,
    (SELECT count(*) FROM lanes_lane WHERE hold_reason <> '') AS held
""",
    sqlite=(
        """
SELECT (julianday('now') - julianday(COALESCE(min(free, orphaned), free, orphaned))) * 86400.0 AS oldest_seconds, held
FROM (SELECT
    (SELECT min(due_at) FROM lanes_lane WHERE owner IS NULL AND hold_reason = '') AS free,
    (SELECT min(l.due_at) FROM lanes_lane l WHERE l.owner IS NOT NULL AND l.hold_reason = ''
        AND NOT EXISTS (SELECT 1 FROM lanes_process p WHERE p.token = l.owner
            AND p.expires_at > strftime('%Y-%m-%d %H:%M:%f000', 'now'))) AS orphaned,
    (SELECT count(*) FROM lanes_lane WHERE hold_reason <> '') AS held)
""",
    ),
)

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of database and broker at one moment."""

    database: str  # ok, down
    read_ms: float | None = None
    jobs: dict[str, int] = field(default_factory=dict)  # open ones by state, counted up to MOST_COUNTED
    oldest_seconds: float = 0.0
    held_lanes: int = 0
    broker: str = "not configured"  # or ok, down


class Probe:
    """How this process and what it stands on are doing."""

    def __init__(self, till: Till) -> None:
        self._till = till
        self._read_at = float("-inf")
        self._reading = Reading("down")
        self._refresh: asyncio.Task[None] | None = None

    async def reading(self) -> Reading:
        """What was read within the last second."""
        if time.monotonic() - self._read_at > KEPT_SECONDS:
            if self._refresh is None or self._refresh.done():
                self._refresh = asyncio.create_task(self._read(), name="health")
            await asyncio.shield(self._refresh)
        return self._reading

    def can_keep(self, reading: Reading) -> bool:
        """Whether a sale could be kept: the database reads and takes our heartbeat, and commits do not fail."""
        engine, now = self._till.engine, time.monotonic()
        failed_at = engine.gauges.failed_at
        is_failing = failed_at is not None and now - failed_at < FAILING_SECONDS
        return reading.database == "ok" and now < engine.lease_until and not is_failing

    async def document(self) -> dict[str, Any]:
        """The body of `/health/`; its `status` is ok, degraded (sales are kept, but look) or down."""
        reading = await self.reading()
        engine, now = self._till.engine, time.monotonic()
        gauges = engine.gauges
        hosts = _shown(self._till.desk.hosts.values(), now)
        well = (
            reading.broker != "down"
            and not reading.held_lanes
            and reading.oldest_seconds < OLD_SECONDS
            and not any(host["breaker"] == "open" for host in hosts)
        )
        return {
            "status": "down" if not self.can_keep(reading) else "ok" if well else "degraded",
            "database": {
                "status": reading.database,
                "read_ms": reading.read_ms,
                "last_commit_seconds": round(now - gauges.last_commit_at, 1),
            },
            "engine": {
                "status": "ok" if now < engine.lease_until else "no lease",
                "running": gauges.running,
                "waiting": engine.watched,
                "commits": gauges.commits,
                "failed_commits": gauges.failed_commits,
            },
            "queue": {
                "oldest_seconds": round(reading.oldest_seconds, 1),
                "queued": reading.jobs.get("queued", 0),
                "started": reading.jobs.get("started", 0),
                "counted_up_to": MOST_COUNTED,
                "held_lanes": reading.held_lanes,
            },
            "kra": hosts,
            "broker": reading.broker,
        }

    async def _read(self) -> None:
        database, broker = await asyncio.gather(self._read_database(), _ask_broker())
        self._reading = replace(database, broker=broker)
        self._read_at = time.monotonic()

    async def _read_database(self) -> Reading:
        store, began = self._till.engine.store, time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                (lanes,) = await store.read(LANES, {})
                jobs = await store.read(JOBS, {"most": MOST_COUNTED})
        except (StoreDown, StoreRefused, TimeoutError):
            return Reading("down")
        return Reading(
            "ok",
            read_ms=round((time.monotonic() - began) * 1000, 1),
            jobs={row["state"]: row["jobs"] for row in jobs},
            oldest_seconds=max(0.0, lanes["oldest_seconds"] or 0.0),
            held_lanes=lanes["held"],
        )


def health_routes(probe: Probe, *, metrics: Callable[[Reading], bytes]) -> list[Route]:
    """The two routes; `metrics` writes Prometheus' text format."""

    async def health(request: Request) -> Response:
        document = await probe.document()
        status = 503 if document["status"] == "down" else 200
        return Response(_encoder.encode(document), status, _NO_STORE, media_type="application/json")

    async def read_metrics(request: Request) -> Response:
        if not _may_read_metrics(request):
            return Response("Only from this machine, or with METRICS_TOKEN as bearer token.\n", 403, _NO_STORE)
        return Response(metrics(await probe.reading()), 200, _NO_STORE, media_type="text/plain; version=0.0.4")

    return [Route("/health/", health, methods=["GET"]), Route("/metrics", read_metrics, methods=["GET"])]


_NO_STORE = {"Cache-Control": "no-store"}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def _may_read_metrics(request: Request) -> bool:
    sent = key_in(request.headers.get("authorization"))
    if sent is not None and settings.METRICS_TOKEN:
        return hmac.compare_digest(sent.encode("utf-8", "replace"), settings.METRICS_TOKEN.encode())
    # a proxy on this machine speaks from loopback for everybody
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _ask_broker() -> str:
    if not settings.REDIS_URL:
        return "not configured"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.to_thread(caches["redis"].get, "health")
    except Exception:  # whatever the Redis client raises: it does not work
        return "down"
    return "ok"


def _shown(hosts: Iterable[Host], now: float) -> list[dict[str, Any]]:
    """KRA's hosts by name; control units at taxpayers' sites as one row, for their addresses are nobody's business."""
    shared = {urlsplit(profile.base_url).netloc for profile in PROFILES.values()}
    shared |= {urlsplit(url).netloc for url in (settings.KRA_SANDBOX_BASE_URL, settings.KRA_PROD_BASE_URL) if url}
    rows: dict[str, dict[str, Any]] = {}
    for host in hosts:
        name = host.name if host.name in shared else "control units at their sites"
        row = rows.setdefault(name, {"host": name, "breaker": "closed", "answered_at": None, "failed_at": None})
        if host.breaker.is_open:
            row["breaker"] = "open"
        for column, moment in (("answered_at", host.answered_at), ("failed_at", host.failed_at)):
            if moment is not None and (row[column] is None or moment > row[column]):
                row[column] = moment
    return [
        {
            "host": row["host"],
            "breaker": row["breaker"],
            "answered_seconds_ago": None if row["answered_at"] is None else round(now - row["answered_at"], 1),
            "failed_seconds_ago": None if row["failed_at"] is None else round(now - row["failed_at"], 1),
        }
        for row in rows.values()
    ]
