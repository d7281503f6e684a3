"""How many sales the simulator signs in a second, each durable before it is answered.

`python -m tests.bench.simulator --branches 200 --seconds 10 --callers 1`

A simulator of its own runs on its own file. Each branch has one connection and one sale on its way, as KRA's number
rule wants it. The callers are processes with raw sockets and bodies made beforehand, so that the simulator is what is
measured. Its CPU time for each sale is told beside the rate: other work on the machine slows both, but that one less.
At the end the ledger must hold each branch's numbers without a gap.
"""

import argparse
import asyncio
import functools
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from tests import servers
from tests.bench.plant import cpu_seconds
from tests.simulator.till import Kra, Till, example

NUMBER_WIDTH = 9  # blanks before the number keep every body as long as the first
PATIENCE_SECONDS = 30  # for the last answers


@dataclass(frozen=True)
class Branch:
    """What a caller must know to sell for a branch: the request before and after its number."""

    before: bytes
    after: bytes


@dataclass
class Tally:
    """What one caller saw while it was measured."""

    signed: int = 0
    refused: int = 0
    first_refusal: str = ""
    milliseconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """The measurement, in calls a second and milliseconds."""

    flavour: str
    branches: int
    callers: int
    lines: int
    seconds: float
    sales: int
    sales_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_sale: float
    sales_per_commit: float
    cores: int
    load_before: float


def sale(till: Till, lines: int) -> dict[str, Any]:
    """The example sale with so many equal lines; its amounts add up."""
    document = example("sales_save", till.flavour)
    one = document["itemList"][0]
    document["itemList"] = [{**one, "itemSeq": place} for place in range(1, lines + 1)]
    document["totItemCnt"] = lines
    for name, value in list(document.items()):
        if name.startswith(("taxblAmt", "taxAmt", "totTax", "totAmt")) and value:
            document[name] = float(Decimal(str(value)) * lines)
    return document | {"tin": till.pin, "bhfId": till.branch}


def ready_branch(till: Till, host: str, lines: int) -> Branch:
    """Its request up to the number and behind it; every request has the same length."""
    mark = "0" * NUMBER_WIDTH
    body = json.dumps(sale(till, lines) | {"invcNo": mark}).encode()
    before, after = body.split(f'"{mark}"'.encode())
    length = len(before) + NUMBER_WIDTH + len(after)
    named = {"Host": host, "Content-Type": "application/json", "Content-Length": str(length), **till.identity()}
    head = f"POST {till.path('sales_save')} HTTP/1.1\r\n" + "".join(f"{key}: {text}\r\n" for key, text in named.items())
    return Branch(head.encode() + b"\r\n" + before, after)


class Line(asyncio.Protocol):
    """One branch: the next sale leaves when the last one was answered."""

    def __init__(self, branch: Branch, tally: Tally, span: tuple[float, float]) -> None:
        self.branch, self.tally, self.span = branch, tally, span
        self.number, self.began, self.buffer = 0, 0.0, b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.number += 1
        self.began = time.monotonic()
        self.transport.write(b"%b%*d%b" % (self.branch.before, NUMBER_WIDTH, self.number, self.branch.after))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.buffer = b""
        now = time.monotonic()
        if b'"resultCd":"000"' not in body:
            self.tally.refused += 1
            self.tally.first_refusal = self.tally.first_refusal or body.decode(errors="replace")[:300]
            self.finish()
            return
        if self.span[0] <= now < self.span[1]:
            self.tally.signed += 1
            self.tally.milliseconds.append((now - self.began) * 1000)
        if now < self.span[1]:
            self.send()
        else:
            self.finish()

    def finish(self) -> None:
        self.transport.close()
        if not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.tally.refused += 1
            self.tally.first_refusal = self.tally.first_refusal or f"the connection was lost: {error}"
            self.ended.set_result(None)


def call(url: str, branches: list[Branch], span: tuple[float, float], answers: Any) -> None:
    """A process: sell for its branches until the time is over."""
    address = urlsplit(url)
    host, port = str(address.hostname), int(address.port or 80)

    async def run() -> Tally:
        tally, loop = Tally(), asyncio.get_running_loop()
        lines = []
        for branch in branches:
            made = await loop.create_connection(functools.partial(Line, branch, tally, span), host, port)
            lines.append(made[1])
        async with asyncio.timeout_at(span[1] + PATIENCE_SECONDS):
            await asyncio.gather(*(line.ended for line in lines))
        return tally

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers.put(runner.run(run()))


def listener(url: str) -> int:
    """The process that listens at this address: ours, started a moment ago."""
    port = urlsplit(url).port
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            words = (folder / "cmdline").read_bytes().split(b"\0") if (folder / "cmdline").exists() else []
            if b"gateway.simulator" in words and str(port).encode() in words:
                return int(folder.name)
    raise LookupError(f"nothing listens at {url}")


def measure(
    *, flavour: str, branches: int, callers: int, seconds: float, warm_up: float, lines: int, folder: Path | None
) -> Report:
    """Run it once. Raises AssertionError when a sale was refused or the ledger is not what was answered."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as name, servers.simulator(Path(name)) as started:
        kra = Kra(started.url)
        kra.call("POST", "/_sim/settings", {"seeded": False})
        tills = [Till(kra, flavour, pin=f"P{place:09d}B").start() for place in range(1, branches + 1)]
        if flavour == "gavaconnect":
            for till in tills:
                till.stock_in("1000000")
        host = urlsplit(started.url).netloc
        ready = [ready_branch(till, host, lines) for till in tills]
        process, answers = listener(started.url), multiprocessing.get_context("fork").SimpleQueue()
        begin = time.monotonic() + warm_up
        span = (begin, begin + seconds)
        made = [
            multiprocessing.get_context("fork").Process(
                target=call, args=(started.url, ready[place::callers], span, answers)
            )
            for place in range(callers)
        ]
        for one in made:
            one.start()
        time.sleep(max(0.0, begin - time.monotonic()))
        cpu, commits = cpu_seconds(process), kra.call("GET", "/_sim/health")["commits"]
        time.sleep(max(0.0, span[1] - time.monotonic()))
        cpu, commits = cpu_seconds(process) - cpu, kra.call("GET", "/_sim/health")["commits"] - commits
        tallies = [answers.get() for _ in made]
        for one in made:
            one.join()
        refused = [tally.first_refusal for tally in tallies if tally.refused]
        assert not refused, f"refused: {refused[0]}"
        check_ledger(kra, branches)
    times = sorted(one for tally in tallies for one in tally.milliseconds)
    signed = sum(tally.signed for tally in tallies)
    return Report(
        flavour=flavour,
        branches=branches,
        callers=callers,
        lines=lines,
        seconds=seconds,
        sales=signed,
        sales_per_second=round(signed / seconds, 1),
        p50_ms=round(statistics.median(times), 1),
        p99_ms=round(times[int(len(times) * 0.99)], 1),
        cpu_ms_per_sale=round(cpu * 1000 / signed, 3),
        sales_per_commit=round(signed / max(commits, 1), 1),
        cores=len(os.sched_getaffinity(0)),
        load_before=round(load, 2),
    )


def check_ledger(kra: Kra, branches: int) -> None:
    """Every branch's numbers run from 1 without a gap, and the devices agree on the last one."""
    highest: Counter[str] = Counter()
    after = 0
    while page := kra.call("GET", f"/_sim/ledger?after={after}&limit=5000"):
        for row in page:
            highest[row["pin"]] += 1
            assert row["number"] == highest[row["pin"]], row
        after = page[-1]["id"]
    assert len(highest) == branches
    nexts = {row["pin"]: row["next_invoice"] for row in kra.call("GET", "/_sim/devices")}
    assert nexts == {pin: number + 1 for pin, number in highest.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.simulator", description=__doc__.splitlines()[0])
    parser.add_argument("--flavour", choices=["oscu_direct", "gavaconnect", "vscu"], default="oscu_direct")
    parser.add_argument("--branches", type=int, default=200, help="connections, each with a sale on its way")
    parser.add_argument("--callers", type=int, default=1, help="processes that call")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=2)
    parser.add_argument("--lines", type=int, default=5, help="of each sale")
    parser.add_argument("--folder", type=Path, help="where the ledger is written; a RAM disk shows what the disk costs")
    parser.add_argument("--at-least", type=float, default=0, help="end with 1 when fewer sales a second were signed")
    chosen = vars(parser.parse_args())
    wanted = chosen.pop("at_least")
    report = measure(**chosen)
    print(json.dumps(asdict(report), indent=2))
    return 0 if report.sales_per_second >= wanted else 1


if __name__ == "__main__":
    sys.exit(main())
