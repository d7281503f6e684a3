"""What the figures must be and should be (2 cores, all on one machine), and how far each still is."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the budget. `path` leads to the figure; `more` says whether more is better."""

    what: str
    path: tuple[str, ...]
    must: float
    goal: float
    more: bool = True

    def figure(self, results: dict[str, Any]) -> float | None:
        """The measured figure; None when its case was not run."""
        found: Any = results
        for name in self.path:
            if not isinstance(found, dict) or name not in found:
                return None
            found = found[name]
        return float(found)

    def holds(self, figure: float) -> bool:
        return figure >= self.must if self.more else figure <= self.must

    def reached(self, figure: float) -> bool:
        return figure >= self.goal if self.more else figure <= self.goal


GOALS = [
    Goal("signed sales/s, 256 connections, 2 000 branches, lean KRA", ("B1", "lean", "per_second"), 1000, 2000),
    Goal("the same against the full simulator", ("B1", "simulator", "per_second"), 600, 1000),
    Goal("times the plain way of the same run", ("B1", "lean", "times_the_plain_way"), 3, 5),
    Goal("CPU of gateway and database a sale (ms)", ("B1", "lean", "cpu_ms_per_sale"), 1.3, 0.8, more=False),
    Goal("added to KRA's time, p50 (ms)", ("B2", "added_p50_ms"), 6, 4, more=False),
    Goal("added to KRA's time, p99 (ms)", ("B2", "added_p99_ms"), 25, 15, more=False),
    Goal("one lane's backlog against a bare client", ("B3", "ratio"), 0.95, 0.98),
    Goal("KRA at 1 s, 800 tills: rate against the ideal", ("B4", "ratio"), 0.9, 0.97),
    Goal("/health/ p99 meanwhile (ms)", ("B4", "health_p99_ms"), 50, 10, more=False),
    Goal("lists at 1 M invoices, p95 (ms)", ("B6", "full", "list_p95_ms"), 100, 50, more=False),
    Goal("search at 1 M invoices, p95 (ms)", ("B6", "full", "search_p95_ms"), 100, 50, more=False),
    Goal("a company's page at 1 M invoices, p95 (ms)", ("B6", "full", "dashboard_p95_ms"), 300, 150, more=False),
    Goal("accepting at 1 M invoices against empty", ("B6", "accept_ratio"), 0.9, 0.95),
    Goal("embedded: resident memory (MB)", ("B7", "resident_mb"), 250, 150, more=False),
    Goal("embedded: start to ready (s)", ("B7", "start_seconds"), 3, 1.5, more=False),
]
