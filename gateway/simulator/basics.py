"""Basic data that KRA publishes: code lists, item classes."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from gateway.simulator.answers import NUMBERS, Missing
from gateway.simulator.call import Call
from gateway.simulator.classes import LIST_DATE, item_classes
from gateway.simulator.clock import parse14
from gateway.simulator.tables import read

PUBLISHED: Final = parse14(LIST_DATE)
_RATE_LABEL: Final = {"04": "Tax Rate"}


def code_list(call: Call) -> dict[str, Any]:
    """All classes with all codes; after the first time only what changed since, which can only be the tax rates."""
    since = call.since()
    if since <= PUBLISHED:
        return {"clsList": msgspec.Raw(_encoded_codes(_rates(call)))}
    if since <= call.settings.rates_changed_at:
        return {"clsList": [_code_class("04", _rates(call))]}
    raise Missing


def item_class_list(call: Call) -> dict[str, Any]:
    """The whole tree the first time. GavaConnect remembers that the branch has asked."""
    if not call.branch.knows_classes:
        call.branch.knows_classes = True
        call.world.ledger.touch(call.branch.row)
    if call.since() > PUBLISHED:
        raise Missing
    return {"itemClsList": msgspec.Raw(_encoded_classes())}


def _rates(call: Call) -> tuple[tuple[str, str], ...]:
    return tuple((letter, f"{rate:f}") for letter, rate in sorted(call.settings.rates.items()))


@cache
def _encoded_codes(rates: tuple[tuple[str, str], ...]) -> bytes:
    published = read("codes")["meta"]["live_classes"]
    return NUMBERS.encode([_code_class(code_class, rates) for code_class in published])


@cache
def _encoded_classes() -> bytes:
    return NUMBERS.encode([node.row() for node in item_classes().values()])


def _code_class(code_class: str, rates: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    table = read("codes")["classes"][code_class]
    by_letter = dict(rates)
    details = []
    for order, row in enumerate(table["codes"], 1):
        is_tax = code_class == "04"
        details.append({
            "cd": row["code"], "cdNm": row["name"], "cdDesc": row.get("meaning", row["name"]), "useYn": "Y",
            "srtOrd": row.get("sort", order), "userDfnCd1": by_letter[row["code"]] if is_tax else None,
            "userDfnCd2": row.get("receipt_table_label") if is_tax else None, "userDfnCd3": None,
        })  # fmt: skip
    return {
        "cdCls": code_class, "cdClsNm": table["name"], "cdClsDesc": None, "useYn": "Y",
        "userDfnNm1": _RATE_LABEL.get(code_class), "userDfnNm2": None, "userDfnNm3": None, "dtlList": details,
    }  # fmt: skip
