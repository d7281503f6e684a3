"""Which door answers which path. The hot routes are in `asgi.py`; these are Django's."""

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path
from django.views import defaults
from django.views.generic import RedirectView

from gateway.api import docs, main
from gateway.api.errors import answer_error, answer_problem
from gateway.api.problems import Problem
from gateway.dashboard import urls as pages

if settings.ADMIN_ENABLED:
    from gateway.dashboard.operators.urls import urlpatterns as operators
else:
    operators = []

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(url="/docs/"), name="start"),
    path("api/openapi.json", docs.openapi, name="openapi"),
    path("api/", include(main.urlpatterns())),
    *docs.urlpatterns,
    *pages.urlpatterns,
    *operators,
]


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django refused before any route saw it: a forged host name, a body over the limit."""
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return answer_error(request, exception)
    return answer_problem(request, Problem("bad_request", "The request was refused before it was read."))


def handler500(request: HttpRequest) -> HttpResponse:
    """What went wrong outside the routes of the API; Django has logged it."""
    if not _is_api(request):
        return defaults.server_error(request)
    return answer_problem(request, Problem("unexpected", "The request could not be finished."))


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
