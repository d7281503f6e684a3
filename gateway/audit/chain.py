"""The journal's chain: each event is sealed with its content, its position and the seal before it.

Sealing happens in the background, so that writing an event stays as quick as it is. Events are taken in whatever order
they become visible, never "those with an id above the last", so one that commits late is sealed late and none is left
out. A position is given once, under the lock of the one `ChainHead` row. The head and a daily anchor are signed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction

from gateway.audit.archived import BadArchive, Run, runs_by_start
from gateway.audit.models import Anchor, ChainHead, Event
from gateway.lib.clock import NAIROBI, utc_now
from gateway.lib.crypto import is_signed
from gateway.tenants.vault import is_ours, sign

BATCH = 1000
CONTENT = (
    *("public_id", "company_id", "environment", "name", "severity", "subject", "actor", "address", "request_id"),
    *("data", "before", "after", "at"),
)
_encoder = msgspec.json.Encoder(order="sorted")
SEAL_POSTGRES = """
UPDATE audit_event e SET position = r.position, seal = r.seal
FROM jsonb_to_recordset(%s::jsonb) AS r(id bigint, position bigint, seal text)
WHERE e.id = r.id AND e.at BETWEEN %s AND %s
"""  # the times leave out all months but theirs
SEAL_SQLITE = "UPDATE audit_event SET position = %s, seal = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first place where the journal is not as it was written.

    `kind`: changed, missing, inserted, head, anchor, archive.
    """

    kind: str
    position: int
    says: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at the whole chain found: events sealed and checked, those still to be sealed, and the first flaw."""

    checked: int
    unsealed: int
    flaw: Flaw | None
    unknown_keys: list[str]  # public keys of anchors that no master key at hand belongs to
    unread: int  # of those checked: archived and known by the seal of the last one alone


def seal_journal(*, now: datetime | None = None) -> int:
    """Seal every event that is visible and not sealed yet; how many. Two runs at once share the work or wait."""
    sealed = 0
    while batch := _seal_batch():
        sealed += batch
    return sealed


def anchor_journal(*, now: datetime | None = None) -> int:
    """Seal what is left, sign the chain's end as the day's anchor and mail it to ANCHOR_EMAIL; 0 when it is made."""
    seal_journal()
    today = (now or utc_now()).astimezone(NAIROBI).date()
    anchor = _anchor(today)
    if anchor is None:
        return 0
    if settings.ANCHOR_EMAIL:
        subject = f"Journal anchor of {today}"
        EmailMessage(f"{settings.EMAIL_SUBJECT_PREFIX}{subject}", as_text(anchor), to=[settings.ANCHOR_EMAIL]).send()
    return 1


def as_text(anchor: Anchor) -> str:
    """An anchor as one line of JSON, to be kept elsewhere."""
    fields = ("date", "position", "seal", "count", "public_key", "signature")
    return msgspec.json.encode({name: getattr(anchor, name) for name in fields}).decode()


def verify_journal(*, against: Iterator[str] | None = None, archives: Path | None = None) -> Verdict:
    """Work every seal out anew and compare; `against` are anchors that were kept elsewhere (`as_text`, one a line).

    Months that were archived are read from the folder `archives`; without it the chain goes on after them with the
    seal that was kept.
    """
    head = ChainHead.objects.filter(pk=1).first() or ChainHead()
    copies = [msgspec.json.decode(line, type=dict[str, Any]) for line in against or () if line.strip()]
    anchors = list(Anchor.objects.order_by("date"))
    kept = [msgspec.json.decode(as_text(anchor), type=dict[str, Any]) for anchor in anchors]
    seals: dict[int, str | None] = dict.fromkeys([0, *(row["position"] for row in (*kept, *copies))], "")
    unsealed = Event.objects.filter(position=None).count()
    try:
        runs = runs_by_start(archives)
        checked, unread, flaw = _walk(head.position, seals, runs)
    except BadArchive as error:
        return Verdict(0, unsealed, Flaw("archive", 0, str(error)), [], 0)
    if flaw is None:
        flaw = _look_at_head(head, seals[checked] or "") or _look_at_anchors([*kept, *copies], seals, checked)
    strange = {anchor.public_key for anchor in anchors if not is_ours(anchor.public_key)}
    return Verdict(checked, unsealed, flaw, sorted(strange), unread)


@transaction.atomic
def _seal_batch() -> int:
    ChainHead.objects.get_or_create(pk=1)
    head = ChainHead.objects.select_for_update().get(pk=1)
    rows = list(Event.objects.filter(position=None).order_by("id").values("id", *CONTENT)[:BATCH])
    if not rows:
        return 0
    position, seal = head.position, head.seal
    sealed = []
    for row in rows:
        position += 1
        seal = seal_of(row, position, seal)
        sealed.append({"id": row["id"], "position": position, "seal": seal})
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            times = [row["at"] for row in rows]
            cursor.execute(SEAL_POSTGRES, [msgspec.json.encode(sealed).decode(), min(times), max(times)])
        else:
            cursor.executemany(SEAL_SQLITE, [(row["position"], row["seal"], row["id"]) for row in sealed])
    head.position, head.seal = position, seal
    head.public_key, head.signature = sign(_end(position, seal))
    head.save()
    return len(rows)


@transaction.atomic
def _anchor(today: date) -> Anchor | None:
    head = ChainHead.objects.select_for_update().get(pk=1)  # the lock keeps a second anchor of today away
    if Anchor.objects.filter(date=today).exists():
        return None
    before = Anchor.objects.order_by("-position").values_list("position", flat=True).first() or 0
    public_key, signature = sign(_anchored(today, head.position, head.seal))
    return Anchor.objects.create(
        date=today,
        position=head.position,
        seal=head.seal,
        count=head.position - before,
        public_key=public_key,
        signature=signature,
    )


def seal_of(row: Mapping[str, Any], position: int, before: str) -> str:
    """SHA-256 (hex) over position, the seal before, and the content as JSON with sorted keys and times in UTC."""
    content = {**{name: row[name] for name in CONTENT}, "at": row["at"].astimezone(UTC).isoformat()}
    return hashlib.sha256(b"%d\n%b\n" % (position, before.encode()) + _encoder.encode(content)).hexdigest()


def _end(position: int, seal: str) -> bytes:
    return f"head:{position}:{seal}".encode()


def _anchored(day: date, position: int, seal: str) -> bytes:
    return f"anchor:{day.isoformat()}:{position}:{seal}".encode()


def _walk(end: int, seals: dict[int, str | None], runs: dict[int, Run]) -> tuple[int, int, Flaw | None]:
    """How many events are sealed rightly, one after the other, how many of them went unread, and what is wrong with the
    next. Fills `seals`, with None where an archive was not read."""
    before, expected, unread = "", 1, 0
    columns = ("id", "position", "seal", *CONTENT)
    sealed = Event.objects.exclude(position=None).order_by("position").values(*columns)
    for row in chain(sealed.iterator(chunk_size=BATCH), [None]):
        while row is None or row["position"] > expected:
            if (run := runs.get(expected)) is None:
                break
            if run.rows is None:
                seals |= dict.fromkeys(seals.keys() & range(run.first, run.last), None)
                unread += run.last - run.first + 1
            elif flaw := _read(run, before, seals):
                return expected - 1, unread, flaw
            before, expected = run.seal, run.last + 1
            seals |= {run.last: before} if run.last in seals else {}
        if row is None:
            break
        position = row["position"]
        if position > end:
            return expected - 1, unread, Flaw("inserted", position, f"{_named(row)} stands behind the end of the chain")
        if position > expected:
            return expected - 1, unread, _gone(expected)
        if position < expected:
            return expected - 1, unread, Flaw("inserted", position, f"{_named(row)} stands where another one does")
        if seal_of(row, position, before) != row["seal"]:
            return expected - 1, unread, _why(row, before)
        before = row["seal"]
        expected = position + 1
        if position in seals:
            seals[position] = before
    seals[expected - 1] = before
    return expected - 1, unread, _gone(expected) if expected <= end else None


def _read(run: Run, before: str, seals: dict[int, str | None]) -> Flaw | None:
    """What is wrong in an archived stretch of the chain, worked out anew from its file."""
    position = run.first - 1
    for position, row in enumerate(run.rows or (), run.first):
        if row["position"] != position or seal_of(row, position, before) != row["seal"]:
            return Flaw("archive", position, f"{_named(row)} is not as it was sealed")
        before = row["seal"]
        if position in seals:
            seals[position] = before
    return None if (position, before) == (run.last, run.seal) else _gone(position + 1)


def _gone(position: int) -> Flaw:
    return Flaw("missing", position, f"the event at position {position} is gone")


def _why(row: dict[str, Any], before: str) -> Flaw:
    """An event that does not fit: when the one after it fits in its place, it was put between."""
    position = row["position"]
    after = Event.objects.filter(position=position + 1).values("seal", *CONTENT).first()
    if after is not None and seal_of(after, position, before) == after["seal"]:
        return Flaw("inserted", position, f"{_named(row)} was put between two others")
    return Flaw("changed", position, f"{_named(row)} is not as it was sealed")


def _look_at_head(head: ChainHead, seal: str) -> Flaw | None:
    if not head.position:
        return None
    end = _end(head.position, head.seal)
    is_genuine = is_signed(end, public_key=head.public_key, signature=head.signature) and is_ours(head.public_key)
    if is_genuine and seal == head.seal:
        return None
    return Flaw("head", head.position, "the chain's end is not one that this installation has signed")


def _look_at_anchors(anchors: list[dict[str, Any]], seals: dict[int, str | None], checked: int) -> Flaw | None:
    """Each anchor, and each copy kept elsewhere, must be genuine and tell the seal that stands at its position.

    Where that lies in an archive that is not at hand, its signature must do.
    """
    for anchor in anchors:
        day, position = date.fromisoformat(anchor["date"]), anchor["position"]
        said = _anchored(day, position, anchor["seal"])
        if not is_signed(said, public_key=anchor["public_key"], signature=anchor["signature"]):
            return Flaw("anchor", position, f"the anchor of {day} is not signed by the key it names")
        if position > checked or seals[position] not in {None, anchor["seal"]}:
            return Flaw("anchor", position, f"the journal is not the one that the anchor of {day} was made of")
    return None


def _named(row: dict[str, Any]) -> str:
    return f"event {row['public_id']} ({row['name']}, {row['at'].astimezone(NAIROBI):%Y-%m-%d %H:%M:%S})"
