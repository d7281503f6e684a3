"""Asking KRA what suppliers and customs told it: where that may lead, what is written down, what is matched to what."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from gateway.kra.errors import KraError, NotSent
from gateway.kra.fence import read_networks
from gateway.lanes.models import Attempt
from gateway.purchases.fetching import fetch_imports, fetch_purchases, match_bills
from gateway.purchases.models import Bill, SupplierInvoice
from gateway.purchases.services import post_bill
from gateway.tenants.models import Company
from gateway.tenants.vault import device_key_aad, seal_for
from tests.devices.kra_ends import ending
from tests.statements import statements
from tests.tenants.factories import make_active, make_company, make_stranger

pytestmark = pytest.mark.django_db
EMPTY = '{"resultCd": "001", "resultMsg": "There is no search result", "resultDt": "20261120100000", "data": null}'


def company_at(url: str, settings: Any) -> Company:
    """A company whose head office speaks to this address."""
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = f"{url}/oscu/etims-api"
    made = make_company()
    make_active(made.device, key=seal_for(made.company, device_key_aad(made.device.public_id), b"key"))
    return made.company


@pytest.mark.parametrize("fetch", [fetch_purchases, fetch_imports])
def test_a_vscu_whose_name_leads_into_our_own_network_is_not_asked(settings: Any, fetch: Any) -> None:
    with ending(EMPTY) as inside:
        made = make_company(kind="vscu", base_url=inside.url.replace("127.0.0.1", "localhost"))
        make_active(made.device)
        settings.VSCU_NETWORKS = read_networks(["10.8.0.0/16"])
        with pytest.raises(NotSent):
            fetch(made.company, "sandbox")
        assert inside.requests == 0
        settings.VSCU_NETWORKS = read_networks(["127.0.0.0/8"])
        assert fetch(made.company, "sandbox") == (0, 0) and inside.requests == 1


@pytest.mark.parametrize(("fetch", "kind"), [(fetch_purchases, "purchases"), (fetch_imports, "imports")])
def test_a_question_that_kra_did_not_answer_is_written_down(settings: Any, fetch: Any, kind: str) -> None:
    with ending("{}", "503 Service Unavailable") as kra:
        company = company_at(kra.url, settings)
        with pytest.raises(KraError) as failed:
            fetch(company, "sandbox")
    attempt = Attempt.objects.get(company=company)
    assert (attempt.kind, attempt.http_status, attempt.code) == (kind, 503, failed.value.code)


def test_a_list_with_nothing_in_it_leaves_no_attempt(settings: Any) -> None:
    with ending(EMPTY) as kra:
        company = company_at(kra.url, settings)
        assert fetch_purchases(company, "sandbox") == (0, 0)
    assert not Attempt.objects.exists()


# Matching


SUPPLIER = "P000000101S"


def listed(company: Company, number: int, **changes: Any) -> SupplierInvoice:
    """An invoice of 290.00 as it is kept after KRA has listed it."""
    told: dict[str, Any] = {"supplier_pin": SUPPLIER, "supplier_branch": "00", "total": Decimal("290.00")}
    told |= {"company": company, "environment": "sandbox", "invoice_number": number, "document": {}}
    return SupplierInvoice.objects.create(**{**told, **changes})


def post(company: Company, number: int, **changes: Any) -> Bill:
    told: dict[str, Any] = {"company": company, "environment": "sandbox", "reference": f"B-{number}"}
    told |= {"supplier_pin": SUPPLIER, "supplier_name": "", "invoice_number": number, "amount": Decimal("290.00")}
    return post_bill(**{**told, "dated_on": date(2026, 11, 1), **changes})[0]


def pairs(company: Company) -> set[tuple[str, int]]:
    """Bill and row of what suppliers transmitted."""
    joined = SupplierInvoice.objects.filter(company=company).exclude(bill=None)
    return set(joined.values_list("bill__reference", "pk"))


def test_a_posted_bill_is_matched_by_itself_however_many_others_wait() -> None:
    company = make_company().company
    listed(company, 1)
    with statements() as alone:
        post(company, 1)
    for number in range(100, 110):
        post(company, number)
    invoice = listed(company, 2)
    with statements() as among_many:
        assert post(company, 2).listed == invoice
    assert len(among_many) == len(alone)


def test_all_bills_are_matched_in_few_statements() -> None:
    company = make_company().company
    for number in range(1, 11):
        post(company, number)
    invoices = {f"B-{number}": listed(company, number).pk for number in range(1, 10)}
    listed(company, 10, total=Decimal("290.01"))
    with statements() as sent:
        assert match_bills(company, "sandbox") == 9
    assert pairs(company) == set(invoices.items()) and len(sent) == 2
    assert match_bills(company, "sandbox") == 0


def test_two_bills_that_say_the_same_go_to_two_invoices() -> None:
    company = make_company().company
    for reference in ("B-1", "B-2", "B-3"):
        post(company, 1, reference=reference)
    first, second = (listed(company, 1, supplier_branch=branch).pk for branch in ("00", "01"))
    assert match_bills(company, "sandbox") == 2
    assert pairs(company) == {("B-1", first), ("B-2", second)}


def test_a_bill_is_matched_to_nothing_of_another_company_or_that_was_typed() -> None:
    company, stranger = make_company().company, make_stranger().company
    listed(stranger, 1)
    listed(company, 1, reference="BUY-1", environment="sandbox")
    post(company, 1)
    assert match_bills(company, "sandbox") == 0 and not pairs(stranger)
