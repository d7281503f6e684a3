"""The operators' pages: who gets in, what is not there, what can be done, and that a list stays fast."""

from base64 import b64encode
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import timezone

from gateway.audit.models import Event
from gateway.dashboard.operators.base import site
from gateway.dashboard.operators.urls import urlpatterns
from gateway.devices import escrow
from gateway.devices.escrow import EnteredKey
from gateway.lanes.models import Lane
from gateway.sales.models import Invoice
from gateway.tenants.models import ApiKey, BrowserSession, Invitation, OperatorKey, OperatorRole, Role, User
from gateway.tenants.services import add_staff, make_api_key
from tests.api.rows import make_invoice
from tests.dashboard.conftest import PASSWORD
from tests.statements import statements
from tests.tenants.factories import make_active, operator_key_text

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
LISTS = [f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in site._registry]


def signed_in(user: User, *, second_step: bool = True) -> Client:
    if second_step:
        TOTP.activate(user, SECRET)
    browser = Client()
    browser.force_login(user, backend=BACKEND)
    return browser


def staff(role: OperatorRole, *, reseller: str = "") -> Client:
    return signed_in(add_staff(email=f"{role}@revpay.example", role=role, reseller=reseller).user)


@pytest.fixture
def boss(db: Any) -> Client:
    """The administrator, with the second step."""
    return signed_in(User.objects.create_superuser("boss@revpay.example", None, name="Boss"))


def test_every_table_has_a_list_that_opens_empty_and_full(boss: Client, amani: Any) -> None:
    assert urlpatterns and len(LISTS) >= 13
    for path in LISTS:
        assert boss.get(path).status_code == 200, path
    make_active(amani.device)
    make_invoice(amani.device, "POS-1")
    for model, path in zip(site._registry, LISTS, strict=True):
        row = model._default_manager.first()
        if row is not None:
            assert boss.get(f"{path}{row.pk}/change/").status_code == 200, path


def test_one_enters_by_the_common_door_with_the_second_step(browser: Client, db: None) -> None:
    assert browser.get("/admin/")["Location"] == "/admin/login/?next=/admin/"
    assert browser.get("/admin/login/?next=/admin/")["Location"] == "/account/login/?next=/admin/"
    boss = User.objects.create_superuser("boss@revpay.example", "correct horse battery")
    posted = browser.post("/admin/login/", {"username": boss.email, "password": "correct horse battery"})
    assert posted["Location"].startswith("/account/login/") and "_auth_user_id" not in browser.session

    without = signed_in(boss, second_step=False)
    answer = without.get("/admin/", follow=True)
    assert [place for place, _ in answer.redirect_chain][1] == "/account/2fa/app/"
    assert without.get("/admin/sales/invoice/").status_code == 302
    TOTP.activate(boss, SECRET)
    assert without.get("/admin/sales/invoice/").status_code == 200


def test_where_the_second_step_is_not_asked_for_the_password_is_enough(db: None, settings: Any) -> None:
    settings.OPERATORS_NEED_TOTP = False
    boss = User.objects.create_superuser("boss@revpay.example", None)
    assert signed_in(boss, second_step=False).get("/admin/").status_code == 200


def test_customers_resellers_and_half_hired_people_do_not_get_in(amani: Any) -> None:
    half_hired = User.objects.create_user("half@revpay.example", None, is_staff=True)
    half_hired.user_permissions.set(Permission.objects.all())
    for outsider in (
        signed_in(amani.owner),
        signed_in(half_hired),
        staff(OperatorRole.ADMIN, reseller="Duka Systems"),
    ):
        for path in ("/admin/", "/admin/sales/invoice/", "/admin/tenants/apikey/"):
            answer = outsider.get(path, follow=True)
            assert answer.status_code == 403 and b"Amani" not in answer.content, path


def test_nothing_is_added_edited_or_deleted(boss: Client, amani: Any) -> None:
    invoice = make_invoice(amani.device, "POS-1")
    before = Invoice.objects.values().get(pk=invoice.pk)
    for path in LISTS:
        assert boss.get(f"{path}add/").status_code == 403, path
    at = f"/admin/sales/invoice/{invoice.pk}/"
    assert boss.post(f"{at}change/", {"reference": "FORGED", "signature": "X"}).status_code == 403
    assert boss.post(f"{at}delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [invoice.pk], "post": "yes"}
    boss.post("/admin/sales/invoice/", chosen)
    assert Invoice.objects.values().get(pk=invoice.pk) == before


def test_no_secret_is_on_any_page(boss: Client, amani: Any, owner_browser: Client) -> None:
    operator_key_text()
    planted = b"planted-secret-of-a-control-unit"
    make_active(amani.device, key=planted)
    amani.device.sealed_answers = planted
    amani.device.save()
    owner_browser.post(
        f"/companies/{amani.company.public_id}/people/", {"email": "kim@amani.example", "role": "viewer"}
    )
    escrow.keep(amani.device, EnteredKey(at=timezone.now(), key=planted.decode(), **_UNIT))
    api_key, key_text = make_api_key(amani.company, "sandbox", Role.OWNER)
    codes = [code for user in (amani.owner, User.objects.get(email="boss@revpay.example")) for code in _codes(user)]
    people = list(User.objects.values_list("password", flat=True))
    secrets = [planted.decode(), SECRET, *codes, PASSWORD, key_text, Invitation.objects.get().digest]
    secrets += [password for password in people if password.startswith("argon2")]
    secrets += [digest for key in (ApiKey, OperatorKey) for digest in key.objects.values_list("digest", flat=True)]
    secrets += list(BrowserSession.objects.values_list("session_key", flat=True))
    secrets += [cookie.value for cookie in boss.cookies.values()]
    for sealed in _sealed_columns():
        secrets += [form for value in sealed for form in (repr(value), value.hex(), b64encode(value).decode())]
    assert len([secret for secret in secrets if secret]) == len(secrets) > 40 and api_key.digest in secrets
    for model, path in zip(site._registry, LISTS, strict=True):
        pages = [boss.get(path).content.decode()]
        pages += [boss.get(f"{path}{row.pk}/change/").content.decode() for row in model._default_manager.all()]
        for page in pages:
            assert not [secret for secret in secrets if secret in page], path


_UNIT = {"control_unit_id": "SIMCU0100000001", "machine_code": "", "device_id": ""}


def _codes(user: User) -> list[str]:
    """Second step and recovery codes of somebody who has both."""
    if not Authenticator.objects.filter(user=user, type="totp").exists():
        TOTP.activate(user, SECRET)
    return list(RecoveryCodes.activate(user).get_unused_codes())


def _sealed_columns() -> list[list[bytes]]:
    """Every binary value in the database: sealed keys and answers, wrapped data keys, copies in escrow."""
    columns = [
        (model, one)
        for model in apps.get_models()
        for one in model._meta.fields
        if one.get_internal_type() == "BinaryField"
    ]
    found = [
        model._default_manager.exclude(**{one.name: None}).values_list(one.name, flat=True) for model, one in columns
    ]
    return [[bytes(value) for value in values if value] for values in found]


def test_a_lane_is_held_and_released_with_a_reason_that_the_journal_keeps(boss: Client, amani: Any) -> None:
    lane = amani.device.lane
    chosen = {"_selected_action": [lane.pk], "action": "hold"}
    asked = boss.post("/admin/lanes/lane/", chosen).content.decode()
    assert "People whose sales wait will read the reason" in asked and str(lane) in asked
    assert "This field is required" in boss.post("/admin/lanes/lane/", {**chosen, "reason": "  "}).content.decode()
    assert not Lane.objects.exclude(hold_reason="").exists()

    boss.post("/admin/lanes/lane/", {**chosen, "reason": "KRA maintenance"})
    assert Lane.objects.get(pk=lane.pk).hold_reason == "Held by the operator: KRA maintenance"
    assert "Held by the operator" in boss.get("/admin/lanes/lane/", {"standing": "held"}).content.decode()
    again = boss.post("/admin/lanes/lane/", {**chosen, "reason": "again"}, follow=True)
    assert "is held already" in again.content.decode()

    boss.post("/admin/lanes/lane/", {**chosen, "action": "release", "reason": "It is back"})
    assert Lane.objects.get(pk=lane.pk).hold_reason == ""
    told = Event.objects.filter(name__startswith="lane.").order_by("pk")
    assert [(event.name, event.actor) for event in told] == [
        ("lane.held", "operator:boss@revpay.example"),
        ("lane.released", "operator:boss@revpay.example"),
    ]
    assert told[1].data["reason"] == "It is back"


def test_a_key_is_revoked_with_a_reason(boss: Client, amani: Any) -> None:
    key = ApiKey.objects.get()
    chosen = {"_selected_action": [key.pk], "action": "revoke", "reason": "Found in a public repository"}
    boss.post("/admin/tenants/apikey/", chosen)
    key.refresh_from_db()
    assert key.revoked_at is not None
    event = Event.objects.get(name="api_key.revoked")
    assert event.actor == "operator:boss@revpay.example" and event.data["reason"] == "Found in a public repository"


@pytest.mark.parametrize("role", list(OperatorRole))
def test_what_the_staff_may_do_follows_the_table_of_rights(amani: Any, role: OperatorRole) -> None:
    browser, lane, key = staff(role), amani.device.lane, ApiKey.objects.get()
    assert browser.get("/admin/sales/invoice/").status_code == 200
    browser.post("/admin/lanes/lane/", {"action": "hold", "_selected_action": [lane.pk], "reason": "x"})
    browser.post("/admin/tenants/apikey/", {"action": "revoke", "_selected_action": [key.pk], "reason": "x"})
    held, revoked = Lane.objects.exclude(hold_reason="").exists(), ApiKey.objects.exclude(revoked_at=None).exists()
    assert (held, revoked) == {
        OperatorRole.ADMIN: (True, True),
        OperatorRole.SUPPORT: (True, False),
        OperatorRole.READ_ONLY: (False, False),
    }[role]


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("P051234567X", {"POS-1", "POS-2"}),
        ("p051234567x POS-1", {"POS-1"}),
        ("P059999999Z", {"THEIRS-1"}),
        ("P051234567X THEIRS-1", set()),
        ("POS-1", set()),
        ("P000000000A", set()),
        ("'\"%", set()),
    ],
)
def test_an_invoice_is_found_by_pin_and_reference(
    boss: Client, amani: Any, stranger: Any, term: str, found: set[str]
) -> None:
    for device, reference in ((amani.device, "POS-1"), (amani.device, "POS-2"), (stranger.device, "THEIRS-1")):
        make_invoice(device, reference)
    answer = boss.get("/admin/sales/invoice/", {"q": term})
    assert answer.status_code == 200
    assert {row.reference for row in answer.context["cl"].result_list} == found


def test_what_is_on_its_way_is_found_by_its_jobs(boss: Client, amani: Any) -> None:
    make_invoice(amani.device, "POS-1")
    make_invoice(amani.device, "POS-2", status="queued")
    shown = boss.get("/admin/sales/invoice/", {"standing": "open"}).context["cl"].result_list
    assert [row.reference for row in shown] == ["POS-2"]


# Lists stay fast


def list_queries(boss: Client, path: str, **query: str) -> list[str]:
    boss.get(path, query)  # the session is noted once
    with statements() as asked:
        assert boss.get(path, query).status_code == 200
    return asked


@pytest.mark.parametrize("path", LISTS)
def test_no_list_counts_its_table(boss: Client, amani: Any, path: str) -> None:
    make_invoice(amani.device, "POS-1")
    assert not [sql for sql in list_queries(boss, path) if "COUNT(" in sql.upper()]


def test_a_page_of_invoices_costs_as_much_as_one_row_and_leaves_the_wide_columns(boss: Client, amani: Any) -> None:
    make_invoice(amani.device, "POS-0")
    few = list_queries(boss, "/admin/sales/invoice/")
    for number in range(1, 55):
        make_invoice(amani.device, f"POS-{number}")
    many = list_queries(boss, "/admin/sales/invoice/")
    assert len(many) == len(few) <= 6
    (rows,) = [sql for sql in many if 'FROM "sales_invoice"' in sql]
    assert "LIMIT 51" in rows or "LIMIT 50" in rows
    assert not [name for name in ("snapshot", "figures", "content", "body") if f'"{name}"' in rows]
    second = boss.get("/admin/sales/invoice/", {"p": "2"}).context["cl"].result_list
    assert [row.reference for row in second] == ["POS-4", "POS-3", "POS-2", "POS-1", "POS-0"]
    assert boss.get("/admin/sales/invoice/", {"p": "99999999"}).status_code in {200, 302}


@pytest.mark.only_on("postgres")
@pytest.mark.parametrize(
    ("path", "index"),
    [
        ("/admin/sales/invoice/", "sales_invoice_pkey"),
        ("/admin/lanes/attempt/", "_pkey"),  # of each month's table
        ("/admin/audit/event/", "_pkey"),
        ("/admin/audit/apicall/", "audit_apicall_pkey"),
    ],
)
def test_a_list_is_read_along_its_primary_key(boss: Client, amani: Any, path: str, index: str) -> None:
    make_invoice(amani.device, "POS-1")
    table = f'FROM "{path.split("/")[2]}_{path.split("/")[3]}"'
    rows = next(sql for sql in list_queries(boss, path) if table in sql)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute("SET LOCAL enable_sort = off")  # of a handful of rows a sort may look cheaper
        cursor.execute(f"EXPLAIN {rows}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan and "->  Sort" not in plan, plan


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("/admin/sales/invoice/", '"sales_invoice"."id" DESC LIMIT 2000'),
        ("/admin/lanes/attempt/", '"lanes_attempt"."id" DESC LIMIT 2000'),
        ("/admin/audit/event/", '"audit_event"."at" DESC, "audit_event"."id" DESC LIMIT 2000'),
        ("/admin/audit/apicall/", '"audit_apicall"."at" DESC, "audit_apicall"."id" DESC LIMIT 2000'),
    ],
)
def test_a_company_is_searched_in_the_order_of_the_index_that_begins_with_it(
    boss: Client, amani: Any, path: str, order: str
) -> None:
    """Ordered by the primary key alone, PostgreSQL took 7 s over a million rows to find a company with one."""
    found = [sql for sql in list_queries(boss, path, q="P051234567X") if "LIMIT 2000" in sql]
    assert found and all(sql.endswith(order) and '"company_id" = ' in sql for sql in found)


def test_pages_of_operators_may_load_nothing_from_elsewhere(boss: Client) -> None:
    answer = boss.get("/admin/")
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in answer["Content-Security-Policy"]
