import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from gateway.audit.models import Event
from gateway.tenants.models import Company, Member, Role, User
from gateway.tenants.services import add_member
from tests.api.rows import make_invoice
from tests.statements import statements
from tests.tenants.factories import make_active, make_company

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


def test_a_company_shows_devices_and_invoices_with_what_they_wait_for(owner_browser: Client, amani: Any) -> None:
    make_active(amani.device)
    make_invoice(amani.device, "POS-1")
    make_invoice(amani.device, "POS-2", status="queued")
    make_invoice(amani.device, "POS-3", status="refused", problem={"code": "x", "detail": "The PIN is unknown."})
    page = owner_browser.get(f"/companies/{amani.company.public_id}/").content.decode()
    for text in ("AMANI-00", "Active", "POS-1", "Signed", "POS-2", "Waiting its turn", "POS-3", "The PIN is unknown."):
        assert text in page, text
    assert page.count("/receipts/") == 1 and "invite people" in page


def test_a_new_company_has_an_empty_list_that_says_what_comes(owner_browser: Client, amani: Any) -> None:
    page = owner_browser.get(f"/companies/{amani.company.public_id}/", {"environment": "production"}).content.decode()
    assert "No device in this environment yet." in page and "Nothing sold here yet." in page


def test_older_invoices_stand_on_the_next_page(owner_browser: Client, amani: Any) -> None:
    for number in range(23):
        make_invoice(amani.device, f"POS-{number:02}")
    path = f"/companies/{amani.company.public_id}/"
    first = owner_browser.get(path)
    assert "POS-22" in first.content.decode() and "POS-02" not in first.content.decode()
    second = owner_browser.get(path, {"environment": "sandbox", "after": first.context["next"]}).content.decode()
    assert "POS-02" in second and "POS-03" not in second and "Older</a>" not in second


@pytest.mark.parametrize("cursor", ["x", "é" * 30, "A" * 22, "\x00"])
def test_a_made_up_cursor_leads_to_the_first_page(owner_browser: Client, amani: Any, cursor: str) -> None:
    path = f"/companies/{amani.company.public_id}/"
    assert owner_browser.get(path, {"after": cursor})["Location"] == f"{path}?environment=sandbox"


def test_what_a_revenue_officer_opens_in_a_browser_is_in_the_journal(owner_browser: Client, amani: Any) -> None:
    ends = timezone.now() + timedelta(days=7)
    officer = add_member(
        amani.company, email="officer@kra.example", name="", role=Role.REVENUE_OFFICER, password="x", expires_at=ends
    )
    path = f"/companies/{amani.company.public_id}/"
    opened = Event.objects.filter(name="officer.opened")
    assert owner_browser.get(path).status_code == 200 and not opened.exists()
    assert signed_in(officer.user).get(path, {"environment": "sandbox"}).status_code == 200
    (event,) = opened
    assert (event.actor, event.company, event.severity) == ("person:officer@kra.example", amani.company, "notice")
    assert event.data == {"method": "GET", "path": path, "query": {"environment": "sandbox"}}


def test_a_strangers_company_is_not_there(owner_browser: Client, amani: Any, stranger: Any) -> None:
    theirs, nobodys = stranger.company.public_id, uuid.uuid4()
    make_invoice(stranger.device, "THEIRS-1")
    for path in ("", "people/", f"people/{stranger.owner.public_id}/"):
        answers = [owner_browser.get(f"/companies/{company}/{path}") for company in (theirs, nobodys)]
        assert [answer.status_code for answer in answers] == [404, 404]
        pages = [re.sub(rb'value="\w+"', b"", answer.content) for answer in answers]  # a token against forged requests
        assert pages[0] == pages[1] and b"Stranger" not in pages[0]
    remove = f"/companies/{theirs}/people/{stranger.owner.public_id}/remove/"
    assert owner_browser.post(remove).status_code == 404
    mixed = f"/companies/{amani.company.public_id}/people/{stranger.owner.public_id}/"
    assert owner_browser.get(mixed).status_code == 404, "my company, their person"
    assert Member.objects.filter(company=stranger.company).count() == 1


def test_somebody_with_several_companies_chooses(amani: Any, stranger: Any) -> None:
    Member.objects.create(user=amani.owner, company=stranger.company, role=Role.ACCOUNTANT)
    Company.objects.filter(pk=stranger.company.pk).update(status="suspended")
    page = signed_in(amani.owner).get("/home/").content.decode()
    assert "Amani Stores Ltd" in page and "Stranger Ltd" in page and "Suspended" in page and "Accountant" in page


def test_somebody_without_a_place_is_told_how_to_get_one(db: None) -> None:
    page = signed_in(User.objects.create_user("new@amani.example", None)).get("/home/").content.decode()
    assert "You have no place in a company" in page


def test_when_their_time_is_over_they_see_nothing(amani: Any) -> None:
    officer = add_member(amani.company, email="kra@kra.example", name="", role=Role.VIEWER)
    browser = signed_in(officer.user)
    path = f"/companies/{amani.company.public_id}/"
    Member.objects.filter(pk=officer.pk).update(
        role=Role.REVENUE_OFFICER, expires_at=timezone.now() + timedelta(minutes=1)
    )
    assert browser.get(path).status_code == 200
    Member.objects.filter(pk=officer.pk).update(expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert browser.get(path).status_code == 404


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.OWNER, Role.REVENUE_OFFICER)])
def test_people_are_the_owners_business(amani: Any, role: Role) -> None:
    somebody = add_member(amani.company, email="kim@amani.example", name="", role=role)
    browser = signed_in(somebody.user)
    company = f"/companies/{amani.company.public_id}/"
    assert "People</a>" not in browser.get(company).content.decode()
    assert browser.get(f"{company}people/").status_code == 403
    assert browser.post(f"{company}people/{amani.owner.public_id}/remove/").status_code == 403
    assert browser.post(f"{company}people/{somebody.user.public_id}/", {"role": "owner"}).status_code == 403
    assert Member.objects.get(pk=somebody.pk).role == role


def test_nobody_in_particular_is_asked_to_sign_in(browser: Client, amani: Any) -> None:
    for path in ("/home/", f"/companies/{amani.company.public_id}/", f"/companies/{amani.company.public_id}/people/"):
        assert browser.get(path)["Location"].startswith("/account/login/?next=")


def test_reading_a_page_costs_as_much_with_many_invoices_as_with_few(owner_browser: Client, amani: Any) -> None:
    page = f"/companies/{amani.company.public_id}/"
    make_invoice(amani.device, "POS", status="queued")
    owner_browser.get("/home/")
    with statements() as few:
        owner_browser.get(page)
    for number in range(20):
        make_invoice(amani.device, f"POS-{number}", status="queued")
    with statements() as many:
        owner_browser.get(page)
    assert len(many) == len(few) <= 11, many


def test_two_companies_environments_do_not_mix(owner_browser: Client, amani: Any) -> None:
    make_invoice(amani.device, "POS-1")
    page = owner_browser.get(f"/companies/{amani.company.public_id}/", {"environment": "production"}).content.decode()
    assert "POS-1" not in page
    assert make_company(pin="P051234568X", serial="OTHER").company.pk != amani.company.pk
