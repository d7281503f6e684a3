"""Nothing of one company reaches another: PostgreSQL itself keeps the web to the company it speaks for."""

import os
import re
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from psycopg import errors

from gateway.ops.engine_rights import engine_rights, statements
from gateway.tenants.isolation import SHARED, SHARED_APPS, policies
from tests.gateway import Gateway, Shop, gateway, ledger_of
from tests.migrated import give_tables
from tests.plans import kept_plan
from tests.servers import Simulator
from tests.tenants.secured import Secured, secured_database

on_postgres = [pytest.mark.only_on("postgres"), pytest.mark.needs_database, pytest.mark.xdist_group("isolation")]


def test_every_table_leads_to_a_company_or_says_why_it_is_shared() -> None:
    guarded = {table.name for table in policies()}
    models = [m for m in apps.get_models(include_auto_created=True) if m._meta.managed and not m._meta.proxy]
    for model in models:
        is_shared = model._meta.label in SHARED or model._meta.app_label in SHARED_APPS
        assert (model._meta.db_table in guarded) != is_shared, model._meta.label
    assert {"sales_invoice", "lanes_job", "devices_device", "audit_event", "tenants_apikey"} <= guarded
    assert all(len(reason) > 10 for reason in (*SHARED.values(), *SHARED_APPS.values()))


def test_the_engine_has_no_right_that_its_statements_do_not_need() -> None:
    rights = engine_rights()
    assert rights["tenants_apikey"] == "SELECT"
    assert rights["audit_event"] == "SELECT, INSERT"
    assert "tenants_user" not in rights and "tenants_operatorkey" not in rights
    assert not [table for table, given in rights.items() if "DELETE" in given and table != "lanes_process"]


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    with secured_database(os.environ["DATABASE_URL"]) as made:
        made.manage("migrate", "-v0")
        assert "under row-level security" in made.manage("secure_database").stdout
        yield made


@pytest.fixture(scope="module")
def street(
    secured: Secured, simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Shop, Shop]]:
    """A gateway with its roles in force, and two companies that have sold."""
    simulator_process.reset()
    folder = tmp_path_factory.mktemp("secured")
    others = {name: url for name, url in secured.settings.items() if name != "DATABASE_URL"}
    with gateway(folder, secured.urls["web"], simulator_process, RUN_SCHEDULER="true", **others) as running:
        shops = [running.onboard(simulator_process) for _ in range(2)]
        for shop in shops:
            for number in range(3):
                answer = shop.sell(f"POS-{number}")
                assert answer.status == 201, answer
        yield running, shops[0], shops[1]


class TestOnPostgres:
    pytestmark = on_postgres

    def test_the_whole_way_works_with_the_roles_in_force(
        self, street: tuple[Gateway, Shop, Shop], simulator_process: Simulator
    ) -> None:
        running, mine, other = street
        listed = mine.call("GET", "/api/invoices/").body["invoices"]
        assert [row["reference"] for row in listed] == ["POS-2", "POS-1", "POS-0"]
        assert ledger_of(simulator_process, mine) == [(1, "POS-0"), (2, "POS-1"), (3, "POS-2")]
        signed = mine.sell("POS-0")
        assert (signed.status, signed.headers["idempotency-replayed"]) == (200, "true")
        page = running.call("GET", signed.body["receipt"]["url"].removeprefix(running.url))
        assert page.status == 200 and signed.body["receipt"]["signature"].replace("-", "")[:4] in page.body.replace(
            "-", ""
        )
        theirs = other.call("GET", "/api/invoices/").body["invoices"][0]["id"]
        assert mine.call("GET", f"/api/integration/transactions/{theirs}/status/").status == 404
        assert "Traceback" not in running.log.read_text(encoding="utf-8")

    def test_stock_follows_a_sale_with_the_roles_in_force(self, street: tuple[Gateway, Shop, Shop]) -> None:
        _, mine, other = street
        lines = [{"item_code": "SUGAR", "quantity": 10, "unit_price": "116.00"}]
        opening = {"reference": "OPEN-1", "branch": "00", "lines": lines}
        assert mine.call("POST", "/api/stock/opening/", opening).status == 201
        sold = mine.sell("POS-STOCK")
        assert sold.status == 201, sold
        give_up = time.monotonic() + 30
        while True:
            rows = mine.call("GET", "/api/stock/balances/").body["balances"]
            if [(row["quantity"], row["at_kra"]) for row in rows] == [("8", "8")]:
                break
            assert time.monotonic() < give_up, rows
            time.sleep(0.2)
        assert other.call("GET", "/api/stock/balances/").body["balances"] == []

    def test_a_sale_brings_an_item_along_with_the_roles_in_force(self, street: tuple[Gateway, Shop, Shop]) -> None:
        _, mine, other = street
        salt = {"item_code": "SALT", "name": "Salt 500 g", "item_class": "5016150900"}
        lines = [{**salt, "quantity": "1", "unit_price": "50.00"}]
        sold = mine.sell("POS-NEW", lines=lines, payments=None, wait=30)
        assert (sold.status, sold.body["status"]) == (201, "signed"), sold
        assert other.call("GET", "/api/items/?code=SALT").body["items"] == []

    def test_a_changed_rate_is_learned_with_the_roles_in_force(
        self, street: tuple[Gateway, Shop, Shop], simulator_process: Simulator
    ) -> None:
        _, mine, _ = street
        simulator_process.call("POST", "/_sim/settings", {"rates": {"B": 18}})
        try:
            sold = mine.sell("POS-RATE", wait=20)
        finally:
            simulator_process.call("POST", "/_sim/settings", {"rates": {"B": 16}})
        assert sold.status == 201, sold
        assert sold.body["totals"]["by_tax_type"]["B"] == {"net": "196.61", "tax": "35.39", "amount": "232.00"}

    def test_a_refused_sale_is_corrected_and_credited_with_the_roles_in_force(
        self, street: tuple[Gateway, Shop, Shop], simulator_process: Simulator
    ) -> None:
        _, mine, _ = street
        simulator_process.fault("sales_save", "result_code", code="910", times=1, pin=mine.pin)
        assert mine.sell("POS-BACK", wait=20).body["status"] == "refused"
        sold = mine.sell("POS-BACK", wait=20, remark="corrected")
        assert (sold.body["status"], sold.body["revision"]) == ("signed", 2), sold
        note = {
            "reference": "CN-BACK",
            "reason": "refund",
            "received_by": "Otieno",
            "lines": [{"line": 1, "quantity": "1"}],
        }
        path = f"/api/integration/transactions/{sold.body['id']}/credit-notes/"
        credited = mine.call("POST", path, note, Prefer="wait=20")
        assert credited.status == 201, credited
        assert [row["reference"] for row in mine.call("GET", path).body["credit_notes"]] == ["CN-BACK"]

    def test_the_web_sees_nothing_without_a_company(self, secured: Secured, street: Any) -> None:
        with secured.speaking("web") as connection:
            for table in policies():
                assert rows_of(connection, table.name) == 0, table.name

    def test_the_web_sees_only_the_company_it_speaks_for(self, secured: Secured, street: Any) -> None:
        with secured.speaking("owner") as connection:
            ids = [row["id"] for row in connection.execute("SELECT id FROM tenants_company ORDER BY id").fetchall()]
            everything = {table.name: rows_of(connection, table.name) for table in policies()}
        seen: dict[int, dict[str, int]] = {}
        for company in ids:
            with secured.speaking("web", str(company)) as connection:
                seen[company] = {table.name: rows_of(connection, table.name) for table in policies()}
                assert seen[company]["tenants_company"] == 1
                for table in policies():
                    if table.path[-1][0] == "company_id" and len(table.path) == 1:
                        found = connection.execute(f"SELECT DISTINCT company_id FROM {table.name}").fetchall()
                        assert {row["company_id"] for row in found} <= {company}, table.name
        for name in (
            "sales_invoice",
            "lanes_job",
            "lanes_attempt",
            "devices_device",
            "tenants_apikey",
            "sales_contact",
        ):
            assert sum(rows[name] for rows in seen.values()) == everything[name], name
        assert all(rows["sales_invoice"] >= 3 and rows["lanes_job"] >= 3 for rows in seen.values())
        with secured.speaking("web", "*") as connection:
            still = everything.keys() - {"audit_apicall"}  # is written beside the work, so it grows meanwhile
            assert {name: rows_of(connection, name) for name in still} == {name: everything[name] for name in still}

    def test_the_web_cannot_write_for_another_company(self, secured: Secured, street: Any) -> None:
        with secured.speaking("owner") as connection:
            mine, other = (
                row["id"] for row in connection.execute("SELECT id FROM tenants_company ORDER BY id").fetchall()
            )
        with secured.speaking("web", str(mine)) as connection:
            with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
                connection.execute(
                    "INSERT INTO tenants_branch (company_id, code, name, address, city, top_message, bottom_message) "
                    "VALUES (%s, '09', '', '', '', '', '')",
                    (other,),
                )
            assert connection.execute("UPDATE tenants_company SET name = 'x' WHERE id = %s", (other,)).rowcount == 0
            assert connection.execute("DELETE FROM tenants_apikey WHERE company_id = %s", (other,)).rowcount == 0
            with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
                connection.execute("UPDATE tenants_apikey SET company_id = %s", (other,))

    @pytest.mark.parametrize("role", ["web", "engine", "chores"])
    def test_no_role_but_the_owner_can_open_the_doors(self, secured: Secured, street: Any, role: str) -> None:
        with secured.speaking(role, "*") as connection:
            for statement in (
                "ALTER TABLE sales_invoice DISABLE ROW LEVEL SECURITY",
                "ALTER TABLE audit_event DISABLE TRIGGER USER",
                "DROP POLICY gateway_web ON sales_invoice",
                "TRUNCATE audit_event",
                "UPDATE audit_event SET actor = 'x'",
                "DELETE FROM audit_event",
                "CREATE TABLE mine (id int)",
                "SET session_replication_role = replica",
            ):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(statement)
            owned = connection.execute(
                "SELECT count(*) AS n FROM pg_class WHERE relowner = current_user::regrole"
            ).fetchone()
            assert owned == {"n": 0}

    def test_a_months_own_table_is_closed_to_every_role_but_the_owner(self, secured: Secured, street: Any) -> None:
        with secured.speaking("owner") as owner:
            months = [
                row["name"]
                for row in owner.execute(
                    "SELECT inhrelid::regclass::text AS name FROM pg_inherits "
                    "WHERE inhparent IN ('audit_event'::regclass, 'lanes_attempt'::regclass)"
                ).fetchall()
            ]
            assert len(months) >= 10 and rows_of(owner, "audit_event_default") == 0
        for role in ("web", "engine", "chores"):
            with secured.speaking(role, "*") as connection:
                for month in months:
                    with pytest.raises(errors.InsufficientPrivilege):
                        connection.execute(f"SELECT 1 FROM {month}")

    def test_only_the_chores_make_months_and_they_are_closed_too(self, secured: Secured, street: Any) -> None:
        make = "SELECT make_months('audit_event', '2031-01-01', '2031-01-01') AS made"
        for role in ("web", "engine"):
            with secured.speaking(role, "*") as connection, pytest.raises(errors.InsufficientPrivilege):
                connection.execute(make)
        with secured.speaking("chores") as chores:
            assert chores.execute(make).fetchone() == {"made": 1}
            assert chores.execute("SELECT drop_old_attempts('2001-01-01') AS n").fetchone() == {"n": 0}
            with pytest.raises(errors.InsufficientPrivilege):
                chores.execute("SELECT * FROM audit_event_2031_01")
            with pytest.raises(errors.InsufficientPrivilege):
                chores.execute("DROP TABLE audit_event_2031_01")
        secured.manage("partitions")
        with secured.speaking("owner") as owner:
            owner.execute("DROP TABLE audit_event_2031_01")

    def test_the_engine_cannot_read_people(self, secured: Secured, street: Any) -> None:
        with secured.speaking("engine") as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM tenants_user")

    def test_securing_twice_changes_nothing(self, secured: Secured, street: Any) -> None:
        def policies_now() -> Any:
            with secured.speaking("owner") as connection:
                rights = connection.execute(
                    "SELECT relname, relacl::text, relrowsecurity, relforcerowsecurity FROM pg_class "
                    "WHERE relnamespace = 'public'::regnamespace ORDER BY relname"
                ).fetchall()
                return rights, connection.execute("SELECT * FROM pg_policies ORDER BY 1, 2, 3").fetchall()

        before = policies_now()
        secured.manage("secure_database")
        assert policies_now() == before

    def test_a_table_that_was_made_since_is_closed_until_the_command_runs(self, secured: Secured) -> None:
        with secured.speaking("owner") as owner, secured.speaking("web", "*") as web:
            owner.execute("CREATE TABLE made_since (id int)")
            with pytest.raises(errors.InsufficientPrivilege):
                web.execute("SELECT * FROM made_since")
            owner.execute("DROP TABLE made_since")

    def test_chores_and_commands_see_all_companies(self, secured: Secured, street: Any) -> None:
        with secured.speaking("owner") as owner, secured.speaking("chores") as chores:
            assert all(rows_of(owner, table.name) == rows_of(chores, table.name) for table in policies())
            events = rows_of(owner, "audit_event")
        said = re.search(r"sound: (\d+) events, (\d+) not", secured.manage("verify_journal").stdout)
        assert said and events > 10 and int(said[1]) + int(said[2]) >= events

    def test_the_status_check_says_that_it_is_in_force(self, secured: Secured, street: Any) -> None:
        said = secured.try_to_manage("revpay_status_check").stdout
        assert "Row-level security is in force." in said
        assert "gateway.W001" not in secured.try_to_manage("check", "--deploy").stderr

    def test_plans_of_the_engine_are_the_same_under_its_role(self, secured: Secured, street: Any) -> None:
        """Its policy says `true`, which PostgreSQL folds away; so no statement may be planned in another way."""
        checked = 0
        for name, text in statements().items():
            plans = []
            for role in ("engine", "owner"):
                with secured.speaking(role) as connection:
                    if role == "owner":
                        connection.execute("SET row_security = on")
                    plans.append(plan_of(connection, text))
            assert plans[0] == plans[1], name
            assert "SubPlan" not in "".join(plans[0]) or "SubPlan" in "".join(plans[1])
            checked += 1
        assert checked >= 20


@pytest.mark.only_on("postgres")
def test_one_role_for_everything_is_told_of(database_url: str) -> None:
    plain = Secured(dict.fromkeys(("web", "owner", "engine", "chores"), database_url))
    give_tables({**os.environ, "DATABASE_URL": database_url})
    done = plain.try_to_manage("secure_database")
    assert done.returncode == 1 and "name the same role" in done.stderr
    assert "gateway.W001" in plain.try_to_manage("check", "--deploy").stderr
    assert "Row-level security is not in force" in plain.try_to_manage("revpay_status_check").stdout


def rows_of(connection: psycopg.Connection[dict[str, Any]], table: str) -> int:
    row = connection.execute(f"SELECT count(*) AS n FROM {table}").fetchone()
    assert row is not None
    return int(row["n"])


def plan_of(connection: psycopg.Connection[dict[str, Any]], text: str) -> list[str]:
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL enable_seqscan = off")  # the tables are nearly empty here
        return kept_plan(connection, text, options="COSTS OFF")
