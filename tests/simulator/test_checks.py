"""What every call must carry, and what no call can upset, beside the fields of each operation."""

import json
from typing import Any

import pytest

from tests.simulator.till import Kra, Till, example, operations


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
