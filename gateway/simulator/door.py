"""What all three doors share: reading a request, judging it, waiting for the disk, answering.

A door says who is asking and how answers are wrapped; the operations decide. One request is judged without a pause, so
requests never see each other half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from gateway.simulator import basics, branches, devices, imports, items, purchases, sales, stock
from gateway.simulator.answers import Refusal
from gateway.simulator.call import Call
from gateway.simulator.checks import document_check, number_reader
from gateway.simulator.clock import text14
from gateway.simulator.sales import DECODE
from gateway.simulator.tables import operations
from gateway.simulator.units import check_unit
from gateway.simulator.world import Device, World

Pairs = tuple[tuple[str, str], ...]
JSON: Final = "application/json;charset=UTF-8"

Handler = Callable[[Call], "dict[str, Any] | None"]

HANDLERS: Final[dict[str, Handler | Callable[[Call], None]]] = {
    "device_init": devices.initialize,
    "code_list": basics.code_list,
    "item_class_list": basics.item_class_list,
    "item_save": items.save_item,
    "item_list": items.item_list,
    "item_composition_save": items.save_composition,
    "sales_save": sales.save_sale,
    "sales_list": sales.sales_list,
    "invoice_details": sales.invoice_details,
    "customer_pin_lookup": branches.pin_lookup,
    "branch_list": branches.branch_list,
    "notice_list": branches.notice_list,
    "taxpayer_info": branches.taxpayer_info,
    "branch_customer_save": branches.save_customer,
    "branch_customer_list": branches.customer_list,
    "branch_user_save": branches.save_user,
    "branch_insurance_save": branches.save_insurance,
    "import_item_list": imports.import_list,
    "import_item_update": imports.update_import,
    "purchase_sales_list": purchases.supplier_invoices,
    "purchase_save": purchases.save_purchase,
    "stock_move_list": stock.move_list,
    "stock_io_save": stock.save_movement,
    "stock_master_save": stock.save_master,
}


class Reply(NamedTuple):
    """What goes back over the wire. ``code`` is the result code, for the request log."""

    status: int
    body: bytes
    code: str
    headers: Pairs = ()
    content_type: str = JSON


class Received(msgspec.Struct, frozen=True, array_like=True):
    """A request as it arrived, byte for byte; it can be put aside and judged later."""

    flavour: str
    operation: str
    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> str:
        """A header's value, trimmed; empty when it is not there. Names are compared in lower case."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1").strip()
        return ""


class Door(Protocol):
    """How one flavour identifies callers and words its answers."""

    def admit(self, world: World, received: Received) -> Reply | None: ...

    def identify(self, world: World, received: Received, document: dict[str, Any]) -> Device: ...

    def succeed(self, data: Any, stamp: str, received: Received) -> Reply: ...

    def refuse(self, refusal: Refusal, received: Received, stamp: str) -> Reply: ...

    def coded(self, code: str, message: str, received: Received, stamp: str) -> Reply: ...


NO_SWITCHES: Final[Mapping[str, Any]] = {}


def judge(
    world: World,
    door: Door,
    received: Received,
    *,
    switches: Mapping[str, Any] = NO_SWITCHES,
    faults: Iterable[str] = (),
    logged_as: int | None = None,
) -> Reply:
    """Decide a request and add all it changes, and itself, to the transaction being gathered.

    ``logged_as`` is the id of a request that was put aside when it came and is judged now.
    """
    now = world.clock.now_ms()
    stamp = stamp_of(world, now, switches)
    request_id = world.ledger.take_request_id() if logged_as is None else logged_as
    document: dict[str, Any] = {}
    reply = door.admit(world, received)
    if reply is None:
        try:
            if received.method != "POST":
                raise Refusal("912")
            document = read_document(received.body)
            device = None if received.operation == "device_init" else door.identify(world, received, document)
            call = Call(
                world=world, flavour=received.flavour, operation=received.operation, now=now, document=document,
                body=received.body, request_id=request_id, found_device=device, switches=switches, path=received.path,
                origin="caller" if logged_as is None else "late",
            )  # fmt: skip
            reply = door.succeed(_decide(call), stamp, received)
        except Refusal as refusal:
            reply = door.refuse(refusal, received, stamp)
    if logged_as is None:
        log_request(world, received, now, request_id, document, reply, faults)
    return reply


def stamp_of(world: World, now: int, switches: Mapping[str, Any]) -> str:
    """``resultDt``: KRA's clock, which a fault can put wrong."""
    skew = switches.get("clock_skew")
    return world.clock.stamp(now) if skew is None else text14(now + round(float(skew["seconds"]) * 1000))


def _decide(call: Call) -> Any:
    device = call.found_device
    if device is not None:
        if "corrupt_device" in call.switches and device.copies:
            raise devices.corrupt(device)
        if call.flavour == "vscu":
            check_unit(call)
        if not operations()[call.operation].is_write:
            _count_lookup(call)
    if not call.is_strict:
        number_reader(call.operation)(call.document)
        if call.operation == "sales_save" and not call.document.get("salesTyCd"):
            call.document["salesTyCd"] = "N"
    document_check(call.operation, call.flavour)(call.document)
    return HANDLERS[call.operation](call)


def _count_lookup(call: Call) -> None:
    """990 once a branch has looked up too often within a minute (spec v2.0 §4.18)."""
    limit = call.switches.get("lookup_limit", {}).get("per_minute") or call.settings.lookups_per_minute
    if not limit:
        return
    recent = [at for at in call.branch.lookups if at > call.now - 60_000]
    if len(recent) >= limit:
        call.branch.lookups = recent
        raise Refusal("990")
    call.branch.lookups = [*recent, call.now]


def read_document(body: bytes) -> dict[str, Any]:
    """The JSON object of a request, floats as Decimal. Raises Refusal: 911 without a body, 910 when it is not an
    object.
    """
    if not body.strip():
        raise Refusal("911")
    try:
        document = DECODE(body)
    except (msgspec.DecodeError, ArithmeticError, RecursionError) as error:
        raise Refusal("910", "the body is not JSON", wrong_type=True) from error
    if type(document) is not dict:
        raise Refusal("910", "the body must be an object", wrong_type=True)
    return document


def log_request(
    world: World,
    received: Received,
    at: int,
    request_id: int,
    document: Mapping[str, Any],
    reply: Reply | None,
    faults: Iterable[str],
) -> None:
    """Keep the request byte for byte, with what it was answered (nothing when no answer was made)."""
    pin, branch = identity(received, document)
    head = b"\n".join(b": ".join(pair) for pair in received.headers)
    status, code = (reply.status, reply.code) if reply is not None else (None, None)
    row = (
        request_id, at, received.method, received.path, head, received.body, received.flavour, received.operation, pin,
        branch, status, code, ",".join(faults) or None,
    )  # fmt: skip
    world.ledger.add("request", row)


def identity(received: Received, document: Mapping[str, Any]) -> tuple[str, str]:
    """PIN and branch a request speaks for, from header or body, unchecked."""
    pin = received.header(b"tin") or document.get("tin") or ""
    branch = received.header(b"bhfid") or document.get("bhfId") or ""
    return str(pin), str(branch)
