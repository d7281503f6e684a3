"""How often something may happen, and counting how often it did: fixed windows, in memory."""

import re
from typing import NamedTuple

_WRITTEN = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour)", re.ASCII)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}


class Rate(NamedTuple):
    """So many in each window of so many seconds."""

    most: int
    seconds: int


def read_rate(text: str) -> Rate | None:
    """A rate as in `600/minute`; None for the empty text, which is no limit. Raises ValueError."""
    if not text.strip():
        return None
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no rate such as 20/second, 600/minute or 10000/hour")
    return Rate(int(found[1]), _SECONDS[found[2]])


class Window:
    """Counts by id within the present window; those of the window before are forgotten all at once.

    Windows are numbered from the clock's beginning, so that all who share a clock speak of the same ones.

    A counter for each id with an end of its own would have to be swept; this costs a look-up and an addition. Around
    the turn of a window twice the rate can pass.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._number = -1
        self._counts: dict[object, int] = {}

    def add(self, id: object, *, now: float, times: int = 1) -> int:
        """Count the id `times` more at a moment (seconds of any clock); how often it was counted in this window."""
        number = self.number(now)
        if number != self._number:
            self._number = number
            self._counts = {}
        count = self._counts[id] = self._counts.get(id, 0) + times
        return count

    def learn(self, id: object, count: int, *, number: int) -> None:
        """Take over what others have counted too, if that was in the present window."""
        if number == self._number:
            self._counts[id] = count

    def number(self, now: float) -> int:
        """The number of the window that a moment lies in."""
        return int(now // self._seconds)
