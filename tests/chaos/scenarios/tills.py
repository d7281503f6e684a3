"""Callers who ask too often, too much, or for what KRA never takes."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.chaos.plant import Foundry
from tests.chaos.scenarios.stories import PRODUCTION, story
from tests.chaos.seeds import Result
from tests.chaos.tills import Company, ImpatientTill, OrderlyTill, settle

CALM_SECONDS = 12
HANG_SECONDS = 30
SALES_EACH = 12


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
            said = list(hands.map(lambda call: company.post(call[0], door=call[1], wait=10), calls))
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
            refused = company.post("REFUSED", door=number, wait=10, issued_at=ahead)
            result.strike("refused")
            shown = refused.document or {}
            result.expect(
                refused.status == 422 and shown.get("status") == "refused" and shown["problem"]["kra"]["code"] == "910",
                "shown wrongly",
                "REFUSED",
                f"HTTP {refused.status}: {refused.body}",
            )
            good = company.post(f"GOOD-{number}", door=number, wait=10)
            result.expect(
                (good.document or {}).get("number") == number, "gap", f"GOOD-{number}", f"{good.status} {good.body}"
            )


def one_hanging_branch(foundry: Foundry, result: Result, folder: Path) -> None:
    """Each call of one branch hangs for 30 s; the median of the other companies stays under twice what it was."""
    with story(foundry, result, folder, companies=5, engines=1, seconds=150, **PRODUCTION) as told:
        sick, *others = told.companies
        _sell(others, "WARM")
        before = _sell(others, "BEFORE")
        told.fault("hanging", "delay", times=2, pin=sick.pin, seconds=HANG_SECONDS)
        for number in range(1, 11):
            sick.post(f"SICK-{number}", wait=0)
        during = _sell(others, "DURING")
        result.figures |= {"median ms before": round(before * 1000, 1), "median ms beside it": round(during * 1000, 1)}
        result.expect(during < 2 * before, "slowed", sick.pin, f"the others' median went from {before} to {during} s")
        told.plant.simulator.clear_faults()


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
