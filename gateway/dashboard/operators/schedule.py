"""Periodic work, where Celery's beat does it; `setup_celery_beat` writes the rows from wiring.SCHEDULE."""

from django.contrib import admin
from django_celery_beat.models import PeriodicTask

from gateway.dashboard.operators.base import Table, site


@admin.register(PeriodicTask, site=site)
class PeriodicTaskTable(Table):
    list_display = ("name", "task", "enabled", "interval", "crontab", "last_run_at", "total_run_count")
    list_filter = ("enabled",)
    list_select_related = ("interval", "crontab")
    shown = (
        *("name", "task", "enabled", "interval", "crontab", "expires", "last_run_at", "total_run_count"),
        *("date_changed", "description"),
    )
