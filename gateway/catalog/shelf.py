"""Items and tax rates for the hot path: read through the engine's store, forgotten after two seconds."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from gateway.catalog.queries import readable_rate
from gateway.kra.codes import DEFAULT_RATES, TaxClass
from gateway.lanes.store import Read, Statement
from gateway.lib.remembered import Remembered

FORGET_SECONDS = 2.0
RATES_SECONDS = 30.0

_ITEM = """
i.id, i.code, i.name, i.tax_type, i.item_class, i.product_type, i.packaging_unit, i.quantity_unit, i.barcode,
i.kra_code, i.status
"""
ITEMS = Statement(  # of several companies
    name="items_by_code",
    postgres=f"""
SELECT i.company_id, i.environment, {_ITEM}
FROM unnest(%(companies)s::bigint[], %(environments)s::text[], %(codes)s::text[])
    AS asked(company_id, environment, code)
JOIN catalog_item i ON i.company_id = asked.company_id AND i.environment = asked.environment AND i.code = asked.code
""",
    sqlite=(
        f"""
SELECT i.company_id, i.environment, {_ITEM}
FROM json_each(:codes) asked JOIN catalog_item i ON i.company_id = json_extract(:companies, asked.fullkey)
    AND i.environment = json_extract(:environments, asked.fullkey) AND i.code = asked.value
""",
    ),
)
RATES = Statement(
    name="current_rates",
    postgres="""
SELECT environment, code, value FROM catalog_code
WHERE environment = ANY(%(environments)s) AND code_class = '04' AND valid_to IS NULL AND in_use
""",
    sqlite=(
        """
SELECT environment, code, value FROM catalog_code
WHERE environment IN (SELECT value FROM json_each(:environments)) AND code_class = '04' AND valid_to IS NULL AND in_use
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


_ItemKey = tuple[int, str, str]  # company, environment and code


class Shelf:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._items = Remembered(self._read_items, seconds=FORGET_SECONDS)
        self._rates = Remembered(self._read_rates, seconds=RATES_SECONDS)

    async def items(
        self, company_id: int, environment: str, codes: Iterable[str], *, afresh: bool = False
    ) -> dict[str, ShelfItem]:
        """The company's items among the codes; those it does not have are left out. `afresh`: read now."""
        keys = [(company_id, environment, code) for code in set(codes)]
        found = await (self._items.afresh(keys) if afresh else self._items.get_many(keys))
        for key, item in found.items():
            if not item.kra_code:  # about to change
                self._items.forget(key)
        return {code: item for (_, _, code), item in found.items()}

    def forget_rates(self, environment: str) -> None:
        """Read the rates again when they are asked for next."""
        self._rates.forget(environment)

    async def rates(self, environment: str, *, afresh: bool = False) -> dict[TaxClass, Decimal]:
        """The tax rates in force, percent, by letter. `afresh`: read now."""
        if afresh:
            return (await self._rates.afresh([environment]))[environment]
        return await self._rates.get(environment)

    async def _read_items(self, keys: list[_ItemKey]) -> dict[_ItemKey, ShelfItem]:
        companies, environments, codes = (list(column) for column in zip(*keys, strict=True))
        rows = await self._read(ITEMS, {"companies": companies, "environments": environments, "codes": codes})
        found: dict[_ItemKey, ShelfItem] = {}
        for row in rows:
            company_id, environment = row.pop("company_id"), row.pop("environment")
            found[company_id, environment, row["code"]] = ShelfItem(**row)
        return found

    async def _read_rates(self, environments: list[str]) -> dict[str, dict[TaxClass, Decimal]]:
        found = {environment: dict(DEFAULT_RATES) for environment in environments}
        for row in await self._read(RATES, {"environments": environments}):
            if row["code"] in DEFAULT_RATES and (rate := readable_rate(row["value"])) is not None:
                found[row["environment"]][TaxClass(row["code"])] = rate
        return found
