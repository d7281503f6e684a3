"""What an installation looks like from outside: the checks of a deployment, browsers' rules, heads without end."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from tests import servers
from tests.gateway import ROOT
from tests.gateway import gateway as running_gateway

PRODUCTION = {
    "SECRET_KEY": "Vb2fKx8rTq5wLz1mNc7hJd3gPs9yXa4eUi6oRk0tQwEuYpZbMvAsDfGh",
    "SYSTEM_URL": "https://etims.example.com",
    "ALLOWED_HOSTS": "etims.example.com",
    "BEHIND_PROXY": "true",
    "EMAIL_HOST": "smtp.example.com",
}


def manage(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABASE_URL": "sqlite://:memory:", **settings}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_checks_of_a_deployment_find_nothing_in_production_settings() -> None:
    checked = manage("check", "--deploy", "--fail-level", "DEBUG", **PRODUCTION)
    assert checked.returncode == 0, checked.stderr


def test_the_checks_of_a_deployment_do_find_what_is_missing() -> None:
    checked = manage("check", "--deploy", "--fail-level", "WARNING", **{**PRODUCTION, "DEBUG": "true"})
    assert checked.returncode != 0
    assert "security.W018" in checked.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LIMIT_PER_KEY", "often"),
        ("LIMIT_PER_ADDRESS", "0/second"),
        ("LIMIT_WRONG_KEYS", "7/day"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "https://shop.example.com/path"),
    ],
)
def test_a_bad_value_stops_the_start(name: str, text: str) -> None:
    checked = manage("check", **{name: text})
    assert checked.returncode != 0
    assert name in checked.stderr.splitlines()[-1]


@pytest.mark.django_db
def test_pages_load_nothing_from_elsewhere() -> None:
    for path in ("/docs/", "/docs/problems/", "/", "/receipts/none/"):
        policy = Client().get(path)["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "http" not in policy, path


@pytest.mark.needs_database
def test_a_browser_of_a_named_page_may_call_and_a_head_has_an_end(
    tmp_path: Path, database_url: str, simulator: servers.Simulator
) -> None:
    settings = {"CORS_ALLOWED_ORIGINS": "https://shop.example.com", "LIMIT_PER_KEY": "3/hour"}
    with running_gateway(tmp_path, database_url, simulator, **settings) as gateway:
        asked = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = "authorization,content-type,prefer"
        for path in ("/api/sales/", "/api/item/sync/"):
            allowed = gateway.call("OPTIONS", path, headers=asked)
            assert allowed.headers["access-control-allow-origin"] == "https://shop.example.com", path
            assert "POST" in allowed.headers["access-control-allow-methods"]
            refused = gateway.call("OPTIONS", path, headers={**asked, "Origin": "https://evil.example.com"})
            assert "access-control-allow-origin" not in refused.headers
        calls: list[tuple[str, str, Any]] = [("POST", "/api/sales/", {}), ("GET", "/api/invoices/", None)]
        headers = {"Origin": "https://shop.example.com"}
        answers = [
            gateway.call(method, path, body, key="rvp_sbx_none", headers=headers) for method, path, body in calls * 2
        ]
        assert [answer.status for answer in answers] == [401, 401, 401, 429], "hot routes and Django's count together"
        last = answers[-1]
        assert last.body["code"] == "too_many_requests" and int(last.headers["retry-after"]) >= 1
        assert "Retry-After" in last.headers["access-control-expose-headers"]
        assert last.headers["access-control-allow-origin"] == "https://shop.example.com"
        assert gateway.call("GET", "/health/").status == 200
        for path in ("/health/", "/api/invoices/"):
            answer = gateway.call("GET", path, headers={"X-Long": "x" * 40_000})
            assert (answer.status, answer.body["code"]) == (431, "headers_too_large")
        assert _endless_head(gateway.url) < 20_000_000  # what the sockets hold, and no more


def _endless_head(url: str) -> int:
    """How many bytes of a head that never ends the gateway takes before it hangs up."""
    address = urlsplit(url)
    sent = 0
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=20) as connection:
        connection.sendall(b"GET /health/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ")
        try:
            while sent < 50_000_000:
                sent += connection.send(b"x" * 16_384)
        except OSError:
            pass
    return sent
