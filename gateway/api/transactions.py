"""What the owner of an invoice may do with it: ask for a refused one again, withdraw one that waits."""

import contextlib
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from ninja import Router

from gateway.api.examples import INVOICE, REFUSED, WAITING, WITHDRAWN
from gateway.api.problems import Problem
from gateway.api.request import ApiRequest, active_company, must
from gateway.sales.actions import InvoiceUnknown, NotRefused, TooLate, cancel_invoice, retry_invoice
from gateway.sales.answers import answer, status_code
from gateway.sales.crediting import NotCreditable
from gateway.sales.models import Invoice
from gateway.sales.queries import Filter, list_invoices
from gateway.tenants.rights import Right, may

router = Router(tags=["sales"])

RETRY_AFTER_SECONDS = 2
_NOW = {  # why it cannot be done, in words for a till's screen
    "queued": "it waits its turn",
    "sending": "it is with KRA",
    "unknown": "it was sent to KRA and is being looked up",
    "signed": "it is signed; only a credit note takes it back",
    "refused": "it is refused, so nothing of it will be signed",
    "cancelled": "it is withdrawn",
}


def _told(**answers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """The answers of an operation for OpenAPI, by status (`s200=("Signed.", an example)`), each with the document."""
    schema = {"$ref": "#/components/schemas/Invoice"}
    told = {
        int(status[1:]): {
            "description": text,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
        for status, (text, example) in answers.items()
    }
    return {"responses": told}


@router.post(
    "/integration/transactions/{id}/retry/",
    operation_id="retry_document",
    summary="Ask for a refused document again",
    openapi_extra=_told(
        s200=("Signed meanwhile.", INVOICE),
        s202=("On its way; a second call finds it so.", WAITING),
        s422=("Refused again: see its problem.", REFUSED),
    ),
)
def retry(request: ApiRequest, id: str) -> HttpResponse:
    """Queue a refused document again, unchanged, at the end of its lane: for when the cause is mended at KRA.

    To change what it says, post it again under its reference instead.
    """
    principal = request.auth
    _must_handle(request, id)
    active_company(principal)
    try:
        return _answer(request, _act(retry_invoice, request, id))
    except NotCreditable as error:
        raise Problem("not_creditable", error.message) from None
    except NotRefused as error:
        raise _conflict(
            "not_refused", "Only a refused document can be asked for again", error.status, request, id
        ) from None


@router.post(
    "/integration/transactions/{id}/cancel/",
    operation_id="cancel_document",
    summary="Withdraw a document that waits",
    openapi_extra=_told(s200=("Withdrawn; a second call finds it so.", WITHDRAWN)),
)
def cancel(request: ApiRequest, id: str) -> HttpResponse:
    """Withdraw a document before its turn; nothing of it goes to KRA, and its reference is used up."""
    _must_handle(request, id)
    try:
        return _answer(request, _act(cancel_invoice, request, id))
    except TooLate as error:
        raise _conflict("too_late", "It cannot be withdrawn any more", error.status, request, id) from None


def _must_handle(request: ApiRequest, id: str) -> None:
    """Sales are for those who sell, credit notes for those who credit. Raises Problem 403."""
    principal = request.auth
    if may(principal.role, Right.SELL) and may(principal.role, Right.CREDIT):
        return
    kind = None
    with contextlib.suppress(ValueError):
        mine = Invoice.objects.filter(company_id=principal.company_id, environment=principal.environment)
        kind = mine.filter(public_id=uuid.UUID(id)).values_list("kind", flat=True).first()
    must(principal, Right.CREDIT if kind == Invoice.Kind.CREDIT_NOTE else Right.SELL)


def _act(action: Callable[..., Invoice], request: ApiRequest, id: str) -> Invoice:
    principal = request.auth
    try:
        return action(
            company_id=principal.company_id,
            environment=principal.environment,
            public_id=uuid.UUID(id),
            actor=principal.actor,
            device=principal.device,
        )
    except (InvoiceUnknown, ValueError):
        raise Problem("not_found", "There is no such document.") from None


def _answer(request: ApiRequest, invoice: Invoice) -> HttpResponse:
    row = _row(request, invoice.reference)
    response = JsonResponse(_document(row), status=status_code(row, replayed=True))
    if response.status_code == 202:
        response["Location"] = f"/api/integration/transactions/{invoice.public_id}/status/"
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _conflict(code: str, why: str, status: str, request: ApiRequest, id: str) -> Problem:
    invoice = Invoice.objects.only("reference").get(public_id=uuid.UUID(id))
    document = _document(_row(request, invoice.reference))
    return Problem(code, f"{why}: {_NOW[status]}.", extra={"invoice": document})


def _row(request: ApiRequest, reference: str) -> dict[str, Any]:
    principal = request.auth
    page = list_invoices(principal.company_id, principal.environment, Filter(reference=reference), limit=1)
    return page.rows[0]


def _document(row: dict[str, Any]) -> dict[str, Any]:
    return answer(row, system_url=settings.SYSTEM_URL, secret=settings.SECRET_KEY.encode())
