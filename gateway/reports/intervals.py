"""Intervals of days, both included, that somebody asks a report for."""

from datetime import date


class IntervalBackwards(Exception):
    """It ends before it begins; `field` is what said the end."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class IntervalTooLong(Exception):
    """It has more than `most` days."""

    def __init__(self, field: str, most: int) -> None:
        super().__init__(field)
        self.field = field
        self.most = most


def check_interval(first_day: date, last_day: date, *, most: int, field: str) -> None:
    """Raises IntervalBackwards, IntervalTooLong. `field` names what said the end."""
    if last_day < first_day:
        raise IntervalBackwards(field)
    if (last_day - first_day).days >= most:
        raise IntervalTooLong(field, most)
