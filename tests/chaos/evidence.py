"""Gather what every side knows when all has come to rest."""

from collections import Counter
from datetime import datetime
from typing import Any

from tests.chaos.checks import Evidence
from tests.chaos.plant import Plant
from tests.chaos.tills import Book, Company

_ATTEMPTS = """
SELECT l.pin, a.operation, a.number, a.request_sha256 AS sha, a.started_at, a.duration_ms
FROM lanes_attempt a JOIN sales_invoice i ON i.id = a.document_id JOIN lanes_lane l ON l.id = i.lane_id
WHERE a.kind = 'invoice'
"""
_DOUBTS = """
SELECT u.at AS since, MIN(e.at) AS until
FROM audit_event u JOIN audit_event e ON e.subject = u.subject AND e.name IN ('invoice.signed', 'invoice.refused')
WHERE u.name = 'invoice.unknown' GROUP BY u.subject, u.at
"""


def gather(plant: Plant, book: Book, companies: list[Company], final: dict[str, dict[str, Any]]) -> Evidence:
    """The evidence of one run; the plant must be mended and quiet."""
    attempts = []
    for row in plant.rows(_ATTEMPTS):
        began = moment(row["started_at"])
        attempts.append({**row, "began": began, "ended": began + row["duration_ms"] / 1000})
    return Evidence(
        ledger=plant.simulator.ledger(),
        requests=plant.simulator.requests(operation="sales_save"),
        lookups=plant.simulator.requests(operation="invoice_details"),
        said=list(book.said),
        final=final,
        first_sent=dict(book.first_sent),
        pin_of={said.reference: said.pin for said in book.said},
        attempts=[row for row in attempts if row["operation"] == "sales_save"],
        disturbed=[*plant.disturbed, *plant.supervisor.disturbed],
    )


def felt(plant: Plant) -> dict[str, int]:
    """How many messages each of KRA's faults really struck."""
    return dict(sorted(Counter(name for row in plant.simulator.requests() for name in row["faults"]).items()))


def doubt_seconds(plant: Plant) -> list[float]:
    """How long each document that was in doubt stayed so, sorted."""
    return sorted(moment(row["until"]) - moment(row["since"]) for row in plant.rows(_DOUBTS))


def moment(value: Any) -> float:
    """Seconds since 1970 of a time as the databases give it: PostgreSQL aware, SQLite UTC as text."""
    return value.timestamp() if isinstance(value, datetime) else datetime.fromisoformat(f"{value}+00:00").timestamp()


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the sorted values lies; 0 for none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0
