"""An event says who, what, when, from where, and how it was before and after."""

import pytest

from gateway.audit.models import Event, Severity
from gateway.audit.services import record
from gateway.lib.origin import Origin, came_from
from gateway.tenants.services import onboard_company

pytestmark = pytest.mark.django_db


def test_an_event_knows_from_where_it_was_asked() -> None:
    company = onboard_company(pin="P051234567X", name="Amani Stores Ltd")
    with came_from(Origin(address="41.90.1.2", request_id="r-1")):
        record(
            company, "member.invited", actor="key:owner", before=None, after={"role": "cashier"}, email="a@b.example"
        )
    event = Event.objects.get()
    assert (event.address, event.request_id, event.actor) == ("41.90.1.2", "r-1", "key:owner")
    assert (event.before, event.after, event.data) == (None, {"role": "cashier"}, {"email": "a@b.example"})
    assert event.severity == Severity.NOTICE


def test_work_that_no_request_asked_for_has_no_address() -> None:
    record(None, "schedule.changed")
    event = Event.objects.get()
    assert (event.company, event.address, event.request_id, event.severity) == (None, "", "", Severity.INFO)


def test_the_writer_may_say_how_severe_it_is() -> None:
    assert record(None, "thing.changed", severity=Severity.CRITICAL).severity == "critical"
