"""KRA's code tables, by name."""

from datetime import datetime
from typing import Any

from ninja import Router, Schema
from pydantic import Field

from gateway.api.lists import only_these
from gateway.api.problems import Problem
from gateway.api.request import ApiRequest, must
from gateway.catalog.tables import TABLES, codes_checked_at, table_rows
from gateway.lib.spelling import closest
from gateway.tenants.rights import Right

router = Router(tags=["codes"])


class TableOut(Schema):
    name: str
    title: str
    kra_class: str = Field(description="KRA's number of the code class.")


class TablesOut(Schema):
    """`checked_at`: KRA's clock when it was last asked what has changed; null: these are the codes as shipped."""

    tables: list[TableOut]
    checked_at: datetime | None


class CodeOut(Schema):
    code: str
    name: str
    word: str | None = Field(description="What this API takes and gives for the code, where it has a word of its own.")
    rate: str | None = Field(description="Of a tax letter: its rate in percent.")
    in_use: bool
    valid_from: datetime | None


class CodesOut(TableOut):
    codes: list[CodeOut]
    checked_at: datetime | None


@router.get("/codes/", response=TablesOut, operation_id="list_code_tables", summary="List KRA's code tables")
def tables(request: ApiRequest) -> dict[str, Any]:
    """The names of KRA's code tables: units, countries, tax letters with their rates, and more."""
    must(request.auth, Right.READ)
    only_these(request)
    return {"tables": [_told(name) for name in TABLES], "checked_at": codes_checked_at(request.auth.environment)}


@router.get("/codes/{name}/", response=CodesOut, operation_id="get_code_table", summary="The codes of one table")
def codes(request: ApiRequest, name: str) -> dict[str, Any]:
    """All codes of a table, in KRA's order. Those that KRA has withdrawn are there too, not `in_use`."""
    must(request.auth, Right.READ)
    only_these(request)
    if name not in TABLES:
        hint = closest(name, TABLES)
        raise Problem("not_found", f"There is no code table {name[:50]}." + (f" Did you mean {hint}?" if hint else ""))
    environment = request.auth.environment
    rows = table_rows(environment, name)
    return {**_told(name), "codes": rows, "checked_at": codes_checked_at(environment)}


def _told(name: str) -> dict[str, str]:
    return {"name": name, "title": TABLES[name].title, "kra_class": TABLES[name].number}
