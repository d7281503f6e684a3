"""What happened, on the operators' pages: the journal and the calls to the API."""

from django.contrib import admin

from gateway.audit.models import ApiCall, Event
from gateway.dashboard.operators.base import BigTable, site


@admin.register(Event, site=site)
class EventTable(BigTable):
    """The journal: rows are added, never changed."""

    list_display = ("at", "name", "severity", "company", "environment", "actor", "address")
    list_select_related = ("company",)
    company_index = ("-at", "-id")
    search_words = {"id": "subject"}
    search_help_text = "PIN of the company, or id of the thing"
    deferred = ("data", "before", "after")
    shown = (
        *("public_id", "at", "name", "severity", "company", "environment", "subject", "actor", "address"),
        *("request_id", "data", "before", "after", "position", "seal"),
    )


@admin.register(ApiCall, site=site)
class ApiCallTable(BigTable):
    list_display = ("at", "method", "path", "status", "code", "duration_ms", "company", "key_prefix", "address")
    list_select_related = ("company",)
    company_index = ("-at", "-id")
    search_help_text = "PIN of the company"
    shown = (
        *("at", "method", "path", "status", "code", "duration_ms", "company", "environment", "key_prefix"),
        *("address", "request_id", "subject"),
    )
