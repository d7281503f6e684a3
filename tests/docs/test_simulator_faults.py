"""The page about the simulator's faults says what the tests have seen."""

import re

from gateway.simulator.faults import KINDS
from tests.docs.pages import read, sections, table_rows
from tests.kra.test_against_simulator_faults import CODES

PAGE = "docs/reference/simulator-faults.md"


def test_every_fault_is_explained_and_none_that_does_not_exist() -> None:
    parts = ("Lost on the way", "Somebody else answers", "KRA's state changes")
    rows = [row[0] for part in parts for row in table_rows(sections(PAGE)[part]) if row[0]]
    assert sorted([*rows, "result_code"]) == sorted(KINDS)
    assert "`result_code`" in read(PAGE)


def test_the_classes_of_result_codes_are_those_that_come_out() -> None:
    for codes, sale, look_up in table_rows(sections(PAGE)["KRA says something"]):
        for code in re.findall(r"\b(?:\d{2,3}|E\d\d)\b", codes):
            found = tuple(error.__name__ if error else "done" for error in CODES[code])
            assert found == (sale, look_up.split(":")[0]), code
    named = " ".join(row[0] for row in table_rows(sections(PAGE)["KRA says something"]))
    assert {code for code in CODES if code not in named} == {"777"}
