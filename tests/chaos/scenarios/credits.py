"""Money is given back, by many at once, while processes die and answers are lost: never more than was sold."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.chaos.faults import kill_points
from tests.chaos.plant import Foundry
from tests.chaos.scenarios.stories import Story, story
from tests.chaos.seeds import Result
from tests.chaos.tills import Company

SALES = 6
PARTS = 8  # of each sale, posted at once; more than there is to credit


def killed_at_every_step_of_a_credit(foundry: Foundry, result: Result, folder: Path) -> None:
    """The process dies at each step of a credit note, also of one that waits behind its sale, and starts again."""
    with story(foundry, result, folder, engines=0, serves=1) as told:
        (company,) = told.companies
        serve = told.plant.programs["serve 1"]
        notes: list[str] = []
        for step in kill_points("lanes", "sales"):
            starts = serve.starts
            told.plant.disturb(30)
            with told.plant.supervisor.lock:
                serve.wanted_kill_point = f"{step}:1"
                serve.kill()
            told.plant.supervisor.wait_until_ready()
            sale = f"STEP-{len(notes) + 1}"
            notes.append(f"{sale}-CN")
            company.post_until_clear(sale, wait=0)
            company.credit_until_clear(notes[-1], sale)
            result.strike(f"kill at step {step!r}")
            _until(lambda starts=starts: serve.starts > starts + 1 or not serve.is_up, 15)
            died = serve.starts > starts + 1 or not serve.is_up
            result.expect(died, "not told", step, "nothing came to this step; the story proves nothing about it")
            told.plant.supervisor.wait_until_ready()
            document = company.wait_for(notes[-1], seconds=20)
            result.expect(document.get("status") == "signed", "stuck", notes[-1], f"{step}: {document}")
        told.plant.mend()
        _judge(told, company, [note.removesuffix("-CN") for note in notes])


def credits_under_lost_answers(foundry: Foundry, result: Result, folder: Path) -> None:
    """Parts of sales are credited by many at once while answers get lost and the gateway is killed; then the rest."""
    with story(foundry, result, folder, engines=0, serves=1) as told:
        (company,) = told.companies
        draw = random.Random(f"credits {result.shape}")
        sales = [f"SOLD-{number}" for number in range(1, SALES + 1)]
        with ThreadPoolExecutor(4) as hands:
            for number, sale in enumerate(sales):
                kra = draw.choice(["answer_lost", "request_lost", "connection_reset"])
                told.fault(kra.replace("_", " "), kra, times=2, pin=company.pin)
                company.post_until_clear(sale, wait=0)
                for part in range(PARTS):
                    how = draw.choice([("quantity", "1"), ("amount", f"{draw.randint(100, 9999) / 100:.2f}")])
                    lines = [{"line": 1, how[0]: how[1]}]
                    hands.submit(company.credit_until_clear, f"{sale}-CN-{part}", sale, wait=0, lines=lines)
                if number % 3 == 1:
                    time.sleep(0.5)
                    told.plant.disturb(20)
                    result.strike("kill -9 serve")
                    told.plant.programs["serve 1"].kill()
        told.plant.mend()
        told.plant.supervisor.wait_until_ready()
        for sale in sales:
            document = company.wait_for(sale, seconds=60)
            result.expect(document.get("status") == "signed", "stuck", sale, str(document))
        for reference in [reference for reference in company.book.ids if "-CN-" in reference]:
            company.wait_for(reference, seconds=60)
        for sale in sales:
            if Decimal(company.look(sale).document["left"]):  # type: ignore[index]
                company.credit_until_clear(f"{sale}-REST", sale)
                company.wait_for(f"{sale}-REST", seconds=60)
        _judge(told, company, sales)


def _judge(told: Story, company: Company, sales: list[str]) -> None:
    """Each sale is credited in full, to the cent of its tax, at KRA and as the gateway shows it."""
    result = told.result
    rows = [row for row in told.plant.simulator.ledger() if row["pin"] == company.pin]
    numbers = {row["reference"]: row["number"] for row in rows if not row["original"]}
    for sale in sales:
        shown = company.look(sale).document or {}
        notes = [_body(row) for row in rows if row["original"] == numbers.get(sale)]
        at_kra = [sum((Decimal(str(note[name])) for note in notes), Decimal(0)) for name in ("totAmt", "totTaxAmt")]
        sold = [Decimal(shown["totals"][name]) for name in ("amount", "tax")]
        detail = f"sold {sold}, credited at KRA {at_kra}, shown {shown['credited']} and {shown['left']} left"
        result.expect(at_kra == sold and shown["left"] == "0.00", "not credited in full", sale, detail)
    result.figures["credit notes"] = len(rows) - len(numbers)


def _body(row: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = row["body"] if isinstance(row["body"], dict) else json.loads(row["body"])
    return made


def _until(done: Any, seconds: float) -> bool:
    give_up = time.monotonic() + seconds
    while not done():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.1)
    return True
