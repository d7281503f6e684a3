"""Processes that die or freeze in the middle of a sale."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.faults import kill_points
from tests.chaos.plant import LEASE_SECONDS, Foundry
from tests.chaos.scenarios.stories import PRODUCTION, Story, story
from tests.chaos.seeds import Result, Skipped

ANSWER_SECONDS = 8
SIGNED = "signed"
HAND_OVER_SECONDS = 30.0
PATIENCE_SECONDS = 60.0


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
        company.post("BEFORE", wait=25)
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


def frozen_before_it_sends(foundry: Foundry, result: Result, folder: Path) -> None:
    """A process freezes when its sale is on disk and not sent; another signs it; the first wakes up and sends nothing.

    It would be the same number and the same bytes, so no harm would come of it; but a process that does not know that
    its lease is over also does not know what else has changed.
    """
    if result.shape == "embedded":
        raise Skipped("there is only one process")
    with story(foundry, result, folder, engines=0) as told, ThreadPoolExecutor(1) as hands:
        (company,) = told.companies
        company.post("BEFORE", door=1, wait=25)
        sleeper = told.plant.programs["serve 1"]
        told.plant.disturb(60)
        with told.plant.supervisor.lock:
            sleeper.wanted_kill_point = "after commit:1:SIGSTOP"
            sleeper.kill()
        told.plant.supervisor.wait_until_ready()
        unheard = hands.submit(company.post, "FROZEN", door=0, wait=0)
        kept = "SELECT 1 FROM sales_invoice WHERE reference = 'FROZEN' AND status = 'sending'"
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not told.plant.rows(kept) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        sleeper.paused = True
        result.strike("stopped past the lease")
        result.expect(bool(told.plant.rows(kept)), "not told", "FROZEN", "it was not kept before its process froze")
        company.post_until_clear("MEANWHILE", door=1, wait=25)
        taken_over = "SELECT 1 FROM sales_invoice WHERE reference = 'MEANWHILE' AND status = 'signed'"
        while not told.plant.rows(taken_over) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        sleeper.resume()
        unheard.result()
        company.post_until_clear("AFTER", door=0, wait=25)
        sent = told.plant.simulator.requests(operation="sales_save")
        references = [row["reference"] for row in told.plant.simulator.ledger()]
        result.expect(len(sent) == len(references), "second owner", company.pin, f"{len(sent)} messages: {references}")


def handed_over(foundry: Foundry, result: Result, folder: Path) -> None:
    """A process is asked to end in the middle of sales: it finishes what KRA answers, gives the rest back, and is gone.

    The lease is the long one: whoever goes on sooner than it lasts was given the lane.
    """
    with story(foundry, result, folder, companies=2, engines=1, **PRODUCTION) as told, ThreadPoolExecutor(1) as hands:
        slow, hanging = told.companies
        told.fault("slow", "delay", times=1, pin=slow.pin, seconds=4)
        told.fault("hanging", "delay", times=1, pin=hanging.pin, seconds=90, when="after")
        for company in told.companies:
            for name in ("RUNNING", "NEXT"):
                company.post(f"{name}-{company.pin}", wait=0)
        waiting = hands.submit(slow.post, f"WAITING-{slow.pin}", wait=30)
        time.sleep(1)
        told.plant.disturb(120)
        leaving = told.plant.programs["serve 1"]
        began = time.monotonic()
        with told.plant.supervisor.lock:
            leaving.is_wanted, leaving.ended_by_us = False, True
            leaving.send(signal.SIGTERM)
        result.strike("asked to end")
        while leaving.is_up and time.monotonic() - began < 2 * HAND_OVER_SECONDS:
            time.sleep(0.05)
        seconds = time.monotonic() - began
        result.figures["s until it had ended"] = round(seconds, 1)
        result.expect(seconds <= HAND_OVER_SECONDS, "too late", leaving.name, f"it ended after {seconds:.1f} s")
        told_so = waiting.result()
        result.expect(told_so.document is not None, "not told", told_so.reference, f"{told_so.status} {told_so.body}")
        gone_at = time.time()
        leaving.is_wanted = result.shape == "embedded"
        told.plant.supervisor.wait_until_ready()
        for company in told.companies:
            document = company.wait_for(f"NEXT-{company.pin}", seconds=60, door=1)
            result.expect(document.get("status") == SIGNED, "stuck", f"NEXT-{company.pin}", str(document))
        rows = told.plant.rows("SELECT reference, recovered FROM sales_invoice WHERE status = 'signed'")
        recovered = {row["reference"] for row in rows if row["recovered"]}
        result.expect(recovered == {f"RUNNING-{hanging.pin}"}, "not finished", leaving.name, f"recovered: {recovered}")
        after = told.settled_at().get(f"RUNNING-{hanging.pin}", gone_at + 999) - gone_at
        result.figures["s until the other had it"] = round(after, 1)
        if result.shape == "postgres":  # the embedded shape has nobody to give it to; its next start goes on
            lease = float(PRODUCTION["ENGINE_LEASE_SECONDS"])
            result.expect(after < lease, "not given back", hanging.pin, f"it was taken over after {after:.1f} s")
        leaving.is_wanted = True
        told.plant.supervisor.wait_until_ready()


def _owner(told: Story) -> object:
    """The token of the process that has the lane of sales."""
    return told.plant.rows("SELECT owner FROM lanes_lane WHERE series = 'invoice'")[0]["owner"]
