"""How figures are judged, and the lean KRA's rule."""

import pytest

from tests.bench.__main__ import table
from tests.bench.goals import GOALS, Goal
from tests.bench.lean import Books
from tests.bench.page import page

MACHINE = {"cores": 2, "processor": "x", "memory_gb": 24, "python": "3.11", "at": "2026-11-20", "load_before": 0.1}


@pytest.mark.parametrize(
    ("more", "figure", "holds", "reached"),
    [(True, 10, True, True), (True, 6, True, False), (True, 4, False, False), (False, 4, True, True)],
)
def test_a_goal_is_judged_in_its_direction(more: bool, figure: float, holds: bool, reached: bool) -> None:
    goal = Goal("speed", ("B1", "x"), 5, 10, more=more) if more else Goal("time", ("B1", "x"), 10, 5, more=more)
    assert (goal.holds(figure), goal.reached(figure)) == (holds, reached)


def test_a_missed_goal_is_named_and_what_was_not_run_is_left_out() -> None:
    shown = table({"B3": {"ratio": 0.5}})
    assert "one lane's backlog" in shown and "MISSED" in shown
    assert len(shown.splitlines()) == 2
    assert len(table({}).splitlines()) == 1


def test_the_page_shows_the_budget_and_survives_a_run_of_few_cases() -> None:
    shown = page({"machine": MACHINE, "yardsticks": {"pgbench": {"per_second": 1000.0}}, "B3": {"ratio": 0.96}})
    assert "0.96" in shown and "pgbench inserts" in shown and "Not measured in this run." in shown
    assert len({goal.what for goal in GOALS}) == len(GOALS)


def test_the_lean_kra_takes_the_next_number_only() -> None:
    books = Books()
    assert b'"000"' in books.take(b"P/00", 1)
    assert b'"921"' in books.take(b"P/00", 3)
    assert b'"000"' in books.take(b"P/01", 1)
    assert books.refused == 1
