"""The pages that a receipt's link opens. The token in it is the permission: nobody signs in, no cookie is set."""

from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe

from gateway.sales.models import Invoice
from gateway.sales.receipts.document import ReceiptDocument, receipt_document
from gateway.sales.receipts.html import CONTENT_SECURITY_POLICY, missing_html, receipt_html
from gateway.sales.receipts.text import DEFAULT_WIDTH, LEAST_WIDTH, receipt_text
from gateway.sales.receipts.token import read_receipt_token
from gateway.tenants.isolation import everything

_HTML = "text/html; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_MOST_WIDTH = 120


@require_safe
def receipt_page(request: HttpRequest, token: str) -> HttpResponse:
    """The receipt as a page, or the provisional slip while there is none; 404 for a token that opens nothing."""
    found = _find(token)
    if not found:
        return _guarded(HttpResponse(missing_html(), _HTML, status=404))
    return _guarded(HttpResponse(receipt_html(found), _HTML), found)


@require_safe
def receipt_as_text(request: HttpRequest, token: str) -> HttpResponse:
    """The same as text: `?width=` characters a line (32 to 120, default 42), `?qr=1` with the QR code drawn."""
    found = _find(token)
    if not found:
        return _guarded(HttpResponse("Nothing at this link.\n", _TEXT, status=404))
    asked = request.GET.get("width", str(DEFAULT_WIDTH))
    width = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 3 else 0
    if not LEAST_WIDTH <= width <= _MOST_WIDTH:
        sentence = f"width is a whole number from {LEAST_WIDTH} to {_MOST_WIDTH}.\n"
        return _guarded(HttpResponse(sentence, _TEXT, status=400))
    text = receipt_text(found, width=width, with_qr=request.GET.get("qr") == "1")
    return _guarded(HttpResponse(text, _TEXT), found)


def _find(token: str) -> ReceiptDocument | None:
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        public_id = read_receipt_token(token, secret.encode())
        if public_id:
            return _document(public_id)
    return None


def _document(public_id: UUID) -> ReceiptDocument | None:
    with everything():  # the link is the permission; whose it is stands in the row
        row = Invoice.objects.filter(public_id=public_id).values().first()
    return receipt_document(row) if row else None


def _guarded(response: HttpResponse, document: ReceiptDocument | None = None) -> HttpResponse:
    """Nothing may be loaded, nothing framed, and the link, which is the permission, goes to nobody else.

    Only a receipt may be kept, by the reader's own browser; a slip may become a receipt at any moment.
    """
    final = document is not None and document.control_unit is not None
    response["Cache-Control"] = "private, max-age=3600" if final else "private, no-store"
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


urlpatterns = [
    path("receipts/<str:token>.txt", receipt_as_text, name="receipt-text"),
    path("receipts/<str:token>/", receipt_page, name="receipt"),
]
