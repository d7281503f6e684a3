"""One seed: start everything, sell, break, mend, wait, judge."""

import contextlib
import itertools
import random
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos.checks import Evidence, Violation, judge
from tests.chaos.evidence import doubt_seconds, felt, gather
from tests.chaos.faults import Storm, draw_storm
from tests.chaos.plant import Foundry, Plant, Shape, plant
from tests.chaos.tills import Book, ImpatientTill, OrderlyTill, onboard, pin_of, settle

COMPANIES = (5, 7)
SETTLE_SECONDS = 150.0  # stuck is what never ends, not what a busy machine is slow at
# A lane is held for a person by design (device trouble, an error that stays); never for these in a run
WRONG_HOLDS = ("other amounts", "earlier wording", "never step back", "invoices ahead")


@dataclass
class Result:
    """How one seed or scenario went."""

    name: str
    shape: Shape
    sales: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    ordered: dict[str, int] = field(default_factory=dict)  # faults that KRA was told to have in a storm
    recovered: int = 0
    refused: int = 0
    doubt_seconds: list[float] = field(default_factory=list)
    settle_seconds: float = 0.0
    wall_seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)  # seconds of each
    skipped: str = ""
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def expect(self, kept: bool, name: str, subject: str, detail: str) -> None:
        """A promise of a scenario of its own."""
        if not kept:
            self.violations.append(Violation(name, subject, detail))

    def strike(self, fault: str, times: int = 1) -> None:
        """Count a fault."""
        self.faults[fault] = self.faults.get(fault, 0) + times

    @property
    def struck(self) -> int:
        return sum(self.faults.values())


class Skipped(Exception):
    """This machine cannot tell this story; the text says why."""


class Operator(threading.Thread):
    """Releases held lanes, as a person on duty would, and keeps why they were held."""

    def __init__(self, running: Plant, over: threading.Event, tell: Callable[[str, str], None]) -> None:
        super().__init__(name="operator", daemon=True)
        self._running, self._over, self._tell = running, over, tell

    def run(self) -> None:
        while not self._over.wait(1.5):
            release_held(self._running, self._tell)


def release_held(running: Plant, tell: Callable[[str, str], None]) -> int:
    """Release every held lane; how many. A database that is away now is asked again later."""
    try:
        held = running.held()
        for lane, reason in held:
            tell(lane, reason)
            running.release(lane)
    except (psycopg.Error, sqlite3.Error, subprocess.CalledProcessError) as error:
        tell("", f"the operator could not look: {type(error).__name__}")
        return 0
    return len(held)


def run_seed(foundry: Foundry, seed: int, result: Result, *, seconds: float, folder: Path) -> None:
    """Run one seed into its result. Logs and the faults are left in `folder`."""
    shape = result.shape
    draw, began = random.Random(f"chaos {seed} {shape}"), time.monotonic()
    with (
        plant(foundry, shape, folder, worker=True) as running,
        contextlib.closing(Book()) as book,
        _broken_threads(result),
    ):
        up = time.monotonic()
        pins = [pin_of(seed, number) for number in range(1, draw.randint(*COMPANIES) + 1)]
        companies = [onboard(running, book, pin) for pin in pins]
        phases = {"began": began, "up": up, "onboarded": time.monotonic()}
        faults = draw_storm(draw, shape=shape, pins=pins, programs=list(running.programs.values()), seconds=seconds)
        folder.joinpath("faults.txt").write_text("\n".join(map(str, faults)) + "\n", encoding="utf-8")
        holds: list[tuple[str, str]] = []
        tell = lambda lane, reason: holds.append((lane, reason))  # noqa: E731
        over, off_duty = threading.Event(), threading.Event()
        give_up_at = [float("inf")]
        tills: list[OrderlyTill | ImpatientTill] = []
        for company in companies:
            tills.append(OrderlyTill(company, str(seed), over, lambda: give_up_at[0]))
            tills.append(ImpatientTill(company, str(seed), over, lambda: give_up_at[0]))
        storm, operator = Storm(running, faults), Operator(running, off_duty, tell)
        for thread in (*tills, operator, storm):
            thread.start()
        storm.join()
        phases["storm"] = time.monotonic()
        over.set()
        running.disturb(15)
        running.mend()
        mended = phases["mended"] = time.monotonic()
        give_up_at[0] = mended + SETTLE_SECONDS
        for till in tills:
            till.join(SETTLE_SECONDS + 20)
        final = settle(companies, book, seconds=SETTLE_SECONDS)
        phases["settled"] = time.monotonic()
        result.settle_seconds = round(time.monotonic() - mended, 2)
        off_duty.set()
        operator.join()
        evidence = gather(running, book, companies, final)
        result.doubt_seconds = doubt_seconds(running)
        result.ordered = dict(storm.ordered)
        result.faults = dict(storm.struck) | {f"KRA: {name}": number for name, number in felt(running).items()}
        finish(result, running, evidence)
        _unacknowledged(result, tills, book)
        result.violations += [
            Violation("held wrongly", lane, reason)
            for lane, reason in holds
            if any(words in reason for words in WRONG_HOLDS)
        ]
        result.notes += [f"held {lane}: {reason}" for lane, reason in holds]
        phases["judged"] = time.monotonic()
        moments = list(phases.items())
        result.phases = {name: round(moment - before, 1) for (_, before), (name, moment) in itertools.pairwise(moments)}


@contextlib.contextmanager
def _broken_threads(result: Result) -> Iterator[None]:
    """A thread of ours that breaks off is told: a storm that ends early would prove nothing."""

    def tell(broken: threading.ExceptHookArgs) -> None:
        name = broken.thread.name if broken.thread else "a thread"
        result.violations.append(Violation("broke off", name, f"{broken.exc_type.__name__}: {broken.exc_value}"))

    before, threading.excepthook = threading.excepthook, tell
    try:
        yield
    finally:
        threading.excepthook = before


def finish(result: Result, running: Plant, evidence: Evidence) -> None:
    """Judge the evidence, count, and note what died by itself."""
    result.violations += judge(evidence)
    documents = evidence.final.values()
    result.sales = len(evidence.final)
    result.refused = sum(document["status"] == "refused" for document in documents)
    result.recovered = sum(bool(document["receipt"] and document["receipt"]["recovered"]) for document in documents)
    result.notes += evidence.notes
    for ending in running.supervisor.endings:
        told_of = any(since <= ending.at <= until for since, until in running.disturbed)
        if ending.in_peace and not told_of:
            detail = f"it ended with {ending.code}: {ending.log_tail}"
            result.violations.append(Violation("died", ending.program, detail))
        else:
            result.notes.append(f"{ending.program} ended with {ending.code} while others were down")


def _unacknowledged(result: Result, tills: list[OrderlyTill | ImpatientTill], book: Book) -> None:
    for till in tills:
        if till.is_alive():
            result.violations.append(Violation("stuck", till.name, "it still waits for an answer"))
        for reference in till.references:
            if reference not in book.ids:
                last = [said for said in book.said if said.reference == reference][-1:]
                found = f"{last[0].status} {str(last[0].body)[:200]}" if last else "it was never posted"
                result.violations.append(Violation("stuck", reference, f"never acknowledged; the last answer: {found}"))
