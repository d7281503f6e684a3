import re

import pytest
from django.test import Client

from gateway.api.problems import PROBLEMS


@pytest.mark.parametrize("path", ["/docs/", "/docs/problems/"])
def test_the_pages_load_nothing_from_elsewhere(path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 200
    page = response.content.decode()
    links = re.findall(r'(?:src|href|spec-url)="([^"]*)"', page)
    assert links
    assert all(link.startswith(("/", "#", "data:")) for link in links)
    for link in links:
        if link.startswith("/"):
            assert Client().get(link).status_code == 200, link


@pytest.mark.parametrize("path", ["/docs/", "/docs/problems/"])
def test_the_pages_keep_a_strict_policy(path: str) -> None:
    response = Client().get(path)
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    page = response.content.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"\son\w+=", page)


def test_every_problem_has_its_place_on_the_page() -> None:
    page = Client().get("/docs/problems/").content.decode()
    for code in PROBLEMS:
        assert f'<section id="{code}">' in page


def test_what_stands_in_backticks_is_shown_as_code() -> None:
    page = Client().get("/docs/problems/").content.decode()
    assert "<code>Authorization: Token &lt;key&gt;</code>" in page
    assert "`" not in page


def test_only_known_files_are_served() -> None:
    assert Client().get("/docs/assets/LICENSE-rapidoc.txt").status_code == 404
    assert Client().get("/docs/assets/..%2F..%2Fmain.py").status_code == 404
    assert Client().get("/docs/assets/docs.css")["Content-Type"] == "text/css"


def test_the_front_door_leads_to_the_reference() -> None:
    assert Client().get("/")["Location"] == "/docs/"
