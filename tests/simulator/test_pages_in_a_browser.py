"""The simulator's pages as a person uses them, on a phone: nothing sticks out, switches work, the ledger is live."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.simulator.till import Kra, Till

PHONE = {"width": 360, "height": 740}
PATIENCE_MS = 30_000


@pytest.fixture
def phone(browser_program: str) -> Iterator[Page]:
    """A page of a phone's width. Nothing may go wrong on it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": PHONE["width"], "height": PHONE["height"]})
        page.set_default_timeout(PATIENCE_MS)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        yield page
        browser.close()
    assert not troubles


def is_as_wide_as_the_phone(page: Page) -> bool:
    return int(page.evaluate("document.documentElement.scrollWidth")) == PHONE["width"]


def test_a_fault_is_switched_on_and_off_and_the_clock_is_moved_on_a_phone(phone: Page, till: Till) -> None:
    phone.goto(till.simulator.url)
    phone.select_option("select[name=fault]", "http_status")
    phone.select_option("select[name=operation]", "sales_save")
    phone.get_by_role("button", name="Switch on").click()
    expect(phone.get_by_role("button", name="Remove http_status 1")).to_be_visible(timeout=PATIENCE_MS)
    assert till.sell(1).status == 503
    phone.get_by_role("button", name="Remove http_status 1").click()
    expect(phone.get_by_text("None is on: KRA behaves.")).to_be_visible(timeout=PATIENCE_MS)
    assert till.sell(1).is_accepted
    phone.get_by_role("button", name="+ 1 hour").click()
    expect(phone.get_by_text("3,600 s ahead of the real time")).to_be_visible(timeout=PATIENCE_MS)


def test_the_ledger_shows_a_new_sale_by_itself(phone: Page, till: Till) -> None:
    phone.goto(till.simulator.url)
    till.sell(1, "POS-LIVE")
    expect(phone.locator("#ledger").get_by_text("POS-LIVE")).to_be_visible(timeout=PATIENCE_MS)


def test_nothing_sticks_out_on_a_phone(phone: Page, till: Till, simulator: Kra) -> None:
    till.sell(1, "A" * 50)
    simulator.fault("invoice_details", "gateway_fault", pin=till.pin, branch="00", times=3)
    phone.goto(simulator.url)
    assert is_as_wide_as_the_phone(phone)
    signature = till.ledger()[0]["signature"]
    phone.goto(
        f"{simulator.url}/common/link/etims/receipt/indexEtimsReceiptData?Data={till.pin}{till.branch}{signature}"
    )
    expect(phone.get_by_text("2,320.00").first).to_be_visible()
    assert is_as_wide_as_the_phone(phone)
