"""Write an old month of events to a file, and only then take it out of the database. PostgreSQL only.

A month may go when RETENTION_EVENT_YEARS have passed since the end of the period that it may concern (Tax Procedures
Act s. 23: five years from the end of the period concerned). That is a month for VAT and a year for income tax, which
may have begun with this month; so a year is added.

The file has one event a line, as JSON, in the order of the chain. It is written, read back from the disk and compared,
event by event with its seal; a crash before the month is taken out leaves a file that the next run writes again.
"""

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.db import OperationalError, connection, transaction

from gateway.audit.archived import BadArchive, file_name, read_rows, sha256_of, statement
from gateway.audit.chain import CONTENT, seal_of
from gateway.audit.models import Archive, Event
from gateway.lib.clock import NAIROBI, utc_now
from gateway.tenants.vault import sign

LONGEST_PERIOD = 1  # years: that of income tax
_MONTHS = """
SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE inhparent = 'audit_event'::regclass AND relname ~ '_[0-9]{4}_[0-9]{2}$' ORDER BY relname
"""


class NotArchived(Exception):
    """A month cannot be taken out of the database now; the text says why. Nothing is lost."""


@dataclass(frozen=True, slots=True)
class Written:
    """A month's file as it was read back from the disk."""

    month: str
    runs: list[list[Any]]  # first position, last position, seal of the last
    count: int
    sha256: str


def due_months(*, now: datetime | None = None) -> list[str]:
    """The months (2026-11) whose events may leave the database, oldest first."""
    today = (now or utc_now()).astimezone(NAIROBI).date()
    return [month for month in _months() if _due_on(month) <= today]


def archive_month(month: str, folder: Path, *, now: datetime | None = None) -> Written:
    """Write a month to the folder, check the file, take the month out. Raises NotArchived, for example before its time.

    A second run of a month that is gone raises NotArchived too; one that was stopped in the middle starts anew.
    """
    if month not in _months():
        raise NotArchived(f"there is no month {month} in the database")
    if (now or utc_now()).astimezone(NAIROBI).date() < _due_on(month):
        raise NotArchived(f"events of {month} must stay until {_due_on(month)}")
    written = write_month(month, folder)
    take_out(written)
    return written


def write_month(month: str, folder: Path) -> Written:
    """Write a month's events and their SHA-256 to the folder and read them back. Raises NotArchived."""
    if Archive.objects.filter(month=month).exists():
        raise NotArchived(f"{month} was archived before; events that came later stay in the database")
    begins, ends = _bounds(month)
    rows = Event.objects.filter(at__gte=begins, at__lt=ends)
    if unsealed := rows.filter(position=None).count():
        raise NotArchived(f"{unsealed} events of {month} are not sealed yet")
    path = folder / file_name(month)
    columns = ("id", "position", "seal", "dispatched_at", *CONTENT)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, (msgspec.json.encode(row) for row in rows.order_by("position").values(*columns).iterator(1000)))
        read = _read_back(month, path)
        _put(path.with_name(f"{path.name}.sha256"), f"{read.sha256}  {path.name}\n".encode())
    except OSError as error:
        raise NotArchived(f"{path}: {error}") from error
    if read.count != rows.count():
        raise NotArchived(f"{path} has {read.count} events, the database {rows.count()}")
    return read


def take_out(written: Written) -> None:
    """Drop the month of a file that was read back, and keep what the chain needs of it. Raises NotArchived."""
    table = f"audit_event_{written.month.replace('-', '_')}"
    public_key, signature = sign(statement(written.month, written.runs, written.count, written.sha256))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            cursor.execute(f"ALTER TABLE audit_event DETACH PARTITION {table}")
            cursor.execute(f"SELECT count(*) FROM {table}")
            if cursor.fetchone()[0] != written.count:
                raise NotArchived(f"events of {written.month} came while it was written")
            cursor.execute(f"DROP TABLE {table}")
            Archive.objects.create(
                month=written.month,
                runs=written.runs,
                count=written.count,
                sha256=written.sha256,
                public_key=public_key,
                signature=signature,
            )
    except OperationalError as error:
        raise NotArchived(f"{written.month} is being read; try again later") from error


def _months() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS)
        return [name[-7:].replace("_", "-") for (name,) in cursor.fetchall()]


def _due_on(month: str) -> date:
    ends = _bounds(month)[1].astimezone(NAIROBI).date()
    return ends.replace(year=ends.year + LONGEST_PERIOD + settings.RETENTION_EVENT_YEARS)


def _bounds(month: str) -> tuple[datetime, datetime]:
    first = date.fromisoformat(f"{month}-01")
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    begins, ends = (datetime.combine(day, time(), tzinfo=NAIROBI) for day in (first, following))
    return begins, ends


def _write(path: Path, lines: Iterator[bytes]) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            for line in lines:
                packed.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    _settle(part, path)


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _settle(part, path)


def _settle(part: Path, path: Path) -> None:
    """Give a written file its name, so that it has it after a power cut too."""
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_back(month: str, path: Path) -> Written:
    runs: list[list[Any]] = []
    count = 0
    try:
        for row in read_rows(path):
            position, count = row["position"], count + 1
            if not runs or position != runs[-1][1] + 1:
                runs.append([position, position, _seal_before(position)])
            if seal_of(row, position, runs[-1][2]) != row["seal"]:
                raise NotArchived(f"the event at position {position} is not as it was sealed; see verify_journal")
            runs[-1][1:] = [position, row["seal"]]
        return Written(month, runs, count, sha256_of(path))
    except BadArchive as error:
        raise NotArchived(str(error)) from error


def _seal_before(position: int) -> str:
    """The seal that an event at this position continues; it may lie in an archive."""
    if position == 1:
        return ""
    if found := Event.objects.filter(position=position - 1).values_list("seal", flat=True).first():
        return found
    runs = (run for archive in Archive.objects.all() for run in archive.runs)
    return next((seal for _, last, seal in runs if last == position - 1), "")
