"""A KRA that only checks each branch's numbers and answers after a set time; it is never what limits a measurement.

`python -m tests.bench.lean --port 9100 --delay-ms 50`. `GET /tally` tells what it took: how many sales, how many it
refused, and for each branch when the first and the last were taken (seconds of the monotonic clock).
"""

import argparse
import asyncio
import json
import re
import time
from typing import Any

import uvloop

NUMBER = re.compile(rb'"invcNo":\s*"?(\d+)')
BRANCH = re.compile(rb'"tin":\s*"([^"]+)","bhfId":\s*"([^"]+)"')
SIGNED = (
    '{"resultCd":"000","resultMsg":"Successful","resultDt":"20261120100000","data":{"curRcptNo":%d,"totRcptNo":%d,'
    '"intrlData":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","rcptSign":"ABCDEFGHIJKLMNOP","sdcDateTime":"20261120100000"}}'
)
NOTHING = b'{"resultCd":"001","resultMsg":"There is no search result","resultDt":"20261120100000","data":null}'
WRONG = b'{"resultCd":"921","resultMsg":"the number is not the next one","resultDt":"20261120100000","data":null}'


class Books:
    """What was taken, by branch."""

    def __init__(self) -> None:
        self.last: dict[bytes, int] = {}
        self.span: dict[bytes, tuple[float, float]] = {}
        self.refused = 0

    def take(self, branch: bytes, number: int) -> bytes:
        expected = self.last.get(branch, 0) + 1
        if number != expected:
            self.refused += 1
            return WRONG
        now = time.monotonic()
        self.last[branch] = number
        self.span[branch] = (self.span.get(branch, (now, now))[0], now)
        return (SIGNED % (number, number)).encode()

    def tally(self) -> bytes:
        told: dict[str, Any] = {"sales": sum(self.last.values()), "refused": self.refused}
        told["branches"] = {branch.decode(): [self.last[branch], *self.span[branch]] for branch in self.last}
        return json.dumps(told).encode()


class Door(asyncio.Protocol):
    """One connection; requests come one after another on it."""

    def __init__(self, books: Books, delay: float) -> None:
        self.books, self.delay, self.buffer = books, delay, b""
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        if head.startswith(b"GET"):
            self.answer(self.books.tally())
            return
        if b"saveTrnsSales" not in head:
            self.loop.call_later(self.delay, self.answer, NOTHING)
            return
        body, found = rest[:length], NUMBER.search(rest)
        branch = BRANCH.search(body)
        answer = (
            WRONG if found is None or branch is None else self.books.take(b"/".join(branch.groups()), int(found[1]))
        )
        self.loop.call_later(self.delay, self.answer, answer)

    def answer(self, body: bytes) -> None:
        if not self.transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.transport.write(head + body)


async def serve(port: int, delay: float) -> None:
    books = Books()
    server = await asyncio.get_running_loop().create_server(lambda: Door(books, delay), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lean", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, default=50)
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(chosen.port, chosen.delay_ms / 1000))


if __name__ == "__main__":
    main()
