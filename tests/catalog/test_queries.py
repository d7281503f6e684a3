from decimal import Decimal

import pytest

from gateway.catalog.models import Code
from gateway.catalog.queries import current_rates, known_codes

pytestmark = pytest.mark.django_db


def rate(letter: str, value: str, *, environment: str = "sandbox", in_use: bool = True) -> None:
    Code.objects.create(environment=environment, code_class="04", code=letter, name=letter, value=value, in_use=in_use)


def test_before_anything_is_fetched_the_shipped_rates_hold() -> None:
    rates = current_rates("sandbox")
    assert list(rates) == ["A", "B", "C", "D", "E"]
    assert rates["B"] == Decimal(16)


def test_kras_own_rate_comes_before_the_shipped_one() -> None:
    rate("E", "0")
    rate("B", " 14.5 ")
    rates = current_rates("sandbox")
    assert (rates["E"], rates["B"], rates["A"]) == (Decimal(0), Decimal("14.5"), Decimal(0))


def test_each_environment_has_its_own_rates() -> None:
    rate("B", "14", environment="production")
    assert current_rates("sandbox")["B"] == Decimal(16)
    assert current_rates("production")["B"] == Decimal(14)


@pytest.mark.parametrize("value", ["", "none", "NaN", "Infinity", "-1", "101"])
def test_a_rate_that_makes_no_sense_is_not_used(value: str) -> None:
    rate("B", value)
    assert current_rates("sandbox")["B"] == Decimal(16)


def test_a_letter_kra_has_retired_keeps_its_shipped_rate() -> None:
    rate("B", "99", in_use=False)
    assert current_rates("sandbox")["B"] == Decimal(16)


def test_units_come_from_kras_list_once_it_is_here() -> None:
    assert "KG" in known_codes("sandbox", "10")
    Code.objects.create(environment="sandbox", code_class="10", code="QQ", name="Quux")
    Code.objects.create(environment="sandbox", code_class="10", code="KG", name="Kilo", in_use=False)
    assert known_codes("sandbox", "10") == {"QQ": "Quux"}
