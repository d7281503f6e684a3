"""The pages under /docs/ and the OpenAPI file. They load nothing from elsewhere and run under a strict policy."""

from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Engine
from django.urls import path
from django.views.decorators.http import require_safe

from gateway.api.openapi import schema
from gateway.api.problems import PROBLEMS

# The reference page sets styles from its script; scripts themselves come from here only
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HERE = Path(__file__).parent
_ASSETS = {"rapidoc-min.js": "text/javascript", "docs.css": "text/css"}
_engine = Engine(dirs=[str(_HERE / "templates")])


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """The API reference; works without internet."""
    return _page("api/reference.html")


@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    """What each problem code means and what to do about it."""
    shown = [(code, kind, kind.remedy.split("`")) for code, kind in PROBLEMS.items()]  # every second part is code
    return _page("api/problems.html", problems=shown)


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The OpenAPI 3.1 description of all routes."""
    response = JsonResponse(schema())
    response["Cache-Control"] = "public, max-age=300"
    return response


@require_safe
def asset(request: HttpRequest, name: str) -> HttpResponse:
    """A file of the pages above."""
    if name not in _ASSETS:
        raise Http404
    response = HttpResponse((_HERE / "static" / "reference" / name).read_bytes(), content_type=_ASSETS[name])
    response["Cache-Control"] = "public, max-age=3600"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _page(template: str, **values: object) -> HttpResponse:
    response = HttpResponse(_engine.get_template(template).render(Context(values)))
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


urlpatterns = [
    path("docs/", reference, name="reference"),
    path("docs/problems/", problems, name="problems"),
    path("docs/assets/<str:name>", asset, name="reference-asset"),
]
