"""Every way a request can fail, once: stable code, HTTP status, title, and what to do about it.

Answers are RFC 9457 problem documents; `type` points into the page /docs/problems/, which is made from this table.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict

CONTENT_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """One kind of failure. `remedy` tells the developer of a till what to do."""

    status: int
    title: str
    remedy: str


class Field(TypedDict):
    """What is wrong with one field; `field` is a path such as `lines[0].quantity`."""

    field: str
    code: str
    message: str


class KraAnswer(TypedDict):
    """What KRA said."""

    code: str
    message: str


class Document(TypedDict):
    """A problem document as it goes out."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    fields: NotRequired[list[Field]]
    kra: NotRequired[KraAnswer]


PROBLEMS: dict[str, Kind] = {
    "not_json": Kind(
        400,
        "The body is not JSON",
        "Send one JSON object in UTF-8, without NaN or Infinity, and a Content-Type of application/json.",
    ),
    "bad_request": Kind(
        400, "The request cannot be read", "Check the host name, the path and the headers of the request."
    ),
    "key_missing": Kind(
        401,
        "No API key was sent",
        "Send the header `Authorization: Token <key>` (`Bearer <key>` works too) on every call.",
    ),
    "key_unknown": Kind(
        401,
        "The API key is not valid",
        "The key is mistyped, revoked or expired. Send the whole key as it was first shown, or make another.",
    ),
    "operator_needed": Kind(
        403,
        "Only the integrator's staff may do this",
        "Use an operator key (`manage.py create_operator_key`); keys of companies cannot do this.",
    ),
    "role_not_allowed": Kind(
        403,
        "This key's role may not do this",
        "Use a key with a role that may; `detail` names them. All may read, tills sell with the role cashier.",
    ),
    "key_reaches_further": Kind(
        403,
        "The key would reach further than yours",
        "A key makes, rotates and revokes only keys with no more rights, in its own environment, for its own device if "
        "it is bound to one, and with no later end. Use a key that reaches further, or ask for less.",
    ),
    "company_not_active": Kind(
        403,
        "The company is suspended or closed",
        "New documents are not taken now; what was kept goes on. Ask the integrator to reactivate the company.",
    ),
    "not_found": Kind(
        404,
        "There is no such thing",
        "Check the path (it ends with a slash), the id, and that the key belongs to the same company and environment.",
    ),
    "method_not_allowed": Kind(
        405, "This path does not take that method", "The `Allow` header of the answer names the methods that work."
    ),
    "pin_taken": Kind(
        409,
        "This PIN is onboarded already",
        "Each taxpayer is onboarded once. Use the company's own key, or add a device to the existing company.",
    ),
    "branch_taken": Kind(
        409, "The company has this branch already", "Change it with PUT …/branches/{code}/, or take another code."
    ),
    "already_member": Kind(409, "The person has a place in the company", "Change their role with PUT …/members/{id}/."),
    "last_owner": Kind(
        409,
        "The company would have no owner",
        "Make somebody else an owner first, without an end to it; then try again.",
    ),
    "already_invited": Kind(
        409, "The person is invited already", "Send that invitation again with POST …/resend/, or revoke it first."
    ),
    "invitation_closed": Kind(
        409, "The invitation was accepted or revoked", "See the list of invitations; invite anew if need be."
    ),
    "key_ended": Kind(
        409,
        "The key has ended, or has a successor",
        "An expired or revoked key is not rotated, and a key has one successor. Make a new one.",
    ),
    "serial_taken": Kind(
        409,
        "This device serial is in use already",
        "A serial belongs to one branch of one company in each environment. Check the serial that KRA approved.",
    ),
    "reference_reused": Kind(
        409,
        "This reference names another document",
        "A reference names one document for ever. Send the document unchanged to get its answer again, or give a new "
        "reference to a new sale.",
    ),
    "branch_has_active_device": Kind(
        409,
        "The branch has an active device",
        "One device at a time signs for a branch. Replace the active one, or retire it first.",
    ),
    "device_not_ready": Kind(
        409,
        "The device cannot take this now",
        "See the device's status and problem with GET /api/device/{id}/status/ and do what it says.",
    ),
    "not_ready_to_go_live": Kind(
        409,
        "The company is not ready for production",
        "`unmet` lists what is missing, each with what to do. Nothing was changed; switch again when it is done.",
    ),
    "production_closed": Kind(
        409,
        "Production is not open to the company yet",
        "Go live first: GET /api/environment/status/ shows what is missing, POST /api/environment/switch/ opens it.",
    ),
    "lane_in_use": Kind(
        409,
        "The branch's number series is in use",
        "Documents wait or are on their way, or the number would go back. Wait until the branch is quiet; a number to "
        "go on with is the one that KRA accepted last.",
    ),
    "item_in_flight": Kind(
        409,
        "An item is being registered at this moment",
        "Nothing was changed. Send the same request again in a few seconds.",
    ),
    "item_retired": Kind(
        409,
        "The item is no longer sold",
        "Bring it back with POST /api/items/{id}/restore/ before you change it.",
    ),
    "not_refused": Kind(
        409,
        "The document is not refused",
        "`invoice` is the document as it is now. Only a refused one can be asked for again; nothing was changed.",
    ),
    "not_signed": Kind(
        409,
        "The document is not signed",
        "There is no receipt before KRA's control unit has answered. Ask again when its status is signed.",
    ),
    "not_creditable": Kind(
        409,
        "The sale cannot be credited so",
        "`detail` says why. See what is left with GET …/transactions/{id}/credit-notes/, and post a credit note of it "
        "under a new reference.",
    ),
    "already_decided": Kind(
        409,
        "It is decided already",
        "Get it again to see how. A decision that KRA has recorded cannot be taken back here.",
    ),
    "day_closed": Kind(
        409,
        "The day is closed already",
        "A branch closes each day once, and days in their order. `z_report` is the report that closed it.",
    ),
    "not_finished": Kind(409, "It is not finished yet", "Ask again after as many seconds as `Retry-After` says."),
    "drift_moved": Kind(
        409,
        "The stock has moved meanwhile",
        "Nothing was changed. Get the drift report again, and confirm the difference that it shows now.",
    ),
    "too_late": Kind(
        409,
        "The document's turn has begun",
        "`invoice` is the document as it is now. Only a credit note takes back what is signed: "
        "POST …/transactions/{id}/credit-notes/.",
    ),
    "too_slow": Kind(
        408, "The body did not arrive in time", "Send the request again; look at the connection between you and us."
    ),
    "too_large": Kind(413, "The body is over 1 MB", "Send fewer rows in one request; a file may have 10 MB."),
    "invalid": Kind(
        422,
        "The request does not say what is needed",
        "`fields` names each field that is wrong, and why. Correct them and send it again.",
    ),
    "bad_cursor": Kind(
        422, "The cursor is not one of ours", "Use the value of `next` from the page before, or start without a cursor."
    ),
    "refused_by_kra": Kind(
        422,
        "KRA refused it",
        "`kra` has KRA's own code and words, `detail` says what to do. Sent unchanged it fails again.",
    ),
    "item_refused": Kind(
        422,
        "KRA did not take an item of the sale",
        "The sale brought a new item along, and KRA refused it or it was retired. Correct the item with POST "
        "/api/item/sync/, then ask for the sale again with POST …/retry/.",
    ),
    "insufficient_stock": Kind(
        422,
        "The branch does not have that much",
        "Something else took the goods before it was the sale's turn. Book what came in, then ask for the sale again "
        "with POST …/retry/, or post it corrected under its reference.",
    ),
    "given_back": Kind(
        422,
        "The operator took the document back",
        "KRA's answer was lost, and the operator found that KRA does not have the document. Ask for it again with "
        "POST …/retry/, or post it corrected under its reference.",
    ),
    "too_many_requests": Kind(
        429,
        "Too many requests",
        "Wait as many seconds as `Retry-After` says, then repeat with the same reference. `RateLimit-Policy` names the "
        "limit. The operator can set it higher.",
    ),
    "headers_too_large": Kind(431, "The headers are too large", "Send less: headers and address have 32 KB together."),
    "unexpected": Kind(
        500,
        "Something went wrong on our side",
        "Send it again, with the same reference. If it stays, give us the request_id.",
    ),
    "busy": Kind(
        503, "Too many requests wait here", "Repeat with the same reference after the seconds that `Retry-After` names."
    ),
    "not_kept": Kind(
        503,
        "It is not known to be kept",
        "Repeat it with the same reference: if it was kept, you get its answer; if not, it is kept now.",
    ),
    "kra_unreachable": Kind(
        503,
        "KRA cannot be reached",
        "Nothing was lost and nothing was sent. Try again after the seconds that `Retry-After` names.",
    ),
    "channel_not_set_up": Kind(
        409,
        "This installation does not send that way",
        "Nothing was sent. Choose another channel, or hand on the link of the receipt yourself.",
    ),
    "setup_wrong": Kind(
        503,
        "This installation is not set up for that",
        "Its operator must correct the settings; `detail` says which. Nothing was sent to KRA.",
    ),
}


class Problem(Exception):
    """A request that ends in a problem document. Raise it in a route; `api.main` turns it into the answer."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        fields: Sequence[Field] = (),
        kra: KraAnswer | None = None,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.fields = list(fields)
        self.kra = kra
        self.headers = headers or {}
        self.extra = extra or {}

    @property
    def status(self) -> int:
        return PROBLEMS[self.code].status


def field(path: str, code: str, message: str) -> Field:
    """What is wrong with one field, for a problem's `fields`."""
    return {"field": path, "code": code, "message": message}


def invalid(fields: Iterable[Field]) -> Problem:
    """A 422 that names every field that is wrong."""
    named = list(fields)
    first = f"{named[0]['field']}: {named[0]['message']}"
    several = f"{len(named)} fields are wrong; nothing was kept. First: {first}"
    return Problem("invalid", first if len(named) == 1 else several, fields=named)


def document(
    code: str,
    detail: str,
    *,
    system_url: str,
    request_id: str,
    fields: Sequence[Field] = (),
    kra: KraAnswer | None = None,
) -> Document:
    """The problem document of a failure (RFC 9457 §3). Raises KeyError for a code that is not in the table."""
    kind = PROBLEMS[code]
    made: Document = {
        "type": f"{system_url}/docs/problems/#{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if fields:
        made["fields"] = list(fields)
    if kra is not None:
        made["kra"] = kra
    return made
