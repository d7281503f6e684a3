"""The referee sees every broken promise: each test breaks one in an otherwise perfect day."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.checks import Evidence, judge
from tests.chaos.tills import Said

PIN = "P000010001X"
T0 = 1_795_600_000.0
ISO = "2026-11-25T11:46:40.000+03:00"  # T0


def kra_row(number: int, reference: str, **changes: Any) -> dict[str, Any]:
    return {
        "pin": PIN,
        "number": number,
        "reference": reference,
        "receipt_number": number,
        "signature": f"SIGNATURE{number}",
        "internal_data": f"DATA{number}",
        "total": "116.00",
        "recorded_at": ISO,
        "body": body(number, reference),
        **changes,
    }


def body(number: int, reference: str) -> dict[str, Any]:
    return {"invcNo": number, "remark": f"rvp:{reference}"}


def request_row(number: int, reference: str, **changes: Any) -> dict[str, Any]:
    return {"pin": PIN, "at": ISO, "code": "000", "faults": [], "body": json.dumps(body(number, reference)), **changes}


def document(number: int | None, reference: str, **changes: Any) -> dict[str, Any]:
    receipt = {"number": number, "signature": f"SIGNATURE{number}", "internal_data": f"DATA{number}"}
    return {
        "reference": reference,
        "status": "signed",
        "number": number,
        "receipt": receipt,
        "totals": {"amount": "116.00"},
        "problem": None,
        "waiting": None,
        **changes,
    }


def waiting(reference: str, status: str = "queued", **changes: Any) -> dict[str, Any]:
    return document(None, reference, status=status, receipt=None, **changes)


def said(reference: str, status: int | None, content: Any, at: float) -> Said:
    return Said(reference, PIN, "post", "http://door", T0 + at - 0.1, T0 + at, status, content)


def perfect_day() -> Evidence:
    return Evidence(
        ledger=[kra_row(1, "A"), kra_row(2, "B")],
        requests=[request_row(1, "A"), request_row(2, "B")],
        said=[
            said("A", None, "timed out", 1),
            said("A", 503, {"code": "not_kept"}, 2),
            said("A", 202, waiting("A"), 3),
            said("A", 200, document(1, "A"), 4),
            said("B", 201, document(2, "B"), 5),
        ],
        final={"A": document(1, "A"), "B": document(2, "B")},
        first_sent={"A": T0 + 0.9, "B": T0 + 4.9},
        pin_of={"A": PIN, "B": PIN},
        attempts=[
            {"pin": PIN, "number": 1, "sha": "a", "began": T0, "ended": T0 + 1},
            {"pin": PIN, "number": 2, "sha": "b", "began": T0 + 1, "ended": T0 + 2},
        ],
    )


def test_a_perfect_day_breaks_no_promise() -> None:
    assert judge(perfect_day()) == []


def test_a_number_of_another_system_is_no_gap() -> None:
    day = perfect_day()
    day.ledger.append(kra_row(3, "OTHER-3"))
    assert judge(day) == []


def forgets_a_sale(day: Evidence) -> None:
    day.said.append(said("C", 202, waiting("C"), 6))


def leaves_a_sale_waiting(day: Evidence) -> None:
    day.said.append(said("C", 202, waiting("C"), 6))
    day.final["C"] = waiting("C")


def refuses_what_kra_holds(day: Evidence) -> None:
    day.final["B"] = waiting("B", "refused", problem={"code": "refused_by_kra"})


def signs_twice(day: Evidence) -> None:
    day.ledger.append(kra_row(3, "A"))


def skips_a_number(day: Evidence) -> None:
    day.ledger[1]["number"] = 3


def gives_a_number_to_two(day: Evidence) -> None:
    day.final["B"]["number"] = 1


def signs_the_later_one_first(day: Evidence) -> None:
    day.first_sent["A"], day.first_sent["B"] = T0 + 5.5, T0 + 0.9
    day.said[:] = [said("B", 201, document(2, "B"), 5), said("A", 201, document(1, "A"), 6)]


def shows_another_signature(day: Evidence) -> None:
    day.final["B"]["receipt"]["signature"] = "FORGED"


def showed_another_signature_once(day: Evidence) -> None:
    forged = document(2, "B")
    forged["receipt"] = {**forged["receipt"], "signature": "FORGED"}
    day.said.append(said("B", 200, forged, 6))


def takes_a_signature_back(day: Evidence) -> None:
    day.said.append(said("A", 202, waiting("A", "unknown"), 9))


def shows_unknown_as_failed(day: Evidence) -> None:
    day.said.insert(2, said("A", 422, waiting("A", "unknown", problem={"code": "x"}), 2.5))


def breaks_down_in_public(day: Evidence) -> None:
    day.said.append(said("A", 500, {"code": "unexpected"}, 6))


def sends_other_bytes(day: Evidence) -> None:
    changed = json.dumps({**body(1, "A"), "totAmt": 1})
    day.requests.append(request_row(1, "A", body=changed))


def sends_what_was_answered(day: Evidence) -> None:
    day.requests.append(request_row(1, "A"))


def sends_what_it_should_have_looked_up(day: Evidence) -> None:
    day.requests[0] |= {"faults": ["answer_lost"]}
    day.requests.append(request_row(1, "A", at="2026-11-25T11:46:42.000+03:00", code="994"))


def sends_the_next_number_too_early(day: Evidence) -> None:
    day.ledger[0]["recorded_at"] = "2026-11-25T11:46:41.000+03:00"


def sends_from_two_places(day: Evidence) -> None:
    day.attempts[1]["began"] = T0 + 0.5


def gives_back_more_than_was_sold(day: Evidence) -> None:
    for row, tax in zip(day.ledger, ("16.00", "16.01"), strict=True):
        amounts = {f"{name}{letter}": "0" for name in ("taxblAmt", "taxAmt") for letter in "ACDE"}
        amounts |= {"totAmt": "116.00", "totTaxAmt": tax, "taxblAmtB": "100.00", "taxAmtB": tax}
        row["body"] = {**row["body"], **amounts, "itemList": [{"itemCd": "KE1", "totAmt": "116.00"}]}
    day.ledger[1]["original"] = 1


BROKEN: list[tuple[Callable[[Evidence], None], str]] = [
    (forgets_a_sale, "lost"),
    (leaves_a_sale_waiting, "stuck"),
    (refuses_what_kra_holds, "lost"),
    (signs_twice, "doubled"),
    (skips_a_number, "gap"),
    (gives_a_number_to_two, "reuse"),
    (signs_the_later_one_first, "out of order"),
    (shows_another_signature, "wrong receipt"),
    (showed_another_signature_once, "shown wrongly"),
    (takes_a_signature_back, "shown wrongly"),
    (shows_unknown_as_failed, "shown wrongly"),
    (breaks_down_in_public, "outside the contract"),
    (sends_other_bytes, "bytes changed"),
    (sends_what_was_answered, "second owner"),
    (sends_what_it_should_have_looked_up, "sent again unasked"),
    (sends_the_next_number_too_early, "overtaken"),
    (sends_from_two_places, "second owner"),
    (gives_back_more_than_was_sold, "over-credited"),
]


@pytest.mark.parametrize(("breaks", "name"), BROKEN, ids=[breaks.__name__ for breaks, _ in BROKEN])
def test_the_referee_sees_a_gateway_that(breaks: Callable[[Evidence], None], name: str) -> None:
    day = perfect_day()
    breaks(day)
    assert name in {violation.name for violation in judge(day)}


def test_equal_bytes_from_two_places_after_a_kill_are_told_and_allowed() -> None:
    day = perfect_day()
    sends_from_two_places(day)
    day.attempts[1]["sha"] = "a"
    day.disturbed.append((T0, T0 + 10))
    assert judge(day) == [] and len(day.notes) == 1


def test_what_was_looked_up_and_not_found_may_be_sent_again() -> None:
    day = perfect_day()
    sends_what_it_should_have_looked_up(day)
    day.lookups.append(request_row(1, "A", at="2026-11-25T11:46:41.000+03:00", code="001"))
    assert judge(day) == []
