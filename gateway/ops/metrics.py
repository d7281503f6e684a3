"""Figures for Prometheus, of this process since its start. None of them names a company.

Every process that serves has its own; sum them. They are counted where the engine commits, so a figure never runs ahead
of what is durable.
"""

from collections import Counter as Tally

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.api.door import Door
from gateway.api.health import Reading
from gateway.audit.calls import CallLog
from gateway.lanes.attempts import RECORD_ATTEMPT
from gateway.lanes.engine import Engine
from gateway.lanes.store import Batch, Committed
from gateway.sales.statements import DOUBT, KEEP, REFUSE, SIGN

_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # KRA: from a test bench to its time-out
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Watches one engine."""

    def __init__(self, engine: Engine, calls: CallLog | None = None, door: Door | None = None) -> None:
        self._engine = engine
        self._calls = calls
        self._door = door
        self._registry = CollectorRegistry()

        def counted(name: str, text: str) -> Counter:
            return Counter(f"gateway_invoices_{name}", text, ["environment"], registry=self._registry)

        self._accepted = counted("accepted", "Invoices that were kept for the first time.")
        self._ended = {
            SIGN: counted("signed", "Invoices that KRA signed, recovered ones too."),
            REFUSE: counted("refused", "Invoices that KRA refused."),
            DOUBT: counted("unknown", "Times that KRA's answer to an invoice was lost."),
        }
        self._kra = Histogram(
            "gateway_kra_seconds",
            "How long KRA took to answer the engine.",
            ["operation", "outcome"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "gateway_commit_operations", "Operations in one commit.", buckets=_SIZES, registry=self._registry
        )
        self._failed = Counter("gateway_failed_commits", "Commits that failed.", registry=self._registry)
        self._gauges = {
            name: Gauge(f"gateway_{name}", text, registry=self._registry)
            for name, text in {
                "queue_age_seconds": "How long the oldest lane that is due and not held waits for somebody.",
                "lanes_held": "Lanes that are held until a person has looked.",
                "turns_running": "Documents that this process carries to KRA right now.",
                "requests_waiting": "Requests that wait for their receipt here.",
                "calls_dropped": "Calls to the API that were not written into the log of calls.",
                "calls_turned_away": "Calls that were refused at the door: asked too often, headers too large.",
            }.items()
        }
        self._failed_before = 0
        engine.observe = self.committed

    def committed(self, batch: Batch, committed: Committed) -> None:
        """Count what a commit made durable."""
        self._batches.observe(len(batch))
        accepted = Tally(
            intake.row["environment"]
            for intake in batch.intakes
            if intake.statement is KEEP and intake.row["public_id"] in committed.kept
        )
        for environment, count in accepted.items():
            self._accepted.labels(environment).inc(count)
        for settle in batch.settles:
            if settle.started.job_id not in committed.applied:
                continue
            for effect in settle.settlement.effects:
                if effect.statement is RECORD_ATTEMPT:
                    labels = (effect.row["operation"], effect.row["outcome"])
                    self._kra.labels(*labels).observe(effect.row["duration_ms"] / 1000)
                elif effect.statement in self._ended and not (effect.statement is DOUBT and settle.started.in_doubt):
                    self._ended[effect.statement].labels(settle.started.document["environment"]).inc()

    def render(self, reading: Reading) -> bytes:
        """Prometheus' text format 0.0.4."""
        gauges = self._engine.gauges
        self._gauges["queue_age_seconds"].set(reading.oldest_seconds)
        self._gauges["lanes_held"].set(reading.held_lanes)
        self._gauges["turns_running"].set(gauges.running)
        self._gauges["requests_waiting"].set(self._engine.watched)
        self._gauges["calls_dropped"].set(self._calls.dropped if self._calls else 0)
        self._gauges["calls_turned_away"].set(self._door.turned_away if self._door else 0)
        self._failed.inc(gauges.failed_commits - self._failed_before)
        self._failed_before = gauges.failed_commits
        return generate_latest(self._registry)
