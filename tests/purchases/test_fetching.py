"""Asking KRA what suppliers and customs told it: where that may lead, what is written down, what is matched to what."""

from typing import Any

import pytest

from gateway.kra.errors import KraError, NotSent
from gateway.kra.fence import read_networks
from gateway.lanes.models import Attempt
from gateway.purchases.fetching import fetch_imports, fetch_purchases
from gateway.tenants.models import Company
from gateway.tenants.vault import device_key_aad, seal_for
from tests.devices.kra_ends import ending
from tests.tenants.factories import make_active, make_company

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
