"""Over which profile a device speaks: GavaConnect with its app, and the options of an installation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import LazySettings

from gateway.catalog.reference import activate_and_fetch, has_reference_data
from gateway.devices.contact import sync_device_status
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile, app_for, profile_for
from gateway.kra.profiles import Flavour
from gateway.lib.clock import utc_now
from tests.servers import Simulator
from tests.tenants.factories import PIN, make_company

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def app(settings: LazySettings) -> LazySettings:
    """The credentials of an app."""
    settings.KRA_APP_CONSUMER_KEY = "sim-consumer"
    settings.KRA_APP_CONSUMER_SECRET = "sim-secret"
    settings.KRA_APP_ID = "app-1"
    return settings


def device(profile: str, kind: str = "oscu") -> Device:
    return Device(environment="sandbox", profile=profile, kind=kind, serial="S")


def test_gavaconnect_needs_all_three_of_the_app(app: LazySettings) -> None:
    wanted = device("gavaconnect_sandbox")
    assert profile_for(wanted).flavour is Flavour.GAVACONNECT
    for name in ("KRA_APP_CONSUMER_KEY", "KRA_APP_CONSUMER_SECRET", "KRA_APP_ID"):
        kept = getattr(app, name)
        setattr(app, name, "")
        with pytest.raises(WrongProfile, match="KRA_APP_CONSUMER_KEY"):
            profile_for(wanted)
        setattr(app, name, kept)


@pytest.mark.usefixtures("app")
def test_only_gavaconnect_is_shown_the_app() -> None:
    assert app_for(profile_for(device("gavaconnect_sandbox"))) is not None
    assert app_for(profile_for(device("oscu_direct_sandbox"))) is None
    assert app_for(profile_for(device("vscu_sandbox", "vscu"))) is None


def test_options_count_for_devices_of_the_settings_profile_and_for_every_vscu(settings: LazySettings) -> None:
    settings.KRA_SANDBOX_OPTIONS = {"amount_profile": "exclusive", "paths": "gava_integrator"}
    settings.KRA_SANDBOX_PROFILE = "oscu_direct_sandbox"
    vscu = profile_for(device("vscu_sandbox", "vscu"))
    assert (vscu.amount_profile, vscu.paths) == ("exclusive", "vscu")
    assert profile_for(device("oscu_direct_sandbox")).amount_profile == "exclusive"
    settings.KRA_SANDBOX_PROFILE = "gavaconnect_sandbox"  # the settings have moved on
    assert profile_for(device("oscu_direct_sandbox")).amount_profile == "inclusive_net_base"


def test_a_device_is_activated_fed_and_watched_over_gavaconnect(app: LazySettings, simulator: Simulator) -> None:
    app.KRA_SANDBOX_PROFILE = "simulator_gavaconnect"
    app.KRA_SANDBOX_BASE_URL = f"{simulator.url}/gavaconnect/etims-oscu/api/v1"
    simulator.approve(PIN, "00", "AMANI-00")
    made = activate_and_fetch(device=make_company().device, now=utc_now())
    assert made.status == "active" and has_reference_data(made)
    assert sync_device_status() == 1
    assert {row["flavour"] for row in simulator.requests(pin=PIN)} == {"gavaconnect"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"KRA_SANDBOX_OPTIONS": "amount_profile=gross"}, "The options of KRA's sandbox profile"),
        ({"KRA_PROD_OPTIONS": "colour=red"}, "there is no option 'colour'"),
        ({"KRA_APP_ID": "app-1"}, "belong together"),
    ],
)
def test_a_bad_value_stops_the_start(given: dict[str, str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import gateway.settings"],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0 and says in done.stderr
