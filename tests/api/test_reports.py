"""X and Z reports over HTTP: printed in every form, and refused in the words that the other routes use."""

from typing import Any

import pytest

from gateway.devices.models import Device
from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Lane
from gateway.reports.closing import take_z_report
from gateway.reports.journal import give_up_export
from gateway.reports.models import JournalExport
from gateway.tenants.models import Branch, Role
from gateway.tenants.services import make_api_key
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.reports.test_closing import document, line, nairobi, opened
from tests.tenants.factories import key_with

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


def test_a_format_that_is_not_made_for_a_paper_is_refused_as_for_receipts(owner: Caller, lane: Lane) -> None:
    for path in ("x/?", "plu/?from=2026-11-20&to=2026-11-20&"):
        assert fields(owner.get(f"/api/reports/{path}format=escpos&paper=a4")) == {"paper": "no_such_paper"}


def test_a_branch_that_does_not_exist_is_refused_in_the_same_words_everywhere(owner: Caller, lane: Lane) -> None:
    days = {"first_day": "2026-11-20", "last_day": "2026-11-20"}
    cash = {"reference": "C-1", "kind": "deposit", "amount": "1.00"}
    refused = [
        owner.get("/api/reports/x/", {"branch": "07"}),
        owner.get("/api/reports/plu/", {"from": "2026-11-20", "to": "2026-11-20", "branch": "07"}),
        owner.post("/api/reports/z/", {"branch": "07"}),
        owner.post("/api/cash-movements/", {"branch": "07", **cash}),
        owner.put("/api/reports/day-end/", {"branch": "07", "automatic": True}),
        owner.post("/api/journal/exports/", {"branch": "07", **days}),
        owner.post("/api/receipts/batches/", {"branch": "07", "day": "2026-11-20"}),
    ]
    assert [fields(answer) for answer in refused] == [{"branch": "unknown_branch"}] * len(refused)
    assert {answer.json()["detail"] for answer in refused} == {"branch: The company has no branch 07."}


def test_a_branch_without_a_device_and_a_company_without_one_are_told_apart(
    owner: Caller, lane: Lane, amani: Onboarded
) -> None:
    Branch.objects.create(company=amani.company, code="01", name="Westlands")
    assert fields(owner.get("/api/reports/x/", {"branch": "01"})) == {"branch": "no_device"}
    other = Device.objects.get()
    bound = Caller(key_with(amani.company, Role.OWNER, device=other.public_id)[1])
    assert fields(bound.get("/api/reports/x/", {"branch": "01"})) == {"branch": "no_device"}
    production = Caller(make_api_key(amani.company, "production", Role.OWNER)[1])
    told = problem(production.get("/api/reports/x/"), 404, "not_found")
    assert [one["code"] for one in told["fields"]] == ["no_device"]


def test_what_is_not_there_is_named(owner: Caller, lane: Lane) -> None:
    nothing = "034e61f8-8a7e-4b9f-a258-70d6758a0c5f"
    for path, words in (
        (f"reports/z/{nothing}/", "There is no such Z report."),
        (f"journal/{nothing}/", "There is no such document."),
        (f"journal/exports/{nothing}/", "There is no such export."),
        (f"journal/exports/{nothing}/file/", "There is no such export."),
    ):
        assert problem(owner.get(f"/api/{path}"), 404, "not_found")["detail"] == words


def test_a_day_before_the_branch_opened_is_refused_with_its_first_day(owner: Caller, lane: Lane) -> None:
    refused = owner.post("/api/reports/z/", {"day": "2026-11-15"})
    assert fields(refused) == {"day": "before_opening"}
    assert "its first day was 2026-11-16" in refused.json()["detail"]
    Device.objects.update(activated_at=None)
    refused = owner.post("/api/reports/z/", {"day": "2026-11-15"})
    assert "no activated device yet" in refused.json()["detail"]


def test_an_export_that_is_given_up_says_so_and_has_no_file(owner: Caller, lane: Lane) -> None:
    asked = owner.post("/api/journal/exports/", {"first_day": "2026-11-20", "last_day": "2026-11-20"}).json()
    assert (asked["status"], asked["problem"]) == ("waiting", None)
    give_up_export(JournalExport.objects.get().pk)
    told = owner.get(f"/api/journal/exports/{asked['id']}/").json()
    assert told["status"] == "failed" and told["problem"].startswith("Something failed on our side")
    assert "could not be written" in problem(owner.get(told["file_url"]), 404, "not_found")["detail"]
