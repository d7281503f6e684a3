"""Where KRA counts otherwise than we do: of one item the same as of all."""

from decimal import Decimal

import pytest

from gateway.devices.onboarding import Onboarded
from gateway.kra.codes import StockReason
from gateway.lib.clock import utc_now
from gateway.stock.models import Balance, Movement
from gateway.stock.queries import Drift, drifts
from gateway.stock.repairs import Stands, repair_drift
from gateway.stock.services import Goods
from tests.stock.test_services import amani as amani
from tests.stock.test_services import move
from tests.stock.test_services import simulated as simulated

pytestmark = pytest.mark.django_db
IN, OUT = StockReason.ADJUSTMENT_IN, StockReason.ADJUSTMENT_OUT


def refuse(movement: Movement) -> Movement:
    Movement.objects.filter(pk=movement.pk).update(status="refused", problem={"code": "refused_by_kra"})
    return movement


def of_items(found: list[Drift]) -> dict[str, tuple[Decimal, Decimal, list[Movement]]]:
    return {one.balance.item.code: (one.on_its_way, one.difference, one.refused) for one in found}


def test_the_drift_of_one_item_is_what_the_whole_report_says_of_it(amani: Onboarded) -> None:
    move(amani, IN, "50", "OPEN-1", goods=[Goods("SUGAR", Decimal(50)), Goods("FLOUR", Decimal(20))])
    Movement.objects.update(status="done")
    Balance.objects.filter(item__code="SUGAR").update(kra_quantity=Decimal(47))
    Balance.objects.filter(item__code="FLOUR").update(kra_quantity=Decimal(20))
    repair_drift(
        company=amani.company,
        environment="sandbox",
        branch="00",
        item_code="SUGAR",
        difference=Decimal(3),
        stands=Stands.OURS,  # only KRA's side is put right: our ledger has no entry of it
        remark="",
        now=utc_now(),
        by="key",
    )
    assert drifts(amani.company.pk, "sandbox") == drifts(amani.company.pk, "sandbox", item="SUGAR") == []
    both = refuse(move(amani, OUT, "1", "OUT-1", goods=[Goods("SUGAR", Decimal(1)), Goods("FLOUR", Decimal(2))]))
    other = refuse(move(amani, OUT, "4", "OUT-2", goods=[Goods("FLOUR", Decimal(4))]))
    move(amani, OUT, "5", "OUT-3")  # on its way
    whole = of_items(drifts(amani.company.pk, "sandbox"))
    assert whole == {
        "SUGAR": (Decimal(-2), Decimal(-1), [both]),
        "FLOUR": (Decimal(0), Decimal(-6), [both, other]),
    }
    for code, told in whole.items():
        assert of_items(drifts(amani.company.pk, "sandbox", item=code)) == {code: told}
