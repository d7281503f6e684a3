"""Time at the edges. Inside, every datetime is aware and UTC; KRA speaks the local time of Nairobi."""

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

NAIROBI = ZoneInfo("Africa/Nairobi")

_STAMP = re.compile(
    r"(?P<y>\d{4})(?:-(?P<m>\d\d)-(?P<d>\d\d) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?:\.\d{1,6})?"
    r"|(?P<m2>\d\d)(?P<d2>\d\d)(?:(?P<H2>\d\d)(?P<M2>\d\d)(?P<S2>\d\d))?)",
    re.ASCII,
)


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def to_stamp14(moment: datetime) -> str:
    """yyyyMMddHHmmss in Nairobi time, whatever the zone of `moment`. Raises ValueError if it has none."""
    return _local(moment).strftime("%Y%m%d%H%M%S")


def to_date8(moment: datetime | date) -> str:
    """yyyyMMdd: a date as it is, an aware moment as the day it is in Nairobi."""
    if isinstance(moment, datetime):
        moment = _local(moment)
    return moment.strftime("%Y%m%d")


def from_stamp(text: str) -> datetime:
    """KRA's local time as an aware moment in UTC.

    Reads the 14 digit form, the 8 digit date (midnight in Nairobi), `yyyy-MM-dd HH:mm:ss` and the same with a fraction
    (OSCU spec v2.0 §3.3; the last two as seen in read-back lists). The fraction, always zero in practice, is dropped.
    Raises ValueError for anything else.
    """
    found = _STAMP.fullmatch(text.strip())
    if not found:
        raise ValueError(f"not a KRA time: {text!r}")
    part = found.groupdict()
    year, month, day = int(part["y"]), int(part["m"] or part["m2"]), int(part["d"] or part["d2"])
    hour, minute, second = (int(part[long] or part[long + "2"] or 0) for long in "HMS")
    return datetime(year, month, day, hour, minute, second, tzinfo=NAIROBI).astimezone(UTC)


def _local(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(NAIROBI)
