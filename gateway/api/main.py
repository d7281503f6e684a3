"""The JSON API on Django's side: its routers, and what surrounds each of its answers."""

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, path, re_path
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser

from gateway.api import (
    branches,
    capabilities,
    catalogue,
    classifications,
    codes,
    companies,
    company_devices,
    devices,
    environment,
    imports,
    invitations,
    invoices,
    items,
    journal,
    keys,
    kra_records,
    late_credits,
    logos,
    logs,
    lookups,
    members,
    onboarding,
    purchases,
    receipts,
    reports,
    stock,
    transactions,
    uploads,
)
from gateway.api.bodies import most_bytes, too_large
from gateway.api.errors import answer_error, answer_problem, request_id
from gateway.api.problems import CONTENT_TYPE, Problem
from gateway.api.request import company_key
from gateway.tenants.isolation import nothing

VERSION = "1"
HOT_ROUTES = {  # answered by gateway.api.hot before Django sees them
    "sales/": "POST",
    "integration/oscu/sales/": "POST",
    "integration/vscu/sales/": "POST",
    "integration/transactions/<str:id>/status/": "GET",
    "integration/transactions/<str:id>/credit-notes/": "GET, POST",
    "integration/credit-notes/": "POST",
}
View = Callable[..., HttpResponseBase]


class ExactParser(Parser):
    """JSON with exact numbers: an amount never passes through a float. NaN, Infinity and broken text are refused."""

    _decoder = msgspec.json.Decoder(Any, float_hook=Decimal)

    def parse_body(self, request: HttpRequest) -> Any:
        return self._decoder.decode(request.body)


api = NinjaAPI(
    title="Revpay Connect eTIMS Gateway",
    version=VERSION,
    auth=company_key,
    parser=ExactParser(),
    docs_url=None,
    openapi_url=None,
    urls_namespace="api",
)
for prefix, router in {
    "onboarding": onboarding.router,
    "companies": companies.router,
    "branches": branches.router,
    "keys": keys.router,
    "invitations": invitations.router,
    "members": members.router,
    "devices": devices.router,
    "environment": environment.router,
    "company devices": company_devices.router,
    "items": items.router,
    "uploads": uploads.router,
    "catalogue": catalogue.router,
    "classifications": classifications.router,
    "codes": codes.router,
    "lookups": lookups.router,
    "kra_records": kra_records.router,
    "capabilities": capabilities.capabilities_router(
        lambda: dict(api.get_openapi_schema(path_prefix="/api/")["paths"])
    ),
    "stock": stock.router,
    "purchases": purchases.router,
    "imports": imports.router,
    "invoices": invoices.router,
    "transactions": transactions.router,
    "receipts": receipts.router,
    "logos": logos.router,
    "reports": reports.router,
    "journal": journal.router,
    "late credits": late_credits.router,
    "logs": logs.router,
}.items():
    api.add_router("", router, url_name_prefix=prefix)
for kind in (Exception, Http404, HttpError, ValidationError):  # ninja has handlers of its own for the last three
    api.add_exception_handler(kind, answer_error)  # type: ignore[arg-type]  # its hint wants a class or an instance


def guarded(view: View) -> View:
    """The view with what every answer under /api/ has: a request id, a limit on size, and problems as documents."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            with nothing():  # until the key has said whose rows may be seen
                response = _too_large(request) or _unheard_of(request) or view(request, *args, **kwargs)
        except Exception as error:  # the last door: whatever it is, the caller gets a document
            response = answer_error(request, error)
        if response.status_code == 405 and response.get("Content-Type") != CONTENT_TYPE:
            allowed = response.get("Allow", "")
            response = answer_problem(
                request,
                Problem(
                    "method_not_allowed",
                    f"{request.method} does not work here; {allowed} does.",
                    headers={"Allow": allowed},
                ),
            )
        response["X-Request-Id"] = request_id(request)
        response.setdefault("Cache-Control", "no-store")
        return response

    answer.csrf_exempt = True  # type: ignore[attr-defined]
    return answer


@guarded
def no_such_path(request: HttpRequest) -> HttpResponse:
    """404 for whatever no route answers."""
    hint = "" if request.path.endswith("/") else " Every path ends with a slash."
    raise Problem("not_found", f"There is nothing at {request.path[:200]}.{hint}")


@guarded
def hot_path(request: HttpRequest, method: str, **named: str) -> HttpResponse:
    """A hot route's path under a method it does not take, or in a process that runs no engine."""
    if request.method not in method.split(", "):
        response = HttpResponse(status=405)
        response["Allow"] = method
        return response
    raise Problem("not_kept", "This process takes no sales; nothing was kept.")


def urlpatterns() -> list[URLPattern | URLResolver]:
    """Every route of the API, and the 404 for the rest, all guarded; to be included under /api/."""
    patterns, _, _ = api.urls
    made: list[URLPattern | URLResolver] = []
    for pattern in patterns:
        if isinstance(pattern, URLPattern) and pattern.name != "api-root":
            made.append(URLPattern(pattern.pattern, guarded(pattern.callback), pattern.default_args, pattern.name))
    hot = [path(route, hot_path, {"method": method}) for route, method in HOT_ROUTES.items()]
    return [*made, *hot, re_path(r"", no_such_path)]


def _unheard_of(request: HttpRequest) -> HttpResponse | None:
    """404 for a path with a NUL in it: that is in no id and no code, and PostgreSQL refuses to be asked for it."""
    if "\x00" not in request.path:
        return None
    return answer_problem(request, Problem("not_found", "There is nothing at this path."))


def _too_large(request: HttpRequest) -> HttpResponse | None:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isascii() and length.isdigit() and int(length[:19]) <= most_bytes(request.path):
        return None
    return answer_problem(request, Problem("too_large", too_large(request.path)))
