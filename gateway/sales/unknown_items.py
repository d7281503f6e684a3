"""Items that a sale brings along: registered first, and the sale, which is kept meanwhile, waits for them.

KRA's item code is given when the registration's turn comes, so the body of such a sale is kept with gaps in the place
of the codes. When its own turn comes they are filled, in a commit before anything is sent; from then on the bytes never
change again. The figures are those that were kept: what happens to the catalogue meanwhile changes none.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.catalog.judging import PRODUCT_TYPES, ItemRow, judge
from gateway.catalog.services import add_items
from gateway.catalog.shelf import ShelfItem
from gateway.kra.client import GAP, gap, with_item_codes
from gateway.lanes.store import Read
from gateway.lanes.stored import json_value
from gateway.lib.clock import utc_now
from gateway.sales import statements
from gateway.sales.intake import LineOfSaleIn, SaleIn, Wrong
from gateway.tenants.models import Company

NEEDED = ("name", "item_class")  # KRA takes no item without them; the tax letter may come from the class
SAID_IN_A_LINE = ("tax_type", "packaging_unit", "quantity_unit", "barcode")


def unknown_rows(sale: SaleIn, items: Mapping[str, ShelfItem]) -> tuple[dict[int, ItemRow], list[Wrong]]:
    """The items that the catalogue lacks, each by the first line that describes it; and what no line of it says."""
    lines: dict[str, int] = {}
    for index, line in enumerate(sale.lines):
        if line.item_code in items:
            continue
        first = lines.setdefault(line.item_code, index)
        if _missing(sale.lines[first]) and not _missing(line):
            lines[line.item_code] = index
    rows: dict[int, ItemRow] = {}
    wrongs: list[Wrong] = []
    for index in sorted(lines.values()):
        line = sale.lines[index]
        if line.item_code != line.item_code.strip():
            words = "An item's code has no blanks around it."
            wrongs.append(Wrong(f"lines[{index}].item_code", "blank", words))
            continue
        if missing := _missing(line):
            words = (
                f"{line.item_code[:50]} is not registered. Register it first (POST /api/item/sync/), or say its "
                f"{' and '.join(missing)} in the line."
            )
            wrongs.append(Wrong(f"lines[{index}].item_code", "unknown_item", words))
            continue
        said = {name: getattr(line, name) for name in SAID_IN_A_LINE if getattr(line, name)}
        name, item_class = (line.name or "").strip(), line.item_class or ""
        rows[index] = ItemRow(code=line.item_code, name=name, item_class=item_class, **said)
    return rows, wrongs


def _missing(line: LineOfSaleIn) -> list[str]:
    return [name for name in NEEDED if not (getattr(line, name) or "").strip()]


def judge_unknown(environment: str, rows: Mapping[int, ItemRow]) -> tuple[dict[int, ItemRow], list[Wrong]]:
    """Those of the new items that can be taken, and what KRA's lists do not allow."""
    judged = dict(zip(rows, judge(environment, list(rows.values())), strict=True))
    places = {"code": "item_code"}
    wrongs = [
        Wrong(f"lines[{index}].{places.get(wrong.field, wrong.field)}", wrong.code, wrong.message)
        for index, one in judged.items()
        for wrong in one.wrongs
    ]
    return {index: one.row for index, one in judged.items() if not one.wrongs}, wrongs


def register_unknown(company_id: int, environment: str, rows: Sequence[ItemRow]) -> None:
    """Have the new items registered; repeating it changes nothing."""
    company = Company.objects.get(pk=company_id)
    add_items(company=company, environment=environment, rows=rows, now=utc_now())


def shown(rows: Iterable[ItemRow]) -> dict[str, ShelfItem]:
    """New items as the catalogue will have them."""
    return {
        row.code: ShelfItem(
            id=0,
            code=row.code,
            name=row.name,
            tax_type=row.tax_type,
            item_class=row.item_class,
            product_type=PRODUCT_TYPES[row.product_type].value,
            packaging_unit=row.packaging_unit,
            quantity_unit=row.quantity_unit,
            barcode=row.barcode,
            kra_code="",
            status="waiting",
        )
        for row in rows
    }


def marked(items: Mapping[str, ShelfItem], sale: SaleIn, brought: Collection[str] = ()) -> dict[str, ShelfItem]:
    """The items with a gap's mark where KRA's code will stand once they are registered.

    An item that the sale has just `brought` along has its mark even if KRA was quick to refuse it: the sale is kept
    and refused in KRA's words at its turn, whoever was quicker.
    """
    first = {line.item_code: index for index, line in reversed(list(enumerate(sale.lines)))}
    return {
        code: replace(item, kra_code=gap(first[code])) if not item.kra_code and _is_open(item, brought) else item
        for code, item in items.items()
    }


def _is_open(item: ShelfItem, brought: Collection[str]) -> bool:
    return item.status == "waiting" or (item.status == "refused" and item.code in brought)


class StillWaiting(Exception):
    """An item of the sale is not registered yet."""

    def __init__(self, item_id: int) -> None:
        super().__init__(item_id)
        self.item_id = item_id


class NotRegistered(Exception):
    """An item of the sale will not be registered: KRA refused it, or it was retired."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


async def completed(read: Read, document: Mapping[str, Any]) -> dict[str, Any]:
    """The row for statements.COMPLETE: body and lines with the codes that their items have now.

    Raises StillWaiting, NotRegistered.
    """
    lines: list[dict[str, Any]] = json_value(document["lines"])
    missing = {index: line for index, line in enumerate(lines) if line["kra_code"].startswith(GAP)}
    codes = sorted({line["item_code"] for line in missing.values()})
    key = {"company_id": document["company_id"], "environment": document["environment"], "codes": codes}
    found = {row["code"]: row for row in await read(statements.ITEM_CODES, key)}
    given: dict[str, str] = {}
    for index, line in missing.items():
        item = found.get(line["item_code"])
        if item is not None and item["status"] in ("registered", "waiting") and item["kra_code"]:
            given[line["kra_code"]] = item["kra_code"]
        elif item is not None and item["status"] == "waiting":
            raise StillWaiting(item["id"])
        else:
            raise NotRegistered(_problem(index, line, item))
    filled = [{**line, "kra_code": given.get(line["kra_code"], line["kra_code"])} for line in lines]
    return {"id": document["id"], "body": with_item_codes(document["body"], given), "lines": filled}


def _problem(index: int, line: Mapping[str, Any], item: Mapping[str, Any] | None) -> dict[str, Any]:
    told = json_value(item["problem"]) if item else None
    words = f"{line['name']} is no longer sold."
    if item is None or item["status"] != "retired":
        words = (
            f"KRA did not take the item {line['name']}, which this sale brought along. {(told or {}).get('detail', '')}"
        )
    field = {"field": f"lines[{index}].item_code", "code": "item_not_registered", "message": words.strip()}
    problem = {"code": "item_refused", "detail": words.strip(), "fields": [field]}
    return {**problem, "kra": told["kra"]} if told and told.get("kra") else problem
