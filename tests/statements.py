"""What a piece of work asks of the database."""

import contextlib
from collections.abc import Iterator

from django.db import connection
from django.test.utils import CaptureQueriesContext


@contextlib.contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that the block runs, there when it has ended; not PostgreSQL's being told whose rows may be seen."""
    seen: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield seen
    seen += [row["sql"] for row in captured.captured_queries if "set_config" not in row["sql"]]
