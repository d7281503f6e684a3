"""Receipts: handed out in every form, sent to their buyers, a day of them in one file; training and proforma."""

import uuid
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.http import HttpResponse, JsonResponse
from ninja import Query, Router, Schema, Status
from pydantic import AfterValidator, Field, StringConstraints

from gateway.api.auth import Principal
from gateway.api.examples import SALE
from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.problems import Problem, field, invalid
from gateway.api.request import ApiRequest, active_company, must
from gateway.api.shapes import Body, BranchCode, Day, plain_line
from gateway.notifications import sms
from gateway.sales.intake import NotJson, WrongSale, read_sale
from gateway.sales.models import PrintedDocument, ReceiptBatch, ReceiptDelivery
from gateway.sales.receipts.batches import batch_file, begin_batch, find_batch, list_batches
from gateway.sales.receipts.delivery import NoAddress, NotSigned, find_deliveries, receipt_link, send_receipt
from gateway.sales.receipts.forms import as_data, form
from gateway.sales.receipts.handing import Handed, find_invoice, hand_out, printed_counts, seen
from gateway.sales.receipts.html import CONTENT_SECURITY_POLICY
from gateway.sales.receipts.labels import ReceiptType
from gateway.sales.receipts.languages import Language
from gateway.sales.rehearsals import rehearse
from gateway.sales.services import Caller, CompanyNotActive, DeviceNotFound, DeviceNotReady, Invalid
from gateway.tenants.models import Branch
from gateway.tenants.rights import Right, may

router = Router(tags=["receipts"])

Recipient = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(plain_line)]
PrintFormat = Literal["pdf", "escpos", "html", "text"]
LanguageName = Literal["en", "sw"]
PaperName = Literal["a4", "80mm", "58mm"]
_FILES = {
    "application/pdf": {"schema": {"type": "string", "format": "binary"}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    "text/html": {"schema": {"type": "string"}},
    "text/plain": {"schema": {"type": "string"}},
}
_LABELLED = {
    "headers": {
        "Receipt-Label": {
            "description": "NS, NC: the original. CS, CC: a copy. TS, PS: training, proforma. SLIP: not signed yet.",
            "schema": {"type": "string"},
        }
    }
}


class FormQuery(Schema):
    format: Literal["pdf", "escpos", "html", "text", "json"] = Field(
        "pdf", description="`json` says what stands on it and hands nothing out."
    )
    paper: PaperName | None = Field(
        None, description="pdf: a4 (usual) or 80mm; escpos and text: 80mm (usual) or 58mm; html, json: none."
    )
    language: LanguageName = "en"
    as_copy: bool = Field(
        False, description="A copy, which leaves the original to others; who may not sell gets no other."
    )
    drawer: bool = Field(False, description="With escpos: open the drawer first.")


class RehearsalQuery(Schema):
    format: PrintFormat = "pdf"
    paper: PaperName | None = None
    language: LanguageName = "en"


class SendIn(Body):
    channel: Literal["mail", "sms"] = "mail"
    to: Recipient = Field("", description="Address or phone; left out, the one that came with the sale.")
    language: LanguageName = "en"
    paper: Literal["a4", "80mm"] = "a4"


class DeliveryOut(Schema):
    """`status`: waiting, sent (the mail server or the provider has it), failed (`problem` says why; tried again)."""

    id: uuid.UUID
    channel: str
    to: str | None = Field(description="Null once it was erased.")
    label: str | None = Field(description="Of the document that was attached; null while it is not drawn.")
    status: str
    problem: str | None
    created_at: datetime
    sent_at: datetime | None


class DeliveriesOut(Schema):
    """Newest first, at most a hundred."""

    deliveries: list[DeliveryOut]


class BatchIn(Body):
    day: Day = Field(description="By the control unit's clock, in Nairobi.")
    branch: BranchCode = "00"
    paper: Literal["a4", "80mm"] = "80mm"
    language: LanguageName = "en"


class BatchOut(Schema):
    """`status`: waiting, making, done (fetch `file_url`, if it is not null), failed (`problem` says why)."""

    id: uuid.UUID
    day: date
    branch: str
    paper: str
    language: str
    status: str
    problem: str | None
    documents_total: int | None = Field(description="Null until they are counted.")
    documents_done: int
    file_url: str | None
    created_at: datetime
    finished_at: datetime | None


class BatchesQuery(Schema):
    limit: Limit = 20
    cursor: Cursor = None


class BatchesOut(Schema):
    """A page, newest first. `next` is the cursor of the following page, null at the end."""

    batches: list[BatchOut]
    next: str | None


@router.get(
    "/integration/transactions/{id}/receipt/",
    operation_id="get_receipt",
    summary="The receipt, printed or as a file",
    openapi_extra={
        "responses": {
            200: {
                "description": "The document.",
                **_LABELLED,
                "content": {**_FILES, "application/json": {"schema": {"type": "object"}}},
            }
        }
    },
)
def receipt(request: ApiRequest, id: str, wanted: Query[FormQuery]) -> HttpResponse:
    """The original the first time, a copy ever after; the provisional slip while the sale is not signed."""
    must(request.auth, Right.READ)
    only_these(request, FormQuery)
    principal = request.auth
    invoice_id, row = _find(principal, id)
    language = Language(wanted.language)
    if wanted.drawer and wanted.format != "escpos":
        raise invalid([field("drawer", "not_here", "Only escpos opens a drawer.")])
    made = form(wanted.format, wanted.paper, language=language, opens_drawer=wanted.drawer)
    if wanted.format == "json":
        document = as_data(seen(row, language))
        return JsonResponse({**document, "printed": printed_counts(invoice_id)})
    return _file(
        hand_out(
            invoice_id,
            made,
            channel=PrintedDocument.Channel.API,
            actor=principal.actor,
            as_copy=wanted.as_copy or not (may(principal.role, Right.SELL) or may(principal.role, Right.CREDIT)),
        )
    )


@router.post(
    "/integration/transactions/{id}/receipt/send/",
    response={202: DeliveryOut},
    operation_id="send_receipt",
    summary="Send the receipt to its buyer",
)
def send(request: ApiRequest, id: str, body: SendIn) -> Status[dict[str, Any]]:
    """By mail with the receipt as a PDF file, or by SMS as a link, in the background."""
    must(request.auth, Right.SELL)
    invoice_id, row = _find(request.auth, id)
    active_company(request.auth)
    try:
        delivery = send_receipt(
            invoice_id=invoice_id,
            channel=ReceiptDelivery.Channel(body.channel),
            to=body.to,
            language=Language(body.language),
            paper=body.paper,
            actor=request.auth.actor,
        )
    except NotSigned as error:
        raise Problem("not_signed", f"There is no receipt to send: the document is {error.status}.") from None
    except NoAddress as error:
        raise invalid([field("to", "missing" if not body.to else "bad_address", str(error))]) from None
    except sms.NotSetUp:
        link = receipt_link(row["public_id"])
        detail = f"This installation cannot send SMS: no provider is set up. Nothing was sent. The link is {link}"
        raise Problem("channel_not_set_up", detail) from None
    return Status(202, _delivery(delivery))


@router.get(
    "/integration/transactions/{id}/receipt/deliveries/",
    response=DeliveriesOut,
    operation_id="list_receipt_deliveries",
    summary="What was sent of a receipt",
)
def deliveries(request: ApiRequest, id: str) -> dict[str, Any]:
    """To whom the receipt was sent, and what became of it."""
    must(request.auth, Right.READ)
    only_these(request)
    invoice_id, _ = _find(request.auth, id)
    return {"deliveries": [_delivery(one) for one in find_deliveries(invoice_id)]}


_REHEARSAL = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sale"}, "example": SALE}},
    },
    "responses": {200: {"description": "The document.", **_LABELLED, "content": _FILES}},
}


@router.post(
    "/integration/receipts/proforma/",
    operation_id="make_proforma",
    summary="A proforma of a sale that is not made",
    openapi_extra=_REHEARSAL,
)
def proforma(request: ApiRequest, wanted: Query[RehearsalQuery]) -> HttpResponse:
    """Post a sale as you would to sell, and get its proforma. Nothing goes to KRA; number and reference stay free."""
    return _rehearsed(request, ReceiptType.PROFORMA, wanted)


@router.post(
    "/integration/receipts/training/",
    operation_id="make_training_receipt",
    summary="A training receipt",
    openapi_extra=_REHEARSAL,
)
def training(request: ApiRequest, wanted: Query[RehearsalQuery]) -> HttpResponse:
    """The same for who learns to sell: a receipt that says TRAINING."""
    return _rehearsed(request, ReceiptType.TRAINING, wanted)


@router.post(
    "/receipts/batches/", response={202: BatchOut}, operation_id="begin_receipt_batch", summary="A day in one file"
)
def begin(request: ApiRequest, body: BatchIn) -> Status[dict[str, Any]]:
    """Have copies of all receipts of a branch's day put into one PDF file, in the background."""
    must(request.auth, Right.EXPORT)
    company = active_company(request.auth)
    if not Branch.objects.filter(company=company, code=body.branch).exists():
        raise invalid([field("branch", "unknown_branch", f"The company has no branch {body.branch}.")])
    batch = begin_batch(
        company=company,
        environment=request.auth.environment,
        branch=body.branch,
        day=body.day,
        paper=body.paper,
        language=Language(body.language),
        actor=request.auth.actor,
    )
    return Status(202, _batch(batch))


@router.get(
    "/receipts/batches/", response=BatchesOut, operation_id="list_receipt_batches", summary="List batches of receipts"
)
def batches(request: ApiRequest, wanted: Query[BatchesQuery]) -> dict[str, Any]:
    """The files that were asked for in the last seven days, newest first."""
    must(request.auth, Right.EXPORT)
    only_these(request, BatchesQuery)
    principal = request.auth
    found, following = list_batches(
        principal.company_id, principal.environment, limit=wanted.limit, cursor=wanted.cursor
    )
    return {"batches": [_batch(one) for one in found], "next": following}


@router.get(
    "/receipts/batches/{id}/", response=BatchOut, operation_id="get_receipt_batch", summary="How far a batch is"
)
def one_batch(request: ApiRequest, id: uuid.UUID) -> dict[str, Any]:
    """How many of the day's documents are in the file by now."""
    must(request.auth, Right.EXPORT)
    only_these(request)
    return _batch(_found_batch(request, id))


@router.get(
    "/receipts/batches/{id}/file/",
    operation_id="get_receipt_batch_file",
    summary="The file of a batch",
    openapi_extra={
        "responses": {200: {"description": "The file.", "content": {"application/pdf": _FILES["application/pdf"]}}}
    },
)
def file_of_batch(request: ApiRequest, id: uuid.UUID) -> HttpResponse:
    """The PDF file, for seven days."""
    must(request.auth, Right.EXPORT)
    only_these(request)
    batch = _found_batch(request, id)
    content = batch_file(batch)
    if content is None:
        raise Problem("not_found", "There is no file: it is not made yet, or the day has no receipts.")
    return download(content, "application/pdf", f"receipts-{batch.branch}-{batch.day.isoformat()}.pdf")


def _find(principal: Principal, id: str) -> tuple[int, Mapping[str, Any]]:
    try:
        public_id = uuid.UUID(id)
    except ValueError:
        raise Problem("not_found", "There is no such document.") from None
    found = find_invoice(principal.company_id, principal.environment, public_id, principal.device)
    if found is None:
        raise Problem("not_found", "There is no such document.")
    return found


def _rehearsed(request: ApiRequest, type: ReceiptType, wanted: RehearsalQuery) -> HttpResponse:
    must(request.auth, Right.SELL)
    only_these(request, RehearsalQuery)
    made = form(wanted.format, wanted.paper, language=Language(wanted.language))
    principal = request.auth
    caller = Caller(principal.company_id, principal.environment, principal.is_active, principal.device)
    try:
        sale = read_sale(request.body)
        return _file(rehearse(sale, type=type, caller=caller, wanted=made, actor=principal.actor))
    except NotJson:
        raise Problem("not_json", "The body is not JSON.") from None
    except (WrongSale, Invalid) as wrong:
        raise invalid(field(one.field, one.code, one.message) for one in wrong.wrongs) from None
    except DeviceNotFound:
        raise Problem("not_found", "This company has no such device.") from None
    except DeviceNotReady as error:
        raise Problem("device_not_ready", str(error)) from None
    except CompanyNotActive:
        raise Problem("company_not_active", f"The company is {principal.company_status}.") from None


def _file(made: Handed) -> HttpResponse:
    response = download(made.content, made.content_type, made.file_name)
    response["Receipt-Label"] = "SLIP" if made.document.is_slip else made.document.label.value
    if made.content_type.startswith("text/html"):
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


def download(content: bytes, content_type: str, file_name: str) -> HttpResponse:
    """A file to be kept by who asked for it."""
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _delivery(delivery: ReceiptDelivery) -> dict[str, Any]:
    return {
        "id": delivery.public_id,
        "channel": delivery.channel,
        "to": delivery.to or None,
        "label": delivery.label or None,
        "status": delivery.status,
        "problem": delivery.problem or None,
        "created_at": delivery.created_at,
        "sent_at": delivery.sent_at,
    }


def _found_batch(request: ApiRequest, id: uuid.UUID) -> ReceiptBatch:
    found = find_batch(request.auth.company_id, request.auth.environment, id)
    if found is None:
        raise Problem("not_found", "There is no such batch.")
    return found


def _batch(batch: ReceiptBatch) -> dict[str, Any]:
    has_file = batch.status == ReceiptBatch.Status.DONE and bool(batch.documents_done)
    return {
        "id": batch.public_id,
        "day": batch.day,
        "branch": batch.branch,
        "paper": batch.paper,
        "language": batch.language,
        "status": batch.status,
        "problem": batch.problem or None,
        "documents_total": batch.documents_total,
        "documents_done": batch.documents_done,
        "file_url": f"/api/receipts/batches/{batch.public_id}/file/" if has_file else None,
        "created_at": batch.created_at,
        "finished_at": batch.finished_at,
    }
