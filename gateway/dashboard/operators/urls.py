"""The operators' pages under /admin/, with every table registered."""

from django.apps import apps
from django.urls import URLPattern, URLResolver, path

from gateway.dashboard.operators import companies, journal, work
from gateway.dashboard.operators.base import site

TABLES = [companies, journal, work]
if apps.is_installed("django_celery_beat"):  # with a broker only; without one `serve` follows wiring.SCHEDULE itself
    from gateway.dashboard.operators import schedule

    TABLES.append(schedule)

urlpatterns: list[URLPattern | URLResolver] = [path("admin/", site.urls)]
