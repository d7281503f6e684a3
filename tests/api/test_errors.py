import logging
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from gateway.api import main
from gateway.api.problems import PROBLEMS
from gateway.catalog.models import Item
from gateway.tenants.models import ApiKey
from tests.api.caller import Caller
from tests.api.problems import problem

pytestmark = pytest.mark.django_db
SYNC = "/api/integration/items/sync/"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"reference=POS-1",
        b"\xff\xfe{}",
        b'{"items": [NaN]}',
        b'{"items": [Infinity]}',
        b'{"items": ["\\ud800"]}',
        b"[" * 100_000,
        b'{"items": [' + b"9" * 5000 + b",]}",
    ],
    ids=["empty", "cut", "a form", "not UTF-8", "NaN", "Infinity", "half a character", "too deep", "a comma too many"],
)
def test_what_is_not_json_is_400(owner: Caller, body: bytes) -> None:
    problem(owner.post(SYNC, body), 400, "not_json")


def test_over_a_megabyte_is_413(owner: Caller) -> None:
    problem(owner.post(SYNC, b'{"items": "' + b"x" * 1_048_576 + b'"}'), 413, "too_large")


def test_exactly_a_megabyte_is_read(owner: Caller) -> None:
    body = b'{"items": "' + b"x" * (1_048_576 - 13) + b'"}'
    assert len(body) == 1_048_576
    problem(owner.post(SYNC, body), 422, "invalid")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "key_missing"),
        ("", "key_missing"),
        ("Token", "key_missing"),
        ("Basic dTpw", "key_missing"),
        ("Token rvp_sbx_wrong", "key_unknown"),
        ("Bearer rvp_sbx_wrong", "key_unknown"),
        ("Token \udcff", "key_unknown"),
    ],
)
@pytest.mark.parametrize("path", ["/api/invoices/", "/api/device/x/status/"])
def test_without_a_valid_key_the_answer_is_401(path: str, header: str | None, code: str) -> None:
    headers = {"Authorization": header} if header is not None else {}
    response = Caller(None).get(path, None, **headers)
    problem(response, 401, code)
    assert response["WWW-Authenticate"].startswith("Token ")


@pytest.mark.parametrize("scheme", ["Token", "token", "Bearer", "bearer"])
def test_both_ways_to_send_a_key_work(amani: Any, scheme: str) -> None:
    assert Caller(None).get("/api/invoices/", Authorization=f"{scheme} {amani.key_text}").status_code == 200


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_a_key_that_has_ended_is_401(owner: Caller, column: str) -> None:
    ApiKey.objects.update(**{column: "2026-01-01T00:00Z"})
    problem(owner.get("/api/invoices/"), 401, "key_unknown")


@pytest.mark.parametrize("path", ["/api/nothing/", "/api/", "/api/invoices", "/api/../x/", "/api/%00/"])
def test_an_unknown_path_is_404(owner: Caller, path: str) -> None:
    problem(owner.get(path), 404, "not_found")


def test_a_path_without_its_slash_says_so() -> None:
    assert "ends with a slash" in Caller(None).get("/api/invoices").json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/invoices/", "GET"),
        ("GET", "/api/onboard/", "POST"),
        ("DELETE", "/api/item/sync/", "POST"),
        ("GET", "/api/sales/", "POST"),
        ("PUT", "/api/integration/oscu/sales/", "POST"),
        ("POST", "/api/integration/transactions/1/status/", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_one(method: str, path: str, allowed: str) -> None:
    response = Caller(None).ask(method, path)
    problem(response, 405, "method_not_allowed")
    assert response["Allow"] == allowed


def test_a_process_without_an_engine_takes_no_sale(owner: Caller) -> None:
    problem(owner.post("/api/sales/", {}), 503, "not_kept")


def test_a_forged_host_is_told_in_a_document_too() -> None:
    response = Caller(None).get("/api/invoices/", Host="evil.example")
    assert response.status_code == 400
    assert response.json()["code"] == "bad_request"


def test_the_callers_request_id_comes_back() -> None:
    response = Caller(None).get("/api/nothing/", None, **{"X-Request-Id": "till-7.42"})
    assert response["X-Request-Id"] == response.json()["request_id"] == "till-7.42"


@pytest.mark.parametrize("sent", ["", "x" * 65, "<script>", "a b"])
def test_a_request_id_that_is_not_plain_is_replaced(sent: str) -> None:
    response = Caller(None).get("/api/nothing/", None, **{"X-Request-Id": sent})
    assert response["X-Request-Id"] not in {"", sent}


@pytest.mark.django_db(transaction=True)
def test_what_nobody_foresaw_is_500_without_a_trace_and_is_logged(
    owner: Caller, caplog: pytest.LogCaptureFixture, settings: LazySettings
) -> None:
    settings.DEBUG = True
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sales_invoice RENAME TO sales_gone")
    try:
        with caplog.at_level(logging.ERROR):
            document = problem(owner.get("/api/invoices/"), 500, "unexpected")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE sales_gone RENAME TO sales_invoice")
    assert "sales_invoice" not in str(document)
    assert f"request_id={document['request_id']}" in caplog.text


def test_no_answer_is_kept_by_a_cache(owner: Caller) -> None:
    assert owner.get("/api/invoices/")["Cache-Control"] == "no-store"


def test_the_table_of_problems_is_fit_to_be_printed() -> None:
    for code, kind in PROBLEMS.items():
        assert code.isidentifier()
        assert 400 <= kind.status < 600
        assert kind.title[0].isupper()
        assert not kind.title.endswith(".")
        assert kind.remedy.endswith(".")


def test_every_route_is_guarded() -> None:
    for pattern in main.urlpatterns():
        assert hasattr(pattern.callback, "__wrapped__"), pattern


def test_refused_requests_write_nothing(owner: Caller) -> None:
    bodies: list[Any] = [b"{", {}, {"items": [{}]}]
    for body in bodies:
        assert owner.post(SYNC, body).status_code in {400, 422}
    assert not Item.objects.exists()


@pytest.mark.parametrize(
    ("body", "field", "code", "message"),
    [
        (
            {"itms": [], "items": [{}]},
            "itms",
            "unknown_field",
            "There is no field itms; check its spelling. Did you mean items?",
        ),
        ([], "(body)", "not_an_object", "This must be an object in curly brackets."),
        (
            {"items": [{"prise": 1}]},
            "items[0].prise",
            "unknown_field",
            "There is no field prise; check its spelling. Did you mean price?",
        ),
        ({"items": [{"pin": 1}]}, "items[0].pin", "unknown_field", "There is no field pin; check its spelling."),
        (
            {"items": [{"price": "1,50"}]},
            "items[0].price",
            "not_a_number",
            "Give a number with a point, such as 650.00; no comma, no letters.",
        ),
    ],
)
def test_a_mistake_is_told_as_with_a_sale(owner: Caller, body: Any, field: str, code: str, message: str) -> None:
    document = problem(owner.post(SYNC, body), 422, "invalid")
    assert {"field": field, "code": code, "message": message} in document["fields"]
    first = document["fields"][0]
    said = f"{first['field']}: {first['message']}"
    count = len(document["fields"])
    several = f"{count} fields are wrong; nothing was kept. First: {said}"
    assert document["detail"] == (said if count == 1 else several)


@pytest.mark.parametrize("path", ["/api/stock/recipes/%00/", "/api/codes/%00/", "/api/device/%00/status/", "/api/%00/"])
def test_a_path_with_a_nul_in_it_is_a_path_to_nothing(owner: Caller, path: str) -> None:
    problem(owner.get(path), 404, "not_found")
