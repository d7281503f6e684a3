import pytest

from gateway.kra.profiles import PROFILES, Flavour, allowed, profile, reaches, simulator
from gateway.kra.tax import AmountProfile


def test_every_flavour_has_a_sandbox_and_a_production():
    assert {(known.flavour, known.environment) for known in PROFILES.values()} == {
        (flavour, environment) for flavour in Flavour for environment in ("sandbox", "production")
    }
    for name, known in PROFILES.items():
        assert name == known.name and known.receipt_url.endswith("Data=")
        assert known.amount_profile is AmountProfile.INCLUSIVE_NET_BASE and known.late_seconds == 300
        assert bool(known.token_url) is (known.flavour is Flavour.GAVACONNECT)


@pytest.mark.parametrize("name", PROFILES)
def test_test_traffic_and_production_never_mix(name):
    known = PROFILES[name]
    assert allowed(known, "production") is (known.environment == "production")
    assert allowed(known, "sandbox") is (known.environment == "sandbox")


def test_a_simulator_takes_its_address_and_is_for_tests_only():
    known = simulator(Flavour.GAVACONNECT, "http://127.0.0.1:9000/")
    assert known.base_url == "http://127.0.0.1:9000/gavaconnect/etims-oscu/api/v1"
    assert known.token_url == "http://127.0.0.1:9000/gavaconnect/v1/token/generate"
    assert known.receipt_url.startswith("http://127.0.0.1:9000/common/link/")
    assert allowed(known, "sandbox") and not allowed(known, "production")
    changed = simulator(Flavour.VSCU, "http://127.0.0.1:9000", base_url="http://127.0.0.1:9000", late_seconds=2)
    assert (changed.base_url, changed.late_seconds, changed.paths) == ("http://127.0.0.1:9000", 2, "vscu")


@pytest.mark.parametrize(
    ("name", "base_url"),
    [
        ("oscu_direct_sandbox", "https://etims-api.kra.go.ke/etims-api"),
        ("vscu_sandbox", "HTTPS://ETIMS-API.KRA.GO.KE.:443/etims-api"),
        ("gavaconnect_sandbox", "https://api.kra.go.ke/etims-oscu/api/v1"),
        ("oscu_direct_sandbox", "https://etims-api\u3002kra\uff0ego.ke/etims-api"),
        ("oscu_direct_sandbox", "https://user@etims-api.kra.go.ke/etims-api"),
        ("oscu_direct_sandbox", "https://newhost.kra.go.ke/etims-api"),
        ("oscu_direct_sandbox", "https://kra.go.ke"),
        ("oscu_direct_production", "https://etims-api-sbx.kra.go.ke/etims-api"),
    ],
)
def test_a_profile_cannot_be_pointed_at_the_other_environment(name, base_url):
    with pytest.raises(ValueError, match="must not reach"):
        profile(name, base_url=base_url)


def test_a_token_address_of_the_other_environment_is_refused_too():
    with pytest.raises(ValueError, match="must not reach"):
        profile("gavaconnect_sandbox", token_url="https://api.kra.go.ke/v1/token/generate")
    with pytest.raises(ValueError, match="must not reach"):
        simulator(Flavour.OSCU_DIRECT, "https://etims-api.kra.go.ke")


def test_overrides_are_checked():
    changed = profile("oscu_direct_sandbox", package_rule="quantity", amount_profile="exclusive")
    assert (changed.package_rule, changed.amount_profile) == ("quantity", AmountProfile.EXCLUSIVE)
    with pytest.raises(ValueError):
        profile("oscu_direct_sandbox", package_rule="three")
    with pytest.raises(ValueError):
        profile("oscu_direct_sandbox", quantity_decimals=9)
    with pytest.raises(ValueError):
        profile("oscu_direct_sandbox", base_url="ftp://example.com")
    with pytest.raises(ValueError):
        profile("oscu_direct_sandbox", no_such_setting=1)
    with pytest.raises(KeyError):
        profile("unknown")


def test_the_own_address_of_a_device_is_checked():
    sandbox, production = profile("vscu_sandbox"), profile("vscu_production")
    assert reaches(sandbox, "http://10.0.0.5:8088") and reaches(production, "http://10.0.0.5:8088")
    assert not reaches(sandbox, "https://etims-api.kra.go.ke") and not reaches(production, "https://sbx.kra.go.ke")
    assert reaches(production, "https://newhost.kra.go.ke") and reaches(sandbox, "https://notkra.go.ke.example.com")
    assert not reaches(sandbox, "file:///etc/passwd") and not reaches(sandbox, "10.0.0.5:8088")
