"""Tills that sell as fast as they are served, on raw sockets with bodies made beforehand.

Each connection has branches of its own and posts for them in turn, so that no two sales of a branch are on their way.
"""

import asyncio
import functools
import itertools
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import uvloop

REFERENCE_WIDTH = 12
PATIENCE_SECONDS = 75  # for the last answers


@dataclass(frozen=True, slots=True)
class Shop:
    """A branch that sells: its company's key and its device."""

    key: str
    pin: str
    branch: str
    device: str


@dataclass
class Tally:
    """What the tills saw while it was measured: answers by HTTP status, and how long each of them took (ms)."""

    answers: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    strangest: str = ""  # an answer that was not expected

    def add(self, other: "Tally") -> None:
        self.answers += other.answers
        self.milliseconds += other.milliseconds
        self.strangest = self.strangest or other.strangest

    def at(self, share: float) -> float:
        """The time (ms) within which this share was answered."""
        times = sorted(self.milliseconds)
        return round(times[min(len(times) - 1, int(len(times) * share))], 2) if times else 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, to whom and when. `begin` is a moment of the monotonic clock; before it nothing is counted."""

    urls: tuple[str, ...]  # the connections are spread over them
    connections: int
    begin: float
    seconds: float
    wait: int = 10
    lines: int = 5
    path: str = "/api/sales/"
    run: str = "A"  # makes references unique among runs on one database
    expects: tuple[int, ...] = (201,)
    at_most: int = 0  # sales of one connection; 0: until the time is over


def body_of(shop: Shop, plan: Plan) -> tuple[bytes, bytes]:
    """The request up to the reference and behind it."""
    mark = "#" * REFERENCE_WIDTH
    lines = [
        {"item_code": f"ITEM-{place % 5 + 1}", "quantity": "1", "unit_price": "116.00"} for place in range(plan.lines)
    ]
    sale = {
        "device": shop.device,
        "reference": mark,
        "issued_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "lines": lines,
        "payments": [{"method": "cash", "amount": f"{116 * plan.lines}.00"}],
    }
    before, after = json.dumps(sale, separators=(",", ":")).encode().split(mark.encode())
    length = len(before) + REFERENCE_WIDTH + len(after)
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: {urlsplit(plan.urls[0]).netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Token {shop.key}\r\nPrefer: wait={plan.wait}\r\nContent-Length: {length}\r\n\r\n"
    )
    return head.encode() + before, after


class Till(asyncio.Protocol):
    """One connection: the next sale leaves when the last one was answered."""

    def __init__(self, shops: Sequence[Shop], plan: Plan, place: int, tally: Tally) -> None:
        self.plan, self.tally = plan, tally
        self.bodies = itertools.cycle([body_of(shop, plan) for shop in shops])
        self.place, self.count, self.began, self.buffer = place, 0, 0.0, b""
        self.end = plan.begin + plan.seconds
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        before, after = next(self.bodies)
        self.count += 1
        self.began = time.monotonic()
        self.transport.write(b"%b%b%04d%07d%b" % (before, self.plan.run.encode(), self.place, self.count, after))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.buffer = b""
        now, status = time.monotonic(), int(head[9:12])
        if status not in self.plan.expects:
            self.tally.strangest = self.tally.strangest or f"HTTP {status}: {body.decode(errors='replace')[:500]}"
        if self.plan.begin <= now < self.end:
            self.tally.answers[status] += 1
            self.tally.milliseconds.append((now - self.began) * 1000)
        if now < self.end and (not self.plan.at_most or self.count < self.plan.at_most):
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or (time.monotonic() < self.end and not self.plan.at_most):
            self.tally.strangest = self.tally.strangest or f"the connection was lost: {error}"
        if not self.ended.done():
            self.ended.set_result(None)


def sell(shops: Sequence[Shop], plan: Plan, *, processes: int = 1) -> Tally:
    """Run the plan; what all tills saw together."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    callers = [
        context.Process(target=_sell, args=(shops, plan, range(place, plan.connections, processes), answers))
        for place in range(processes)
    ]
    for caller in callers:
        caller.start()
    whole = Tally()
    for _ in callers:
        whole.add(answers.get())
    for caller in callers:
        caller.join()
    return whole


def _sell(shops: Sequence[Shop], plan: Plan, places: range, answers: Any) -> None:
    async def run() -> Tally:
        tally, loop, tills = Tally(), asyncio.get_running_loop(), []
        for place in places:
            address = urlsplit(plan.urls[place % len(plan.urls)])
            host, port = str(address.hostname), int(address.port or 80)
            till = functools.partial(Till, shops[place :: plan.connections], plan, place, tally)
            tills.append((await loop.create_connection(till, host, port))[1])
        async with asyncio.timeout_at(plan.begin + plan.seconds + PATIENCE_SECONDS):
            await asyncio.gather(*(till.ended for till in tills))
        return tally

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers.put(runner.run(run()))
