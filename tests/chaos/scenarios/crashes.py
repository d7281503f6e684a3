"""Processes that die or freeze in the middle of a sale."""

import time
from pathlib import Path

from tests.chaos.faults import kill_points
from tests.chaos.plant import LEASE_SECONDS, Foundry
from tests.chaos.scenarios.stories import Story, story
from tests.chaos.seeds import Result, Skipped

ANSWER_SECONDS = 8
SIGNED = "signed"


def killed_at_every_step(foundry: Foundry, result: Result, folder: Path) -> None:
    """The process that takes a sale dies at each named step of the sale path; the till repeats, one receipt results."""
    with story(foundry, result, folder, engines=1) as told:
        (company,) = told.companies
        serve = told.plant.programs["serve 1"]
        references: list[str] = []
        for step in kill_points():
            starts = serve.starts
            told.plant.disturb(30)
            with told.plant.supervisor.lock:
                serve.wanted_kill_point = f"{step}:1"
                serve.kill()
            told.plant.supervisor.wait_until_ready()
            for _ in range(3):
                references.append(f"STEP-{len(references) + 1}")
                company.post_until_clear(references[-1], wait=5)
                if serve.starts > starts + 1 or not serve.is_up:
                    break
            result.strike(f"kill at step {step!r}")
            died = serve.starts > starts + 1 or not serve.is_up
            result.expect(died, "not told", step, "no sale came to this step; the story proves nothing about it")
            document = company.wait_for(references[-1], seconds=20)
            result.expect(document.get("status") == "signed", "stuck", references[-1], f"{step}: {document}")
        told.plant.mend()
        numbers = told.numbers(references)
        result.expect(
            numbers == list(range(1, len(references) + 1)), "out of order", company.pin, f"the numbers are {numbers}"
        )


def two_engines_for_one_lane(foundry: Foundry, result: Result, folder: Path) -> None:
    """The owner freezes past its lease while KRA is slow; another engine takes over; then both are awake."""
    if result.shape == "embedded":
        raise Skipped("a lock file keeps a second process off the embedded shape")
    with story(foundry, result, folder, engines=1) as told:
        (company,) = told.companies
        company.post("BEFORE")
        for turn, kra in enumerate(("delay", "answer_lost", "delay"), start=1):
            settings = {"seconds": 5} if kra == "delay" else {"ending": "hang", "hang_seconds": 5}
            told.fault("slow", kra, times=1, pin=company.pin, **settings)
            company.post(f"FROZEN-{turn}", wait=0)
            company.post(f"NEXT-{turn}", wait=0)
            told.plant.disturb(20)
            owner = told.plant.programs["serve 1"]
            owner.pause()
            result.strike("stopped past the lease")
            document = company.post_until_clear(f"MEANWHILE-{turn}", door=1, wait=LEASE_SECONDS + 4).document or {}
            owner.resume()
            result.expect(bool(document), "lost", f"MEANWHILE-{turn}", "the other door did not take it")
            for name in ("FROZEN", "NEXT", "MEANWHILE"):
                document = company.wait_for(f"{name}-{turn}", seconds=20)
                result.expect(document.get("status") == "signed", "stuck", f"{name}-{turn}", str(document))


def a_late_answer_after_a_takeover(foundry: Foundry, result: Result, folder: Path) -> None:
    """The first owner of a sale freezes; the second dies while it asks KRA; the first wakes up with KRA's answer.

    The receipt is kept although its lane has gone to another, so whoever is third must not use the number again.
    """
    if result.shape == "embedded":
        raise Skipped("there is only one process")
    with story(foundry, result, folder, engines=0) as told:
        (company,) = told.companies
        first, second = told.plant.programs["serve 1"], told.plant.programs["serve 2"]
        company.post("BEFORE", wait=10)
        told.fault("slow", "delay", times=1, pin=company.pin, seconds=ANSWER_SECONDS, when="after")
        told.fault("slow", "delay", "invoice_details", times=1, pin=company.pin, seconds=4 * ANSWER_SECONDS)
        began = time.monotonic()
        company.post("LATE-ANSWER", wait=0)
        company.post("NEXT", wait=0)
        owner = _owner(told)
        first.pause()
        told.plant.disturb(60)
        result.strike("stopped past the lease")
        while _owner(told) in (owner, None) and time.monotonic() < began + ANSWER_SECONDS - 1:
            time.sleep(0.1)
        first.resume()
        result.expect(_owner(told) not in (owner, None), "not told", company.pin, "nobody took the lane over in time")
        signed = f"SELECT 1 FROM sales_invoice WHERE reference = 'LATE-ANSWER' AND status = '{SIGNED}'"
        while not told.plant.rows(signed) and time.monotonic() < began + 2 * ANSWER_SECONDS:
            time.sleep(0.1)
        second.kill()
        result.strike("kill -9 serve")
        for reference in ("LATE-ANSWER", "NEXT"):
            document = company.wait_for(reference, seconds=30)
            result.expect(document.get("status") == "signed", "stuck", reference, str(document))


def _owner(told: Story) -> object:
    """The token of the process that has the lane of sales."""
    return told.plant.rows("SELECT owner FROM lanes_lane WHERE series = 'invoice'")[0]["owner"]
