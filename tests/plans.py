"""How PostgreSQL runs a statement of the engine: the plan that a prepared one keeps, whatever its values are."""

import re
from typing import Any

import psycopg
from psycopg.rows import tuple_row


def kept_plan(connection: psycopg.Connection[Any], text: str, *, options: str) -> list[Any]:
    """What EXPLAIN with these options says, line by line. Leaves nothing behind but the settings it finds."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    for place, name in enumerate(names, start=1):
        text = text.replace(f"%({name})s", f"${place}")
    count = len(names) or text.count("%s")
    for place in range(1, count + 1):
        text = text.replace("%s", f"${place}", 1)
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    with connection.transaction(force_rollback=True), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE one AS {text.replace('%%', '%')}".encode(), prepare=False)
        plan = [line for (line,) in cursor.execute(f"EXPLAIN ({options}) EXECUTE one{values}".encode())]
        cursor.execute("DEALLOCATE one")  # the only thing that outlives the transaction
        return plan
