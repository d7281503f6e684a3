"""What the owner of an invoice may do with it, row by row; over HTTP and with a KRA in tests/journeys."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.devices.services import DeviceNotReady
from gateway.lanes.models import Job, Lane
from gateway.sales.actions import (
    CORRECTED,
    InvoiceUnknown,
    NotRefused,
    TooLate,
    cancel_invoice,
    correct_invoice,
    retry_invoice,
)
from gateway.sales.models import Contact, Invoice, Revision
from tests.api.rows import make_invoice
from tests.sales.waiting import REFUSAL, job_of, make_doubtful, make_queued, make_refused
from tests.tenants.factories import make_stranger

pytestmark = pytest.mark.django_db
BY = "key:owner"
Action = Callable[..., Invoice]


def act(action: Action, invoice: Invoice, **changes: Any) -> Invoice:
    named = {
        "company_id": invoice.company_id,
        "environment": invoice.environment,
        "public_id": invoice.public_id,
        "actor": BY,
    }
    return action(**{**named, **changes})


def names(invoice: Invoice) -> list[str]:
    return list(Event.objects.filter(subject=invoice.public_id).order_by("pk").values_list("name", flat=True))


# Asked again


def test_a_refused_invoice_is_queued_again_unchanged_at_the_end_of_its_lane(device: Device) -> None:
    refused, other = make_refused(device, body='{"sent": 1}', revision=2), make_queued(device, "POS-2")
    before: dict[str, Any] = {**Invoice.objects.filter(pk=refused.pk).values().get()}
    again = act(retry_invoice, refused)
    after: dict[str, Any] = {**Invoice.objects.filter(pk=refused.pk).values().get()}
    assert {name for name in after if after[name] != before[name]} == {"status", "problem"}
    assert (again.status, again.problem, again.revision) == ("queued", None, 2)
    job = job_of(refused)
    assert (job.state, job.number, job.turn) == ("queued", None, 0) and job.pk > job_of(other).pk
    assert Lane.objects.get(pk=refused.lane_id).due_at is not None
    event = Event.objects.get(name="invoice.retried")
    assert (event.actor, event.subject, event.data["problem"]) == (BY, refused.public_id, REFUSAL)


def test_asking_a_second_time_while_it_waits_changes_nothing(device: Device) -> None:
    refused = make_refused(device)
    act(retry_invoice, refused)
    job = job_of(refused)
    assert act(retry_invoice, refused).status == "queued"
    assert job_of(refused).pk == job.pk and names(refused) == ["invoice.retried"]


@pytest.mark.parametrize("status", ["signed", "cancelled"])
def test_only_a_refused_invoice_can_be_asked_for_again(device: Device, status: str) -> None:
    invoice = make_invoice(device, "POS-1", status=status)
    with pytest.raises(NotRefused, match=status):
        act(retry_invoice, invoice)
    assert names(invoice) == [] and not Job.objects.exists()


def test_an_invoice_of_a_retired_device_is_not_queued_for_it_would_hold_the_branch(device: Device) -> None:
    refused = make_refused(device)
    Device.objects.filter(pk=device.pk).update(status=Device.Status.RETIRED)
    with pytest.raises(DeviceNotReady, match="retired"):
        act(retry_invoice, refused)
    refused.refresh_from_db()
    assert refused.status == "refused" and job_of(refused).state == "closed"


# Withdrawn


def test_an_invoice_that_waits_is_withdrawn_and_its_job_closed(device: Device) -> None:
    waiting = make_queued(device)
    withdrawn = act(cancel_invoice, waiting)
    assert (withdrawn.status, withdrawn.number) == ("cancelled", None) and withdrawn.settled_at is not None
    assert job_of(waiting).state == "closed"
    event = Event.objects.get(name="invoice.cancelled")
    assert (event.actor, event.subject, event.data) == (BY, waiting.public_id, {"reference": "POS-1"})


def test_withdrawing_twice_is_withdrawing_once(device: Device) -> None:
    waiting = make_queued(device)
    assert act(cancel_invoice, waiting).settled_at == act(cancel_invoice, waiting).settled_at
    assert names(waiting) == ["invoice.cancelled"]


@pytest.mark.parametrize("status", ["sending", "unknown", "signed", "refused"])
def test_what_kra_has_seen_cannot_be_withdrawn(device: Device, status: str) -> None:
    invoice = make_invoice(device, "POS-1", status=status)
    with pytest.raises(TooLate, match=status):
        act(cancel_invoice, invoice)
    invoice.refresh_from_db()
    assert invoice.status == status and names(invoice) == []
    assert not Job.objects.filter(state="closed").exists()


def test_a_job_that_has_started_cannot_be_withdrawn_whatever_its_invoice_says(device: Device) -> None:
    waiting = make_queued(device)
    Job.objects.filter(document_id=waiting.pk).update(state="started")
    with pytest.raises(TooLate):
        act(cancel_invoice, waiting)
    waiting.refresh_from_db()
    assert waiting.status == "queued"


def test_an_invoice_in_doubt_that_is_to_be_sent_again_cannot_be_withdrawn(device: Device) -> None:
    doubtful = make_doubtful(device)
    Job.objects.filter(document_id=doubtful.pk).update(state="queued")
    with pytest.raises(TooLate, match="unknown"):
        act(cancel_invoice, doubtful)


@pytest.mark.parametrize("action", [retry_invoice, cancel_invoice])
def test_what_is_not_the_callers_does_not_exist(device: Device, action: Action) -> None:
    stranger = make_stranger()
    make = make_refused if action is retry_invoice else make_queued
    invoice = make(device)
    for changes in (
        {"company_id": stranger.company.pk},
        {"environment": "production"},
        {"public_id": uuid.uuid4()},
        {"device": stranger.device.public_id},
    ):
        with pytest.raises(InvoiceUnknown):
            act(action, invoice, **changes)
    assert names(invoice) == []
    assert act(action, invoice, device=device.public_id).status in {"queued", "cancelled"}


# Corrected


def corrected_row(invoice: Invoice, **changes: Any) -> dict[str, Any]:
    return {**{name: getattr(invoice, name) for name in CORRECTED}, "phone": None, "email": None, **changes}


def test_a_correction_keeps_what_it_replaces_and_queues_the_rest(device: Device) -> None:
    refused = make_refused(device, content={"remark": "old"}, tag="rvp:old")
    Contact.objects.create(invoice=refused, phone="+254700000001")
    row = corrected_row(refused, content={"remark": "new"}, tag="rvp:new", total=Decimal("9.00"), email="b@example.com")
    assert correct_invoice(invoice_id=refused.pk, revision=1, row=row)
    refused.refresh_from_db()
    assert (refused.status, refused.revision, refused.problem) == ("queued", 2, None)
    assert (refused.content, refused.total) == ({"remark": "new"}, Decimal("9.00"))
    kept = Revision.objects.get(invoice=refused)
    assert (kept.revision, kept.content, kept.problem, kept.tag) == (1, {"remark": "old"}, REFUSAL, "rvp:old")
    contact = Contact.objects.get(invoice=refused)
    assert (contact.phone, contact.email) == ("", "b@example.com")
    assert job_of(refused).state == "queued" and names(refused) == ["invoice.corrected"]


def test_of_two_corrections_of_one_revision_the_second_writes_nothing(device: Device) -> None:
    refused = make_refused(device)
    assert correct_invoice(invoice_id=refused.pk, revision=1, row=corrected_row(refused))
    assert not correct_invoice(invoice_id=refused.pk, revision=1, row=corrected_row(refused, content={"late": True}))
    refused.refresh_from_db()
    assert refused.revision == 2 and refused.content == {} and Revision.objects.count() == 1


def test_an_invoice_that_was_asked_for_again_cannot_be_corrected_meanwhile(device: Device) -> None:
    refused = make_refused(device)
    act(retry_invoice, refused)
    assert not correct_invoice(invoice_id=refused.pk, revision=1, row=corrected_row(refused))
    assert not Revision.objects.exists()
