"""Sales that bring new items along while the process dies: each item registered, each sale signed once."""

import time
from pathlib import Path

from tests.chaos.faults import kill_points
from tests.chaos.plant import Foundry
from tests.chaos.scenarios.stories import story
from tests.chaos.seeds import Result

# A new item's sale needs some commits: the item's turn, the sale kept, the item registered, its code filled in, signed
STEPS = [
    *((step, nth) for step in ("before commit", "after commit") for nth in (1, 2, 3, 4)),
    *(("after turn", nth) for nth in (1, 2, 3)),
]
_ITEMS = "SELECT code, status, kra_code FROM catalog_item WHERE code LIKE 'NEW-%'"
_WAITING = "SELECT id FROM lanes_job WHERE NOT (state = 'closed')"


def new_items_killed_at_every_step(foundry: Foundry, result: Result, folder: Path) -> None:
    """The process dies at each step from a sale with a new item to its receipt, and starts again."""
    own = [(step, 1) for step in kill_points("catalog", "sales")]
    with story(foundry, result, folder, engines=0, serves=1) as told:
        (company,) = told.companies
        serve = told.plant.programs["serve 1"]
        references: list[str] = []
        for step, nth in [*STEPS, *own]:
            starts = serve.starts
            told.plant.disturb(30)
            with told.plant.supervisor.lock:
                serve.wanted_kill_point = f"{step}:{nth}"
                serve.kill()
            told.plant.supervisor.wait_until_ready()
            references.append(f"NEW-{len(references) + 1}")
            line = {"item_code": references[-1], "name": f"New {references[-1]}", "item_class": "5016150900"}
            lines = [{**line, "quantity": "1", "unit_price": "50.00"}]
            company.post_until_clear(references[-1], wait=5, lines=lines)
            result.strike(f"kill at step {step!r}, time {nth}")
            give_up = time.monotonic() + 10
            while serve.starts == starts + 1 and serve.is_up and time.monotonic() < give_up:
                time.sleep(0.05)
            died = serve.starts > starts + 1 or not serve.is_up
            result.expect(died, "not told", step, f"nothing came {nth} times to this step; the story proves nothing")
            told.plant.supervisor.wait_until_ready()
            document = company.wait_for(references[-1], seconds=20)
            result.expect(document.get("status") == "signed", "stuck", references[-1], f"{step}: {document}")
        told.plant.mend()
        items = {row["code"]: row for row in told.plant.rows(_ITEMS)}
        codes = [row["kra_code"] for row in items.values()]
        result.expect(len(set(codes)) == len(references), "not one item each", company.pin, str(codes))
        for reference in references:
            item = items.get(reference, {})
            result.expect(item.get("status") == "registered", "not registered", reference, str(dict(item)))
            (line,) = company.look(reference).document["lines"]  # type: ignore[index]
            result.expect(line["kra_code"] == item.get("kra_code"), "another item", reference, str(line))
        left = told.plant.rows(_WAITING)
        result.expect(not left, "stuck", company.pin, f"{len(left)} jobs are still open")
