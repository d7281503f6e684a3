"""The hot routes, native on the engine's loop: post a sale, read how a document stands.

They translate and hand on. Keys are looked up through the engine's store and forgotten after two seconds, so a revoked
key stops that soon in every process.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api import headers
from gateway.api.auth import Principal, digest_of, key_in, note_caller, principal_from_row
from gateway.api.bodies import MOST_SECONDS, read_body, too_slow
from gateway.api.pages import read_page
from gateway.api.problems import CONTENT_TYPE, Field, Problem, document, invalid
from gateway.api.problems import field as problem_field
from gateway.audit.officers import note_opening
from gateway.devices.queries import WrongProfile
from gateway.lanes.engine import NotKept
from gateway.lanes.store import Statement, StoreDown
from gateway.lib.clock import utc_now
from gateway.lib.crypto import SealBroken
from gateway.lib.cursor import BadCursor
from gateway.lib.origin import origin
from gateway.lib.remembered import Remembered
from gateway.lib.turnstile import Turnstile
from gateway.sales.answers import answer, status_code
from gateway.sales.credit_notes import SaleNotFound, read_credit_note, record_credit_note
from gateway.sales.intake import NotJson, WrongSale, read_sale
from gateway.sales.queries import credits_of
from gateway.sales.services import (
    Caller,
    CompanyNotActive,
    DeviceNotFound,
    DeviceNotReady,
    Invalid,
    Outcome,
    ReferenceReused,
    Till,
)
from gateway.tenants.isolation import everything
from gateway.tenants.keys import note_uses
from gateway.tenants.models import Role
from gateway.tenants.rights import Right, may
from gateway.tenants.threads import in_thread

log = logging.getLogger(__name__)

MOST_BYTES = 1_048_576
RETRY_AFTER = 2  # seconds; said with 202
FORGET_SECONDS = 2.0
AT_ONCE = 16  # sales judged before anything else gets its turn; each takes half a millisecond or so
NOTE_AFTER_SECONDS = 3.0  # uses of keys are gathered for so long

_PRINCIPALS = """
SELECT k.digest, k.company_id, c.public_id AS company_public_id, c.status AS company_status, k.environment, k.role,
    k.device, k.expires_at, k.revoked_at, k.id AS key_id, k.prefix, k.last_used_at
FROM tenants_apikey k JOIN tenants_company c ON c.id = k.company_id WHERE k.digest
"""
PRINCIPALS = Statement(  # of several keys
    name="principals_by_digest",
    postgres=f"{_PRINCIPALS} = ANY(%(digests)s)",
    sqlite=(f"{_PRINCIPALS} IN (SELECT value FROM json_each(:digests))",),
)

_encoder = msgspec.json.Encoder()


async def wrong_method(request: Request, error: Exception) -> Response:
    """A hot path asked in another way than it takes."""
    allowed = getattr(error, "headers", None) or {}
    detail = f"{request.method} does not work here; {allowed.get('Allow', 'another method')} does."
    request_id = headers.request_id(request.headers.get("x-request-id"))
    told = {**allowed, "X-Request-Id": request_id}
    return _problem(Problem("method_not_allowed", detail, headers=told), request_id)


def hot_routes(till: Till) -> list[Route]:
    """The native routes around one process's till."""
    hot = Hot(till)
    sales = [
        ("/api/sales/", None),
        ("/api/integration/oscu/sales/", "oscu"),
        ("/api/integration/vscu/sales/", "vscu"),
    ]
    return [
        *[Route(path, hot.route(hot.post_sale, kind=kind), methods=["POST"]) for path, kind in sales],
        Route("/api/integration/transactions/{id}/status/", hot.route(hot.get_status), methods=["GET"]),
        Route("/api/integration/transactions/{id}/credit-notes/", hot.route(hot.credit_notes), methods=["GET", "POST"]),
        Route("/api/integration/credit-notes/", hot.route(hot.post_credit_note), methods=["POST"]),
    ]


class Hot:
    def __init__(self, till: Till) -> None:
        self._till = till
        self._principals = Remembered(self._read_principals, seconds=FORGET_SECONDS)
        self._turnstile = Turnstile(AT_ONCE)
        self._used: set[int] = set()  # keys whose use is not written down yet
        self._noting: asyncio.Task[None] | None = None
        self._secret = settings.SECRET_KEY.encode()

    def route(
        self, work: Callable[..., Awaitable[Response]], **options: Any
    ) -> Callable[[Request], Awaitable[Response]]:
        """The work with a request id, and every failure as a problem document."""

        async def handle(request: Request) -> Response:
            request_id = headers.request_id(request.headers.get("x-request-id"))
            try:
                response = await work(request, **options)
            except Problem as problem:
                response = _problem(problem, request_id)
            except (StoreDown, OperationalError, InterfaceError) as error:
                log.warning("Request %s: the database did not answer: %s", request_id, error)
                response = _problem(_not_kept(), request_id)
            except (WrongProfile, SealBroken) as error:
                response = _problem(Problem("setup_wrong", f"{error}."), request_id)
            except ClientDisconnect:
                log.info("Request %s: the caller went away before its body was here", request_id)
                response = Response(status_code=400)  # nobody reads it
            except Exception:
                log.exception("Request %s failed", request_id)
                response = _problem(Problem("unexpected", "Something went wrong on our side."), request_id)
            response.headers["X-Request-Id"] = request_id
            return response

        return handle

    async def post_sale(self, request: Request, kind: str | None) -> Response:
        principal = await self._principal(request)
        if not may(principal.role, Right.SELL):
            raise Problem("role_not_allowed", f"A key with the role {principal.role} may not post sales.")
        body = await _body(request)
        await self._turnstile.pass_through()
        caller = _caller(principal)
        try:
            sale = read_sale(body)
        except NotJson:
            raise Problem("not_json", "The body is not JSON.") from None
        except WrongSale as wrong:
            known = await self._till.known(caller, wrong.reference) if wrong.reference else None
            if known is not None:
                raise _reused() from None
            raise _invalid(wrong) from None
        wait_seconds = headers.wait_seconds(request.headers.get("prefer"))
        try:
            outcome = await self._till.record_sale(sale, caller=caller, kind=kind, wait_seconds=wait_seconds)
        except Invalid as wrong:
            raise _invalid(wrong) from None
        except ReferenceReused:
            raise _reused() from None
        except DeviceNotFound:
            raise Problem("not_found", "This company has no such device.", fields=[_no_device(sale.device)]) from None
        except DeviceNotReady as error:
            raise Problem("device_not_ready", str(error)) from None
        except CompanyNotActive:
            raise Problem("company_not_active", "This company's new sales are not taken now.") from None
        except NotKept as error:
            raise _not_kept(str(error)) from None
        return self._answer(outcome)

    async def get_status(self, request: Request) -> Response:
        principal = await self._principal(request)
        if not may(principal.role, Right.READ):
            raise Problem("role_not_allowed", f"A key with the role {principal.role} may not read invoices.")
        public_id = _public_id(request)
        await _note_opening(principal, request.url.path)
        row = await self._till.by_public_id(_caller(principal), public_id)
        if row is None:
            raise _no_document()
        origin().subject = public_id
        return _json(200, self._document(row))

    async def credit_notes(self, request: Request) -> Response:
        """A sale's credit notes: the list, or a new one."""
        sale_id = _public_id(request)
        if request.method == "POST":
            return await self.post_credit_note(request, sale_id)
        principal = await self._principal(request)
        if not may(principal.role, Right.READ):
            raise Problem("role_not_allowed", f"A key with the role {principal.role} may not read invoices.")
        wanted = read_page(request.query_params.multi_items())
        await _note_opening(principal, request.url.path)
        try:
            page = await in_thread(
                principal.company_id,
                credits_of,
                company_id=principal.company_id,
                environment=principal.environment,
                device=principal.device,
                sale_id=sale_id,
                limit=wanted.limit,
                cursor=wanted.cursor,
            )
        except BadCursor:
            raise Problem("bad_cursor", "This cursor is not one of this list.") from None
        if page is None:
            raise _no_document()
        origin().subject = sale_id
        return _json(200, page | {"credit_notes": [self._document(row) for row in page["credit_notes"]]})

    async def post_credit_note(self, request: Request, sale_id: uuid.UUID | None = None) -> Response:
        """A new credit note; without an id in the path its body names the sale by reference."""
        principal = await self._principal(request)
        if not may(principal.role, Right.CREDIT):
            raise Problem("role_not_allowed", f"A key with the role {principal.role} may not post credit notes.")
        body = await _body(request)
        caller = _caller(principal)
        try:
            note = read_credit_note(body)
        except NotJson:
            raise Problem("not_json", "The body is not JSON.") from None
        except WrongSale as wrong:
            if sale_id is not None and await self._till.by_public_id(caller, sale_id) is None:
                raise _no_document() from None
            if wrong.reference and await self._till.known(caller, wrong.reference) is not None:
                raise _reused() from None
            raise _invalid(wrong) from None
        wait_seconds = headers.wait_seconds(request.headers.get("prefer"))
        try:
            outcome = await record_credit_note(
                self._till, note, caller=caller, sale_id=sale_id, wait_seconds=wait_seconds
            )
        except SaleNotFound:
            raise _no_document() from None
        except Invalid as wrong:
            raise _invalid(wrong) from None
        except ReferenceReused:
            raise _reused() from None
        except DeviceNotReady as error:
            raise Problem("device_not_ready", str(error)) from None
        except CompanyNotActive:
            raise Problem("company_not_active", "This company's new documents are not taken now.") from None
        return self._answer(outcome)

    async def _principal(self, request: Request) -> Principal:
        key = key_in(request.headers.get("authorization"))
        if key is None:
            raise Problem("key_missing", "Send the header Authorization: Token <key>.", headers=_CHALLENGE)
        principal = await self._principals.get(digest_of(key))
        if principal is None:
            raise Problem("key_unknown", "This key is not valid.", headers=_CHALLENGE)
        note_caller(principal)
        return principal

    async def _read_principals(self, digests: list[str]) -> dict[str, Principal | None]:
        found: dict[str, Principal | None] = dict.fromkeys(digests)
        for row in await self._till.engine.store.read(PRINCIPALS, {"digests": digests}):
            principal = found[row["digest"]] = principal_from_row(row, now=utc_now())
            if principal is not None and not principal.use_is_noted:
                self._note(principal.key_id)
        return found

    def _note(self, key_id: int) -> None:
        """Write down soon, all gathered at once and off this loop, that a key is in use."""
        self._used.add(key_id)
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._write_uses(), name="key uses")

    async def _write_uses(self) -> None:
        await asyncio.sleep(NOTE_AFTER_SECONDS)
        used, self._used = self._used, set()
        try:
            await asyncio.to_thread(_note_in_thread, used)
        except DatabaseError as error:
            log.warning("the use of %d keys could not be written down: %s", len(used), error)

    def _document(self, row: Any) -> dict[str, Any]:
        reason = row.get("hold_reason") or row.get("rest_reason") or None
        return answer({**row, "reason": reason}, system_url=settings.SYSTEM_URL, secret=self._secret)

    def _answer(self, outcome: Outcome) -> Response:
        status = status_code(outcome.row, outcome.replayed)
        told: dict[str, str] = {}
        made = self._document(outcome.row)
        origin().subject = uuid.UUID(str(made["id"]))
        if outcome.replayed:
            told["Idempotency-Replayed"] = "true"
        if status == 202:
            told["Location"] = f"/api/integration/transactions/{made['id']}/status/"
            told["Retry-After"] = str(RETRY_AFTER)
        return _json(status, made, told)


_CHALLENGE = {"WWW-Authenticate": "Token"}


def _note_in_thread(key_ids: set[int]) -> None:
    try:
        with everything():
            note_uses(key_ids, now=utc_now())
    finally:
        connection.close()  # the thread may never come back to it


async def _note_opening(principal: Principal, path: str) -> None:
    """An officer's reading is kept in the journal."""
    if principal.role == Role.REVENUE_OFFICER:
        await in_thread(
            principal.company_id,
            note_opening,
            company_id=principal.company_id,
            role=principal.role,
            actor=principal.actor,
            environment=principal.environment,
            method="GET",
            path=path,
        )


def _public_id(request: Request) -> uuid.UUID:
    """The id in the path. Raises Problem 404."""
    try:
        return uuid.UUID(request.path_params["id"])
    except ValueError:
        raise _no_document() from None


def _no_document() -> Problem:
    return Problem("not_found", "There is no such document.")


def _caller(principal: Principal) -> Caller:
    return Caller(
        company_id=principal.company_id,
        environment=principal.environment,
        is_active=principal.is_active,
        device=principal.device,
    )


async def _body(request: Request) -> bytes:
    """The body, refused as soon as it is known to be too large, and when it does not come."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MOST_BYTES:
        raise Problem("too_large", "A sale has at most 1 MB.")
    try:
        body = await read_body(request.receive, most=MOST_BYTES, seconds=MOST_SECONDS)
    except TimeoutError:
        raise Problem("too_slow", too_slow(MOST_SECONDS), headers={"Connection": "close"}) from None
    if body is None:
        raise ClientDisconnect
    if len(body) > MOST_BYTES:
        raise Problem("too_large", "A sale has at most 1 MB.")
    return body


def _json(status: int, content: Any, told: dict[str, str] | None = None) -> Response:
    return Response(_encoder.encode(content), status, told, media_type="application/json")


def _problem(problem: Problem, request_id: str) -> Response:
    origin().code = problem.code
    made = document(
        problem.code,
        problem.detail,
        system_url=settings.SYSTEM_URL,
        request_id=request_id,
        fields=problem.fields,
        kra=problem.kra,
    )
    return Response(
        _encoder.encode({**made, **problem.extra}), problem.status, problem.headers, media_type=CONTENT_TYPE
    )


def _invalid(wrong: Invalid | WrongSale) -> Problem:
    return invalid(problem_field(one.field, one.code, one.message) for one in wrong.wrongs)


def _reused() -> Problem:
    return Problem(
        "reference_reused",
        "This reference was used for another sale, with other content. Nothing was kept. Send that sale unchanged, or "
        "give a new sale a new reference.",
    )


def _no_device(wanted: str | None) -> Field:
    if wanted is not None:
        return problem_field("device", "unknown_device", "There is no such device.")
    return problem_field("device", "no_device", "This company has no device yet; add one and activate it.")


def _not_kept(detail: str = "The database did not answer.") -> Problem:
    return Problem(
        "not_kept", f"{detail} Repeat it with the same reference.", headers={"Retry-After": str(RETRY_AFTER)}
    )
