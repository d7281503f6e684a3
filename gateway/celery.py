"""The Celery app, for chores that may be late, lost or run twice. `celery -A gateway worker`, `celery -A gateway beat`.

Nothing that matters lives in its broker: the tasks (`ops.tasks`) take no arguments and find their work in the database.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
os.environ.setdefault("DATABASE_ROLE", "chores")  # where `celery` itself reads the settings

app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["gateway.ops"])
