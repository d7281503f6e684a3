"""The simulator's own clock, which a test may set and move, and KRA's ways of writing a time.

All times are whole milliseconds since 1970 inside and Nairobi time (UTC+3, no daylight saving) on the wire:
14 characters in requests and answers, 19 and 21 in read-back lists, 8 for a day (OSCU spec v2.0 §3.3).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

NAIROBI: Final = timezone(timedelta(hours=3), "EAT")


class Clock:
    """Real time plus an offset. Moving it is the only way to change it; it never stands still."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms
        self._second = -1
        self._text = ""

    def now_ms(self) -> int:
        """Milliseconds since 1970 on the virtual clock."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    def advance(self, milliseconds: int) -> None:
        """Move the clock, forward or back."""
        self.offset_ms += milliseconds

    def set(self, moment: datetime) -> None:
        """Make it that moment now. A moment without a zone is Nairobi time."""
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=NAIROBI)
        self.offset_ms = round(moment.timestamp() * 1000) - time.time_ns() // 1_000_000

    def stamp(self, at_ms: int) -> str:
        """``yyyyMMddHHmmss``; remembers the last second, because a busy server asks for it all the time."""
        second = at_ms // 1000
        if second != self._second:
            self._second, self._text = second, text14(at_ms)
        return self._text


def moment_of(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(NAIROBI)


def text14(at_ms: int) -> str:
    """``yyyyMMddHHmmss`` in Nairobi."""
    return moment_of(at_ms).strftime("%Y%m%d%H%M%S")


def iso(at_ms: int) -> str:
    """For the control side: ISO 8601 with milliseconds and offset."""
    return (moment_of(at_ms) + timedelta(milliseconds=at_ms % 1000)).isoformat(timespec="milliseconds")


def text19(stamp: str | None) -> str | None:
    """``yyyyMMddHHmmss`` as read-back lists show it: ``yyyy-MM-dd HH:mm:ss``."""
    if not stamp:
        return None
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[8:10]}:{stamp[10:12]}:{stamp[12:14]}"


def text21(stamp: str | None) -> str | None:
    """The form inside the receipt part of a read-back: ``yyyy-MM-dd HH:mm:ss.0``."""
    text = text19(stamp)
    return None if text is None else text + ".0"


def parse14(stamp: str) -> int:
    """Milliseconds since 1970 of a ``yyyyMMddHHmmss`` in Nairobi. Raises ValueError."""
    if len(stamp) != 14 or not (stamp.isascii() and stamp.isdigit()):
        raise ValueError(stamp)
    moment = datetime(
        int(stamp[:4]),
        int(stamp[4:6]),
        int(stamp[6:8]),
        int(stamp[8:10]),
        int(stamp[10:12]),
        int(stamp[12:14]),
        tzinfo=NAIROBI,
    )
    return int(moment.timestamp()) * 1000


def is_day(text: str) -> bool:
    """True for a real day written ``yyyyMMdd``."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return False
    try:
        datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), tzinfo=NAIROBI)
    except ValueError:
        return False
    return True
