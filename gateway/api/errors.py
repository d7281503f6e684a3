"""From what went wrong to the problem document that tells of it; the only place where that is decided."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja.errors import HttpError, ValidationError

from gateway.api import headers
from gateway.api.problems import CONTENT_TYPE, PROBLEMS, Field, Problem, document, field, invalid
from gateway.api.shapes import fields_beside
from gateway.catalog.going_live import NotReadyToGoLive
from gateway.catalog.judging import RowsRefused
from gateway.catalog.services import ItemInFlight, ItemRetired, ItemUnknown
from gateway.catalog.sheets import BadFile
from gateway.devices.keys import KeyRefused, NoPurchasesHere, NotTheLastNumber
from gateway.devices.queries import DeviceUnclear, DeviceUnknown, WrongAddress, WrongProfile
from gateway.devices.services import BranchHasActiveDevice, DeviceNotReady, LaneInUse, SerialTaken
from gateway.devices.stages import ProductionClosed
from gateway.kra.errors import KraError, plain
from gateway.lib.crypto import SealBroken
from gateway.lib.cursor import BadCursor
from gateway.lib.origin import origin
from gateway.lib.spelling import no_such_field
from gateway.purchases.services import AlreadyDecided, BillReused, PurchaseReused
from gateway.reports.cash import CashReferenceReused
from gateway.reports.closing import BranchUnclear, BranchUnknown, DayAhead, DayBeforeOpening, NoDeviceThere, ZTaken
from gateway.reports.intervals import IntervalBackwards, IntervalTooLong
from gateway.sales.receipts.forms import NoSuchPaper
from gateway.stock.repairs import DriftMoved
from gateway.stock.services import NotRefused as MovementNotRefused
from gateway.stock.services import StockReferenceReused, StockRefused, plain_quantity
from gateway.tenants.companies import BranchTaken
from gateway.tenants.invitations import AlreadyInvited, AlreadyMember, InvitationClosed
from gateway.tenants.keys import ExpiryWrong, KeyEnded, ReachesFurther
from gateway.tenants.models import Member
from gateway.tenants.people import BadAccessEnd, LastOwner, NotAllowed
from gateway.tenants.services import PinTaken

RETRY_SECONDS = 10
_REQUEST_ID = "revpay.request_id"
_log = logging.getLogger(__name__)

# What our services raise, and what the caller is told
_TOLD: dict[type[Exception], Callable[[Any], Problem]] = {
    BranchTaken: lambda error: Problem("branch_taken", f"The company has a branch with the code {error} already."),
    ReachesFurther: lambda error: Problem("key_reaches_further", str(error)),
    AlreadyMember: lambda error: Problem("already_member", f"{error} has a place in the company already."),
    AlreadyInvited: lambda error: Problem("already_invited", f"An invitation of {error} is open."),
    InvitationClosed: lambda error: Problem("invitation_closed", f"The invitation of {error} is closed."),
    LastOwner: lambda error: Problem("last_owner", str(error)),
    Member.DoesNotExist: lambda error: Problem("not_found", "Nobody with this id has a place in the company."),
    NotAllowed: lambda error: Problem("role_not_allowed", str(error)),
    BadAccessEnd: lambda error: invalid([field("access_until", "wrong_end", str(error))]),
    KeyEnded: lambda error: Problem("key_ended", _sentence(error)),
    ExpiryWrong: lambda error: invalid([field("expires_at", "wrong_end", str(error))]),
    PinTaken: lambda error: Problem("pin_taken", f"A company with the PIN {error} is onboarded already."),
    SerialTaken: lambda error: Problem("serial_taken", f"A device with the serial {error} exists already."),
    BranchHasActiveDevice: lambda error: Problem(
        "branch_has_active_device", f"Branch {error} has a device that signs, or that is being activated right now."
    ),
    DeviceNotReady: lambda error: Problem("device_not_ready", f"This cannot be done now: {error}."),
    DeviceUnknown: lambda error: Problem("not_found", f"{_sentence(error)} Check its id or serial and the key."),
    DeviceUnclear: lambda error: Problem(
        "invalid",
        _sentence(error),
        fields=[field("device", "missing", "The company has several devices: say which one, by id or serial.")],
    ),
    LaneInUse: lambda error: Problem("lane_in_use", f"This cannot be done now: {error}."),
    KeyRefused: lambda error: Problem(
        "refused_by_kra",
        plain(error.error),
        kra={"code": error.error.code, "message": error.error.message},
        fields=[field("key", "refused_by_kra", "KRA does not take this key for this device.")],
    ),
    NoPurchasesHere: lambda error: invalid(
        [field("last_purchase_number", "not_head_office", f"Branch {error} has no purchases; branch 00 has.")]
    ),
    NotTheLastNumber: lambda error: invalid([field("last_number", "not_the_last", str(error))]),
    NotReadyToGoLive: lambda error: Problem(
        "not_ready_to_go_live",
        f"Production stays closed; what is missing is in `unmet` ({len(error.unmet)}). First: {error.unmet[0].detail}",
        extra={"unmet": [point._asdict() for point in error.unmet]},
    ),
    ProductionClosed: lambda error: Problem(
        "production_closed", f"Production is not open to {error} yet; it goes live with POST /api/environment/switch/."
    ),
    SealBroken: lambda error: Problem("setup_wrong", "The vault of this company does not open."),
    WrongAddress: lambda error: invalid([field("device.base_url", "wrong_address", _sentence(error))]),
    WrongProfile: lambda error: Problem("setup_wrong", f"{_sentence(error)}"),
    BadCursor: lambda error: Problem(
        "bad_cursor",
        "This cursor does not belong to this list.",
        fields=[field("cursor", "unknown_value", "This is not one of ours.")],
    ),
    RowsRefused: lambda error: invalid(
        field(f"items[{row}].{name}", code, message) for row, name, code, message in error.problems
    ),
    BadFile: lambda error: invalid([field("file", "bad_file", str(error))]),
    ItemUnknown: lambda error: Problem("not_found", "There is no such item."),
    ItemRetired: lambda error: Problem("item_retired", f"The item {error} is no longer sold."),
    StockRefused: lambda error: invalid(field(*wrong) for wrong in error.wrongs),
    StockReferenceReused: lambda error: Problem(
        "reference_reused", f"The reference {error} names another movement of stock."
    ),
    MovementNotRefused: lambda error: Problem(
        "not_refused", f"The movement is {error}; only a refused one is sent again."
    ),
    AlreadyDecided: lambda error: Problem("already_decided", f"It is {error.status}; nothing was changed."),
    BillReused: lambda error: Problem("reference_reused", f"The reference {error} names another bill."),
    PurchaseReused: lambda error: Problem("reference_reused", f"The reference {error} names another purchase."),
    DriftMoved: lambda error: Problem(
        "drift_moved", f"The difference is {plain_quantity(error.now)} now. Look at the report again."
    ),
    ZTaken: lambda error: Problem(
        "day_closed",
        f"{error.report.day} was closed with Z report {error.report.number}; what is signed since counts in the next.",
        extra={"z_report": {"id": str(error.report.public_id), "number": error.report.number}},
    ),
    DayAhead: lambda error: invalid([field("day", "in_the_future", f"{error} has not begun in Nairobi.")]),
    DayBeforeOpening: lambda error: invalid([field("day", "before_opening", _not_open(error))]),
    BranchUnknown: lambda error: invalid([field("branch", "unknown_branch", f"The company has no branch {error}.")]),
    NoDeviceThere: lambda error: _no_device(str(error)),
    BranchUnclear: lambda error: invalid([field("branch", "missing", f"Say which branch: {error}.")]),
    IntervalBackwards: lambda error: invalid(
        [field(error.field, "wrong_order", "The interval ends before it begins.")]
    ),
    IntervalTooLong: lambda error: invalid(
        [field(error.field, "too_long", f"An interval has at most {error.most} days; ask for one after the other.")]
    ),
    NoSuchPaper: lambda error: invalid([field("paper", "no_such_paper", str(error))]),
    CashReferenceReused: lambda error: Problem(
        "reference_reused", f"The reference {error} names another movement of cash."
    ),
    ItemInFlight: lambda error: Problem("item_in_flight", f"Being registered at KRA right now: {error}."),
}

# pydantic's error types in plain words; {…} is filled from the error's context
WORDS: dict[str, tuple[str, str]] = {
    "missing": ("missing", "This field is needed."),
    "string_type": ("not_text", "This must be text in quotes."),
    "string_too_short": ("blank", "This must not be empty."),
    "string_too_long": ("too_long", "Must have at most {max_length} characters."),
    "string_pattern_mismatch": ("wrong_form", "Must have the form {pattern}."),
    "string_unicode": ("not_text", "Must be text in UTF-8."),
    "bool_type": ("not_yes_no", "This must be true or false, without quotes."),
    "bool_parsing": ("not_yes_no", "This must be true or false, without quotes."),
    "int_type": ("not_whole_number", "Must be a whole number."),
    "int_parsing": ("not_whole_number", "Must be a whole number."),
    "int_parsing_size": ("too_large", "Is too large."),
    "int_from_float": ("not_whole_number", "Must be a whole number."),
    "greater_than_equal": ("too_small", "Must be at least {ge}."),
    "less_than_equal": ("too_large", "Must be at most {le}."),
    "literal_error": ("unknown_value", "Must be {expected}."),
    "enum": ("unknown_value", "Must be {expected}."),
    "list_type": ("not_a_list", "This must be a list in square brackets."),
    "too_short": ("too_few", "Must have at least {min_length} entry."),
    "too_long": ("too_many", "Must have at most {max_length} entries."),
    "dict_type": ("not_an_object", "This must be an object in curly brackets."),
    "model_type": ("not_an_object", "This must be an object in curly brackets."),
    "model_attributes_type": ("not_an_object", "This must be an object in curly brackets."),
    "uuid_parsing": ("not_an_id", "Must be an id such as 6f9619ff-8b86-d011-b42d-00cf4fc964ff."),
    "uuid_type": ("not_an_id", "Must be an id such as 6f9619ff-8b86-d011-b42d-00cf4fc964ff."),
}
_PYDANTIC_ONLY = ("value_error", "assertion_error")


def answer_error(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer to a request that failed with this error. What we did not foresee is logged, and told as a 500."""
    problem = _problem_of(request, error)
    if problem is None:
        _log.error(
            "unexpected error, request_id=%s %s %s", request_id(request), request.method, request.path, exc_info=error
        )
        problem = Problem("unexpected", "The request could not be finished. Nothing is known to have been kept.")
    return answer_problem(request, problem)


def answer_problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    """The problem document, with the headers its status asks for (RFC 9110 §11.6.1, §10.2.3)."""
    origin().code = problem.code
    body = {
        **document(
            problem.code,
            problem.detail,
            system_url=settings.SYSTEM_URL,
            request_id=request_id(request),
            fields=problem.fields,
            kra=problem.kra,
        ),
        **problem.extra,
    }
    response = JsonResponse(body, status=problem.status, content_type=CONTENT_TYPE)
    if problem.status == 401:
        response["WWW-Authenticate"] = 'Token realm="Revpay Connect", Bearer realm="Revpay Connect"'
    if problem.status == 503:
        response["Retry-After"] = str(RETRY_SECONDS)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def request_id(request: HttpRequest) -> str:
    """The id of this request: the caller's own, or one that is made at the first question."""
    known = request.META.get(_REQUEST_ID)
    if known is None:
        known = request.META[_REQUEST_ID] = headers.request_id(request.headers.get("X-Request-Id"))
    return str(known)


def unreachable(error: KraError) -> Problem:
    """A 503 for something that needs KRA and changes nothing without it."""
    return Problem("kra_unreachable", plain(error), kra={"code": error.code, "message": error.message})


def fields_of(errors: Iterable[Mapping[str, Any]]) -> list[Field]:
    """pydantic's errors in our notation: where (`items[3].tax_type`), a stable code, a sentence."""
    return [_field(error) for error in errors]


def _field(error: Mapping[str, Any]) -> Field:
    kind = error["type"]
    if kind == "extra_forbidden":
        name = str(error["loc"][-1])
        return field(_path(error["loc"]), "unknown_field", no_such_field(name, fields_beside(error["loc"])))
    if kind in WORDS:
        code, sentence = WORDS[kind]
        return field(_path(error["loc"]), code, sentence.format_map(_Context(error.get("ctx") or {})))
    code = "invalid" if kind in _PYDANTIC_ONLY else kind
    return field(_path(error["loc"]), code, str(error["msg"]))


class _Context(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "…"


def _path(location: tuple[str | int, ...]) -> str:
    """`("body", "body", "items", 3, "tax_type")` as `items[3].tax_type`; the first two say only where ninja looked."""
    path = ""
    for step in location[2:] if location[:1] == ("body",) else location[1:]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "(body)"


def _problem_of(request: HttpRequest, error: Exception) -> Problem | None:
    match error:
        case Problem():
            return error
        case ValidationError() if _is_empty(request):
            return Problem("not_json", "The body is empty.")
        case ValidationError():
            return invalid(fields_of(error.errors))
        case Http404():
            return Problem("not_found", "There is nothing here.")
        case RequestDataTooBig():
            return Problem("too_large", "The body may have at most 1 MB.")
        case HttpError(status_code=400):
            if isinstance(error.__cause__, RequestDataTooBig):
                return _problem_of(request, error.__cause__)
            return Problem("not_json", "The body could not be read as JSON.")
        case HttpError():
            by_status = {kind.status: code for code, kind in reversed(PROBLEMS.items())}
            return Problem(by_status[error.status_code], str(error)) if error.status_code in by_status else None
        case KraError():
            return unreachable(error)
    told = _TOLD.get(type(error))
    return told(error) if told else None


def _no_device(branch: str) -> Problem:
    if branch:
        return invalid([field("branch", "no_device", f"Branch {branch} has no device here that this key may use.")])
    words = "This company has no device here yet; add one and activate it."
    return Problem("not_found", "This company has no device here.", fields=[field("device", "no_device", words)])


def _not_open(error: DayBeforeOpening) -> str:
    if error.opened_on is None:
        return f"The branch had not opened on {error.day}: it has no activated device yet."
    return f"The branch had not opened on {error.day}: its first day was {error.opened_on}."


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _is_empty(request: HttpRequest) -> bool:
    """Whether a JSON body was forgotten; forms are read by Django, which says itself what is missing."""
    return request.method in {"POST", "PUT"} and request.content_type != "multipart/form-data" and not request.body
