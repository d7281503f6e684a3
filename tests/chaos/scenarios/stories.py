"""What every story has: a running plant, its companies, and the referee at the end."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.evidence import doubt_seconds, gather, moment
from tests.chaos.plant import Foundry, Plant, plant
from tests.chaos.seeds import Result, finish
from tests.chaos.tills import Book, Company, onboard, pin_of, settle

PRODUCTION: dict[str, Any] = {  # the settings that the promised times are about
    "ENGINE_LEASE_SECONDS": "15",
    "ENGINE_LATE_SECONDS": "300",
    "ENGINE_REST_SECONDS": "1,2,5",
}
_SETTLED_AT = "SELECT reference, settled_at FROM sales_invoice WHERE status = 'signed'"


@dataclass
class Story:
    """A plant that sells, and where its story is written down."""

    plant: Plant
    book: Book
    companies: list[Company]
    result: Result

    def fault(self, name: str, kra: str, operation: str = "sales_save", **settings: Any) -> None:
        """Let KRA go wrong, and count it."""
        rule: dict[str, Any] = {key: settings.pop(key) for key in ("times", "for_seconds", "pin") if key in settings}
        rule |= {"operation": operation, "fault": kra, "parameters": settings}
        self.plant.simulator.call("POST", "/_sim/faults", rule)
        self.result.strike(name)

    def settled_at(self) -> dict[str, float]:
        """When each signed document was settled, by reference, as the gateway noted it."""
        return {row["reference"]: moment(row["settled_at"]) for row in self.plant.rows(_SETTLED_AT)}

    def numbers(self, references: list[str]) -> list[int | None]:
        """The numbers that KRA recorded these under."""
        held = {row["reference"]: row["number"] for row in self.plant.simulator.ledger()}
        return [held.get(reference) for reference in references]


@contextlib.contextmanager
def story(
    foundry: Foundry, result: Result, folder: Path, *, companies: int = 1, seconds: float = 60.0, **options: Any
) -> Iterator[Story]:
    """Tell a story; when it is told, everything must settle within `seconds`, and the referee looks at it all."""
    with plant(foundry, result.shape, folder, **options) as running, contextlib.closing(Book()) as book:
        told = Story(
            running, book, [onboard(running, book, pin_of(90_000, one)) for one in range(1, companies + 1)], result
        )
        yield told
        began = time.monotonic()
        final = settle(told.companies, book, seconds=seconds)
        result.settle_seconds = round(time.monotonic() - began, 2)
        result.doubt_seconds = doubt_seconds(running)
        for lane, reason in running.held():
            result.notes.append(f"held {lane}: {reason}")
        finish(result, running, gather(running, book, told.companies, final))
