"""An operator decides about a document in doubt: each way once, only while nobody else is at it, and written down."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.devices.onboarding import Onboarded
from gateway.lanes.actions import NotPossible, release_lane
from gateway.lanes.models import Attempt, Job, Lane, Process
from gateway.sales.doubts import Doubt, SignedByHand, find_doubt, give_back, read_signed, send_again, sign_by_hand
from gateway.sales.models import Invoice
from tests.api.rows import make_invoice
from tests.sales.waiting import job_of, lane_of, make_doubtful, make_queued
from tests.tenants.factories import make_active, make_stranger

pytestmark = pytest.mark.django_db
BY = "operator:wanjiru"
RECEIPT = {
    "number": 1,
    "receipt_number": 7,
    "total_receipt_number": 9,
    "internal_data": "EAHSAV6ECUUXSY6PCCJYAUP6MI",
    "signature": "QUII27MATATSHFRB",
    "signed_at": "2026-11-20T10:00:00+03:00",
    "control_unit_id": "SIMCU0100000001",
}


def receipt(**changes: Any) -> SignedByHand:
    return read_signed(json.dumps({**RECEIPT, **changes}).encode())


def doubt_of(invoice: Invoice) -> Doubt:
    return find_doubt(lane_of(invoice))


def unchanged(invoice: Invoice) -> bool:
    """Whether all is as `make_doubtful` left it."""
    now = Invoice.objects.get(pk=invoice.pk)
    return (now.status, now.number, job_of(invoice).state) == ("unknown", invoice.number, "started") and bool(
        lane_of(invoice).hold_reason and not Event.objects.filter(name__in=["lane.resolved", "invoice.signed"])
    )


@pytest.fixture
def vscu(amani: Onboarded) -> Device:
    """A device that cannot be asked what it signed."""
    return make_active(make_stranger(kind="vscu").device)


# Signed by hand


def test_what_the_unit_signed_is_signed_here_and_the_lane_goes_on_behind_it(device: Device) -> None:
    invoice = make_doubtful(device, number=4)
    signed = sign_by_hand(doubt_of(invoice), receipt(number=4), actor=BY)
    assert (signed.status, signed.number, signed.recovered, signed.problem) == ("signed", 4, True, None)
    assert (signed.receipt_number, signed.total_receipt_number) == (7, 9)
    assert (signed.signature, signed.internal_data) == (RECEIPT["signature"], RECEIPT["internal_data"])
    assert signed.signed_at == datetime(2026, 11, 20, 7, tzinfo=UTC) and signed.unanswered_at is None
    lane = lane_of(invoice)
    assert (lane.next_number, lane.hold_reason, lane.failures, lane.owner) == (5, "", 0, None)
    assert job_of(invoice).state == "closed"


def test_the_journal_tells_who_signed_it_by_hand_from_what_to_what(device: Device) -> None:
    invoice = make_doubtful(device)
    sign_by_hand(doubt_of(invoice), receipt(), actor=BY)
    event = Event.objects.get(name="lane.resolved")
    assert (event.actor, event.data["how"], event.data["reference"]) == (BY, "signed", "POS-1")
    assert ((event.before or {})["status"], event.data["status"]) == ("unknown", "signed")
    assert ((event.before or {})["next_number"], (event.after or {})["next_number"]) == (1, 2)
    assert event.data["receipt"]["signature"] == RECEIPT["signature"]
    told = Event.objects.get(name="invoice.signed")
    assert told.data == {"reference": "POS-1", "number": 1, "recovered": True} and told.subject == invoice.public_id


def test_a_lane_that_is_ahead_already_never_steps_back(device: Device) -> None:
    invoice = make_doubtful(device)
    Lane.objects.filter(pk=invoice.lane_id).update(next_number=9)
    sign_by_hand(doubt_of(invoice), receipt(), actor=BY)
    assert lane_of(invoice).next_number == 9


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"number": 2}, "number 2"), ({"control_unit_id": "SIMCU0100000002"}, "control unit")],
)
def test_a_receipt_of_another_document_or_unit_is_not_taken(device: Device, changes: Any, says: str) -> None:
    invoice = make_doubtful(device)
    with pytest.raises(NotPossible, match=says):
        sign_by_hand(doubt_of(invoice), receipt(**changes), actor=BY)
    assert unchanged(invoice)


@pytest.mark.parametrize("changes", [{"signature": "A" * 16}, {"receipt_number": 6}])
def test_a_receipt_that_another_invoice_has_is_not_taken(device: Device, changes: dict[str, Any]) -> None:
    known: dict[str, Any] = {
        "signature": RECEIPT["signature"],
        "receipt_number": 7,
        "control_unit_id": RECEIPT["control_unit_id"],
    }
    make_invoice(device, "POS-0", number=3, **known)
    invoice = make_doubtful(device)
    with pytest.raises(NotPossible, match="belongs to POS-0"):
        sign_by_hand(doubt_of(invoice), receipt(**changes), actor=BY)
    assert Invoice.objects.get(pk=invoice.pk).status == "unknown" and lane_of(invoice).hold_reason


def test_a_receipt_is_read_as_it_is_printed() -> None:
    read = receipt(
        signature="quii-27ma-tats-hfrb", internal_data="EAHS AV6E CUUX SY6P CCJY AUP6 MI", signed_at="20261120100000"
    )
    assert (read.signature, read.internal_data) == (RECEIPT["signature"], RECEIPT["internal_data"])


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"number": "1"},
        {"number": 1.5},
        {"receipt_number": 10},
        {"receipt_number": 0},
        {"total_receipt_number": None},
        {"signature": "QUII27MATATSHFR"},
        {"signature": "QUII27MATATSHFRÄ"},
        {"internal_data": ""},
        {"control_unit_id": "X" * 19},
        {"signed_at": "2026-11-20T10:00:00"},
        {"signed_at": "20261120"},
        {"signed_at": "yesterday"},
        {"signedat": "x"},
    ],
)
def test_a_receipt_that_cannot_be_one_is_told_so(changes: dict[str, Any]) -> None:
    with pytest.raises(NotPossible, match="file"):
        receipt(**changes)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"{}"])
def test_a_file_without_a_receipt_is_told_so(text: bytes) -> None:
    with pytest.raises(NotPossible, match="file"):
        read_signed(text)


# Sent again


def test_where_kra_can_be_asked_the_engine_looks_before_it_sends_again(device: Device) -> None:
    invoice = make_doubtful(device)
    send_again(doubt_of(invoice), actor=BY)
    job, lane = job_of(invoice), lane_of(invoice)
    assert (job.state, job.number, lane.hold_reason, lane.next_number) == ("started", 1, "", 1)
    event = Event.objects.get(name="lane.resolved")
    assert (event.actor, event.data["how"], event.data["status"]) == (BY, "resend", "unknown")


def test_where_it_cannot_the_job_is_sent_once_under_its_number_and_stays_unanswered(vscu: Device) -> None:
    invoice = make_doubtful(vscu, number=3)
    sent = send_again(doubt_of(invoice), actor=BY)
    job = job_of(invoice)
    assert (job.state, job.number, sent.status, sent.number) == ("queued", 3, "unknown", 3)
    assert sent.unanswered_at is not None and invoice.unanswered_at is not None
    assert sent.unanswered_at > invoice.unanswered_at
    assert not lane_of(invoice).hold_reason


def test_an_older_document_that_would_go_first_stops_a_blind_resend(vscu: Device) -> None:
    older = make_queued(vscu, "POS-0")
    invoice = make_doubtful(vscu)
    assert job_of(older).pk < job_of(invoice).pk
    with pytest.raises(NotPossible, match="older"):
        send_again(doubt_of(invoice), actor=BY)
    assert unchanged(invoice)


# Given back


def give(invoice: Invoice, *, late_seconds: float = 300) -> Invoice:
    return give_back(doubt_of(invoice), actor=BY, late_seconds=late_seconds, now=datetime.now(UTC))


def test_what_the_unit_does_not_have_is_refused_and_frees_its_number(vscu: Device) -> None:
    invoice = make_doubtful(vscu, number=3)
    given = give(invoice)
    assert (given.status, given.number, given.unanswered_at) == ("refused", None, None)
    assert given.problem is not None and given.problem["code"] == "given_back" and given.settled_at is not None
    lane = lane_of(invoice)
    assert (lane.next_number, lane.hold_reason, job_of(invoice).state) == (3, "", "closed")
    event = Event.objects.get(name="lane.resolved")
    assert (event.actor, event.data["how"], (event.before or {})["number"]) == (BY, "give_back", 3)
    assert Event.objects.get(name="invoice.refused").data["problem"]["code"] == "given_back"


def test_a_message_that_may_still_land_keeps_its_number_and_the_wait_is_told(vscu: Device) -> None:
    invoice = make_doubtful(vscu, sent_seconds_ago=60)
    with pytest.raises(NotPossible, match=r"too early.* in 2[34]\d seconds"):
        give(invoice)
    assert unchanged(invoice)


def test_the_last_try_counts_not_the_first(vscu: Device) -> None:
    invoice = make_doubtful(vscu, sent_seconds_ago=600)
    Attempt.objects.create(
        company_id=invoice.company_id,
        environment="sandbox",
        kind="invoice",
        document_id=invoice.pk,
        operation="sales_save",
        started_at=datetime.now(UTC) - timedelta(seconds=310),
        duration_ms=60_000,
        outcome="no_answer",
        request_sha256="0" * 64,
    )
    with pytest.raises(NotPossible, match=r"too early.* in (49|50) seconds"):
        give(invoice)
    assert unchanged(invoice)


def test_nothing_is_given_back_while_kra_cannot_be_asked(device: Device) -> None:
    invoice = make_doubtful(device)
    with pytest.raises(NotPossible, match="KRA must be asked first"):
        give(invoice)
    assert unchanged(invoice)


# Only while nobody else is at it


def every_way(doubt: Doubt) -> list[Any]:
    now = datetime.now(UTC)
    return [
        lambda: sign_by_hand(doubt, receipt(), actor=BY),
        lambda: send_again(doubt, actor=BY),
        lambda: give_back(doubt, actor=BY, late_seconds=0, now=now),
    ]


def test_a_lane_that_is_not_held_has_nothing_to_resolve(device: Device) -> None:
    invoice = make_doubtful(device)
    release_lane(invoice.lane_id, actor=BY)
    with pytest.raises(NotPossible, match="not held"):
        doubt_of(invoice)


def test_a_held_lane_without_a_document_in_doubt_is_released_instead(device: Device) -> None:
    waiting = make_queued(device)
    Lane.objects.filter(pk=waiting.lane_id).update(hold_reason="The device is not active.")
    with pytest.raises(NotPossible, match="lanes release"):
        doubt_of(waiting)


def test_a_document_whose_process_died_while_sending_is_looked_into_by_the_engine_first(device: Device) -> None:
    invoice = make_doubtful(device)
    Invoice.objects.filter(pk=invoice.pk).update(status="sending", unanswered_at=None)
    with pytest.raises(NotPossible, match="Release the lane"):
        doubt_of(invoice)


def test_while_a_live_process_owns_the_lane_nothing_is_decided(vscu: Device) -> None:
    invoice = make_doubtful(vscu)
    seen = doubt_of(invoice)
    process = Process.objects.create(token=invoice.public_id, expires_at=datetime.now(UTC) + timedelta(seconds=15))
    Lane.objects.filter(pk=invoice.lane_id).update(owner=process.token)
    for way in [lambda: doubt_of(invoice), *every_way(seen)]:
        with pytest.raises(NotPossible, match="running process"):
            way()
    assert unchanged(invoice)


def test_a_dead_owner_is_no_hindrance_and_loses_the_lane(vscu: Device) -> None:
    invoice = make_doubtful(vscu)
    process = Process.objects.create(token=invoice.public_id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    Lane.objects.filter(pk=invoice.lane_id).update(owner=process.token)
    give(invoice)
    assert lane_of(invoice).owner is None


@pytest.mark.parametrize(
    "moved", ["the lane was released", "another turn went by", "it was tried again", "it was settled"]
)
def test_what_was_decided_about_another_state_is_not_done(vscu: Device, moved: str) -> None:
    invoice = make_doubtful(vscu)
    seen = doubt_of(invoice)
    match moved:
        case "the lane was released":
            Lane.objects.filter(pk=invoice.lane_id).update(hold_reason="")
        case "another turn went by":
            Job.objects.filter(document_id=invoice.pk).update(turn=3)
        case "it was tried again":
            Invoice.objects.filter(pk=invoice.pk).update(unanswered_at=datetime.now(UTC))
        case _:
            give(invoice)
            Lane.objects.filter(pk=invoice.lane_id).update(hold_reason="another")
    before = list(Event.objects.values_list("name", flat=True))
    for way in every_way(seen)[1:]:
        with pytest.raises(NotPossible):
            way()
    assert list(Event.objects.values_list("name", flat=True)) == before


def test_deciding_twice_decides_once(vscu: Device) -> None:
    invoice = make_doubtful(vscu)
    seen = doubt_of(invoice)
    give_back(seen, actor=BY, late_seconds=300, now=datetime.now(UTC))
    with pytest.raises(NotPossible):
        give_back(seen, actor=BY, late_seconds=300, now=datetime.now(UTC))
    assert Event.objects.filter(name="lane.resolved").count() == 1
