"""People in a real browser: signing in, the second step, the lock, invitations; on a phone, too, and by keyboard."""

import base64
import hashlib
import hmac
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.gateway import Gateway
from tests.gateway import gateway as running_gateway
from tests.mailbox import Mailbox, mailbox
from tests.servers import Simulator

PASSWORD = "correct horse battery"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (seen) =>
    console.error(`against the policy: ${seen.effectiveDirective} ${seen.blockedURI} ${seen.sourceFile}`))"""
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
pytestmark = [pytest.mark.only_on("sqlite"), pytest.mark.slow, pytest.mark.xdist_group("people in a browser")]


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, simulator_process: Simulator, box: Mailbox) -> Iterator[Gateway]:
    """A gateway that sends mail."""
    folder = tmp_path_factory.mktemp("people")
    settings = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(box.port), "EMAIL_USE_TLS": "false"}
    url = f"sqlite:///{folder / 'gateway.sqlite3'}"
    with running_gateway(folder, url, simulator_process, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(browser_program: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, args=ARGUMENTS)
        yield browser
        browser.close()


class Somebody:
    """A person with a browser of their own, who notices what its console says."""

    def __init__(self, chromium: Browser, house: Gateway, viewport: dict[str, int]) -> None:
        self.context: BrowserContext = chromium.new_context(base_url=house.url, viewport=viewport)  # type: ignore[arg-type]
        self.context.add_init_script(TELL_VIOLATIONS)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: Any) -> None:
        expected = re.search(r"status of (404|429)", message.text)  # the browser's own line about such a page
        if message.type in {"error", "warning"} and not expected:
            self.complaints.append(f"{message.type}: {message.text}")

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        self.page.goto("/account/login/")
        self.page.get_by_label("E-mail address").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def sees(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.locator("body")).to_contain_text(text)

    def fits(self) -> None:
        """Nothing stands out of the screen's side."""
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), self.page.url


@pytest.fixture
def somebody(chromium: Browser, house: Gateway) -> Iterator[Any]:
    """Makes people; at the end nobody's browser may have complained."""
    made: list[Somebody] = []

    def make(viewport: dict[str, int] = DESK) -> Somebody:
        made.append(Somebody(chromium, house, viewport))
        return made[-1]

    yield make
    for person in made:
        person.context.close()
    assert [person.complaints for person in made if person.complaints] == []


@pytest.fixture
def owner(house: Gateway, simulator: Simulator) -> str:
    """The address of a new company's owner."""
    pin = f"P{time.time_ns() % 10**9:09d}X"
    address = f"owner-{pin.lower()}@amani.example"
    simulator.approve(pin, "00", f"SERIAL-{pin}")
    answer = house.call(
        "POST",
        "/api/onboard/",
        {
            "company": {"pin": pin, "name": "Amani Stores Ltd"},
            "device": {"serial": f"SERIAL-{pin}"},
            "owner": {"email": address, "name": "Wanjiru Kamau", "password": PASSWORD},
        },
    )
    assert answer.status == 201, answer
    return address


def code(secret: str, *, steps: int = 0) -> str:
    """The six digits of now, or of some steps of 30 seconds later (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time() // 30) + steps)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_an_owner_signs_in_looks_around_and_signs_out(somebody: Any, owner: str, viewport: dict[str, int]) -> None:
    wanjiru = somebody(viewport)
    wanjiru.sign_in(owner, "not the password")
    wanjiru.sees("The e-mail address and the password do not fit together.")
    wanjiru.sign_in(owner)
    wanjiru.sees("Amani Stores Ltd")
    wanjiru.sees("Nothing sold here yet.")
    wanjiru.fits()
    for link, text in {
        "People": "Invite somebody",
        "Your account": "An app on your phone",
        "Password": "Change your password",
        "Where you are signed in": "this one",
    }.items():
        wanjiru.page.get_by_role("link", name=link, exact=True).click()
        wanjiru.sees(text)
        wanjiru.fits()
    wanjiru.page.get_by_role("button", name="Sign out", exact=True).click()
    wanjiru.sees("Sign in")
    wanjiru.page.goto("/home/")
    expect(wanjiru.page).to_have_url(re.compile("/account/login/"))


def test_the_keyboard_alone_is_enough_to_sign_in(somebody: Any, owner: str) -> None:
    wanjiru = somebody()
    wanjiru.page.goto("/account/login/")
    keys = wanjiru.page.keyboard
    keys.press("Tab")
    expect(wanjiru.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press("Enter")
    keys.press("Tab")
    expect(wanjiru.page.get_by_label("E-mail address")).to_be_focused()
    keys.type(owner)
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Tab")
    expect(wanjiru.page.get_by_role("button", name="Sign in")).to_be_focused()
    keys.press("Enter")
    wanjiru.sees("Amani Stores Ltd")


def test_five_wrong_passwords_lock_and_the_page_says_how_long(somebody: Any, owner: str) -> None:
    guesser = somebody(PHONE)
    for _ in range(5):
        guesser.sign_in(owner, "guess")
    guesser.sees("Signing in is locked")
    guesser.sees("Wait 15 minutes")
    guesser.fits()
    guesser.sign_in(owner)
    guesser.sees("Signing in is locked")


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_second_step_is_set_up_used_and_replaced_by_a_recovery_code(
    somebody: Any, owner: str, box: Mailbox, viewport: dict[str, int]
) -> None:
    wanjiru = somebody(viewport)
    wanjiru.sign_in(owner)
    wanjiru.page.get_by_role("link", name="Your account").click()
    wanjiru.page.get_by_role("link", name="Set it up").click()
    wanjiru.page.get_by_label("Password").fill(PASSWORD)
    wanjiru.page.get_by_role("button", name="Go on").click()
    expect(wanjiru.page.locator(".qr svg")).to_be_visible()
    wanjiru.fits()
    secret = wanjiru.page.locator("#secret").inner_text()
    wanjiru.page.get_by_label("The six digits").fill("000000")
    wanjiru.page.get_by_role("button", name="Switch it on").click()
    wanjiru.sees("This code is not right")
    assert wanjiru.page.locator("#secret").inner_text() == secret
    wanjiru.page.get_by_label("The six digits").fill(code(secret))
    wanjiru.page.get_by_role("button", name="Switch it on").click()
    wanjiru.sees("The second step is on.")
    wanjiru.fits()
    recovery = wanjiru.page.locator(".codes li").all_inner_texts()
    assert len(recovery) == 10
    assert "asks for a code" in box.newest(owner)

    with_phone = somebody(viewport)
    with_phone.sign_in(owner)
    with_phone.sees("Your code, please")
    with_phone.page.goto("/home/")
    with_phone.sees("Your code, please")
    with_phone.page.get_by_role("button", name="Start again").click()
    with_phone.sees("Forgot your password?")
    with_phone.sign_in(owner)
    with_phone.page.get_by_label("Code").fill(code(secret, steps=1))
    with_phone.page.get_by_role("button", name="Sign in").click()
    with_phone.sees("Amani Stores Ltd")

    without_phone = somebody(viewport)
    without_phone.sign_in(owner)
    without_phone.page.get_by_label("Code").fill(recovery[0])
    without_phone.page.get_by_role("button", name="Sign in").click()
    without_phone.sees("Amani Stores Ltd")
    without_phone.page.get_by_role("link", name="Your account").click()
    without_phone.sees("9 of your codes are unused")

    again = somebody(viewport)
    again.sign_in(owner)
    again.page.get_by_label("Code").fill(recovery[0])
    again.page.get_by_role("button", name="Sign in").click()
    again.sees("This code is not right, or was used already")


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_a_colleague_is_invited_and_joins(somebody: Any, owner: str, box: Mailbox, viewport: dict[str, int]) -> None:
    wanjiru, kim = somebody(viewport), somebody(viewport)
    address = f"kim-{time.time_ns()}@amani.example"
    wanjiru.sign_in(owner)
    wanjiru.page.get_by_role("link", name="People").click()
    wanjiru.page.get_by_label("E-mail address").fill(address)
    wanjiru.page.get_by_label("Role").select_option("Accountant")
    wanjiru.page.get_by_role("button", name="Send the invitation").click()
    wanjiru.sees(f"We sent {address} a link.")
    wanjiru.fits()
    link = re.search(r"http://\S+/account/invitation/\S+/", box.newest(address))
    assert link

    kim.page.goto(link[0])
    expect(kim.page).to_have_url(re.compile("/account/invitation/$"))
    kim.sees("Welcome to Amani Stores Ltd")
    kim.fits()
    kim.page.get_by_label("Your name").fill("Kim Otieno")
    kim.page.get_by_label("Password").fill("password1234")
    kim.page.get_by_role("button", name="Take your place").click()
    kim.sees("too common")
    kim.page.get_by_label("Password").fill(PASSWORD)
    kim.page.get_by_role("button", name="Take your place").click()
    kim.sees("you are accountant")

    stranger = somebody(viewport)
    stranger.page.goto(link[0])
    stranger.sees("This link opens nothing")
    wanjiru.page.reload()
    wanjiru.sees("Kim Otieno")


def test_a_forgotten_password_is_set_anew_by_mail(somebody: Any, owner: str, box: Mailbox) -> None:
    wanjiru = somebody(PHONE)
    wanjiru.page.goto("/account/login/")
    wanjiru.page.get_by_role("link", name="Forgot your password?").click()
    wanjiru.page.get_by_label("E-mail address").fill(owner)
    wanjiru.page.get_by_role("button", name="Send me the link").click()
    wanjiru.sees("Look into your mail")
    link = re.search(r"http://\S+/account/password/reset/\S+/", box.newest(owner))
    assert link
    wanjiru.page.goto(link[0])
    new = "seven quiet elephants"
    wanjiru.page.get_by_label("New password", exact=True).fill(new)
    wanjiru.page.get_by_label("New password again").fill(new)
    wanjiru.fits()
    wanjiru.page.get_by_role("button", name="Set the password").click()
    wanjiru.sees("Your password is new")
    wanjiru.sign_in(owner)
    wanjiru.sees("do not fit together")
    wanjiru.sign_in(owner, new)
    wanjiru.sees("Amani Stores Ltd")


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_operators_pages_work_under_their_policy(
    somebody: Any, house: Gateway, owner: str, tmp_path: Path, viewport: dict[str, int]
) -> None:
    """Every list, a row of each, an action that asks for a reason: nothing is blocked, nothing complains."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    address = f"boss-{time.time_ns()}@revpay.example"
    house.manage("revpay_init_system", "--admin-email", address, "--admin-password-file", str(file))
    boss = somebody(viewport)
    boss.sign_in(address)
    boss.page.goto("/admin/")
    boss.sees("second step")
    boss.page.get_by_label("Password").fill(PASSWORD)
    boss.page.get_by_role("button", name="Go on").click()
    boss.page.get_by_label("The six digits").fill(code(boss.page.locator("#secret").inner_text()))
    boss.page.get_by_role("button", name="Switch it on").click()
    boss.sees("The second step is on.")
    boss.page.goto("/admin/")
    links = boss.page.locator("a[href^='/admin/']").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    lists = sorted({link for link in links if link.count("/") == 4})
    assert len(lists) >= 10
    seen = 0
    for path in lists:
        boss.page.goto(path)
        row = boss.page.locator(f"#result_list a[href^='{path}'][href*='/change/']").first
        if row.count():
            boss.page.goto(str(row.get_attribute("href")))
            seen += 1
    assert seen >= 5
    boss.page.goto("/admin/tenants/company/")
    assert boss.page.evaluate("typeof window.Alpine") == "object"  # their scripts ran


def test_no_password_token_or_code_stands_in_the_log(somebody: Any, house: Gateway, owner: str, box: Mailbox) -> None:
    wanjiru = somebody()
    wanjiru.sign_in(owner, "nearly the password")
    wanjiru.sign_in(owner)
    wanjiru.page.get_by_role("link", name="People").click()
    address = f"kim-{time.time_ns()}@amani.example"
    wanjiru.page.get_by_label("E-mail address").fill(address)
    wanjiru.page.get_by_role("button", name="Send the invitation").click()
    token = re.search(r"/account/invitation/([\w-]+)/", box.newest(address))
    assert token
    wanjiru.page.goto(token[0])
    log = Path(house.log).read_text(encoding="utf-8")
    assert PASSWORD not in log and "nearly the password" not in log and token[1] not in log
