"""What one turn of a recipe's component does when KRA, its answers or our key fail."""

from decimal import Decimal

import pytest

from gateway.catalog.models import Item
from gateway.stock.models import Component
from gateway.stock.recipes import PartIn, set_recipe
from gateway.tenants.models import Company
from tests.catalog.item_lane import (
    host,
    is_held,
    key_unreadable,
    lane_of_items,
    messages,
    open_breaker,
    release,
    told_of_hold,
)
from tests.lanes.shops import Counter, Street

pytestmark = pytest.mark.needs_database
SAVE = "item_composition_save"


def bake(shops: Street, counter: Counter) -> Component:
    """Say what bread is made of; it is not waited for."""
    company = Company.objects.get(pk=counter.company_id)
    parts = [PartIn("SUGAR", Decimal("0.25"))]
    recipe = shops.do(
        lambda: set_recipe(company=company, environment="sandbox", item_code="BREAD", parts=parts, by="key:owner")
    )
    return recipe.parts[0]


def told(shops: Street, part: Component, *, seconds: float = 15) -> Component:
    """Let everybody work until KRA was told of the component."""

    def is_told() -> bool:
        part.refresh_from_db()
        return part.told_at is not None

    assert shops.work_until(is_told, seconds=seconds), part.problem
    return part


def test_a_component_is_told_once(shops: Street, counter: Counter) -> None:
    assert told(shops, bake(shops, counter)).problem is None
    assert messages(shops, counter, SAVE) == 1


def test_a_key_that_does_not_open_holds_the_lane_and_somebody_is_told(shops: Street, counter: Counter) -> None:
    with key_unreadable(shops, counter):
        part = bake(shops, counter)
        assert "cannot be opened" in is_held(shops, counter).hold_reason
        (event,) = told_of_hold(counter)
        assert event.subject == Item.objects.get(company_id=counter.company_id, code="BREAD").public_id
        assert messages(shops, counter, SAVE) == 0
    release(shops, counter)
    told(shops, part)


def test_a_device_that_kra_does_not_know_holds_the_lane_and_somebody_is_told(shops: Street, counter: Counter) -> None:
    shops.fault(counter, SAVE, "result_code", code="901")
    part = bake(shops, counter)
    assert is_held(shops, counter).hold_reason and len(told_of_hold(counter)) == 1
    release(shops, counter)
    told(shops, part)


def test_nothing_of_a_component_is_sent_to_a_kra_that_answers_nobody(shops: Street, counter: Counter) -> None:
    open_breaker(shops, counter)
    part = bake(shops, counter)
    assert shops.work_until(lambda: lane_of_items(counter).rest_reason, seconds=2)
    assert messages(shops, counter, SAVE) == 0
    told(shops, part)
    assert not host(shops, counter).breaker.is_open


def test_a_component_that_does_not_get_through_speaks_against_the_host(shops: Street, counter: Counter) -> None:
    shops.fault(counter, SAVE, "answer_lost")
    told(shops, bake(shops, counter))
    assert messages(shops, counter, SAVE) == 2 and host(shops, counter).failed_at is not None


def test_a_component_that_kra_refuses_shows_why(shops: Street, counter: Counter) -> None:
    shops.fault(counter, SAVE, "result_code", code="910")
    part = bake(shops, counter)

    def is_refused() -> bool:
        part.refresh_from_db()
        return part.problem is not None

    assert shops.work_until(is_refused, seconds=5)
    assert part.told_at is None and (part.problem or {})["code"] == "refused_by_kra"
