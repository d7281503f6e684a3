"""What happened, in one list, newest first: calls to the API, messages to KRA, and the journal."""

import heapq
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from gateway.audit.models import ApiCall, Event, Severity
from gateway.devices.models import Device
from gateway.lanes.models import Attempt
from gateway.lib.clock import utc_now
from gateway.lib.cursor import BadCursor, read_text, write_text
from gateway.lib.masking import masked, masked_value
from gateway.sales.models import Invoice

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RECENT = timedelta(days=31)
DONE = ("done", "duplicate")
GRAVE = ("device_trouble", "drift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which entries; None does not filter. `since` is included, `before` is not.

    `code` is a problem's code, KRA's result code, or an event's name. `subject` is the public id of an invoice, a
    device or whatever an event is about. `bodies` shows what was said to KRA, masked.
    """

    kind: str | None = None
    device: Device | None = None
    code: str | None = None
    severity: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    reference: str | None = None
    subject: uuid.UUID | None = None
    bodies: bool = False


class Page(NamedTuple):
    """Entries, newest first, and the cursor of the next page, None at the end."""

    entries: list[dict[str, Any]]
    next: str | None


class _Place(NamedTuple):
    at: datetime
    rank: int
    id: int


class _Source(NamedTuple):
    """One of the three lists: how an entry is shown, and which rows a filter leaves."""

    model: type[ApiCall] | type[Attempt] | type[Event]
    time: str
    shown: Callable[[Any, bool], dict[str, Any]]
    conditions: Callable[[Filter, Q, "_Invoices"], Q]


class _Invoices(NamedTuple):
    """Which invoices a filter means: by the ids of their rows and by their public ids; None when it names none."""

    pks: list[int] | None
    public_ids: list[uuid.UUID] | None


def list_logs(
    company_id: int | None, environment: str, wanted: Filter, *, limit: int, cursor: str | None = None
) -> Page:
    """A page of what happened to a company (None: to the installation) in an environment, company-wide events included.

    Entries that were there when the first page was asked for are neither repeated nor skipped. Raises BadCursor.
    """
    place = None if cursor is None else _read_place(cursor)
    found = _invoices(company_id, environment, wanted)
    own = Q(company_id=company_id)
    if environment:
        own &= Q(environment__in=(environment, ""))
    lists = [
        _rows(rank, source, own, wanted, found, place, limit)
        for rank, (kind, source) in enumerate(_SOURCES.items())
        if wanted.kind in {None, kind}
    ]
    merged = list(islice(heapq.merge(*lists, key=lambda one: one[0], reverse=True), limit + 1))
    following = _write_place(merged[limit - 1][0]) if len(merged) > limit else None
    entries = []
    for (_, rank, _), row in merged[:limit]:
        kind = list(_SOURCES)[rank]
        entries.append({"kind": kind, **_SOURCES[kind].shown(row, wanted.bodies)})
    return Page(entries, following)


def _rows(
    rank: int, source: _Source, own: Q, wanted: Filter, found: _Invoices, place: _Place | None, limit: int
) -> Iterator[tuple[_Place, Any]]:
    rows: QuerySet[Any] = source.model._default_manager.filter(source.conditions(wanted, own, found))
    if wanted.since is not None:
        rows = rows.filter(**{f"{source.time}__gte": wanted.since})
    if wanted.before is not None:
        rows = rows.filter(**{f"{source.time}__lt": wanted.before})
    if place is not None:
        rows = rows.filter(**{f"{source.time}__lte": place.at})
        if rank >= place.rank:
            beyond = Q(**{f"{source.time}__lt": place.at})
            rows = rows.filter(beyond | Q(id__lt=place.id) if rank == place.rank else beyond)
    starts = [utc_now(), *(moment for moment in (wanted.before, place and place.at) if moment)]
    for row in _newest(rows, source.time, limit + 1, since=min(starts) - RECENT):
        yield _Place(getattr(row, source.time), rank, row.pk), row


def _newest(rows: QuerySet[Any], time: str, count: int, *, since: datetime) -> Iterator[Any]:
    """The newest rows: those since a moment, and only if they are too few, older ones; so most months go unread."""
    ordered = rows.order_by(f"-{time}", "-id")
    recent = list(ordered.filter(**{f"{time}__gte": since})[:count])
    yield from recent
    if len(recent) < count:
        yield from ordered.filter(**{f"{time}__lt": since})[: count - len(recent)]


def _invoices(company_id: int | None, environment: str, wanted: Filter) -> _Invoices:
    if wanted.reference is None and wanted.subject is None:
        return _Invoices(None, None)
    rows = Invoice.objects.filter(company_id=company_id or 0)
    if wanted.reference is not None:
        rows = rows.filter(reference=wanted.reference)
        rows = rows.filter(environment=environment) if environment else rows
    if wanted.subject is not None:
        rows = rows.filter(public_id=wanted.subject)
    pairs = list(rows.values_list("pk", "public_id"))
    public_ids = [public_id for _, public_id in pairs]
    if wanted.reference is None and wanted.subject is not None:
        public_ids = [wanted.subject]  # it may be a device, or whatever an event is about
    return _Invoices([pk for pk, _ in pairs], public_ids)


def _sold_by(device: Device, **which: Any) -> Exists:
    return Exists(Invoice.objects.filter(device=device, **which))


def _calls(wanted: Filter, own: Q, found: _Invoices) -> Q:
    if wanted.code is not None:
        own &= Q(code=wanted.code)
    if wanted.device is not None:
        own &= Q(subject=wanted.device.public_id) | Q(_sold_by(wanted.device, public_id=OuterRef("subject")))
    if found.public_ids is not None:
        own &= Q(subject__in=found.public_ids)
    match wanted.severity:
        case Severity.INFO:
            own &= Q(status__lt=400)
        case Severity.NOTICE:
            own &= Q(pk=None)
        case Severity.WARNING:
            own &= Q(status__gte=400, status__lt=500)
        case Severity.CRITICAL:
            own &= Q(status__gte=500)
    return own


def _attempts(wanted: Filter, own: Q, found: _Invoices) -> Q:
    if wanted.code is not None:
        own &= Q(code=wanted.code)
    if wanted.device is not None:
        of_device = Q(kind="device", document_id=wanted.device.pk)
        own &= of_device | Q(Q(kind="invoice"), _sold_by(wanted.device, pk=OuterRef("document_id")))
    if found.pks is not None:
        of_subject = Q(kind="invoice", document_id__in=found.pks)
        if wanted.subject is not None:
            devices = Device.objects.filter(public_id=wanted.subject)
            of_subject |= Q(kind="device", document_id__in=list(devices.values_list("pk", flat=True)))
        own &= of_subject
    match wanted.severity:
        case Severity.INFO:
            own &= Q(outcome__in=DONE)
        case Severity.NOTICE:
            own &= Q(pk=None)
        case Severity.WARNING:
            own &= ~Q(outcome__in=(*DONE, *GRAVE))
        case Severity.CRITICAL:
            own &= Q(outcome__in=GRAVE)
    return own


def _events(wanted: Filter, own: Q, found: _Invoices) -> Q:
    if wanted.code is not None:
        own &= Q(name=wanted.code)
    if wanted.device is not None:
        own &= Q(subject=wanted.device.public_id) | Q(_sold_by(wanted.device, public_id=OuterRef("subject")))
    if found.public_ids is not None:
        own &= Q(subject__in=found.public_ids)
    if wanted.severity is not None:
        own &= Q(severity=wanted.severity)
    return own


def _call_shown(row: ApiCall, bodies: bool) -> dict[str, Any]:
    severity = Severity.INFO if row.status < 400 else Severity.WARNING if row.status < 500 else Severity.CRITICAL
    return {
        "at": row.at,
        "severity": severity,
        "code": row.code or None,
        "text": f"{row.method} {masked(row.path)} was answered {row.status}",
        "subject": row.subject,
        "actor": row.key_prefix or None,
        "address": row.address or None,
        "request_id": row.request_id or None,
        "environment": row.environment or None,
        "details": {
            "method": row.method,
            "path": masked(row.path),
            "status": row.status,
            "duration_ms": row.duration_ms,
        },
    }


def _attempt_shown(row: Attempt, bodies: bool) -> dict[str, Any]:
    severity = Severity.INFO if row.outcome in DONE else Severity.CRITICAL if row.outcome in GRAVE else Severity.WARNING
    said = {"request": masked(row.request), "answer": masked(row.answer)} if bodies else {}
    return {
        "at": row.started_at,
        "severity": severity,
        "code": row.code or None,
        "text": f"{row.operation}: {row.outcome}",
        "subject": None,
        "actor": None,
        "address": None,
        "request_id": None,
        "environment": row.environment,
        "details": {
            "operation": row.operation,
            "outcome": row.outcome,
            "message": masked(row.message),
            "number": row.number,
            "http_status": row.http_status,
            "duration_ms": row.duration_ms,
            **said,
        },
    }


def _event_shown(row: Event, bodies: bool) -> dict[str, Any]:
    return {
        "at": row.at,
        "severity": row.severity,
        "code": row.name,
        "text": row.name.replace(".", " ").replace("_", " "),
        "subject": row.subject,
        "actor": row.actor or None,
        "address": row.address or None,
        "request_id": row.request_id or None,
        "environment": row.environment or None,
        "details": {
            "data": masked_value(row.data),
            "before": masked_value(row.before),
            "after": masked_value(row.after),
        },
    }


_SOURCES = {
    "api": _Source(ApiCall, "at", _call_shown, _calls),
    "kra": _Source(Attempt, "started_at", _attempt_shown, _attempts),
    "event": _Source(Event, "at", _event_shown, _events),
}


def _write_place(place: _Place) -> str:
    return write_text(f"{(place.at - _EPOCH) // timedelta(microseconds=1)}.{place.rank}.{place.id}")


def _read_place(cursor: str) -> _Place:
    try:
        at, rank, pk = (int(part) for part in read_text(cursor).split("."))
        if not (0 <= rank < len(_SOURCES) and 0 <= pk < 2**63):
            raise ValueError(cursor)
        return _Place(_EPOCH + timedelta(microseconds=at), rank, pk)
    except (ValueError, OverflowError):
        raise BadCursor(cursor) from None
