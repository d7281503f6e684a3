"""Whatever a list is asked for, it is found by an index, not by reading a company's invoices one after another."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from gateway.devices.onboarding import Onboarded
from gateway.sales.models import Invoice
from gateway.sales.queries import Filter, list_invoices
from tests.api.rows import make_invoice
from tests.statements import statements

pytestmark = [pytest.mark.django_db, pytest.mark.only_on("postgres")]

MANY = 20_000
PAGE = 50


@pytest.fixture
def first(amani: Onboarded) -> Invoice:
    """The first of many signed sales of one device, a minute apart."""
    invoice = make_invoice(amani.device, "FIRST", number=1)
    own = {
        "public_id": "gen_random_uuid()",
        "reference": "'NEXT-' || g",
        "number": "1 + g",
        "issued_at": "issued_at + g * interval '1 minute'",
    }
    names = [str(field.column) for field in Invoice._meta.concrete_fields if not field.primary_key]
    chosen = ", ".join(own.get(name, name) for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO sales_invoice ({', '.join(names)}) SELECT {chosen} "
            f"FROM sales_invoice, generate_series(1, {MANY}) g"
        )
        cursor.execute("ANALYZE sales_invoice")
    return invoice


def rows_read(plan: dict[str, Any]) -> float:
    """How many rows a plan has looked at, kept or not."""
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "Relation Name" in plan else 0
    return float(own * plan["Actual Loops"] + sum(map(rows_read, plan.get("Plans", []))))


@pytest.mark.parametrize("asked", ["everything", "status", "kind", "device", "reference", "a day", "nothing of a year"])
def test_few_rows_are_read(first: Invoice, asked: str) -> None:
    wanted = {
        "everything": Filter(),
        "status": Filter(status="refused"),
        "kind": Filter(kind="credit_note"),
        "device": Filter(device_id=first.device_id + 1),
        "reference": Filter(reference="NOT-THERE"),
        "a day": Filter(issued_from=first.issued_at, issued_before=first.issued_at + timedelta(days=1)),
        "nothing of a year": Filter(
            issued_from=first.issued_at - timedelta(days=366), issued_before=first.issued_at - timedelta(days=1)
        ),
    }[asked]
    with statements() as sent:
        page = list_invoices(first.company_id, first.environment, wanted, limit=PAGE)
    assert bool(page.next) == (asked in {"everything", "a day"})
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sent[0]}")
        (found,) = cursor.fetchone()
    plan = json.loads(found) if isinstance(found, str) else found
    assert rows_read(plan[0]["Plan"]) < 4 * PAGE, plan
