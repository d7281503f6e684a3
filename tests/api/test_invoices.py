import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.devices.onboarding import Onboarded
from gateway.devices.services import add_device
from gateway.lanes.models import Lane
from gateway.tenants.models import Role
from gateway.tenants.services import add_branch, make_api_key
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.api.rows import make_invoice
from tests.statements import statements
from tests.tenants.factories import key_with, make_stranger

pytestmark = pytest.mark.django_db
PATH = "/api/invoices/"


def references(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [invoice["reference"] for invoice in response.json()["invoices"]]


def test_without_invoices_the_list_is_empty(owner: Caller) -> None:
    assert owner.get(PATH).json() == {"invoices": [], "next": None}


def test_an_invoice_is_shown_as_everywhere(owner: Caller, amani: Onboarded) -> None:
    invoice = make_invoice(amani.device, "POS-1")
    [shown] = owner.get(PATH).json()["invoices"]
    assert (shown["id"], shown["device"]) == (str(invoice.public_id), str(amani.device.public_id))
    assert shown["status"] == "signed"
    assert shown["receipt"]["simulated"]
    assert shown["receipt"]["url"].startswith("http://127.0.0.1:8000/receipts/")
    assert isinstance(shown["totals"]["amount"], str)


def test_pages_neither_repeat_nor_skip_while_new_invoices_arrive(owner: Caller, amani: Onboarded) -> None:
    for number in range(7):
        make_invoice(amani.device, f"POS-{number}")
    seen: list[str] = []
    cursor = None
    for arriving in range(10):
        page = owner.get(PATH, {"limit": 3, **({"cursor": cursor} if cursor else {})})
        seen += references(page)
        cursor = page.json()["next"]
        make_invoice(amani.device, f"NEW-{arriving}")
        if cursor is None:
            break
    assert seen == [f"POS-{number}" for number in reversed(range(7))]


def test_the_last_full_page_has_no_next(owner: Caller, amani: Onboarded) -> None:
    for number in range(4):
        make_invoice(amani.device, f"POS-{number}")
    assert owner.get(PATH, {"limit": 4}).json()["next"] is None
    first = owner.get(PATH, {"limit": 2})
    last = owner.get(PATH, {"limit": 2, "cursor": first.json()["next"]})
    assert references(last) == ["POS-1", "POS-0"]
    assert last.json()["next"] is None


@pytest.fixture
def shop(amani: Onboarded) -> Onboarded:
    """Two devices, invoices of several days and states."""
    second = add_device(
        company=amani.company,
        branch=add_branch(amani.company, code="01", name="Westlands"),
        environment="sandbox",
        serial="AMANI-01",
    )
    make_invoice(amani.device, "NOON-18", issued_at=datetime(2026, 11, 18, 9, 0, tzinfo=UTC))
    make_invoice(amani.device, "NIGHT-19", issued_at=datetime(2026, 11, 18, 21, 30, tzinfo=UTC))  # 00:30 in Nairobi
    make_invoice(amani.device, "CREDIT", kind="credit_note", issued_at=datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
    make_invoice(second, "WEST", status="queued", issued_at=datetime(2026, 11, 21, 9, 0, tzinfo=UTC))
    return amani


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["WEST", "CREDIT", "NIGHT-19", "NOON-18"]),
        ({"status": "queued"}, ["WEST"]),
        ({"status": "refused"}, []),
        ({"kind": "credit_note"}, ["CREDIT"]),
        ({"device": "AMANI-01"}, ["WEST"]),
        ({"reference": "NOON-18"}, ["NOON-18"]),
        ({"reference": "noon-18"}, []),
        ({"issued_from": "2026-11-19"}, ["WEST", "CREDIT", "NIGHT-19"]),
        ({"issued_to": "2026-11-18"}, ["NOON-18"]),
        ({"issued_from": "2026-11-19", "issued_to": "2026-11-19"}, ["NIGHT-19"]),
        ({"issued_from": "2026-11-18T12:00:00+03:00", "issued_to": "2026-11-19T00:30:00+03:00"}, ["NOON-18"]),
        ({"issued_from": "2026-11-18T12:00:01"}, ["WEST", "CREDIT", "NIGHT-19"]),
        ({"status": "signed", "kind": "sale", "limit": 1}, ["NIGHT-19"]),
    ],
)
def test_the_list_is_filtered(owner: Caller, query: dict[str, Any], found: list[str]) -> None:
    assert references(owner.get(PATH, query)) == found


@pytest.mark.usefixtures("shop")
def test_a_filter_goes_on_over_its_pages(owner: Caller) -> None:
    first = owner.get(PATH, {"status": "signed", "limit": 2})
    rest = owner.get(PATH, {"status": "signed", "limit": 2, "cursor": first.json()["next"]})
    assert references(first) + references(rest) == ["CREDIT", "NIGHT-19", "NOON-18"]


def test_asked_for_a_time_the_latest_issued_come_first(owner: Caller, amani: Onboarded) -> None:
    noon = datetime(2026, 11, 18, 9, 0, tzinfo=UTC)
    for place, hours in enumerate([5, 1, 3, 3, 3, 2, 30]):  # as they arrive, a till that was offline among them
        make_invoice(amani.device, f"POS-{place}", issued_at=noon + timedelta(hours=hours))
    asked = {"issued_from": "2026-11-18", "issued_to": "2026-11-18"}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = owner.get(PATH, {**asked, "limit": 2, **cursor})
        seen += references(page)
        cursor = {"cursor": page.json()["next"]}
    assert seen == ["POS-0", "POS-4", "POS-3", "POS-2", "POS-5", "POS-1"]
    assert page.json()["next"] is None


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"limit": 0}, {"limit": "too_small"}),
        ({"limit": 201}, {"limit": "too_large"}),
        ({"limit": "many"}, {"limit": "not_whole_number"}),
        ({"limit": "9" * 5000}, {"limit": "too_large"}),
        ({"status": "done"}, {"status": "unknown_value"}),
        ({"kind": "bill"}, {"kind": "unknown_value"}),
        ({"reference": "x" * 51}, {"reference": "too_long"}),
        ({"reference": "a\x00b"}, {"reference": "not_printable"}),
        ({"issued_from": "yesterday"}, {"issued_from": "not_a_time"}),
        ({"issued_to": "0001-01-01"}, {"issued_to": "not_a_time"}),
        ({"issued_to": "9999-12-31"}, {"issued_to": "not_a_time"}),
        ({"page": 2}, {"page": "unknown_field"}),
    ],
)
def test_each_wrong_filter_is_named(owner: Caller, query: dict[str, Any], wrong: dict[str, str]) -> None:
    assert fields(owner.get(PATH, query)) == wrong


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "==", "A" * 22, "A" * 100, "%00"])
def test_a_cursor_that_is_not_ours_is_refused(owner: Caller, amani: Onboarded, cursor: str) -> None:
    make_invoice(amani.device, "POS-1")
    problem(owner.get(PATH, {"cursor": cursor}), 422, "bad_cursor")
    problem(owner.get(PATH, {"cursor": cursor, "issued_from": "2026-11-18"}), 422, "bad_cursor")


def test_a_strangers_cursor_opens_nothing(owner: Caller, amani: Onboarded) -> None:
    stranger = make_stranger()
    for number in range(3):
        make_invoice(stranger.device, f"S-{number}")
        make_invoice(amani.device, f"POS-{number}")
    cursor = Caller(stranger.key_text).get(PATH, {"limit": 1}).json()["next"]
    problem(owner.get(PATH, {"cursor": cursor}), 422, "bad_cursor")


def test_a_stranger_sees_nothing(owner: Caller, amani: Onboarded) -> None:
    stranger = make_stranger()
    make_invoice(stranger.device, "SECRET")
    make_invoice(amani.device, "POS-1")
    assert references(owner.get(PATH)) == ["POS-1"]
    assert references(owner.get(PATH, {"reference": "SECRET"})) == []
    problem(owner.get(PATH, {"device": str(stranger.device.public_id)}), 404, "not_found")


def test_the_other_environment_is_another_world(amani: Onboarded) -> None:
    make_invoice(amani.device, "POS-1")
    production = Caller(make_api_key(amani.company, "production", Role.OWNER)[1])
    assert references(production.get(PATH)) == []


@pytest.mark.usefixtures("shop")
def test_a_key_bound_to_a_device_sees_only_that_ones(amani: Onboarded) -> None:
    bound = Caller(key_with(amani.company, Role.CASHIER, device=amani.device.public_id)[1])
    assert references(bound.get(PATH)) == ["CREDIT", "NIGHT-19", "NOON-18"]
    problem(bound.get(PATH, {"device": "AMANI-01"}), 404, "not_found")
    gone = Caller(key_with(amani.company, Role.CASHIER, device=uuid.uuid4())[1])
    problem(gone.get(PATH), 404, "not_found")


@pytest.mark.parametrize("role", list(Role))
def test_every_role_may_read(amani: Onboarded, role: Role) -> None:
    assert Caller(key_with(amani.company, role)[1]).get(PATH).status_code == 200


def test_waiting_invoices_know_their_place_and_why_they_wait(owner: Caller, amani: Onboarded) -> None:
    make_invoice(amani.device, "SIGNED")
    make_invoice(amani.device, "FIRST", status="unknown")
    make_invoice(amani.device, "SECOND", status="queued")
    make_invoice(amani.device, "THIRD", status="queued")
    Lane.objects.filter(pk=amani.device.lane_id).update(hold_reason="KRA refuses this device.")
    shown = {invoice["reference"]: invoice["waiting"] for invoice in owner.get(PATH).json()["invoices"]}
    assert shown["SIGNED"] is None
    assert shown["FIRST"]["position"] == 1
    assert "we are asking KRA" in shown["FIRST"]["reason"]
    assert shown["SECOND"] == {"position": 2, "reason": "KRA refuses this device."}
    assert shown["THIRD"]["position"] == 3


def test_a_page_takes_a_fixed_number_of_statements(owner: Caller, amani: Onboarded) -> None:
    for number in range(30):
        make_invoice(amani.device, f"POS-{number}", status="queued" if number % 2 else "signed")
    with statements() as asked:
        assert len(references(owner.get(PATH, {"limit": 30}))) == 30
    assert len(asked) <= 6, asked
