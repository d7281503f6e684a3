"""Which items of a sale are to get KRA's code while the sale waits."""

from gateway.kra.client import gap
from gateway.sales.intake import read_sale
from gateway.sales.unknown_items import marked
from tests.sales.test_intake import line, posted, shelf_item

ITEMS = {
    "SUGAR": shelf_item("SUGAR", "B"),
    "NEW": shelf_item("NEW", "B", status="waiting", kra_code=""),
    "REFUSED": shelf_item("REFUSED", "B", status="refused", kra_code=""),
    "RETIRED": shelf_item("RETIRED", "B", status="retired", kra_code=""),
}


def codes(*brought: str) -> dict[str, str]:
    """KRA's codes in a sale of all items, some of which it brought along itself."""
    lines = [line(item_code=code)[0] for code in ITEMS]
    return {code: item.kra_code for code, item in marked(ITEMS, read_sale(posted(lines=lines)), brought).items()}


def test_an_item_on_its_way_to_kra_has_a_gap_and_every_other_is_left_as_it_is() -> None:
    assert codes() == {**{code: item.kra_code for code, item in ITEMS.items()}, "NEW": gap(1)}


def test_one_that_kra_refused_while_its_sale_was_being_kept_has_a_gap_too() -> None:
    found = codes("REFUSED", "RETIRED")
    assert (found["REFUSED"], found["RETIRED"]) == (gap(2), "")
