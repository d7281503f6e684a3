"""What an installation may choose of a connection profile."""

import pytest

from gateway.kra.options import NAMES, read_options, without_gateway
from gateway.kra.profiles import Profile, profile


def test_options_are_read_from_text_and_fit_the_profile() -> None:
    options = read_options({"amount_profile": "exclusive", "quantity_decimals": "3"}, environment="sandbox")
    assert options == {"amount_profile": "exclusive", "quantity_decimals": 3}
    assert profile("oscu_direct_sandbox", **options).amount_profile == "exclusive"


def test_every_option_is_a_field_of_the_profile_and_none_says_which_kra_it_is() -> None:
    assert set(NAMES) < set(Profile.__struct_fields__)
    assert not {"environment", "flavour", "base_url", "receipt_url", "name"} & set(NAMES)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"amount_profil": "exclusive"}, "there is no option"),
        ({"environment": "production"}, "there is no option"),
        ({"amount_profile": "gross"}, "Invalid enum value"),
        ({"quantity_decimals": "two"}, "whole number"),
        ({"quantity_decimals": "9"}, "between 0 and 3"),
        ({"paths": "soap"}, "Invalid enum value"),
        ({"token_url": "https://api.kra.go.ke/v1/token/generate"}, "must not reach"),
    ],
)
def test_what_cannot_be_is_said(texts: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_options(texts, environment="sandbox")


def test_a_token_host_of_production_fits_production_only() -> None:
    url = "https://api.kra.go.ke/v1/token/generate"
    assert read_options({"token_url": url}, environment="production") == {"token_url": url}


def test_other_flavours_keep_what_is_not_about_the_gateway() -> None:
    assert without_gateway({"paths": "gava_integrator", "walk_in_pin": "A000000000Z"}) == {"walk_in_pin": "A000000000Z"}
