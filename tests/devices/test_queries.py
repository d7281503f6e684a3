import uuid

import pytest
from django.conf import LazySettings

from gateway.devices.models import Device
from gateway.devices.queries import (
    DeviceUnclear,
    DeviceUnknown,
    WrongProfile,
    find_device,
    profile_for,
    profile_name_for,
)
from gateway.devices.services import add_device
from gateway.kra.profiles import Flavour
from gateway.tenants.services import add_branch
from tests.tenants.factories import make_company, make_stranger

SIMULATOR = "http://127.0.0.1:9000/oscu/etims-api"


def device(profile: str, environment: str = "sandbox", kind: str = "oscu", base_url: str = "") -> Device:
    return Device(profile=profile, environment=environment, kind=kind, base_url=base_url)


@pytest.fixture
def simulated(settings: LazySettings) -> None:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = SIMULATOR
    settings.KRA_SANDBOX_RECEIPT_URL = "http://127.0.0.1:9000/verify?Data="


def test_a_sandbox_device_speaks_to_kras_sandbox() -> None:
    found = profile_for(device("oscu_direct_sandbox"))
    assert (found.environment, found.base_url) == ("sandbox", "https://etims-api-sbx.kra.go.ke/etims-api")


@pytest.mark.usefixtures("simulated")
def test_the_simulators_address_comes_from_the_settings() -> None:
    found = profile_for(device("simulator"))
    assert (found.base_url, found.receipt_url) == (SIMULATOR, "http://127.0.0.1:9000/verify?Data=")
    assert (found.environment, found.flavour) == ("simulator", Flavour.OSCU_DIRECT)


@pytest.mark.usefixtures("simulated")
def test_a_vscu_finds_its_own_door_of_the_simulator() -> None:
    found = profile_for(device("simulator", kind="vscu"))
    assert (found.base_url, found.flavour) == ("http://127.0.0.1:9000/vscu", Flavour.VSCU)


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("profile", ["simulator", "oscu_direct_sandbox", "gavaconnect_sandbox"])
def test_a_production_device_never_speaks_to_a_test_system(profile: str) -> None:
    with pytest.raises(WrongProfile):
        profile_for(device(profile, environment="production"))


@pytest.mark.parametrize("profile", ["oscu_direct_production", "gavaconnect_production"])
def test_a_sandbox_device_never_speaks_to_production(profile: str) -> None:
    with pytest.raises(WrongProfile):
        profile_for(device(profile))


def test_a_sandbox_profile_cannot_be_pointed_at_a_production_host(settings: LazySettings) -> None:
    settings.KRA_SANDBOX_BASE_URL = "https://etims-api.kra.go.ke/etims-api"
    with pytest.raises(WrongProfile, match="must not reach"):
        profile_for(device("oscu_direct_sandbox"))


def test_a_vscu_at_a_production_host_is_refused_in_the_sandbox() -> None:
    with pytest.raises(WrongProfile, match="may not be reached"):
        profile_for(device("vscu_sandbox", kind="vscu", base_url="https://etims-api.kra.go.ke/x"))


def test_an_old_device_keeps_its_profile_when_the_settings_move_on(settings: LazySettings) -> None:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = SIMULATOR
    assert profile_for(device("oscu_direct_sandbox")).base_url == "https://etims-api-sbx.kra.go.ke/etims-api"


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(WrongProfile, match="'nonsense'"):
        profile_for(device("nonsense"))


def test_a_profile_of_the_other_kind_of_device_is_refused() -> None:
    with pytest.raises(WrongProfile, match="not for VSCU"):
        profile_for(device("oscu_direct_sandbox", kind="vscu"))


def test_gavaconnect_without_the_apps_credentials_is_a_matter_of_setup() -> None:
    with pytest.raises(WrongProfile, match="GavaConnect"):
        profile_for(device("gavaconnect_sandbox"))


@pytest.mark.parametrize(
    ("environment", "kind", "name"),
    [
        ("sandbox", "oscu", "oscu_direct_sandbox"),
        ("sandbox", "vscu", "vscu_sandbox"),
        ("production", "oscu", "oscu_direct_production"),
        ("production", "vscu", "vscu_production"),
    ],
)
def test_a_new_device_gets_the_profile_of_its_environment(environment: str, kind: str, name: str) -> None:
    assert profile_name_for(environment, kind) == name


@pytest.mark.django_db
def test_a_device_is_found_by_id_by_serial_or_because_it_is_the_only_one() -> None:
    made = make_company()
    pk = made.company.pk
    for wanted in (str(made.device.public_id), "AMANI-00", None, ""):
        assert find_device(pk, "sandbox", wanted) == made.device


@pytest.mark.django_db
def test_a_strangers_device_does_not_exist() -> None:
    made, stranger = make_company(), make_stranger()
    for wanted in (str(stranger.device.public_id), "STRANGER-00", str(uuid.uuid4()), "nonsense\x00"):
        with pytest.raises(DeviceUnknown):
            find_device(made.company.pk, "sandbox", wanted)
    with pytest.raises(DeviceUnknown):
        find_device(made.company.pk, "production", "AMANI-00")


@pytest.mark.django_db
def test_with_several_devices_one_must_be_named_unless_the_key_is_bound_to_one() -> None:
    made = make_company()
    second = add_device(
        company=made.company,
        branch=add_branch(made.company, code="01", name="Westlands"),
        environment="sandbox",
        serial="AMANI-01",
    )
    with pytest.raises(DeviceUnclear):
        find_device(made.company.pk, "sandbox", None)
    assert find_device(made.company.pk, "sandbox", None, only=second.public_id) == second
    with pytest.raises(DeviceUnknown):
        find_device(made.company.pk, "sandbox", "AMANI-00", only=second.public_id)
