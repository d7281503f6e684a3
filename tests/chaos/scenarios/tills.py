"""Callers who ask too often, too much, or for what KRA never takes."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.chaos.evidence import percentile
from tests.chaos.plant import Foundry
from tests.chaos.scenarios.stories import PRODUCTION, Story, story
from tests.chaos.seeds import Result, Skipped
from tests.chaos.tills import Company, ImpatientTill, OrderlyTill, settle

CALM_SECONDS = 12
HANG_SECONDS = 30
SALES_EACH = 12
ROUNDS = 3  # other work on the machine only ever adds time: the best round counts
HEARD_SECONDS = 0.05
HEARD_WITHOUT_REDIS_SECONDS = 1.0


def a_day_without_faults(foundry: Foundry, result: Result, folder: Path) -> None:
    """Nothing is broken: every sale reaches KRA exactly once, whichever process has its lane."""
    with story(foundry, result, folder, companies=5) as told:
        over = threading.Event()
        tills: list[OrderlyTill | ImpatientTill] = []
        for company in told.companies:
            told.plant.simulator.fault("sales_save", "delay", pin=company.pin, seconds=0.03)
            tills.append(OrderlyTill(company, "calm", over, lambda: float("inf")))
            tills.append(ImpatientTill(company, "calm", over, lambda: float("inf")))
        for till in tills:
            till.start()
        time.sleep(CALM_SECONDS)
        over.set()
        for till in tills:
            till.join()
        settle(told.companies, told.book, seconds=30)
        sent = told.plant.simulator.requests(operation="sales_save")
        result.expect(
            len(sent) == len(told.plant.simulator.ledger()), "second owner", "", f"{len(sent)} messages were sent"
        )


def many_callers_repeating_the_same_references(foundry: Foundry, result: Result, folder: Path) -> None:
    """Sixteen callers post the same ten sales at all doors at once, while answers of KRA are lost."""
    with story(foundry, result, folder, engines=1) as told:
        (company,) = told.companies
        told.fault("answer lost", "answer_lost", times=3, pin=company.pin)
        references = [f"SAME-{number}" for number in range(1, 11)]
        calls = [(reference, door) for _ in range(8) for reference in references for door in (0, 1)]
        with ThreadPoolExecutor(16) as hands:
            said = list(hands.map(lambda call: company.post(call[0], door=call[1], wait=25), calls))
        result.figures["calls"] = len(said)
        fresh = [one for one in said if one.status == 201]
        result.expect(
            len({one.reference for one in fresh}) >= len(fresh) - len(references),
            "doubled",
            company.pin,
            "201 was said more than once for a sale",
        )
        rows = told.plant.simulator.ledger()
        result.expect(len(rows) == len(references), "doubled", company.pin, f"KRA holds {len(rows)} records")


def an_always_refused_document(foundry: Foundry, result: Result, folder: Path) -> None:
    """KRA refuses one document however often it is asked; the sales behind it are signed without a gap."""
    with story(foundry, result, folder, engines=1) as told:
        (company,) = told.companies
        told.plant.simulator.call("POST", "/_sim/settings", {"future_seconds": 0})
        ahead = (datetime.now(UTC) + timedelta(seconds=240)).isoformat()
        for number in range(1, 6):
            refused = company.post("REFUSED", door=number, wait=25, issued_at=ahead)
            result.strike("refused")
            shown = refused.document or {}
            result.expect(
                refused.status == 422 and shown.get("status") == "refused" and shown["problem"]["kra"]["code"] == "910",
                "shown wrongly",
                "REFUSED",
                f"HTTP {refused.status}: {refused.body}",
            )
            good = company.post(f"GOOD-{number}", door=number, wait=25)
            result.expect(
                (good.document or {}).get("number") == number, "gap", f"GOOD-{number}", f"{good.status} {good.body}"
            )


def one_hanging_branch(foundry: Foundry, result: Result, folder: Path) -> None:
    """Each call of one branch hangs for 30 s; the median of the other companies stays under twice what it was."""
    with story(foundry, result, folder, companies=5, engines=1, seconds=150, **PRODUCTION) as told:
        sick, *others = told.companies
        _sell(others, "WARM")
        for turn in range(1, ROUNDS + 1):
            before = _sell(others, f"BEFORE-{turn}")
            told.fault("hanging", "delay", times=2, pin=sick.pin, seconds=HANG_SECONDS)
            for number in range(1, 6):
                sick.post(f"SICK-{turn}-{number}", wait=0)
            during = _sell(others, f"DURING-{turn}")
            told.plant.simulator.clear_faults()
            if during < 2 * before:
                break
            sick.wait_for(f"SICK-{turn}-5", seconds=3 * HANG_SECONDS)
        result.figures |= {"median ms before": round(before * 1000, 1), "median ms beside it": round(during * 1000, 1)}
        result.expect(during < 2 * before, "slowed", sick.pin, f"the others' median went from {before} to {during} s")


def a_result_from_elsewhere(foundry: Foundry, result: Result, folder: Path) -> None:
    """A till waits at one process for a sale that another settles: it hears over Redis, and without it by asking."""
    if result.shape == "embedded":
        raise Skipped("there is only one process")
    with story(foundry, result, folder, engines=0) as told:
        _heard(told, "WARM", rounds=1)
        typical, late = _heard(told, "REDIS", rounds=ROUNDS)
        result.figures |= {"ms to hear p50": round(typical * 1000, 1), "ms to hear p95": round(late * 1000, 1)}
        result.expect(typical < HEARD_SECONDS, "too late", "with Redis", f"half of them heard it after {typical:.3f} s")
        told.plant.programs["redis"].stop()
        result.strike("Redis away")
        typical, late = _heard(told, "ALONE", rounds=ROUNDS)
        result.figures["ms to hear without Redis p95"] = round(late * 1000, 1)
        allowed = HEARD_WITHOUT_REDIS_SECONDS
        result.expect(late < allowed, "too late", "without Redis", f"one in twenty heard it after {late:.3f} s")


def _heard(told: Story, name: str, *, rounds: int) -> tuple[float, float]:
    """From KRA's answer at one process to the till's at another, in seconds: p50 and p95 of the best round."""
    (company,) = told.companies
    best = (float("inf"), float("inf"))
    for turn in range(1, rounds + 1):
        heard: dict[str, float] = {}
        for number in range(1, SALES_EACH + 1):
            told.plant.simulator.fault("sales_save", "delay", pin=company.pin, seconds=0.3, times=1)
            company.post(f"{name}-{turn}-{number}-HERE", door=0, wait=0)  # from now on the lane is this process's
            said = company.post(f"{name}-{turn}-{number}-THERE", door=1, wait=25)
            told.result.expect(said.status == 201, "stuck", said.reference, f"{said.status} {said.body}")
            heard[said.reference] = said.at
        settled = told.settled_at()
        seconds = sorted(at - settled.get(reference, at - 99) for reference, at in heard.items())
        best = min(best, (percentile(seconds, 0.5), percentile(seconds, 0.95)))
    return best


def _sell(companies: list[Company], name: str) -> float:
    """The median time to a receipt, in seconds, of sales posted one after another at each company."""

    def one(company: Company) -> list[float]:
        times = []
        for number in range(1, SALES_EACH + 1):
            began = time.monotonic()
            company.post(f"{name}-{company.pin}-{number}", door=number, wait=20)
            times.append(time.monotonic() - began)
        return times

    with ThreadPoolExecutor(len(companies)) as hands:
        return statistics.median(seconds for times in hands.map(one, companies) for seconds in times)
