from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.kra.breaker import Breaker, due_at, is_host_trouble
from gateway.kra.errors import Busy, DeviceTrouble, Duplicate, KraError, NoAnswer, NotSent, Refused


def opened(now=100.0):
    breaker = Breaker()
    for device in range(5):
        breaker.failed(device, now)
    assert breaker.is_open
    return breaker


def test_one_bad_device_never_opens_it():
    breaker = Breaker()
    assert not any(breaker.failed("bad", second) for second in range(100))
    assert breaker.allows("bad", 100) and breaker.allows("other", 100)


def test_five_devices_open_it_and_the_opening_is_told_once():
    breaker = Breaker()
    assert [breaker.failed(device, 100.0) for device in range(7)] == [False] * 4 + [True] + [False] * 2
    assert breaker.opened_at == 100.0


def test_a_success_of_anybody_in_between_keeps_it_closed():
    breaker = Breaker()
    for device in range(20):
        assert not breaker.failed(device, 100.0)
        if device % 4 == 3:
            assert not breaker.succeeded()


def test_failures_of_long_ago_do_not_add_up():
    breaker = Breaker()
    for device in range(4):
        breaker.failed(device, 0.0)
    assert not breaker.failed("late", 200.0)
    assert not breaker.is_open


def test_devices_that_time_out_one_after_another_do_add_up():
    breaker = Breaker()
    assert [breaker.failed(device, 40.0 * device) for device in range(5)][-1]


def test_while_open_one_probe_goes_out_every_three_seconds():
    breaker = opened(100.0)
    asked = [(second / 2, breaker.allows("healthy", second / 2)) for second in range(200, 225)]
    assert [when for when, granted in asked if granted] == [103.0, 106.0, 109.0, 112.0]


def test_a_healthy_device_probes_before_those_that_failed():
    breaker = opened(100.0)
    assert not breaker.allows("healthy", 102.0)
    assert not breaker.allows(0, 103.0)
    assert breaker.allows("healthy", 103.5)


def test_a_device_that_failed_probes_when_nobody_else_wants_to():
    breaker = opened(100.0)
    assert not breaker.allows(0, 102.9)
    assert breaker.allows(0, 103.0)
    assert not breaker.allows(1, 105.9)
    assert breaker.allows(1, 106.0)


def test_a_success_closes_it_for_all():
    breaker = opened()
    assert breaker.succeeded() and not breaker.succeeded()
    assert breaker.allows(0, 100.0)
    assert [breaker.failed(device, 101.0) for device in range(5)][-1]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # 200 names take long on a busy machine
@given(st.lists(st.uuids(), min_size=200, max_size=200, unique=True))
def test_resting_lanes_come_back_spread_over_five_seconds(lanes):
    times = [due_at(str(lane), 1000.0) for lane in lanes]
    assert all(1000.0 <= time < 1005.0 for time in times)
    for second in range(5):
        assert 10 <= sum(1000 + second <= time < 1001 + second for time in times) <= 90
    assert times == [due_at(str(lane), 1000.0) for lane in lanes]


def test_only_trouble_of_the_host_counts():
    speaking: list[KraError] = [
        NotSent("not_connected", ""),
        NoAnswer("no_answer", ""),
        NoAnswer("http_5xx", ""),
        Busy("http_5xx", ""),
    ]
    silent: list[KraError] = [
        NoAnswer("999", ""),
        NoAnswer("899", ""),
        Busy("990", ""),
        Busy("http_429", ""),
        Refused("http_404", ""),
        Duplicate("994", ""),
        DeviceTrouble("901", ""),
        NotSent("bad_address", ""),
    ]
    assert [is_host_trouble(error) for error in speaking] == [True] * len(speaking)
    assert [is_host_trouble(error) for error in silent] == [False] * len(silent)
