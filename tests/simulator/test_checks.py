"""Every operation of every flavour: the example is accepted; each field, spoilt in each way, is refused."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.till import Answer, Kra, Till, example, operations, table

IDENTITY = {"tin", "bhfId", "cmcKey"}
CASES = [
    (operation, flavour)
    for operation in operations()
    for flavour in ("oscu_direct", "gavaconnect", "vscu")
    if operations()[operation]["paths"]["vscu" if flavour == "vscu" else "oscu"] is not None
]


def ready(simulator: Kra, operation: str, flavour: str) -> tuple[Till, dict[str, Any]]:
    """A till in the state in which the operation's example is right, and that example."""
    words = example(operation, flavour)
    if operation == "device_init":
        till = Till(simulator, flavour)
        words["dvcSrlNo"] = till.serial
        return till, words
    till = Till(simulator, flavour).start()
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
) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Each field with a value that is wrong, and the code it must be refused with; None stands for a missing field."""
    for row in fields:
        name, path = row["name"], (*inside, row["name"])
        if name in IDENTITY and not inside and operation != "device_init":
            continue
        where = row.get("where", "")
        elsewhere = (where == "OSCU" and flavour == "vscu") or (where.startswith("VSCU") and flavour != "vscu")
        if row["required"] and not elsewhere:
            yield path, None, "910"
        if row["type"] in ("OBJECT", "LIST"):
            yield path, "text", "type"
            yield from spoilt(row["fields"], flavour, operation, path)
        elif row["type"] == "NUMBER":
            yield path, "abc", "type"
            yield path, 10 ** (row["precision"] - row["scale"]), "910"
            yield path, 1.001 if row["scale"] else 1.5, "910"
        else:
            yield path, 12345, "type"
            if operation == "item_save" and flavour == "vscu" and name in ("pkgUnitCd", "qtyUnitCd"):
                yield path, "x" * (row["max_length"] + 1), "910"
            elif row.get("code_class"):
                yield path, "QQ", "913"
            elif row.get("enum"):
                yield path, "Q", "913"
            elif row.get("format", "").startswith("yyyyMMdd"):
                yield path, "9" * row["max_length"], "910"
            else:
                yield path, "x" * (row["max_length"] + 1), "910"


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


def is_refused_as(answer: Answer, flavour: str, path: tuple[str, ...], code: str) -> bool:
    if flavour == "gavaconnect":
        known_words = any(
            re.search(row["regex"], answer.message, re.I | re.S) for row in table("errors")["message_patterns"]
        )
        return answer.status == 400 and answer.code == "400" and (path[-1] in answer.message or known_words)
    if flavour == "vscu" and code == "type":
        return answer.status == 400 and "resultCd" not in answer.body
    where = "".join(f"<{name}>" for name in path)
    return answer.status == 200 and answer.code == ("910" if code == "type" else code) and where in answer.message


@pytest.mark.parametrize(("operation", "flavour"), CASES)
def test_a_spoilt_field_is_refused_and_moves_nothing(simulator: Kra, operation: str, flavour: str) -> None:
    till, words = ready(simulator, operation, flavour)
    before = (till.facts(), len(till.ledger("all")))
    failures = []
    for path, value, code in spoilt(operations()[operation]["request"]["fields"], flavour, operation):
        answer = till.post(operation, put(words, path, value))
        if not is_refused_as(answer, flavour, path, code):
            failures.append((path, value, code, answer[:3]))
    assert not failures
    after = (till.facts(), len(till.ledger("all")))
    for facts in (before[0], after[0]):
        facts.pop("last_contact")
    assert before == after
    assert till.post(operation, words).code in ("000", "001"), till.post(operation, words)


def test_a_number_may_come_as_text_only_when_lenient(till: Till, simulator: Kra) -> None:
    document = example("sales_save", "oscu_direct")
    text = {name: str(value) if isinstance(value, (int, float)) else value for name, value in document.items()}
    text |= {"invcNo": "1", "tin": till.pin, "bhfId": till.branch}
    text.pop("salesTyCd")
    assert till.post("sales_save", text).code == "910"
    simulator.call("POST", "/_sim/settings", {"strict": False})
    assert till.post("sales_save", text).is_accepted


def test_headers_or_body_may_carry_the_identity_but_it_must_be_there_and_right(till: Till) -> None:
    words = example("code_list", "oscu_direct")
    path = till.path("code_list")
    assert path is not None
    identity = {"tin": till.pin, "bhfId": "00", "cmcKey": till.key}
    bare = {"lastReqDt": words["lastReqDt"]}

    def ask(headers: dict[str, str], body: dict[str, Any]) -> str:
        return till.raw("POST", path, json.dumps(body).encode(), headers).code

    assert ask(identity, bare) == "000"
    assert ask({}, bare | identity) == "000"
    for name in identity:
        assert ask({key: value for key, value in identity.items() if key != name}, bare) == "900"
        assert ask(identity | {name: "Z000000000Z"}, bare) == "901"


def test_a_body_that_is_no_json_object_is_refused(till: Till) -> None:
    path = till.path("code_list") or ""
    for body, code in ((b"", "911"), (b"{", "910"), (b"[]", "910"), (b"\xff\xfe", "910")):
        assert till.raw("POST", path, body, till.identity()).code == code
    assert till.raw("GET", path, b"", till.identity()).code == "912"


ODD: list[Any] = [True, {}, [], [1], -1, 1e300, 1e-300, "x" * 3000, "\0", 2**63, 10**37, " ", {"a": 1}, "20260231"]


@pytest.mark.parametrize(
    "operation", ["sales_save", "invoice_details", "stock_io_save", "purchase_save", "device_init"]
)
def test_no_value_however_odd_upsets_the_server(any_till: Till, operation: str) -> None:
    if any_till.path(operation) is None:
        return
    words = example(operation, any_till.flavour) | {"tin": any_till.pin, "bhfId": "00"}
    for row in operations()[operation]["request"]["fields"]:
        for value in ODD:
            assert any_till.post(operation, words | {row["name"]: value}).status in (200, 400), (row["name"], value)
    for body in (b"[" * 100_000, b'{"tin":"\\ud800"}', b'{"tin":1e999999999}', b"\0"):
        assert any_till.raw("POST", any_till.path(operation) or "", body, any_till.identity()).status in (200, 400)
