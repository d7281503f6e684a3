"""Redis dies under a running gateway: people sign in, wrong passwords still lock, and sales are signed."""

import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests import servers
from tests.gateway import OWNERS_PASSWORD, Gateway, gateway

pytestmark = pytest.mark.needs_database


def sign_in(running: Gateway, email: str, password: str = OWNERS_PASSWORD) -> str:
    """A browser's way in: the page where it ends, as `ADDRESS TEXT`."""
    cookies = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    page = f"{running.url}/account/login/"
    browser.open(page, timeout=30).close()
    (token,) = [str(cookie.value) for cookie in cookies if cookie.name == "csrftoken"]
    sent = urlencode({"login": email, "password": password, "csrfmiddlewaretoken": token}).encode()
    try:
        answer = browser.open(urllib.request.Request(page, sent, {"Referer": page}), timeout=30)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        return f"{answer.geturl()} {answer.read().decode()}"


def test_people_sign_in_and_shops_sell_while_redis_is_gone(
    tmp_path: Path, database_url: str, simulator: servers.Simulator
) -> None:
    with ExitStack() as stack:
        redis = ExitStack()
        try:
            url = redis.enter_context(servers.redis())
        except servers.Unavailable as reason:
            pytest.skip(str(reason))
        stack.callback(redis.close)
        running = stack.enter_context(gateway(tmp_path, database_url, simulator, REDIS_URL=url))
        shop = running.onboard(simulator, owner="wanjiru@amani.example")
        other = running.onboard(simulator, owner="otieno@duka.example")
        assert sign_in(running, "wanjiru@amani.example").startswith(f"{running.url}/companies/{shop.company}/ ")
        assert running.call("GET", "/health/").body["broker"] == "ok"

        redis.close()
        began = time.monotonic()
        entered = sign_in(running, "wanjiru@amani.example")
        assert entered.startswith(f"{running.url}/companies/{shop.company}/ ") and "Amani Stores Ltd" in entered
        assert time.monotonic() - began < 10  # nobody waits long for what is not there
        for _ in range(5):
            refused = sign_in(running, "otieno@duka.example", "guess")
        assert "Signing in is locked" in refused
        assert "Signing in is locked" in sign_in(running, "otieno@duka.example")
        assert shop.sell("POS-1").status == 201 and other.sell("POS-1").status == 201
        assert running.call("GET", "/health/").body["broker"] == "down"
        log = running.log.read_text(encoding="utf-8")
        assert "this process's own cache is used" in log
