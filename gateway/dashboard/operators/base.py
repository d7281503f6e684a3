"""What the operators' pages at /admin/ have in common: who may, how lists stay fast, and how something is done there.

A table is for looking at; what can be done with a row is an action that calls the room's service, which writes the
journal. Nothing is added, edited or deleted here, so no second record of edits is needed.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from allauth.mfa.models import Authenticator
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import paginator
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from gateway.tenants.models import Company, Environment, OperatorRole, Staff, User
from gateway.tenants.rights import Right, may

# unfold's pages are driven by Alpine, which evaluates expressions in attributes, and set styles by script
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
MOST_FOUND = 2000  # rows of one company in a big table
MOST_PAGES = 200  # a list is for its newest rows; what is older is searched for


class OperatorSite(UnfoldAdminSite):
    """The operators' pages. One enters by the common door at /account/login/, with the second step."""

    def has_permission(self, request: HttpRequest) -> bool:
        return may_do(request, Right.READ_COMPANIES) and not _lacks_second_step(request)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Never a form of its own, which would know no second step and no lock."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.GET.get("next") or request.path, settings.LOGIN_URL)
        if may_do(request, Right.READ_COMPANIES) and _lacks_second_step(request):
            messages.warning(request, "The operators' pages need the second step. Set it up, then open them again.")
            return redirect("mfa_activate_totp")
        if self.has_permission(request):
            return redirect("admin:index")
        raise PermissionDenied("These pages are for the integrator's own staff.")

    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("account_logout")

    def admin_view(self, view: Callable[..., HttpResponseBase], cacheable: bool = False) -> Callable[..., Any]:
        shown = super().admin_view(view, cacheable)

        def with_policy(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response: HttpResponseBase = shown(request, *args, **kwargs)
            response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
            return response

        return with_policy


site = OperatorSite(name="admin")


def may_do(request: HttpRequest, right: Right) -> bool:
    """Whether whoever is signed in has a right over every company: an administrator, or staff of the integrator."""
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return False
    if user.is_superuser:
        return True
    known = getattr(request, "_staff_role", "")
    if not known:
        staff = Staff.objects.filter(user=user, organisation__sees_all=True).first()
        known = request._staff_role = staff.role if staff else "none"  # type: ignore[attr-defined]
    return known != "none" and may(known, right)


def acting_role(request: HttpRequest) -> str:
    """The role of whoever acts here: an administrator acts as an admin of the staff."""
    assert isinstance(request.user, User)
    if request.user.is_superuser:
        return OperatorRole.ADMIN
    return Staff.objects.get(user=request.user).role


def operator_name(request: HttpRequest) -> str:
    """How the journal names whoever acts on these pages."""
    assert isinstance(request.user, User)
    named = f"operator:{request.user.email}"
    return named if len(named) <= 100 else f"operator:{request.user.public_id}"


class InfinitePaginator(paginator.InfinitePaginator):
    """Pages without a count: over a million rows that alone takes longer than the page may.

    unfold's templates know it by this name.
    """

    def validate_number(self, number: Any) -> int:
        return min(int(super().validate_number(number)), MOST_PAGES)


class Table(ModelAdmin):
    """A table that staff look at. Columns are named one by one, so that a new secret one is not shown by itself."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)
    compressed_fields = True
    search_words: dict[str, str] = {}  # what a search finds, exactly: a field by the kind of the text
    shown: Sequence[str] = ()  # the columns of one row's page
    deferred: Sequence[str] = ()  # columns of no use in a list, and wide

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return self.shown

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        is_list = bool(request.resolver_match and str(request.resolver_match.url_name).endswith("_changelist"))
        return found.defer(*self.deferred) if is_list and self.deferred else found

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_do(request, Right.READ_COMPANIES)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_do(request, Right.READ_COMPANIES)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        return tuple(self.search_words.values())

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows that carry the text exactly, in a column with an index; never a scan."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q()
        if identity := _uuid(term):
            wanted = _any_of(self.search_words, "id", identity)
        elif "@" in term:
            wanted = _any_of(self.search_words, "email", term.lower())
        elif _is_pin(term.upper()):
            wanted = _any_of(self.search_words, "pin", term.upper())
        else:
            wanted = _any_of(self.search_words, "text", term)
        return (queryset.filter(wanted) if wanted else queryset.none()), False


class BigTable(Table):
    """A table with millions of rows. A company is searched along the index that begins with it, newest rows only.

    Left to itself PostgreSQL reads such a table backwards until it has met fifty rows of a company with few: seconds.
    """

    company_index: Sequence[str] = ("-id",)  # what follows the company in the index
    by_environment = False  # whether the environment stands between them

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        return ("company__pin", *super().get_search_fields(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        pin = search_term.strip().upper()
        if not _is_pin(pin):
            return super().get_search_results(request, queryset, search_term)
        company = Company.objects.filter(pin=pin).values_list("pk", flat=True).first()
        rows = self.model._default_manager.filter(company_id=company).order_by(*self.company_index)
        parts = [rows.filter(environment=name) for name in Environment.values] if self.by_environment else [rows]
        newest = [pk for part in parts for pk in part.values_list("pk", flat=True)[:MOST_FOUND]]
        return queryset.filter(pk__in=newest), False


class ReasonForm(forms.Form):
    """Why something is done."""

    reason = forms.CharField(
        max_length=250,
        widget=forms.Textarea(attrs={"rows": 3, "class": "border rounded-default w-full px-3 py-2 bg-transparent"}),
    )


def with_reason(
    table: Table,
    request: HttpRequest,
    rows: QuerySet[Any],
    *,
    action: str,
    title: str,
    what: str,
    do: Callable[[Any, str], object],
    refused: tuple[type[Exception], ...],
) -> HttpResponse | None:
    """Ask for a reason, then do something with each chosen row; says what was done and what was refused."""
    form = ReasonForm(request.POST if "reason" in request.POST else None)
    if not form.is_valid():
        told = {
            **site.each_context(request),
            "title": title,
            "what": what,
            "rows": rows[:100],
            "form": form,
            "action": action,
            "opts": table.model._meta,
        }
        return render(request, "dashboard/reason.html", told)
    for row in rows:
        try:
            do(row, form.cleaned_data["reason"])
        except refused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{title}: {row}")
    return None


def state(word: str, *, good: bool = False, bad: bool = False) -> SafeString:
    """A word that stands out by colour."""
    tone = "text-green-700 dark:text-green-400" if good else "text-red-700 dark:text-red-400" if bad else ""
    return format_html('<span class="{}">{}</span>', tone, word)


def _lacks_second_step(request: HttpRequest) -> bool:
    if not settings.OPERATORS_NEED_TOTP:
        return False
    return not Authenticator.objects.filter(user=request.user, type=Authenticator.Type.TOTP).exists()


def _any_of(words: dict[str, str], kind: str, term: object) -> Q:
    wanted = Q()
    for name, path in words.items():
        if name.split(":")[0] == kind:
            wanted |= Q(**{path: term})
    return wanted


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _is_pin(text: str) -> bool:
    return len(text) == 11 and text[0].isalpha() and text[-1].isalpha() and text[1:-1].isdigit()
