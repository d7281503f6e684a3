"""The client: one per connection profile and process, on kept connections. It sends once and says what is known after.

It never repeats a message, but for one refused as unprocessed because of a stale token. If the task of a call is
cancelled, the message may have been sent: treat that like NoAnswer.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from time import perf_counter
from typing import Any, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from gateway.kra.activation import read_activation
from gateway.kra.classify import Reply, is_stale_token, read_reply
from gateway.kra.documents import (
    AppCredentials,
    CodeClass,
    Credentials,
    Exchange,
    FoundInvoice,
    ItemClass,
    ItemDocument,
    Outcome,
    RawActivation,
    RegisteredItem,
    SaleDocument,
    Signature,
)
from gateway.kra.errors import (
    Busy,
    DeviceTrouble,
    Drift,
    Duplicate,
    KraError,
    NoAnswer,
    NotOffered,
    NotSent,
    Refused,
)
from gateway.kra.masking import masked, masked_sale, scrubbed
from gateway.kra.operations import operation, path_of
from gateway.kra.profiles import Flavour, Profile, host_of, reaches
from gateway.kra.tokens import Tokens
from gateway.kra.wire import basics, items, sales
from gateway.kra.wire.fields import Unreadable, encode
from gateway.kra.wire.sales import GAP, gap, has_gaps, with_item_codes, with_number
from gateway.lib.clock import to_stamp14, utc_now

__all__ = [
    "GAP",
    "Client",
    "gap",
    "has_gaps",
    "read_activation",
    "reading",
    "with_item_codes",
    "with_number",
]

_BEGINNING = "20180101000000"  # older than eTIMS; every known client starts with such a date

_OUTCOMES: Mapping[type[KraError], Outcome] = {
    NotSent: "not_sent",
    NoAnswer: "no_answer",
    Refused: "refused",
    Duplicate: "duplicate",
    Drift: "drift",
    DeviceTrouble: "device_trouble",
    Busy: "busy",
}


class Client:
    """Calls to the KRA of one profile. GavaConnect needs the credentials of the integrator's app."""

    def __init__(self, profile: Profile, *, session: aiohttp.ClientSession, app: AppCredentials | None = None) -> None:
        self.profile = profile
        self._session = session
        self._app = app
        self._tokens = None
        self._slots: dict[str, asyncio.Semaphore] = {}  # how many calls may be under way at one host
        self._routes: dict[tuple[str, str], _Route] = {}
        if profile.flavour is Flavour.GAVACONNECT:
            if app is None:
                raise ValueError("GavaConnect needs the credentials of an app")
            self._tokens = Tokens(profile, app, session)

    # Sales

    def sale_body(self, document: SaleDocument, credentials: Credentials) -> bytes:
        """The body of a sale, all but its number: the same bytes for the same document. ValueError if it cannot be."""
        return sales.sale_body(document, credentials, self.profile)

    with_number = staticmethod(with_number)

    async def save_sale(self, credentials: Credentials, body: bytes, number: int) -> tuple[Signature, Exchange]:
        """Have a sale or credit note signed. `body` carries `number` already (`with_number`).

        Raises any of the family; NoAnswer also when KRA said success and gave no usable receipt.
        """
        reply, exchange = await self.call("sales_save", credentials, body, number=number)
        with reading(exchange, is_write=True):
            return sales.read_signature(reply.data), exchange

    async def find_invoice(self, credentials: Credentials, number: int) -> tuple[FoundInvoice | None, Exchange]:
        """What KRA holds under an invoice number; None if it says 001. A late message may still land after that.

        Raises NotOffered on VSCU, which has no such look-up; Busy when the answer proves neither.
        """
        body = self.body(credentials, {"invcNo": number})
        reply, exchange = await self.call("invoice_details", credentials, body, number=number)
        if reply.is_empty:
            return None, exchange
        with reading(exchange):
            for found in sales.read_invoices(reply.data):
                if found.number == number:
                    return found, exchange
            raise Unreadable("the invoice that was asked for")

    async def list_sales(
        self, credentials: Credentials, changed_since: datetime | None = None
    ) -> tuple[list[FoundInvoice], datetime | None, Exchange]:
        """The sales and credit notes that KRA holds of a branch, for reconciliation. Not offered by VSCU."""
        reply, exchange = await self.look_up("sales_list", credentials, changed_since)
        with reading(exchange):
            return ([] if reply.is_empty else sales.read_invoices(reply.data)), reply.server_time, exchange

    # Items

    def item_body(self, document: ItemDocument, credentials: Credentials) -> bytes:
        """The body of an item, all but the serial of its code; complete when the document has its code."""
        return items.item_body(document, credentials, self.profile)

    item_with_number = staticmethod(items.item_with_number)

    def item_code(self, document: ItemDocument, serial: int) -> str:
        """The code that an item gets with a serial."""
        return items.item_code(document, serial, self.profile)

    async def save_item(self, credentials: Credentials, body: bytes) -> Exchange:
        """Register an item, or update it if its code is known. Repeating the same body is harmless."""
        return (await self.call("item_save", credentials, body))[1]

    async def list_items(
        self, credentials: Credentials, changed_since: datetime | None = None
    ) -> tuple[list[RegisteredItem], datetime | None, Exchange]:
        """The company's items at KRA, changed after a moment of KRA's clock, and KRA's clock now."""
        reply, exchange = await self.look_up("item_list", credentials, changed_since)
        with reading(exchange):
            return ([] if reply.is_empty else items.read_items(reply.data)), reply.server_time, exchange

    # Basic data

    async def code_list(
        self, credentials: Credentials, changed_since: datetime | None = None
    ) -> tuple[list[CodeClass], datetime | None, Exchange]:
        """KRA's code classes changed after a moment of KRA's clock, and KRA's clock now."""
        reply, exchange = await self.look_up("code_list", credentials, changed_since)
        with reading(exchange):
            return ([] if reply.is_empty else basics.read_code_classes(reply.data)), reply.server_time, exchange

    async def item_classes(
        self, credentials: Credentials, changed_since: datetime | None = None
    ) -> tuple[list[ItemClass], datetime | None, Exchange]:
        """KRA's item classification; tens of thousands of rows when asked for everything."""
        reply, exchange = await self.look_up("item_class_list", credentials, changed_since)
        with reading(exchange):
            return ([] if reply.is_empty else basics.read_item_classes(reply.data)), reply.server_time, exchange

    # Activation

    async def initialize_device(self, pin: str, branch: str, serial: str, *, base_url: str = "") -> RawActivation:
        """Ask KRA once for a device's key and return what came, uninterpreted: store it sealed, then `read_activation`.

        Never repeat it by yourself: a second call gives no key and has damaged devices. Raises NotSent or NoAnswer only
        (and DeviceTrouble if the app itself is refused).
        """
        credentials = Credentials(pin, branch, "", serial, base_url)
        body = encode({"tin": pin, "bhfId": branch, "dvcSrlNo": serial})
        attempt = _Attempt("device_init", None, body)
        try:
            status, headers, answer = await self._send("device_init", credentials, body, {}, await self._bearer())
        except KraError as error:
            attempt.fail(error, None, b"", self._secrets())
            raise
        exchange = attempt.exchange(status, answer, "unread", "", "", self._secrets())
        return RawActivation(
            body=answer, http_status=status, content_type=headers.get("Content-Type", ""), exchange=exchange
        )

    read_activation = staticmethod(read_activation)

    # Transport

    def host(self, credentials: Credentials | None = None) -> str:
        """Host and port that a device's calls go to: what a breaker and the limit of calls belong to."""
        return _place(self._base_url(credentials))

    def body(self, credentials: Credentials, fields: dict[str, Any]) -> bytes:
        """The body of a call: who speaks, and its fields."""
        return encode({"tin": credentials.pin, "bhfId": credentials.branch, **fields})

    async def look_up(
        self, name: str, credentials: Credentials, changed_since: datetime | None
    ) -> tuple[Reply, Exchange]:
        """A look-up of what was registered or changed after a moment of KRA's clock; everything if there is none."""
        since = to_stamp14(changed_since) if changed_since else _BEGINNING
        return await self.call(name, credentials, self.body(credentials, {"lastReqDt": since}))

    async def call(
        self, name: str, credentials: Credentials, body: bytes, *, number: int | None = None
    ) -> tuple[Reply, Exchange]:
        """Send one message and read the answer's envelope. Every error of the family carries its exchange."""
        attempt = _Attempt(name, number, body)
        is_write = operation(name).is_write
        secrets: tuple[str, ...] = (credentials.key,)
        status, answer = None, b""
        try:
            headers = self._headers(credentials)
            bearer = await self._bearer()
            secrets = self._secrets(credentials)
            status, answer_headers, answer = await self._send(name, credentials, body, headers, bearer)
            try:
                reply = read_reply(status, answer_headers, answer, flavour=self.profile.flavour, is_write=is_write)
            except DeviceTrouble as error:
                if self._tokens is None or not is_stale_token(error):
                    raise
                self._tokens.drop(bearer)
                status, answer = None, b""
                bearer = await self._bearer()
                secrets = (*secrets, *self._secrets(credentials))
                status, answer_headers, answer = await self._send(name, credentials, body, headers, bearer)
                reply = read_reply(status, answer_headers, answer, flavour=self.profile.flavour, is_write=is_write)
        except KraError as error:
            attempt.fail(error, status, answer, secrets)
            raise
        outcome: Outcome = "empty" if reply.is_empty else "done"
        message = scrubbed(reply.message, secrets)
        return reply, attempt.exchange(status, answer, outcome, reply.code, message, secrets, reply.server_time)

    async def _send(
        self, name: str, credentials: Credentials, body: bytes, headers: Mapping[str, str], bearer: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        route = self._route(name, self._base_url(credentials))
        headers = {"Content-Type": "application/json", **headers}
        if self._app is not None:
            headers["Authorization"] = f"Bearer {bearer}"
            headers["apigee_app_id"] = self._app.app_id
        async with route.slots:
            try:
                async with self._session.post(
                    route.url, data=body, headers=headers, timeout=route.timeout, allow_redirects=False
                ) as answer:
                    return answer.status, answer.headers, await _whole(answer, self.profile.answer_bytes)
            # `from None`: aiohttp's errors carry the request, and with it the key.
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                raise NotSent("not_connected", f"no connection to {route.host} ({_kind(error)})") from None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                message = f"no answer from {route.host} ({_kind(error)})"
                raise (NoAnswer if route.is_write else Busy)("no_answer", message) from None

    def _route(self, name: str, base_url: str) -> "_Route":
        if (known := self._routes.get((name, base_url))) is not None:
            return known
        path = path_of(name, self.profile)
        if path is None:
            raise NotOffered("not_offered", f"{self.profile.flavour} has no {name}")
        host = _place(base_url)
        if not host:
            raise NotSent("bad_address", "the device's address is no http address")
        if not reaches(self.profile, base_url):
            raise NotOffered("forbidden_host", f"profile {self.profile.name} must not speak to {host}")
        is_write = operation(name).is_write
        seconds = self.profile.write_seconds if is_write else self.profile.lookup_seconds
        connect = self.profile.connect_seconds
        timeout = aiohttp.ClientTimeout(connect + seconds, connect=connect, sock_connect=connect, sock_read=seconds)
        slots = self._slots.setdefault(host, asyncio.Semaphore(self.profile.max_concurrent))
        route = self._routes[name, base_url] = _Route(URL(base_url + path), host, slots, timeout, is_write)
        return route

    def _headers(self, credentials: Credentials) -> dict[str, str]:
        if self.profile.flavour is Flavour.VSCU:
            return {}
        headers = {"tin": credentials.pin, "bhfId": credentials.branch, "cmcKey": credentials.key}
        for name, value in headers.items():
            if not value or not value.isascii() or not value.isprintable():
                raise DeviceTrouble("892", f"{name} is missing or not fit for a header")
        return headers

    async def _bearer(self) -> str:
        return await self._tokens.current() if self._tokens else ""

    def _secrets(self, credentials: Credentials | None = None) -> tuple[str, ...]:
        key = (credentials.key,) if credentials else ()
        return (*key, *self._tokens.secrets) if self._tokens else key

    def _base_url(self, credentials: Credentials | None) -> str:
        own = credentials.base_url if credentials and self.profile.flavour is Flavour.VSCU else ""
        return (own or self.profile.base_url).rstrip("/")


class _Route(NamedTuple):
    """Where and how one kind of call goes."""

    url: URL
    host: str
    slots: asyncio.Semaphore
    timeout: aiohttp.ClientTimeout
    is_write: bool


class _Attempt:
    """One message under way, until it is an exchange."""

    __slots__ = ("body", "name", "number", "started", "started_at")

    def __init__(self, name: str, number: int | None, body: bytes) -> None:
        self.name = name
        self.number = number
        self.body = body
        self.started_at = utc_now()
        self.started = perf_counter()

    def fail(self, error: KraError, status: int | None, answer: bytes, secrets: tuple[str, ...]) -> None:
        """Give an error its exchange, and take out of it what KRA echoed and nobody may see."""
        error.message = scrubbed(error.message, secrets)
        error.field = scrubbed(error.field, secrets) if error.field else None
        error.args = (error.code, error.message)
        if (outcome := _OUTCOMES.get(type(error))) is not None:
            error.exchange = self.exchange(status, answer, outcome, error.code, error.message, secrets)

    def exchange(
        self,
        status: int | None,
        answer: bytes,
        outcome: Outcome,
        code: str,
        message: str,
        secrets: tuple[str, ...],
        server_time: datetime | None = None,
    ) -> Exchange:
        return Exchange(
            operation=self.name,
            number=self.number,
            started_at=self.started_at,
            duration_ms=round((perf_counter() - self.started) * 1000),
            http_status=status,
            request_sha256=sha256(self.body).hexdigest(),
            request_masked=masked_sale(self.body) if self.name == "sales_save" else masked(self.body, secrets),
            answer_masked=masked(answer, secrets),
            outcome=outcome,
            code=code,
            message=message,
            server_time=server_time,
        )


@contextmanager
def reading(exchange: Exchange, *, is_write: bool = False) -> Iterator[None]:
    """Around the reading of a success: what cannot be read becomes NoAnswer for a write, Busy for a look-up."""
    try:
        yield
    except Unreadable as error:
        outcome: Outcome = "no_answer" if is_write else "busy"
        message = f"KRA said success, but {error}"
        exchange = msgspec.structs.replace(exchange, outcome=outcome, code="unreadable", message=message)
        raise (NoAnswer if is_write else Busy)("unreadable", message, exchange=exchange) from None


async def _whole(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, unpacked; broken off with a ClientError when it is past all reason."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > most:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(body)


def _place(base_url: str) -> str:
    host = host_of(base_url)
    return f"{host}:{URL(base_url).port}" if host else ""


def _kind(error: BaseException) -> str:
    return type(error).__name__
