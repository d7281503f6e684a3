"""What a whole country's sales would ask of the gateway: lanes, latencies and cores, simulated second by second.

`python -m tests.bench.nation --rate 600`. Sales arrive at branches of very different size. Each is judged and kept
(gateway, database), waits until its branch's lane is free, waits for KRA, and is settled; the lane's next goes on in
the same commit. Cores serve who came first. What a sale costs is taken from `make bench` (B1).

The model knows nothing of networks, of disks, or of how processes disturb each other: it shows where the first queue
forms, not how fast a real installation is.
"""

import argparse
import bisect
import heapq
import itertools
import json
import math
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

Z99 = 2.326  # of the normal distribution
OUTAGE_BEGINS = 60.0
AGAIN_SECONDS = 5.0  # within which a lane asks KRA again when an outage has ended
KEEPING = 0.6  # the share of a sale's work that is done before it is with KRA


@dataclass(frozen=True, slots=True)
class Country:
    """The sales of an hour, and what is there to sign them. Times in ms where the name says so, else seconds."""

    rate: float  # sales a second, of all branches together
    branches: int = 60_000
    spread: float = 1.2  # sigma of the branches' sizes, log-normal: the largest of 60 000 sells some 60 times the mean
    minutes: float = 5.0
    kra_ms: float = 300.0  # half of KRA's answers come within
    kra_p99_ms: float = 2_000.0
    outage_seconds: float = 0.0  # for which KRA is away, after the first minute
    gateway_cores: int = 4
    database_cores: int = 2
    gateway_ms: float = 2.1  # CPU time a sale
    database_ms: float = 1.3
    seed: int = 1


@dataclass(slots=True)
class Cores:
    """So many servers and one queue before them."""

    count: int
    busy: float = 0.0
    _free: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._free = [0.0] * self.count

    def serve(self, now: float, seconds: float) -> float:
        """When work that comes now is done. Ask in the order of time."""
        self.busy += seconds
        done = max(now, self._free[0]) + seconds
        heapq.heapreplace(self._free, done)
        return done


@dataclass(slots=True)
class Lane:
    """A branch's queue; `sending` is one sale at most."""

    waiting: deque[float] = field(default_factory=deque)  # when each arrived
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen. `wait` is from the till's request to its receipt; times in ms."""

    sales: int
    wait_p50_ms: float
    wait_p95_ms: float
    wait_p99_ms: float
    behind_another: float  # share of sales that found their lane busy
    busiest_branch_per_second: float
    longest_queue: int  # of one branch
    most_with_kra: int  # sales on their way at once
    gateway_busy: float  # share of its cores, and above 1 what they are behind with
    database_busy: float
    last_receipt_seconds: float  # after the last sale arrived


class Simulation:
    """The minutes of a country, one event after the other; the same seed gives the same report.

    A handler is told the branch and when the sale arrived there.
    """

    def __init__(self, country: Country) -> None:
        self.country = country
        self.now = 0.0
        self._dice = random.Random(country.seed)
        sizes = [self._dice.lognormvariate(0.0, country.spread) for _ in range(country.branches)]
        self._sizes = list(itertools.accumulate(sizes))
        self.largest_share = max(sizes) / self._sizes[-1]
        self._sigma = math.log(country.kra_p99_ms / country.kra_ms) / Z99
        self.gateway, self.database = Cores(country.gateway_cores), Cores(country.database_cores)
        self._lanes: dict[int, Lane] = {}
        self._events: list[tuple[float, int, Handler, int, float]] = []
        self._order = itertools.count()
        self.waits: list[float] = []
        self.behind_another = self.longest_queue = 0
        self._with_kra = self.most_with_kra = 0
        self.last_arrival = 0.0
        self.busy = [0.0, 0.0]  # while sales arrived

    def run(self) -> None:
        self._at(self._dice.expovariate(self.country.rate), self._arrive)
        while self._events:
            self.now, _, handler, branch, arrived = heapq.heappop(self._events)
            handler(branch, arrived)

    def _at(self, moment: float, handler: "Handler", branch: int = -1, arrived: float = 0.0) -> None:
        heapq.heappush(self._events, (moment, next(self._order), handler, branch, arrived))

    def _arrive(self, branch: int, arrived: float) -> None:
        country = self.country
        if self.now >= country.minutes * 60:
            self.busy = [cores.busy / (cores.count * self.now) for cores in (self.gateway, self.database)]
            return
        self.last_arrival = self.now
        branch = bisect.bisect(self._sizes, self._dice.random() * self._sizes[-1])
        judged = self.gateway.serve(self.now, country.gateway_ms * KEEPING / 1000)
        self._at(judged, self._judged, branch, self.now)
        self._at(self.now + self._dice.expovariate(country.rate), self._arrive)

    def _judged(self, branch: int, arrived: float) -> None:
        kept = self.database.serve(self.now, self.country.database_ms * KEEPING / 1000)
        self._at(kept, self._kept, branch, arrived)

    def _kept(self, branch: int, arrived: float) -> None:
        lane = self._lanes.setdefault(branch, Lane())
        if lane.is_busy:
            self.behind_another += 1
            lane.waiting.append(arrived)
            self.longest_queue = max(self.longest_queue, len(lane.waiting))
        else:
            lane.is_busy = True
            self._send(branch, arrived)

    def _send(self, branch: int, arrived: float) -> None:
        self._with_kra += 1
        self.most_with_kra = max(self.most_with_kra, self._with_kra)
        taken = self.now
        if OUTAGE_BEGINS <= taken < (back := OUTAGE_BEGINS + self.country.outage_seconds):
            taken = back + self._dice.uniform(0.0, AGAIN_SECONDS)
        seconds = self.country.kra_ms / 1000 * math.exp(self._dice.gauss(0.0, self._sigma))
        self._at(taken + seconds, self._answered, branch, arrived)

    def _answered(self, branch: int, arrived: float) -> None:
        self._with_kra -= 1
        read = self.gateway.serve(self.now, self.country.gateway_ms * (1 - KEEPING) / 1000)
        self._at(read, self._read, branch, arrived)

    def _read(self, branch: int, arrived: float) -> None:
        settled = self.database.serve(self.now, self.country.database_ms * (1 - KEEPING) / 1000)
        self._at(settled, self._settled, branch, arrived)

    def _settled(self, branch: int, arrived: float) -> None:
        self.waits.append(self.now - arrived)
        lane = self._lanes[branch]
        if lane.waiting:
            self._send(branch, lane.waiting.popleft())
        else:
            lane.is_busy = False


Handler = Callable[[int, float], None]


def simulate(country: Country) -> Report:
    """What the country's minutes look like."""
    run = Simulation(country)
    run.run()
    waits = sorted(run.waits) or [0.0]
    at = {share: round(waits[int(len(waits) * share)] * 1000, 1) for share in (0.5, 0.95, 0.99)}
    return Report(
        sales=len(run.waits),
        wait_p50_ms=at[0.5],
        wait_p95_ms=at[0.95],
        wait_p99_ms=at[0.99],
        behind_another=round(run.behind_another / len(waits), 4),
        busiest_branch_per_second=round(country.rate * run.largest_share, 2),
        longest_queue=run.longest_queue,
        most_with_kra=run.most_with_kra,
        gateway_busy=round(run.busy[0], 3),
        database_busy=round(run.busy[1], 3),
        last_receipt_seconds=round(max(0.0, run.now - run.last_arrival), 1),
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.nation", description=__doc__)
    for name, kind in Country.__annotations__.items():
        given = {} if name == "rate" else {"default": getattr(Country(rate=0), name)}
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, required=name == "rate", **given)
    country = Country(**vars(parser.parse_args(arguments)))
    print(json.dumps({"country": asdict(country), "report": asdict(simulate(country))}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
