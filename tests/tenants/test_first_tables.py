"""The tables of a new installation: made at once, taken away again, and the same as the models say."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db.migrations import CreateModel
from django.db.migrations.state import ProjectState
from django.db.models import CASCADE, AutoField, ForeignKey
from django.db.utils import ConnectionHandler

from gateway.tenants.first_tables import CreateModels

ROOT = Path(__file__).parents[2]
COUNTING = """
import django
django.setup()
from django.core.management import call_command
from django.db.migrations.state import ModelState
made, render = [], ModelState.render
ModelState.render = lambda model, apps: made.append((model.app_label, model.name)) or render(model, apps)
call_command("migrate", verbosity=0)
print(len(set(made)), len(made))
"""


@pytest.fixture
def empty(django_db_blocker: Any) -> Iterator[Any]:
    """A database without tables."""
    with django_db_blocker.unblock():
        connection = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})[
            "default"
        ]
        yield connection
        connection.close()


def test_a_first_migrate_makes_the_class_of_a_model_a_few_times_and_not_for_each_other(tmp_path):
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}
    run = subprocess.run([sys.executable, "-c", COUNTING], cwd=ROOT, env=environment, check=True, capture_output=True)
    models, classes = map(int, run.stdout.split())
    assert models > 70
    assert classes / models < 20  # 35, were each model created by itself


def test_models_may_refer_to_each_other_and_go_again(empty):
    tables = CreateModels(
        CreateModel("Shop", [("id", AutoField(primary_key=True))]),
        CreateModel("Till", [("id", AutoField(primary_key=True)), ("shop", ForeignKey("sales.shop", CASCADE))]),
    )
    before, after = ProjectState(), ProjectState()
    tables.state_forwards("sales", after)
    with empty.schema_editor() as editor:
        tables.database_forwards("sales", editor, before, after)
    assert empty.introspection.table_names() == ["sales_shop", "sales_till"]
    with empty.schema_editor() as editor:
        tables.database_backwards("sales", editor, after, before)
    assert empty.introspection.table_names() == []
    assert tables.describe() == "Create models Shop, Till"
