"""The tables that PostgreSQL keeps month by month (Nairobi's): events and messages to KRA; migration 0002 parts them.

A month that is missing loses nothing: its rows go to the `…_default` table, and to their month when that is made. The
work is done by functions of the database, because the chores own no table.
"""

from datetime import date, datetime

from django.db import connection

from gateway.lib.clock import NAIROBI, utc_now

PARTED = ("audit_event", "lanes_attempt")
AHEAD = 3  # months


def make_months(*, now: datetime | None = None, ahead: int = AHEAD) -> int:
    """Make this month's tables, the next ones', and those of rows that had none; how many. A second run makes none.

    Raises OperationalError when somebody reads all months for longer than 3 seconds; nothing was done then.
    """
    if connection.vendor != "postgresql":
        return 0
    first = _month(now)
    last = _later(first, ahead)
    made = 0
    for table in PARTED:
        with connection.cursor() as cursor:
            cursor.execute("SELECT make_months(%s, %s, %s)", [table, first, last])
            made += cursor.fetchone()[0]
    return made


def missing_months(*, now: datetime | None = None) -> list[str]:
    """The tables of this month and the next that are not there, whose rows go to the default table meanwhile."""
    if connection.vendor != "postgresql":
        return []
    this = _month(now)
    wanted = [f"{table}_{month:%Y_%m}" for table in PARTED for month in (this, _later(this, 1))]
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", [wanted])
        return [name for (name,) in cursor.fetchall()]


def drop_old_attempts(*, before: datetime) -> int:
    """Drop the months of messages to KRA that ended before; how many messages. PostgreSQL only."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT drop_old_attempts(%s)", [before])
        return int(cursor.fetchone()[0])


def _month(now: datetime | None) -> date:
    """The first day of the month that it is in Nairobi."""
    return (now or utc_now()).astimezone(NAIROBI).date().replace(day=1)


def _later(month: date, months: int) -> date:
    count = month.year * 12 + month.month - 1 + months
    return month.replace(year=count // 12, month=count % 12 + 1)
