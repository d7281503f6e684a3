"""A day's figures cost what the day has, not what the company ever sold."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway.devices.models import Device
from gateway.lanes.models import Lane
from gateway.reports.closing import end_of, take_z_report, x_report
from gateway.reports.plu import plu_report
from gateway.sales.models import Invoice
from tests.reports.test_closing import FRIDAY, document, line, nairobi, opened
from tests.tenants.factories import make_company

pytestmark = pytest.mark.django_db


def sold(lane: Lane, days: int, *, a_day: int, lines: int = 5, refused: int = 0) -> None:
    """So many sales on each of the days up to Friday, alike but for number and time; a day's first are refused."""
    pattern = document(lane, nairobi(20, 9), *[line("B", 11600 + n, item=f"ITEM-{n}") for n in range(lines)])
    fields = {one.attname: getattr(pattern, one.attname) for one in Invoice._meta.concrete_fields}
    for name in ("id", "public_id"):
        del fields[name]
    pattern_number = fields.pop("number")
    rows: list[Invoice] = []
    for back in range(days - 1, -1, -1):
        for count in range(a_day):
            at = nairobi(20, 8) - timedelta(days=back) + timedelta(seconds=20 * count)
            number = pattern_number + len(rows) + 1
            more: dict[str, Any] = {
                "number": number,
                "reference": f"{lane.pk}-{number}",
                "signed_at": at,
                "settled_at": at,
            }
            if count < refused:
                more |= {"status": Invoice.Status.REFUSED, "number": None, "signed_at": None, "signature": ""}
            rows.append(Invoice(**{**fields, **more, "accepted_at": at}))
    Invoice.objects.bulk_create(rows, batch_size=500)
    lane.next_number += len(rows)


def seconds_of(work: Any) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_a_z_of_a_day_of_a_thousand_sales_takes_well_under_a_second() -> None:
    lane = opened(make_company().device)
    sold(lane, 1, a_day=999)
    assert seconds_of(lambda: x_report(lane, now=nairobi(20, 23))) < 1
    began = time.monotonic()
    assert seconds_of(lambda: take_z_report(lane, by="k", now=nairobi(20, 23))) < 1
    print(f"a Z of 1 000 sales of 5 lines: {time.monotonic() - began:.3f} s")
    assert seconds_of(lambda: plu_report([lane], first_day=FRIDAY, last_day=FRIDAY)) < 1


@pytest.mark.only_on("postgres")
def test_the_rows_of_a_report_are_found_by_an_index_of_the_branch() -> None:
    device = make_company().device
    lane = opened(device)
    sold(lane, 20, a_day=100, lines=1, refused=20)
    take_z_report(lane, by="k", day=FRIDAY - timedelta(days=1), now=nairobi(20, 23))
    for code in ("01", "02", "03"):
        other = Lane.objects.create(
            company=lane.company, environment="sandbox", pin=lane.pin, branch=code, series=Lane.Series.INVOICE
        )
        Device.objects.create(
            company=lane.company, branch=device.branch, environment="sandbox", serial=code, profile="x", lane=other
        )
        sold(other, 20, a_day=100, lines=1, refused=20)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sales_invoice")
    with CaptureQueriesContext(connection) as asked:
        x_report(lane, now=nairobi(20, 23))
        plu_report([lane], first_day=FRIDAY, last_day=FRIDAY)
    of_invoices = [
        query["sql"]
        for query in asked
        if 'FROM "sales_invoice"' in query["sql"] and ('"figures"' in query["sql"] or '"settled_at" >=' in query["sql"])
    ]
    assert len(of_invoices) >= 4
    for sql in of_invoices:
        plan = explained(sql)
        assert "Seq Scan on sales_invoice" not in plan, plan
        assert any(name in plan for name in ("invoice_number_once", "invoice_signed", "invoice_not_signed")), plan
    assert end_of(FRIDAY) == nairobi(21, 0)


def explained(sql: str) -> str:
    """The plan of a statement; rows that are fetched little by little stand in a cursor's declaration."""
    select = sql[sql.index("SELECT") :]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {select}")
        return "\n".join(row[0] for row in cursor.fetchall())
