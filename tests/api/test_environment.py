"""Sandbox and production of a company: apart, seen as they are, and switched only when everything is there."""

import contextlib
import datetime as dt
import http.server
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import LazySettings

from gateway.audit.models import Event
from gateway.audit.services import record
from gateway.catalog.models import Item
from gateway.devices.models import Device, Stage
from gateway.devices.onboarding import Onboarded
from gateway.devices.services import add_device
from gateway.kra import probe
from gateway.lanes.models import Job, Lane
from gateway.tenants.models import ApiKey, Company, OperatorRole, Role
from gateway.tenants.services import add_branch, add_member
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.devices.kra_ends import ending, refusing
from tests.servers import Simulator
from tests.tenants.factories import go_live, key_with, make_active, operator_key_text

pytestmark = pytest.mark.django_db
STATUS = "/api/environment/status/"
SWITCH = "/api/environment/switch/"
ENDPOINTS = "/api/environment/kra-endpoints/"
TEST = "/api/environment/test-connectivity/"


def make_item(made: Onboarded, code: str, **more: Any) -> Item:
    told = {"name": code, "tax_type": "B", "item_class": "5016150900", "status": "registered", "kra_code": "KE2NTU1"}
    return Item.objects.create(company=made.company, **{"environment": "sandbox", "code": code, **told, **more})


@pytest.fixture
def ready(amani: Onboarded) -> Onboarded:
    """Amani Stores, which has done everything in the sandbox that going live takes."""
    add_member(amani.company, email="owner@amani.example", name="Amina Mwangi", role=Role.OWNER)
    make_active(amani.device)
    make_item(amani, "SUGAR", price="168.00", barcode="616", quantity_unit="KG")
    record(amani.company, "invoice.signed", subject=uuid.uuid4(), environment="sandbox")
    return amani


# Status


def test_the_status_says_where_the_company_stands_and_what_each_environment_has(
    owner: Caller, amani: Onboarded
) -> None:
    shown = owner.get(STATUS).json()
    assert (shown["company"], shown["key"], shown["default"]) == (str(amani.company.public_id), "sandbox", "sandbox")
    assert shown["production_open_since"] is None
    sandbox, production = shown["environments"]
    assert {name: sandbox[name] for name in ("environment", "is_default", "is_open", "devices", "active_devices")} == {
        "environment": "sandbox",
        "is_default": True,
        "is_open": True,
        "devices": 1,
        "active_devices": 0,
    }
    assert (production["is_open"], production["devices"], production["api_keys"]) == (False, 0, 0)
    assert not shown["go_live"]["is_ready"]
    unmet = [point["step"] for point in shown["go_live"]["checklist"] if not point["done"]]
    assert unmet == ["owner", "sandbox_device", "items", "first_sale"]


def test_a_company_that_was_onboarded_in_production_is_live_from_the_start(admin: Caller, amani: Onboarded) -> None:
    from tests.tenants.factories import make_company

    live = make_company(pin="P050000001A", serial="LIVE", environment="production")
    shown = admin.get(STATUS, {"company": str(live.company.public_id)}).json()
    assert (shown["key"], shown["default"]) == (None, "production")
    assert shown["production_open_since"]


def test_the_staff_must_say_which_company_and_sees_only_its_own(admin: Caller, amani: Onboarded) -> None:
    assert fields(admin.get(STATUS)) == {"company": "missing"}
    assert admin.get(STATUS, {"company": str(amani.company.public_id)}).status_code == 200
    reseller = Caller(operator_key_text(OperatorRole.ADMIN, reseller="Somebody else"))
    problem(reseller.get(STATUS, {"company": str(amani.company.public_id)}), 404, "not_found")


def test_a_company_that_is_not_the_callers_is_not_there(owner: Caller, stranger: Onboarded) -> None:
    other = str(stranger.company.public_id)
    problem(owner.get(STATUS, {"company": other}), 404, "not_found")
    problem(owner.post(SWITCH, {"environment": "production", "company": other}), 404, "not_found")
    problem(owner.post(TEST, {"company": other}), 404, "not_found")
    problem(owner.post(TEST, {"device": stranger.device.serial}), 404, "not_found")
    assert fields(owner.get(STATUS, {"firm": other})) == {"firm": "unknown_field"}


# Switching


def test_production_stays_closed_until_everything_is_there_and_the_answer_lists_what_is_not(
    owner: Caller, amani: Onboarded
) -> None:
    told = problem(owner.post(SWITCH, {"environment": "production"}), 409, "not_ready_to_go_live")
    assert [point["step"] for point in told["unmet"]] == ["owner", "sandbox_device", "items", "first_sale"]
    assert all(point["detail"] for point in told["unmet"])
    assert Stage.objects.get().environment == "sandbox"
    assert not Event.objects.filter(name="environment.switched").exists()


def test_a_production_that_leads_to_a_simulator_keeps_the_company_out(
    owner: Caller, ready: Onboarded, settings: LazySettings
) -> None:
    settings.KRA_PROD_PROFILE = "simulator"
    settings.KRA_PROD_BASE_URL = "http://127.0.0.1:9/oscu/etims-api"
    told = problem(owner.post(SWITCH, {"environment": "production"}), 409, "not_ready_to_go_live")
    assert [point["step"] for point in told["unmet"]] == ["production_connection"]


def test_going_live_copies_the_catalogue_and_nothing_else(owner: Caller, ready: Onboarded) -> None:
    make_item(ready, "OLD", status="retired")
    make_item(ready, "SALT", status="refused", problem={"code": "x"}, body="{}")
    before = (Device.objects.count(), ApiKey.objects.count(), Lane.objects.filter(series="invoice").count())
    response = owner.post(SWITCH, {"environment": "production"})
    assert response.status_code == 200
    done = response.json()
    assert (done["environment"], done["changed"], done["copied_items"]) == ("production", True, 2)
    assert [point["step"] for point in done["checklist"] if not point["done"]] == [
        "device",
        "reference_data",
        "items",
        "first_sale",
    ]
    sugar, salt = Item.objects.filter(environment="production").order_by("pk")
    assert (sugar.code, str(sugar.price), sugar.barcode, sugar.quantity_unit) == ("SUGAR", "168.00", "616", "KG")
    for item in (sugar, salt):
        assert (item.status, item.kra_code, item.problem, item.body) == ("waiting", "", None, "")
    lane = Lane.objects.get(environment="production")
    assert (lane.series, lane.next_number) == ("item", 1)
    assert list(Job.objects.filter(lane=lane).values_list("document_id", flat=True)) == [sugar.pk, salt.pk]
    assert before == (Device.objects.count(), ApiKey.objects.count(), Lane.objects.filter(series="invoice").count())
    event = Event.objects.get(name="environment.switched")
    assert (event.environment, event.before, event.after) == (
        "production",
        {"environment": "sandbox"},
        {"environment": "production"},
    )
    assert Item.objects.get(environment="sandbox", code="SUGAR").status == "registered"


def test_a_second_switch_changes_nothing_and_the_way_back_is_free(owner: Caller, ready: Onboarded) -> None:
    owner.post(SWITCH, {"environment": "production"})
    opened_at = Stage.objects.get().opened_at
    again = owner.post(SWITCH, {"environment": "production"}).json()
    assert (again["changed"], again["copied_items"]) == (False, 0)
    assert Event.objects.filter(name="environment.switched").count() == 1
    make_item(ready, "NEW")
    Device.objects.update(status="trouble")  # production stays open, whatever the sandbox looks like now
    assert owner.post(SWITCH, {"environment": "sandbox"}).json()["changed"] is True
    there = owner.post(SWITCH, {"environment": "production"}).json()
    assert (there["changed"], there["copied_items"]) == (True, 1)
    assert Stage.objects.get().opened_at == opened_at
    assert Item.objects.filter(environment="production").count() == 2


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ACCOUNTANT, Role.CASHIER, Role.VIEWER, Role.REVENUE_OFFICER])
def test_only_the_owner_switches(ready: Onboarded, role: Role) -> None:
    caller = Caller(key_with(ready.company, role)[1])
    problem(caller.post(SWITCH, {"environment": "production"}), 403, "role_not_allowed")
    assert caller.get(STATUS).status_code == caller.get(ENDPOINTS).status_code == 200


def test_of_the_staff_an_admin_switches(admin: Caller, ready: Onboarded) -> None:
    body = {"environment": "production", "company": str(ready.company.public_id)}
    support = Caller(operator_key_text(OperatorRole.SUPPORT))
    problem(support.post(SWITCH, body), 403, "role_not_allowed")
    assert fields(admin.post(SWITCH, {"environment": "production"})) == {"company": "missing"}
    assert admin.post(SWITCH, body).json()["changed"] is True


def test_a_suspended_company_does_not_go_live(owner: Caller, ready: Onboarded) -> None:
    Company.objects.update(status="suspended")
    problem(owner.post(SWITCH, {"environment": "production"}), 403, "company_not_active")


def test_the_environment_must_be_one_of_the_two(owner: Caller) -> None:
    assert fields(owner.post(SWITCH, {"environment": "live"})) == {"environment": "unknown_value"}
    assert fields(owner.post(SWITCH, {})) == {"environment": "missing"}


# Where KRA is


def test_the_endpoints_are_those_of_the_settings_with_every_path(owner: Caller, settings: LazySettings) -> None:
    shown = {(one["environment"], one["device_type"]): one for one in owner.get(ENDPOINTS).json()["connections"]}
    assert len(shown) == 4
    live = shown["production", "oscu"]
    assert (live["profile"], live["base_url"]) == ("oscu_direct_production", "https://etims-api.kra.go.ke/etims-api")
    assert {"operation": "device_init", "path": "/selectInitOsdcInfo"} in live["endpoints"]
    assert shown["sandbox", "oscu"]["base_url"] == settings.KRA_SANDBOX_BASE_URL
    assert not [one for one in shown["sandbox", "vscu"]["endpoints"] if one["operation"] == "invoice_details"]


def test_a_connection_that_is_not_set_up_says_why(owner: Caller, settings: LazySettings) -> None:
    settings.KRA_PROD_PROFILE = "simulator"
    shown = owner.get(ENDPOINTS).json()["connections"]
    live = next(one for one in shown if (one["environment"], one["device_type"]) == ("production", "oscu"))
    assert live["problem"] and live["endpoints"] == []


# Whether KRA can be reached


def outcomes(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [one["outcome"] for one in response.json()["results"]]


def vscu_at(made: Onboarded, address: str) -> Device:
    branch = add_branch(made.company, code="02", name="Kiosk")
    return add_device(
        company=made.company, branch=branch, environment="sandbox", serial="VSCU-1", kind="vscu", base_url=address
    )


def test_kra_and_every_vscu_of_the_company_are_knocked_at_and_nothing_is_sold(
    owner: Caller, kra: Simulator, amani: Onboarded, stranger: Onboarded
) -> None:
    unit = vscu_at(amani, refusing())
    with ending("{}") as elsewhere:
        Device.objects.filter(pk=stranger.device.pk).update(kind="vscu", base_url=elsewhere.url, profile="vscu_sandbox")
        response = owner.post(TEST, {})
        assert elsewhere.requests == 0
    first, second = response.json()["results"]
    assert (first["device"], first["outcome"], first["host"]) == (None, "reachable", "127.0.0.1")
    assert first["clock_difference_seconds"] is not None and first["duration_ms"] < 10_000
    assert (second["device"], second["outcome"]) == (str(unit.public_id), "refused")
    assert kra.ledger() == []


def test_one_device_alone_is_tested_by_name(owner: Caller, amani: Onboarded) -> None:
    vscu_at(amani, refusing())
    shown = owner.post(TEST, {"device": "VSCU-1"}).json()
    assert [one["device_type"] for one in shown["results"]] == ["vscu"]
    assert outcomes(owner.post(TEST, {"device": "AMANI-00"})) == ["refused"]


def test_a_host_that_answers_late_is_slow_and_one_that_does_not_is_given_up(
    owner: Caller, amani: Onboarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(float(self.path.rpartition("/")[2]))
            with contextlib.suppress(OSError):
                self.send_response(204)
                self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    monkeypatch.setattr(probe, "SLOW_SECONDS", 0.2)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Late)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        device = vscu_at(amani, f"http://127.0.0.1:{server.server_port}/0.5")
        assert outcomes(owner.post(TEST, {"device": "VSCU-1"})) == ["slow"]
        Device.objects.filter(pk=device.pk).update(base_url=f"http://127.0.0.1:{server.server_port}/30")
        began = time.monotonic()
        assert outcomes(owner.post(TEST, {"device": "VSCU-1"})) == ["no_answer"]
        assert time.monotonic() - began < 20
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def tls_host(tmp_path: Path) -> Iterator[int]:
    """A host whose certificate nobody vouches for; gives its port."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (tmp_path / "pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1000)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def test_a_wrong_certificate_is_told_as_such(owner: Caller, amani: Onboarded, tls_host: int) -> None:
    vscu_at(amani, f"https://localhost:{tls_host}")
    assert outcomes(owner.post(TEST, {"device": "VSCU-1"})) == ["wrong_certificate"]


def test_a_name_that_nobody_knows_is_told_as_such(owner: Caller, amani: Onboarded) -> None:
    vscu_at(amani, "http://no-such-host.invalid:8088")
    assert outcomes(owner.post(TEST, {"device": "VSCU-1"})) == ["unknown_host"]


def test_a_vscu_address_that_is_forbidden_is_not_knocked_at(owner: Caller, amani: Onboarded) -> None:
    with ending("{}") as server:
        device = vscu_at(amani, "http://192.168.1.20:8088")
        Device.objects.filter(pk=device.pk).update(base_url=f"{server.url}/?x=")
        shown = owner.post(TEST, {"device": "VSCU-1"}).json()["results"]
        assert (shown[0]["outcome"], server.requests) == ("not_set_up", 0)
        assert shown[0]["detail"]


def test_a_key_tests_its_own_environment_only(owner: Caller, admin: Caller, amani: Onboarded) -> None:
    assert fields(owner.post(TEST, {"environment": "production"})) == {"environment": "other_environment"}
    go_live(amani.company)
    assert fields(admin.post(TEST, {})) == {"company": "missing"}
    shown = admin.post(TEST, {"company": str(amani.company.public_id), "environment": "sandbox"}).json()
    assert shown["environment"] == "sandbox"


@pytest.mark.parametrize("role", [Role.ACCOUNTANT, Role.CASHIER, Role.VIEWER, Role.REVENUE_OFFICER])
def test_only_owners_and_managers_test_connections(amani: Onboarded, role: Role) -> None:
    problem(Caller(key_with(amani.company, role)[1]).post(TEST, {}), 403, "role_not_allowed")
