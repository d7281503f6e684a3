"""Item classes: a made-up tree in the shape of KRA's, from short word lists.

Codes have 2, 4, 6, 8 or 10 digits for levels 1 to 5; only the deepest carries a tax letter. The same words always give
the same codes, so a code chosen once stays valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

WORDS: Final = Path(__file__).resolve().parent / "data" / "classes.json"
LIST_DATE: Final = "20240101000000"  # when this list, and the code list, are said to have been published


class ItemClass(NamedTuple):
    """One node of the tree. ``tax`` is a letter of class 04, on the deepest level only."""

    code: str
    name: str
    level: int
    tax: str | None

    def row(self) -> dict[str, Any]:
        """As ``itemClsList`` shows it."""
        return {
            "itemClsCd": self.code,
            "itemClsNm": self.name,
            "itemClsLvl": self.level,
            "taxTyCd": self.tax,
            "mjrTgYn": None if self.tax is None else "N",
            "useYn": "Y",
        }


@cache
def item_classes() -> dict[str, ItemClass]:
    """The whole tree by code, in code order."""
    words = msgspec.json.decode(WORDS.read_bytes())
    found = {node.code: node for segment in words["segments"] for node in _segment(segment)}
    for row in words["fixed"]:
        found[row["code"]] = ItemClass(row["code"], row["name"], row["level"], row["tax"])
    return dict(sorted(found.items()))


def _segment(segment: dict[str, Any]) -> Iterator[ItemClass]:
    yield ItemClass(segment["code"], segment["name"], 1, None)
    for family in segment["families"]:
        yield ItemClass(family["code"], family["name"], 2, None)
        for group in family["classes"]:
            yield ItemClass(group["code"], group["name"], 3, None)
            yield from _goods(group)


def _goods(group: dict[str, Any]) -> Iterator[ItemClass]:
    kinds = group["kinds"].split(", ")
    for number, thing in enumerate(group["things"].split(", "), 1):
        code, name = f"{group['code']}{number:02d}", thing[0].upper() + thing[1:]
        yield ItemClass(code, name, 4, None)
        yield ItemClass(code + "00", f"{name}, not otherwise named", 5, group["tax"])
        for position, kind in enumerate(kinds, 1):
            yield ItemClass(f"{code}{position:02d}", f"{name}, {kind}", 5, group["tax"])
