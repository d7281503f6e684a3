"""The field tables and published examples of the specification, to hold our messages against."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.kra import operations

_FILE = Path(operations.__file__).parent / "data" / "endpoints.json"
SPEC: dict[str, Any] = {entry["id"]: entry for entry in json.loads(_FILE.read_text())["operations"]}


def check(fields: list[dict[str, Any]], record: dict[str, Any], flavour: str = "oscu") -> None:
    """Compare a body with the field table of the specification: names, types, widths, nothing unknown."""
    known = {field["name"]: field for field in fields}
    assert set(record) <= set(known)
    for name, field in known.items():
        where = field.get("where", "")
        if name == "cmcKey" or (name == "rptNo" and flavour == "oscu") or (name == "rcptPbctDt" and flavour == "vscu"):
            assert name not in record, where
            continue
        value = record[name]
        if value is None:
            assert not field["required"], name
        elif field["type"] == "CHAR":
            assert isinstance(value, str) and 0 < len(value) <= field["max_length"], name
        elif field["type"] == "NUMBER":
            assert isinstance(value, int | Decimal) and len(str(value).partition(".")[2]) <= field["scale"], name
        elif field["type"] == "LIST":
            for entry in value:
                check(field["fields"], entry, flavour)
        else:
            check(field["fields"], value, flavour)


def example_answer(name: str) -> Any:
    """The `data` of the published example of a look-up."""
    examples = SPEC[name]["examples"]["response"]
    return next(iter(examples.values()))["data"]
