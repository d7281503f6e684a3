"""When periodic work is due: at equal distances, or once a day at a time of Nairobi's clocks."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from gateway.lib.clock import NAIROBI


@dataclass(frozen=True, slots=True)
class Every:
    """At equal distances, counted from the start."""

    period: timedelta

    def next_after(self, moment: datetime) -> datetime:
        """The first due time later than an aware moment."""
        return moment + self.period


@dataclass(frozen=True, slots=True)
class Daily:
    """Once a day at this time in Nairobi, which knows no summer time."""

    at: time

    def next_after(self, moment: datetime) -> datetime:
        """The first due time later than an aware moment."""
        local = moment.astimezone(NAIROBI)
        today = datetime.combine(local.date(), self.at, tzinfo=NAIROBI)
        return today if today > local else today + timedelta(days=1)


When = Every | Daily


def every(*, hours: int = 0, minutes: int = 0, seconds: int = 0) -> Every:
    """`every(minutes=5)`. Raises ValueError for less than a second."""
    period = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if period < timedelta(seconds=1):
        raise ValueError("periodic work needs a period of at least a second")
    return Every(period)


def daily(*, at: str) -> Daily:
    """`daily(at="01:00")`. Raises ValueError for what is no time of day."""
    return Daily(time.fromisoformat(at))
