"""Conformance: each operation over each way to KRA, generated from the field tables.

The table's own example is accepted. Then each field is spoilt in each way that the table forbids: missing, too long, of
the wrong type, too precise, a code outside its class, a date that is none. Each time the refusal is the documented one,
in the words of that way, and KRA's state is what it was before.
"""

import copy
import re
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.servers import Simulator
from tests.simulator.till import WAYS, Answer, Kra, Till, example, operations, table

IDENTITY = {"tin", "bhfId", "cmcKey"}
COLUMN = {"oscu_direct": "oscu", "vscu": "vscu"}
CASES = [
    (operation, way)
    for operation in operations()
    for way in WAYS
    if operations()[operation]["paths"][COLUMN.get(way, way.replace("gavaconnect", "gava"))] is not None
]
NOT_ON_VSCU = {"taxpayer_info", "branch_customer_list", "sales_list", "invoice_details"}
KEEPS_NOTHING = ("import_item_update", "gavaconnect_integrator")  # answers success all the same, as observed live
UNITS_OF_THE_JAR = {"pkgUnitCd", "qtyUnitCd"}  # it takes any at item_save; a sale with a wrong one is refused


class Spoilt(NamedTuple):
    """A field, the value it gets (None: it is left out), what is wrong with that, the codes it may be refused with."""

    path: tuple[str, ...]
    value: Any
    kind: str
    codes: frozenset[str]


def ready(simulator: Kra, operation: str, way: str) -> tuple[Till, dict[str, Any]]:
    """A till in the state in which the operation's example is right, and that example."""
    flavour = WAYS[way][0]
    words = example(operation, flavour)
    if operation == "device_init":
        till = Till(simulator, way)
        words["dvcSrlNo"] = till.serial
        return till, words
    till = Till(simulator, way).start()
    words |= {"tin": till.pin, "bhfId": till.branch}
    if operation == "item_save":
        words["itemCd"] = "KE2NTTU0000002"
    elif operation == "item_composition_save":
        for serial in (2, 3):
            assert till.send("item_save", itemCd=f"KE2NTTU000000{serial}").is_accepted
    elif operation == "sales_save":
        words["invcNo"] = 1
    elif operation == "import_item_update":
        row = till.send("import_item_list").data["itemList"][0]
        words |= {name: row[name] for name in ("taskCd", "dclDe", "itemSeq", "hsCd")}
        words["itemCd"] = "KE2NTTU0000001"
    elif operation == "purchase_save":
        words |= {"spplrTin": "P000000101S", "spplrInvcNo": 1}
        words["itemList"][0]["itemCd"] = "KE2NTTU0000001"
    elif operation == "stock_io_save":
        words |= {"sarNo": till.facts()["next_stock"], "sarTyCd": "06"}
    elif operation == "stock_master_save":
        if flavour != "gavaconnect":
            till.stock_in("100")
        words["rsdQty"] = 100
    return till, words


def spoilt(
    fields: list[dict[str, Any]], flavour: str, operation: str, inside: tuple[str, ...] = ()
) -> Iterator[Spoilt]:
    """Each field with a value that is wrong."""
    missing_or_long, bad_code = frozenset({"910"}), frozenset({"913"})
    for row in fields:
        name, path = row["name"], (*inside, row["name"])
        if name in IDENTITY and not inside and operation != "device_init":
            continue  # header or body may carry it: tests/simulator/test_checks.py
        if row["required"] and not is_of_another_flavour(row, flavour):
            yield Spoilt(path, None, "missing", missing_or_long)
        if row["type"] in ("OBJECT", "LIST"):
            yield Spoilt(path, "text", "type", frozenset({"type"}))
            yield from spoilt(row["fields"], flavour, operation, path)
        elif row["type"] == "NUMBER":
            yield Spoilt(path, "abc", "type", frozenset({"type"}))
            yield Spoilt(path, 10 ** (row["precision"] - row["scale"]), "too long", missing_or_long)
            yield Spoilt(path, 1.001 if row["scale"] else 1.5, "too precise", missing_or_long)
        else:
            yield Spoilt(path, 12345, "type", frozenset({"type"}))
            has_codes = ("code_class" in row or "enum" in row) and not (
                operation == "item_save" and flavour == "vscu" and name in UNITS_OF_THE_JAR
            )
            too_long = "x" * (row["max_length"] + 1)
            yield Spoilt(path, too_long, "too long", missing_or_long | bad_code if has_codes else missing_or_long)
            if has_codes:
                yield Spoilt(path, "Q" * min(row["max_length"], 2), "bad code", bad_code)
            elif row.get("format", "").startswith("yyyyMMdd"):
                yield Spoilt(path, "9" * row["max_length"], "no date", missing_or_long)


def is_of_another_flavour(row: dict[str, Any], flavour: str) -> bool:
    where = row.get("where", "")
    return (where == "OSCU" and flavour == "vscu") or (where.startswith("VSCU") and flavour != "vscu")


def put(words: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(words)
    place: Any = changed
    for name in path[:-1]:
        place = place[name]
        if isinstance(place, list):
            place = place[0]
    if value is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    return changed


def is_refused_as(answer: Answer, flavour: str, path: tuple[str, ...], codes: frozenset[str]) -> bool:
    if flavour == "gavaconnect":
        known_words = any(
            re.search(row["regex"], answer.message, re.I | re.S) for row in table("errors")["message_patterns"]
        )
        return answer.status == 400 and answer.code == "400" and (path[-1] in answer.message or known_words)
    if flavour == "vscu" and codes == {"type"}:
        return answer.status == 400 and "resultCd" not in answer.body
    where = "".join(f"<{name}>" for name in path)
    wanted = {"910"} if codes == {"type"} else codes
    return answer.status == 200 and answer.code in wanted and where in answer.message


def recorded(simulator_process: Simulator) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that KRA keeps, read from its file, but the log of requests and the last contact of a unit."""
    state = sqlite3.connect(f"file:{simulator_process.log.parent / 'simulator.sqlite3'}?mode=ro", uri=True)
    try:
        tables = [row[0] for row in state.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: state.execute(f"SELECT * FROM {name}").fetchall() for name in tables if name != "requests"}
    finally:
        state.close()
    found["devices"] = [row[:-1] for row in found["devices"]]
    return found


@pytest.mark.parametrize(("operation", "way"), CASES)
def test_the_example_is_accepted_and_each_spoilt_field_is_refused_and_recorded_nowhere(
    simulator: Kra, simulator_process: Simulator, operation: str, way: str
) -> None:
    till, words = ready(simulator, operation, way)
    before = recorded(simulator_process)
    failures = []
    for path, value, kind, codes in spoilt(operations()[operation]["request"]["fields"], till.flavour, operation):
        answer = till.post(operation, put(words, path, value))
        if not is_refused_as(answer, till.flavour, path, codes):
            failures.append((path, value, kind, answer[:3]))
    assert not failures
    assert recorded(simulator_process) == before
    accepted = till.post(operation, words)
    assert accepted.code in ("000", "001"), accepted
    if operations()[operation]["mutates_kra_state"]:
        assert accepted.code == "000"
        keeps_nothing = (operation, way) == KEEPS_NOTHING
        assert (recorded(simulator_process) == before) is keeps_nothing


def test_no_operation_and_no_way_is_left_out() -> None:
    assert len(operations()) == 24 and list(WAYS) == [
        "oscu_direct", "gavaconnect_standard", "gavaconnect_integrator", "vscu"
    ]  # fmt: skip
    every = {(operation, way) for operation in operations() for way in WAYS}
    assert every - set(CASES) == {(operation, "vscu") for operation in NOT_ON_VSCU}


@pytest.mark.parametrize("operation", operations())
def test_no_field_is_left_out_nor_a_way_to_spoil_it(operation: str) -> None:
    for flavour in ("oscu_direct", "gavaconnect", "vscu"):
        fields = list(leaves(operations()[operation]["request"]["fields"]))
        made = {
            (one.path, one.kind) for one in spoilt(operations()[operation]["request"]["fields"], flavour, operation)
        }
        for path, row in fields:
            if row["name"] in IDENTITY and len(path) == 1 and operation != "device_init":
                continue
            kinds = {kind for found, kind in made if found == path}
            needed = {"type"} if row["type"] in ("OBJECT", "LIST") else {"type", "too long"}
            if row["required"] and not is_of_another_flavour(row, flavour):
                needed.add("missing")
            if "code_class" in row and not (flavour == "vscu" and row["name"] in UNITS_OF_THE_JAR):
                needed.add("bad code")
            assert needed <= kinds, (path, needed - kinds)


def leaves(
    fields: list[dict[str, Any]], inside: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every field with its path, those of parts too."""
    for row in fields:
        yield (*inside, row["name"]), row
        yield from leaves(row.get("fields", []), (*inside, row["name"]))
