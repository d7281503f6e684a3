import json
from decimal import Decimal

import pytest

from gateway.kra.codes import ProductType
from gateway.kra.profiles import profile
from gateway.kra.wire.items import item_body, item_code, item_with_number
from tests.kra.samples import SHOP, make_item
from tests.kra.spec import SPEC, check

DIRECT = profile("oscu_direct_sandbox")


def sent(serial=1, **changes):
    return json.loads(item_with_number(item_body(make_item(**changes), SHOP, DIRECT), serial), parse_float=Decimal)


def test_an_item_fits_the_field_table_and_the_published_example():
    body = sent(operator_id="cashier1", operator_name="Till One")
    check(SPEC["item_save"]["request"]["fields"], body)
    example = SPEC["item_save"]["examples"]["request"]["both"]
    assert body == json.loads(json.dumps(example), parse_float=Decimal)


def test_the_serial_ends_the_code_and_changes_nothing_else():
    body = item_body(make_item(), SHOP, DIRECT)
    assert body.startswith(b'{"itemCd":"KE2NTTU","tin"')
    numbered = item_with_number(body, 1234567)
    assert numbered.startswith(b'{"itemCd":"KE2NTTU1234567","tin"') and len(numbered) == len(body) + 7


@pytest.mark.parametrize("serial", [0, -1, 10_000_000])
def test_a_serial_has_seven_digits(serial):
    with pytest.raises(ValueError):
        item_with_number(item_body(make_item(), SHOP, DIRECT), serial)
    with pytest.raises(ValueError):
        item_code(make_item(), serial, DIRECT)


def test_a_known_item_keeps_its_code():
    body = json.loads(item_body(make_item(code="KE2NTTU0000007", in_use=False), SHOP, DIRECT))
    assert (body["itemCd"], body["useYn"]) == ("KE2NTTU0000007", "N")


def test_the_code_is_built_of_country_type_and_units():
    service = make_item(product_type=ProductType.SERVICE, packaging_unit="OU", quantity_unit="NO")
    assert item_code(service, 12, DIRECT) == "KE3OUNO0000012"


def test_units_of_one_and_three_letters_are_padded_where_the_profile_says_so():
    padded = profile("oscu_direct_sandbox", unit_padding="X")
    assert item_code(make_item(quantity_unit="U"), 6, padded) == "KE2NTXU0000006"
    assert item_code(make_item(country="KR", packaging_unit="AM", quantity_unit="BLL"), 1, padded) == "KR2AMXBLL0000001"
    assert item_code(make_item(quantity_unit="U"), 6, DIRECT) == "KE2NTU0000006"


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "x" * 21},
        {"item_class": "1" * 11},
        {"name": ""},
        {"barcode": "1" * 21},
        {"batch_number": "1" * 11},
        {"packaging_unit": ""},
        {"country": "KENYAN"},
    ],
)
def test_an_impossible_code_or_no_name_is_refused(wrong):
    with pytest.raises(ValueError):
        item_body(make_item(**wrong), SHOP, DIRECT)


def test_names_are_cut_and_prices_exact():
    body = sent(name="n" * 300, standard_name="s" * 300, group_prices=(Decimal("1.10"), Decimal("2.20")))
    assert (len(body["itemNm"]), len(body["itemStdNm"])) == (200, 200)
    assert [str(body[f"grpPrcL{level}"]) for level in range(1, 6)] == ["1.10", "2.20", "0.00", "0.00", "0.00"]
