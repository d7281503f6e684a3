"""The simulator's page: everything on it comes from the server, nothing on it comes from elsewhere."""

import re

import pytest

from gateway.simulator.faults import KINDS
from tests.simulator.till import Kra, Till


@pytest.mark.parametrize("path", ["/", "/_sim/"])
def test_the_page_shows_ledger_faults_and_clock_and_says_what_it_is(till: Till, simulator: Kra, path: str) -> None:
    till.sell(1, "POS-1")
    simulator.fault("sales_save", "html_page", pin=till.pin)
    page = till.raw("GET", path, b"", {})
    assert page.status == 200 and "SIMULATED" in page.message
    for text in ("POS-1", "html_page", "in Nairobi", "Strict, amounts inclusive_net_base", till.serial):
        assert text in page.message
    assert all(f'<option value="{name}">' in page.message for name in KINDS)
    assert not re.search(r'(src|href)="(https?:)?//', page.message)
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_what_callers_send_is_shown_and_not_run(till: Till) -> None:
    till.sell(1, "<script>alert(1)</script>")
    page = till.raw("GET", "/_sim/parts/ledger", b"", {}).message
    assert "&lt;script&gt;" in page and "<script>" not in page


@pytest.mark.parametrize("name", ["clock", "faults", "ledger", "requests", "devices", "settings"])
def test_each_part_can_be_refreshed(till: Till, jar: Till, simulator: Kra, name: str) -> None:
    simulator.fault("*", "vscu_offline", pin=jar.pin, for_seconds=60)
    jar.sell(1)
    part = till.raw("GET", f"/_sim/parts/{name}", b"", {})
    assert part.status == 200 and "<html" not in part.message


def test_a_part_that_does_not_exist_is_404(till: Till) -> None:
    assert till.raw("GET", "/_sim/parts/nothing", b"", {}).status == 404


@pytest.mark.parametrize("name", ["console.js", "console.css"])
def test_its_files_are_its_own(till: Till, name: str) -> None:
    assert till.raw("GET", f"/_sim/static/{name}", b"", {}).status == 200
