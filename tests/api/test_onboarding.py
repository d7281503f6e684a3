import copy
import io
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone

from gateway.audit.models import Event
from gateway.tenants.models import Company, Member, OperatorKey, User
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.devices.kra_ends import refusing
from tests.servers import Simulator
from tests.tenants.factories import PIN, make_company

pytestmark = pytest.mark.django_db
PATH = "/api/onboard/"
AMANI: dict[str, Any] = {
    "company": {"pin": PIN, "name": "Amani Stores Ltd", "email": "owner@amani.example", "phone": "+254700000001"},
    "branch": {"code": "00", "name": "Head office", "address": "Moi Avenue 12", "city": "Nairobi"},
    "device": {"serial": "AMANI-00", "device_type": "oscu"},
    "environment": "sandbox",
    "owner": {"email": "owner@amani.example", "name": "Amina Mwangi", "password": "correct-horse-battery"},
}


def amani(**changes: Any) -> dict[str, Any]:
    """The application with some of it changed: `company__pin="X"`; None leaves the field out."""
    told = copy.deepcopy(AMANI)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = told
        for parent in parents:
            place = place[parent]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return told


@pytest.fixture
def operator(capsys: pytest.CaptureFixture[str]) -> Caller:
    call_command("create_operator_key", "ops@integrator.example", name="laptop")
    return Caller(capsys.readouterr().out.strip())


def test_an_operator_onboards_a_company_whose_key_works_at_once(operator: Caller, kra: Simulator) -> None:
    response = operator.post(PATH, AMANI)
    assert response.status_code == 201
    made = response.json()
    assert made["company"] | {"id": ""} == {
        "id": "",
        "pin": PIN,
        "name": "Amani Stores Ltd",
        "status": "active",
        "plan": "standard",
    }
    assert (made["device"]["status"], made["device"]["problem"]) == ("active", None)
    assert made["device"]["simulated"]
    assert made["device"]["control_unit"].startswith("SIMCU")
    assert made["api_key"]["key"].startswith("rvp_sbx_")
    assert (made["api_key"]["role"], made["api_key"]["environment"]) == ("owner", "sandbox")
    done = {step["step"]: step["done"] for step in made["checklist"]}
    assert done == {
        "company": True,
        "owner": True,
        "device": True,
        "reference_data": True,
        "items": False,
        "first_sale": False,
    }
    shown = Caller(made["api_key"]["key"]).get(f"/api/device/{made['device']['id']}/status/")
    assert shown.json() == made["device"]
    assert User.objects.get(email="owner@amani.example").check_password("correct-horse-battery")
    assert set(Event.objects.values_list("actor", flat=True)) == {"operator:ops@integrator.example"}


@pytest.mark.parametrize(
    ("at_kra", "warning"),
    [
        ("AMANI STORES LIMITED", None),
        ("Kijani Traders", f"KRA has the PIN {PIN} as Kijani Traders. Check that it is the PIN of Amani Stores Ltd."),
    ],
)
def test_a_name_that_kra_has_otherwise_is_a_warning_that_stops_nothing(
    operator: Caller, kra: Simulator, at_kra: str, warning: str | None
) -> None:
    kra.approve(PIN, "00", "AMANI-00", name=at_kra)
    made = operator.post(PATH, AMANI).json()
    company = made["checklist"][0]
    assert (company["step"], company["done"], company["warning"]) == ("company", True, warning)
    shown = Caller(made["api_key"]["key"]).get(f"/api/companies/{made['company']['id']}/checklist/").json()
    assert shown["checklist"][0] == company


@pytest.mark.parametrize(
    ("fault", "how", "warning"),
    [
        ("http_status", {"status": 503}, None),
        ("result_code", {"code": "990"}, None),
        ("result_code", {"code": "001"}, f"KRA does not know the PIN {PIN}. Check it before you sell."),
    ],
)
def test_a_look_up_of_the_pin_that_fails_fails_nothing_else(
    operator: Caller, kra: Simulator, fault: str, how: dict[str, Any], warning: str | None
) -> None:
    cache.clear()  # after 990 a device rests
    kra.fault("customer_pin_lookup", fault, **how)
    response = operator.post(PATH, AMANI)
    made = response.json()
    assert (response.status_code, made["device"]["status"], made["device"]["reference_data"]) == (201, "active", True)
    assert (made["checklist"][0]["done"], made["checklist"][0]["warning"]) == (True, warning)


def test_little_is_enough(operator: Caller, kra: Simulator) -> None:
    made = operator.post(PATH, {"company": {"pin": PIN.lower(), "name": "Amani"}, "device": {"serial": "AMANI-00"}})
    assert made.status_code == 201
    assert made.json()["company"]["pin"] == PIN
    assert made.json()["branch"]["code"] == "00"
    assert made.json()["branch"]["name"]  # KRA's


def test_a_company_is_kept_when_kra_refuses_its_device(operator: Caller, kra: Simulator) -> None:
    response = operator.post(PATH, amani(device__serial="UNKNOWN-1"))
    assert response.status_code == 201
    device = response.json()["device"]
    assert (device["status"], device["problem"]["code"]) == ("trouble", "901")
    step = next(step for step in response.json()["checklist"] if step["step"] == "device")
    assert not step["done"]
    assert step["detail"] == device["problem"]["detail"]


def test_an_owner_without_a_password_is_invited_by_mail(
    operator: Caller, kra: Simulator, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made = operator.post(PATH, amani(owner__password=None)).json()
    (message,) = mail.outbox
    assert message.to == ["owner@amani.example"]
    assert "/account/invitation/" in message.body
    assert not Member.objects.exists()
    step = next(step for step in made["checklist"] if step["step"] == "owner")
    assert (step["done"], "owner@amani.example" in step["detail"]) == (False, True)


def test_kra_down_keeps_the_company_and_its_device_waits_with_the_reason(
    operator: Caller, kra: Simulator, settings: LazySettings
) -> None:
    settings.KRA_SANDBOX_BASE_URL = f"{refusing()}/oscu/etims-api"
    made = operator.post(PATH, AMANI)
    assert made.status_code == 201
    device = made.json()["device"]
    assert (device["status"], device["problem"]["code"]) == ("waiting", "not_connected")
    settings.KRA_SANDBOX_BASE_URL = f"{kra.url}/oscu/etims-api"
    owner = Caller(made.json()["api_key"]["key"])
    assert owner.post("/api/device/init/", {}).json()["status"] == "active"
    shown = owner.get(f"/api/companies/{made.json()['company']['id']}/checklist/").json()
    assert [point["step"] for point in shown["checklist"] if not point["done"]] == ["items", "first_sale"]


def test_the_same_pin_twice_is_a_conflict_that_changes_nothing(operator: Caller, kra: Simulator) -> None:
    operator.post(PATH, AMANI)
    problem(operator.post(PATH, amani(device__serial="OTHER")), 409, "pin_taken")
    assert Company.objects.count() == 1


def test_a_serial_in_use_is_a_conflict(operator: Caller) -> None:
    make_company(pin="P050000001A")
    problem(operator.post(PATH, AMANI), 409, "serial_taken")
    assert Company.objects.count() == 1


def test_without_a_key_nobody_is_onboarded() -> None:
    response = Caller(None).post(PATH, AMANI)
    problem(response, 401, "key_missing")
    assert "Token" in response["WWW-Authenticate"]


def test_a_companys_key_onboards_nobody() -> None:
    owner = Caller(make_company(pin="P050000001A", serial="X").key_text)
    problem(owner.post(PATH, AMANI), 403, "operator_needed")


def test_staff_who_only_look_do_not_onboard(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_operator_key", "looker@integrator.example", role="read_only")
    looker = Caller(capsys.readouterr().out.strip())
    told = problem(looker.post(PATH, AMANI), 403, "role_not_allowed")["detail"]
    assert told == "The key has the role read_only; this needs one of: admin, support."
    assert not Company.objects.exists()


def test_an_operators_key_stops_with_its_revocation_and_its_person(operator: Caller) -> None:
    OperatorKey.objects.update(revoked_at="2026-01-01T00:00Z")
    problem(operator.post(PATH, AMANI), 401, "key_unknown")
    OperatorKey.objects.update(revoked_at=None, expires_at="2026-01-01T00:00Z")
    problem(operator.post(PATH, AMANI), 401, "key_unknown")
    OperatorKey.objects.update(expires_at=None)
    User.objects.update(is_staff=False)
    problem(operator.post(PATH, AMANI), 401, "key_unknown")


@pytest.mark.usefixtures("kra")
def test_an_open_installation_lets_anybody_onboard(settings: LazySettings) -> None:
    settings.OPEN_ONBOARDING = True
    assert Caller(None).post(PATH, AMANI).status_code == 201
    problem(Caller("rvp_ops_wrong").post(PATH, AMANI), 401, "key_unknown")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"company": None}, {"company": "missing"}),
        ({"company": []}, {"company": "not_an_object"}),
        ({"company__pin": None}, {"company.pin": "missing"}),
        ({"company__pin": "P05123456X"}, {"company.pin": "bad_pin"}),
        ({"company__pin": "P05123456\u0663X"}, {"company.pin": "bad_pin"}),
        ({"company__pin": 51234567}, {"company.pin": "not_text"}),
        ({"company__name": "  "}, {"company.name": "blank"}),
        ({"company__name": "x" * 201}, {"company.name": "too_long"}),
        ({"company__name": "Amani\nStores"}, {"company.name": "not_printable"}),
        ({"company__name": "Amani\x00"}, {"company.name": "not_printable"}),
        ({"company__email": "nobody"}, {"company.email": "bad_email"}),
        ({"company__phone": "0" * 21}, {"company.phone": "too_long"}),
        ({"company__vat": "yes"}, {"company.vat": "unknown_field"}),
        ({"branch__code": "0"}, {"branch.code": "wrong_form"}),
        ({"branch__code": "\u0660\u0660"}, {"branch.code": "wrong_form"}),
        ({"branch__name": "x" * 61}, {"branch.name": "too_long"}),
        ({"device": None}, {"device": "missing"}),
        ({"device__serial": ""}, {"device.serial": "blank"}),
        ({"device__device_type": "etr"}, {"device.device_type": "unknown_value"}),
        ({"device__base_url": "ftp://x"}, {"device.base_url": "bad_address"}),
        ({"device__base_url": "http://"}, {"device.base_url": "bad_address"}),
        ({"device__base_url": "http://127.0.0.1:8088"}, {"device.base_url": "wrong_address"}),
        (
            {"device__device_type": "vscu", "device__base_url": "https://etims-api.kra.go.ke/x"},
            {"device.base_url": "wrong_address"},
        ),
        ({"environment": "live"}, {"environment": "unknown_value"}),
        ({"plan": "Big Plan!"}, {"plan": "wrong_form"}),
        ({"owner__email": ""}, {"owner.email": "blank"}),
        ({"owner__password": "12345"}, {"owner.password": "weak_password"}),
        (
            {"company__pin": "x", "device__serial": None, "branch__code": "abc"},
            {"company.pin": "bad_pin", "device.serial": "missing", "branch.code": "wrong_form"},
        ),
    ],
)
def test_each_wrong_field_is_named(operator: Caller, changes: dict[str, Any], wrong: dict[str, str]) -> None:
    assert fields(operator.post(PATH, amani(**changes))) == wrong
    assert not Company.objects.exists()


def test_production_devices_never_reach_the_simulator(operator: Caller, kra: Simulator, settings: LazySettings) -> None:
    settings.KRA_PROD_PROFILE = "simulator"
    settings.KRA_PROD_BASE_URL = settings.KRA_SANDBOX_BASE_URL
    problem(operator.post(PATH, amani(environment="production")), 503, "setup_wrong")
    assert not Company.objects.exists()
    assert not kra.requests()


@pytest.mark.parametrize("arguments", [["nobody"], ["a@b.example", "--days", "0"]])
def test_an_operator_key_needs_an_address_and_a_sensible_time(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("create_operator_key", *arguments)
    assert not OperatorKey.objects.exists()


def test_an_operator_key_can_have_an_end() -> None:
    call_command("create_operator_key", "a@b.example", days=30, stdout=io.StringIO(), stderr=io.StringIO())
    expires_at = OperatorKey.objects.get().expires_at
    assert expires_at is not None
    assert timedelta(days=29) < expires_at - timezone.now() <= timedelta(days=30)
