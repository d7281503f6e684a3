import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail

from gateway.audit.models import Event
from gateway.audit.services import record
from gateway.tenants.invitations import (
    AlreadyInvited,
    AlreadyMember,
    InvitationClosed,
    InvitationUnknown,
    OtherPerson,
    PasswordNeeded,
    accept,
    find_open,
    invite,
    open_invitations,
    resend,
    revoke,
)
from gateway.tenants.models import Company, Invitation, Member, Role, User
from gateway.tenants.people import Actor, BadAccessEnd, NotAllowed
from gateway.tenants.services import add_member
from tests.tenants.factories import make_company, make_stranger

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
OWNER = Actor(Role.OWNER, "person:owner@amani.example")
PASSWORD = "correct horse battery"


@pytest.fixture
def company() -> Company:
    return make_company().company


@pytest.fixture
def invited(company: Company, django_capture_on_commit_callbacks: Any) -> Any:
    """Invite somebody; gives the invitation and the token in the mail."""

    def do(email: str = "kim@amani.example", role: str = Role.MANAGER, **more: Any) -> tuple[Invitation, str]:
        with django_capture_on_commit_callbacks(execute=True):
            made = invite(company, email=email, role=role, by=OWNER, now=NOW, journal=record, **more)
        return made, token_in(str(mail.outbox[-1].body))

    return do


def token_in(text: str) -> str:
    found = re.search(r"/account/invitation/([\w-]{43})/", text)
    assert found
    return found[1]


def test_a_mail_with_a_link_goes_out_as_text_and_as_html(invited: Any) -> None:
    invitation, token = invited(name="Kim")
    (sent,) = mail.outbox
    assert isinstance(sent, mail.EmailMultiAlternatives)
    (html, kind), *_ = sent.alternatives
    assert sent.to == ["kim@amani.example"] and kind == "text/html"
    for text in (str(sent.body), str(html)):
        assert token in text and "Kim" in text and "Amani Stores Ltd" in text and "manager" in text
    assert Invitation.objects.get(pk=invitation.pk).sent_at is not None


def test_the_link_is_kept_as_a_hash_only(invited: Any) -> None:
    invitation, token = invited()
    assert token not in str(Invitation.objects.values().get())
    assert token not in str(list(Event.objects.values()))
    assert len(invitation.digest) == 64


def test_somebody_new_sets_a_password_and_has_the_place(invited: Any, company: Company) -> None:
    _, token = invited()
    with pytest.raises(PasswordNeeded):
        accept(token, now=NOW, journal=record)
    member = accept(token, now=NOW, journal=record, name="Kim Otieno", password=PASSWORD)
    assert (member.company, member.role, member.user.name) == (company, Role.MANAGER, "Kim Otieno")
    assert User.objects.get(email="kim@amani.example").check_password(PASSWORD)
    names = list(Event.objects.filter(name__startswith="member.").order_by("pk").values_list("name", "actor"))
    assert names == [("member.invited", OWNER.name), ("member.joined", "person:kim@amani.example")]


def test_a_link_is_used_once(invited: Any) -> None:
    _, token = invited()
    accept(token, now=NOW, journal=record, password=PASSWORD)
    with pytest.raises(InvitationUnknown):
        accept(token, now=NOW, journal=record, password="another password")
    assert User.objects.get(email="kim@amani.example").check_password(PASSWORD)


def test_a_link_opens_for_seven_days(invited: Any) -> None:
    _, token = invited()
    assert find_open(token, now=NOW + timedelta(days=7, seconds=-1)).email == "kim@amani.example"
    with pytest.raises(InvitationUnknown):
        find_open(token, now=NOW + timedelta(days=7))


@pytest.mark.parametrize("token", ["", "x", "x" * 5000, "\x00", "é"])
def test_a_made_up_token_opens_nothing(invited: Any, token: str) -> None:
    invited()
    with pytest.raises(InvitationUnknown):
        find_open(token, now=NOW)


def test_whoever_has_an_account_joins_as_themselves_and_keeps_their_password(invited: Any) -> None:
    known = User.objects.create_user("kim@amani.example", PASSWORD, name="Kim")
    other = User.objects.create_user("other@amani.example", PASSWORD)
    _, token = invited()
    with pytest.raises(OtherPerson):
        accept(token, now=NOW, journal=record, password="taken over!!")
    with pytest.raises(OtherPerson):
        accept(token, now=NOW, journal=record, user=other)
    member = accept(token, now=NOW, journal=record, user=known)
    assert member.user == known and User.objects.get(pk=known.pk).check_password(PASSWORD)


def test_a_person_without_a_password_sets_one(invited: Any) -> None:
    known = User.objects.create_user("kim@amani.example", None, name="Kim")
    _, token = invited()
    accept(token, now=NOW, journal=record, password=PASSWORD)
    known.refresh_from_db()
    assert known.check_password(PASSWORD) and known.name == "Kim"


def test_sending_again_makes_a_new_link_and_the_old_one_opens_nothing(
    invited: Any, django_capture_on_commit_callbacks: Any
) -> None:
    invitation, old = invited()
    later = NOW + timedelta(days=6)
    with django_capture_on_commit_callbacks(execute=True):
        resend(invitation, by=OWNER, now=later, journal=record)
    new = token_in(str(mail.outbox[-1].body))
    with pytest.raises(InvitationUnknown):
        find_open(old, now=later)
    assert find_open(new, now=later + timedelta(days=6)) == invitation


def test_a_revoked_link_opens_nothing_and_the_address_can_be_invited_anew(invited: Any, company: Company) -> None:
    invitation, token = invited()
    revoke(invitation, by=OWNER, now=NOW, journal=record)
    with pytest.raises(InvitationUnknown):
        find_open(token, now=NOW)
    for again in (revoke, resend):
        with pytest.raises(InvitationClosed):
            again(invitation, by=OWNER, now=NOW, journal=record)
    invited()
    assert open_invitations(company).count() == 1


def test_one_open_invitation_for_an_address_however_it_is_written(invited: Any) -> None:
    invited()
    with pytest.raises(AlreadyInvited):
        invited("KIM@Amani.example")


def test_an_invitation_that_is_too_old_does_not_stand_in_the_way(invited: Any, company: Company) -> None:
    invitation, _ = invited()
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=NOW - timedelta(days=1))
    invited()
    assert open_invitations(company).exclude(pk=invitation.pk).count() == 1


def test_who_has_a_place_is_not_invited(invited: Any, company: Company) -> None:
    add_member(company, email="kim@amani.example", name="Kim", role=Role.VIEWER)
    with pytest.raises(AlreadyMember):
        invited()


def test_whose_time_is_over_can_come_back(invited: Any, company: Company) -> None:
    member = add_member(company, email="kim@amani.example", name="Kim", role=Role.VIEWER, password=PASSWORD)
    Member.objects.filter(pk=member.pk).update(expires_at=NOW - timedelta(days=1))
    _, token = invited()
    accept(token, now=NOW, journal=record, user=member.user)
    member.refresh_from_db()
    assert (member.role, member.expires_at) == (Role.MANAGER, None)


def test_an_invitation_never_takes_a_place_away(invited: Any, company: Company) -> None:
    """Invited as a viewer, made owner meanwhile: the link changes nothing."""
    known = User.objects.create_user("kim@amani.example", PASSWORD)
    _, token = invited(role=Role.VIEWER)
    add_member(company, email=known.email, name="", role=Role.OWNER)
    assert accept(token, now=NOW, journal=record, user=known).role == Role.OWNER


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ACCOUNTANT, Role.CASHIER, Role.VIEWER, Role.REVENUE_OFFICER])
def test_only_owners_invite(company: Company, role: Role) -> None:
    with pytest.raises(NotAllowed):
        invite(
            company,
            email="kim@amani.example",
            role=Role.VIEWER,
            by=Actor(role, "person:x"),
            now=NOW,
            journal=record,
        )
    assert not Invitation.objects.exists()


def test_a_revenue_officer_is_invited_until_a_day(invited: Any) -> None:
    with pytest.raises(BadAccessEnd):
        invited(role=Role.REVENUE_OFFICER)
    until = NOW + timedelta(days=30)
    _, token = invited(role=Role.REVENUE_OFFICER, access_until=until)
    assert accept(token, now=NOW, journal=record, password=PASSWORD).expires_at == until


def test_a_mail_server_that_is_down_loses_no_invitation(
    company: Company, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", 9, False
    with django_capture_on_commit_callbacks(execute=True):
        made = invite(company, email="kim@amani.example", role=Role.VIEWER, by=OWNER, now=NOW, journal=record)
    assert Invitation.objects.get(pk=made.pk).sent_at is None
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    with django_capture_on_commit_callbacks(execute=True):
        resend(made, by=OWNER, now=NOW, journal=record)
    assert Invitation.objects.get(pk=made.pk).sent_at is not None and len(mail.outbox) == 1


def test_what_a_caller_puts_into_names_stays_text(invited: Any) -> None:
    invited(name="<b>Kim</b>")
    (sent,) = mail.outbox
    assert isinstance(sent, mail.EmailMultiAlternatives)
    html = str(sent.alternatives[0][0])
    assert "<b>Kim" not in html and "&lt;b&gt;Kim" in html


def test_a_closed_company_takes_nobody_in(invited: Any, company: Company) -> None:
    _, token = invited()
    Company.objects.filter(pk=company.pk).update(status=Company.Status.CLOSED)
    with pytest.raises(InvitationUnknown):
        find_open(token, now=NOW)


def test_the_same_person_is_invited_by_two_companies(invited: Any, django_capture_on_commit_callbacks: Any) -> None:
    _, first = invited()
    with django_capture_on_commit_callbacks(execute=True):
        invite(make_stranger().company, email="kim@amani.example", role=Role.VIEWER, by=OWNER, now=NOW, journal=record)
    second = token_in(str(mail.outbox[-1].body))
    person = accept(first, now=NOW, journal=record, password=PASSWORD).user
    assert accept(second, now=NOW, journal=record, user=person).user == person
    assert person.memberships.count() == 2
