"""What a sale must be before it is kept, and what is kept of it. No database, no KRA."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.shelf import ShelfItem
from gateway.devices.desk import Seat
from gateway.kra.client import Client
from gateway.kra.codes import DEFAULT_RATES, TaxClass
from gateway.kra.documents import Credentials
from gateway.kra.profiles import Flavour, simulator
from gateway.kra.sessions import open_session
from gateway.sales.intake import (
    LineOfSaleIn,
    NotJson,
    SaleIn,
    WrongSale,
    check,
    content_hash,
    invoice_row,
    read_sale,
    tag_of,
    work_out,
)

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
PROFILE = simulator(Flavour.OSCU_DIRECT, "http://127.0.0.1:9")


def shelf_item(code: str, tax_type: str, **changes: Any) -> ShelfItem:
    told = {
        "code": code,
        "name": f"{code} of the catalogue",
        "tax_type": tax_type,
        "item_class": "5016150900",
        "product_type": "2",
        "packaging_unit": "NT",
        "quantity_unit": "U",
        "barcode": "",
        "kra_code": f"KE2NTU{code:0>8}"[:14],
        "status": "registered",
    }
    return ShelfItem(**{**told, **changes})


ITEMS = {
    "SUGAR": shelf_item("SUGAR", "B"),
    "BREAD": shelf_item("BREAD", "A", barcode="600123"),
    "BOOK": shelf_item("BOOK", "C"),
    "WATER": shelf_item("WATER", "D"),
    "GAS": shelf_item("GAS", "E"),
    "NEW": shelf_item("NEW", "B", status="waiting", kra_code=""),
    "BAD": shelf_item("BAD", "B", status="refused", kra_code=""),
    "OLD": shelf_item("OLD", "B", status="retired"),
}


@pytest.fixture
def seat() -> Seat:
    row = {
        "id": 7,
        "company_id": 3,
        "environment": "sandbox",
        "lane_id": 11,
        "serial": "AMANI-00",
        "pin": "P051234567X",
        "branch_code": "00",
        "branch_name": "Head office",
        "company_name": "Amani Stores Ltd",
        "address": "Moi Avenue 12",
        "city": "Nairobi",
        "top_message": "",
        "bottom_message": "Asante",
    }
    return Seat(row=row, public_id=uuid.uuid4(), names=("", ""), profile=PROFILE)


@pytest.fixture
def client() -> Iterator[Client]:
    with asyncio.Runner() as runner:

        async def opened() -> Client:
            return Client(PROFILE, session=open_session())

        made = runner.run(opened())
        yield made
        runner.run(made._session.close())


def posted(**changes: Any) -> bytes:
    """A till's request; None leaves a field out."""
    sale = {
        "reference": "POS-1",
        "issued_at": "2026-11-20T10:00:00+03:00",
        "lines": [{"item_code": "SUGAR", "quantity": "2", "unit_price": "116.00"}],
        **changes,
    }
    return json.dumps({name: value for name, value in sale.items() if value is not None}).encode()


def sale(**changes: Any) -> SaleIn:
    return read_sale(posted(**changes))


def line(**changes: Any) -> list[dict[str, Any]]:
    return [{"item_code": "SUGAR", "quantity": "2", "unit_price": "116.00", **changes}]


def row_of(given: SaleIn, seat: Seat, client: Client) -> dict[str, Any]:
    result, wrongs = work_out(given, items=ITEMS, rates=DEFAULT_RATES, seat=seat)
    assert wrongs == []
    credentials = Credentials(pin="P051234567X", branch="00", key="")
    return invoice_row(
        given, result, items=ITEMS, rates=DEFAULT_RATES, seat=seat, client=client, credentials=credentials, now=NOW
    )


# Reading


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"reference": "\xff"}', b"NaN"])
def test_what_is_not_json_is_told_so(body: bytes) -> None:
    with pytest.raises(NotJson):
        read_sale(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"sale"'])
def test_json_that_is_no_object_is_a_wrong_sale_without_a_reference(body: bytes) -> None:
    with pytest.raises(WrongSale) as caught:
        read_sale(body)
    assert caught.value.reference is None


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"lines": None}, "lines", "missing"),
        ({"issued_at": None}, "issued_at", "missing"),
        ({"issued_at": "yesterday"}, "issued_at", "not_a_time"),
        ({"issued_at": 7}, "issued_at", "not_a_time"),
        ({"colour": "red"}, "colour", "unknown_field"),
        ({"lines": line(colour="red")}, "lines[0].colour", "unknown_field"),
        ({"lines": [{"item_code": "SUGAR", "quantity": 1}]}, "lines[0].unit_price", "missing"),
        ({"lines": line(quantity="two")}, "lines[0].quantity", "not_a_number"),
        ({"lines": "none"}, "lines", "not_a_list"),
        ({"customer": {"pin": 7}}, "customer.pin", "not_text"),
    ],
)
def test_a_wrong_shape_names_the_field_and_still_tells_the_reference(
    changes: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(WrongSale) as caught:
        read_sale(posted(**changes))
    (wrong,) = caught.value.wrongs
    assert (wrong.field, wrong.code, caught.value.reference) == (field, code, "POS-1")
    assert wrong.message.endswith((".", "?"))


def test_a_control_character_that_no_database_keeps_is_refused_wherever_it_stands() -> None:
    for changes in ({"reference": "POS\x001"}, {"lines": line(name="a\x00b")}, {"remark": "\x00"}):
        with pytest.raises(WrongSale) as caught:
            read_sale(posted(**changes))
        assert [wrong.code for wrong in caught.value.wrongs] == ["not_printable"]
    assert read_sale(posted(remark="C:\\u0000dir")).remark == "C:\\u0000dir"  # a backslash, and no control character


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (posted().replace(b'"quantity":', b'"quantity": "1", "quantity":', 1), "quantity"),
        (posted().replace(b'"reference":', b'"reference": "POS-1", "reference":', 1), "reference"),
    ],
)
def test_a_field_that_stands_twice_is_refused_though_both_could_be_read(body: bytes, field: str) -> None:
    with pytest.raises(WrongSale) as caught:
        read_sale(body)
    assert [(wrong.field, wrong.code) for wrong in caught.value.wrongs] == [(field, "duplicate")]


def test_a_number_of_any_length_is_read_once_and_told_by_its_field() -> None:
    body = posted().replace(b'"quantity": "2"', b'"quantity": ' + b"9" * 5000, 1)
    assert b"9999" in body
    assert read_sale(body).lines[0].quantity.adjusted() == 4999


def test_an_amount_never_passes_through_a_float() -> None:
    text = b'{"reference":"R","issued_at":"2026-11-20T10:00:00Z","lines":[{"item_code":"SUGAR",'
    text += b'"quantity":0.1,"unit_price":12345678901234.56}]}'
    (only,) = read_sale(text).lines
    assert (only.quantity, only.unit_price) == (Decimal("0.1"), Decimal("12345678901234.56"))


# The fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": line(quantity=2, unit_price=116)},
        {"lines": line(quantity="2.000", unit_price="116.0")},
        {"lines": line(quantity=2.0, unit_price="1.16E+2")},
        {"issued_at": "2026-11-20T07:00:00Z"},
        {"issued_at": "2026-11-20T12:30:00+05:30"},
        {"currency": "KES"},
        {"prices_include_tax": True},
    ],
)
def test_the_same_sale_written_differently_has_the_same_fingerprint(changes: dict[str, Any]) -> None:
    assert content_hash(sale(**changes)) == content_hash(sale())


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "POS-2"},
        {"lines": line(quantity="2.01")},
        {"lines": line(unit_price="116.01")},
        {"lines": line() + line()},
        {"lines": line(name="Sugar")},
        {"issued_at": "2026-11-20T10:00:01+03:00"},
        {"customer": {"name": "Wanjiru"}},
        {"customer": {"phone": "0700000001"}},
        {"payment_method": "card"},
        {"payments": [{"method": "cash", "amount": 232}]},
        {"prices_include_tax": False},
        {"remark": "again"},
        {"device": "AMANI-00"},
        {"cashier": "Otieno"},
        {"totals": {"amount": 232}},
    ],
)
def test_a_sale_with_other_content_has_another_fingerprint(changes: dict[str, Any]) -> None:
    assert content_hash(sale(**changes)) != content_hash(sale())


@given(
    st.decimals(min_value="0.001", max_value="99999999", places=3),
    st.integers(min_value=0, max_value=3),
    st.sampled_from([0, 60, 180, -300]),
)
def test_trailing_zeros_and_time_zones_never_change_the_fingerprint(amount: Decimal, zeros: int, minutes: int) -> None:
    here = SaleIn(reference="R", issued_at=NOW, lines=[LineOfSaleIn("SUGAR", amount, amount)])
    elsewhere = NOW.astimezone(timezone(timedelta(minutes=minutes)))
    longer = Decimal(f"{amount:f}" + "0" * zeros)
    there = SaleIn(reference="R", issued_at=elsewhere, lines=[LineOfSaleIn("SUGAR", longer, longer)])
    assert content_hash(here) == content_hash(there)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_does_not_have_has_a_fingerprint_too(moment: str) -> None:
    assert content_hash(sale(issued_at=moment)) != content_hash(sale())


def test_the_mark_in_kras_remark_tells_every_document_from_every_other() -> None:
    told = {"environment": "sandbox", "pin": "P051234567X", "branch": "00", "reference": "1", "content": "v1:x"}
    others = [
        {"environment": "production"},
        {"pin": "P051234567Y"},
        {"branch": "01"},
        {"reference": "2"},
        {"content": "v1:y"},
        {"branch": "", "reference": "001"},
    ]
    tags = {tag_of(**told), *(tag_of(**{**told, **other}) for other in others)}
    assert len(tags) == len(others) + 1
    assert all(tag.startswith("rvp:") and len(tag) == 16 and tag.isascii() and " " not in tag for tag in tags)


# Checks


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"reference": ""}, "reference", "blank"),
        ({"reference": " POS-1"}, "reference", "blank"),
        ({"reference": "x" * 51}, "reference", "too_long"),
        ({"reference": "POS\t1"}, "reference", "not_printable"),
        ({"issued_at": "2026-11-20T10:00:00"}, "issued_at", "no_time_zone"),
        ({"issued_at": "2026-11-20T09:05:01Z"}, "issued_at", "in_the_future"),
        ({"issued_at": "2019-12-31T23:59:59Z"}, "issued_at", "too_old"),
        ({"lines": []}, "lines", "too_few"),
        ({"lines": line() * 1000}, "lines", "too_many"),
        ({"customer": {"pin": "p051234567x"}}, "customer.pin", "bad_pin"),
        ({"customer": {"name": "x" * 61}}, "customer.name", "too_long"),
        ({"customer": {"name": "Wan\x07jiru"}}, "customer.name", "not_printable"),
        ({"customer": {"email": "@"}}, "customer.email", "bad_email"),
        ({"customer": {"phone": "call me"}}, "customer.phone", "bad_phone"),
        ({"customer": {"phone": "+" + "1" * 20}}, "customer.phone", "bad_phone"),
        ({"customer": {"email": "wanjiru"}}, "customer.email", "bad_email"),
        ({"payment_method": "shells"}, "payment_method", "unknown_value"),
        ({"payment_method": "cash", "payments": []}, "payment_method", "two_ways"),
        ({"payments": [{"method": "cash", "amount": "1.001"}]}, "payments[0].amount", "too_many_decimals"),
        ({"payments": [{"method": "cash", "amount": "-1"}]}, "payments[0].amount", "negative"),
        ({"payments": [{"method": "cash", "amount": "NaN"}]}, "payments[0].amount", "not_a_number"),
        ({"payments": [{"method": "cash", "amount": "1E+16"}]}, "payments[0].amount", "amount_too_large"),
        ({"currency": "XXQ", "exchange_rate": 130}, "currency", "unknown_code"),
        ({"currency": "USD"}, "exchange_rate", "missing"),
        ({"currency": "USD", "exchange_rate": 0}, "exchange_rate", "out_of_range"),
        ({"currency": "USD", "exchange_rate": "Infinity"}, "exchange_rate", "out_of_range"),
        ({"remark": "x" * 351}, "remark", "too_long"),
        ({"remark": "a\x01b"}, "remark", "not_printable"),
        ({"cashier": "x" * 61}, "cashier", "too_long"),
        ({"lines": line(name="a\nb")}, "lines[0].name", "not_printable"),
        ({"lines": line(barcode="\x7f")}, "lines[0].barcode", "not_printable"),
    ],
)
def test_each_wrong_field_is_named(changes: dict[str, Any], field: str, code: str) -> None:
    wrongs = check(sale(**changes), now=NOW)
    assert [(wrong.field, wrong.code) for wrong in wrongs] == [(field, code)]
    assert wrongs[0].message.endswith((".", "?"))


def test_a_till_whose_clock_is_a_little_ahead_is_believed() -> None:
    assert check(sale(issued_at="2026-11-20T09:05:00Z"), now=NOW) == []


def test_a_good_sale_with_everything_in_it_has_nothing_wrong(seat: Seat) -> None:
    given = sale(
        customer={"pin": "A012345678Z", "name": "Wanjiru", "phone": "+254 700 (000) 001", "email": "w@example.com"},
        payments=[{"method": "mobile_money", "amount": "200"}, {"method": "cash", "amount": 32}],
        totals={"amount": "232.00", "tax": "32.00"},
        remark="Asante",
        cashier="Otieno",
    )
    assert check(given, now=NOW) == [] and work_out(given, items=ITEMS, rates=DEFAULT_RATES, seat=seat)[1] == []


# Against the catalogue


@pytest.mark.parametrize(
    ("lines", "field", "code"),
    [
        (line(item_code="NONE"), "lines[0].item_code", "unknown_item"),
        (line(item_code="NEW"), "lines[0].item_code", "item_not_registered"),
        (line(item_code="BAD"), "lines[0].item_code", "item_not_registered"),
        (line(item_code="OLD"), "lines[0].item_code", "item_retired"),
        (line(tax_type="A"), "lines[0].tax_type", "tax_type_differs"),
        (line(tax_type="F"), "lines[0].tax_type", "unknown_code"),
        (line(item_class="1010101010"), "lines[0].item_class", "item_class_differs"),
        (line(packaging_unit="BG"), "lines[0].packaging_unit", "packaging_unit_differs"),
        (line(quantity_unit="KG"), "lines[0].quantity_unit", "quantity_unit_differs"),
        (line(name=" "), "lines[0].name", "blank"),
        (line(name="x" * 201), "lines[0].name", "too_long"),
        (line(barcode="1" * 21), "lines[0].barcode", "too_long"),
        (line() + line(item_code="NONE"), "lines[1].item_code", "unknown_item"),
    ],
)
def test_what_contradicts_the_catalogue_is_named(
    seat: Seat, lines: list[dict[str, Any]], field: str, code: str
) -> None:
    _, wrongs = work_out(sale(lines=lines), items=ITEMS, rates=DEFAULT_RATES, seat=seat)
    assert [(wrong.field, wrong.code) for wrong in wrongs] == [(field, code)]


def test_a_wrong_amount_in_every_line_is_named_in_every_line(seat: Seat) -> None:
    lines = line(quantity=0) + line() + line(unit_price="-1") + line(quantity="NaN")
    _, wrongs = work_out(sale(lines=lines), items=ITEMS, rates=DEFAULT_RATES, seat=seat)
    assert [wrong.field for wrong in wrongs] == ["lines[0].quantity", "lines[2].unit_price", "lines[3].quantity"]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"totals": {"amount": "232.01", "tax": "31.99"}}, []),
        ({"totals": {"amount": "232.02"}}, ["totals.amount"]),
        ({"totals": {"amount": "231.98", "tax": "32.02"}}, ["totals.amount", "totals.tax"]),
        ({"totals": {"amount": "Infinity"}}, ["totals.amount"]),
        ({"payments": [{"method": "cash", "amount": "232.01"}]}, []),
        ({"payments": [{"method": "cash", "amount": "231"}]}, ["payments"]),
        ({"payments": [{"method": "cash", "amount": "500"}], "totals": {"amount": "232"}}, []),
    ],
)
def test_totals_may_differ_by_a_cent_a_line_and_no_more(seat: Seat, changes: dict[str, Any], fields: list[str]) -> None:
    _, wrongs = work_out(sale(**changes), items=ITEMS, rates=DEFAULT_RATES, seat=seat)
    assert [wrong.field for wrong in wrongs] == fields


# What is kept


def test_what_is_kept_names_seller_buyer_and_content_but_no_contact(seat: Seat, client: Client) -> None:
    given = sale(
        customer={"pin": "A012345678Z", "name": "Wanjiru", "phone": "0700000001", "email": "w@example.com"},
        cashier="Otieno",
        remark="two bags",
    )
    row = row_of(given, seat, client)
    assert (row["company_id"], row["device_id"], row["lane_id"], row["environment"]) == (3, 7, 11, "sandbox")
    assert (row["buyer_pin"], row["buyer_name"], row["phone"]) == ("A012345678Z", "Wanjiru", "0700000001")
    assert row["content"]["customer"] == {"pin": "A012345678Z", "name": "Wanjiru"}
    assert "0700000001" not in str(row["content"]) + str(row["snapshot"]) + row["body"]
    assert row["snapshot"]["company"] == "Amani Stores Ltd" and row["snapshot"]["simulated"] is True
    assert (row["total"], row["total_tax"], row["accepted_at"]) == (Decimal("232.00"), Decimal("32.00"), NOW)
    assert row["content_hash"] == content_hash(given)


def test_the_body_for_kra_carries_the_mark_and_no_number(seat: Seat, client: Client) -> None:
    row = row_of(sale(remark="two bags"), seat, client)
    body = json.loads(row["body"])
    assert "invcNo" not in body and body["remark"] == f"two bags {row['tag']}"
    assert row["tag"] == tag_of(
        environment="sandbox", pin="P051234567X", branch="00", reference="POS-1", content=row["content_hash"]
    )


def test_the_same_sale_makes_the_same_bytes(seat: Seat, client: Client) -> None:
    first, second = row_of(sale(), seat, client), row_of(sale(), seat, client)
    assert first["body"] == second["body"] and first["tag"] == second["tag"]
    assert first["public_id"] != second["public_id"]


IN_PARTS = [("mobile_money", 92), ("cash", 70), ("cash", 70)]


@pytest.mark.parametrize(
    ("changes", "kept", "code"),
    [
        ({}, [("cash", "232.00")], "01"),
        ({"payment_method": "mobile_money"}, [("mobile_money", "232.00")], "06"),
        (
            {"payments": [{"method": "card", "amount": 200}, {"method": "cash", "amount": 32}]},
            [("card", "200.00"), ("cash", "32.00")],
            "05",
        ),
        (
            {"payments": [{"method": "credit", "amount": 200}, {"method": "cash", "amount": 32}]},
            [("credit", "200.00"), ("cash", "32.00")],
            "03",
        ),
        (
            {"payments": [{"method": method, "amount": paid} for method, paid in IN_PARTS]},
            [("mobile_money", "92.00"), ("cash", "70.00"), ("cash", "70.00")],
            "01",
        ),
    ],
)
def test_kra_hears_of_the_payment_that_paid_most(
    seat: Seat, client: Client, changes: dict[str, Any], kept: list[tuple[str, str]], code: str
) -> None:
    row = row_of(sale(**changes), seat, client)
    assert [(payment["method"], payment["amount"]) for payment in row["figures"]["payments"]] == kept
    assert json.loads(row["body"])["pmtTyCd"] == code


CODES = st.sampled_from(["SUGAR", "BREAD", "BOOK", "WATER", "GAS"])
SOLD = st.builds(
    LineOfSaleIn,
    item_code=CODES,
    quantity=st.decimals(min_value="0.01", max_value="999", places=2),
    unit_price=st.decimals(min_value="0.01", max_value="99999", places=2),
    discount_percent=st.none() | st.decimals(min_value="0", max_value="100", places=2),
)


@given(st.lists(SOLD, min_size=1, max_size=6), st.booleans())
def test_line_letter_and_header_totals_agree_to_the_cent(lines: list[LineOfSaleIn], include: bool) -> None:
    row = {"pin": "P051234567X", "branch_code": "00"}
    seat = Seat(row=row, public_id=uuid.uuid4(), names=("", ""), profile=PROFILE)
    given = SaleIn(reference="R", issued_at=NOW, lines=lines, prices_include_tax=include)
    result, wrongs = work_out(given, items=ITEMS, rates=DEFAULT_RATES, seat=seat)
    assert wrongs == []
    assert sum(one.total for one in result.lines) == result.total
    assert sum(one.tax for one in result.lines) == result.total_tax == sum(result.tax.values())
    for letter in TaxClass:
        mine = [one for one, sold in zip(result.lines, lines, strict=True) if ITEMS[sold.item_code].tax_type == letter]
        assert sum((one.tax for one in mine), Decimal(0)) == result.tax[letter]
        assert sum((one.net for one in mine), Decimal(0)) == result.net[letter]
    assert sum(result.net.values()) + result.total_tax == result.total
