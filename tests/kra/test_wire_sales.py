import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.kra.codes import DEFAULT_RATES, CreditNoteReason, PaymentMethod, TaxClass
from gateway.kra.profiles import profile
from gateway.kra.tax import AmountProfile
from gateway.kra.wire.fields import Unreadable
from gateway.kra.wire.sales import read_invoices, read_signature, sale_body, with_number
from tests.kra.samples import ISSUED, SHOP, SIGNED, make_sale
from tests.kra.spec import SPEC, check

DIRECT = profile("oscu_direct_sandbox")
VSCU = profile("vscu_sandbox")


def sent(document, profile=DIRECT, number=15):
    return json.loads(with_number(sale_body(document, SHOP, profile), number), parse_float=Decimal)


@pytest.mark.parametrize(("known", "flavour"), [(DIRECT, "oscu"), (VSCU, "vscu")])
def test_a_body_fits_the_field_table_of_the_specification(known, flavour):
    full = make_sale(
        3,
        buyer_pin="A012345678Z",
        buyer_name="Jane",
        buyer_phone="0700000000",
        remark="x",
        trade_name="y",
        address="z",
        top_message="Karibu",
        bottom_message="Asante",
        payment_method=PaymentMethod.MOBILE_MONEY,
    )
    note = make_sale(kind="credit_note", original_number=3, reason=CreditNoteReason.REFUND, credited_at=ISSUED)
    for document in (make_sale(), full, note):
        check(SPEC["sales_save"]["request"]["fields"], sent(document, known), flavour)


def test_a_body_says_what_the_published_example_says():
    example = SPEC["sales_save"]["examples"]["request"]["oscu"]
    document = make_sale(
        buyer_pin="A012345678Z",
        buyer_name="EXAMPLE BUYER LTD",
        operator_id="cashier1",
        operator_name="Till One",
        trade_name="EXAMPLE TRADERS",
        address="EXAMPLE PLAZA, NAIROBI",
        top_message="Welcome",
        bottom_message="Thank you",
        tag="",
    )
    assert sent(document) == json.loads(json.dumps(example), parse_float=Decimal)


def test_a_credit_note_says_what_the_published_example_says():
    example = SPEC["sales_save"]["examples"]["request"]["oscu_credit_note"]
    document = make_sale(
        kind="credit_note",
        reference="CN-2026-000007",
        buyer_pin="A012345678Z",
        buyer_name="EXAMPLE BUYER LTD",
        operator_id="cashier1",
        operator_name="Till One",
        trade_name="EXAMPLE TRADERS",
        address="EXAMPLE PLAZA, NAIROBI",
        top_message="Welcome",
        bottom_message="Thank you",
        tag="",
        original_number=15,
        reason=CreditNoteReason.REFUND,
        credited_at=ISSUED,
    )
    assert sent(document, number=16) == json.loads(json.dumps(example), parse_float=Decimal)


def test_a_vscu_sale_carries_its_report_number_instead_of_a_time():
    said = 'the key "rptNo":1, in a remark is text'
    body = sale_body(make_sale(remark=said), SHOP, VSCU)
    first, seventh = (json.loads(with_number(body, 15, report=report)) for report in (1, 7))
    assert "rcptPbctDt" not in first["receipt"] and said in seventh["remark"]
    assert (first["receipt"].pop("rptNo"), seventh["receipt"].pop("rptNo")) == (1, 7)
    assert seventh == first


def test_a_sale_over_oscu_has_no_report_number():
    body = sale_body(make_sale(), SHOP, DIRECT)
    assert with_number(body, 15, report=7) == with_number(body, 15)


def test_the_same_document_is_the_same_bytes_and_money_has_two_places():
    body = sale_body(make_sale(5), SHOP, DIRECT)
    assert body == sale_body(make_sale(5), SHOP, DIRECT)
    assert b'"taxblAmtB":10000.00,' in body and b'"totAmt":11600.00,' in body and b'"taxAmtE":0.00,' in body
    assert b'"prc":1160.00,' in body


def test_the_number_is_the_first_key_and_changes_nothing_else():
    body = sale_body(make_sale(), SHOP, DIRECT)
    numbered = with_number(body, 15)
    assert numbered.startswith(b'{"invcNo":15,"tin":')
    record = json.loads(numbered)
    del record["invcNo"]
    assert record == json.loads(body)


def test_the_key_is_never_in_a_body():
    assert SHOP.key.encode() not in sale_body(make_sale(), SHOP, DIRECT)


def test_free_text_is_cut_and_codes_are_not():
    body = sent(
        make_sale(
            buyer_name="n" * 70,
            trade_name="t" * 30,
            address="a" * 300,
            top_message="m" * 30,
            bottom_message="b" * 30,
            buyer_phone="0" * 30,
            operator_name="o" * 70,
        )
    )
    assert (len(body["custNm"]), len(body["regrNm"])) == (60, 60)
    assert [len(body["receipt"][name]) for name in ("trdeNm", "adrs", "topMsg", "btmMsg", "custMblNo")] == [
        20,
        200,
        20,
        20,
        20,
    ]
    impossible: list[dict[str, Any]] = [
        {"reference": "r" * 51},
        {"buyer_pin": "A0123456789Z"},
        {"operator_id": "o" * 21},
        {"reference": ""},
    ]
    for wrong in impossible:
        with pytest.raises(ValueError):
            sale_body(make_sale(**wrong), SHOP, DIRECT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("item_code", "x" * 21),
        ("item_class", "x" * 11),
        ("barcode", "x" * 21),
        ("packaging_unit", "x" * 6),
        ("quantity_unit", "x" * 6),
        ("item_code", ""),
        ("name", "   "),
    ],
)
def test_a_line_with_an_impossible_code_or_no_name_is_refused(field, value):
    document = make_sale()
    line = document.lines[0]
    values = {name: getattr(line, name) for name in line.__struct_fields__}
    with pytest.raises(ValueError, match=field):
        sale_body(_with_line(document, type(line)(**{**values, field: value})), SHOP, DIRECT)


def _with_line(document, line):
    values = {name: getattr(document, name) for name in document.__struct_fields__}
    return type(document)(**{**values, "lines": [line]})


def test_an_over_long_item_name_is_cut():
    document = make_sale()
    line = document.lines[0]
    values = {name: getattr(line, name) for name in line.__struct_fields__}
    body = sent(_with_line(document, type(line)(**{**values, "name": "ü" * 300})))
    assert body["itemList"][0]["itemNm"] == "ü" * 200


def test_the_tag_survives_any_remark():
    assert sent(make_sale(tag="rv:1", remark=None))["remark"] == "rv:1"
    assert sent(make_sale(tag="rv:1", remark="Deliver on Monday"))["remark"] == "Deliver on Monday rv:1"
    long = sent(make_sale(tag="rv:1", remark="r" * 500))["remark"]
    assert len(long) == 400 and long.endswith("r rv:1")
    assert sent(make_sale(tag="", remark="  "))["remark"] is None
    for wrong in ("two words", "x" * 41):
        with pytest.raises(ValueError):
            sale_body(make_sale(tag=wrong), SHOP, DIRECT)


def test_a_walk_in_buyer_gets_a_name_because_a_credit_note_needs_one():
    body = sent(make_sale())
    assert (body["custTin"], body["custNm"]) == (None, "Walk-in customer")
    other = profile("oscu_direct_sandbox", walk_in_pin="A000000000A", walk_in_name="CASH")
    body = sent(make_sale(), other)
    assert (body["custTin"], body["custNm"], body["receipt"]["custTin"]) == ("A000000000A", "CASH", "A000000000A")


@pytest.mark.parametrize("missing", ["original_number", "reason", "credited_at"])
def test_a_credit_note_without_its_original_reason_or_date_is_refused(missing):
    values: dict[str, Any] = {
        "original_number": 3,
        "reason": CreditNoteReason.REFUND,
        "credited_at": ISSUED,
        missing: None,
    }
    with pytest.raises(ValueError):
        sale_body(make_sale(kind="credit_note", **values), SHOP, DIRECT)


def test_packages_and_quantities_follow_the_profile():
    line = sent(make_sale(), profile("oscu_direct_sandbox", package_rule="quantity", quantity_decimals=3))["itemList"][
        0
    ]
    assert line["pkg"] == line["qty"] == Decimal("2.000")
    assert sent(make_sale())["itemList"][0]["pkg"] == 1


def test_the_rates_of_the_document_are_sent_for_all_letters():
    body = sent(make_sale(rates={**DEFAULT_RATES, TaxClass.REDUCED: Decimal("0.00")}))
    assert [body[f"taxRt{letter}"] for letter in "ABCDE"] == [0, 16, 0, 0, 0]


def test_the_exclusive_profile_reaches_the_wire():
    line = sent(make_sale(profile=AmountProfile.EXCLUSIVE))["itemList"][0]
    assert (line["prc"], line["splyAmt"], line["taxblAmt"], line["totAmt"]) == (1000, 2000, 2000, 2320)


def test_the_signature_of_an_oscu_and_of_a_vscu_are_read_alike():
    oscu = read_signature(SIGNED)
    assert (oscu.receipt_number, oscu.total_receipt_number, oscu.control_unit_id) == (15, 17, None)
    times = []
    for name in ("vsdcRcptPbctDate", "VSCURcptPbctDate"):
        vscu = read_signature(
            {
                "rcptNo": 15,
                "intrlData": "ABCDEFGHIJKLMNOPQRSTUVWXYZ ",
                "rcptSign": "ABCDEFGH23456723",
                "totRcptNo": 17,
                name: "20260301101531",
                "sdcId": "KRACU0400001235",
                "mrcNo": "KRA00001235 ",
            }
        )
        assert (vscu.control_unit_id, vscu.machine_code) == ("KRACU0400001235", "KRA00001235")
        assert (vscu.receipt_number, vscu.internal_data) == (15, oscu.internal_data)
        times.append(vscu.signed_at)
    assert times == [oscu.signed_at] * 2


@pytest.mark.parametrize("missing", ["curRcptNo", "totRcptNo", "intrlData", "rcptSign", "sdcDateTime"])
@pytest.mark.parametrize("value", [None, "", " "])
def test_a_receipt_with_a_hole_is_no_receipt(missing, value):
    with pytest.raises(Unreadable):
        read_signature({**SIGNED, missing: value})


@pytest.mark.parametrize("wrong", [None, [], "x", {}, {**SIGNED, "curRcptNo": "1.5"}, {**SIGNED, "curRcptNo": "x"}])
def test_nonsense_is_no_receipt(wrong):
    with pytest.raises(Unreadable):
        read_signature(wrong)


@pytest.mark.parametrize("huge", ["1e999999999", "9" * 50, "NaN", "Infinity"])
def test_a_number_past_all_bounds_is_no_number(huge):
    with pytest.raises(Unreadable):
        read_signature({**SIGNED, "curRcptNo": huge})


def test_an_invoice_of_the_look_up_is_read():
    data = SPEC["invoice_details"]["examples"]["response"]["oscu"]["data"]
    data["salesList"][0]["remark"] = "Deliver on Monday rv:1"
    (found,) = read_invoices(data)
    assert (found.number, found.kind, found.original_number, found.buyer_pin) == (15, "sale", None, "A012345678Z")
    assert (str(found.total), str(found.total_tax), found.line_count) == ("2320.00", "320.00", 1)
    assert found.confirmed_at == ISSUED and found.tag == "rv:1"
    (line,) = found.lines
    assert (line.item_code, str(line.quantity), str(line.unit_price)) == ("KE2NTTU0000001", "2", "1160.00")
    assert found.signature.signature == "ABCDEFGH23456723" and found.signature.receipt_number == 15


@pytest.mark.parametrize("data", [None, {}, {"salesList": None}, {"salesList": [1]}, {"salesList": [{}]}])
def test_a_look_up_without_what_it_must_have_is_unreadable(data):
    with pytest.raises(Unreadable):
        read_invoices(data)
