"""The first pages after signing in: a person's companies, and how each one is doing."""

import uuid
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from gateway.dashboard.operators.base import may_do
from gateway.dashboard.places import find_place, person, places
from gateway.devices.models import Device
from gateway.lib.cursor import BadCursor
from gateway.sales.answers import answer
from gateway.sales.models import Invoice
from gateway.sales.queries import Filter, list_invoices
from gateway.tenants.models import Environment
from gateway.tenants.rights import Right

PAGE = 20
_STATES = {  # how a status looks: good, on its way, wants a look, over
    Invoice.Status.SIGNED: "good",
    Invoice.Status.QUEUED: "waits",
    Invoice.Status.SENDING: "waits",
    Invoice.Status.UNKNOWN: "waits",
    Invoice.Status.REFUSED: "bad",
    Invoice.Status.CANCELLED: "over",
    Device.Status.ACTIVE: "good",
    Device.Status.WAITING: "waits",
    Device.Status.ACTIVATING: "waits",
    Device.Status.TROUBLE: "bad",
    Device.Status.RETIRED: "over",
}


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The companies of whoever is signed in; straight to the company when there is only one."""
    mine = places(person(request))
    is_operator = settings.ADMIN_ENABLED and may_do(request, Right.READ_COMPANIES)
    if len(mine) == 1 and not is_operator:
        return redirect("company", mine[0].company.public_id)
    return render(request, "dashboard/home.html", {"places": mine, "admin": is_operator})


@login_required
@require_safe
def company(request: HttpRequest, company: uuid.UUID) -> HttpResponse:
    """One company in one environment: its devices, its newest invoices, what its reader may do."""
    place = find_place(request, company)
    environment = _environment(request, place.company.pk)
    cursor = request.GET.get("after") or None
    try:
        page = list_invoices(place.company.pk, environment, Filter(), limit=PAGE, cursor=cursor)
    except (BadCursor, ValueError):
        return redirect(f"{request.path}?environment={environment}")
    devices = Device.objects.filter(company=place.company, environment=environment).select_related("branch")
    return render(
        request,
        "dashboard/company.html",
        {
            "place": place,
            "company": place.company,
            "environment": environment,
            "environments": Environment.choices,
            "devices": [_device(device) for device in devices.order_by("branch__code", "-pk")],
            "invoices": [_invoice(row) for row in page.rows],
            "next": page.next,
            "is_first": cursor is None,
        },
    )


def _environment(request: HttpRequest, company_id: int) -> str:
    """The one that is asked for; else production as soon as the company has a device there."""
    asked = request.GET.get("environment")
    if asked in Environment.values:
        return str(asked)
    is_live = Device.objects.filter(company_id=company_id, environment=Environment.PRODUCTION).exists()
    return Environment.PRODUCTION if is_live else Environment.SANDBOX


def _device(device: Device) -> dict[str, Any]:
    status = Device.Status(device.status)
    return {"row": device, "words": status.label, "state": _STATES[status]}


def _invoice(row: dict[str, Any]) -> dict[str, Any]:
    told = answer(row, system_url=settings.SYSTEM_URL, secret=settings.SECRET_KEY.encode())
    status = Invoice.Status(row["status"])
    return {
        "reference": row["reference"],
        "kind": Invoice.Kind(row["kind"]).label,
        "issued_at": row["issued_at"],
        "amount": f"{row['figures']['currency']} {Decimal(told['totals']['amount']):,.2f}",
        "receipt": told["receipt"],
        "words": status.label,
        "state": _STATES[status],
        "why": (told["problem"] or {}).get("detail") or (told["waiting"] or {}).get("reason", ""),
    }
