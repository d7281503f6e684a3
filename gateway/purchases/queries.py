"""Reading purchases, bills and imports, newest first. Pages neither repeat nor skip a row; all raise BadCursor."""

from typing import Any, NamedTuple, TypeVar

from django.db.models import Model, QuerySet

from gateway.purchases.models import Bill, ImportedItem, SupplierInvoice
from gateway.tenants.pages import newest_first, page

T = TypeVar("T", bound=Model)


class Page(NamedTuple):
    rows: list[Any]
    next: str | None


def list_purchases(
    company_id: int,
    environment: str,
    *,
    status: str | None = None,
    supplier_pin: str | None = None,
    matched: bool | None = None,
    limit: int,
    cursor: str | None = None,
) -> Page:
    """What suppliers told KRA."""
    rows = SupplierInvoice.objects.select_related("bill").filter(company_id=company_id, environment=environment)
    wanted = {"status": status, "supplier_pin": supplier_pin, "bill__isnull": None if matched is None else not matched}
    return _page(rows, wanted, limit, cursor)


def list_bills(
    company_id: int,
    environment: str,
    *,
    matched: bool | None = None,
    supplier_pin: str | None = None,
    limit: int,
    cursor: str | None = None,
) -> Page:
    """The company's own bills."""
    rows = Bill.objects.select_related("listed").filter(company_id=company_id, environment=environment)
    wanted = {"supplier_pin": supplier_pin, "listed__isnull": None if matched is None else not matched}
    return _page(rows, wanted, limit, cursor)


def list_imports(
    company_id: int, environment: str, *, status: str | None = None, limit: int, cursor: str | None = None
) -> Page:
    """What customs declared."""
    rows = ImportedItem.objects.select_related("item").filter(company_id=company_id, environment=environment)
    return _page(rows, {"status": status}, limit, cursor)


def _page(rows: QuerySet[T], wanted: dict[str, Any], limit: int, cursor: str | None) -> Page:
    rows = newest_first(rows, cursor).filter(**{name: value for name, value in wanted.items() if value is not None})
    return Page(*page(rows, limit))
