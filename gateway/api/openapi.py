"""One OpenAPI 3.1 description of all routes: Django's as ninja derives them, the hot ones as `hot_schema` says."""

import copy
from functools import cache
from typing import Any

from gateway.api.examples import ANSWERS, BODIES
from gateway.api.hot_schema import HOT_PATHS, HOT_SCHEMAS
from gateway.api.main import VERSION, api
from gateway.api.problems import CONTENT_TYPE, PROBLEMS

_FOR_BODIES = (400, 413, 422)
_FOR_KEYS = (401, 403)

_TAGS = [
    {"name": "sales", "description": "Post a sale, get a signed receipt."},
    {"name": "invoices", "description": "Read what was posted."},
    {"name": "receipts", "description": "Print, send and collect receipts; proforma and training."},
    {"name": "items", "description": "What a company sells, registered at KRA."},
    {"name": "classifications", "description": "KRA's item classification."},
    {"name": "codes", "description": "KRA's code tables."},
    {"name": "lookups", "description": "What KRA knows of others, and tells everybody."},
    {"name": "records at KRA", "description": "Customers, users and insurers that a branch registers with KRA."},
    {"name": "capabilities", "description": "What this installation and your devices can do."},
    {"name": "devices", "description": "Control units and their activation."},
    {"name": "companies", "description": "Companies and their branches."},
    {"name": "keys", "description": "API keys: make, rotate, revoke."},
    {"name": "people", "description": "Who has a place in a company: invitations, roles."},
    {"name": "onboarding", "description": "A taxpayer's first day."},
    {"name": "operation", "description": "Whether the gateway is well."},
]
_DESCRIPTION = """Between tills, shops and ERPs and the Kenya Revenue Authority's eTIMS.

* Every call carries `Authorization: Token <key>` (`Bearer <key>` works too). A key belongs to one company and one
  environment, sandbox or production.
* A sale that was answered with 2xx is signed once, or refused with KRA's reason, and never lost. Repeat a call with the
  same `reference` as often as you like: it names one document for ever.
* Amounts in answers are text with two decimals; in requests numbers and text are both taken.
* What fails is answered with a problem document (RFC 9457); its codes are listed at [/docs/problems/](/docs/problems/).
"""
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong, and what to do about it (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "A page that explains the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A plain sentence about this case."},
        "code": {"type": "string", "enum": sorted(PROBLEMS), "description": "Stable; decide by this."},
        "request_id": {"type": "string", "description": "Finds the request in our log."},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "examples": ["lines[0].quantity"]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
        "kra": {
            "type": "object",
            "description": "KRA's own code and words, where KRA spoke.",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}


def schema() -> dict[str, Any]:
    """The whole description; a fresh copy each time."""
    return copy.deepcopy(_schema())


@cache
def _schema() -> dict[str, Any]:
    made: dict[str, Any] = dict(api.get_openapi_schema(path_prefix="/api/"))
    paths: dict[str, Any] = {**copy.deepcopy(HOT_PATHS), **made["paths"]}
    schemas = {**made["components"]["schemas"], **HOT_SCHEMAS, "Problem": _PROBLEM}
    schemas["InvoicesOut"]["properties"]["invoices"]["items"] = {"$ref": "#/components/schemas/Invoice"}
    for methods in paths.values():
        for method, operation in methods.items():
            _complete(method, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": _TAGS,
        "security": [{"token": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Token <key>`, with the word Token and a blank before the key.",
                },
                "bearer": {"type": "http", "scheme": "bearer", "description": "The key as a bearer token."},
            },
        },
    }


def _complete(method: str, operation: dict[str, Any]) -> None:
    """Every answer a caller may meet, by status."""
    responses = {str(status): answer for status, answer in operation["responses"].items()}
    if (answer := ANSWERS.get(operation["operationId"])) is not None:
        responses["200"]["content"]["application/json"]["example"] = answer
    wanted = {429, 500, 503}
    if operation.get("security") != []:
        wanted |= {*_FOR_KEYS}
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
        if (example := BODIES.get(operation["operationId"])) is not None:
            operation["requestBody"]["content"]["application/json"]["example"] = example
        wanted |= {*_FOR_BODIES}
    elif operation.get("parameters"):
        wanted |= {422}
    if method == "post":
        wanted |= {404, 409}
    if operation.get("parameters"):
        wanted |= {404}
    for status in sorted(wanted):
        responses.setdefault(str(status), _problem_response(status))
    operation["responses"] = dict(sorted(responses.items()))


def _problem_response(status: int) -> dict[str, Any]:
    codes = [f"`{code}`" for code, kind in PROBLEMS.items() if kind.status == status]
    return {
        "description": "Problem: " + ", ".join(codes),
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
