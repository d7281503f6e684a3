"""The clock of one process goes back an hour while it works; the machine's own clock is never touched."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.chaos.plant import LATE_SECONDS, Foundry
from tests.chaos.scenarios.stories import Story, story
from tests.chaos.seeds import Result, Skipped
from tests.chaos.tills import SETTLED

PATIENCE_SECONDS = 30
PLACES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


def library() -> Path:
    """libfaketime. Raises Skipped."""
    for place in PLACES:
        for found in (*Path(place).glob("*/faketime/libfaketime.so.1"), *Path(place).glob("faketime/libfaketime.so.1")):
            return found
    raise Skipped("libfaketime is missing; install it with: apt-get install faketime")


def clock_back_an_hour(foundry: Foundry, result: Result, folder: Path) -> None:
    """Sales, lost answers, rests and a refusal in doubt around the moment when the clock goes back, and on again."""
    clock, injected = _clock(folder)
    with story(foundry, result, folder, companies=3, engines=1, wrap={"serve 1": injected}) as told:
        plain, doubtful, refused = told.companies
        told.plant.disturb(300)  # its attempts carry the wrong time
        plain.post("BEFORE", wait=25)
        # a try that got no answer, then a refusal of the same number: it waits until no try can land any more
        told.fault("request lost", "request_lost", times=1, pin=refused.pin)
        told.fault("refused", "result_code", times=1, pin=refused.pin, code="910")
        refused.post("REFUSED-IN-DOUBT", wait=0)
        told.fault("outage", "connection_reset", times=4, pin=doubtful.pin)
        doubtful.post("RESTING", wait=0)
        time.sleep(1.5)
        clock.write_text("-1h\n", encoding="utf-8")
        result.strike("clock back an hour")
        _sell(told, "BACK")
        time.sleep(3)
        told.fault("answer lost", "answer_lost", times=1, pin=doubtful.pin)
        doubtful.post("LOST", wait=0)
        _sell(told, "STILL-BACK")
        _went_back(told)
        for company, reference in ((doubtful, "RESTING"), (doubtful, "LOST"), (refused, "REFUSED-IN-DOUBT")):
            document = company.wait_for(reference, seconds=PATIENCE_SECONDS)
            result.expect(
                document.get("status") in SETTLED, "stuck", reference, f"while the clock was back: {document}"
            )
        clock.write_text("+0s\n", encoding="utf-8")
        result.strike("clock on again")
        _sell(told, "ON-AGAIN")


def clock_mended_during_a_doubt(foundry: Foundry, result: Result, folder: Path) -> None:
    """A process an hour behind notes a try without an answer and a refusal; then its clock is put right.

    The try lands later, within the time that KRA is given for it: the refusal must not be final before that.
    """
    clock, injected = _clock(folder)
    with story(foundry, result, folder, serves=1, engines=0, wrap={"serve 1": injected}) as told:
        (company,) = told.companies
        told.plant.disturb(300)  # its attempts carry the wrong time
        clock.write_text("-1h\n", encoding="utf-8")
        result.strike("clock back an hour")
        told.fault("landing late after 001", "recorded_late", times=1, pin=company.pin, seconds=LATE_SECONDS - 1)
        told.fault("refused", "result_code", times=1, pin=company.pin, code="910")
        company.post("DOUBTED", wait=0)
        time.sleep(1.5)
        clock.write_text("+0s\n", encoding="utf-8")
        result.strike("clock on again")
        time.sleep(LATE_SECONDS + 2)
        company.wait_for("DOUBTED", seconds=PATIENCE_SECONDS)


def _clock(folder: Path) -> tuple[Path, dict[str, str]]:
    """A clock that a file sets while a process runs, and the environment that gives it to one. Raises Skipped."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "clock"
    clock.write_text("+0s\n", encoding="utf-8")
    return clock, {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _went_back(told: Story) -> None:
    """The story proves nothing unless the process really saw the earlier hour."""
    company = told.companies[0]
    taken = datetime.fromisoformat((company.post("WHEN", wait=0).document or {})["accepted_at"])
    behind = datetime.now(UTC) - taken
    told.result.expect(behind > timedelta(minutes=55), "not told", "clock", f"the sale was taken at {taken}")


def _sell(told: Story, name: str) -> None:
    for number in range(1, 4):
        for company in told.companies:
            company.post_until_clear(f"{name}-{company.pin}-{number}", door=number, wait=2)
