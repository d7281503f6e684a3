import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from gateway.audit.models import Event
from gateway.devices.onboarding import Onboarded
from gateway.tenants.invitations import accept
from gateway.tenants.models import Company, Invitation, OperatorRole, Role
from gateway.tenants.services import add_member
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.tenants.factories import key_with, operator_key_text

pytestmark = pytest.mark.django_db(transaction=True)


def path(made: Onboarded, invitation: str = "", verb: str = "") -> str:
    parts = [
        str(made.company.public_id),
        "invitations",
        *([invitation] if invitation else []),
        *([verb] if verb else []),
    ]
    return "/api/companies/" + "/".join(parts) + "/"


def send(caller: Caller, made: Onboarded, **told: Any) -> Any:
    return caller.post(path(made), {"email": "kim@amani.example", **told})


def test_an_owners_key_invites_a_colleague_who_then_has_the_place(owner: Caller, amani: Onboarded) -> None:
    answer = send(owner, amani, role="accountant", name="Kim")
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["email"], shown["role"], shown["status"]) == ("kim@amani.example", "accountant", "open")
    assert shown["sent_at"] is not None
    (sent,) = mail.outbox
    token = re.search(r"/account/invitation/([\w-]+)/", str(sent.body))
    assert token and token[1] not in answer.content.decode()
    accept(token[1], now=timezone.now(), journal=lambda *args, **more: None, password="seven quiet elephants")
    assert owner.get(path(amani)).json()["invitations"][0]["status"] == "accepted"
    event = Event.objects.get(name="member.invited")
    assert event.company == amani.company and event.actor == f"key:owner:{amani.key_text[:16]}"


def test_an_invitation_is_sent_again_then_revoked_and_then_it_is_closed(owner: Caller, amani: Onboarded) -> None:
    id = send(owner, amani).json()["id"]
    assert owner.post(path(amani, id, "resend"), {}).json()["status"] == "open"
    assert len(mail.outbox) == 2
    assert owner.post(path(amani, id, "revoke"), {}).json()["status"] == "revoked"
    for verb in ("resend", "revoke"):
        problem(owner.post(path(amani, id, verb), {}), 409, "invitation_closed")


def test_the_list_has_an_empty_case_and_a_second_page(owner: Caller, amani: Onboarded) -> None:
    assert owner.get(path(amani)).json() == {"invitations": [], "next": None}
    for number in range(3):
        send(owner, amani, email=f"p{number}@amani.example")
    first = owner.get(path(amani), {"limit": 2}).json()
    second = owner.get(path(amani), {"limit": 2, "cursor": first["next"]}).json()
    assert [row["email"][:2] for row in first["invitations"] + second["invitations"]] == ["p2", "p1", "p0"]
    assert second["next"] is None
    problem(owner.get(path(amani), {"cursor": "x"}), 422, "bad_cursor")
    problem(owner.get(path(amani), {"status": "open"}), 422, "invalid")


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"email": "nobody"}, {"email": "bad_email"}),
        ({"email": ""}, {"email": "blank"}),
        ({"role": "king"}, {"role": "unknown_value"}),
        ({"role": "revenue_officer"}, {"access_until": "wrong_end"}),
        ({"access_until": "2020-01-01T00:00:00Z"}, {"access_until": "wrong_end"}),
        ({"name": "a\nb"}, {"name": "not_printable"}),
        ({"rolle": "viewer"}, {"rolle": "unknown_field"}),
    ],
)
def test_what_is_wrong_is_named(owner: Caller, amani: Onboarded, told: dict[str, Any], named: dict[str, str]) -> None:
    assert fields(send(owner, amani, **told)) == named
    assert not Invitation.objects.exists() and not mail.outbox


def test_a_member_and_somebody_invited_are_not_invited(owner: Caller, amani: Onboarded) -> None:
    add_member(amani.company, email="otieno@amani.example", name="", role=Role.CASHIER)
    problem(send(owner, amani, email="Otieno@amani.example"), 409, "already_member")
    send(owner, amani)
    problem(send(owner, amani), 409, "already_invited")


@pytest.mark.parametrize("role", [role for role in Role if role != Role.OWNER])
def test_only_owners_keys_speak_for_people(amani: Onboarded, role: Role) -> None:
    ends = timezone.now() + timedelta(days=1)
    caller = Caller(key_with(amani.company, role, expires_at=ends)[1])
    problem(send(caller, amani), 403, "role_not_allowed")
    problem(caller.get(path(amani)), 403, "role_not_allowed")


def test_an_admin_of_the_staff_invites_the_others_do_not(admin: Caller, amani: Onboarded) -> None:
    assert send(admin, amani, role="owner").status_code == 201
    problem(send(Caller(operator_key_text(OperatorRole.SUPPORT)), amani), 403, "role_not_allowed")


def test_a_stranger_gets_404_whatever_they_name(owner: Caller, amani: Onboarded, stranger: Onboarded) -> None:
    id = send(owner, amani).json()["id"]
    theirs = Caller(stranger.key_text)
    for answer in (theirs.get(path(amani)), send(theirs, amani), theirs.post(path(amani, id, "revoke"), {})):
        problem(answer, 404, "not_found")
    for made, named in ((stranger, id), (stranger, "x"), (stranger, "00000000-0000-0000-0000-000000000000")):
        for verb in ("resend", "revoke"):
            problem(theirs.post(path(made, named, verb), {}), 404, "not_found")
    problem(Caller(operator_key_text(reseller="Duka")).get(path(amani)), 404, "not_found")
    assert Invitation.objects.get().revoked_at is None


def test_a_suspended_company_invites_nobody_but_the_staff_may(owner: Caller, admin: Caller, amani: Onboarded) -> None:
    Company.objects.update(status="suspended")
    problem(send(owner, amani), 403, "company_not_active")
    assert send(admin, amani).status_code == 201


def test_an_owner_onboarded_without_a_password_is_invited(admin: Caller, no_real_kra: None) -> None:
    body = {
        "company": {"pin": "P051234567X", "name": "Amani Stores Ltd"},
        "device": {"serial": "AMANI-00"},
        "owner": {"email": "wanjiru@amani.example", "name": "Wanjiru"},
    }
    assert admin.post("/api/onboard/", body).status_code == 201
    invitation = Invitation.objects.get()
    assert (invitation.email, invitation.role) == ("wanjiru@amani.example", "owner")
    (sent,) = mail.outbox
    assert sent.to == ["wanjiru@amani.example"] and "as owner" in str(sent.body)
