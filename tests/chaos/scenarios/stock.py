"""Stock that follows sales while processes die and answers are lost: it adds up here, at KRA and on paper."""

import contextlib
import json
import random
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos.faults import kill_points
from tests.chaos.plant import Foundry
from tests.chaos.scenarios.stories import Story, story
from tests.chaos.seeds import Result
from tests.chaos.tills import ITEMS, Company

OPENING = Decimal(1000)
SETTLE_SECONDS = 60.0
_OPEN = "SELECT cause, status FROM stock_movement WHERE status NOT IN ('done', 'local')"
_BALANCES = """
SELECT l.branch, i.code, i.kra_code, b.quantity, b.kra_quantity, b.opening + b.received - b.issued AS adds_up,
    (SELECT SUM(e.change) FROM stock_entry e WHERE e.balance_id = b.id) AS entries
FROM stock_balance b JOIN catalog_item i ON i.id = b.item_id JOIN lanes_lane l ON l.id = b.lane_id
"""
Paper = dict[tuple[str, str], Decimal]  # what must be there, by branch and item code


def killed_at_every_step_of_stock(foundry: Foundry, result: Result, folder: Path) -> None:
    """The process dies at each step from a sale to the balance that KRA is told, and starts again."""
    with story(foundry, result, folder, engines=0, serves=1) as told:
        (company,) = told.companies
        serve = told.plant.programs["serve 1"]
        _open(told, company)
        references: list[str] = []
        for step in kill_points("lanes", "sales", "stock"):
            starts = serve.starts
            told.plant.disturb(30)
            with told.plant.supervisor.lock:
                serve.wanted_kill_point = f"{step}:1"
                serve.kill()
            told.plant.supervisor.wait_until_ready()
            references.append(f"STEP-{len(references) + 1}")
            company.post_until_clear(references[-1], wait=5)
            result.strike(f"kill at step {step!r}")
            until(lambda starts=starts: serve.starts > starts + 1 or not serve.is_up, 15)
            died = serve.starts > starts + 1 or not serve.is_up
            result.expect(died, "not told", step, "nothing came to this step; the story proves nothing about it")
            told.plant.supervisor.wait_until_ready()
            document = company.wait_for(references[-1], seconds=20)
            result.expect(document.get("status") == "signed", "stuck", references[-1], f"{step}: {document}")
        told.plant.mend()
        _judge(told, company, references)


def stock_under_lost_answers(foundry: Foundry, result: Result, folder: Path) -> None:
    """Sale after sale while answers about sales, movements and balances get lost, and the gateway is killed."""
    with story(foundry, result, folder, engines=0, serves=1) as told:
        (company,) = told.companies
        _open(told, company)
        draw = random.Random(f"stock {result.shape}")
        references = [f"LOST-{number}" for number in range(1, 16)]
        for number, reference in enumerate(references):
            operation = draw.choice(["stock_io_save", "stock_io_save", "stock_master_save", "sales_save"])
            kra = draw.choice(["answer_lost", "request_lost", "connection_reset"])
            told.fault(kra.replace("_", " "), kra, operation, times=1, pin=company.pin)
            if number % 5 == 4:
                told.plant.disturb(20)
                result.strike("kill -9 serve")
                told.plant.programs["serve 1"].kill()
            company.post_until_clear(reference, wait=2)
        told.plant.mend()
        for reference in references:
            document = company.wait_for(reference, seconds=40)
            result.expect(document.get("status") == "signed", "stuck", reference, str(document))
        _judge(told, company, references)


def _open(told: Story, company: Company) -> None:
    lines = [{"item_code": item["code"], "quantity": str(OPENING), "unit_price": "100.00"} for item in ITEMS]
    body = {"reference": "OPEN-1", "branch": "00", "occurred_on": "2026-11-20", "lines": lines}
    status, answer = company.call("POST", "/api/stock/opening/", body)
    assert status == 201, (status, answer)
    assert until(lambda: not told.plant.rows(_OPEN), 20), told.plant.rows(_OPEN)


def until(done: Any, seconds: float) -> bool:
    """Wait for `done`; False when the time was over first. A database that is away says nothing."""
    give_up = time.monotonic() + seconds
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            if done():
                return True
        if time.monotonic() > give_up:
            return False
        time.sleep(0.1)


def _judge(told: Story, company: Company, references: list[str]) -> None:
    """Opening less what was signed is what is left."""
    paper = {("00", str(item["code"])): OPENING for item in ITEMS}
    for reference in references:
        for line in company.sale(reference)["lines"]:
            paper["00", line["item_code"]] -= Decimal(line["quantity"])
    judge_stock(told, company, paper, movements={"00": len(references) + 1})


def judge_stock(told: Story, company: Company, paper: Paper, *, movements: dict[str, int]) -> None:
    """What is on paper is what the gateway has, what its ledger adds up to, and what KRA was told, each number once."""
    result = told.result
    until(lambda: not told.plant.rows(_OPEN), SETTLE_SECONDS)
    for row in told.plant.rows(_OPEN):
        result.expect(False, "stuck", row["cause"], f"the movement is {row['status']}; held: {told.plant.held()}")
    counted: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for branch, count in movements.items():
        rows = told.plant.simulator.ledger(pin=company.pin, branch=branch, kind="stock_movement")
        numbers = [row["number"] for row in rows]
        wanted = list(range(1, count + 1))
        result.expect(numbers == wanted, "gap", f"{company.pin}/{branch}", f"KRA's movements have {numbers}")
        for row in rows:
            body = row["body"] if isinstance(row["body"], dict) else json.loads(row["body"])
            for line in body["itemList"]:
                sign = 1 if body["sarTyCd"] < "10" else -1
                counted[branch, line["itemCd"]] += sign * Decimal(str(line["qty"]))
    balances = {(row["branch"], row["code"]): row for row in told.plant.rows(_BALANCES)}
    result.expect(balances.keys() == paper.keys(), "stock differs", company.pin, f"kept of {sorted(balances)}")
    for key, kept in balances.items():
        ours = {Decimal(int(kept[name])).scaleb(-3) for name in ("quantity", "kra_quantity", "adds_up", "entries")}
        at_kra, on_paper = counted[kept["branch"], kept["kra_code"]], paper.get(key)
        detail = f"gateway {ours}, KRA {at_kra}, paper {on_paper}"
        result.expect({*ours, at_kra} == {on_paper}, "stock differs", str(key), detail)
    result.figures["movements"] = sum(movements.values())
