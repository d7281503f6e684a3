import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kra import classify
from gateway.kra.classify import decode, is_stale_token, read_reply
from gateway.kra.errors import Busy, DeviceTrouble, Drift, Duplicate, KraError, NoAnswer, Refused, plain
from gateway.kra.profiles import Flavour

DIRECT, GAVA, VSCU = Flavour
NAMES = ["resultCd", "resultMsg", "resultDt", "data", "responseHeader", "responseBody", "responseCode", "fault"]
NAMES += ["faultstring", "detail", "debugMessage", "customerMessage"]
TABLE = json.loads((Path(classify.__file__).parent / "data" / "errors.json").read_text())


def envelope(code, message="", data=None):
    return {"resultCd": code, "resultMsg": message, "resultDt": "20260301101530", "data": data}


def refusal(message, inner=400):
    header = {"responseCode": inner, "responseRefID": "1", "customerMessage": message, "debugMessage": message}
    return {"responseHeader": header, "responseBody": None}


def wrapped(code, message="", data=None):
    return {"responseHeader": {"responseCode": 200}, "responseBody": envelope(code, message, data)}


def read(content, status=200, flavour=DIRECT, is_write=True, headers=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_reply(status, headers or {}, body, flavour=flavour, is_write=is_write)


def ending(*args, **more):
    with pytest.raises(KraError) as raised:
        read(*args, **more)
    return raised.value


# code, what a write ends with, what a look-up ends with
CODES = [
    ("891", Refused, Refused),
    ("892", DeviceTrouble, DeviceTrouble),
    ("893", Refused, Refused),
    ("894", NoAnswer, Busy),
    ("895", Refused, Refused),
    ("896", NoAnswer, Busy),
    ("899", NoAnswer, Busy),
    ("900", DeviceTrouble, DeviceTrouble),
    ("901", DeviceTrouble, DeviceTrouble),
    ("902", DeviceTrouble, DeviceTrouble),
    ("903", DeviceTrouble, DeviceTrouble),
    ("905", DeviceTrouble, DeviceTrouble),
    ("910", Refused, Refused),
    ("911", Refused, Refused),
    ("912", Refused, Refused),
    ("913", Refused, Refused),
    ("921", Duplicate, Busy),
    ("922", Drift, Busy),
    ("990", Busy, Busy),
    ("991", NoAnswer, Busy),
    ("992", NoAnswer, Busy),
    ("993", NoAnswer, Busy),
    ("994", Duplicate, Busy),
    ("999", NoAnswer, Busy),
    ("E04", DeviceTrouble, DeviceTrouble),
    ("E11", Busy, Busy),
    ("20", Refused, Refused),
    ("777", NoAnswer, Busy),  # unlisted
    ("E99", NoAnswer, Busy),
]


@pytest.mark.parametrize(("code", "write", "look_up"), CODES)
def test_every_result_code_ends_as_the_table_says(code, write, look_up):
    for content, flavour in ((envelope(code, "x"), DIRECT), (envelope(code, "x"), VSCU), (wrapped(code, "x"), GAVA)):
        error = ending(content, flavour=flavour)
        assert (type(error), error.code, error.message) == (write, code, "x")
        assert type(ending(content, flavour=flavour, is_write=False)) is look_up
        assert plain(error).endswith(".")


def test_no_listed_code_is_forgotten():
    listed = {row["code"] for row in TABLE["codes"] if row["class"] not in ("success", "empty")}
    assert listed <= {code for code, _, _ in CODES}


@pytest.mark.parametrize("code", ["000", "0000", "00", "0", 0, "000 ", " 000"])
@pytest.mark.parametrize("wrap", [envelope, wrapped])
def test_every_way_to_say_success_is_success(code, wrap):
    reply = read(wrap(code, "It is succeeded", {"curRcptNo": "1"}))
    assert (reply.code, reply.message, reply.data) == ("000", "It is succeeded", {"curRcptNo": "1"})
    assert reply.server_time == datetime(2026, 3, 1, 7, 15, 30, tzinfo=UTC)
    assert not reply.is_empty


@pytest.mark.parametrize("code", ["001", 1, "001  ", "995"])
def test_nothing_found_is_an_empty_answer_to_a_look_up_and_no_answer_to_a_write(code):
    assert read(envelope(code), is_write=False).is_empty
    assert read(wrapped(code), is_write=False, flavour=GAVA).data is None
    assert type(ending(envelope(code))) is NoAnswer


# message pattern, its example, class, field in our words, expected
PATTERNS = [
    ("invoice_number_drift", "Invc No: 8 is invalid, use the expected value: 9", Drift, None, 9),
    ("invoice_number_drift_2", "Invalid invcNo sequence, expected: 5 but found: 2", Drift, None, 5),
    ("stock_number_drift", "Invalid sarNo: Expected: 10 but found: 15", Drift, None, 10),
    ("item_code_drift", "Invalid itemCd Sequence. Expected sequence ending with: ********1", Drift, None, "1"),
    ("item_code_prefix", "Incorrect QtyUnitCd Prefix", Refused, "item_code", None),
    ("bad_item_class", "Use a valid item classification code", Refused, "item_class", None),
    ("classes_not_fetched", "Get Item Classification List via request before saving", Refused, None, None),
    ("bad_pkg_unit", "Package unit code can only be among AM, BA", Refused, "packaging_unit", None),
    ("bad_qty_unit", "Invalid Quantity Unit Code", Refused, "quantity_unit", None),
    ("bad_pkg_count", "Invalid pkg for itemList", Refused, "package_count", None),
    ("bad_taxable", "Invalid taxblAmt on item 1, expected 86.21 found 100", Refused, "amounts", None),
    ("rate_mismatch", "Tax rate mismatch", Refused, "rates", None),
    ("null_value", "itemNm cannot be null", Refused, None, None),
    ("original_missing", "orgInvcNo does not exist", Refused, "original_number", None),
    ("credit_date_missing", "Missing RfdDt Date", Refused, "credited_at", None),
    ("credit_reason_missing", "Invalid RfdRsnCd", Refused, "reason", None),
    ("no_stock", "Items do not exist in your stock", Refused, None, None),
    ("stock_balance", "rsdQty mismatch. Expected: 98 but found: 97.5", Drift, None, None),
    ("stock_order", "Stock IO is empty", Refused, None, None),
    ("supplier_invoice_missing", "Missing purchase record", Refused, "supplier_invoice_number", None),
    ("composition_service", "Cannot create a service using components", Refused, None, None),
    ("device_record_corrupt", "Query did not return a unique result: 2", DeviceTrouble, None, None),
    ("generic_tax_type", "Error validating item tax type", Refused, None, None),
    ("gateway_route", "Unresolved variable : targetPath", Refused, None, None),
]


@pytest.mark.parametrize(("rule", "message", "kind", "field", "expected"), PATTERNS)
@pytest.mark.parametrize("status", [200, 400])
def test_every_message_pattern_is_read(rule, message, kind, field, expected, status):
    error = ending(refusal(message), status=status, flavour=GAVA)
    assert (type(error), error.rule, error.code, error.field) == (kind, rule, rule, field)
    if isinstance(error, Drift):
        assert expected in (error.expected, error.expected_tail)
    assert plain(error)


def test_no_pattern_is_forgotten():
    assert [row["id"] for row in TABLE["message_patterns"]] == [rule for rule, *_ in PATTERNS]
    for row in TABLE["message_patterns"]:
        if "example" in row:
            assert ending(refusal(row["example"]), flavour=GAVA).rule == row["id"]


def test_a_balance_that_differs_says_both_numbers():
    for words in ("rsdQty mismatch. Expected: 98 but found: 97.5", "rsdQty does not match, expected 98, found 97.5"):
        error = ending(refusal(words), flavour=GAVA)
        assert isinstance(error, Drift) and error.balance == (Decimal(98), Decimal("97.5"))


def test_what_may_cure_a_refusal_is_named():
    assert ending(refusal("Tax rate mismatch")).repair == "refresh_codes"
    assert ending(refusal("get item classification list request before")).repair == "fetch_item_classes"
    assert ending(refusal("Invalid RfdRsnCd")).repair is None


def test_drift_behind_a_general_code_is_drift_but_never_behind_an_unlisted_one():
    message = "Invalid invcNo sequence, expected: 5 but found: 2"
    error = ending(envelope("910", message))
    assert isinstance(error, Drift) and (error.code, error.expected) == ("910", 5)
    assert type(ending(envelope("777", message))) is NoAnswer
    assert type(ending(envelope("999", message))) is NoAnswer


def test_the_field_path_of_kra_is_told_in_our_words():
    message = "Code value error among request parameters [<itemList><pkgUnitCd>]"
    assert ending(envelope("913", message)).field == "lines.packaging_unit"
    assert ending(envelope("910", "Request parameter error [<modrId> : may not be empty]")).field == "operator_id"
    assert ending(envelope("910", "Request parameter error [<taxblAmtB>]")).field == "taxable.B"
    assert ending(envelope("910", "Request parameter error [<neverSeen>]")).field == "neverSeen"


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
TOKEN = {"fault": {"faultstring": "Access Token expired", "detail": {"errorcode": "keymanagement.service.x"}}}
ROUTE = {"fault": {"faultstring": "Unresolved variable : targetPath", "detail": {"errorcode": "x"}}}
OTHER = {"fault": {"faultstring": "Gateway Timeout", "detail": {"errorcode": "messaging.adaptors"}}}

# status, body, flavour, rule, a write ends with, a look-up ends with
HTTP = [
    (200, b"", DIRECT, "unreadable", NoAnswer, Busy),
    (200, HTML, DIRECT, "unreadable", NoAnswer, Busy),
    (200, b'{"resultCd": "000", "resultM', DIRECT, "unreadable", NoAnswer, Busy),
    (200, b'{"x": "\xe9" "y"}', DIRECT, "unreadable", NoAnswer, Busy),
    (200, {"fault": "Gateway Timeout"}, GAVA, "gateway_fault", NoAnswer, Busy),
    (200, b"null", DIRECT, "unreadable", NoAnswer, Busy),
    (200, b"[]", DIRECT, "unreadable", NoAnswer, Busy),
    (200, b'"000"', DIRECT, "unreadable", NoAnswer, Busy),
    (200, b"{}", VSCU, "unreadable", NoAnswer, Busy),
    (200, b'{"resultCd": null}', DIRECT, "unreadable", NoAnswer, Busy),
    (200, b"\xff\xfe\x00\x01", DIRECT, "unreadable", NoAnswer, Busy),
    (200, b"[" * 100_000, DIRECT, "unreadable", NoAnswer, Busy),
    (200, b'{"resultCd": 1e999999999}', DIRECT, None, NoAnswer, Busy),
    (200, refusal("no"), GAVA, "wrapped_400", Refused, Refused),
    (200, refusal("no", "400"), GAVA, "wrapped_400", Refused, Refused),
    (200, refusal("no", 422), GAVA, "wrapped_400", Refused, Refused),
    (200, refusal("slow", 429), GAVA, "wrapped_429", Busy, Busy),
    (200, refusal("late", 408), GAVA, "wrapped_408", NoAnswer, Busy),
    (200, refusal("who", 401), GAVA, "wrapped_401", DeviceTrouble, DeviceTrouble),
    (200, refusal("who", 403), GAVA, "wrapped_403", DeviceTrouble, DeviceTrouble),
    (200, refusal("oops", 500), GAVA, "wrapped_other", NoAnswer, Busy),
    (200, refusal("fine", 200), GAVA, "wrapped_other", NoAnswer, Busy),
    (200, refusal("odd", "x"), GAVA, "wrapped_other", NoAnswer, Busy),
    (200, TOKEN, GAVA, "token_fault", DeviceTrouble, DeviceTrouble),
    (200, OTHER, GAVA, "gateway_fault", NoAnswer, Busy),
    (400, refusal("no"), GAVA, "wrapped_400", Refused, Refused),
    (400, refusal("late", 408), GAVA, "wrapped_408", NoAnswer, Busy),
    (400, refusal("oops", 503), GAVA, "wrapped_other", NoAnswer, Busy),
    (400, b"", VSCU, "vscu_400", Refused, Refused),
    (400, b'{"error": "Bad Request"}', VSCU, "vscu_400", Refused, Refused),
    (400, b"", DIRECT, "unreadable", NoAnswer, Busy),
    (400, b"", GAVA, "unreadable", NoAnswer, Busy),
    (401, b"", GAVA, "http_401", DeviceTrouble, DeviceTrouble),
    (401, TOKEN, GAVA, "token_fault", DeviceTrouble, DeviceTrouble),
    (403, b"", DIRECT, "http_403", DeviceTrouble, DeviceTrouble),
    (404, HTML, DIRECT, "http_404", Refused, Refused),
    (405, b"", DIRECT, "http_405", Refused, Refused),
    (415, b"", DIRECT, "http_415", Refused, Refused),
    (408, b"", DIRECT, "http_408", NoAnswer, Busy),
    (504, b"", GAVA, "http_504", NoAnswer, Busy),
    (429, b"", DIRECT, "http_429", Busy, Busy),
    (500, TOKEN, GAVA, "token_fault", DeviceTrouble, DeviceTrouble),
    (500, ROUTE, GAVA, "route_fault", Refused, Refused),
    (500, OTHER, GAVA, "http_5xx", NoAnswer, Busy),
    (500, HTML, DIRECT, "http_5xx", NoAnswer, Busy),
    (500, refusal("Invalid RfdRsnCd"), GAVA, "http_5xx", NoAnswer, Busy),
    (500, envelope("994", "x"), DIRECT, "http_5xx", NoAnswer, Busy),
    (502, HTML, DIRECT, "http_5xx", NoAnswer, Busy),
    (503, b"", VSCU, "http_5xx", NoAnswer, Busy),
    (302, b"", DIRECT, "unreadable", NoAnswer, Busy),
    (418, b"", DIRECT, "unreadable", NoAnswer, Busy),
]


@pytest.mark.parametrize(("status", "content", "flavour", "rule", "write", "look_up"), HTTP)
def test_every_http_case_ends_as_the_table_says(status, content, flavour, rule, write, look_up):
    error = ending(content, status=status, flavour=flavour)
    assert type(error) is write
    assert rule is None or error.code == rule
    assert plain(error)
    assert type(ending(content, status=status, flavour=flavour, is_write=False)) is look_up


def test_no_http_rule_is_forgotten():
    assert {row["id"] for row in TABLE["http_rules"]} == {rule for _, _, _, rule, _, _ in HTTP if rule}


@pytest.mark.parametrize("status", [201, 400, 409, 422])
@pytest.mark.parametrize("flavour", Flavour)
def test_a_code_counts_whatever_harmless_status_it_came_with(status, flavour):
    for wrap in (envelope, wrapped):
        assert type(ending(wrap("994", "x"), status=status, flavour=flavour)) is Duplicate
        assert type(ending(wrap("999", "x"), status=status, flavour=flavour)) is NoAnswer
        assert read(wrap("000"), status=status, flavour=flavour).code == "000"


@pytest.mark.parametrize(
    ("content", "status", "stale"),
    [(TOKEN, 500, True), (b"", 401, True), (refusal("x", 401), True, True), (b"", 403, False), (ROUTE, 500, False)],
)
def test_only_a_stale_token_asks_for_another(content, status, stale):
    assert is_stale_token(ending(content, status=200 if status is True else status, flavour=GAVA)) is stale


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("Sun, 01 Mar 2026 07:16:00 GMT", 60),
        ("Sun, 01 Mar 2026 07:00:00 GMT", 0),
        ("Sun, 01 Mar 2026 07:16:00 -0000", 60),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_honoured(value, seconds):
    now = datetime(2026, 3, 1, 7, 15, 0, tzinfo=UTC)
    with pytest.raises(Busy) as raised:
        read_reply(429, {"retry-After": value}, b"", flavour=DIRECT, is_write=True, now=now)
    assert raised.value.retry_after == seconds


def test_too_many_look_ups_rest_for_a_minute_and_registration_trouble_is_tried_three_times():
    assert ending(envelope("990")).retry_after == 60
    assert ending(envelope("991")).max_tries == 3


def test_a_wrong_encoding_and_a_byte_order_mark_do_not_hide_an_answer():
    latin = '{"resultCd": "000", "resultMsg": "Succ\u00e8s", "data": null}'.encode("latin-1")
    assert read(latin).message == "Succ\u00e8s"
    assert read(b"\xef\xbb\xbf" + json.dumps(envelope("000")).encode()).code == "000"


def test_numbers_are_read_exactly():
    assert decode(b'{"a": 0.1, "b": 12345678901234567890.12}') == {
        "a": Decimal("0.1"),
        "b": Decimal("12345678901234567890.12"),
    }
    assert decode(b"") is None


def test_an_endless_message_is_cut():
    assert len(ending(envelope("910", "x" * 10_000)).message) == 500


def test_a_look_up_waits_as_long_as_an_overloaded_server_asks():
    assert ending(b"", status=503, is_write=False, headers={"Retry-After": "30"}).retry_after == 30


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner),
    max_leaves=12,
)


@given(documents | st.binary(max_size=60), st.integers(100, 599), st.sampled_from(Flavour), st.booleans())
def test_whatever_comes_is_a_reply_or_an_error_of_the_family(content, status, flavour, is_write):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        reply = read(body, status=status, flavour=flavour, is_write=is_write)
    except KraError as error:
        assert type(error) is not KraError and plain(error)
        return
    assert reply.code == "000" or (reply.code == "001" and not is_write)
