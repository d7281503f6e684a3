"""The storm: which faults strike when and whom is drawn from the seed before the first sale is posted."""

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.plant import LATE_SECONDS, LEASE_SECONDS, ROOT, Plant, Shape, flush_redis
from tests.chaos.programs import Program

SALE, LOOK_UP, ALL = "sales_save", "invoice_details", "*"
# One fault in so many strikes a process, the others strike KRA: whoever is always down meets no other fault
PROCESS_EVERY: dict[Shape, float] = {"postgres": 5, "embedded": 12}
HOST_SHARE = 0.02
_STEP = re.compile(r'\breached\("([^"]+)"\)')


def kill_points(*rooms: str) -> list[str]:
    """Every named step of these rooms; without any, of the sale path, to each of which a till's sale comes."""
    files = sorted(file for room in rooms or ("lanes", "sales") for file in (ROOT / "gateway" / room).rglob("*.py"))
    return sorted({step for file in files for step in _STEP.findall(Path(file).read_text(encoding="utf-8"))})


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `at` is seconds after the first sale."""

    at: float
    name: str
    victim: str  # a program, a PIN, or everybody
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.at:5.1f}s {self.name} {self.victim} {self.settings or ''}".rstrip()


Draw = random.Random
Make = Callable[[Draw], tuple[str, str, dict[str, Any]]]  # the simulator's fault, its operation, its settings

# How KRA goes wrong: its weight, what it is called in the report, and what is asked of the simulator.
KRA: list[tuple[int, str, Make]] = [
    (5, "answer lost", lambda d: ("answer_lost", SALE, {"times": d.randint(1, 2), **_ending(d)})),
    (4, "request lost", lambda d: ("request_lost", SALE, {"times": d.randint(1, 2), **_ending(d)})),
    (2, "connection reset", lambda d: ("connection_reset", SALE, {"times": d.randint(1, 3)})),
    (5, "landing late after 001", lambda d: ("recorded_late", SALE, {"times": 1, "seconds": _late(d), **_ending(d)})),
    (4, "slow", lambda d: ("delay", d.choice([SALE, LOOK_UP, ALL]), {"times": d.randint(1, 3), **_slow(d)})),
    (2, "web page", lambda d: ("html_page", SALE, {"times": 1, "recorded": d.random() < 0.5})),
    (3, "HTTP error", lambda d: ("http_status", SALE, {"times": 1, "status": d.choice([500, 502, 503, 504, 408]),
                                                       "recorded": d.random() < 0.5})),
    (2, "cut off answer", lambda d: ("truncated_json", SALE, {"times": 1, "keep": d.choice([0.1, 0.5, 0.95])})),
    (2, "empty answer", lambda d: ("empty_answer", SALE, {"times": 1, "recorded": d.random() < 0.5})),
    (1, "too many requests", lambda d: ("rate_limited", d.choice([SALE, LOOK_UP]), {"times": 1, "retry_after": 1})),
    (2, "duplicate code on the first try", lambda d: ("result_code", SALE, {"times": 1, "code": _duplicate(d)})),
    (2, "duplicate code, recorded", lambda d: ("result_code", SALE, {"times": 1, "code": _duplicate(d),
                                                                     "recorded": True})),
    (2, "unknown error", lambda d: ("result_code", SALE, {"times": 1, "code": "999", "recorded": d.random() < 0.5})),
    (2, "refused", lambda d: ("result_code", SALE, {"times": 1, "code": "910"})),
    (2, "number taken by others", lambda d: ("number_taken", SALE, {"times": 1, "count": d.randint(1, 2)})),
    (2, "repeat as drift", lambda d: ("repeat_as_drift", SALE, {"for_seconds": 4})),
    (1, "repeat as code 899", lambda d: ("duplicate_code", SALE, {"for_seconds": 4, "code": "899"})),
    (2, "look-ups lag", lambda d: ("lookup_lags", LOOK_UP, {"for_seconds": 4, "seconds": d.choice([1, 2])})),
    (2, "look-up fails", lambda d: (d.choice(["request_lost", "html_page", "truncated_json", "empty_answer"]), LOOK_UP,
                                    {"times": d.randint(1, 3)})),
    (1, "device not known", lambda d: ("result_code", SALE, {"times": 1, "code": "901"})),
    (1, "unauthorized", lambda d: ("unauthorized", SALE, {"times": 1})),
]  # fmt: skip
# What strikes everybody at once
HOST: list[tuple[int, str, Make]] = [
    (3, "outage", lambda d: ("connection_reset", ALL, {"for_seconds": d.uniform(1, 5)})),
    (2, "outage with lost answers", lambda d: ("answer_lost", ALL, {"for_seconds": d.uniform(1, 4)})),
    (1, "outage with 503", lambda d: ("http_status", ALL, {"for_seconds": d.uniform(1, 4), "status": 503})),
    (2, "slow for all", lambda d: ("delay", ALL, {"for_seconds": 3, "seconds": d.uniform(0.2, 1)})),
]


def _ending(draw: Draw) -> dict[str, Any]:
    ending = draw.choice(["close", "reset", "hang"])
    return {"ending": ending, "hang_seconds": 2}


def _late(draw: Draw) -> float:
    return round(draw.uniform(0.5, LATE_SECONDS - 2), 2)


def _slow(draw: Draw) -> dict[str, Any]:
    return {"seconds": round(draw.uniform(0.1, 4), 2), "when": draw.choice(["before", "after"])}


def _duplicate(draw: Draw) -> str:
    return draw.choice(["994", "921", "899"])


def draw_storm(draw: Draw, *, shape: Shape, pins: list[str], programs: list[Program], seconds: float) -> list[Fault]:
    """The faults of a seed, some three a second, in the order of time."""
    steps = kill_points()
    draw.shuffle(steps)
    faults: list[Fault] = []
    at = 1.0
    while at < seconds - 0.5:
        if draw.random() < 1 / PROCESS_EVERY[shape]:
            faults.append(_process_fault(draw, at, shape, programs, steps))
        elif draw.random() < HOST_SHARE:
            faults += _host_fault(draw, at)
        else:
            name, (fault, operation, settings) = _pick(draw, KRA)
            where = {"fault": fault, "operation": operation, **settings}
            faults.append(Fault(at, name, draw.choice(pins), where))
        at += draw.uniform(0.1, 0.55)
    return sorted(faults, key=lambda fault: fault.at)


def _host_fault(draw: Draw, at: float) -> list[Fault]:
    if draw.random() < 0.25:  # flapping: away, back, away, back
        where = {"fault": "connection_reset", "operation": ALL, "for_seconds": 0.4}
        return [Fault(at + step * 0.9, "flapping", "everybody", where) for step in range(4)]
    name, (fault, operation, settings) = _pick(draw, HOST)
    return [Fault(at, name, "everybody", {"fault": fault, "operation": operation, **settings})]


def _pick(draw: Draw, table: list[tuple[int, str, Make]]) -> tuple[str, tuple[str, str, dict[str, Any]]]:
    _, name, make = draw.choices(table, weights=[row[0] for row in table])[0]
    return name, make(draw)


def _process_fault(draw: Draw, at: float, shape: Shape, programs: list[Program], steps: list[str]) -> Fault:
    gateways = [program.name for program in programs if program.kind in ("serve", "engine")]
    others = [program.name for program in programs if program.kind in ("simulator", "postgres", "redis", "worker")]
    weights = [3 if name in ("simulator", "postgres") else 1 for name in others]
    what = draw.random()
    down = {"down_seconds": round(draw.uniform(0.0, 1.0), 2)}
    if what < 0.3 and steps:
        steps.append(step := steps.pop(0))  # in turn, so that none is left out
        return Fault(at, "kill at step", draw.choice(gateways), {"step": f"{step}:{draw.randint(1, 15)}"})
    if what < 0.5:
        return Fault(at, "kill -9", draw.choice(gateways), down)
    if what < 0.65:
        seconds = round(LEASE_SECONDS + draw.uniform(0.5, 2.5), 2)
        return Fault(at, "stopped past the lease", draw.choice(gateways), {"seconds": seconds})
    if what < 0.72 and shape == "postgres":
        return Fault(at, "Redis emptied", "redis")
    if what < 0.77:
        return Fault(at, "simulator stopped", "simulator", {"seconds": round(draw.uniform(0.5, 3), 2)})
    return Fault(at, "kill -9", draw.choices(others, weights=weights)[0], down)


class Storm(threading.Thread):
    """Lets the faults strike at their times, and wakes what it stopped."""

    def __init__(self, plant: Plant, faults: list[Fault]) -> None:
        super().__init__(name="storm", daemon=True)
        self.plant, self.faults = plant, faults
        self.struck: Counter[str] = Counter()  # faults of processes
        self.ordered: Counter[str] = Counter()  # faults that KRA was told to have; whether they strike, its log says
        self._wakes: list[tuple[float, Program]] = []

    def run(self) -> None:
        began = time.monotonic()
        for fault in self.faults:
            while (left := began + fault.at - time.monotonic()) > 0:
                self._wake()
                time.sleep(min(left, 0.05))
            self._wake()
            done = self._strike(fault)
            if "fault" in fault.settings:
                self.ordered[fault.name] += done
            elif done:
                self.struck[self._label(fault)] += 1
        while self._wakes:
            self._wake()
            time.sleep(0.05)

    @staticmethod
    def _label(fault: Fault) -> str:
        if fault.name == "kill at step":
            return f"kill at step {fault.settings['step'].partition(':')[0]!r}"
        return f"{fault.name} {fault.victim.split()[0]}" if fault.name == "kill -9" else fault.name

    def _wake(self) -> None:
        for moment, program in list(self._wakes):
            if time.monotonic() >= moment:
                program.resume()
                self._wakes.remove((moment, program))

    def _strike(self, fault: Fault) -> bool:
        """Do it; False when its victim was not there."""
        if "fault" in fault.settings:
            return self._strike_kra(fault)
        program = self.plant.programs[fault.victim]
        with self.plant.supervisor.lock:
            match fault.name:
                case "kill -9":
                    self.plant.disturb(fault.settings["down_seconds"] + LEASE_SECONDS + 8)
                    return program.kill(**fault.settings)
                case "kill at step":
                    self.plant.disturb(30)
                    program.wanted_kill_point = fault.settings["step"]
                    return program.kill()
                case "Redis emptied":
                    if program.is_ready():
                        flush_redis(self.plant.redis_port or 0)
                        return True
                    return False
                case _:
                    self.plant.disturb(fault.settings["seconds"] + LEASE_SECONDS + 8)
                    if program.paused or not program.pause():
                        return False
                    self._wakes.append((time.monotonic() + fault.settings["seconds"], program))
                    return True

    def _strike_kra(self, fault: Fault) -> bool:
        settings = dict(fault.settings)
        rule: dict[str, Any] = {name: settings.pop(name) for name in ("fault", "operation")}
        rule |= {name: settings.pop(name) for name in ("times", "for_seconds") if name in settings}
        rule["pin"] = None if fault.victim == "everybody" else fault.victim
        if self.plant.programs["simulator"].paused:
            return False
        try:
            self.plant.simulator.call("POST", "/_sim/faults", {**rule, "parameters": settings})
        except OSError:
            return False
        return True
