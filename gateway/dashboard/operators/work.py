"""Devices, lanes, invoices and the messages to KRA on the operators' pages."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from gateway.dashboard.operators.base import BigTable, Table, may_do, operator_name, site, state, with_reason
from gateway.devices.models import Device
from gateway.lanes.actions import NotPossible, hold_lane, release_lane
from gateway.lanes.models import Attempt, Job, Lane
from gateway.sales.models import Found, Invoice
from gateway.tenants.rights import Right


@admin.register(Device, site=site)
class DeviceTable(Table):
    """Control units. Their keys and KRA's raw answers are sealed, and not here."""

    list_display = ("serial", "company", "branch", "environment", "kind", "standing", "last_contact_at")
    list_filter = ("status", "environment", "kind")
    list_select_related = ("company", "branch__company")
    search_words = {"pin": "company__pin", "text": "serial", "id": "public_id"}
    search_help_text = "Serial, PIN of the company, or id"
    deferred = ("sealed_answers", "sealed_key")
    shown = (
        *("public_id", "company", "branch", "environment", "kind", "serial", "profile", "base_url", "lane"),
        *("status", "problem", "problem_code", "activation_sent_at", "activated_at", "last_contact_at", "created_at"),
        *("device_id", "control_unit_id", "machine_code", "taxpayer_name"),
    )

    @admin.display(description="status", ordering="status")
    def standing(self, device: Device) -> SafeString:
        return state(device.get_status_display(), good=device.status == "active", bad=device.status == "trouble")


class HeldFilter(admin.SimpleListFilter):
    """Which lanes stand still."""

    title, parameter_name = "standing", "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("held", "Held"), ("resting", "Resting after a failure")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lane]) -> QuerySet[Lane]:
        match self.value():
            case "held":
                return queryset.exclude(hold_reason="")
            case "resting":
                return queryset.filter(hold_reason="", failures__gt=0)
        return queryset


@admin.register(Lane, site=site)
class LaneTable(Table):
    list_display = ("__str__", "company", "standing", "next_number", "due_at", "failures")
    list_filter = (HeldFilter, "environment", "series")
    list_select_related = ("company",)
    search_words = {"pin": "pin", "id": "company__public_id"}
    search_help_text = "PIN or id of the company"
    shown = (
        *("company", "environment", "pin", "branch", "series", "next_number", "due_at"),
        *("failures", "rest_reason", "hold_reason", "held_at"),
    )
    actions = ("hold", "release")

    @admin.display(description="standing")
    def standing(self, lane: Lane) -> SafeString | str:
        return state(lane.hold_reason, bad=True) if lane.hold_reason else lane.rest_reason or state("goes", good=True)

    @admin.action(description="Hold", permissions=["manage"])
    def hold(self, request: HttpRequest, lanes: QuerySet[Lane]) -> HttpResponse | None:
        """Stop the chosen lanes until somebody releases them."""
        return with_reason(
            self,
            request,
            lanes,
            action="hold",
            title="Hold",
            what="New sales of these lanes are kept and wait. People whose sales wait will read the reason.",
            do=lambda lane, reason: hold_lane(lane.pk, reason=reason, actor=operator_name(request)),
            refused=(NotPossible,),
        )

    @admin.action(description="Release", permissions=["manage"])
    def release(self, request: HttpRequest, lanes: QuerySet[Lane]) -> HttpResponse | None:
        """Let the chosen lanes go on."""
        return with_reason(
            self,
            request,
            lanes,
            action="release",
            title="Release",
            what="These lanes go on at once. A document in doubt is looked up at KRA before anything is sent.",
            do=lambda lane, reason: release_lane(lane.pk, reason=reason, actor=operator_name(request)),
            refused=(NotPossible,),
        )

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return may_do(request, Right.MANAGE_DEVICES)


class OpenFilter(admin.SimpleListFilter):
    """Invoices that are not settled. Found by their open jobs, which are few, and not by a scan of all invoices."""

    title, parameter_name = "where it stands", "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "On its way")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        if self.value() != "open":
            return queryset
        jobs = Job.objects.filter(~Q(state=Job.State.CLOSED), kind="invoice")
        return queryset.filter(pk__in=list(jobs.order_by("-id").values_list("document_id", flat=True)[:5000]))


@admin.register(Invoice, site=site)
class InvoiceTable(BigTable):
    """Sales and credit notes, newest first. What KRA signed never changes, here neither."""

    list_display = ("reference", "company", "environment", "kind", "total", "standing", "number", "issued_at")
    list_filter = (OpenFilter,)
    list_select_related = ("company",)
    by_environment = True
    search_words = {"id": "public_id"}
    search_help_text = "Id, PIN of the company, or PIN and reference: P051234567X POS-1"
    deferred = ("content", "figures", "snapshot", "body", "problem")
    shown = (
        *("public_id", "company", "environment", "device", "lane", "kind", "reference", "revision", "original"),
        *("issued_at", "accepted_at", "settled_at", "status", "number", "unanswered_at", "problem"),
        *("buyer_pin", "buyer_name", "total", "total_tax", "figures"),
        *("receipt_number", "total_receipt_number", "internal_data", "signature", "signed_at", "control_unit_id"),
        *("machine_code", "recovered"),
    )

    @admin.display(description="status")
    def standing(self, invoice: Invoice) -> SafeString:
        return state(
            invoice.get_status_display(), good=invoice.status == "signed", bad=invoice.status in {"refused", "unknown"}
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        pin, _, reference = search_term.strip().partition(" ")
        if reference.strip():
            return queryset.filter(company__pin=pin.upper(), reference=reference.strip()), False
        return super().get_search_results(request, queryset, search_term)


@admin.register(Attempt, site=site)
class AttemptTable(BigTable):
    """Messages to KRA and what came back, masked."""

    list_display = ("started_at", "operation", "company", "environment", "number", "outcome", "code", "duration_ms")
    list_select_related = ("company",)
    search_help_text = "PIN of the company"
    deferred = ("request", "answer")
    shown = (
        *("company", "environment", "kind", "document_id", "operation", "number", "started_at", "duration_ms"),
        *("http_status", "outcome", "code", "message", "request_sha256", "request", "answer"),
    )


@admin.register(Found, site=site)
class FoundTable(Table):
    """Documents that KRA holds in our series and that we did not know."""

    list_display = ("lane", "number", "tag", "adopted_by", "found_at")
    list_select_related = ("lane", "adopted_by")
    search_words = {"pin": "lane__pin"}
    search_help_text = "PIN of the company"
    shown = ("lane", "number", "tag", "document", "adopted_by", "found_at")
