"""The hot routes in OpenAPI's words, written by hand: they are not ninja's."""

from typing import Any

from gateway.api.examples import CREDIT_NOTE, CREDITS, INVOICE, REFUSED, SALE, SIGNED_NOTE, WAITING
from gateway.kra.codes import CreditNoteReason, PaymentMethod

_Schema = dict[str, Any]

_AMOUNT: _Schema = {
    "description": "KES, at most two decimals, as a number or as text.",
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?[0-9]{1,16}(\.[0-9]+)?$"}],
}
_QUANTITY: _Schema = {**_AMOUNT, "description": "Up to two decimals, as a number or as text."}
_TEXT_AMOUNT: _Schema = {"type": "string", "examples": ["2320.00"]}
_LETTER: _Schema = {"type": "string", "enum": ["A", "B", "C", "D", "E"]}
_REASONS = [reason.word for reason in CreditNoteReason]
_METHODS = [method.word for method in PaymentMethod]


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: _Schema) -> _Schema:
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _object(description: str, required: list[str], **properties: _Schema) -> _Schema:
    return {"type": "object", "description": description, "required": required, "properties": properties}


def _text(most: int, **more: Any) -> _Schema:
    return {"type": "string", "maxLength": most, **more}


HOT_SCHEMAS: dict[str, _Schema] = {
    "Sale": {
        **_object(
            "A sale as a till posts it. The same content under the same reference is one sale, however often sent.",
            ["reference", "issued_at", "lines"],
            reference=_text(50, minLength=1, description="Your own number of the sale; names it for ever."),
            issued_at={
                "type": "string",
                "format": "date-time",
                "description": "When it was sold, with the zone.",
                "examples": ["2026-11-20T09:30:00+03:00"],
            },
            device=_or_null({"type": "string", "description": "Id or serial; may be left out when there is only one."}),
            customer=_or_null(_ref("Customer")),
            payments=_or_null({"type": "array", "items": _ref("Payment")}),
            payment_method=_or_null({"type": "string", "enum": _METHODS}),
            currency=_text(3, default="KES"),
            exchange_rate=_or_null({**_AMOUNT, "description": "KES for one unit of the currency."}),
            prices_include_tax={"type": "boolean", "default": True},
            lines={"type": "array", "minItems": 1, "maxItems": 999, "items": _ref("SaleLine")},
            cashier=_or_null(_text(60)),
            remark=_or_null(_text(350)),
            totals=_or_null(_ref("Totals")),
        ),
        "additionalProperties": False,
        "examples": [SALE],
    },
    "SaleLine": {
        **_object(
            "One line. What the catalogue knows may be left out; what contradicts it is refused.",
            ["item_code", "quantity", "unit_price"],
            item_code=_text(
                50,
                description="Your own code of a registered item, or of a new one described by `name` and `item_class`: "
                "it is registered first, and the sale waits for it.",
            ),
            quantity=_QUANTITY,
            unit_price=_AMOUNT,
            name=_or_null(_text(200)),
            discount_percent=_or_null({**_AMOUNT, "description": "0 to 100; this or discount_amount."}),
            discount_amount=_or_null(_AMOUNT),
            tax_type=_or_null(_LETTER),
            item_class=_or_null(_text(10)),
            packaging_unit=_or_null(_text(5)),
            quantity_unit=_or_null(_text(5)),
            barcode=_or_null(_text(20)),
        ),
        "additionalProperties": False,
    },
    "Customer": {
        **_object(
            "The buyer; all of it may be left out.",
            [],
            pin=_or_null({"type": "string", "pattern": "^[A-Z][0-9]{9}[A-Z]$"}),
            name=_or_null(_text(60)),
            phone=_or_null(_text(20)),
            email=_or_null(_text(254)),
        ),
        "additionalProperties": False,
    },
    "Payment": _object(
        "One means of payment.", ["method", "amount"], method={"type": "string", "enum": _METHODS}, amount=_AMOUNT
    ),
    "Totals": _object(
        "Your own totals, to be compared with ours; more than a cent a line apart is refused.",
        [],
        amount=_or_null(_AMOUNT),
        tax=_or_null(_AMOUNT),
    ),
    "Invoice": _object(
        "A sale or credit note as it stands: the same document on every route, for ever under the same reference.",
        [
            *("id", "reference", "status", "kind", "device", "environment", "revision", "issued_at", "accepted_at"),
            *("number", "receipt", "totals", "lines", "buyer", "payments", "problem", "waiting"),
            *("original", "credit", "credit_notes", "credited", "left"),
        ],
        id={"type": "string", "format": "uuid"},
        reference={"type": "string"},
        status={
            "type": "string",
            "enum": ["queued", "sending", "unknown", "signed", "refused", "cancelled"],
            "description": "`unknown`: sent, and KRA's answer is being looked up; neither signed nor failed.",
        },
        kind={"type": "string", "enum": ["sale", "credit_note"]},
        device={"type": "string", "format": "uuid"},
        environment={"type": "string", "enum": ["sandbox", "production"]},
        revision={"type": "integer"},
        issued_at={"type": "string", "format": "date-time"},
        accepted_at={"type": "string", "format": "date-time"},
        number=_or_null({"type": "integer", "description": "KRA's number of the document in the branch."}),
        receipt=_or_null(_ref("Receipt")),
        totals=_object(
            "Sums over the lines.",
            ["amount", "tax", "net", "by_tax_type"],
            amount=_TEXT_AMOUNT,
            tax=_TEXT_AMOUNT,
            net=_TEXT_AMOUNT,
            by_tax_type={
                "type": "object",
                "additionalProperties": _object(
                    "One tax letter.", ["net", "tax", "amount"], net=_TEXT_AMOUNT, tax=_TEXT_AMOUNT, amount=_TEXT_AMOUNT
                ),
            },
        ),
        original=_or_null(_ref("Linked")),
        credit=_or_null(
            _object(
                "What a credit note says beyond a sale; null on a sale.",
                ["reason", "remark", "received_by", "warnings"],
                reason={"type": "string", "enum": _REASONS},
                remark=_or_null({"type": "string"}),
                received_by={"type": "string"},
                warnings={"type": "array", "items": {"type": "object"}},
            )
        ),
        credit_notes={"type": "array", "items": _ref("Linked"), "description": "Of a sale, oldest first."},
        credited=_or_null({**_TEXT_AMOUNT, "description": "Of a sale: what its credit notes take, sent or waiting."}),
        left=_or_null({**_TEXT_AMOUNT, "description": "Of a sale: what can still be credited."}),
        lines={"type": "array", "items": {"type": "object"}},
        buyer=_object("", ["pin", "name"], pin=_or_null({"type": "string"}), name=_or_null({"type": "string"})),
        payments={"type": "array", "items": {"type": "object"}},
        problem=_or_null(
            _object("Why it was refused.", ["code", "detail"], code={"type": "string"}, detail={"type": "string"})
        ),
        waiting=_or_null(
            _object(
                "Where it waits.",
                ["position", "reason"],
                position=_or_null({"type": "integer", "description": "1: next."}),
                reason={"type": "string"},
            )
        ),
    ),
    "Linked": _object(
        "The other one of a sale and its credit note.",
        ["id", "reference", "number"],
        id={"type": "string", "format": "uuid"},
        reference={"type": "string"},
        number=_or_null({"type": "integer"}),
        status={"type": "string"},
        amount=_TEXT_AMOUNT,
    ),
    "CreditNote": {
        **_object(
            "A credit note as a till posts it. Without `lines` it credits all that is left of the sale.",
            ["reference", "reason", "received_by"],
            reference=_text(50, minLength=1, description="Your own number of the note; names it for ever."),
            reason={"type": "string", "enum": _REASONS},
            received_by=_text(60, minLength=1, description="Who received the note; KRA wants the name kept."),
            original_reference=_or_null(_text(50, description="Of the sale; where the path does not name it.")),
            lines=_or_null({"type": "array", "minItems": 1, "maxItems": 999, "items": _ref("CreditLine")}),
            goods_returned={"type": "boolean", "default": False, "description": "They go back into stock."},
            remark=_or_null(_text(350)),
            issued_at=_or_null({"type": "string", "format": "date-time", "description": "Now, if left out."}),
            payment_method=_or_null({"type": "string", "enum": _METHODS, "description": "As the sale, if left out."}),
            cashier=_or_null(_text(60)),
            device=_or_null({"type": "string", "description": "May be left out: it is that of the sale's branch."}),
        ),
        "additionalProperties": False,
        "examples": [CREDIT_NOTE],
    },
    "CreditLine": {
        **_object(
            "A line of the sale: so many of it, or so much money, or all that is left of it.",
            ["line"],
            line={"type": "integer", "minimum": 1, "description": "Its number in the sale."},
            quantity=_or_null(_QUANTITY),
            amount=_or_null({**_AMOUNT, "description": "Money off, with tax; no goods come back."}),
            goods_returned=_or_null({"type": "boolean", "description": "Instead of the note's own."}),
        ),
        "additionalProperties": False,
    },
    "Credits": _object(
        "The credit notes of a sale, newest first, and what all of them leave.",
        ["credit_notes", "next", "credited", "left"],
        credit_notes={"type": "array", "items": _ref("Invoice")},
        next=_or_null({"type": "string"}),
        credited=_or_null({"type": "object"}),
        left=_or_null({"type": "object"}),
    ),
    "Receipt": _object(
        "What KRA's control unit gave. `simulated` receipts are no tax invoices.",
        [
            "number",
            "total_number",
            "signature",
            "internal_data",
            "signed_at",
            "qr_url",
            "url",
            "recovered",
            "simulated",
        ],
        number={"type": "integer"},
        total_number={"type": "integer"},
        signature={"type": "string"},
        internal_data={"type": "string"},
        signed_at={"type": "string", "format": "date-time", "description": "The control unit's clock."},
        control_unit={"type": "string"},
        machine_code={"type": "string"},
        cu_invoice_number=_or_null({"type": "string", "examples": ["KRACU0100000001/1"]}),
        qr_url=_or_null({"type": "string", "description": "What the QR code must open."}),
        url={"type": "string", "description": "The receipt as a page; add .txt instead of the slash for text."},
        recovered={"type": "boolean", "description": "KRA's answer was lost and the receipt was looked up."},
        simulated={"type": "boolean"},
    ),
    "Health": _object(
        "Whether a sale could be kept now. `degraded`: sales are kept, but somebody should look.",
        ["status", "database", "engine", "queue", "kra", "broker"],
        status={"type": "string", "enum": ["ok", "degraded", "down"]},
        database=_object(
            "`last_commit_seconds`: since the engine's last commit.",
            ["status"],
            status={"type": "string", "enum": ["ok", "down"]},
            read_ms=_or_null({"type": "number"}),
            last_commit_seconds={"type": "number"},
        ),
        engine=_object(
            "Of the process that answers: documents with KRA, requests that wait, commits since its start.",
            ["status"],
            status={"type": "string", "enum": ["ok", "no lease"]},
            running={"type": "integer"},
            waiting={"type": "integer"},
            commits={"type": "integer"},
            failed_commits={"type": "integer"},
        ),
        queue=_object(
            "`oldest_seconds`: how long the oldest lane that is due waits. Jobs are counted up to `counted_up_to`.",
            ["oldest_seconds", "queued", "started", "held_lanes"],
            oldest_seconds={"type": "number"},
            queued={"type": "integer"},
            started={"type": "integer"},
            counted_up_to={"type": "integer"},
            held_lanes={"type": "integer"},
        ),
        kra={
            "type": "array",
            "items": _object(
                "One host of KRA as this process sees it. An open breaker: it answers nobody and is only probed.",
                ["host", "breaker"],
                host={"type": "string"},
                breaker={"type": "string", "enum": ["closed", "open"]},
                answered_seconds_ago=_or_null({"type": "number"}),
                failed_seconds_ago=_or_null({"type": "number"}),
            ),
        },
        broker={"type": "string", "enum": ["ok", "down", "not configured"]},
    ),
}

_PREFER: _Schema = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N`: how many seconds to wait for KRA, 0 to 55; 10 when left out.",
    "schema": {"type": "string", "examples": ["wait=10"]},
}
_LOCATION: _Schema = {"Location": {"description": "Where its status is read.", "schema": {"type": "string"}}}
_RETRY: _Schema = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_REPLAYED: _Schema = {
    "Idempotency-Replayed": {"description": "`true`: the reference was known.", "schema": {"type": "string"}}
}


def _answer(description: str, example: _Schema = INVOICE, **headers: _Schema) -> _Schema:
    content = {"application/json": {"schema": _ref("Invoice"), "example": example}}
    made: _Schema = {"description": description, "content": content}
    return {**made, "headers": headers} if headers else made


def _sale(operation_id: str, summary: str) -> _Schema:
    return {
        "post": {
            "operationId": operation_id,
            "summary": summary,
            "tags": ["sales"],
            "description": "Keep a sale and have it signed by KRA's control unit. A known reference is answered as it "
            "stands. 503 means that it is not known to be kept: repeat it with the same reference.",
            "parameters": [_PREFER],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _ref("Sale"), "example": SALE}},
            },
            "responses": {
                "200": _answer("Known already: signed or cancelled.", **_REPLAYED),
                "201": _answer("Signed."),
                "202": _answer("Kept and on its way.", WAITING, **_LOCATION, **_RETRY, **_REPLAYED),
                "422": {
                    "description": "Refused by us (problem document) or by KRA (the document with its `problem`).",
                    "content": {
                        "application/problem+json": {"schema": _ref("Problem")},
                        "application/json": {"schema": _ref("Invoice"), "example": REFUSED},
                    },
                },
            },
        }
    }


_ID: _Schema = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def _credit_note(operation_id: str, summary: str, example: dict[str, Any], *parameters: _Schema) -> _Schema:
    made = _sale(operation_id, summary)["post"]
    content = {"application/json": {"schema": _ref("CreditNote"), "example": example}}
    answers = {**made["responses"]}
    for status in ("200", "201"):
        described = answers[status]["content"]["application/json"]
        answers[status] = {**answers[status], "content": {"application/json": {**described, "example": SIGNED_NOTE}}}
    return {
        **made,
        "description": "Take a part or all of what is left of a sale, and have the note signed by the control unit of "
        "the sale, behind it. A refusal says what is left.",
        "parameters": [*parameters, _PREFER],
        "requestBody": {"required": True, "content": content},
        "responses": answers,
    }


HOT_PATHS: dict[str, _Schema] = {
    "/api/sales/": _sale("post_sale", "Post a sale"),
    "/api/integration/oscu/sales/": _sale("post_oscu_sale", "Post a sale for an OSCU (long path)"),
    "/api/integration/vscu/sales/": _sale("post_vscu_sale", "Post a sale for a VSCU (long path)"),
    "/api/integration/transactions/{id}/status/": {
        "get": {
            "operationId": "get_document",
            "summary": "How a document stands",
            "tags": ["sales"],
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
            ],
            "responses": {"200": _answer("The document as it stands.")},
        }
    },
    "/api/integration/transactions/{id}/credit-notes/": {
        "get": {
            "operationId": "list_credit_notes",
            "summary": "List a sale's credit notes, and what is left",
            "tags": ["sales"],
            "parameters": [
                _ID,
                {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200}},
                {"name": "cursor", "in": "query", "schema": {"type": "string"}},
            ],
            "responses": {
                "200": {
                    "description": "A page.",
                    "content": {"application/json": {"schema": _ref("Credits"), "example": CREDITS}},
                }
            },
        },
        "post": _credit_note("post_credit_note", "Credit a sale", CREDIT_NOTE, _ID),
    },
    "/api/integration/credit-notes/": {
        "post": _credit_note(
            "post_credit_note_by_reference",
            "Credit a sale by its reference",
            {**CREDIT_NOTE, "reference": "CN-2", "original_reference": "POS-1"},
        )
    },
    "/health/": {
        "get": {
            "operationId": "get_health",
            "summary": "Health",
            "tags": ["operation"],
            "security": [],
            "responses": {
                "200": {"description": "Well.", "content": {"application/json": {"schema": _ref("Health")}}},
                "503": {
                    "description": "A sale could not be kept now.",
                    "content": {"application/json": {"schema": _ref("Health")}},
                },
            },
        }
    },
}
