"""A branch closes its day: the Z report is what KRA recorded, to the cent, whatever dies in the middle."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.lib.clock import NAIROBI
from tests.gateway import ROOT, Gateway, Shop
from tests.journeys.notes import credit
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

SALT = {"code": "SALT", "name": "Salt 500g", "tax_type": "A", "item_class": "9901300000", "quantity_unit": "KG"}
DAY_SECONDS = 86_400
SUMMED = ("totAmt", "totTaxAmt", *(f"{field}{letter}" for field in ("taxblAmt", "taxAmt") for letter in "ABCDE"))
TAKE = """
from gateway.reports.closing import find_lane, take_z_report
from gateway.tenants.isolation import everything
from gateway.tenants.models import Company
with everything():
    company = Company.objects.get(pin={pin!r})
    take_z_report(find_lane(company.pk, "sandbox", None), by="test")
"""


def at_kra(simulator: Simulator, shop: Shop) -> dict[str, dict[str, Any]]:
    """What KRA recorded of a shop, summed from the bodies that it got, by kind."""
    sums: dict[str, dict[str, Any]] = {}
    for row in simulator.ledger(pin=shop.pin):
        body = {name: Decimal(str(row["body"][name])) for name in SUMMED}
        side = sums.setdefault(row["kind"], {"amount": Decimal(0), "tax": Decimal(0), "net": {}, "taxes": {}})
        side["amount"] += body["totAmt"]
        side["tax"] += body["totTaxAmt"]
        for name, field in (("net", "taxblAmt"), ("taxes", "taxAmt")):
            for letter in "ABCDE":
                side[name][letter] = side[name].get(letter, Decimal(0)) + body[f"{field}{letter}"]
    return sums


def credited(shop: Shop, sale: Any, reference: str, **changes: Any) -> Any:
    """A credit note that was signed."""
    answer = credit(shop, sale, reference, wait=20, **changes)
    assert answer.status == 201, answer
    return answer.body


def handed_out(shop: Shop, document: Any) -> str:
    """Print a document; the label that it got."""
    answer = shop.call("GET", f"/api/integration/transactions/{document['id']}/receipt/?format=text")
    return str(answer.headers["receipt-label"])


def take(shop: Shop, **body: Any) -> Any:
    return shop.call("POST", "/api/reports/z/", body)


def today() -> str:
    return days_ago(0)


def days_ago(count: int) -> str:
    return (datetime.now(NAIROBI).date() - timedelta(days=count)).isoformat()


def test_a_z_report_is_what_kra_recorded_to_the_cent(shop: Shop, simulator: Simulator) -> None:
    shop.register([SALT])
    simulator.fault("sales_save", "answer_lost", times=1, pin=shop.pin)
    sales = [shop.sell("POS-1", wait=20).body]
    for number in range(2, 8):
        lines = [
            {"item_code": "SUGAR", "quantity": number, "unit_price": "19.99"},
            {"item_code": "SALT", "quantity": 1, "unit_price": "33.33"},
        ]
        paid = {"payments": None, "payment_method": "mobile_money"}
        sales.append(shop.sell(f"POS-{number}", wait=20, lines=lines, **paid).body)
    simulator.fault("sales_save", "answer_lost", times=1, pin=shop.pin)
    notes = [
        credited(shop, sales[1], "CN-1"),
        credited(shop, sales[2], "CN-2", lines=[{"line": 1, "quantity": 1}]),
        credited(shop, sales[2], "CN-3"),  # the rest of it
        credited(shop, sales[6], "CN-4", lines=[{"line": 1, "amount": "10.01"}, {"line": 2}], payment_method="cash"),
    ]
    simulator.fault("sales_save", "result_code", code="910", times=2, pin=shop.pin)
    assert shop.sell("POS-8", wait=20).body["status"] == "refused"
    assert credit(shop, sales[0], "CN-5").body["status"] == "refused"
    labels = [handed_out(shop, one) for one in (sales[0], sales[0], sales[0], notes[3], notes[3])]
    assert labels == ["NS", "CS", "CS", "NC", "CC"]
    x = shop.call("GET", "/api/reports/x/").body
    z = take(shop)
    assert z.status == 201, z
    figures, recorded = z.body["figures"], at_kra(simulator, shop)
    assert figures == x["figures"]
    documents = shop.call("GET", "/api/invoices/?status=signed&limit=100").body["invoices"]
    for kind, side, count in (("sale", "sales", 7), ("credit_note", "credit_notes", 4)):
        kra = recorded[kind]
        assert figures[side] == {"count": count, "amount": f"{kra['amount']:.2f}", "tax": f"{kra['tax']:.2f}"}
        assert {row["tax_type"]: Decimal(row[side]["net"]) for row in figures["by_tax_type"]} == kra["net"]
        assert {row["tax_type"]: Decimal(row[side]["tax"]) for row in figures["by_tax_type"]} == kra["taxes"]
        totals = [one["totals"] for one in documents if one["kind"] == kind]
        assert (len(totals), sum(Decimal(one["amount"]) for one in totals)) == (count, kra["amount"])
        assert sum(Decimal(one["tax"]) for one in totals) == kra["tax"]
        assert sum(Decimal(row[side]) for row in figures["payments"]) == kra["amount"]
    net = recorded["sale"]["amount"] - recorded["credit_note"]["amount"]
    assert Decimal(figures["net"]["amount"]) == net > 0
    assert figures["incomplete"]["refused"] == {"count": 2, "amount": "464.00"}
    note_total = Decimal(notes[3]["totals"]["amount"])
    assert figures["copies"] == {
        "CS": {"count": 2, "amount": "464.00"},
        "CC": {"count": 1, "amount": f"{-note_total:.2f}"},
    }
    assert Decimal(figures["cash"]["in_drawer"]) == Decimal("232.00") - note_total
    assert (z.body["number"], z.body["day"], z.body["first_number"], z.body["last_number"]) == (1, today(), 1, 11)
    assert shop.call("GET", f"/api/reports/z/{z.body['id']}/").body == z.body
    again = take(shop)
    assert (again.status, again.body["code"]) == (409, "day_closed")


def test_a_branch_closes_no_day_before_the_one_on_which_it_opened(shop: Shop) -> None:
    refused = take(shop, day=days_ago(4))
    assert (refused.status, refused.body["fields"][0]["code"]) == (422, "before_opening"), refused
    assert refused.body["fields"][0]["message"].endswith(f"its first day was {today()}.")
    assert shop.call("GET", "/api/reports/z/").body["z_reports"] == []
    assert take(shop).body["number"] == 1


def test_days_that_nobody_closed_are_covered_by_the_next_report(shop: Shop, simulator: Simulator) -> None:
    assert shop.call("PUT", "/api/reports/day-end/", {"automatic": False, "hour": 0}).status == 200
    simulator.clock(advance_seconds=-4 * DAY_SECONDS)
    shop.sell("POS-0")
    first = take(shop, day=days_ago(4)).body
    simulator.clock(advance_seconds=DAY_SECONDS)
    missed = shop.sell("POS-1").body
    credited(shop, missed, "CN-1", issued_at=missed["issued_at"], lines=[{"line": 1, "quantity": 1}])
    simulator.clock(advance_seconds=2 * DAY_SECONDS)
    shop.sell("POS-2")
    simulator.clock(advance_seconds=DAY_SECONDS)
    shop.sell("POS-3")
    late = take(shop, day=days_ago(1)).body
    last = take(shop).body
    spans = [(one["number"], one["day"], one["first_number"], one["last_number"]) for one in (first, late, last)]
    assert spans == [(1, days_ago(4), 1, 1), (2, days_ago(1), 2, 4), (3, today(), 5, 5)]
    assert (late["opened_at"], last["opened_at"]) == (first["closed_at"], late["closed_at"])
    recorded = at_kra(simulator, shop)
    for kind, side in (("sale", "sales"), ("credit_note", "credit_notes")):
        assert Decimal(last["figures"]["cumulative"][side]["amount"]) == recorded[kind]["amount"]
        assert Decimal(last["figures"]["cumulative"][side]["tax"]) == recorded[kind]["tax"]
    assert [one["figures"]["net"]["amount"] for one in (first, late, last)] == ["232.00", "348.00", "232.00"]


def test_a_second_z_of_the_day_is_refused_with_the_report_that_closed_it(shop: Shop) -> None:
    shop.sell("POS-1")
    first = take(shop)
    shop.sell("POS-2")
    second = take(shop)
    assert (second.status, second.body["code"]) == (409, "day_closed")
    assert second.body["z_report"] == {"id": first.body["id"], "number": 1}
    assert "counts in the next" in second.body["detail"]
    x = shop.call("GET", "/api/reports/x/").body
    assert (x["next_z_number"], x["figures"]["sales"]["count"]) == (2, 1)
    tomorrow = (datetime.now(NAIROBI) + timedelta(days=1)).date().isoformat()
    ahead = take(shop, day=tomorrow)
    assert (ahead.status, ahead.body["fields"][0]["code"]) == (422, "in_the_future")
    assert take(shop, branch="07").body["fields"][0]["code"] == "unknown_branch"
    assert take(shop, brunch="00").body["fields"][0]["code"] == "unknown_field"


def test_the_lists_are_empty_at_first_and_have_pages(shop: Shop) -> None:
    assert shop.call("GET", "/api/reports/z/").body == {"z_reports": [], "next": None}
    assert shop.call("GET", "/api/cash-movements/").body == {"cash_movements": [], "next": None}
    for number in range(3):
        body = {"reference": f"C-{number}", "kind": "deposit", "amount": "100.00"}
        assert shop.call("POST", "/api/cash-movements/", body).status == 201
    assert shop.call("POST", "/api/cash-movements/", {**body}).status == 200
    assert shop.call("POST", "/api/cash-movements/", {**body, "amount": 5}).body["code"] == "reference_reused"
    assert shop.call("POST", "/api/cash-movements/", {**body, "amount": 0}).body["fields"][0]["code"] == "not_positive"
    first = shop.call("GET", "/api/cash-movements/?limit=2").body
    second = shop.call("GET", f"/api/cash-movements/?limit=2&cursor={first['next']}").body
    assert [one["reference"] for one in (*first["cash_movements"], *second["cash_movements"])] == ["C-2", "C-1", "C-0"]
    assert second["next"] is None
    assert shop.call("GET", "/api/reports/z/?cursor=wrong").body["code"] == "bad_cursor"
    z = take(shop).body
    assert z["figures"]["cash"]["deposits"] == {"count": 3, "amount": "300.00"}
    assert [one["z_number"] for one in shop.call("GET", "/api/cash-movements/").body["cash_movements"]] == [1, 1, 1]


def test_the_plu_report_says_what_was_sold_and_what_is_left(shop: Shop) -> None:
    opening = {
        "reference": "OPEN-1",
        "branch": "00",
        "lines": [{"item_code": "SUGAR", "quantity": 10, "unit_price": 90}],
    }
    assert shop.call("POST", "/api/stock/opening/", opening).status == 201
    shop.sell("POS-1")
    (sugar,) = shop.call("GET", f"/api/reports/plu/?from={today()}&to={today()}").body["items"]
    assert sugar == {
        "item_code": "SUGAR",
        "name": "Brown sugar 1kg",
        "tax_type": "B",
        "rate": "16",
        "unit_price": "116.00",
        "sold": "2",
        "sold_amount": "232.00",
        "credited": "0",
        "credited_amount": "0.00",
        "remaining": "8",
    }
    for query, field in ((f"from={today()}", "to"), (f"from={today()}&to=2020-01-01", "to"), ("from=x&to=y", "from")):
        wrong = shop.call("GET", f"/api/reports/plu/?{query}")
        assert (wrong.status, wrong.body["fields"][0]["field"]) == (422, field)


def test_what_a_revenue_officer_opens_is_in_the_journal(shop: Shop) -> None:
    sold = shop.sell("POS-1").body["id"]
    z = take(shop).body["id"]
    ends = (datetime.now(NAIROBI) + timedelta(days=7)).isoformat()
    made = shop.call("POST", f"/api/companies/{shop.company}/keys/", {"role": "revenue_officer", "expires_at": ends})
    paths = [
        "/api/reports/x/?branch=00",
        f"/api/reports/z/{z}/",
        f"/api/integration/transactions/{sold}/status/",
        "/api/invoices/?reference=POS-1",
    ]
    for path in paths:
        assert shop.gateway.call("GET", path, key=made.body["key"]).status == 200
    assert shop.gateway.call("POST", "/api/reports/z/", {}, key=made.body["key"]).body["code"] == "role_not_allowed"
    entries = shop.call("GET", "/api/logs/?kind=event&code=officer.opened").body["entries"]
    opened = [entry["details"]["data"] for entry in reversed(entries)]
    assert [one["path"] for one in opened] == [*(path.partition("?")[0] for path in paths), "/api/reports/z/"]
    assert opened[3]["query"] == {"reference": "POS-1"} and opened[-1]["method"] == "POST"
    assert {entry["actor"] for entry in entries} == {f"key:revenue_officer:{made.body['prefix']}"}
    assert {entry["severity"] for entry in entries} == {"notice"}


def test_the_journal_is_taken_out_in_a_file(shop: Shop) -> None:
    assert shop.call("GET", "/api/journal/").body == {"documents": [], "next": None}
    assert shop.call("GET", "/api/journal/exports/").body == {"exports": [], "next": None}
    asked = shop.call("POST", "/api/journal/exports/", {"first_day": today(), "last_day": today()})
    assert (asked.status, asked.body["format"]) == (202, "csv"), asked
    path = f"/api/journal/exports/{asked.body['id']}/"
    deadline = time.monotonic() + 30
    while (told := shop.call("GET", path).body)["status"] != "done" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (told["status"], told["written"], told["total"]) == ("done", 0, 0)
    file = shop.call("GET", told["file_url"])
    assert file.status == 200 and file.body.startswith("printed_at,branch,label,number,")
    assert file.headers["content-disposition"] == f'attachment; filename="journal-{today()}-{today()}.csv"'
    wrong = shop.call("POST", "/api/journal/exports/", {"first_day": today(), "last_day": "2020-01-01"})
    assert (wrong.status, wrong.body["fields"][0]["field"]) == (422, "last_day")


def test_days_close_by_themselves_unless_it_is_said_otherwise(shop: Shop) -> None:
    assert shop.call("GET", "/api/reports/day-end/").body == {
        "branches": [{"branch": "00", "automatic": True, "hour": 0}]
    }
    answer = shop.call("PUT", "/api/reports/day-end/", {"branch": "00", "automatic": False, "hour": 21})
    assert answer.body == {"branches": [{"branch": "00", "automatic": False, "hour": 21}]}
    assert shop.call("PUT", "/api/reports/day-end/", {"automatic": True, "hour": 24}).status == 422
    assert shop.call("PUT", "/api/reports/day-end/", {"branch": "07", "automatic": True}).status == 422


def test_a_vscu_is_told_the_number_of_the_report_that_it_sells_into(vscu_shop: Shop, simulator: Simulator) -> None:
    vscu_shop.sell("POS-1")
    assert take(vscu_shop).status == 201
    simulator.fault("sales_save", "rate_limited", times=1, pin=vscu_shop.pin)
    vscu_shop.sell("POS-2", wait=20)
    rows = simulator.ledger(pin=vscu_shop.pin)
    assert [(row["number"], row["body"]["receipt"]["rptNo"]) for row in rows] == [(1, 1), (2, 2)]


def test_two_processes_that_close_the_same_day_make_one_report(own_gateway: Gateway, simulator: Simulator) -> None:
    shop = own_gateway.onboard(simulator)
    for number in range(5):
        shop.sell(f"POS-{number}")
    with ThreadPoolExecutor(8) as pool:
        by_api = [pool.submit(take, shop) for _ in range(4)]
        beside = [pool.submit(_in_a_process, own_gateway, shop) for _ in range(2)]
        taken = sum(one.result().status == 201 for one in by_api) + sum(one.result() == 0 for one in beside)
    assert taken == 1
    (only,) = shop.call("GET", "/api/reports/z/").body["z_reports"]
    assert (only["number"], only["sales"]["count"]) == (1, 5)


@pytest.mark.parametrize(("step", "left"), [("z report made", 0), ("z report kept", 1)])
def test_a_process_killed_in_the_middle_leaves_no_report_or_a_whole_one(
    own_gateway: Gateway, simulator: Simulator, step: str, left: int
) -> None:
    shop = own_gateway.onboard(simulator)
    shop.sell("POS-1")
    shop.call("POST", "/api/cash-movements/", {"reference": "C-1", "kind": "deposit", "amount": "100.00"})
    assert _in_a_process(own_gateway, shop, GATEWAY_KILL_AT=step) == -9
    assert len(shop.call("GET", "/api/reports/z/").body["z_reports"]) == left
    again = take(shop)
    assert again.status == (409 if left else 201)
    (report,) = shop.call("GET", "/api/reports/z/").body["z_reports"]
    whole = shop.call("GET", f"/api/reports/z/{report['id']}/").body
    assert whole["number"] == 1 and whole["figures"]["cash"]["in_drawer"] == "332.00"


def _in_a_process(gateway: Gateway, shop: Shop, **settings: str) -> int:
    """Close the day in a process of its own; how it ended."""
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", TAKE.format(pin=shop.pin)]
    environment = {**gateway.environment, **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True).returncode


def test_a_report_is_printed_in_each_form_and_stands_in_the_journal(shop: Shop) -> None:
    shop.sell("POS-1")
    z = take(shop).body
    for path, label in (
        ("/api/reports/x/?", "X"),
        (f"/api/reports/z/{z['id']}/?", "Z"),
        (f"/api/reports/plu/?from={today()}&to={today()}&", "PLU"),
    ):
        text = shop.call("GET", f"{path}format=text&paper=58mm")
        assert text.status == 200 and "SANDBOX" in text.body, text
        assert max(map(len, text.body.splitlines())) <= 32
        pdf = shop.call("GET", f"{path}format=pdf")
        assert pdf.headers["content-type"] == "application/pdf" and pdf.body.startswith("%PDF")
        wrong = shop.call("GET", f"{path}format=escpos&paper=a4")
        assert (wrong.status, wrong.body["fields"][0]["code"]) == (422, "no_such_paper")
        kept = shop.call("GET", f"/api/journal/?label={label}").body["documents"]
        assert [(one["format"], one["paper"]) for one in kept] == [("pdf", "a4"), ("text", "58mm")]
    (z_text,) = [
        one for one in shop.call("GET", "/api/journal/?reference=Z-1").body["documents"] if one["paper"] == "58mm"
    ]
    assert "Z DAILY REPORT" in shop.call("GET", f"/api/journal/{z_text['id']}/").body["text"]
