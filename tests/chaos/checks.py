"""The referee: compares KRA's ledger, KRA's raw request log, every answer a caller got, and how documents end.

Each check gives violations; none means that the promise held. Nothing here talks to a process, so the checks are
tested by themselves.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.chaos.tills import Said

OTHERS = "OTHER-"  # how the simulator names sales of another system that shares the branch
TAG = "rvp:"
MILLISECOND = 0.001


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept, with what shows it."""

    name: str
    subject: str  # a reference or a PIN
    detail: str


@dataclass
class Evidence:
    """What is known when everything has come to rest. Times are seconds since 1970."""

    ledger: list[dict[str, Any]]  # what KRA recorded, oldest first
    requests: list[dict[str, Any]]  # sales as they came to KRA, byte for byte, oldest first
    said: list[Said]
    final: dict[str, dict[str, Any]]  # reference to its document at the end
    first_sent: dict[str, float]
    pin_of: dict[str, str]  # by reference
    lookups: list[dict[str, Any]] = field(default_factory=list)  # what KRA was asked about numbers, oldest first
    attempts: list[dict[str, Any]] = field(default_factory=list)  # pin, number, sha, began, ended; as the gateway noted
    disturbed: list[tuple[float, float]] = field(default_factory=list)  # when a process was stopped or killed
    notes: list[str] = field(default_factory=list)  # what is worth telling and breaks no promise

    def ours(self) -> dict[str, dict[str, Any]]:
        """KRA's record of each of our references."""
        return {row["reference"]: row for row in self.ledger if not row["reference"].startswith(OTHERS)}


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def tag_of(body: str) -> str:
    """Our mark at the end of KRA's remark."""
    words = (json.loads(body).get("remark") or "").split()
    return words[-1] if words and words[-1].startswith(TAG) else ""


def lost(evidence: Evidence) -> Iterator[Violation]:
    """What was acknowledged is signed or refused at the end, and what KRA recorded is signed for its owner."""
    acknowledged = {said.reference for said in evidence.said if said.document is not None}
    for reference in sorted(acknowledged):
        document = evidence.final.get(reference)
        if document is None:
            yield Violation("lost", reference, "it was acknowledged and cannot be found any more")
        elif document["status"] not in ("signed", "refused"):
            yield Violation("stuck", reference, f"it is {document['status']}: {document['waiting']}")
    for reference, row in evidence.ours().items():
        document = evidence.final.get(reference)
        if document is None or document["status"] != "signed":
            found = "nothing" if document is None else document["status"]
            yield Violation("lost", reference, f"KRA holds it under number {row['number']}, the gateway shows {found}")


def doubled(evidence: Evidence) -> Iterator[Violation]:
    """KRA holds one record a reference and a mark."""
    for kind, name in (("reference", lambda row: row["reference"]), ("mark", lambda row: tag_of(_body(row)))):
        seen: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row in evidence.ledger:
            if not row["reference"].startswith(OTHERS) and name(row):
                seen[row["pin"], name(row)].append(row["number"])
        for (pin, value), numbers in seen.items():
            if len(numbers) > 1:
                yield Violation("doubled", value, f"{pin} has this {kind} under the numbers {numbers}")


def gaps(evidence: Evidence) -> Iterator[Violation]:
    """A branch's numbers are 1, 2, 3 … and none was given to two documents."""
    for pin, rows in _by_pin(evidence.ledger).items():
        numbers = [row["number"] for row in rows]
        if numbers != list(range(1, len(numbers) + 1)):
            yield Violation("gap", pin, f"KRA's numbers are {numbers}")
    taken: dict[tuple[str, int], str] = {}
    for reference, document in evidence.final.items():
        if document["status"] != "signed":
            continue
        key = evidence.pin_of[reference], document["number"]
        if key in taken:
            yield Violation("reuse", reference, f"number {key[1]} was also given to {taken[key]}")
        taken[key] = reference


def out_of_order(evidence: Evidence) -> Iterator[Violation]:
    """A sale that was acknowledged before another was posted has the lower number; refused ones stood aside."""
    acknowledged: dict[str, float] = {}
    aside = {said.reference for said in evidence.said if said.document and said.document["status"] == "refused"}
    for said in evidence.said:
        if said.document is not None:
            acknowledged[said.reference] = min(said.at, acknowledged.get(said.reference, said.at))
    for pin, rows in _by_pin(evidence.ledger).items():
        latest, latest_reference = 0.0, ""
        for row in rows:
            reference = row["reference"]
            if reference not in evidence.first_sent or reference in aside:
                continue
            if acknowledged.get(reference, float("inf")) < latest:
                detail = f"{pin}: {latest_reference} was posted after this one was acknowledged, and was signed before"
                yield Violation("out of order", reference, detail)
            if evidence.first_sent[reference] > latest:
                latest, latest_reference = evidence.first_sent[reference], reference


def wrong_receipt(evidence: Evidence) -> Iterator[Violation]:
    """What the gateway shows as signed is KRA's record, to the character."""
    ours = evidence.ours()
    for reference, document in evidence.final.items():
        if document["status"] == "signed" and (wrong := _differs(document, ours.get(reference))):
            yield Violation("wrong receipt", reference, wrong)


def shown_wrongly(evidence: Evidence) -> Iterator[Violation]:
    """No answer ever said more than was known, and none took back what an earlier one had said."""
    ours = evidence.ours()
    signed: dict[str, float] = {}
    for said in sorted(evidence.said, key=lambda one: one.at):
        document = said.document
        if document is None:
            continue
        reference, status = said.reference, document["status"]
        if status == "signed":
            signed.setdefault(reference, said.at)
            if wrong := _differs(document, ours.get(reference)):
                yield Violation("shown wrongly", reference, wrong)
        elif said.sent > signed.get(reference, float("inf")):
            yield Violation("shown wrongly", reference, f"it was signed, and later shown as {status}")
        if status != "signed" and document["receipt"] is not None:
            yield Violation("shown wrongly", reference, f"a receipt although it is {status}")
        if status == "refused" and not document["problem"]:
            yield Violation("shown wrongly", reference, "refused without a reason")
        if status in ("queued", "sending", "unknown") and document["problem"] is not None:
            yield Violation("shown wrongly", reference, f"{status}, and yet it shows a problem")
        expected = {"signed": (200, 201), "refused": (422,)}.get(status, (202,))
        if said.how != "status" and said.status not in expected:
            yield Violation("shown wrongly", reference, f"{status} came with HTTP {said.status}")
    for reference, document in evidence.final.items():
        if document["status"] == "refused" and reference in ours:
            yield Violation("shown wrongly", reference, f"refused, and KRA holds number {ours[reference]['number']}")


def outside_the_contract(evidence: Evidence) -> Iterator[Violation]:
    """A valid sale is answered with 2xx, KRA's refusal or 503, whatever is broken behind the door."""
    for said in evidence.said:
        if said.status is None or said.document is not None or said.status == 503 or _asks_too_much(said):
            continue
        yield Violation("outside the contract", said.reference, f"HTTP {said.status}: {str(said.body)[:300]}")


def over_credited(evidence: Evidence) -> Iterator[Violation]:
    """KRA's credit notes of a sale never exceed it: in all, in tax, of each letter and of each item."""
    sales = {(row["pin"], row["number"]): row for row in evidence.ledger}
    taken: dict[tuple[str, int], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in evidence.ledger:
        if row.get("original"):
            for name, amount in _amounts(json.loads(_body(row))).items():
                taken[row["pin"], row["original"]][name] += amount
    for key, amounts in taken.items():
        sold = _amounts(json.loads(_body(sales[key]))) if key in sales else {}
        over = {name: amount for name, amount in amounts.items() if amount > sold.get(name, 0)}
        if over:
            yield Violation("over-credited", f"{key[0]} number {key[1]}", f"credited {over} of {sold}")


def _amounts(body: dict[str, Any]) -> dict[str, Decimal]:
    """What of a document as KRA holds it may be credited at most."""
    letters = [f"{name}{letter}" for name in ("taxblAmt", "taxAmt") for letter in "ABCDE"]
    found = {name: Decimal(str(body[name])) for name in ("totAmt", "totTaxAmt", *letters)}
    for line in body["itemList"]:
        found[line["itemCd"]] = found.get(line["itemCd"], Decimal(0)) + Decimal(str(line["totAmt"]))
    return found


def _asks_too_much(said: Said) -> bool:
    """Whether a credit note was refused because nothing, or not so much, was left."""
    fields = said.body.get("fields", []) if said.how == "credit" and isinstance(said.body, dict) else []
    return bool(fields) and all(one["code"] in ("nothing_left", "more_than_left") for one in fields)


def bytes_changed(evidence: Evidence) -> Iterator[Violation]:
    """The same document under the same number is always the same bytes."""
    first: dict[tuple[str, int, str], str] = {}
    for row in evidence.requests:
        body = _body(row)
        key = row["pin"], int(json.loads(body)["invcNo"]), tag_of(body)
        if first.setdefault(key, body) != body:
            detail = f"number {key[1]} of {key[0]} came as {first[key][:600]} and as {body[:600]}"
            yield Violation("bytes changed", key[2], detail)


def sent_again_in_vain(evidence: Evidence) -> Iterator[Violation]:
    """What KRA accepted and answered is not sent again, unless a process died or froze about then."""
    accepted: dict[tuple[str, int, str], float] = {}
    for row in evidence.requests:
        body, at = _body(row), seconds_of(row["at"])
        key = row["pin"], int(json.loads(body)["invcNo"]), tag_of(body)
        since = accepted.get(key)
        if since is not None and not any(begin <= at and since <= end for begin, end in evidence.disturbed):
            yield Violation("second owner", key[2], f"{key[0]}: number {key[1]} was answered and sent again")
        if row["code"] == "000" and not row["faults"]:
            accepted.setdefault(key, at)


def sent_again_unasked(evidence: Evidence) -> Iterator[Violation]:
    """What KRA has recorded is not sent again before KRA was asked about its number, unless a process froze or died."""
    recorded = {
        (row["pin"], row["number"]): (tag_of(_body(row)), seconds_of(row["recorded_at"])) for row in evidence.ledger
    }
    asked: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in evidence.lookups:
        asked[row["pin"], int(json.loads(_body(row))["invcNo"])].append(seconds_of(row["at"]))
    last: dict[tuple[str, int, str], float] = {}
    for row in evidence.requests:
        body, at = _body(row), seconds_of(row["at"])
        key = row["pin"], int(json.loads(body)["invcNo"])
        since, last[*key, tag_of(body)] = last.get((*key, tag_of(body))), at
        tag, recorded_at = recorded.get(key, ("", at))
        if since is None or tag != tag_of(body) or recorded_at >= at:
            continue
        if any(since <= moment <= at for moment in asked[key]):
            continue
        if not any(begin <= at and since <= end for begin, end in evidence.disturbed):
            yield Violation("sent again unasked", tag, f"{key[0]}: KRA had number {key[1]} already, and was not asked")


def overtaken(evidence: Evidence) -> Iterator[Violation]:
    """A number is sent only when KRA has recorded every number before it."""
    recorded = {pin: [seconds_of(row["recorded_at"]) for row in rows] for pin, rows in _by_pin(evidence.ledger).items()}
    for row in evidence.requests:
        number, at = int(json.loads(_body(row))["invcNo"]), seconds_of(row["at"])
        before = recorded.get(row["pin"], [])[: number - 1]
        if len(before) < number - 1 or any(moment > at + MILLISECOND for moment in before):
            yield Violation("overtaken", row["pin"], f"number {number} was sent while one before it was open: {row}")


def second_owner(evidence: Evidence) -> Iterator[Violation]:
    """Two messages of one lane overlap only after a process was stopped or killed, and then with equal bytes."""
    lanes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in evidence.attempts:
        lanes[row["pin"]].append(row)
    for pin, rows in lanes.items():
        rows.sort(key=lambda row: row["began"])
        open_until: dict[str, Any] | None = None
        for row in rows:
            if open_until is not None and row["began"] < open_until["ended"] - 2 * MILLISECOND:
                detail = f"{pin}: number {open_until['number']} and number {row['number']} were under way at once"
                told = any(since <= row["began"] <= until for since, until in evidence.disturbed)
                if told and row["sha"] == open_until["sha"]:
                    evidence.notes.append(detail)
                else:
                    yield Violation("second owner", pin, detail)
            if open_until is None or row["ended"] > open_until["ended"]:
                open_until = row


CHECKS: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (
    lost,
    doubled,
    gaps,
    out_of_order,
    wrong_receipt,
    shown_wrongly,
    outside_the_contract,
    over_credited,
    bytes_changed,
    sent_again_in_vain,
    sent_again_unasked,
    overtaken,
    second_owner,
)


def judge(evidence: Evidence) -> list[Violation]:
    """Everything that is wrong, in the order of the checks."""
    return [violation for check in CHECKS for violation in check(evidence)]


def _by_pin(ledger: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """A branch's records in the order of their numbers."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in ledger:
        found[row["pin"]].append(row)
    return {pin: sorted(rows, key=lambda row: row["number"]) for pin, rows in found.items()}


def _body(row: dict[str, Any]) -> str:
    body = row["body"]
    return body if isinstance(body, str) else json.dumps(body)


def _differs(document: dict[str, Any], row: dict[str, Any] | None) -> str:
    """What of a shown receipt is not as KRA has it; empty when all agrees."""
    if row is None:
        return "it is shown as signed, and KRA does not have it"
    receipt = document["receipt"]
    shown = {
        "number": document["number"],
        "receipt_number": receipt["number"],
        "signature": receipt["signature"],
        "internal_data": receipt["internal_data"],
        "total": document["totals"]["amount"],
    }
    differing = {name: (value, row[name]) for name, value in shown.items() if value != row[name]}
    return f"shown and recorded differ: {differing}" if differing else ""
