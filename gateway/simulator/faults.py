"""Faults that can be switched on, per operation and branch, for so many requests or until a virtual time.

``KINDS`` is the one table: matching, the control API, the page and the documentation all read it. A fault's phase says
where it strikes:

* prepare  something happens to the branch just before the request is judged
* delay    the request or its answer waits
* instead  the request is not judged (or only later); the caller gets something else
* after    the request is judged and recorded as usual; the answer goes wrong
* switch   the operation itself answers differently while the fault is on
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from gateway.simulator.clock import NAIROBI, iso
from gateway.simulator.ledger import Ledger
from gateway.simulator.tables import operations


class Kind(NamedTuple):
    """One fault: when it strikes, what it does in plain words, its parameters with their defaults."""

    name: str
    phase: str
    says: str
    parameters: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple default, never changed


# How a connection ends without an answer: "close" at once, or "hang" until the caller gives up.
_ENDING: Final = {"ending": "close", "hang_seconds": 120}

KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("delay", "delay",
             "The request waits before it is judged (when: after = its answer waits). distribution: fixed "
             "(seconds), uniform (low, high) or lognormal (median, sigma).",
             {"distribution": "fixed", "seconds": 1, "low": 0, "high": 1, "median": 1, "sigma": 1, "when": "before"}),
        Kind("request_lost", "instead", "The request never reaches KRA and no answer comes.", _ENDING),
        Kind("connection_reset", "instead", "The connection is reset before KRA read the request.",
             {"ending": "reset"}),
        Kind("recorded_late", "instead", "No answer comes; KRA records the request only so many virtual seconds later.",
             {"seconds": 60, **_ENDING, "status": 0}),
        Kind("answer_lost", "after", "KRA records the request; its answer is lost.", _ENDING),
        Kind("html_page", "instead", "A web page with an HTTP error instead of an answer.", {"status": 502,
             "recorded": False}),
        Kind("http_status", "instead", "A bare HTTP status with a small JSON text.", {"status": 503,
             "recorded": False}),
        Kind("unauthorized", "instead", "401, as for a wrong or expired token.", {"recorded": False}),
        Kind("rate_limited", "instead", "429 with Retry-After, in seconds.", {"retry_after": 5, "recorded": False}),
        Kind("gateway_fault", "instead", "The API gateway's fault envelope.",
             {"faultstring": "Access Token expired", "errorcode": "keymanagement.service.access_token_expired",
             "status": 500,
              "recorded": False}),
        Kind("wrapped_refusal", "instead", "HTTP 200 (or status) around a gateway refusal with responseBody null.",
             {"response_code": 400, "message": "Request refused", "status": 200, "recorded": False}),
        Kind("result_code", "instead", "Any result code, with its usual message or yours.",
             {"code": "999", "message": None, "recorded": False}),
        Kind("empty_answer", "instead", "HTTP 200 with nothing in it.", {"status": 200, "recorded": True}),
        Kind("truncated_json", "after", "KRA records the request; its answer is cut off in the middle.", {"keep": 0.5}),
        Kind("number_taken", "prepare", "Another system that shares the branch uses the next invoice number first.",
             {"count": 1}),
        Kind("receipts_rolled_back", "prepare", "The control unit's receipt counter falls back.", {"by": 1}),
        Kind("repeat_as_drift", "switch",
             "A number that is already recorded is refused as the wrong number, not as a duplicate."),
        Kind("duplicate_code", "switch", "A number that is already recorded gets this code.", {"code": "921"}),
        Kind("lookup_lags", "switch", "Look-ups do not see what was recorded in the last so many virtual seconds.",
             {"seconds": 60}),
        Kind("lookup_limit", "switch", "990 after so many look-ups of a branch in a minute.", {"per_minute": 10}),
        Kind("clock_skew", "switch", "resultDt is off by so many seconds.", {"seconds": 600}),
        Kind("corrupt_device", "switch",
             "A repeated initialization damages the device; the damage grows with each one and "
             "every later call fails."),
        Kind("vscu_offline", "switch",
             "The VSCU cannot reach KRA: it signs for 24 h of virtual time and forwards later."),
        Kind("vscu_full", "switch", "The VSCU's memory is full (E11)."),
    )
}  # fmt: skip

Positive = Annotated[int, msgspec.Meta(ge=1)]


class RuleIn(msgspec.Struct, forbid_unknown_fields=True):
    """A fault to switch on. Without ``times``, ``until`` and ``for_seconds`` it stays until it is removed."""

    fault: str
    operation: str = "*"
    pin: str | None = None
    branch: str | None = None
    times: Positive | None = None
    until: datetime | None = None  # virtual time; without a zone, Nairobi
    for_seconds: float | None = None  # of virtual time
    parameters: dict[str, Any] = {}


@dataclass(slots=True)
class Rule:
    """A fault that is on."""

    id: int
    fault: str
    operation: str
    pin: str | None
    branch: str | None
    times: int | None
    until: int | None
    parameters: dict[str, Any]
    since: int
    used: int = 0

    def matches(self, operation: str, pin: str, branch: str, now: int) -> bool:
        return (
            self.operation in ("*", operation)
            and self.pin in (None, pin)
            and self.branch in (None, branch)
            and self.is_on(now)
        )

    def is_on(self, now: int) -> bool:
        return (self.times is None or self.used < self.times) and (self.until is None or now < self.until)

    def stored(self) -> str:
        return msgspec.json.encode({
            "fault": self.fault, "operation": self.operation, "pin": self.pin, "branch": self.branch,
            "times": self.times,
            "until": self.until, "parameters": self.parameters, "since": self.since,
        }).decode()  # fmt: skip

    def shown(self, now: int) -> dict[str, Any]:
        """For the control API and the page."""
        return {
            "id": self.id, "fault": self.fault, "operation": self.operation, "pin": self.pin, "branch": self.branch,
            "times": self.times, "used": self.used, "until": iso(self.until) if self.until is not None else None,
            "parameters": self.parameters, "on": self.is_on(now),
        }  # fmt: skip


@dataclass(slots=True)
class Plan:
    """What will go wrong with one request."""

    prepare: list[Rule] = field(default_factory=list)
    delays: list[Rule] = field(default_factory=list)
    instead: Rule | None = None
    after: Rule | None = None
    switches: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


class Faults:
    """The faults that are on; kept in the ledger, so that they outlive a restart."""

    def __init__(self, ledger: Ledger, seed: int | None) -> None:
        self.ledger = ledger
        self.seed = seed
        self.load()

    def load(self) -> None:
        self.random = random.Random(self.seed)
        self.rules: list[Rule] = []
        for row in self.ledger.rows("SELECT id, rule, used FROM faults ORDER BY id"):
            self.rules.append(Rule(id=row["id"], used=row["used"], **msgspec.json.decode(row["rule"])))
        self._next = max((rule.id for rule in self.rules), default=0) + 1

    def switch_on(self, wanted: RuleIn, now: int) -> Rule:
        """Add a fault. Raises ValueError for a fault, operation or parameter that does not exist."""
        kind = KINDS.get(wanted.fault)
        if kind is None:
            raise ValueError(f"unknown fault {wanted.fault!r}; known: {', '.join(KINDS)}")
        if wanted.operation != "*" and wanted.operation not in operations():
            raise ValueError(f"unknown operation {wanted.operation!r}; known: *, {', '.join(operations())}")
        unknown = set(wanted.parameters) - set(kind.parameters)
        if unknown:
            raise ValueError(f"{wanted.fault} has no parameter {', '.join(sorted(unknown))}")
        until = None if wanted.for_seconds is None else now + round(wanted.for_seconds * 1000)
        if wanted.until is not None:
            moment = wanted.until if wanted.until.tzinfo else wanted.until.replace(tzinfo=NAIROBI)
            until = round(moment.timestamp() * 1000)
        rule = Rule(
            self._next, wanted.fault, wanted.operation, wanted.pin, wanted.branch, wanted.times, until,
            {**kind.parameters, **wanted.parameters}, now,
        )  # fmt: skip
        self._next += 1
        self.rules.append(rule)
        self._write(rule)
        return rule

    def switch_off(self, ids: Iterable[int] | None = None) -> int:
        """Remove these faults, or all; says how many."""
        gone = [rule for rule in self.rules if ids is None or rule.id in set(ids)]
        for rule in gone:
            self.rules.remove(rule)
            self.ledger.add("forget_fault", (rule.id,))
        return len(gone)

    def plan(self, operation: str, pin: str, branch: str, now: int) -> Plan | None:
        """What strikes this request; each fault that does is used once more. None when nothing does."""
        struck = [rule for rule in self.rules if rule.matches(operation, pin, branch, now)]
        if not struck:
            return None
        plan = Plan()
        for rule in struck:
            phase = KINDS[rule.fault].phase
            if (phase == "instead" and plan.instead) or (phase == "after" and plan.after):
                continue  # one at a time; the older one first
            if phase == "prepare":
                plan.prepare.append(rule)
            elif phase == "delay":
                plan.delays.append(rule)
            elif phase == "instead":
                plan.instead = rule
            elif phase == "after":
                plan.after = rule
            else:
                plan.switches.setdefault(rule.fault, {**rule.parameters, "since": rule.since})
            plan.names.append(rule.fault)
            if rule.times is not None:
                rule.used += 1
                self._write(rule)
        return plan

    def is_on(self, fault: str, pin: str, branch: str, now: int) -> bool:
        """Whether a standing fault touches this branch now, whatever the operation."""
        return any(
            rule.fault == fault and rule.pin in (None, pin) and rule.branch in (None, branch) and rule.is_on(now)
            for rule in self.rules
        )

    def seconds(self, rule: Rule) -> float:
        """How long this delay is, drawn from its distribution."""
        given = rule.parameters
        if given["distribution"] == "uniform":
            return self.random.uniform(float(given["low"]), float(given["high"]))
        if given["distribution"] == "lognormal":
            return float(given["median"]) * self.random.lognormvariate(0.0, float(given["sigma"]))
        return float(given["seconds"])

    def _write(self, rule: Rule) -> None:
        self.ledger.add("fault", (rule.id, rule.stored(), rule.used))
