import hashlib
import re

import pytest

from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.devices.services import SerialTaken
from gateway.tenants.models import ApiKey, Branch, Company, DataKey, Member, OperatorKey, Role, User
from gateway.tenants.services import PinTaken, add_member, make_api_key, make_operator_key
from tests.tenants.factories import make_company, make_stranger

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("environment", "mark"), [("sandbox", "rvp_sbx"), ("production", "rvp_live")])
def test_a_key_says_its_environment_and_only_its_hash_is_kept(environment: str, mark: str) -> None:
    key, text = make_api_key(make_company().company, environment, Role.CASHIER)
    assert re.fullmatch(rf"{mark}_[a-z0-9]{{8}}_[A-Za-z0-9_-]{{43}}", text)
    kept = ApiKey.objects.values().get(pk=key.pk)
    assert kept["prefix"] == text[:16]
    assert kept["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert text not in str(kept)


def test_a_pin_is_onboarded_once_and_the_second_try_leaves_nothing() -> None:
    make_company()
    with pytest.raises(PinTaken):
        make_company(serial="OTHER")
    assert (Company.objects.count(), Device.objects.count(), ApiKey.objects.count()) == (1, 1, 1)


def test_a_serial_that_is_taken_leaves_no_half_company() -> None:
    make_company()
    with pytest.raises(SerialTaken):
        make_stranger(serial="AMANI-00")
    assert (Company.objects.count(), Branch.objects.count(), DataKey.objects.count()) == (1, 1, 1)


def test_the_journal_tells_of_the_onboarding() -> None:
    made = make_company()
    told = list(Event.objects.filter(company=made.company).order_by("id").values_list("name", flat=True))
    assert told == ["company.onboarded", "device.added", "api_key.made"]
    assert made.key_text not in str(list(Event.objects.values()))


def test_an_owner_who_is_known_keeps_name_and_password() -> None:
    company = make_company().company
    first = add_member(company, email="Owner@Amani.example", name="Amina", role=Role.OWNER, password="a-long-password")
    second = add_member(
        company, email="owner@amani.example", name="Else", role=Role.VIEWER, password="another-password"
    )
    assert first == second
    user = User.objects.get()
    assert user.name == "Amina"
    assert user.check_password("a-long-password")
    assert Member.objects.get().role == Role.OWNER


def test_an_operator_key_makes_its_person_staff() -> None:
    key, text = make_operator_key(email="Ops@Integrator.example")
    assert text.startswith("rvp_ops_")
    assert key.user.email == "ops@integrator.example"
    assert key.user.is_staff
    make_operator_key(email="ops@integrator.example")
    assert (User.objects.count(), OperatorKey.objects.count()) == (1, 2)
