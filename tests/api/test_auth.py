import contextlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from gateway.api.auth import PRINCIPAL_COLUMNS, digest_of, find_principal, key_in, principal_from_row
from gateway.api.headers import request_id, wait_seconds
from gateway.devices.onboarding import Onboarded
from gateway.tenants.isolation import only
from gateway.tenants.models import ApiKey, Company
from tests.api.caller import Caller

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
COMPANY, DEVICE = uuid.uuid4(), uuid.uuid4()


def row(**changes: Any) -> dict[str, Any]:
    told = {
        "company_id": 7,
        "company_public_id": COMPANY,
        "company_status": "active",
        "environment": "sandbox",
        "role": "cashier",
        "device": DEVICE,
        "expires_at": None,
        "revoked_at": None,
        "key_id": 3,
        "prefix": "rvp_sbx_abcdefgh",
        "last_used_at": None,
    }
    assert told.keys() == PRINCIPAL_COLUMNS.keys()
    return {**told, **changes}


@pytest.mark.parametrize("written", [lambda value: value, lambda value: value.hex, str])
def test_ids_are_read_as_either_database_gives_them(written: Any) -> None:
    principal = principal_from_row(row(company_public_id=written(COMPANY), device=written(DEVICE)), now=NOW)
    assert principal is not None
    assert (principal.company_public_id, principal.device) == (COMPANY, DEVICE)


@pytest.mark.parametrize(
    ("expires_at", "is_good"),
    [
        (None, True),
        (NOW + timedelta(seconds=1), True),
        (NOW, False),
        ("2026-11-20 09:00:01", True),
        ("2026-11-20 08:59:59.123456", False),
        ("2026-11-20T12:00:01+03:00", True),
    ],
)
def test_a_key_ends_at_its_moment(expires_at: Any, is_good: bool) -> None:
    assert (principal_from_row(row(expires_at=expires_at), now=NOW) is not None) is is_good


def test_a_revoked_key_is_nobodys() -> None:
    assert principal_from_row(row(revoked_at=NOW + timedelta(days=1)), now=NOW) is None


@pytest.mark.parametrize(
    ("last_used_at", "is_noted"),
    [(None, False), (NOW - timedelta(seconds=61), False), (NOW - timedelta(seconds=59), True)],
)
def test_the_use_of_a_key_is_noted_at_most_once_a_minute(last_used_at: Any, is_noted: bool) -> None:
    principal = principal_from_row(row(last_used_at=last_used_at), now=NOW)
    assert principal is not None
    assert principal.use_is_noted is is_noted
    assert principal.actor == "key:cashier:rvp_sbx_abcdefgh"


@pytest.mark.django_db
def test_a_key_is_found_by_its_hash(amani: Onboarded) -> None:
    principal = find_principal(digest_of(amani.key_text), now=NOW)
    assert principal is not None
    assert (principal.company_id, principal.environment, principal.role) == (amani.company.pk, "sandbox", "owner")
    assert principal.is_active
    assert find_principal(digest_of(amani.key_text + "x"), now=NOW) is None
    Company.objects.update(status="suspended")
    suspended = find_principal(digest_of(amani.key_text), now=NOW)
    assert suspended is not None
    assert not suspended.is_active
    ApiKey.objects.update(revoked_at=NOW)
    assert find_principal(digest_of(amani.key_text), now=NOW) is None


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("", None),
        ("Token", None),
        ("Token ", None),
        ("Token abc", "abc"),
        ("token  abc ", "abc"),
        ("BEARER abc", "abc"),
        ("Basic abc", None),
        ("abc", None),
    ],
)
def test_the_key_of_a_header(header: str | None, key: str | None) -> None:
    assert key_in(header) == key


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 10),
        ("", 10),
        ("wait=0", 0),
        ("wait=5", 5),
        ("respond-async, wait=7", 7),
        ("Wait = 7", 7),
        ('wait="7"', 7),
        ("wait=55", 55),
        ("wait=56", 55),
        ("wait=999999", 55),
        ("wait=-1", 10),
        ("wait=1.5", 10),
        ("await=3", 10),
        ("wait=soon", 10),
    ],
)
def test_how_long_a_caller_waits(header: str | None, seconds: float) -> None:
    assert wait_seconds(header) == seconds


def test_every_request_has_an_id() -> None:
    assert request_id("till-7.42:a_B") == "till-7.42:a_B"
    assert request_id(None) != request_id(None)
    assert request_id("a\nb") != "a\nb"


@pytest.mark.only_on("postgres")
@pytest.mark.django_db(transaction=True)
def test_a_call_tells_the_database_only_what_changes_about_whose_rows_it_may_see(amani: Onboarded) -> None:
    owner = Caller(amani.key_text)
    assert owner.get("/api/items/").status_code == 200
    with CaptureQueriesContext(connection) as captured:
        assert owner.get("/api/items/").status_code == 200
    told = [row["sql"] for row in captured.captured_queries if "set_config" in row["sql"]]
    assert [sql.split("'")[3] for sql in told] == ["*", str(amani.company.pk), ""]


@pytest.mark.only_on("postgres")
@pytest.mark.django_db(transaction=True)
def test_what_was_told_in_a_transaction_that_is_rolled_back_is_told_again() -> None:
    def seen() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('app.companies', true)")
            return str(cursor.fetchone()[0])

    with only([1]):
        with contextlib.suppress(ZeroDivisionError), transaction.atomic(), only([2]):
            assert seen() == "2"
            raise ZeroDivisionError
        assert seen() == "1"
        with only([2]):
            assert seen() == "2"
        assert seen() == "1"
