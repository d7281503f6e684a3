"""Items and tax rates for the hot path: read through the engine's store, forgotten after two seconds."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from gateway.catalog.queries import readable_rate
from gateway.kra.codes import DEFAULT_RATES, TaxClass
from gateway.lanes.store import Read, Statement
from gateway.lib.remembered import Remembered

FORGET_SECONDS = 2.0
RATES_SECONDS = 30.0
MOST_REMEMBERED = 50_000


ITEMS = Statement(
    name="items_by_code",
    postgres="""
SELECT id, code, name, tax_type, item_class, product_type, packaging_unit, quantity_unit, barcode, kra_code, status
FROM catalog_item WHERE company_id = %(company_id)s AND environment = %(environment)s AND code = ANY(%(codes)s)
""",
    sqlite=(
        """
SELECT id, code, name, tax_type, item_class, product_type, packaging_unit, quantity_unit, barcode, kra_code, status
FROM catalog_item WHERE company_id = :company_id AND environment = :environment
    AND code IN (SELECT value FROM json_each(:codes))
""",
    ),
)
RATES = Statement(
    name="current_rates",
    postgres="""
SELECT code, value FROM catalog_code
WHERE environment = %(environment)s AND code_class = '04' AND valid_to IS NULL AND in_use
""",
    sqlite=(
        """
SELECT code, value FROM catalog_code
WHERE environment = :environment AND code_class = '04' AND valid_to IS NULL AND in_use
""",
    ),
)


@dataclass(frozen=True, slots=True)
class ShelfItem:
    """What the catalogue knows of an item when it is sold."""

    code: str
    name: str
    tax_type: str
    item_class: str
    product_type: str
    packaging_unit: str
    quantity_unit: str
    barcode: str
    kra_code: str
    status: str
    id: int = 0  # 0: not in the catalogue yet


class Shelf:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._items: dict[tuple[int, str, str], tuple[float, ShelfItem]] = {}
        self._rates = Remembered(self._read_rates, seconds=RATES_SECONDS)

    async def items(self, company_id: int, environment: str, codes: Iterable[str]) -> dict[str, ShelfItem]:
        """The company's items among the codes; those it does not have are left out."""
        now = time.monotonic()
        found: dict[str, ShelfItem] = {}
        missing: list[str] = []
        for code in set(codes):
            known = self._items.get((company_id, environment, code))
            if known is None or known[0] < now:
                missing.append(code)
            else:
                found[code] = known[1]
        if missing:
            if len(self._items) > MOST_REMEMBERED:
                self._items.clear()
            rows = await self._read(ITEMS, {"company_id": company_id, "environment": environment, "codes": missing})
            read = {row["code"]: ShelfItem(**row) for row in rows}
            for code, item in read.items():
                if item.kra_code:  # the others are about to change
                    self._items[company_id, environment, code] = (now + FORGET_SECONDS, item)
            found |= read
        return found

    def forget_rates(self, environment: str) -> None:
        """Read the rates again when they are asked for next."""
        self._rates.forget(environment)

    async def rates(self, environment: str, *, afresh: bool = False) -> dict[TaxClass, Decimal]:
        """The tax rates in force, percent, by letter. `afresh`: read now."""
        return await (self._rates.afresh(environment) if afresh else self._rates.get(environment))

    async def _read_rates(self, environment: str) -> dict[TaxClass, Decimal]:
        rates = dict(DEFAULT_RATES)
        for row in await self._read(RATES, {"environment": environment}):
            if row["code"] in rates and (rate := readable_rate(row["value"])) is not None:
                rates[TaxClass(row["code"])] = rate
        return rates
