"""One request from arrival to answer, with whatever was asked to go wrong in between.

What was received is carried through even when the caller hangs up. What goes wrong is written down with the request, so
that a test can see why it got what it got.
"""

from __future__ import annotations

import asyncio
import heapq
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.simulator.amounts import LETTERS, rounded
from gateway.simulator.answers import NUMBERS, Refusal
from gateway.simulator.call import Call
from gateway.simulator.door import Door, Received, Reply, identity, judge, log_request, read_document, stamp_of
from gateway.simulator.faults import Faults, Plan, Rule
from gateway.simulator.gavaconnect import GavaconnectDoor, fault, wrapped
from gateway.simulator.oscu import OscuDoor
from gateway.simulator.sales import record_invoice
from gateway.simulator.tables import messages
from gateway.simulator.units import catch_up
from gateway.simulator.vscu import VscuDoor
from gateway.simulator.world import Branch, World

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

DOORS: Final[dict[str, Door]] = {"oscu_direct": OscuDoor(), "gavaconnect": GavaconnectDoor(), "vscu": VscuDoor()}
HTML: Final = "text/html;charset=UTF-8"


class Exchange:
    """A caller waiting for an answer over one connection."""

    def __init__(self, receive: Receive, send: Send, transport: asyncio.Transport | None) -> None:
        self.receive, self.send, self.transport = receive, send, transport

    async def answer(self, reply: Reply) -> None:
        headers = [(b"content-type", reply.content_type.encode()), (b"content-length", b"%d" % len(reply.body))]
        headers += [(name.encode(), value.encode()) for name, value in reply.headers]
        await self.send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": reply.body})

    async def end(self, rule: Rule) -> None:
        """End without an answer: close, reset, or hang until the caller gives up."""
        ending = rule.parameters.get("ending", "close")
        if ending == "hang":
            try:
                await asyncio.wait_for(self._gone(), float(rule.parameters["hang_seconds"]))
                return
            except TimeoutError:
                ending = "close"
        if self.transport is not None:
            if ending == "reset":
                wire = self.transport.get_extra_info("socket")
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
            else:
                self.transport.close()
        await self._gone()

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


class Serving:
    """Answers KRA's paths over one world."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world, self.faults = world, faults
        self.late = Late(world)

    async def serve(self, received: Received, exchange: Exchange) -> None:
        """Judge a request, wait for the disk, answer; or do to it what a fault says."""
        ledger = self.world.ledger
        if self.world.behind:
            catch_up(self.world, self.faults)
        plan = self._plan(received) if self.faults.rules else None
        if plan is None:
            reply = judge(self.world, DOORS[received.flavour], received)
            await ledger.committed()
            await exchange.answer(reply)
        else:
            await self._misbehave(received, exchange, plan)

    def _plan(self, received: Received) -> Plan | None:
        try:
            document = read_document(received.body)
        except Refusal:
            document = {}
        return self.faults.plan(received.operation, *identity(received, document), self.world.clock.now_ms())

    async def _misbehave(self, received: Received, exchange: Exchange, plan: Plan) -> None:
        for rule in plan.delays:
            if rule.parameters["when"] != "after":
                await asyncio.sleep(self.faults.seconds(rule))
        if plan.instead is not None:
            reply = self._instead(received, plan, plan.instead)
        else:
            self._prepare(received, plan)
            reply = judge(
                self.world, DOORS[received.flavour], received, switches=plan.switches, faults=plan.names
            )  # fmt: skip
        await self.world.ledger.committed()
        for rule in plan.delays:
            if rule.parameters["when"] == "after":
                await asyncio.sleep(self.faults.seconds(rule))
        if plan.instead is not None and reply is None:
            await exchange.end(plan.instead)
        elif plan.after is not None and plan.after.fault == "answer_lost":
            await exchange.end(plan.after)
        elif reply is not None:
            if plan.after is not None:
                reply = reply._replace(body=reply.body[: round(len(reply.body) * float(plan.after.parameters["keep"]))])
            await exchange.answer(reply)

    def _instead(self, received: Received, plan: Plan, rule: Rule) -> Reply | None:
        """What the caller gets, None for nothing; recorded beforehand where the fault says so."""
        world, given = self.world, rule.parameters
        now = world.clock.now_ms()
        reply: Reply | None = None
        if rule.fault not in ("request_lost", "connection_reset", "recorded_late"):
            reply = _MADE[rule.fault](received, given, stamp_of(world, now, plan.switches))
        if given.get("recorded"):
            self._prepare(received, plan)
            judge(world, DOORS[received.flavour], received, switches=plan.switches, faults=plan.names)
            return reply
        if rule.fault == "recorded_late" and given["status"]:
            reply = Reply(int(given["status"]), b"", str(given["status"]))
        request_id = world.ledger.take_request_id()
        try:
            document = read_document(received.body)
        except Refusal:
            document = {}
        log_request(world, received, now, request_id, document, reply, plan.names)
        if rule.fault == "recorded_late":
            self.late.put_aside(received, request_id, now + round(float(given["seconds"]) * 1000))
        return reply

    def _prepare(self, received: Received, plan: Plan) -> None:
        if not plan.prepare:
            return
        try:
            pin, code = identity(received, read_document(received.body))
        except Refusal:
            return
        branch = self.world.branches.get((pin, code))
        if branch is None:
            return
        for rule in plan.prepare:
            if rule.fault == "number_taken":
                for _ in range(int(rule.parameters["count"])):
                    take_number(self.world, branch, received.flavour)
            else:
                device = self.world.signer(branch)
                if device is not None:
                    device.receipts = max(0, device.receipts - int(rule.parameters["by"]))
                    self.world.ledger.touch(device.row)


def take_number(world: World, branch: Branch, flavour: str) -> None:
    """Another system that shares the branch signs a sale of its own. Nothing happens while no unit can sign."""
    device = world.signer(branch)
    if device is None:
        return
    now = world.clock.now_ms()
    document = _foreign_sale(world, branch, world.clock.stamp(now))
    call = Call(
        world, flavour, "sales_save", now, document, NUMBERS.encode(document), None, device, origin="another system"
    )  # fmt: skip
    record_invoice(call, device=device, branch=branch, document=document, body=call.body)


def _foreign_sale(world: World, branch: Branch, stamp: str) -> dict[str, Any]:
    rates, total = world.settings.rates, Decimal("116.00")
    taxable = rounded(total * 100 / (100 + rates["B"]))
    amounts = {"B": (taxable, total - taxable)}
    audit = {"regrId": "other", "regrNm": "Another system", "modrId": "other", "modrNm": "Another system"}
    document: dict[str, Any] = {
        "tin": branch.pin, "bhfId": branch.code, "trdInvcNo": f"OTHER-{branch.next_invoice}",
        "invcNo": branch.next_invoice,
        "orgInvcNo": 0, "custTin": None, "custNm": "Customer of another system", "salesTyCd": "N", "rcptTyCd": "S",
        "pmtTyCd": "01", "salesSttsCd": "02", "cfmDt": stamp, "salesDt": stamp[:8], "stockRlsDt": stamp,
        "totItemCnt": 1,
        "totTaxblAmt": taxable, "totTaxAmt": total - taxable, "totAmt": total, "prchrAcptcYn": "N",
        "remark": "signed by another system", **audit,
    }  # fmt: skip
    for letter in LETTERS:
        document["taxRt" + letter] = rates[letter]
        document["taxblAmt" + letter], document["taxAmt" + letter] = amounts.get(letter, (0, 0))
    document["receipt"] = {"rcptPbctDt": stamp, "rptNo": 1, "trdeNm": "Another system", "prchrAcptcYn": "N"}
    document["itemList"] = [{
        "itemSeq": 1, "itemCd": "KE2NTNO9999999", "itemClsCd": "5016150900", "itemNm": "Goods of another system",
        "pkgUnitCd": "NT", "pkg": 1, "qtyUnitCd": "NO", "qty": 1, "prc": total, "splyAmt": total, "dcRt": 0, "dcAmt": 0,
        "taxTyCd": "B", "taxblAmt": taxable, "taxAmt": total - taxable, "totAmt": total,
    }]  # fmt: skip
    return document


def _html(received: Received, given: dict[str, Any], stamp: str) -> Reply:
    status = int(given["status"])
    page = f"<html><head><title>{status}</title></head><body><h1>{status} Service not available</h1></body></html>"
    return Reply(status, page.encode(), str(status), content_type=HTML)


def _status(received: Received, given: dict[str, Any], stamp: str) -> Reply:
    return Reply(int(given["status"]), NUMBERS.encode({"status": int(given["status"])}), str(given["status"]))


def _unauthorized(received: Received, given: dict[str, Any], stamp: str) -> Reply:
    return fault(401, "Invalid Access Token", "keymanagement.service.invalid_access_token")


def _limited(received: Received, given: dict[str, Any], stamp: str) -> Reply:
    after = (("retry-after", str(given["retry_after"])),)
    return Reply(429, NUMBERS.encode({"status": 429, "error": "Too Many Requests"}), "429", after)


def _gateway_fault(received: Received, given: dict[str, Any], stamp: str) -> Reply:
    return fault(int(given["status"]), str(given["faultstring"]), str(given["errorcode"]))


def _wrapped(received: Received, given: dict[str, Any], stamp: str) -> Reply:
    code = int(given["response_code"])
    return wrapped(int(given["status"]), code, str(given["message"]), None, str(code), received)


def _coded(received: Received, given: dict[str, Any], stamp: str) -> Reply:
    code = str(given["code"])
    text = given["message"] if given["message"] is not None else messages().get(code, "")
    return DOORS[received.flavour].coded(code, str(text), received, stamp)


def _empty(received: Received, given: dict[str, Any], stamp: str) -> Reply:
    return Reply(int(given["status"]), b"", "")


_MADE: Final[dict[str, Callable[[Received, dict[str, Any], str], Reply]]] = {
    "html_page": _html,
    "http_status": _status,
    "unauthorized": _unauthorized,
    "rate_limited": _limited,
    "gateway_fault": _gateway_fault,
    "wrapped_refusal": _wrapped,
    "result_code": _coded,
    "empty_answer": _empty,
}


class Late:
    """Requests that KRA has received and judges only later, by the virtual clock. They are kept on disk meanwhile."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._timer: asyncio.TimerHandle | None = None
        self.load()

    def load(self) -> None:
        """Read what a stopped server left behind."""
        rows = self.world.ledger.rows("SELECT id, due, request FROM late ORDER BY due, id")
        self._waiting = [(row["due"], row["id"], *_STORED.decode(row["request"])) for row in rows]

    def put_aside(self, received: Received, request_id: int, due: int) -> None:
        ledger = self.world.ledger
        number, ledger.next_late = ledger.next_late, ledger.next_late + 1
        heapq.heappush(self._waiting, (due, number, request_id, received))
        ledger.add("late", (number, due, msgspec.msgpack.encode((request_id, received))))
        self.wake()

    def wake(self) -> None:
        """Judge what is due and set the timer for the rest. To be called whenever the clock is moved."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now, ledger = self.world.clock.now_ms(), self.world.ledger
        while self._waiting and self._waiting[0][0] <= now:
            _, number, request_id, received = heapq.heappop(self._waiting)
            judge(self.world, DOORS[received.flavour], received, logged_as=request_id)
            ledger.add("forget_late", (number,))
            ledger.committed()
        if self._waiting:
            seconds = (self._waiting[0][0] - now) / 1000
            self._timer = asyncio.get_running_loop().call_later(min(seconds, 3600), self.wake)


_STORED: Final = msgspec.msgpack.Decoder(tuple[int, Received])
