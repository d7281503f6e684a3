from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lib.clock import NAIROBI, from_stamp, to_date8, to_stamp14, utc_now

MORNING = datetime(2026, 3, 1, 7, 15, 0, tzinfo=UTC)


def test_kra_gets_nairobi_time_whatever_our_zone():
    assert to_stamp14(MORNING) == "20260301101500"
    assert to_stamp14(MORNING.astimezone(timezone(timedelta(hours=-8)))) == "20260301101500"


def test_a_sale_before_three_in_the_night_utc_belongs_to_the_next_day_in_nairobi():
    assert to_date8(datetime(2026, 2, 28, 22, 0, tzinfo=UTC)) == "20260301"
    assert to_date8(date(2026, 2, 28)) == "20260228"


@pytest.mark.parametrize("text", ["20260301101500", "2026-03-01 10:15:00", "2026-03-01 10:15:00.0", "20260301101500  "])
def test_every_form_of_kras_time_is_the_same_moment(text):
    assert from_stamp(text) == MORNING


def test_a_date_is_its_midnight_in_nairobi():
    assert from_stamp("20260301") == datetime(2026, 2, 28, 21, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "2026",
        "2026-03-01",
        "20261301",
        "20260301256060",
        "01/03/2026",
        "\uff12\uff10\uff12\uff16\uff10\uff13\uff10\uff11",
    ],
)
def test_what_is_no_time_is_refused(wrong):
    with pytest.raises(ValueError):
        from_stamp(wrong)


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(ValueError):
        to_stamp14(datetime(2026, 3, 1))  # noqa: DTZ001 - this is what must be refused


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_comes_back_to_the_second(moment):
    assert from_stamp(to_stamp14(moment)) == moment.replace(microsecond=0)


def test_now_is_utc_and_nairobi_is_three_hours_ahead():
    assert utc_now().tzinfo is UTC
    assert MORNING.astimezone(NAIROBI).utcoffset() == timedelta(hours=3)
