"""The engine's statements find rows by their keys, also while the tables are empty: prepared plans are kept."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from gateway.lanes.postgres import PLANS
from gateway.ops.engine_rights import statements
from tests.migrated import give_tables
from tests.plans import kept_plan

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
            ((plan,),) = kept_plan(connection, text, options="FORMAT JSON")
            if found := list(whole_tables(plan["Plan"])):
                whole[name] = found
    assert set(whole) <= WALKS, whole
    assert len(statements()) > 50


def whole_tables(plan: Mapping[str, Any]) -> Iterator[str]:
    """Every scan of a table in the plan that no key leads."""
    below = plan.get("Plans", [])
    by_key = "Index Cond" in plan or any("Index Cond" in one for one in below)
    is_scan = plan["Node Type"] in {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
    if is_scan and not by_key and "Relation Name" in plan:
        yield f"{plan['Node Type']} of {plan['Relation Name']}: {plan.get('Filter', '')}"
    for one in below:
        yield from whole_tables(one)
