"""Stories of one breakdown each; `make chaos` tells every one of them once a shape."""

from collections.abc import Callable
from pathlib import Path

from tests.chaos.plant import Foundry
from tests.chaos.scenarios import clocks, crashes, outages, storage, tills
from tests.chaos.seeds import Result

SCENARIOS: dict[str, Callable[[Foundry, Result, Path], None]] = {
    "nothing broken": tills.a_day_without_faults,
    "killed at every step": crashes.killed_at_every_step,
    "two engines for one lane": crashes.two_engines_for_one_lane,
    "late answer after a takeover": crashes.a_late_answer_after_a_takeover,
    "many callers, same references": tills.many_callers_repeating_the_same_references,
    "always refused": tills.an_always_refused_document,
    "hanging branch": tills.one_hanging_branch,
    "lost answers": outages.lost_answers,
    "outage": outages.thirty_sales_in_an_outage,
    "outage of one branch": outages.thirty_sales_of_the_only_branch,
    "outage of a day": outages.a_day_without_kra,
    "restored backup": storage.restored_backup,
    "disk full": storage.disk_full,
    "clock back": clocks.clock_back_an_hour,
    "clock mended": clocks.clock_mended_during_a_doubt,
}


def run_scenario(foundry: Foundry, name: str, result: Result, folder: Path) -> None:
    """Tell one story into its result. Raises seeds.Skipped with the reason when this machine cannot."""
    SCENARIOS[name](foundry, result, folder)
