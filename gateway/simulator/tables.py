"""The protocol as data: operations with their fields and paths, code classes, result messages.

Read from the same JSON files as the rest of the product; nothing else is shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import msgspec

DATA: Final = Path(__file__).resolve().parent.parent / "kra" / "data"
FLAVOURS: Final = ("oscu_direct", "gavaconnect", "vscu")

# Where each flavour is served beside the others, and where it is really found (endpoints table, "environments").
PREFIXES: Final = {
    "oscu_direct": ("/oscu/etims-api", "/etims-api"),
    "gavaconnect": ("/gavaconnect/etims-oscu/api/v1", "/etims-oscu/api/v1"),
    "vscu": ("/vscu", ""),
}
TOKEN_PATHS: Final = ("/gavaconnect/v1/token/generate", "/v1/token/generate")
RECEIPT_PATH: Final = "/common/link/etims/receipt/indexEtimsReceiptData"

# Codes the server invents a text for although the table has none.
_EXTRA_MESSAGES: Final = {
    "0": "Successful",
    "00": "Successful",
    "0000": "Successful",
    "E04": "Device or branch not found",
    "E11": "Internal memory full",
    "20": "Totals do not add up",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the protocol."""

    id: str
    is_write: bool
    fields: tuple[dict[str, Any], ...]
    paths: dict[str, str | None]
    aliases: tuple[str, ...]
    examples: dict[str, Any]


@cache
def read(name: str) -> dict[str, Any]:
    """One of the three data files: ``codes``, ``endpoints``, ``errors``."""
    return cast(dict[str, Any], msgspec.json.decode((DATA / f"{name}.json").read_bytes()))


@cache
def operations() -> dict[str, Operation]:
    """Every operation by its id."""
    found = {}
    for row in read("endpoints")["operations"]:
        found[row["id"]] = Operation(
            id=row["id"],
            is_write=row["mutates_kra_state"],
            fields=tuple(row["request"]["fields"]),
            paths={
                flavour: row["paths"].get(flavour) for flavour in ("oscu", "vscu", "gava_standard", "gava_integrator")
            },
            aliases=tuple(row["paths"].get("vscu_aliases_seen", ())),
            examples=row["examples"],
        )
    return found


def paths_of(operation: Operation, flavour: str) -> Iterator[str]:
    """The paths under which a flavour answers an operation; none when it does not know it."""
    names: tuple[str | None, ...]
    if flavour == "oscu_direct":
        names = (operation.paths["oscu"],)
    elif flavour == "gavaconnect":
        names = (operation.paths["gava_standard"], operation.paths["gava_integrator"])
    else:
        names = (operation.paths["vscu"], *operation.aliases)
    seen = set()
    for name in names:
        if name is not None and name not in seen:
            seen.add(name)
            yield name


@cache
def codes_of(code_class: str) -> frozenset[str]:
    """The codes of one class."""
    return frozenset(row["code"] for row in read("codes")["classes"][code_class]["codes"])


@cache
def directions() -> dict[str, int]:
    """Stock movement type to +1 (into stock) or -1 (out of stock); class 12."""
    rows = read("codes")["classes"]["12"]["codes"]
    return {row["code"]: 1 if row["direction"] == "in" else -1 for row in rows}


@cache
def messages() -> dict[str, str]:
    """The text that goes with each result code."""
    return {
        row["code"]: row["wire_message"] for row in read("errors")["codes"] if row["wire_message"]
    } | _EXTRA_MESSAGES
