from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway.catalog.models import Code, Fetch, ItemClass
from gateway.catalog.queries import current_rates
from gateway.catalog.reference import activate_and_fetch, fetch_reference_data, has_reference_data
from gateway.devices.models import Device
from gateway.kra.errors import KraError
from gateway.lanes.models import Attempt
from tests.devices.kra_ends import refusing
from tests.servers import Simulator
from tests.tenants.factories import PIN, make_company

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def kra(simulator: Simulator, settings: LazySettings) -> Simulator:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = f"{simulator.url}/oscu/etims-api"
    simulator.approve(PIN, "00", "AMANI-00")
    return simulator


def active_device() -> Device:
    return activate_and_fetch(device=make_company().device, now=NOW)


def asked(kra: Simulator, path: str) -> list[Any]:
    return [request for request in kra.requests() if path in str(request)]


@pytest.mark.usefixtures("kra")
def test_the_lists_come_with_the_activation() -> None:
    device = active_device()
    assert device.status == "active"
    assert has_reference_data(device)
    assert ItemClass.objects.filter(environment="sandbox").count() >= 5000
    assert ItemClass.objects.get(code="5016150900").tax_type == "B"
    assert Code.objects.get(code_class="04", code="B").value == "16"
    assert set(current_rates("sandbox")) == {"A", "B", "C", "D", "E"}
    assert not ItemClass.objects.filter(environment="production").exists()


def test_the_next_fetch_asks_only_for_what_changed_and_writes_only_that(kra: Simulator) -> None:
    device = active_device()
    watermark = Fetch.objects.get(operation="item_class_list").changed_since
    ItemClass.objects.filter(code="5016150900").update(name="Misread")
    with CaptureQueriesContext(connection) as queries:
        fetched = fetch_reference_data(device, now=NOW)
    assert fetched.item_classes == 0
    assert not [query for query in queries if 'INTO "catalog_itemclass"' in query["sql"]]
    assert Fetch.objects.get(operation="item_class_list").changed_since >= watermark
    bodies = [str(request) for request in asked(kra, "selectItemClsList")]
    assert "20180101000000" in bodies[0]
    assert "20180101000000" not in bodies[1]


@pytest.mark.usefixtures("kra")
def test_a_full_fetch_repairs_what_differs_and_leaves_the_rest() -> None:
    device = active_device()
    ItemClass.objects.filter(code="5016150900").update(name="Misread", tax_type="A")
    Fetch.objects.all().delete()
    with CaptureQueriesContext(connection) as queries:
        fetched = fetch_reference_data(device, now=NOW)
    assert fetched.item_classes >= 5000
    assert ItemClass.objects.get(code="5016150900", valid_to=None).tax_type == "B"
    written = [query for query in queries if 'INTO "catalog_itemclass"' in query["sql"]]
    assert len(written) == 1


def test_when_kra_does_not_answer_the_device_is_active_all_the_same(kra: Simulator) -> None:
    kra.fault("item_class_list", "http_status", status=503, times=1)
    device = active_device()
    assert device.status == "active"
    assert not has_reference_data(device)
    assert [fetch.operation for fetch in Fetch.objects.all()] == ["code_list"]  # what had come is kept
    assert Attempt.objects.get(operation="item_class_list").outcome == "busy"
    fetch_reference_data(device, now=NOW)
    assert has_reference_data(device)


def test_an_unreachable_kra_is_an_error_that_changes_nothing(kra: Simulator, settings: LazySettings) -> None:
    device = active_device()
    before = list(Fetch.objects.values("operation", "changed_since"))
    settings.KRA_SANDBOX_BASE_URL = f"{refusing()}/oscu/etims-api"
    with pytest.raises(KraError):
        fetch_reference_data(device, now=NOW)
    assert list(Fetch.objects.values("operation", "changed_since")) == before
    assert Attempt.objects.order_by("-id")[0].outcome == "not_sent"
    assert kra.requests()
