"""`make bench`: how fast the gateway is on this machine, beside yardsticks measured in the same run.

Writes the figures to var/bench.json and a page to var/bench.html. It never fails for being slow: look at the table.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import plant
from tests.bench.cases import CASES, YARDSTICKS, Bench
from tests.bench.goals import GOALS
from tests.bench.page import page

FULL_GB = 40  # what the cases of ten million need on disk


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": model[0] if model else platform.machine(),
        "memory_gb": memory,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "load_before": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="only these")
    parser.add_argument("--seconds", type=float, default=10, help="how long each load lasts")
    parser.add_argument("--full", action="store_true", help="ten million invoices")
    parser.add_argument("--report", type=Path, default=Path("var/bench.json"))
    chosen = parser.parse_args()
    os.environ |= plant.SECRETS
    if chosen.full and (free := shutil.disk_usage(".").free // 10**9) < FULL_GB:
        print(f"The full bench needs {FULL_GB} GB of disk and there are {free}.", file=sys.stderr)
        return 2
    results: dict[str, Any] = {"machine": machine(), "yardsticks": {}}
    began = time.monotonic()
    with plant.scratch() as folder, plant.servers_of_postgres() as (database_url, redis_url):
        bench = Bench(database_url, redis_url, folder, chosen.seconds, chosen.full, results["yardsticks"])
        for name, yardstick in YARDSTICKS.items():
            results["yardsticks"][name] = tell(name, yardstick(bench))
        for name in chosen.cases or CASES:
            results[name] = tell(name, CASES[name](bench))
    results["seconds"] = round(time.monotonic() - began)
    chosen.report.parent.mkdir(parents=True, exist_ok=True)
    chosen.report.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    chosen.report.with_suffix(".html").write_text(page(results), encoding="utf-8")
    print(f"\n{table(results)}\n\n{results['seconds']} s; {chosen.report} and {chosen.report.with_suffix('.html')}")
    return 0


def tell(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Print a case's figures as they come."""
    print(f"{name}: {json.dumps(figures)}", flush=True)
    return figures


def table(results: dict[str, Any]) -> str:
    """Each line of the budget with what was measured."""
    lines = [f"{'':58}{'measured':>10}{'must':>8}{'goal':>8}"]
    for goal in GOALS:
        figure = goal.figure(results)
        if figure is None:
            continue
        verdict = "goal" if goal.reached(figure) else "must" if goal.holds(figure) else "MISSED"
        lines.append(f"{goal.what:58}{figure:>10g}{goal.must:>8g}{goal.goal:>8g}  {verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
