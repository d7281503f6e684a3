"""The pages that a receipt's link opens. The token in it is the permission: nobody signs in, no cookie is set.

A look at the page hands nothing out: chat programs look at links too. The button and the text do.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from gateway.sales.models import Invoice, PrintedDocument
from gateway.sales.receipts.document import ReceiptDocument
from gateway.sales.receipts.forms import Form, form
from gateway.sales.receipts.handing import Handed, hand_out, logos_of, seen, viewable
from gateway.sales.receipts.html import CONTENT_SECURITY_POLICY, missing_html, receipt_html
from gateway.sales.receipts.languages import Language
from gateway.sales.receipts.text import DEFAULT_WIDTH, LEAST_WIDTH, receipt_text
from gateway.sales.receipts.token import read_receipt_token
from gateway.tenants.isolation import everything

_HTML = "text/html; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_MOST_WIDTH = 120
_MISSING = "Nothing at this link.\n"


@require_safe
def receipt_page(request: HttpRequest, token: str) -> HttpResponse:
    """The receipt as a page, or the provisional slip while there is none; 404 for a token that opens nothing.

    `?language=` en (usual) or sw. Once the original is with somebody the page is a copy; printed it always is one.
    """
    row = _row(token)
    if row is None:
        return _guarded(HttpResponse(missing_html(), _HTML, status=404))
    language = _language(request)
    if language is None:
        return _guarded(HttpResponse("language is en or sw.\n", _TEXT, status=400))
    found = seen(row, language)
    query = f"?language={language}" if language is not Language.ENGLISH else ""
    action = "" if found.is_slip else f"/receipts/{token}.pdf{query}"
    return _guarded(
        HttpResponse(receipt_html(found, logos=logos_of(row), is_view=True, pdf_action=action), _HTML), found
    )


@csrf_exempt  # who has the link may; there is no session that another site could misuse
@require_POST
def receipt_as_pdf(request: HttpRequest, token: str) -> HttpResponse:
    """The receipt as a PDF file on A4, `?paper=80mm` on a roll: the original the first time, then copies.

    Only for a POST, so that nobody takes the original by looking.
    """
    row, language, paper = _row(token), _language(request), request.GET.get("paper", "a4")
    if row is None or row["status"] != Invoice.Status.SIGNED:
        return _guarded(HttpResponse(_MISSING, _TEXT, status=404))
    if language is None or paper not in ("a4", "80mm"):
        return _guarded(HttpResponse("language is en or sw, paper is a4 or 80mm.\n", _TEXT, status=400))
    made = _handed(row, form("pdf", paper, language=language))
    response = _guarded(HttpResponse(made.content, made.content_type), made.document)
    response["Content-Disposition"] = f'attachment; filename="{made.file_name}"'
    return response


@require_safe
def receipt_as_text(request: HttpRequest, token: str) -> HttpResponse:
    """The same as text: `?width=` characters a line (32 to 120, default 42), `?qr=1` with the QR code drawn.

    What a printer prints: the original the first time, then copies. A HEAD hands nothing out.
    """
    row = _row(token)
    if row is None:
        return _guarded(HttpResponse(_MISSING, _TEXT, status=404))
    asked = request.GET.get("width", str(DEFAULT_WIDTH))
    width = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 3 else 0
    if not LEAST_WIDTH <= width <= _MOST_WIDTH:
        sentence = f"width is a whole number from {LEAST_WIDTH} to {_MOST_WIDTH}.\n"
        return _guarded(HttpResponse(sentence, _TEXT, status=400))
    language = _language(request)
    if language is None:
        return _guarded(HttpResponse("language is en or sw.\n", _TEXT, status=400))
    with_qr = request.GET.get("qr") == "1"
    if request.method == "HEAD":
        found = seen(row, language)
        return _guarded(HttpResponse(receipt_text(found, width=width, with_qr=with_qr), _TEXT), found)
    made = _handed(row, Form(format="text", language=language, width=width, with_qr=with_qr))
    return _guarded(HttpResponse(made.content, _TEXT), made.document)


def _handed(row: Mapping[str, Any], wanted: Form) -> Handed:
    with everything():
        return hand_out(row["id"], wanted, channel=PrintedDocument.Channel.LINK, actor="whoever has the link")


def _language(request: HttpRequest) -> Language | None:
    asked = request.GET.get("language", "en")
    return Language(asked) if asked in set(Language) else None


def _row(token: str) -> Mapping[str, Any] | None:
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        public_id = read_receipt_token(token, secret.encode())
        if public_id:
            return _row_of(public_id)
    return None


def _row_of(public_id: UUID) -> Mapping[str, Any] | None:
    with everything():  # the link is the permission; whose it is stands in the row
        return viewable(Invoice.objects.filter(public_id=public_id)).first()


def _guarded(response: HttpResponse, document: ReceiptDocument | None = None) -> HttpResponse:
    """Nothing may be loaded, nothing framed, and the link, which is the permission, goes to nobody else.

    Only a receipt may be kept, by the reader's own browser, which asks before it shows it again: the original may have
    been taken meanwhile. A slip may become a receipt at any moment.
    """
    final = document is not None and document.control_unit is not None
    response["Cache-Control"] = "private, no-cache" if final else "private, no-store"
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


urlpatterns = [
    path("receipts/<str:token>.pdf", receipt_as_pdf, name="receipt-pdf"),
    path("receipts/<str:token>.txt", receipt_as_text, name="receipt-text"),
    path("receipts/<str:token>/", receipt_page, name="receipt"),
]
