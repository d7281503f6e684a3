"""The page that a native route's list is asked for; Django's lists read theirs with `lists`."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.api.problems import field, invalid
from gateway.lib.spelling import no_such_field

MOST_ROWS = 200


class Page(NamedTuple):
    """How many rows, and after which cursor."""

    limit: int = 50
    cursor: str | None = None


def read_page(query: Sequence[tuple[str, str]]) -> Page:
    """`?limit=&cursor=`. Raises Problem 422 for anything else."""
    asked = dict(query)
    wrongs = [
        field(name, "unknown_field", no_such_field(name, Page._fields))
        for name in sorted(asked.keys() - set(Page._fields))
    ]
    limit = asked.get("limit", "50")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= MOST_ROWS):
        wrongs.append(field("limit", "out_of_range", f"A page has 1 to {MOST_ROWS} rows."))
    if wrongs:
        raise invalid(wrongs)
    return Page(int(limit), asked.get("cursor"))
