"""A device behind KRA's API gateway, through the whole of ours; and no secret of it anywhere but where it belongs."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests import servers
from tests.gateway import Gateway, Shop, ledger_of
from tests.gateway import gateway as running_gateway
from tests.journeys.notes import credit_in_parts, sold

pytestmark = pytest.mark.needs_database

APP = {
    "KRA_APP_CONSUMER_KEY": "PLANTED-consumer-key",
    "KRA_APP_CONSUMER_SECRET": "PLANTED-consumer-secret",
    "KRA_APP_ID": "app-1",
}
REPAIR = {
    "code": "REPAIR",
    "name": "Bicycle repair",
    "tax_type": "B",
    "item_class": "5016150900",
    "product_type": "service",
    "quantity_unit": "NO",
}


@pytest.fixture
def kra(simulator: servers.Simulator) -> servers.Simulator:
    settings = {
        "consumer_key": APP["KRA_APP_CONSUMER_KEY"],
        "consumer_secret": APP["KRA_APP_CONSUMER_SECRET"],
        "token_seconds": 3599,
    }
    simulator.call("POST", "/_sim/settings", settings)
    return simulator


@pytest.fixture(scope="module", params=["gava_standard", "gava_integrator"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, simulator_process: servers.Simulator
) -> Iterator[Gateway]:
    """A gateway that reaches KRA over GavaConnect; its app's secret comes from a file."""
    folder = tmp_path_factory.mktemp("gavaconnect")
    secret = folder / "secret"
    secret.write_text(f"{APP['KRA_APP_CONSUMER_SECRET']}\n", encoding="utf-8")
    settings = {
        **{name: value for name, value in APP.items() if name != "KRA_APP_CONSUMER_SECRET"},
        "KRA_APP_CONSUMER_SECRET_FILE": str(secret),
        "KRA_SANDBOX_PROFILE": "simulator_gavaconnect",
        "KRA_SANDBOX_BASE_URL": f"{simulator_process.url}/gavaconnect/etims-oscu/api/v1",
        "KRA_SANDBOX_OPTIONS": f"paths={request.param}",
        "LOG_LEVEL": "DEBUG",
    }
    with ExitStack() as stack:
        url = os.environ["DATABASE_URL"]
        sqlite_url = f"sqlite:///{folder / 'gateway.sqlite3'}"
        fresh = sqlite_url if url.startswith("sqlite") else stack.enter_context(servers.postgres_database(url))
        yield stack.enter_context(running_gateway(folder, fresh, simulator_process, **settings))


@pytest.fixture
def shop(gateway: Gateway, kra: servers.Simulator) -> Shop:
    """A new company there, with a service to sell."""
    made = gateway.onboard(kra)
    made.register([REPAIR])
    return made


def line(**changes: Any) -> dict[str, Any]:
    return {"lines": [{"item_code": "REPAIR", "quantity": "2", "unit_price": "116.00"}], **changes}


def everything_stored(gateway: Gateway) -> str:
    """Every value of every table, as text."""
    url = gateway.database_url
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return "\n".join(str(row) for name in names for row in connection.execute(f'SELECT * FROM "{name}"'))
    with psycopg.connect(url) as server:
        tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        statements = [sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)) for (name,) in tables]
        return "\n".join(str(row) for statement in statements for row in server.execute(statement))


def test_a_sale_is_signed_over_gavaconnect_and_a_lost_answer_recovered(shop: Shop, kra: servers.Simulator) -> None:
    assert shop.sell("POS-1", **line()).status == 201
    kra.fault("sales_save", "answer_lost", times=1)
    lost = shop.sell("POS-2", wait=20, **line())
    document = lost.body if lost.status == 201 else shop.settled(lost.body["id"])
    assert document["status"] == "signed" and document["receipt"]["recovered"]
    assert ledger_of(kra, shop) == [(1, "POS-1"), (2, "POS-2")]
    flavours = {row["flavour"] for row in kra.requests(pin=shop.pin)}
    assert flavours == {"gavaconnect"}
    headers = [dict(row["headers"]) for row in kra.requests(operation="sales_save")]
    assert {found["apigee_app_id"] for found in headers} == {"app-1"}


def test_a_sale_is_credited_in_two_parts_over_gavaconnect(shop: Shop, kra: servers.Simulator) -> None:
    credit_in_parts(shop, kra, sold(shop, **line()))
    assert {row["flavour"] for row in kra.requests(pin=shop.pin, operation="sales_save")} == {"gavaconnect"}


def test_a_token_that_ran_out_is_renewed_and_nobody_notices(shop: Shop, kra: servers.Simulator) -> None:
    kra.fault("sales_save", "gateway_fault", times=1)  # what the gateway says of an expired token
    assert shop.sell("POS-1", **line()).status == 201
    assert ledger_of(kra, shop) == [(1, "POS-1")]


def test_no_key_token_or_secret_is_stored_or_logged_even_when_kra_says_it(shop: Shop, kra: servers.Simulator) -> None:
    shop.sell("POS-1", **line())
    headers = [dict(row["headers"]) for row in kra.requests(pin=shop.pin)]
    keys = {found["cmckey"] for found in headers if found.get("cmckey")}
    tokens = {found["authorization"].split()[1] for found in headers if "authorization" in found}
    assert len(keys) == 1 and tokens
    secrets = [*keys, *tokens, APP["KRA_APP_CONSUMER_KEY"], APP["KRA_APP_CONSUMER_SECRET"]]
    used = dict(kra.requests(operation="sales_save")[-1]["headers"])["authorization"].split()[1]
    echo = f"refused: key {next(iter(keys))}, {used}, {secrets[-2]} and {secrets[-1]}"
    kra.fault("sales_save", "result_code", code="910", message=echo, times=1)
    refused = shop.sell("POS-2", **line())
    kra.fault("sales_save", "wrapped_refusal", message=echo, times=1)
    wrapped = shop.sell("POS-3", **line())
    assert (refused.status, wrapped.status) == (422, 422)
    stored = everything_stored(shop.gateway)
    logged = shop.gateway.log.read_text(encoding="utf-8")
    assert "refused: key ***" in stored  # the masked attempts are there
    for place in (stored, logged, str(refused.body), str(wrapped.body)):
        assert [secret for secret in secrets if secret in place] == []
