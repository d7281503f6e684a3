"""What one turn of an item does when KRA, its answers or our key fail, seen from KRA's side too."""

import pytest

from gateway.catalog.models import Item
from gateway.lanes.models import Job
from tests.catalog.item_lane import (
    host,
    is_held,
    key_unreadable,
    lane_of_items,
    messages,
    open_breaker,
    release,
    sync,
    told_of_hold,
)
from tests.lanes.conftest import url as url
from tests.lanes.shops import Counter, Street
from tests.stock.conftest import counter as counter
from tests.stock.conftest import shops as shops

pytestmark = pytest.mark.needs_database
SAVE = "item_save"


def becomes(shops: Street, item: Item, status: str, *, seconds: float = 15) -> Item:
    """Let everybody work until the item has this status."""

    def has_it() -> bool:
        item.refresh_from_db()
        return item.status == status

    assert shops.work_until(has_it, seconds=seconds), (item.status, item.problem)
    return item


def test_a_key_that_does_not_open_holds_the_items_and_somebody_is_told(shops: Street, counter: Counter) -> None:
    sent = messages(shops, counter, SAVE)
    with key_unreadable(shops, counter):
        item = sync(shops, counter)
        assert "cannot be opened" in is_held(shops, counter).hold_reason
        (told,) = told_of_hold(counter)
        assert (told.subject, told.severity) == (item.public_id, "warning")
        assert told.data["reason"] == lane_of_items(counter).hold_reason
        assert messages(shops, counter, SAVE) == sent
        assert Job.objects.get(kind="item", document_id=item.pk).number is None  # nothing was sent under it
    release(shops, counter)
    assert becomes(shops, item, "registered").kra_code.endswith("3")


def test_a_device_that_kra_does_not_know_holds_the_items_and_somebody_is_told(shops: Street, counter: Counter) -> None:
    shops.fault(counter, SAVE, "result_code", code="901")
    item = sync(shops, counter)
    assert is_held(shops, counter).hold_reason
    (told,) = told_of_hold(counter)
    assert told.subject == item.public_id
    release(shops, counter)
    becomes(shops, item, "registered")


def test_nothing_of_an_item_is_sent_to_a_kra_that_answers_nobody(shops: Street, counter: Counter) -> None:
    sent = messages(shops, counter, SAVE)
    open_breaker(shops, counter)
    item = sync(shops, counter)
    assert shops.work_until(lambda: lane_of_items(counter).rest_reason, seconds=2)
    assert "does not answer anybody" in lane_of_items(counter).rest_reason
    assert messages(shops, counter, SAVE) == sent
    becomes(shops, item, "registered")
    assert not host(shops, counter).breaker.is_open  # the item was the probe


def test_an_item_that_does_not_get_through_speaks_against_the_host(shops: Street, counter: Counter) -> None:
    shops.fault(counter, SAVE, "http_status", status=503)
    becomes(shops, sync(shops, counter), "registered")
    seen = host(shops, counter)
    assert seen.failed_at is not None and seen.answered_at is not None and seen.answered_at > seen.failed_at


def test_an_item_is_not_sent_by_a_process_without_a_fresh_heartbeat(shops: Street, counter: Counter) -> None:
    sent, engine = messages(shops, counter, SAVE), shops.processes[0].engine
    engine.lease_until = 0.0
    item = sync(shops, counter)
    shops.pass_time(0.5)
    assert engine.lease_until == 0.0 and messages(shops, counter, SAVE) == sent
    becomes(shops, item, "registered")


@pytest.mark.parametrize("lost", ["answer_lost", "request_lost"])
def test_an_item_whose_answer_was_lost_is_saved_again_under_the_same_code(
    shops: Street, counter: Counter, lost: str
) -> None:
    shops.fault(counter, SAVE, lost)
    assert becomes(shops, sync(shops, counter), "registered").kra_code.endswith("3")
    assert lane_of_items(counter).next_number == 4


def test_an_item_that_kra_refuses_shows_why_and_uses_no_code(shops: Street, counter: Counter) -> None:
    shops.fault(counter, SAVE, "result_code", code="910")
    item = becomes(shops, sync(shops, counter), "refused")
    assert item.problem is not None and item.problem["kra"]["code"] == "910"
    assert lane_of_items(counter).next_number == 3 and told_of_hold(counter) == []
