"""The simulation that `docs/explanation/how-big-can-it-get.md` gives its figures from."""

import json

import pytest

from tests.bench.nation import Country, main, simulate

SMALL = Country(rate=50.0, branches=2_000, minutes=1.0)


def test_every_sale_gets_its_receipt_and_a_seed_repeats_it() -> None:
    report = simulate(SMALL)
    assert 2_600 < report.sales < 3_400
    assert 300 < report.wait_p50_ms < 330
    assert report.wait_p50_ms < report.wait_p95_ms < report.wait_p99_ms
    assert report == simulate(SMALL)


def test_a_branch_signs_one_after_another() -> None:
    report = simulate(Country(rate=10.0, branches=1, minutes=1.0, kra_ms=200.0, kra_p99_ms=200.001))
    assert report.most_with_kra == 1
    assert report.last_receipt_seconds == pytest.approx(report.sales * 0.2 - 60, rel=0.1)
    assert report.longest_queue > 200


def test_too_few_cores_are_the_queue() -> None:
    enough = simulate(Country(rate=400.0, minutes=0.5, gateway_cores=2))
    few = simulate(Country(rate=400.0, minutes=0.5, gateway_cores=1, gateway_ms=3.0))
    assert enough.gateway_busy < 0.5
    assert few.gateway_busy > 0.95
    assert few.wait_p50_ms > 5 * enough.wait_p50_ms


def test_what_came_while_kra_was_away_is_signed_when_it_is_back() -> None:
    away = simulate(Country(rate=50.0, branches=2_000, minutes=3.0, outage_seconds=60.0))
    assert away.sales > 8_000
    assert away.wait_p95_ms > 50_000
    assert away.most_with_kra <= 2_000
    assert away.last_receipt_seconds < 60


def test_it_is_run_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rate", "5", "--branches", "10", "--minutes", "0.1"])
    told = json.loads(capsys.readouterr().out)
    assert told["country"]["branches"] == 10
    assert told["report"]["sales"] > 0
