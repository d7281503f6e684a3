"""The figures as a page with plots, in one file."""

from html import escape
from typing import Any

from tests.bench.goals import GOALS

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .5rem;border-bottom:1px solid #dde3e8;text-align:left}
td+td,th+th{text-align:right}.missed{color:#b3261e;font-weight:600}.goal{color:#146c43}svg{width:100%;height:auto}
"""
BAR = 26


def page(results: dict[str, Any]) -> str:
    """An HTML page; `results` is what var/bench.json holds."""
    machine = results["machine"]
    where = f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB, Python {machine['python']}"
    throughput = {
        "bare HTTP": _at(results, "yardsticks", "bare_http", "per_second"),
        "pgbench inserts": _at(results, "yardsticks", "pgbench", "per_second"),
        "lean KRA": _at(results, "B1", "lean", "per_second"),
        "full simulator": _at(results, "B1", "simulator", "per_second"),
        "embedded, SQLite": _at(results, "B7", "per_second"),
        "the plain way": _at(results, "yardsticks", "plain_way", "per_second"),
    }
    growth = results.get("B8", {})
    latency = {
        f"{name} {share}": _at(results, *path, f"{share}_ms")
        for name, path in {"lean KRA": ("B1", "lean"), "KRA at 1 s": ("B4",), "embedded": ("B7",)}.items()
        for share in ("p50", "p99")
    }
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>How fast it is</title><style>{STYLE}</style>",
        f"<h1>How fast it is</h1><p>{escape(where)}; {escape(machine['at'])}; load before {machine['load_before']}.",
        f"<h2>Budget</h2>{_budget(results)}",
        f"<h2>Sales a second</h2>{_bars(throughput)}",
        f"<h2>Answered within (ms)</h2>{_bars(latency)}",
        f"<h2>Growth: sales a second</h2>{_bars({name: row.get('per_second') for name, row in growth.items()})}",
        f"<h2>Growth: CPU a sale (ms)</h2>{_bars({name: row.get('cpu_ms_per_sale') for name, row in growth.items()})}",
    ]
    return "\n".join(parts) + "</html>\n"


def _at(results: Any, *path: str) -> float | None:
    for name in path:
        results = results.get(name, {}) if isinstance(results, dict) else {}
    return results if isinstance(results, int | float) else None


def _budget(results: dict[str, Any]) -> str:
    rows = []
    for goal in GOALS:
        figure = goal.figure(results)
        if figure is not None:
            kind = "goal" if goal.reached(figure) else "" if goal.holds(figure) else "missed"
            rows.append(
                f"<tr><td>{escape(goal.what)}<td class='{kind}'>{figure:g}<td>{goal.must:g}<td>{goal.goal:g}</tr>"
            )
    return f"<table><tr><th><th>measured<th>must<th>goal</tr>{''.join(rows)}</table>"


def _bars(figures: dict[str, float | None]) -> str:
    known = {name: value for name, value in figures.items() if value is not None}
    if not known:
        return "<p>Not measured in this run."
    most, parts = max(known.values()) or 1, []
    for place, (name, value) in enumerate(known.items()):
        top, width = place * BAR, 480 * value / most
        parts.append(
            f"<text x='0' y='{top + 17}'>{escape(name)}</text>"
            f"<rect x='170' y='{top + 4}' width='{width:.1f}' height='{BAR - 8}' fill='#2f6f9f' rx='2'/>"
            f"<text x='{176 + width:.1f}' y='{top + 17}'>{value:g}</text>"
        )
    return f"<svg viewBox='0 0 740 {len(known) * BAR}' font-size='13'>{''.join(parts)}</svg>"
