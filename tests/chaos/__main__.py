"""`python -m tests.chaos --seeds 20`: run the seeds and the scenarios, write the report, fail on any violation."""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.checks import Violation
from tests.chaos.plant import Foundry, Shape
from tests.chaos.report import keep_evidence, one_line, write_report
from tests.chaos.scenarios import SCENARIOS, SHORT, run_scenario
from tests.chaos.seeds import Result, Skipped, run_seed

SHAPES: dict[str, tuple[Shape, ...]] = {
    "postgres": ("postgres",),
    "embedded": ("embedded",),
    "both": ("postgres", "embedded"),
}
SHORT_SECONDS = 12.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many; 0 runs the scenarios only")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--shape", choices=SHAPES, default="both")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each seed sells and breaks")
    parser.add_argument("--report", type=Path, default=Path("var/chaos.json"))
    parser.add_argument("--scenarios", nargs="*", metavar="NAME", help="only these; none at all: leave them out")
    parser.add_argument("--short", action="store_true", help="one short storm a shape and some scenarios, as CI does")
    chosen = parser.parse_args()
    if chosen.short:
        chosen.seeds, chosen.seconds, chosen.scenarios = 1, SHORT_SECONDS, list(SHORT)
    return chosen


@contextlib.contextmanager
def guarded(result: Result) -> Iterator[None]:
    """Time a run; one that breaks off is a violation, and the others go on."""
    began = time.monotonic()
    try:
        yield
    except Skipped as reason:
        result.skipped = str(reason)
    except Exception as error:
        traceback.print_exc()
        result.violations.append(Violation("broke off", result.name, f"{type(error).__name__}: {error}"))
    result.wall_seconds = round(time.monotonic() - began, 1)


def main() -> int:
    """Run everything; 0 when no promise was broken."""
    chosen = arguments()
    began = time.monotonic()
    results: list[Result] = []
    kept = chosen.report.parent / f"{chosen.report.stem}-evidence"
    shutil.rmtree(kept, ignore_errors=True)

    def note(result: Result, folder: Path) -> None:
        results.append(result)
        print(one_line(result), flush=True)
        for violation in result.violations[:10]:
            print(f"    {violation.name}: {violation.subject}: {violation.detail[:300]}", flush=True)
        if result.violations:
            shutil.copytree(folder, kept / folder.name, dirs_exist_ok=True)
            keep_evidence(result, kept / folder.name)

    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        foundry = Foundry(Path(name))
        try:
            names = list(SCENARIOS) if chosen.scenarios is None else chosen.scenarios
            for shape in SHAPES[chosen.shape]:
                for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
                    folder = Path(name) / f"{shape}-seed-{seed}"
                    print(f"{shape:9}seed {seed}: begins", flush=True)
                    result = Result(f"seed {seed}", shape)
                    with guarded(result):
                        run_seed(foundry, seed, result, seconds=chosen.seconds, folder=folder)
                    note(result, folder)
                    shutil.rmtree(folder, ignore_errors=True)
                for scenario in names:
                    folder = Path(name) / f"{shape}-{scenario}"
                    result = Result(scenario, shape)
                    with guarded(result):
                        run_scenario(foundry, scenario, result, folder)
                    note(result, folder)
                    shutil.rmtree(folder, ignore_errors=True)
        finally:
            foundry.close()
    text = write_report(results, chosen.report, wall_seconds=time.monotonic() - began)
    print(f"\n{text}", end="")
    return 1 if any(result.violations for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
