"""How lanes stand, in words for an operator's terminal: why one stands still, and what to do about it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from gateway.lanes.actions import NotPossible
from gateway.lanes.models import Attempt, Job, Lane
from gateway.lanes.queries import Standing, Story
from gateway.lib.clock import NAIROBI
from gateway.purchases.doubts import find_purchase_doubt
from gateway.sales.doubts import Doubt, find_doubt
from gateway.sales.models import Invoice
from gateway.stock.doubts import find_stock_doubt

_WORDS = {
    "working": "working",
    "orphaned": "its process stopped; another takes it over",
    "due": "due; waits for a process to take it",
    "idle": "nothing to do",
}


def table(standings: Sequence[Standing], *, now: datetime) -> str:
    """One line a lane; under a held one, what to do."""
    if not standings:
        return "No lane has anything to do."
    rows = [("LANE", "ID", "WAITING", "OLDEST", "OWNER", "STATE")]
    rows += [
        (
            str(one.lane),
            str(one.lane.pk),
            str(one.waiting),
            _age(one.oldest_at, now),
            _owner(one) or "-",
            state(one),
        )
        for one in standings
    ]
    lines = columns(rows)
    made = [lines[0]]
    for one, line in zip(standings, lines[1:], strict=True):
        made.append(line)
        if one.doing == "held":
            made.append(f"    {what_to_do(one.lane)}")
    return "\n".join(made)


def as_json(one: Standing, *, now: datetime) -> dict[str, Any]:
    """A lane for programs: times in UTC (ISO 8601), ages in whole seconds."""
    lane = one.lane
    resting = one.doing == "resting"
    return {
        "id": lane.pk,
        "lane": str(lane),
        "environment": lane.environment,
        "pin": lane.pin,
        "branch": lane.branch,
        "series": lane.series,
        "waiting": one.waiting,
        "oldest_at": _iso(one.oldest_at),
        "oldest_seconds": int((now - one.oldest_at).total_seconds()) if one.oldest_at else None,
        "state": one.doing,
        "since": _iso(lane.held_at) if one.doing == "held" else None,
        "until": _iso(lane.due_at) if resting else None,
        "why": lane.hold_reason or (lane.rest_reason if resting else "") or None,
        "what_to_do": what_to_do(lane) if one.doing == "held" else None,
        "owner": _owner(one),
        "next_number": lane.next_number,
        "failures": lane.failures,
    }


def story(told: Story, *, now: datetime) -> str:
    """One lane: how it stands and what to do, its last and next jobs, the messages about the one under way."""
    one = told.standing
    lane = one.lane
    facts = [f"next number {lane.next_number}", f"{one.waiting} waiting"]
    if one.oldest_at:
        facts.append(f"oldest {_age(one.oldest_at, now)}")
    if lane.failures:
        facts.append(f"{lane.failures} failures in a row")
    facts.append({True: "owner alive", False: "owner dead", None: "no owner"}[one.owner_alive])
    made = [f"{lane} (id {lane.pk})", state(one), ", ".join(facts)]
    if one.doing == "held":
        made.append(f"What to do: {what_to_do(lane)}")
    documents = _documents([*told.closed, *told.open])
    made += ["", "Last:", *_jobs(told.closed, documents), "", "Next:", *_jobs(told.open, documents)]
    if told.attempts:
        made += ["", f"Messages about {_name(told.open[0], documents)}:", *_attempts(told.attempts)]
    return "\n".join(made)


def state(one: Standing) -> str:
    """What a lane does, in one plain sentence."""
    lane = one.lane
    if one.doing == "held":
        after = ", after the turn that is running" if one.owner_alive else ""
        return f"held since {_moment(lane.held_at)}{after}: {lane.hold_reason}"
    if one.doing == "resting":
        return f"resting until {_moment(lane.due_at)}: {lane.rest_reason or 'no reason was kept'}"
    return _WORDS[one.doing]


def what_to_do(lane: Lane) -> str:
    """What a person can do about a held lane."""
    if lane.series == Lane.Series.STOCK:
        return _about_stock(lane)
    if lane.series == Lane.Series.PURCHASE:
        return _about_purchase(lane)
    try:
        doubt = find_doubt(lane)
        can_ask = doubt.can_be_looked_up()
    except NotPossible as nothing:
        return str(nothing)
    if can_ask:
        return (
            f"`lanes release {lane}` asks KRA once more about {named(doubt)}. If it holds again, compare with KRA's "
            "portal: signed there, `lanes resolve … --signed FILE`; not there, `--give-back`."
        )
    return (
        f"Look for {named(doubt)} in the control unit's own list. There: `lanes resolve {lane} --signed FILE`. Not "
        "there: `--resend` sends it once more under its number, `--give-back` refuses it."
    )


def _about_purchase(lane: Lane) -> str:
    try:
        doubt = find_purchase_doubt(lane)
    except NotPossible as error:
        return str(error)
    return (
        f"Look on KRA's portal for purchase number {doubt.number} ({doubt.purchase.reference or doubt.purchase}). "
        f"There: `lanes resolve {lane} --recorded`. Not there: `lanes resolve {lane} --give-back`."
    )


def _about_stock(lane: Lane) -> str:
    try:
        doubt = find_stock_doubt(lane)
    except NotPossible as nothing:
        return str(nothing)
    return (
        f"Look on KRA's portal for stock movement number {doubt.job.number}. There: `lanes resolve {lane} --recorded`. "
        "Not there: `--resend` sends it once more under its number, `--give-back` refuses it."
    )


def named(doubt: Doubt) -> str:
    """The document as a person looks for it."""
    return f"number {doubt.number} ({doubt.invoice.reference}, KES {doubt.invoice.total})"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned lines."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _jobs(jobs: Sequence[Job], documents: dict[int, Invoice]) -> list[str]:
    rows = []
    for job in jobs:
        invoice = documents.get(job.document_id) if job.kind == "invoice" else None
        number = invoice.number if invoice else job.number
        rows.append(
            (
                f"  {number or '-'}",
                _name(job, documents),
                invoice.status if invoice else job.state,
                f"KES {invoice.total}" if invoice else "",
                job.last_error,
            )
        )
    return columns(rows) if rows else ["  none"]


def _attempts(attempts: Iterable[Attempt]) -> list[str]:
    return columns(
        [
            (
                f"  {_moment(one.started_at)}",
                one.operation,
                str(one.number or "-"),
                one.outcome,
                f"{one.duration_ms} ms",
                " ".join(part for part in (one.code, one.message) if part),
            )
            for one in attempts
        ]
    )


def _documents(jobs: Iterable[Job]) -> dict[int, Invoice]:
    ids = [job.document_id for job in jobs if job.kind == "invoice"]
    return Invoice.objects.only("reference", "status", "number", "total").in_bulk(ids)


def _name(job: Job, documents: dict[int, Invoice]) -> str:
    invoice = documents.get(job.document_id) if job.kind == "invoice" else None
    return invoice.reference if invoice else f"{job.kind} {job.document_id}"


def _owner(one: Standing) -> str | None:
    return {True: "alive", False: "dead", None: None}[one.owner_alive]


def _age(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "-"
    seconds = max(int((now - moment).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _moment(moment: datetime | None) -> str:
    """Nairobi time."""
    return f"{moment.astimezone(NAIROBI):%Y-%m-%d %H:%M:%S}" if moment else "-"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.replace(microsecond=0).isoformat()
