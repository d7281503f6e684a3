"""Booking stock by the services, without an engine: what is written, what is refused, what a repeat does."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.utils import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit.models import Event
from gateway.catalog.models import Item
from gateway.devices.onboarding import Onboarded
from gateway.devices.services import add_device
from gateway.kra.codes import StockReason
from gateway.lanes.models import Job, Lane
from gateway.sales.doubts import find_doubt, sign_by_hand
from gateway.stock.models import Balance, Component, Entry, Movement
from gateway.stock.services import (
    Goods,
    NotRefused,
    StockReferenceReused,
    StockRefused,
    move_stock,
    produce,
    retry_movement,
    set_policy,
    transfer_stock,
)
from gateway.tenants.services import add_branch
from tests.sales.test_doubts import receipt
from tests.sales.waiting import make_doubtful
from tests.tenants.factories import make_active, make_company

pytestmark = pytest.mark.django_db
ON = date(2026, 11, 20)
IN, OUT = StockReason.ADJUSTMENT_IN, StockReason.ADJUSTMENT_OUT


@pytest.fixture(autouse=True)
def simulated(settings: Any) -> None:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = "http://127.0.0.1:9/oscu/etims-api"


@pytest.fixture
def amani(db: None) -> Onboarded:
    """Amani Stores with two branches, sugar, flour, bread and a service."""
    made = make_company()
    make_active(made.device)
    branch = add_branch(made.company, code="01", name="Market")
    make_active(add_device(company=made.company, branch=branch, environment="sandbox", serial="AMANI-01"))
    for number, (code, kind) in enumerate({"SUGAR": "2", "FLOUR": "1", "BREAD": "2", "REPAIR": "3"}.items(), 1):
        make_item(made, code, product_type=kind, kra_code=f"KE{kind}NTKG000000{number}")
    return made


def make_item(amani: Onboarded, code: str, **changes: Any) -> Item:
    told = {
        "name": code.title(),
        "tax_type": "B",
        "item_class": "5016150900",
        "price": "100.00",
        "status": "registered",
    }
    return Item.objects.create(company=amani.company, environment="sandbox", code=code, **{**told, **changes})


def move(amani: Onboarded, reason: StockReason, quantity: str, reference: str, **more: Any) -> Movement:
    more.setdefault("goods", [Goods("SUGAR", Decimal(quantity))])
    more.setdefault("branch", "00")
    return move_stock(
        company=amani.company,
        environment="sandbox",
        reason=reason,
        reference=reference,
        occurred_on=ON,
        by="key",
        **more,
    ).movement


def held(code: str = "SUGAR", branch: str = "00") -> Decimal:
    return Balance.objects.get(item__code=code, lane__branch=branch).quantity


def wrongs(refused: Any) -> dict[str, str]:
    return {wrong.field: wrong.code for wrong in refused.value.wrongs}


def test_a_movement_writes_ledger_balance_job_and_event_at_once(amani: Onboarded) -> None:
    movement = move(amani, IN, "12.5", "OPEN-1", is_opening=True)
    assert (movement.status, movement.lines[0]["kra_code"]) == ("queued", "KE2NTKG0000001")
    balance = Balance.objects.get()
    assert (balance.opening, balance.received, balance.quantity) == (Decimal("12.5"), Decimal(0), Decimal("12.5"))
    assert Entry.objects.get().change == Decimal("12.5")
    job = Job.objects.get(kind="stock")
    assert job.document_id == movement.pk and job.lane.series == "stock" and job.lane.due_at is not None
    assert Event.objects.get(name="stock.moved").subject == movement.public_id


def test_a_reference_names_one_movement(amani: Onboarded) -> None:
    first = move(amani, IN, "5", "IN-1")
    assert move(amani, IN, "5.00", "IN-1") == first
    with pytest.raises(StockReferenceReused):
        move(amani, IN, "6", "IN-1")
    assert held() == 5 and Movement.objects.count() == 1


@pytest.mark.parametrize(
    ("goods", "wrong"),
    [
        (Goods("NOTHING", Decimal(1)), {"lines[0].item_code": "unknown_item"}),
        (Goods("REPAIR", Decimal(1)), {"lines[0].item_code": "not_goods"}),
        (Goods("SUGAR", Decimal(0)), {"lines[0].quantity": "out_of_range"}),
        (Goods("SUGAR", Decimal("0.0001")), {"lines[0].quantity": "too_many_decimals"}),
        (Goods("SUGAR", Decimal("0.005")), {"lines[0].quantity": "rounding_changes_amount"}),
        (Goods("SUGAR", Decimal(1), Decimal(0)), {"lines[0].unit_price": "missing"}),
    ],
)
def test_what_cannot_be_moved_is_named_by_field(amani: Onboarded, goods: Goods, wrong: dict[str, str]) -> None:
    with pytest.raises(StockRefused) as refused:
        move(amani, IN, "1", "IN-1", goods=[goods])
    assert wrongs(refused) == wrong and not Movement.objects.exists()


def test_an_item_that_kra_does_not_know_yet_has_no_stock(amani: Onboarded) -> None:
    make_item(amani, "NEW", kra_code="", status="waiting")
    with pytest.raises(StockRefused) as refused:
        move(amani, IN, "1", "IN-1", goods=[Goods("NEW", Decimal(1))])
    assert wrongs(refused) == {"lines[0].item_code": "item_not_registered"}


@pytest.mark.parametrize(("branch", "code"), [("09", "unknown_branch"), ("02", "no_device")])
def test_stock_lies_in_a_branch_that_can_tell_kra(amani: Onboarded, branch: str, code: str) -> None:
    add_branch(amani.company, code="02", name="Store room")
    with pytest.raises(StockRefused) as refused:
        move(amani, IN, "1", "IN-1", branch=branch)
    assert wrongs(refused) == {"branch": code}


def test_an_item_is_opened_once_and_adjusted_after_that(amani: Onboarded) -> None:
    move(amani, IN, "5", "OPEN-1", is_opening=True)
    with pytest.raises(StockRefused) as refused:
        move(amani, IN, "5", "OPEN-2", is_opening=True)
    assert wrongs(refused) == {"lines[0].item_code": "opened_already"}


def test_more_than_there_is_may_leave_unless_the_company_says_no(amani: Onboarded) -> None:
    move(amani, IN, "5", "IN-1")
    move(amani, OUT, "7", "OUT-1")
    assert held() == -2
    set_policy(company=amani.company, environment="sandbox", allow_negative_stock=False, by="key")
    with pytest.raises(StockRefused) as refused:
        move(amani, OUT, "1", "OUT-2")
    assert wrongs(refused) == {"lines[0].quantity": "insufficient_stock"}


def test_where_kra_compares_stock_no_more_may_leave_than_there_is(amani: Onboarded, settings: Any) -> None:
    settings.KRA_SANDBOX_PROFILE = "simulator_gavaconnect"
    settings.KRA_APP_CONSUMER_KEY = settings.KRA_APP_CONSUMER_SECRET = settings.KRA_APP_ID = "x"
    type(amani.device).objects.update(profile="simulator_gavaconnect")
    move(amani, IN, "5", "IN-1")
    with pytest.raises(StockRefused) as refused:
        move(amani, OUT, "7", "OUT-1")
    assert wrongs(refused) == {"lines[0].quantity": "insufficient_stock"}


def test_goods_of_a_transfer_arrive_after_they_have_left(amani: Onboarded) -> None:
    move(amani, IN, "5", "IN-1")
    asked: dict[str, Any] = {"company": amani.company, "environment": "sandbox", "from_branch": "00"}
    asked |= {"to_branch": "01", "reference": "MOVE-1", "goods": [Goods("SUGAR", Decimal(2))], "occurred_on": ON}
    left, came = transfer_stock(**asked, by="key")
    assert (held(), held(branch="01")) == (Decimal(3), Decimal(2))
    assert (left.movement.reason, came.movement.reason) == ("13", "04")
    assert (left.movement.counterparty_branch, came.movement.counterparty_branch) == ("01", "00")
    waiting = Job.objects.get(document_id=came.movement.pk)
    assert waiting.waits_for == Job.objects.get(document_id=left.movement.pk)
    again = transfer_stock(**asked, by="key")
    assert [one.replayed for one in again] == [True, True] and held() == 3
    with pytest.raises(StockRefused) as refused:
        transfer_stock(**{**asked, "to_branch": "00"}, by="key")
    assert wrongs(refused) == {"to_branch": "same_branch"}


def test_production_takes_the_components_and_brings_the_product(amani: Onboarded) -> None:
    move(amani, IN, "10", "IN-1", goods=[Goods("FLOUR", Decimal(10)), Goods("SUGAR", Decimal(3))])
    bread, parts = Item.objects.get(code="BREAD"), {"FLOUR": "0.5", "SUGAR": "0.1"}
    for code, quantity in parts.items():
        Component.objects.create(item=bread, component=Item.objects.get(code=code), quantity=Decimal(quantity))
    asked: dict[str, Any] = {"company": amani.company, "environment": "sandbox", "branch": "00", "item_code": "BREAD"}
    produce(**asked, quantity=Decimal(4), reference="BAKE-1", occurred_on=ON, by="key")
    assert (held("FLOUR"), held("SUGAR"), held("BREAD")) == (Decimal(8), Decimal("2.6"), Decimal(4))
    asked["item_code"] = "SUGAR"
    with pytest.raises(StockRefused) as refused:
        produce(**asked, quantity=Decimal(1), reference="BAKE-2", occurred_on=ON, by="key")
    assert wrongs(refused) == {"item_code": "no_recipe"}


def test_a_movement_that_kra_refused_can_be_sent_again_and_the_journal_says_who_asked(amani: Onboarded) -> None:
    movement = move(amani, IN, "5", "IN-1")
    with pytest.raises(NotRefused):
        retry_movement(movement=movement, by="key:owner")
    refusal = {"code": "refused_by_kra", "detail": "No."}
    Movement.objects.update(status="refused", problem=refusal)
    Job.objects.update(state="closed")
    assert retry_movement(movement=movement, by="key:owner").status == "queued"
    assert Job.objects.get(document_id=movement.pk, kind="stock").state == "queued" and held() == 5
    event = Event.objects.get(name="stock.retried")
    assert (event.subject, event.actor, event.environment) == (movement.public_id, "key:owner", "sandbox")
    assert event.data == {"cause": "own:IN-1", "problem": refusal}
    with pytest.raises(NotRefused):
        retry_movement(movement=movement, by="key:owner")
    assert Event.objects.filter(name="stock.retried").count() == 1


def test_the_journal_says_who_changed_the_policy_once(amani: Onboarded) -> None:
    told: dict[str, Any] = {"company": amani.company, "environment": "sandbox", "by": "key:owner"}
    assert set_policy(**told, allow_negative_stock=True).allow_negative_stock  # as it was
    for _ in range(2):
        assert not set_policy(**told, allow_negative_stock=False).allow_negative_stock
    event = Event.objects.get(name="stock.policy_changed")
    assert (event.actor, event.subject) == ("key:owner", amani.company.public_id)
    assert (event.before, event.after) == ({"allow_negative_stock": True}, {"allow_negative_stock": False})


def test_a_sale_signed_by_hand_takes_its_goods_out_too(amani: Onboarded) -> None:
    move(amani, IN, "50", "IN-1")
    invoice = make_doubtful(amani.device)
    code = invoice.figures["lines"][0]["item_code"]
    if code != "SUGAR":
        make_item(amani, code, kra_code="KE2NTKG0000009")
        move(amani, IN, "50", "IN-2", goods=[Goods(code, Decimal(50))])
    sold = sum(Decimal(line["quantity"]) for line in invoice.figures["lines"] if line["item_code"] == code)
    sign_by_hand(find_doubt(Lane.objects.get(pk=invoice.lane_id)), receipt(), actor="operator:wanjiru")
    assert held(code) == 50 - sold
    assert Movement.objects.get(cause=f"invoice:{invoice.pk}").reason == "11"


def test_the_database_refuses_a_balance_that_does_not_add_up(amani: Onboarded) -> None:
    move(amani, IN, "5", "IN-1")
    with pytest.raises(IntegrityError), transaction.atomic():
        Balance.objects.update(quantity=Decimal(6))


def test_the_database_refuses_to_change_the_ledger(amani: Onboarded) -> None:
    move(amani, IN, "5", "IN-1")
    for change in (lambda: Entry.objects.update(change=Decimal(6)), lambda: Entry.objects.all().delete()):
        with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
            change()


STEPS = st.lists(
    st.tuples(
        st.sampled_from([IN, OUT, StockReason.RETURN_IN, StockReason.DISCARDED_OUT]),
        st.decimals("0.01", "999", places=2),
        st.sampled_from(["00", "01"]),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_stock_is_opening_plus_in_minus_out_whatever_happens(
    amani: Onboarded, steps: list[tuple[StockReason, Decimal, str]]
) -> None:
    with transaction.atomic():
        on_paper = {"00": Decimal("7.25"), "01": Decimal(0)}
        move(amani, IN, "7.25", "OPEN", is_opening=True)
        for number, (reason, quantity, branch) in enumerate(steps):
            move(amani, reason, str(quantity), f"S-{number}", branch=branch)
            on_paper[branch] += quantity if reason.is_in else -quantity
        for balance in Balance.objects.select_related("lane"):
            entries = Entry.objects.filter(balance=balance).values_list("change", flat=True)
            assert balance.quantity == sum(entries) == on_paper[balance.lane.branch]
            assert balance.quantity == balance.opening + balance.received - balance.issued
        transaction.set_rollback(True)
