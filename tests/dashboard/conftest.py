"""Amani Stores with an owner who has a password, and a stranger's company. Models are imported late: see tests/api."""

from types import SimpleNamespace
from typing import Any

import pytest

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    """No counter of another test slows down this one."""
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def amani(db: Any) -> Any:
    """The company, its device, its owner."""
    from gateway.tenants.models import Role
    from gateway.tenants.services import add_member
    from tests.tenants.factories import make_company

    made = make_company()
    owner = add_member(
        made.company, email="owner@amani.example", name="Wanjiru Kamau", role=Role.OWNER, password=PASSWORD
    )
    return SimpleNamespace(company=made.company, device=made.device, member=owner, owner=owner.user)


@pytest.fixture
def stranger(db: Any) -> Any:
    """Another company and its owner, who must see nothing of Amani Stores."""
    from gateway.tenants.models import Role
    from gateway.tenants.services import add_member
    from tests.tenants.factories import make_stranger

    made = make_stranger()
    owner = add_member(made.company, email="owner@stranger.example", name="", role=Role.OWNER, password=PASSWORD)
    return SimpleNamespace(company=made.company, device=made.device, member=owner, owner=owner.user)


@pytest.fixture
def browser(db: Any) -> Any:
    """A browser in which nobody is signed in."""
    from django.test import Client

    return Client()


@pytest.fixture
def owner_browser(amani: Any) -> Any:
    """Amani's owner, signed in."""
    from django.test import Client

    client = Client()
    client.force_login(amani.owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client
