"""Pages of a list, each behind the row of its cursor, so that none repeats or skips a row while new ones arrive."""

from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from gateway.lib.cursor import BadCursor, read_cursor, write_cursor

M = TypeVar("M", bound=Model)


def newest_first(rows: QuerySet[M], cursor: str | None, *, own: QuerySet[M] | None = None) -> QuerySet[M]:
    """The rows that were made before the cursor's, newest first; all of them without a cursor.

    The cursor's row must be among `own`, all that the caller may see (`rows`, where they are not filtered yet). Raises
    BadCursor.
    """
    if cursor is not None:
        rows = rows.filter(pk__lt=_place(rows if own is None else own, cursor)[0])
    return rows.order_by("-pk")


def latest_first(rows: QuerySet[M], column: str, cursor: str | None) -> QuerySet[M]:
    """The rows with the latest `column` first, of equal ones the newest, behind the cursor's. Raises BadCursor."""
    if cursor is not None:
        pk, value = _place(rows, cursor, column)
        # The first condition is where the index is entered; the second alone would have it read from its beginning
        rows = rows.filter(**{f"{column}__lte": value}).filter(Q(**{f"{column}__lt": value}) | Q(pk__lt=pk))
    return rows.order_by(f"-{column}", "-pk")


def oldest_first(rows: QuerySet[M], cursor: str | None) -> QuerySet[M]:
    """The rows that were made after the cursor's, oldest first. Raises BadCursor."""
    if cursor is not None:
        rows = rows.filter(pk__gt=_place(rows, cursor)[0])
    return rows.order_by("pk")


def page(rows: QuerySet[M], limit: int) -> tuple[list[M], str | None]:
    """The first rows, and the cursor of the following page; None at the end."""
    found = list(rows[: limit + 1])
    last: Any = found[limit - 1] if len(found) > limit else None
    return found[:limit], write_cursor(last.public_id) if last else None


def _place(own: QuerySet[Any], cursor: str, *columns: str) -> tuple[Any, ...]:
    """The key of the cursor's row, and its columns."""
    place: tuple[Any, ...] | None = own.filter(public_id=read_cursor(cursor)).values_list("pk", *columns).first()
    if place is None:
        raise BadCursor(cursor)
    return place
