"""KRA changes a tax rate while a shop sells."""

import http.client
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway import ROOT, Gateway
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

REFRESH = "from gateway.catalog.refresh import refresh_reference_data; refresh_reference_data()"


def page(url: str) -> str:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("GET", address.path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_a_changed_rate_counts_for_new_sales_and_leaves_signed_invoices_alone(
    own_gateway: Gateway, simulator: Simulator
) -> None:
    shop = own_gateway.onboard(simulator)
    before: Any = shop.sell("POS-1").body
    receipt = page(before["receipt"]["url"])
    simulator.call("POST", "/_sim/settings", {"rates": {"B": 18}})
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", REFRESH], cwd=ROOT, env=own_gateway.environment, check=True
    )
    own_gateway.child.stop()  # rates are remembered for half a minute
    own_gateway.start_again()

    after = shop.sell("POS-2")
    assert after.status == 201
    assert after.body["totals"]["by_tax_type"]["B"] == {"net": "196.61", "tax": "35.39", "amount": "232.00"}
    assert shop.status(before["id"]) == before
    assert before["totals"]["by_tax_type"]["B"] == {"net": "200.00", "tax": "32.00", "amount": "232.00"}
    assert page(before["receipt"]["url"]) == receipt
    assert "16%" in receipt and "18%" not in receipt


def test_a_sale_worked_out_with_a_rate_that_kra_has_just_changed_is_worked_out_anew_once(
    own_gateway: Gateway, simulator: Simulator
) -> None:
    shop = own_gateway.onboard(simulator)  # the rates it learns here must not reach other stories
    shop.sell("POS-1")
    simulator.call("POST", "/_sim/settings", {"rates": {"B": 18}})
    answer = shop.sell("POS-2", wait=20)
    assert answer.status == 201 and answer.body["number"] == 2
    assert answer.body["totals"]["by_tax_type"]["B"] == {"net": "196.61", "tax": "35.39", "amount": "232.00"}
    assert [row["total"] for row in simulator.ledger() if row["pin"] == shop.pin] == ["232.00", "232.00"]
