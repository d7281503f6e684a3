"""The Celery app, for chores that may be late, lost or run twice. `celery -A gateway worker`, `celery -A gateway beat`.

Nothing that matters lives in its broker: the tasks (`ops.tasks`) take no arguments and find their work in the database.
"""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
if not settings.configured:  # `celery` itself reads them; a process that has read them chose its role before
    os.environ.setdefault("DATABASE_ROLE", "chores")

app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["gateway.ops"])
