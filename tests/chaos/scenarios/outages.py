"""KRA is away, or its answers are."""

import time
from pathlib import Path

from tests.chaos.evidence import percentile
from tests.chaos.plant import Foundry
from tests.chaos.scenarios.stories import PRODUCTION, Story, story
from tests.chaos.seeds import Result
from tests.chaos.tills import Company

OUTAGE_SECONDS = 32
DAY_SECONDS = 86_400
SALES = 30
WITHIN_SECONDS = 10.0
RESOLVED_SECONDS = 5.0


def thirty_sales_in_an_outage(foundry: Foundry, result: Result, folder: Path) -> None:
    """KRA is away for everybody; thirty sales of one company are signed in order within 10 s of its end."""
    with story(foundry, result, folder, companies=7, engines=1, **PRODUCTION) as told:
        _outage(told)


def thirty_sales_of_the_only_branch(foundry: Foundry, result: Result, folder: Path) -> None:
    """The same for a gateway with a single branch, where no other device can tell that KRA is back."""
    with story(foundry, result, folder, engines=1, **PRODUCTION) as told:
        _outage(told)


def _outage(told: Story) -> None:
    busy, *others = told.companies
    result = told.result
    told.fault("outage", "connection_reset", "*")
    ends_at = time.monotonic() + OUTAGE_SECONDS
    references = [f"AWAY-{number}" for number in range(1, SALES + 1)]
    for reference in references:
        said = busy.post(reference, wait=0)
        result.expect(said.status == 202, "not kept", reference, f"{said.status} {said.body}")
        if others:
            company = others[len(said.reference) % len(others)]
            company.post(f"{reference}-{company.pin}", door=1, wait=0)
        time.sleep(0.2)
    for company in others:
        company.post(f"AWAY-TOO-{company.pin}", wait=0)
    time.sleep(max(0.0, ends_at - time.monotonic()))
    told.plant.simulator.clear_faults()
    back = time.time()
    for reference in reversed(references):
        busy.wait_for(reference, seconds=90)
    signed = told.settled_at()
    last = max((signed.get(reference, back + 999) for reference in references), default=back) - back
    result.figures["s until all were signed"] = round(last, 2)
    result.expect(last <= WITHIN_SECONDS, "too late", busy.pin, f"signed {last:.1f} s after the outage had ended")
    numbers = told.numbers(references)
    result.expect(numbers == list(range(1, SALES + 1)), "out of order", busy.pin, f"the numbers are {numbers}")


def a_day_without_kra(foundry: Foundry, result: Result, folder: Path) -> None:
    """KRA is away for 24 hours of its own clock; what was sold is signed when it is back, in order."""
    with story(foundry, result, folder, companies=2, engines=1) as told:
        told.fault("outage of a day", "connection_reset", "*", for_seconds=DAY_SECONDS)
        references = {company.pin: [f"DAY-{company.pin}-{n}" for n in range(1, 11)] for company in told.companies}
        for company in told.companies:
            for reference in references[company.pin]:
                said = company.post(reference, wait=0)
                result.expect(said.status == 202, "not kept", reference, f"{said.status} {said.body}")
        for _ in range(4):
            time.sleep(1)
            told.plant.simulator.clock(advance_seconds=DAY_SECONDS // 4 + 1)
        for company in told.companies:
            for reference in references[company.pin]:
                company.wait_for(reference, seconds=30)
            numbers = told.numbers(references[company.pin])
            result.expect(numbers == list(range(1, 11)), "out of order", company.pin, f"the numbers are {numbers}")


def lost_answers(foundry: Foundry, result: Result, folder: Path) -> None:
    """Answers of KRA are lost one by one, then all of them for a while; the receipts are recovered in 5 s (p95)."""
    with story(foundry, result, folder, companies=6, engines=1, **PRODUCTION) as told:
        single: list[float] = []
        for turn in range(1, 11):
            few = told.companies[turn % 2 :: 2]  # as many as five at once would be an outage of the host
            for company in few:
                told.fault("answer lost", "answer_lost", times=1, pin=company.pin)
            began = time.time()
            references = [_post(company, f"LOST-{turn}") for company in few]
            for company, reference in zip(few, references, strict=True):
                company.wait_for(reference, seconds=30)
            signed = told.settled_at()
            single += [signed.get(reference, began + 30) - began for reference in references]
        told.fault("outage with lost answers", "answer_lost", "*")
        references = [_post(company, "ALL-LOST") for company in told.companies]
        time.sleep(12)
        told.plant.simulator.clear_faults()
        back = time.time()
        for company, reference in zip(told.companies, references, strict=True):
            company.wait_for(reference, seconds=60)
        signed = told.settled_at()
        together = [signed.get(reference, back + 60) - back for reference in references]
        for name, seconds in (("single", single), ("after an outage", together)):
            p95 = percentile(sorted(seconds), 0.95)
            result.figures[f"s p95 {name}"] = round(p95, 2)
            result.expect(p95 <= RESOLVED_SECONDS, "too late", name, f"p95 {p95:.1f} s: {sorted(seconds)}")


def _post(company: Company, name: str) -> str:
    reference = f"{name}-{company.pin}"
    company.post(reference, wait=0)
    return reference
