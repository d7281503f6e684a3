"""What one turn of an invoice does when KRA's answers are lost, late, wrong or strange, seen from KRA's side too."""

import os
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.devices.models import Device
from gateway.kra.documents import FoundInvoice
from gateway.lanes.models import Attempt, Lane
from gateway.sales.intake import SaleIn, content_hash, tag_of
from gateway.sales.models import Found, Invoice
from gateway.sales.services import Outcome
from tests.lanes.bench import fresh_database, pointed_at
from tests.lanes.shops import Counter, Street, held, street
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

LATE_SECONDS = 2.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock(), fresh_database(os.environ["DATABASE_URL"], tmp_path_factory.mktemp("db")) as made:
        yield made


@pytest.fixture
def shops(url: str, django_db_blocker: Any, simulator: Simulator, settings: Any) -> Iterator[Street]:
    with django_db_blocker.unblock(), pointed_at(url), street(simulator, settings, late_seconds=LATE_SECONDS) as made:
        made.start_process()
        yield made


@pytest.fixture
def counter(shops: Street) -> Counter:
    (opened,) = shops.open_company("00")
    shops.register_items()
    return opened


def sell(shops: Street, counter: Counter, reference: str, **changes: Any) -> Outcome:
    """Post a sale and do not wait for it."""
    sale = counter.sale(reference, **changes)
    (heard,) = shops.post(shops.processes[0], (counter, sale))
    assert isinstance(heard, Outcome), heard
    return heard


def invoice(counter: Counter, reference: str) -> Invoice:
    return Invoice.objects.get(lane_id=counter.lane_id, reference=reference)


def problem(found: Invoice) -> dict[str, Any]:
    """What is wrong with it, in our words and KRA's."""
    assert found.problem is not None
    told: dict[str, Any] = found.problem
    return told


def becomes(shops: Street, counter: Counter, reference: str, status: str, *, seconds: float = 40) -> Invoice:
    """Let everybody work until the invoice has this status."""
    shops.work_until(lambda: invoice(counter, reference).status == status, seconds=seconds)
    found = invoice(counter, reference)
    assert found.status == status, (found.status, found.problem, held(counter))
    return found


def messages(shops: Street, counter: Counter) -> list[str]:
    """What KRA was asked for the branch about sales, in order."""
    told = shops.simulator.requests(pin=counter.pin, branch=counter.branch)
    return [row["operation"] for row in told if row["operation"] in {"sales_save", "invoice_details"}]


def test_a_sale_in_doubt_is_looked_up_before_anything_is_sent_again(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "answer_lost")
    sell(shops, counter, "POS-1")
    assert becomes(shops, counter, "POS-1", "signed").recovered
    assert messages(shops, counter) == ["sales_save", "invoice_details"]


def test_a_sale_whose_process_died_is_looked_up_before_anything_is_sent_again(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "delay", seconds=5, when="after")
    sell(shops, counter, "POS-1")
    assert shops.work_until(lambda: len(shops.ledger(counter)) == 1, seconds=5)
    shops.kill(shops.processes[0])
    shops.start_process()
    assert becomes(shops, counter, "POS-1", "signed").recovered
    assert messages(shops, counter) == ["sales_save", "invoice_details"]


def test_a_process_without_a_fresh_heartbeat_sends_nothing(shops: Street, counter: Counter) -> None:
    engine = shops.processes[0].engine
    sell(shops, counter, "POS-1")
    becomes(shops, counter, "POS-1", "signed")
    engine.lease_until = 0.0
    sell(shops, counter, "POS-2")
    shops.pass_time(0.5)
    assert engine.lease_until == 0.0 and messages(shops, counter).count("sales_save") == 1
    becomes(shops, counter, "POS-2", "signed")


def test_a_refusal_is_not_believed_while_an_earlier_try_may_land(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "recorded_late", seconds=1.0)
    shops.fault(counter, "sales_save", "result_code", code="910")
    sell(shops, counter, "POS-1")
    sell(shops, counter, "POS-2")
    refused = shops.work_until(lambda: messages(shops, counter).count("sales_save") == 2, seconds=5)
    assert refused
    shops.pass_time(0.2)
    doubtful = invoice(counter, "POS-1")
    assert (doubtful.status, doubtful.number) == ("unknown", 1) and invoice(counter, "POS-2").status == "queued"
    first, second = becomes(shops, counter, "POS-1", "signed"), becomes(shops, counter, "POS-2", "signed")
    assert (first.number, first.recovered, second.number) == (1, True, 2)
    assert [row["reference"] for row in shops.ledger(counter)] == ["POS-1", "POS-2"]


def test_a_number_leaves_its_document_only_when_no_try_of_it_can_land_any_more(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "request_lost")
    shops.fault(counter, "sales_save", "result_code", code="910")
    sell(shops, counter, "POS-1")
    sell(shops, counter, "POS-2")
    refused = becomes(shops, counter, "POS-1", "refused")
    tries = Attempt.objects.filter(document_id=refused.pk, kind="invoice", operation="sales_save").order_by("pk")
    assert [one.outcome for one in tries] == ["no_answer", "refused"]
    assert refused.settled_at is not None
    assert refused.settled_at - tries[0].started_at >= timedelta(seconds=LATE_SECONDS)
    assert problem(refused)["kra"]["code"] == "910" and refused.number is None
    assert becomes(shops, counter, "POS-2", "signed").number == 1


def test_the_last_try_of_a_process_that_died_may_land_as_late_as_any(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "request_lost")
    shops.fault(counter, "invoice_details", "request_lost", times=1000)
    sell(shops, counter, "POS-1")
    becomes(shops, counter, "POS-1", "unknown")
    shops.pass_time(LATE_SECONDS + 0.3)
    shops.fault(counter, "sales_save", "recorded_late", seconds=1.6, ending="hang")
    shops.fault(counter, "sales_save", "result_code", code="910")
    lookups = [row for row in shops.simulator.call("GET", "/_sim/faults")["faults"] if row["operation"] != "sales_save"]
    for row in lookups:
        shops.simulator.call("DELETE", f"/_sim/faults/{row['id']}")
    assert shops.work_until(lambda: messages(shops, counter).count("sales_save") == 2, seconds=5)
    shops.kill(shops.processes[0])
    shops.start_process()
    shops.work_until(lambda: len(shops.ledger(counter)) == 1, seconds=5)
    assert [row["reference"] for row in shops.ledger(counter)] == ["POS-1"]
    assert becomes(shops, counter, "POS-1", "signed", seconds=4).number == 1


def test_a_lower_number_than_ours_holds_the_lane_and_nothing_steps_back(shops: Street, counter: Counter) -> None:
    sell(shops, counter, "POS-1")
    becomes(shops, counter, "POS-1", "signed")
    drift = "Invalid invcNo sequence, expected: 1 but found: 2"
    shops.fault(counter, "sales_save", "result_code", code="910", message=drift)
    sell(shops, counter, "POS-2")
    assert shops.work_until(lambda: bool(held(counter)), seconds=5)
    assert "never step back" in held(counter) and Lane.objects.get(pk=counter.lane_id).next_number == 2
    assert invoice(counter, "POS-2").status == "queued" and len(shops.ledger(counter)) == 1


def test_a_drift_that_names_our_own_number_is_looked_up_and_its_message_kept(shops: Street, counter: Counter) -> None:
    drift = "Invalid invcNo sequence, expected: 1 but found: 1"
    shops.fault(counter, "sales_save", "result_code", code="910", message=drift)
    sell(shops, counter, "POS-1")
    signed = becomes(shops, counter, "POS-1", "signed")
    tries = Attempt.objects.filter(document_id=signed.pk, kind="invoice", operation="sales_save").order_by("pk")
    assert [one.outcome for one in tries] == ["drift", "done"]


def test_one_unclear_answer_after_an_outage_does_not_hold_the_lane(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "rate_limited", times=4, retry_after=0)
    shops.fault(counter, "sales_save", "result_code", code="999")
    sell(shops, counter, "POS-1")
    assert becomes(shops, counter, "POS-1", "signed", seconds=4).number == 1


def test_the_same_unclear_answer_again_and_again_holds_the_lane_for_a_person(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "result_code", code="999", times=10)
    sell(shops, counter, "POS-1")
    assert shops.work_until(lambda: bool(held(counter)), seconds=10)
    assert "answered so 4 times" in held(counter) and invoice(counter, "POS-1").status == "unknown"
    assert messages(shops, counter).count("sales_save") == 4


def test_words_of_kra_that_no_database_takes_are_settled_all_the_same(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "result_code", code="910", message="no\x00pe")
    sell(shops, counter, "POS-1")
    assert problem(becomes(shops, counter, "POS-1", "refused", seconds=3))["kra"]["code"] == "910"


def test_a_device_that_is_not_active_holds_its_lane_and_sends_nothing(shops: Street, counter: Counter) -> None:
    Device.objects.filter(lane_id=counter.lane_id).update(status=Device.Status.TROUBLE, problem="The key is refused")
    shops.pass_time(2.1)  # what the desk remembers
    sell(shops, counter, "POS-1")
    assert shops.work_until(lambda: bool(held(counter)), seconds=5)
    assert "is not active: The key is refused" in held(counter) and messages(shops, counter) == []
    assert (invoice(counter, "POS-1").status, invoice(counter, "POS-1").number) == ("queued", None)


def test_an_earlier_wording_that_kra_holds_after_all_holds_the_lane(shops: Street, counter: Counter) -> None:
    """KRA refused it and recorded it; its owner has corrected it since: one of the two must be credited."""
    shops.fault(counter, "sales_save", "result_code", code="910", recorded=True)
    sell(shops, counter, "POS-1")
    becomes(shops, counter, "POS-1", "refused")
    sell(shops, counter, "POS-1", quantity=3)
    assert shops.work_until(lambda: bool(held(counter)) or len(shops.ledger(counter)) == 2, seconds=5)
    shops.pass_time(0.3)
    assert "earlier wording" in held(counter) and invoice(counter, "POS-1").status != "signed"
    assert len(shops.ledger(counter)) == 1


def test_a_refused_sale_that_kra_holds_after_all_becomes_signed(shops: Street, counter: Counter) -> None:
    shops.fault(counter, "sales_save", "result_code", code="910", recorded=True)
    sell(shops, counter, "POS-1")
    becomes(shops, counter, "POS-1", "refused")
    sell(shops, counter, "POS-2")
    assert becomes(shops, counter, "POS-2", "signed", seconds=4).number == 2
    found = invoice(counter, "POS-1")
    assert (found.status, found.number, found.recovered) == ("signed", 1, True)
    assert [row["signature"] for row in shops.ledger(counter)] == [
        found.signature,
        invoice(counter, "POS-2").signature,
    ]


def test_an_invoice_that_kra_holds_from_before_is_adopted_and_not_sent(shops: Street, counter: Counter) -> None:
    """As after a restored backup: KRA's copy was noted under a later number, and the till posts the sale again."""
    sell(shops, counter, "POS-1")
    becomes(shops, counter, "POS-1", "signed")
    sale = counter.sale("POS-2")
    note_found(shops, counter, sale, number=40)
    sent = messages(shops, counter).count("sales_save")
    (heard,) = shops.post(shops.processes[0], (counter, sale))
    assert isinstance(heard, Outcome)
    adopted = becomes(shops, counter, "POS-2", "signed")
    assert (adopted.number, adopted.recovered, adopted.total) == (40, True, Decimal("293.22"))
    assert messages(shops, counter).count("sales_save") == sent
    assert Found.objects.get(lane_id=counter.lane_id, number=40).adopted_by_id == adopted.pk
    assert Lane.objects.get(pk=counter.lane_id).next_number == 2


def test_what_carries_our_mark_but_other_amounts_is_not_adopted(shops: Street, counter: Counter) -> None:
    sell(shops, counter, "POS-1")
    becomes(shops, counter, "POS-1", "signed")
    sale = counter.sale("POS-2", quantity=5)
    note_found(shops, counter, sale, number=40)
    shops.post(shops.processes[0], (counter, sale))
    assert becomes(shops, counter, "POS-2", "signed").number == 2


def note_found(shops: Street, counter: Counter, sale: SaleIn, *, number: int) -> None:
    """KRA's copy of number 1, noted under this number with the mark of another sale."""
    tag = tag_of(
        environment="sandbox",
        pin=counter.pin,
        branch=counter.branch,
        reference=sale.reference,
        content=content_hash(sale),
    )
    copy = msgspec.to_builtins(find(shops, counter, 1)) | {"number": number, "remark": tag}
    document = msgspec.json.decode(msgspec.json.encode(copy))
    Found.objects.create(lane_id=counter.lane_id, number=number, tag=tag, document=document)


def find(shops: Street, counter: Counter, number: int) -> FoundInvoice:
    """KRA's copy of an invoice."""
    process = shops.processes[0]
    device = Device.objects.get(lane_id=counter.lane_id)

    async def ask() -> FoundInvoice:
        seat = await process.desk.seat(device.pk)
        found, _ = await process.desk.client(seat).find_invoice(process.desk.credentials(seat), number)
        assert found is not None
        return found

    return shops.run(ask())
