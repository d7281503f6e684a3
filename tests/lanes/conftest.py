"""The database of a module's engine tests, and one process that works on it."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # models cannot be imported before Django is set up, and this file is read before
    from tests.lanes.bench import Bench


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[str]:
    from tests.lanes.bench import fresh_database

    with django_db_blocker.unblock(), fresh_database(os.environ["DATABASE_URL"], tmp_path_factory.mktemp("db")) as made:
        yield made


@pytest.fixture
def process(url: str, django_db_blocker: Any) -> Iterator["Bench"]:
    from tests.lanes.bench import bench, pointed_at

    with django_db_blocker.unblock(), pointed_at(url), bench() as made:
        yield made
