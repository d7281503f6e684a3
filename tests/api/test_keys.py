import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from gateway.audit.models import Event
from gateway.devices.onboarding import Onboarded
from gateway.tenants.models import ApiKey, Company, Member, OperatorRole, Role
from gateway.tenants.services import make_api_key
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.tenants.factories import key_with, operator_key_text

pytestmark = pytest.mark.django_db


def path(made: Onboarded, key: str = "", verb: str = "") -> str:
    parts = [str(made.company.public_id), "keys", *([key] if key else []), *([verb] if verb else [])]
    return "/api/companies/" + "/".join(parts) + "/"


def make(caller: Caller, made: Onboarded, **body: Any) -> Any:
    return caller.post(path(made), {"role": "cashier", **body})


def works(key: str) -> bool:
    status: int = Caller(key).get("/api/invoices/").status_code
    return status == 200


def prefixes(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [key["prefix"] for key in response.json()["keys"]]


# Making


def test_an_owner_makes_a_key_for_a_till_and_sees_it_once(owner: Caller, amani: Onboarded) -> None:
    made = make(owner, amani, name="Till 3", device="AMANI-00")
    assert made.status_code == 201
    shown = made.json()
    assert works(shown["key"])
    assert shown["prefix"] == shown["key"][:16]
    assert (shown["role"], shown["environment"], shown["status"]) == ("cashier", "sandbox", "active")
    assert shown["device"] == str(amani.device.public_id)
    listed = owner.get(path(amani)).json()["keys"]
    assert [(key["name"], key["status"]) for key in listed] == [("Till 3", "active"), ("Made at onboarding", "active")]
    assert listed[0]["last_used_at"] is not None
    assert shown["key"] not in str(listed)
    event = Event.objects.filter(name="api_key.made").latest("id")
    assert (event.data["prefix"], event.data["role"]) == (shown["prefix"], "cashier")
    assert event.actor == f"key:owner:{amani.key_text[:16]}"
    assert shown["key"] not in str(list(Event.objects.values()))


@pytest.mark.parametrize("role", [Role.ACCOUNTANT, Role.CASHIER, Role.VIEWER, Role.REVENUE_OFFICER])
def test_only_owners_and_managers_have_to_do_with_keys(amani: Onboarded, role: Role) -> None:
    caller = Caller(key_with(amani.company, role)[1])
    for answer in (
        make(caller, amani),
        caller.get(path(amani)),
        caller.post(path(amani, amani.api_key.prefix, "rotate"), {}),
        caller.post(path(amani, amani.api_key.prefix, "revoke"), {}),
    ):
        problem(answer, 403, "role_not_allowed")


def test_a_manager_makes_no_owner_and_touches_no_owners_key(amani: Onboarded) -> None:
    manager = Caller(key_with(amani.company, Role.MANAGER)[1])
    assert make(manager, amani, role="manager").status_code == 201
    told = problem(make(manager, amani, role="owner"), 403, "key_reaches_further")
    assert "manage_people, switch_environment" in told["detail"]
    problem(manager.post(path(amani, amani.api_key.prefix, "rotate"), {}), 403, "key_reaches_further")
    problem(manager.post(path(amani, amani.api_key.prefix, "revoke"), {}), 403, "key_reaches_further")
    assert works(amani.key_text)


def test_a_sandbox_key_makes_none_for_production_and_does_not_see_those(owner: Caller, amani: Onboarded) -> None:
    problem(make(owner, amani, environment="production"), 403, "key_reaches_further")
    live, text = make_api_key(amani.company, "production", Role.OWNER)
    assert live.prefix not in prefixes(owner.get(path(amani)))
    problem(owner.post(path(amani, live.prefix, "revoke"), {}), 404, "not_found")
    assert prefixes(Caller(text).get(path(amani))) == [live.prefix]


def test_a_key_bound_to_a_device_makes_only_keys_of_that_device(amani: Onboarded) -> None:
    bound = Caller(key_with(amani.company, Role.OWNER, device=amani.device.public_id)[1])
    assert make(bound, amani).json()["device"] == str(amani.device.public_id)
    problem(bound.post(path(amani, amani.api_key.prefix, "rotate"), {}), 403, "key_reaches_further")
    elsewhere = Caller(key_with(amani.company, Role.OWNER, device=uuid.uuid4())[1])
    problem(make(elsewhere, amani, device="AMANI-00"), 404, "not_found")


def test_a_key_with_an_end_makes_none_that_lives_longer(amani: Onboarded) -> None:
    now = timezone.now()
    caller = Caller(key_with(amani.company, Role.OWNER, expires_at=now + timedelta(days=2))[1])
    assert make(caller, amani, expires_at=(now + timedelta(days=1)).isoformat()).status_code == 201
    problem(make(caller, amani), 403, "key_reaches_further")
    problem(make(caller, amani, expires_at=(now + timedelta(days=3)).isoformat()), 403, "key_reaches_further")


def test_an_officers_key_must_end(owner: Caller, amani: Onboarded) -> None:
    assert fields(make(owner, amani, role="revenue_officer")) == {"expires_at": "wrong_end"}
    ends = (timezone.now() + timedelta(days=14)).isoformat()
    officer = make(owner, amani, role="revenue_officer", expires_at=ends).json()
    assert works(officer["key"])
    caller = Caller(officer["key"])
    problem(
        caller.post("/api/item/sync/", {"items": [{"code": "A", "name": "A", "item_class": "1"}]}),
        403,
        "role_not_allowed",
    )
    ApiKey.objects.filter(prefix=officer["prefix"]).update(expires_at=timezone.now())
    assert not works(officer["key"])


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"role": "boss"}, {"role": "unknown_value"}),
        ({"role": None}, {"role": "unknown_value"}),
        ({"colour": "red"}, {"colour": "unknown_field"}),
        ({"expires_at": "tomorrow"}, {"expires_at": "not_a_time"}),
        ({"expires_at": 7}, {"expires_at": "not_a_time"}),
        ({"expires_at": "2026-12-31T18:00:00"}, {"expires_at": "no_time_zone"}),
        ({"expires_at": "2001-12-31T18:00:00Z"}, {"expires_at": "wrong_end"}),
        ({"expires_at": "0001-01-01T00:00:00+03:00"}, {"expires_at": "not_a_time"}),
        ({"environment": "test"}, {"environment": "unknown_value"}),
        ({"name": "x" * 61}, {"name": "too_long"}),
    ],
)
def test_each_wrong_field_is_named(
    owner: Caller, amani: Onboarded, body: dict[str, Any], wrong: dict[str, str]
) -> None:
    assert fields(make(owner, amani, **body)) == wrong
    assert ApiKey.objects.count() == 1


def test_the_staff_makes_keys_of_either_environment(admin: Caller, amani: Onboarded) -> None:
    assert fields(make(admin, amani)) == {"environment": "missing"}
    live = make(admin, amani, environment="production", role="owner")
    assert live.json()["key"].startswith("rvp_live_")
    assert len(prefixes(admin.get(path(amani)))) == 2
    support = Caller(operator_key_text(OperatorRole.SUPPORT))
    problem(make(support, amani, environment="sandbox"), 403, "role_not_allowed")


# The list


def test_the_list_of_keys_has_pages_and_a_filter(owner: Caller, amani: Onboarded) -> None:
    made = [make(owner, amani, name=f"Till {number}").json()["prefix"] for number in range(4)]
    newest_first = [*reversed(made), amani.api_key.prefix]
    first = owner.get(path(amani), {"limit": 2})
    second = owner.get(path(amani), {"limit": 2, "cursor": first.json()["next"]})
    third = owner.get(path(amani), {"limit": 2, "cursor": second.json()["next"]})
    assert prefixes(first) + prefixes(second) + prefixes(third) == newest_first
    assert third.json()["next"] is None
    assert prefixes(owner.get(path(amani), {"status": "revoked"})) == []
    owner.post(path(amani, made[0], "revoke"), {})
    owner.post(path(amani, made[1], "rotate"), {})
    ApiKey.objects.filter(prefix=made[2]).update(expires_at=timezone.now())
    for status, prefix in [("revoked", made[0]), ("rotated", made[1]), ("expired", made[2])]:
        answer = owner.get(path(amani), {"status": status})
        assert prefixes(answer) == [prefix]
        assert answer.json()["keys"][0]["status"] == status
    assert fields(owner.get(path(amani), {"status": "lost"})) == {"status": "unknown_value"}
    assert fields(owner.get(path(amani), {"role": "owner"})) == {"role": "unknown_field"}


def test_another_companys_key_is_no_cursor(owner: Caller, amani: Onboarded, stranger: Onboarded) -> None:
    problem(owner.get(path(amani), {"cursor": stranger.api_key.prefix}), 422, "bad_cursor")


# Rotating and revoking


def test_a_rotated_key_is_good_for_the_overlap_and_its_successor_reaches_as_far(
    owner: Caller, amani: Onboarded
) -> None:
    till = make(owner, amani, name="Till 3", device="AMANI-00").json()
    answer = owner.post(path(amani, till["prefix"], "rotate"), {"overlap_seconds": 60})
    assert answer.status_code == 201
    old, new = answer.json()["old"], answer.json()["new"]
    assert (old["status"], old["successor"]) == ("rotated", new["prefix"])
    for word in ("role", "environment", "device", "name"):
        assert new[word] == till[word]
    assert works(till["key"]) and works(new["key"])
    kept = ApiKey.objects.get(prefix=till["prefix"])
    assert kept.expires_at is not None and 0 < (kept.expires_at - timezone.now()).total_seconds() <= 60
    problem(owner.post(path(amani, till["prefix"], "rotate"), {}), 409, "key_ended")
    ApiKey.objects.filter(pk=kept.pk).update(expires_at=timezone.now())
    assert not works(till["key"])
    event = Event.objects.get(name="api_key.rotated")
    assert (event.data["prefix"], event.data["successor"]) == (till["prefix"], new["prefix"])


def test_without_an_overlap_the_old_key_ends_at_once_and_rotating_prolongs_nothing(
    owner: Caller, amani: Onboarded
) -> None:
    ends = timezone.now() + timedelta(minutes=5)
    till = make(owner, amani, expires_at=ends.isoformat()).json()
    answer = owner.post(path(amani, till["prefix"], "rotate"), {"overlap_seconds": 0}).json()
    assert not works(till["key"])
    assert works(answer["new"]["key"])
    assert ApiKey.objects.get(prefix=answer["new"]["prefix"]).expires_at == ends
    problem(owner.post(path(amani, till["prefix"], "rotate"), {}), 409, "key_ended")


@pytest.mark.parametrize("seconds", [-1, 604_801, "x", 1.5])
def test_an_overlap_is_at_most_a_week(owner: Caller, amani: Onboarded, seconds: Any) -> None:
    answer = owner.post(path(amani, amani.api_key.prefix, "rotate"), {"overlap_seconds": seconds})
    assert list(fields(answer)) == ["overlap_seconds"]


def test_a_revoked_key_is_nobodys_and_stays_so(owner: Caller, amani: Onboarded) -> None:
    till = make(owner, amani).json()
    first = owner.post(path(amani, till["prefix"], "revoke"), {})
    assert first.json()["status"] == "revoked"
    assert not works(till["key"])
    assert owner.post(path(amani, till["prefix"], "revoke"), {}).json() == first.json()
    assert Event.objects.filter(name="api_key.revoked").count() == 1
    problem(owner.post(path(amani, till["prefix"], "rotate"), {}), 409, "key_ended")


def test_another_companys_key_is_not_there(owner: Caller, amani: Onboarded, stranger: Onboarded) -> None:
    for verb in ("rotate", "revoke"):
        for made, prefix in ((amani, stranger.api_key.prefix), (stranger, stranger.api_key.prefix), (amani, "%00")):
            answer = owner.post(path(made, prefix, verb), {})
            problem(answer, 404, "not_found")
    assert works(stranger.key_text)


def test_a_suspended_company_makes_no_keys_but_ends_them(owner: Caller, amani: Onboarded) -> None:
    till = make(owner, amani).json()
    Company.objects.update(status="suspended")
    problem(make(owner, amani), 403, "company_not_active")
    problem(owner.post(path(amani, till["prefix"], "rotate"), {}), 403, "company_not_active")
    assert owner.post(path(amani, till["prefix"], "revoke"), {}).status_code == 200


# By command


def test_a_command_makes_a_person_and_prints_a_key(amani: Onboarded, capsys: pytest.CaptureFixture[str]) -> None:
    told = {"company": "p051234567x", "environment": "sandbox", "role": "accountant", "email": "Juma@amani.example"}
    call_command("create_api_key", **told)
    printed = capsys.readouterr()
    assert works(printed.out.strip())
    assert "juma@amani.example is accountant of Amani Stores Ltd." in printed.err
    assert Member.objects.get().user.email == "juma@amani.example"
    assert Event.objects.latest("id").actor == "command:create_api_key"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"company": "P000000000A"}, "no company"),
        ({"email": "nobody"}, "no e-mail"),
        ({"role": "revenue_officer"}, "Give --days"),
        ({"days": 0}, "1 or more"),
        ({"device": "NONE"}, "no such device"),
    ],
)
def test_a_wrong_argument_makes_nothing(amani: Onboarded, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("create_api_key", **{"company": "P051234567X", "environment": "sandbox", **wrong})
    assert (ApiKey.objects.count(), Member.objects.count()) == (1, 0)


def test_a_person_works_for_one_organisation_and_no_key_is_above_its_person() -> None:
    operator_key_text(OperatorRole.SUPPORT)
    with pytest.raises(CommandError, match="on the staff of Revpay Connect"):
        call_command("create_operator_key", "support@integrator.example", reseller="Duka")
    with pytest.raises(CommandError, match="could do more"):
        call_command("create_operator_key", "support@integrator.example", role="admin")
