"""The engine's statements find rows by their keys, also while the tables are empty: prepared plans are kept."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from gateway.lanes.postgres import PLANS
from gateway.ops.engine_rights import statements
from tests.migrated import give_tables

pytestmark = pytest.mark.only_on("postgres")

# They count or walk what is open, which a partial index holds
WALKS = {"lanes_waiting", "open_jobs"}


def test_no_statement_of_the_engine_reads_a_table_from_end_to_end(database_url: str) -> None:
    give_tables({**os.environ, "DATABASE_URL": database_url})
    whole: dict[str, list[str]] = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, value in PLANS.items():
            connection.execute(f"SET {name} = {value}".encode())
        for name, text in statements().items():
            if found := list(whole_tables(plan_of(connection, text))):
                whole[name] = found
    assert set(whole) <= WALKS, whole
    assert len(statements()) > 50


def plan_of(connection: psycopg.Connection[Any], text: str) -> Mapping[str, Any]:
    """The plan that a prepared statement keeps."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    for place, name in enumerate(names, start=1):
        text = text.replace(f"%({name})s", f"${place}")
    count = len(names) or text.count("%s")
    for place in range(1, count + 1):
        text = text.replace("%s", f"${place}", 1)
    connection.execute(f"PREPARE one AS {text.replace('%%', '%')}".encode(), prepare=False)
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    row = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE one{values}".encode()).fetchone()
    connection.execute("DEALLOCATE one")
    assert row is not None
    plan: Mapping[str, Any] = row[0][0]["Plan"]
    return plan


def whole_tables(plan: Mapping[str, Any]) -> Iterator[str]:
    """Every scan of a table in the plan that no key leads."""
    below = plan.get("Plans", [])
    by_key = "Index Cond" in plan or any("Index Cond" in one for one in below)
    is_scan = plan["Node Type"] in {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
    if is_scan and not by_key and "Relation Name" in plan:
        yield f"{plan['Node Type']} of {plan['Relation Name']}: {plan.get('Filter', '')}"
    for one in below:
        yield from whole_tables(one)
