"""Stories of one breakdown each; `make chaos` tells every one of them once a shape."""

from collections.abc import Callable
from pathlib import Path

from tests.chaos.plant import Foundry
from tests.chaos.scenarios import clocks, crashes, credits, items, journey, outages, stock, storage, tills
from tests.chaos.seeds import Result

SCENARIOS: dict[str, Callable[[Foundry, Result, Path], None]] = {
    "nothing broken": tills.a_day_without_faults,
    "killed at every step": crashes.killed_at_every_step,
    "two engines for one lane": crashes.two_engines_for_one_lane,
    "late answer after a takeover": crashes.a_late_answer_after_a_takeover,
    "frozen before it sends": crashes.frozen_before_it_sends,
    "asked to end": crashes.handed_over,
    "heard elsewhere": tills.a_result_from_elsewhere,
    "many callers, same references": tills.many_callers_repeating_the_same_references,
    "always refused": tills.an_always_refused_document,
    "hanging branch": tills.one_hanging_branch,
    "lost answers": outages.lost_answers,
    "outage": outages.thirty_sales_in_an_outage,
    "outage of one branch": outages.thirty_sales_of_the_only_branch,
    "outage of a day": outages.a_day_without_kra,
    "new items killed at every step": items.new_items_killed_at_every_step,
    "stock killed at every step": stock.killed_at_every_step_of_stock,
    "stock under lost answers": stock.stock_under_lost_answers,
    "goods from customs to the shelf": journey.goods_from_customs_to_the_shelf,
    "credit notes killed at every step": credits.killed_at_every_step_of_a_credit,
    "credit notes under lost answers": credits.credits_under_lost_answers,
    "restored backup": storage.restored_backup,
    "restored backup, a twin first": storage.restored_backup_and_a_twin,
    "disk full": storage.disk_full,
    "clock back": clocks.clock_back_an_hour,
    "clock mended": clocks.clock_mended_during_a_doubt,
}

# What CI tells of each change: no story whose outcome depends on how fast the machine is
SHORT = (
    "killed at every step",
    "two engines for one lane",
    "late answer after a takeover",
    "frozen before it sends",
    "many callers, same references",
    "always refused",
    "restored backup",
)


def run_scenario(foundry: Foundry, name: str, result: Result, folder: Path) -> None:
    """Tell one story into its result. Raises seeds.Skipped with the reason when this machine cannot."""
    SCENARIOS[name](foundry, result, folder)
