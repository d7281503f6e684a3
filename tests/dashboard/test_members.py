import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.test.signals import template_rendered
from django.utils import timezone

from gateway.audit.models import Event
from gateway.dashboard import people as pages
from gateway.tenants.isolation import may_see_all
from gateway.tenants.models import Invitation, Member, Role, User
from gateway.tenants.services import add_member
from tests.dashboard.conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people(amani: Any) -> str:
    return f"/companies/{amani.company.public_id}/people/"


def invited_link(browser: Client, people: str, email: str = "kim@amani.example", **more: str) -> str:
    answer = browser.post(people, {"email": email, "role": "cashier", **more})
    assert answer.status_code == 302, answer.content.decode()
    found = re.search(r"/account/invitation/\S+/", str(mail.outbox[-1].body))
    assert found
    return found[0]


def test_a_colleague_is_invited_sets_a_password_and_is_in(
    owner_browser: Client, browser: Client, amani: Any, people: str
) -> None:
    link = invited_link(owner_browser, people, name="Kim")
    assert "kim@amani.example" in owner_browser.get(people).content.decode()
    opened = browser.get(link, follow=True)
    assert opened.redirect_chain == [("/account/invitation/", 302)], "the token leaves the address bar"
    assert "Welcome to Amani Stores Ltd" in opened.content.decode()

    weak = browser.post("/account/invitation/", {"name": "Kim Otieno", "password": "kim@amani.example"})
    assert "too similar" in weak.content.decode()
    done = browser.post("/account/invitation/", {"name": "Kim Otieno", "password": "seven quiet elephants"})
    assert done["Location"] == f"/companies/{amani.company.public_id}/"
    assert "cashier" in browser.get(done["Location"]).content.decode()
    assert "Kim Otieno" in owner_browser.get(people).content.decode()
    assert "This link opens nothing" in Client().get(link, follow=True).content.decode()


def test_whoever_has_an_account_signs_in_and_joins(
    owner_browser: Client, browser: Client, amani: Any, stranger: Any, people: str
) -> None:
    link = invited_link(owner_browser, people, "owner@stranger.example")
    page = browser.get(link, follow=True).content.decode()
    assert "who has an account here already" in page and "password" not in page.lower().split("</h1>")[1]
    into = browser.post(
        "/account/login/?next=/account/invitation/", {"login": "owner@stranger.example", "password": PASSWORD}
    )
    assert into["Location"] == "/account/invitation/"
    assert "Join Amani Stores Ltd" in browser.get("/account/invitation/").content.decode()
    browser.post("/account/invitation/")
    assert Member.objects.get(company=amani.company, user=stranger.owner).role == Role.CASHIER
    assert "Stranger Ltd" in browser.get("/home/").content.decode()


def test_a_link_for_somebody_else_does_not_bring_in_whoever_is_signed_in(
    owner_browser: Client, amani: Any, stranger: Any, people: str
) -> None:
    link = invited_link(owner_browser, people, "owner@stranger.example")
    page = owner_browser.get(link, follow=True).content.decode()
    assert "You are signed in as owner@amani.example" in page
    out = owner_browser.post("/account/invitation/")
    assert out["Location"].startswith("/account/login/")
    assert "Sign in to join" in owner_browser.get("/account/invitation/").content.decode(), "the link is still known"
    assert not Member.objects.filter(company=amani.company, user=stranger.owner).exists()


def test_who_follows_a_link_for_somebody_new_while_signed_in_becomes_the_new_person(
    owner_browser: Client, amani: Any, people: str
) -> None:
    owner_browser.get(invited_link(owner_browser, people), follow=True)
    owner_browser.post("/account/invitation/", {"name": "Kim", "password": "seven quiet elephants"})
    assert "kim@amani.example" in owner_browser.get("/account/sessions/").content.decode()
    assert Member.objects.get(user__email="kim@amani.example").role == Role.CASHIER


def test_only_the_page_of_an_invitation_is_read_without_belonging_to_the_company(
    owner_browser: Client, browser: Client, people: str
) -> None:
    seen: dict[str, bool] = {}

    def note(template: Any, **more: Any) -> None:
        seen[str(template.name)] = may_see_all()

    template_rendered.connect(note)
    try:
        browser.get(invited_link(owner_browser, people), follow=True)
        owner_browser.get(people)
    finally:
        template_rendered.disconnect(note)
    assert seen["dashboard/invitation_new.html"] and not seen["dashboard/people.html"]


def test_an_invitation_is_sent_again_and_revoked(
    owner_browser: Client, browser: Client, amani: Any, people: str
) -> None:
    first = invited_link(owner_browser, people)
    at = f"/companies/{amani.company.public_id}/invitations/{Invitation.objects.get().public_id}/"
    owner_browser.post(f"{at}resend/")
    second = re.search(r"/account/invitation/\S+/", str(mail.outbox[-1].body))
    assert second and second[0] != first
    assert "opens nothing" in browser.get(first, follow=True).content.decode()
    owner_browser.post(f"{at}revoke/")
    assert "opens nothing" in browser.get(second[0], follow=True).content.decode()
    twice = owner_browser.post(f"{at}resend/", follow=True)
    assert "used or revoked meanwhile" in twice.content.decode()
    names = set(Event.objects.filter(company=amani.company).values_list("name", flat=True))
    assert {"member.invited", "invitation.resent", "invitation.revoked"} <= names


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"email": "no address"}, "Enter a valid email address"),
        ({"email": ""}, "This field is required"),
        ({"role": "king"}, "Select a valid choice"),
        ({"role": "revenue_officer"}, "say when it ends"),
        ({"role": "revenue_officer", "until": "2020-01-01"}, "must lie ahead"),
        ({"role": "viewer", "until": "2099-01-01"}, "at most 366 days"),
        ({"until": "soon"}, "Enter a valid date"),
        ({"name": "a\x00b"}, "Null characters are not allowed"),
        ({"email": "owner@amani.example"}, "has a place here already"),
    ],
)
def test_what_is_wrong_with_an_invitation_is_said_beside_the_field(
    owner_browser: Client, people: str, told: dict[str, str], sentence: str
) -> None:
    answer = owner_browser.post(people, {"email": "kim@amani.example", "role": "cashier", **told})
    assert answer.status_code == 200 and sentence in answer.content.decode()
    assert not Invitation.objects.exists()


def test_somebody_invited_already_is_not_invited_twice(owner_browser: Client, people: str) -> None:
    invited_link(owner_browser, people)
    again = owner_browser.post(people, {"email": "Kim@amani.example", "role": "viewer"})
    assert "is invited already" in again.content.decode() and len(mail.outbox) == 1


def test_a_role_is_changed_with_an_end(owner_browser: Client, amani: Any, people: str) -> None:
    kim = add_member(amani.company, email="kim@amani.example", name="", role=Role.CASHIER)
    day = (timezone.localtime() + timedelta(days=30)).date()
    at = f"{people}{kim.user.public_id}/"
    owner_browser.post(at, {"role": "revenue_officer", "until": day.isoformat()})
    kim.refresh_from_db()
    assert kim.role == Role.REVENUE_OFFICER and kim.expires_at
    assert timezone.localtime(kim.expires_at).date() == day
    assert f'value="{day.isoformat()}"' in owner_browser.get(at).content.decode()


def test_the_last_owner_stays(owner_browser: Client, amani: Any, people: str) -> None:
    at = f"{people}{amani.owner.public_id}/"
    assert "is the last owner" in owner_browser.post(at, {"role": "viewer"}).content.decode()
    assert "is the last owner" in owner_browser.post(f"{at}remove/", follow=True).content.decode()
    assert Member.objects.get(user=amani.owner).role == Role.OWNER


def test_who_is_taken_out_sees_nothing_from_the_next_click_on(owner_browser: Client, amani: Any, people: str) -> None:
    kim = add_member(amani.company, email="kim@amani.example", name="", role=Role.CASHIER)
    theirs = Client()
    theirs.force_login(kim.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert theirs.get(f"/companies/{amani.company.public_id}/").status_code == 200
    owner_browser.post(f"{people}{kim.user.public_id}/remove/")
    assert theirs.get(f"/companies/{amani.company.public_id}/").status_code == 404
    assert User.objects.filter(pk=kim.user.pk).exists(), "the person stays, the place goes"
    assert owner_browser.post(f"{people}{kim.user.public_id}/remove/").status_code == 404


@pytest.mark.parametrize(("action", "sent"), [("", {"role": "viewer"}), ("remove/", {})])
def test_who_was_taken_out_by_another_in_this_moment_is_told_so(
    owner_browser: Client, amani: Any, people: str, monkeypatch: pytest.MonkeyPatch, action: str, sent: dict[str, str]
) -> None:
    kim = add_member(amani.company, email="kim@amani.example", name="", role=Role.CASHIER)

    def found_and_gone(*asked: Any) -> Member:
        member = find(*asked)
        Member.objects.filter(pk=member.pk).delete()
        return member

    find = pages._member
    monkeypatch.setattr(pages, "_member", found_and_gone)
    answer = owner_browser.post(f"{people}{kim.user.public_id}/{action}", sent, follow=True)
    assert answer.redirect_chain == [(people, 302)]
    assert "kim@amani.example was taken out meanwhile." in answer.content.decode()


def test_many_people_stand_on_several_pages(owner_browser: Client, amani: Any, people: str) -> None:
    users = [User(email=f"p{number:02}@amani.example", password="!") for number in range(30)]
    for user in User.objects.bulk_create(users):
        Member.objects.create(user=user, company=amani.company, role=Role.VIEWER)
    first = owner_browser.get(people).content.decode()
    second = owner_browser.get(people, {"page": "2"}).content.decode()
    assert "p00@amani" in first and "p29@amani" not in first and "Page 1 of 2" in first
    assert "p29@amani" in second and "p00@amani" not in second
    for odd in ("0", "99", "x"):
        assert owner_browser.get(people, {"page": odd}).status_code == 200


def test_a_mail_that_did_not_go_out_is_told(owner_browser: Client, people: str, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", 9, False
    answer = owner_browser.post(people, {"email": "kim@amani.example", "role": "cashier"}, follow=True)
    page = answer.content.decode()
    assert "could not be sent just now" in page and "The mail did not go out." in page


def test_a_page_that_lay_open_too_long_is_answered_in_plain_words(amani: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/account/login/", {"login": "x", "password": "y"})
    assert answer.status_code == 403 and "Please send it again" in answer.content.decode()
