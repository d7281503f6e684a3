"""X and Z reports over HTTP: printed in every form, and refused in the words that the other routes use."""

from typing import Any

import pytest

from gateway.devices.models import Device
from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Lane
from gateway.reports.closing import take_z_report
from tests.api.caller import Caller
from tests.reports.test_closing import document, line, nairobi, opened

pytestmark = pytest.mark.django_db
FORMS = ("pdf", "escpos", "text")


@pytest.fixture
def lane(amani: Onboarded) -> Lane:
    return opened(Device.objects.get())


def test_a_day_with_a_discount_that_no_float_can_hold_is_told_and_printed(owner: Caller, lane: Lane) -> None:
    document(lane, nairobi(20, 9), line("B", 11600, discount=6490))
    assert owner.get("/api/reports/x/").json()["figures"]["discounts"] == {"sales": "64.90", "credit_notes": "0.00"}
    x: list[Any] = [owner.get("/api/reports/x/", {"format": format}) for format in FORMS]
    z_report = f"/api/reports/z/{take_z_report(lane, by='k', now=nairobi(20, 18)).public_id}/"
    z: list[Any] = [owner.get(z_report, {"format": format}) for format in FORMS]
    assert [answer.status_code for answer in (*x, *z)] == [200] * 6
    assert "64.90" in x[-1].content.decode() and "64.90" in z[-1].content.decode()
